"""This module holds spans as importers read them, whatever program exported them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class SpanEvent:
    """An event stands at one moment of a span."""

    name: str
    attributes: Mapping[str, Any]


@dataclass(frozen=True)
class TraceSpan:
    """A span is one piece of work of a trace."""

    trace: str
    id: str
    parent: str | None
    name: str
    start: int
    """Nanoseconds since the epoch; 0 where not known."""
    end: int
    attributes: Mapping[str, Any] = field(default_factory=dict)
    events: tuple[SpanEvent, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    """(trace, span) that it is linked to."""
    sampled: bool = False
    """Whether the span says that spans of its kind were left out by sampling."""
    place: int = 0
    """Position in the file, which decides where times do not."""


@dataclass(frozen=True)
class Trace:
    """A trace holds the spans of one piece of work, in the order in which they were exported."""

    id: str
    spans: tuple[TraceSpan, ...]
    form: str
    """Name of the export's format."""
    name: str = ""
