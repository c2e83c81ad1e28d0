"""This module reads the texts of spans in all the places where generations of conventions have put them.

OpenTelemetry, newest    `gen_ai.input.messages`, `gen_ai.output.messages`: lists of {role, parts}, or their JSON
before that              events `gen_ai.user.message`, ..., `gen_ai.choice`, or `gen_ai.content.prompt`, `.completion`
the first                `gen_ai.prompt`, `gen_ai.completion`, whole or spread over `gen_ai.prompt.0.content`, ...
OpenInference            `llm.input_messages.0.message.content`, ..., `input.value`, `output.value`
OpenLLMetry              `traceloop.entity.input`, `traceloop.entity.output`
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from analysis.importers.chats.message_forms import text_of
from analysis.importers.spans.span import TraceSpan

JSON_CHARS: Final = 20_000_000
"""Longest text that is read as JSON (characters)."""
DEPTH_MAX: Final = 30
"""Values within values that are looked into for messages (levels)."""
_INPUT: Final = ("gen_ai.input.messages", "gen_ai.prompt", "llm.prompts", "input.value", "traceloop.entity.input")
_OUTPUT: Final = (
    "gen_ai.output.messages",
    "gen_ai.completion",
    "llm.completions",
    "output.value",
    "traceloop.entity.output",
)
_SPREAD: Final = re.compile(
    r"^(?:gen_ai\.(?P<old>prompt|completion)|llm\.(?P<inference>input|output)_messages)\.(?P<at>\d{1,5})\."
    r"(?:message\.)?(?P<key>.+)$"
)
_EVENTS: Final = {
    "gen_ai.user.message": "user", "gen_ai.system.message": "system", "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool", "gen_ai.choice": "choice", "gen_ai.content.prompt": "user",
    "gen_ai.content.completion": "choice", "gen_ai.client.inference.operation.details": "details",
}  # fmt: skip
_ASSISTANT: Final = frozenset({"assistant", "ai", "model", "aimessage", "aimessagechunk", "gpt"})
_HELD: Final = (
    "messages", "generations", "choices", "output", "outputs", "input", "inputs", "message", "text", "result",
    "response", "answer", "final_output", "contents", "value",
)  # fmt: skip
Said = tuple[str, str]
"""(role, text); the role is empty where it is not told."""


def messages_in(span: TraceSpan) -> list[Said]:
    """Return what a span was given: (role, text) of each message, in order."""
    return _found(span, _INPUT, "prompt", "input", outputs=False)


def messages_out(span: TraceSpan) -> list[Said]:
    """Return what a span gave."""
    return _found(span, _OUTPUT, "completion", "output", outputs=True)


def last_said(said: list[Said]) -> str | None:
    """Return the last text of an assistant, or of somebody whose role is not told; None where nobody says anything."""
    for role, text in reversed(said):
        if text.strip() and (not role or role in _ASSISTANT):
            return text
    return None


def _found(span: TraceSpan, keys: tuple[str, ...], old: str, inference: str, *, outputs: bool) -> list[Said]:
    spread = _spread(span.attributes, old, inference)
    if spread:
        return spread
    for key in keys[:1]:
        if (held := span.attributes.get(key)) is not None and (said := list(_said(held, outputs))):
            return said
    if events := list(_of_events(span, outputs)):
        return events
    for key in keys[1:]:
        if (held := span.attributes.get(key)) is not None and (said := list(_said(held, outputs))):
            return said
    return []


def _spread(attributes: Mapping[str, Any], old: str, inference: str) -> list[Said]:
    """Return messages that are spread over attributes, a field each."""
    parts: dict[int, dict[str, Any]] = {}
    for key, value in attributes.items():
        found = _SPREAD.match(key)
        if found and (found["old"] == old or found["inference"] == inference):
            parts.setdefault(int(found["at"]), {})[found["key"]] = value
    said = []
    for at in sorted(parts):
        fields = parts[at]
        texts = [str(fields["content"])] if isinstance(fields.get("content"), str) else []
        texts += [str(fields[key]) for key in sorted(fields) if key.endswith("message_content.text")]
        said.append((str(fields.get("role", "assistant" if old == "completion" else "")).lower(), "\n".join(texts)))
    return said


def _of_events(span: TraceSpan, outputs: bool) -> Iterator[Said]:
    for event in span.events:
        role = _EVENTS.get(event.name)
        if role is None:
            continue
        if role == "details":
            held = event.attributes.get("gen_ai.output.messages" if outputs else "gen_ai.input.messages")
            yield from _said(held, outputs)
        elif (role == "choice") == outputs:
            names = ("content", "message.content", "message", "event.body", "gen_ai.prompt", "gen_ai.completion")
            held = next((event.attributes[key] for key in names if event.attributes.get(key) is not None), None)
            said = list(_said(held, outputs))
            yield from ((("assistant" if outputs else role), text) for _, text in said)


def _said(value: Any, outputs: bool, depth: int = 0) -> Iterator[Said]:
    """Yield the messages in a value: a text, JSON in a text, a message, a list of them, or an object with some."""
    if value is None or depth > DEPTH_MAX:
        return
    if isinstance(value, str):
        held = _as_json(value)
        if held is None:
            yield "", value
        else:
            yield from _said(held, outputs, depth + 1)
    elif isinstance(value, list):
        for one in value:
            yield from _said(one, outputs, depth + 1)
    elif isinstance(value, Mapping):
        yield from _of_mapping(value, outputs, depth)
    elif isinstance(value, int | float):
        yield "", str(value)


def _of_mapping(value: Mapping[str, Any], outputs: bool, depth: int) -> Iterator[Said]:
    role = value.get("role") or (value.get("type") if value.get("type") in ("human", "ai", "system", "tool") else None)
    kwargs = value.get("kwargs")
    if isinstance(kwargs, Mapping) and isinstance(value.get("id"), list) and value["id"]:
        yield str(value["id"][-1]).lower(), text_of(kwargs.get("content"))
        return
    if "parts" in value or "content" in value:
        content = value.get("parts", value.get("content"))
        yield str(role or "").lower(), text_of(_texts(content))
        return
    for key in _HELD:
        if value.get(key) is not None:
            yield from _said(value[key], outputs, depth + 1)
            return


def _texts(content: Any) -> Any:
    """Return the parts of a content that are texts: calls of tools, their results and thoughts are none."""
    if not isinstance(content, list):
        return content
    other = ("tool_call", "tool_use", "tool_call_response", "tool_result", "reasoning", "thinking")
    return [part for part in content if not (isinstance(part, Mapping) and part.get("type") in other)]


def _as_json(text: str) -> Any:
    """Return what a text holds as JSON, if it is an object or a list; None otherwise."""
    start = text.lstrip()[:1]
    if start not in ("{", "[") or len(text) > JSON_CHARS:
        return None
    try:
        held = json.loads(text, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None
    return held if isinstance(held, dict | list) else None
