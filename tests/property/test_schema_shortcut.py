"""The short way to see that a value fits a schema says no more than the validator does."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from agentsoc.reading.by_schema import _fits_plainly, canonical, value_fault

BOUNDS = st.one_of(st.integers(-3, 3), st.floats(-3, 3, allow_nan=False), st.booleans())
LEAVES = st.one_of(
    st.fixed_dictionaries({"type": st.just("integer")}, optional={"minimum": BOUNDS, "maximum": BOUNDS}),
    st.fixed_dictionaries(
        {"type": st.just("string")},
        optional={"minLength": st.integers(0, 3), "maxLength": st.integers(0, 3), "pattern": st.just("a")},
    ),
    st.just({"type": "number"}),
    st.just({"enum": [1, "a"]}),
    st.just(True),
    st.just({"title": "anything"}),
)
NAMES = st.sampled_from(["a", "b", "c"])
OBJECTS = st.fixed_dictionaries(
    {"type": st.just("object")},
    optional={
        "properties": st.dictionaries(NAMES, LEAVES, max_size=3),
        "required": st.lists(NAMES, max_size=2, unique=True),
        "additionalProperties": st.booleans(),
        "minProperties": st.integers(0, 2),
    },
)
SCALARS = st.one_of(st.integers(-4, 4), st.floats(-4, 4), st.text("abé", max_size=4), st.booleans(), st.none())
VALUES = st.one_of(SCALARS, st.dictionaries(NAMES, SCALARS, max_size=3), st.lists(SCALARS, max_size=2))


@settings(max_examples=300, deadline=None)
@example({"type": "integer", "maximum": 1}, True)
@example({"type": "integer"}, 1.0)
@example({"type": "object", "additionalProperties": False}, {"a": 1})
@given(st.one_of(LEAVES, OBJECTS), VALUES)
def test_what_fits_plainly_fits(schema: Any, value: Any) -> None:
    fits = Draft202012Validator(schema).is_valid(value)
    if _fits_plainly(schema, value):
        assert fits
    if isinstance(schema, dict):
        assert (value_fault(schema, value) is None) == fits


def test_plain_schemas_take_the_short_way() -> None:
    assert _fits_plainly({"type": "integer", "minimum": 0, "maximum": 9, "description": "units"}, 3)
    query = {"type": "object", "properties": {"q": {"type": "string", "maxLength": 5}}, "required": ["q"]}
    assert _fits_plainly(query, {"q": "abc"})
    assert value_fault(query, {"q": "abcdef"}) == "q: 'abcdef' is too long"
    assert (canonical(7), canonical("\ud800é"), canonical({"b": 1, "a": None})) == ("7", '"?é"', '{"a":null,"b":1}')
