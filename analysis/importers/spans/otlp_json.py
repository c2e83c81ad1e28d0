"""This module reads OTLP-JSON and the spans that OpenTelemetry's console exporter prints into `TraceSpan`."""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from agentsoc.errors import InputError
from agentsoc.scenario.source import printable
from analysis.importers.loose_json import whole_text
from analysis.importers.spans.span import SpanEvent, TraceSpan

DEPTH_MAX: Final = 40
"""Values within values of an attribute that are read (levels)."""
ATTRIBUTES_MAX: Final = 20_000
"""Attributes of a span that are read; a prompt that is spread over attributes has one a field."""
RESOURCE_MAX: Final = 256
"""Attributes of a resource: all its spans have them."""
_THRESHOLD: Final = re.compile(r"(?:^|[,;=])th:([0-9a-f]{1,14})")
"""A threshold in a trace state: ``ot=th:c`` or ``ot=rv:8;th:c``."""
_SAMPLED: Final = ("sampling.rate", "sampling.ratio", "SampleRate", "sample_rate", "sampler.param")


def otlp_spans(value: Mapping[str, Any], where: str) -> Iterator[TraceSpan]:
    """Yield the spans of a document of OTLP-JSON.

    Raises:
        InputError: a span has no ids, or something stands where it cannot.
    """
    for resource in _lists(value, ("resourceSpans", "resource_spans"), where):
        known = attributes_of(_get(resource.get("resource") or {}, "attributes"), where)
        if len(known) > RESOURCE_MAX:
            raise InputError(
                f"a resource with {len(known):,} attributes; the limit is {RESOURCE_MAX:,}",
                where,
                "they count for each span: put into spans what is theirs",
            )
        scopes = _lists(resource, ("scopeSpans", "scope_spans", "instrumentationLibrarySpans"), where)
        for scope in scopes:
            for raw in _lists(scope, ("spans",), where):
                yield _span(raw, known, where)


def _lists(value: Mapping[str, Any], keys: tuple[str, ...], where: str) -> Iterator[Mapping[str, Any]]:
    for key in keys:
        held = value.get(key)
        if held is None:
            continue
        if not isinstance(held, list) or not all(isinstance(one, Mapping) for one in held):
            raise InputError(f"{key} is no list of objects", where, "export the trace as OTLP-JSON")
        yield from held


def _get(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, Mapping) else None


def _span(raw: Mapping[str, Any], resource: Mapping[str, Any], where: str) -> TraceSpan:
    trace, span = _id(raw, "traceId", "trace_id"), _id(raw, "spanId", "span_id")
    if not trace or not span:
        raise InputError("a span without traceId or spanId", where, "export the trace as OTLP-JSON")
    own = attributes_of(raw.get("attributes"), where)
    links = tuple(
        (_id(link, "traceId", "trace_id") or trace, _id(link, "spanId", "span_id"))
        for link in _lists(raw, ("links",), where)
        if _id(link, "spanId", "span_id")
    )
    return TraceSpan(
        trace,
        span,
        _id(raw, "parentSpanId", "parent_span_id") or None,
        whole_text(str(raw.get("name", ""))),
        nanoseconds(_either(raw, "startTimeUnixNano", "start_time_unix_nano")),
        nanoseconds(_either(raw, "endTimeUnixNano", "end_time_unix_nano")),
        ChainMap(own, resource) if resource else own,  # type: ignore[arg-type]  # nobody writes into it
        _events(raw, where),
        links,
        sampled=_is_sampled(raw, own),
    )


def _events(raw: Mapping[str, Any], where: str) -> tuple[SpanEvent, ...]:
    return tuple(
        SpanEvent(str(one.get("name")), attributes_of(one.get("attributes"), where))
        for one in _lists(raw, ("events",), where)
    )


def _either(raw: Mapping[str, Any], first: str, second: str) -> Any:
    return raw[first] if first in raw else raw.get(second)


def _id(raw: Mapping[str, Any], first: str, second: str) -> str:
    value = _either(raw, first, second)
    return whole_text(str(value))[:200] if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _is_sampled(raw: Mapping[str, Any], own: Mapping[str, Any]) -> bool:
    """Return whether a span says that others were left out: a threshold in its trace state, or a rate."""
    state = _either(raw, "traceState", "trace_state")
    found = _THRESHOLD.search(state) if isinstance(state, str) else None
    if found and found[1].strip("0"):
        return True
    for key in _SAMPLED:
        rate = own.get(key)
        if isinstance(rate, int | float) and not isinstance(rate, bool) and rate != 1:
            return True
    return False


