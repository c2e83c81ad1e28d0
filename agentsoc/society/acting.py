"""What agents that may call tools are told of them, how they say what they call, and how that is read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from agentsoc.contracts.society import Society
from agentsoc.contracts.tool_use import CALLS_MAX, may_call
from agentsoc.contracts.tools import ToolSpec
from agentsoc.contracts.turns import ToolCall, Turn, View
from agentsoc.reading.by_schema import canonical
from agentsoc.reading.objects import find_object
from agentsoc.society.reply_fault import Fault

CALLS: Final = "calls"
"""Key of a reply that calls tools."""
LEFT_OUT: Final = "[left out for want of room]"
"""Stands in a prompt in the place of the oldest results where there is no room for all of them."""
_NAME_MAX: Final = 64
_HARD: Final = frozenset(
    {"$ref", "$defs", "definitions", "patternProperties", "if", "not", "allOf", "dependentSchemas"}
)
"""Words of a schema that grammars of small libraries do not all know; then any object is allowed and checked later."""


def equipped(society: Society, turns: Sequence[Turn]) -> Sequence[Turn]:
    """Return the turns of a stage, each with whether its reply may call tools."""
    if not any(society.toolsets):
        return turns
    return [_equipped(society, turn) for turn in turns]


def _equipped(society: Society, turn: Turn) -> Turn:
    calls = bool(society.tools_of(turn.agent)) and may_call(turn, society.group(turn.agent).tool_use)
    return msgspec.structs.replace(turn, tools=calls)


def next_step(society: Society, turn: Turn) -> Turn:
    """Return a turn that has called tools as it goes on."""
    further = msgspec.structs.replace(turn, step=turn.step + 1)
    return msgspec.structs.replace(further, tools=may_call(further, society.group(turn.agent).tool_use))


def tool_lines(specs: Sequence[ToolSpec]) -> list[str]:
    """Return one line for each tool, as agents are told of it."""
    return [f"{spec.name}: {spec.description.strip()} Arguments: {_arguments(spec)}" for spec in specs]


def _arguments(spec: ToolSpec) -> str:
    properties = spec.schema.get("properties")
    return canonical(properties if isinstance(properties, Mapping) else spec.schema)


@lru_cache(maxsize=256)
def action_schema(answer: str, tools: str, calls: int) -> str:
    """Return the JSON Schema of a reply that either calls tools or answers.

    Args:
        answer: schema of the answer, as text; empty where the answer is free text.
        tools: name and schema of the arguments of each tool, as a JSON list of pairs.
        calls: most calls of one reply.
    """
    ways = [
        {
            "type": "object",
            "properties": {"tool": {"const": name}, "arguments": _simple(arguments)},
            "required": ["tool", "arguments"],
            "additionalProperties": False,
        }
        for name, arguments in json.loads(tools)
    ]
    item = ways[0] if len(ways) == 1 else {"oneOf": ways}
    calling = {
        "type": "object",
        "properties": {CALLS: {"type": "array", "items": item, "minItems": 1, "maxItems": calls}},
        "required": [CALLS],
        "additionalProperties": False,
    }
    return json.dumps({"oneOf": [calling, json.loads(answer)]} if answer else calling)


def native_specs(society: Society, view: View) -> tuple[tuple[str, str, str], ...]:
    """Return the tools of a turn as a provider is told of them, where the agent's provider is; else nothing."""
    if society.group(view.agent).reply != "native":
        return ()
    return tuple([(spec.name, spec.description, canonical(dict(spec.schema))) for spec in society.tools_of(view.agent)])


def tools_key(specs: Sequence[ToolSpec]) -> str:
    """Return name and schema of the arguments of each tool as text, for `action_schema`."""
    return json.dumps([[spec.name, spec.schema] for spec in specs])


def _simple(schema: Any) -> Any:
    return {"type": "object"} if _is_hard(schema) else schema


def _is_hard(schema: Any) -> bool:
    if isinstance(schema, Mapping):
        return not _HARD.isdisjoint(schema) or any(map(_is_hard, schema.values()))
    return isinstance(schema, list) and any(map(_is_hard, schema))


def read_calls(text: str) -> tuple[ToolCall, ...] | Fault | None:
    """Return what a reply calls; None for one that calls nothing, a fault for one that calls in no known form.

    One call may stand alone (``{"tool": ..., "arguments": ...}``), and its arguments may be an object or its text.
    """
    data = find_object(text, (CALLS,)) or find_object(text, ("tool",))
    if data is None:
        return None
    found = data.get(CALLS, [data] if "tool" in data else None)
    if isinstance(found, dict):
        found = [found]
    if not isinstance(found, list) or not found:
        return Fault(f'"{CALLS}" has to be a list of calls') if CALLS in data and "answer" not in data else None
    if len(found) > CALLS_MAX:
        return Fault(f"it makes {len(found)} calls; at most {CALLS_MAX}")
    calls = []
    for one in found:
        name = one.get("tool") if isinstance(one, dict) else None
        if not isinstance(name, str) or not name.strip():
            return Fault('each call needs "tool", a name, and "arguments", an object')
        calls.append(ToolCall(name.strip()[:_NAME_MAX], _arguments_text(one.get("arguments", {}))))
    return tuple(calls)


def _arguments_text(value: Any) -> str:
    if isinstance(value, str):
        try:
            decoded = json.loads(value)
        except (ValueError, RecursionError):
            return value
        value = decoded if isinstance(decoded, dict) else value
    try:
        return value if isinstance(value, str) else canonical(value)
    except ValueError:
        return str(value)[:1000]
