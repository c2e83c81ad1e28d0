"""The rules of a run: recorded, read back, refused when unknown."""

from __future__ import annotations

import pytest

from agentsoc.contracts.rules import FIRST, NEWEST, Rules, recorded_rules
from agentsoc.errors import InputError


def test_a_record_gives_the_same_rules_again() -> None:
    assert recorded_rules(NEWEST.record(), "run") == NEWEST
    assert recorded_rules({"prompts": 1, "reader": 1, "reserve": 1}, "run") == FIRST


def test_a_run_of_log_format_1_records_none_and_was_made_by_the_first() -> None:
    assert recorded_rules({}, "run") == FIRST == Rules(prompts=1, reader=1, reserve=1)


@pytest.mark.parametrize("record", [{"prompts": NEWEST.prompts + 1}, {"reader": 0}, {"colours": 1}])
def test_rules_that_this_version_does_not_know_are_refused_by_name(record: dict[str, int]) -> None:
    with pytest.raises(InputError, match=next(iter(record))):
        recorded_rules(record, "run")
