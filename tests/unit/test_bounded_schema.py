"""Schemas of strangers: whatever they say, a value is judged in bounded time, and rightly where they are plain."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from agentsoc.reading.by_schema import value_fault


def of(**inner: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": inner}}


def doubling(depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {"d0": {"type": "string"}}
    for number in range(1, depth + 1):
        found[f"d{number}"] = {"allOf": [{"$ref": f"#/$defs/d{number - 1}"}] * 2}
    return found


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (of(type="string", pattern="^(a+)+$"), {"a": "a" * 60 + "!"}),
        (of(type="string", pattern="^(a|a)*$"), {"a": "a" * 60 + "!"}),
        (of(type="string", pattern="^" + "a?" * 30 + "a" * 30 + "$"), {"a": "a" * 40 + "!"}),
        (of(type="string", pattern="a*a*a*a*b$"), {"a": "a" * 60_000}),
        (of(type="string", pattern="(?=(a+)+$)b"), {"a": "a" * 60}),
        (of(type="string", pattern="(){1000000000}"), {"a": "a"}),
        ({"type": "object", "patternProperties": {"^(a+)+$": {}}}, {"a" * 60 + "!": 1}),
        (of(type="array", uniqueItems=True), {"a": [{"x": number} for number in range(6000)]}),
    ],
)
def test_what_may_take_long_is_left_to_whoever_offers_the_schema(schema: dict[str, Any], value: Any) -> None:
    began = time.monotonic()
    assert value_fault(schema, value) is None
    assert time.monotonic() - began < 3


def test_a_schema_that_unfolds_without_end_is_given_up() -> None:
    schema = {**of(**{"$ref": "#/$defs/d40"}), "$defs": doubling(40)}
    assert value_fault(schema, {"a": "x"}) == "it cannot be checked: the schema takes too many steps"
    assert value_fault({**of(**{"$ref": "#/$defs/d5"}), "$defs": doubling(5)}, {"a": "x"}) is None


@pytest.mark.parametrize(
    ("inner", "good", "bad"),
    [
        ({"pattern": "^[a-z]+@[a-z]+$"}, "ab@cd", "ab@"),
        ({"pattern": "^(yes|no)$"}, "no", "maybe"),
        ({"pattern": r"^\d{4}-\d{2}$"}, "2024-05", "2024-5"),
        ({"type": "array", "uniqueItems": True}, [1, True, 0, False, "1", [1], [True], {"a": 1}], [1, 1.0]),
        ({"type": "array", "uniqueItems": True}, [{"a": 1}, {"a": 2}], [{"a": 1, "b": 2}, {"b": 2, "a": 1}]),
        ({"patternProperties": {"^n": {"type": "integer"}}}, {"n1": 1, "m": "x"}, {"n1": "x"}),
    ],
)
def test_plain_schemas_are_checked(inner: dict[str, Any], good: Any, bad: Any) -> None:
    assert value_fault(of(**inner), {"a": good}) is None
    assert value_fault(of(**inner), {"a": bad}) is not None
    assert value_fault(of(**inner), json.loads(json.dumps({"a": bad}))) is not None
