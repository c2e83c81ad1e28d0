"""Whatever a model writes in place of a call is read without raising, and reaches no tool unchecked."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentsoc.contracts.tool_use import CALLS_MAX
from agentsoc.contracts.tools import ToolError
from agentsoc.contracts.turns import ToolCall
from agentsoc.engine.tool_desk import _arguments
from agentsoc.reading.by_schema import value_fault
from agentsoc.society.acting import read_calls
from agentsoc.society.reply_fault import Fault

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=12,
)
CALLS = st.fixed_dictionaries({}, optional={"tool": VALUES | st.text(max_size=90), "arguments": VALUES})
REPLIES = st.one_of(
    st.text(max_size=200),
    st.builds(json.dumps, VALUES),
    st.builds(lambda calls: json.dumps({"calls": calls}), st.lists(CALLS | VALUES, max_size=12) | VALUES),
    st.builds(lambda call, before: f"{before} {json.dumps(call)}", CALLS, st.text(max_size=40)),
    st.builds(lambda calls, end: json.dumps({"calls": calls})[:end], st.lists(CALLS, max_size=9), st.integers(0, 200)),
)
SCHEMA = {
    "type": "object",
    "properties": {"x": {"type": "integer", "minimum": 0, "maximum": 9}},
    "required": ["x"],
    "additionalProperties": False,
}


@settings(deadline=None, derandomize=True, max_examples=400)
@given(REPLIES)
def test_every_reply_is_calls_or_a_fault_or_neither(text: str) -> None:
    read = read_calls(text)
    if read is None or isinstance(read, Fault):
        return
    assert 1 <= len(read) <= CALLS_MAX
    for call in read:
        assert isinstance(call, ToolCall)
        assert 0 < len(call.tool) <= 64
        try:
            arguments = _arguments(call.arguments)
        except ToolError as error:
            assert error.kind == "bad_arguments"  # noqa: PT017
            continue
        if value_fault(SCHEMA, arguments) is None:
            assert set(arguments) == {"x"}
            assert 0 <= arguments["x"] <= 9


def test_depth_and_length_are_told() -> None:
    for text in ("[" * 100_000, '{"x":' * 50_000, '{"x": ' + "1" * 70_000 + "}"):
        read_calls('{"calls": [{"tool": "t", "arguments": ' + text)  # does not raise
        with pytest.raises(ToolError) as caught:
            _arguments(text)
        assert caught.value.kind == "bad_arguments"
