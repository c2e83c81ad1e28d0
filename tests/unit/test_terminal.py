"""What the commands print as JSON: indented as Python's own encoder does it, whatever it holds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsoc.printing.terminal import indented

TEXTS = st.text(st.characters(), max_size=8)  # halves of characters among them
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(PLAIN)
def test_json_is_indented_as_the_encoder_of_python_does_it(data: Any) -> None:
    assert indented(data) == json.dumps(data, indent=1, allow_nan=False)


def test_half_a_character_is_printed_as_its_escape() -> None:
    assert indented({"why": "cut \ud83d"}) == '{\n "why": "cut \\ud83d"\n}'


def test_a_number_that_json_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="Out of range"):
        indented([float("nan")])
