"""This module says what a span means, in the conventions of OpenTelemetry, of OpenInference and of OpenLLMetry."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal

from analysis.importers.chats.chat import ToldUsage
from analysis.importers.chats.message_forms import handed_to
from analysis.importers.chats.usage_forms import whole
from analysis.importers.loose_json import whole_text
from analysis.importers.spans.content import last_said, messages_in, messages_out
from analysis.importers.spans.span import TraceSpan

Operation = Literal["agent", "chat", "tool", "handoff", "workflow", "other"]

_BY_NAME: Final[dict[str, Operation]] = {
    "chat": "chat", "text_completion": "chat", "generate_content": "chat", "completion": "chat", "message": "chat",
    "invoke_agent": "agent", "agent": "agent", "invoke_workflow": "workflow", "workflow": "workflow",
    "execute_tool": "tool", "tool": "tool", "handoff": "handoff",
}  # fmt: skip
_BY_KIND: Final[dict[str, Operation]] = {
    "LLM": "chat", "AGENT": "agent", "TOOL": "tool", "CHAIN": "workflow", "WORKFLOW": "workflow", "TASK": "other",
}  # fmt: skip
_BY_HEAD: Final[dict[str, Operation]] = {
    "invoke_agent": "agent",
    "execute_tool": "tool",
    "chat": "chat",
    "handoff": "handoff",
}
_AGENT: Final = (
    "gen_ai.agent.name", "agent.name", "agent_name", "graph.node.id", "gen_ai.agent.id", "agent.id",
)  # fmt: skip
_TOOL: Final = ("gen_ai.tool.name", "tool.name", "traceloop.entity.name")
_ARGUMENTS: Final = ("gen_ai.tool.call.arguments", "tool.parameters", "input.value", "traceloop.entity.input")
_RESULT: Final = ("gen_ai.tool.call.result", "gen_ai.tool.message", "output.value", "traceloop.entity.output")
_INPUT: Final = (
    "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt", "llm.usage.prompt_tokens",
)  # fmt: skip
_OUTPUT: Final = (
    "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion",
    "llm.usage.completion_tokens",
)  # fmt: skip
_CACHED: Final = (
    "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens",
    "llm.token_count.prompt_details.cache_read", "gen_ai.usage.input_tokens.cached",
)  # fmt: skip
NAME_CHARS: Final = 200


@dataclass(frozen=True)
class SpanMeaning:
    """The object reads what a span means when it is asked for."""

    span: TraceSpan

    @cached_property
    def operation(self) -> Operation:
        """What was done."""
        attributes = self.span.attributes
        named = _first(attributes, ("gen_ai.operation.name", "llm.request.type"))
        if named is not None and named.lower() in _BY_NAME:
            found = _BY_NAME[named.lower()]
            return "handoff" if found == "tool" and self.handed_to else found
        if named is not None:
            return "other"
        kind = _first(attributes, ("openinference.span.kind", "traceloop.span.kind"))
        if kind is not None and kind.upper() in _BY_KIND:
            found = _BY_KIND[kind.upper()]
            return "handoff" if found == "tool" and self.handed_to else found
        return _BY_HEAD.get(self.span.name.split(" ")[0].lower(), "other")

    @cached_property
    def agent(self) -> str | None:
        """Name of the agent that the span names, of itself or as its caller."""
        found = _first(self.span.attributes, _AGENT)
        head, _, rest = self.span.name.partition(" ")
        if found is None and head == "invoke_agent" and rest.strip():
            found = rest.strip()
        if found is None and self.operation == "agent":
            found = _first(self.span.attributes, ("traceloop.entity.name",)) or self.span.name or None
        return found

    @cached_property
    def tool(self) -> str:
        """Name of the tool that was called."""
        found = _first(self.span.attributes, _TOOL)
        head, _, rest = self.span.name.partition(" ")
        return found or (rest.strip() if head == "execute_tool" and rest.strip() else self.span.name) or "?"

    @property
    def handed_to(self) -> str | None:
        """Agent to whom the turn was handed over; None for other spans."""
        named = _first(self.span.attributes, ("gen_ai.handoff.to", "handoff.to", "to_agent"))
        found = named or handed_to(self.tool)
        if found is None and self.span.name.lower().startswith("handoff to "):
            found = self.span.name[len("handoff to ") :].strip() or None
        return found

    @property
    def call(self) -> str:
        """The call of the tool as a text."""
        return f"{self.tool}({_value(self.span.attributes, _ARGUMENTS)})"

    @property
    def result(self) -> str | None:
        """What the tool gave; None where it is not told."""
        return _value(self.span.attributes, _RESULT) or None

    @cached_property
    def usage(self) -> ToldUsage:
        """Tokens of the span."""
        tokens_in, tokens_out, cached = (_count(self.span.attributes, keys) for keys in (_INPUT, _OUTPUT, _CACHED))
        if tokens_in is None and tokens_out is None:
            return ToldUsage()
        return ToldUsage(tokens_in or 0, min(cached or 0, tokens_in or 0), tokens_out or 0, known=True)

    @cached_property
    def said(self) -> str | None:
        """Last text of the assistant in what the span gave; None where it is not told."""
        found = last_said(messages_out(self.span))
        return None if found is None else whole_text(found)

    @cached_property
    def given(self) -> list[str]:
        """Texts of what the span was given."""
        return [text for _, text in messages_in(self.span) if text]


def _first(attributes: Any, keys: tuple[str, ...]) -> str | None:
    for key in keys:
        found = attributes.get(key)
        if isinstance(found, str) and found.strip():
            return found.strip()[:NAME_CHARS]
    return None


def _count(attributes: Any, keys: tuple[str, ...]) -> int | None:
    return next((found for key in keys if (found := whole(attributes.get(key))) is not None), None)


def _value(attributes: Any, keys: tuple[str, ...]) -> str:
    for key in keys:
        found = attributes.get(key)
        if found is None:
            continue
        if isinstance(found, str):
            return found
        try:
            return whole_text(json.dumps(found, sort_keys=True, ensure_ascii=False, default=str))
        except (ValueError, RecursionError):
            return "..."
    return ""
