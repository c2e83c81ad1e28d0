"""The list of faults of sentences holds: each still stands in its module, and its tests exist."""

from __future__ import annotations

import ast

import pytest

from benchmarks.mutate import ROOT
from benchmarks.sentence_faults import SentenceFault, faults


@pytest.mark.parametrize("fault", faults(), ids=lambda fault: fault.what)
def test_a_fault_can_be_planted_where_it_says(fault: SentenceFault) -> None:
    source = (ROOT / fault.module).read_text(encoding="utf-8")
    planted = fault.planted(source)
    assert ast.dump(ast.parse(planted)) != ast.dump(ast.parse(source))
    assert all((ROOT / file).is_file() for file in fault.tests)


def test_a_fault_whose_place_is_gone_is_told() -> None:
    with pytest.raises(ValueError, match="stands there 0 times"):
        faults()[0].planted("x = 1\n")
