"""This module reads exports of Langfuse and LangSmith into `TraceSpan`: the same tree under other names.

What a row is (a call of a model, an agent, a tool) goes into the attributes that OpenTelemetry has for it, so that
`analysis.importers.spans.meaning` reads all traces in one way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from agentsoc.errors import InputError
from agentsoc.scenario.source import printable
from analysis.importers.chats.usage_forms import counted, usage_of
from analysis.importers.loose_json import whole_text
from analysis.importers.spans.otlp_json import nanoseconds
from analysis.importers.spans.span import TraceSpan

_OPERATION: Final = {
    "GENERATION": "chat", "AGENT": "invoke_agent", "TOOL": "execute_tool", "CHAIN": "invoke_workflow",
    "llm": "chat", "chat_model": "chat", "tool": "execute_tool", "agent": "invoke_agent",
}  # fmt: skip
DEPTH_MAX: Final = 200
"""Runs within runs that are read (levels)."""


def langfuse_spans(value: Mapping[str, Any], where: str) -> Iterator[TraceSpan]:
    """Yield the spans of a Langfuse trace with its observations, or of one row of observations.

    Raises:
        InputError: a row has no id.
    """
    if "observations" not in value:
        yield _observation(value, _needed(value, "traceId", where), where)
        return
    trace = _needed(value, "id", where)
    rows = value["observations"]
    if not isinstance(rows, list):
        raise InputError("observations is no list", where)
    for row in rows:
        if not isinstance(row, Mapping):
            raise InputError(
                "an observation that is no object", where, "export the trace with its observations as JSON"
            )
        yield _observation(row, trace, where)
    if not rows and (value.get("output") is not None):
        yield TraceSpan(
            trace, trace, None, _text(value.get("name")), 0, 0, _said(value, "invoke_agent", _text(value.get("name")))
        )


def _observation(row: Mapping[str, Any], trace: str, where: str) -> TraceSpan:
    kind = str(row.get("type", "")).upper()
    named = _agent(_mapping(row.get("metadata"))) or (_text(row.get("name")) if kind == "AGENT" else "")
    attributes = _said(row, _OPERATION.get(kind, "other"), named)
    usage = usage_of(row)
    if not usage.known:
        usage = counted({"input": row.get("promptTokens"), "output": row.get("completionTokens")})
    return TraceSpan(
        trace,
        _needed(row, "id", where),
        _text(row.get("parentObservationId")) or None,
        _text(row.get("name")),
        nanoseconds(row.get("startTime")),
        nanoseconds(row.get("endTime")),
        attributes | _tokens(usage.tokens_in, usage.tokens_cached, usage.tokens_out, known=usage.known),
    )


def langsmith_spans(value: Mapping[str, Any], where: str) -> Iterator[TraceSpan]:
    """Yield the spans of a LangSmith run and of the runs below it.

    Raises:
        InputError: a run has no id, or they are nested too deeply.
    """
    top = _text(value.get("trace_id") or value.get("session_id") or value.get("id"))
    waiting: list[tuple[Mapping[str, Any], str | None, int]] = [(value, None, 0)]
    while waiting:
        run, above, depth = waiting.pop()
        if depth > DEPTH_MAX:
            raise InputError(f"runs within runs, more than {DEPTH_MAX} deep", where)
        span = _run(run, _text(run.get("trace_id")) or top, above, where)
        yield span
        below = run.get("child_runs") or []
        if not isinstance(below, list) or not all(isinstance(one, Mapping) for one in below):
            raise InputError("child_runs is no list of runs", where, "export whole traces as JSON")
        waiting += [(one, span.id, depth + 1) for one in reversed(below)]


def _run(run: Mapping[str, Any], trace: str, above: str | None, where: str) -> TraceSpan:
    kind = str(run.get("run_type", ""))
    node = _agent(_mapping(_mapping(run.get("extra")).get("metadata")))
    said = {"input": run.get("inputs"), "output": run.get("outputs")}
    outputs = _mapping(run.get("outputs"))
    usage = counted(run)
    for place in (outputs, outputs.get("llm_output"), outputs.get("usage_metadata")):
        if not usage.known and isinstance(place, Mapping):
            usage = usage_of(place) if usage_of(place).known else counted(place)
    return TraceSpan(
        trace,
        _needed(run, "id", where),
        _text(run.get("parent_run_id")) or above,
        _text(run.get("name")),
        nanoseconds(run.get("start_time")),
        nanoseconds(run.get("end_time")),
        _said(said, _OPERATION.get(kind, "other"), node)
        | _tokens(usage.tokens_in, usage.tokens_cached, usage.tokens_out, known=usage.known),
    )


def _agent(metadata: Mapping[str, Any]) -> str:
    """Return the agent that metadata names: LangGraph's node, or a key of that name."""
    keys = ("langgraph_node", "agent_name", "agent", "agentName", "lc_agent_name")
    return next((_text(metadata[key]) for key in keys if isinstance(metadata.get(key), str)), "")


def _said(row: Mapping[str, Any], operation: str, agent: str) -> dict[str, Any]:
    found: dict[str, Any] = {"gen_ai.operation.name": operation}
    if agent:
        found["gen_ai.agent.name"] = agent
    for key in ("input", "output"):
        if row.get(key) is not None:
            found[f"{key}.value"] = row[key]
    return found


def _tokens(tokens_in: int, cached: int, tokens_out: int, *, known: bool) -> dict[str, Any]:
    if not known:
        return {}
    return {
        "gen_ai.usage.input_tokens": tokens_in,
        "gen_ai.usage.cache_read.input_tokens": cached,
        "gen_ai.usage.output_tokens": tokens_out,
    }


def _needed(row: Mapping[str, Any], key: str, where: str) -> str:
    found = _text(row.get(key))
    if not found:
        raise InputError(f"a row without {key}", where, "export whole traces as JSON")
    return found


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    return whole_text(printable(str(value), 200)) if isinstance(value, str | int) else ""