def attributes_of(raw: Any, where: str) -> dict[str, Any]:
    """Return attributes as plain values: a list of {key, value}, or a mapping of plain values.

    Raises:
        InputError: there are too many of them, or they are neither.
    """
    if raw is None:
        return {}
    if isinstance(raw, Mapping):
        return {str(key): _plain(value, 0) for key, value in raw.items()}
    if not isinstance(raw, list):
        raise InputError("attributes are neither a list nor an object", where)
    if len(raw) > ATTRIBUTES_MAX:
        raise InputError(f"a span with {len(raw):,} attributes; the limit is {ATTRIBUTES_MAX:,}", where)
    return {str(one.get("key")): _value(one.get("value"), 0, where) for one in raw if isinstance(one, Mapping)}


def _value(raw: Any, depth: int, where: str) -> Any:
    """Return a value of OTLP, which says its kind, as a plain one."""
    if not isinstance(raw, Mapping) or depth > DEPTH_MAX:
        return _plain(raw, depth)
    for key, value in raw.items():
        kind = key.replace("_value", "Value")
        if kind == "stringValue":
            return whole_text(str(value))
        if kind == "intValue":
            return _number(value)
        if kind in ("doubleValue", "boolValue", "bytesValue"):
            return value
        if kind == "arrayValue":
            return [_value(one, depth + 1, where) for one in _values(value, where)]
        if kind == "kvlistValue":
            pairs = _values(value, where)
            return {str(_get(one, "key")): _value(_get(one, "value"), depth + 1, where) for one in pairs}
    return None


def _values(raw: Any, where: str) -> list[Any]:
    held = _get(raw, "values")
    if held is not None and not isinstance(held, list):
        raise InputError("the values of an attribute are no list", where, "export the trace as OTLP-JSON")
    return held or []


def _plain(raw: Any, depth: int) -> Any:
    if isinstance(raw, str):
        return whole_text(raw)
    if depth > DEPTH_MAX:
        return None
    if isinstance(raw, list):
        return [_plain(one, depth + 1) for one in raw]
    if isinstance(raw, Mapping):
        return {str(key): _plain(value, depth + 1) for key, value in raw.items()}
    return raw


def _number(value: Any) -> int | None:
    try:
        return int(value) if len(str(value)) < 24 else None
    except (TypeError, ValueError):
        return None


def nanoseconds(value: Any) -> int:
    """Return a time in nanoseconds since the epoch: from a number of them, their text, or an ISO date; 0 if unknown."""
    if isinstance(value, bool) or value is None:
        return 0
    if isinstance(value, int | float):
        number = int(value) if abs(value) < 1 << 63 else 0
        if 0 < number < 10**11:
            return int(value * 1e9)  # seconds
        return number * 1_000_000 if 0 < number < 10**14 else max(number, 0)
    if isinstance(value, str) and len(value) <= 64:
        if value.isdigit() and value.isascii():
            return int(value) if len(value) < 20 else 0
        try:
            moment = datetime.fromisoformat(value.replace("Z", "+00:00"))
            return max(int(moment.timestamp() * 1e6) * 1000, 0)
        except (ValueError, OverflowError):
            return 0
    return 0


def console_span(raw: Mapping[str, Any], where: str) -> TraceSpan:
    """Return a span as OpenTelemetry's console exporter prints it.

    Raises:
        InputError: it has no ids.
    """
    context = raw["context"]
    trace, span = _hexadecimal(context.get("trace_id")), _hexadecimal(context.get("span_id"))
    if not trace or not span:
        raise InputError("a span without trace_id or span_id", where)
    links = tuple(
        (_hexadecimal(_get(one.get("context"), "trace_id")) or trace, _hexadecimal(_get(one.get("context"), "span_id")))
        for one in _lists(raw, ("links",), where)
    )
    own = attributes_of(raw.get("attributes"), where)
    times = nanoseconds(raw.get("start_time")), nanoseconds(raw.get("end_time"))
    name, parent = whole_text(str(raw.get("name", ""))), _hexadecimal(raw.get("parent_id")) or None
    kept = tuple(link for link in links if link[1])
    return TraceSpan(
        trace, span, parent, name, *times, own, _events(raw, where), kept, sampled=_is_sampled(context, own)
    )


def _hexadecimal(value: Any) -> str:
    return printable(value.removeprefix("0x"), 64) if isinstance(value, str) else ""
