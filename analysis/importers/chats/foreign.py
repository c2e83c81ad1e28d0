"""This module knows documents that are no conversations, and says which importer reads them, or what to export."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class ForeignFormat(NamedTuple):
    """A format that another importer reads, or none."""

    name: str
    hint: str
    importer: str | None = None
    """Importer that reads it; None where there is none."""


_MESSAGES = "write what agents said as a list of {role, name, content}, then agentsoc import messages"
_LOOKED_AT = 20
"""Entries of a list that are looked at."""
_OTLP = "agentsoc import otlp PATH --out DIR"


def foreign_format(value: Any) -> ForeignFormat | None:
    """Return what a JSON value is, where it is known and no conversation; None otherwise."""
    first = value[0] if isinstance(value, list) and value else value
    if not isinstance(first, Mapping):
        return None
    if "resourceSpans" in first or "resource_spans" in first:
        return ForeignFormat("OTLP-JSON, a trace of spans", _OTLP, "otlp")
    if isinstance(first.get("context"), Mapping) and {"trace_id", "span_id"} <= first["context"].keys():
        return ForeignFormat("spans of a console exporter of OpenTelemetry", _OTLP, "otlp")
    if isinstance(first.get("observations"), list) or ("parentObservationId" in first and "traceId" in first):
        return ForeignFormat("a Langfuse export", _OTLP, "otlp")
    if "run_type" in first and not first.keys().isdisjoint({"inputs", "outputs", "trace_id", "child_runs"}):
        return ForeignFormat("a LangSmith export", _OTLP, "otlp")
    if isinstance(value, Mapping) and isinstance(value.get("eval"), Mapping) and "status" in value:
        return ForeignFormat("an Inspect log", "agentsoc import inspect PATH --out DIR", "inspect")
    if isinstance(first.get("data"), list) and first["data"] and _has(first["data"][0], "traceID", "spans"):
        return ForeignFormat("a Jaeger export", "export the trace as OTLP-JSON, then agentsoc import otlp")
    if "traceId" in first and "localEndpoint" in first:
        return ForeignFormat("a Zipkin export", "export the trace as OTLP-JSON, then agentsoc import otlp")
    if _has(first, "claim", "parents", "agent"):
        return ForeignFormat("rows of claims", "write them as CSV or Parquet, then agentsoc import claims")
    if {"question", "answer"} <= first.keys() and "messages" not in first:
        return ForeignFormat("a file of tasks, not of what was said", "name it as file of tasks: {kind: jsonl}")
    return None


def unread_format(value: Any) -> ForeignFormat | None:
    """Return what a JSON value is in which no conversation was found, where that is known.

    Keys of these formats also stand beside conversations, so this is to be asked after these were looked for.
    """
    entries = value if isinstance(value, list) else [value]
    first = entries[0] if entries else None
    if not isinstance(first, Mapping):
        return None
    if all(_has(one, "mapping") and isinstance(one["mapping"], Mapping) for one in entries[:_LOOKED_AT]):
        hint = "a branch of its tree is a conversation: " + _MESSAGES
        return ForeignFormat("a data export of ChatGPT, trees of messages", hint)
    if isinstance(first.get("tasks_output"), list):
        return ForeignFormat("an output of CrewAI, what tasks gave", _MESSAGES + ", or trace the crew and import otlp")
    if isinstance(first.get("contents"), list) and _has(next(iter(first["contents"]), None), "parts"):
        return ForeignFormat("contents of Gemini's API", _MESSAGES)
    if _has(first, "custom_id", "response"):
        hint = "write each response.body on a line, then agentsoc import messages"
        return ForeignFormat("a batch of OpenAI's API, answered", hint)
    if _has(first, "custom_id", "body"):
        hint = "nobody says anything in it yet: take the file of its output"
        return ForeignFormat("a batch of OpenAI's API, still to be asked", hint)
    if isinstance(first.get("trajectory"), list) and _has(
        next(iter(first["trajectory"]), None), "action", "observation"
    ):
        return ForeignFormat("a trajectory of SWE-agent", _MESSAGES)
    return None


def _has(value: Any, *keys: str) -> bool:
    return isinstance(value, Mapping) and all(key in value for key in keys)
