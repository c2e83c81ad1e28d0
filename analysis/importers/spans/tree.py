"""This module makes a tree of the spans of a trace, and refuses traces of which parts are missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from agentsoc.errors import InputError
from agentsoc.scenario.source import printable
from analysis.importers.spans.meaning import SpanMeaning
from analysis.importers.spans.span import Trace

DEPTH_MAX: Final = 256
"""Spans above each other in a trace (levels)."""
SPANS_MAX: Final = 500_000
"""Spans of one trace (spans)."""
PARTIAL: Final = "export the whole trace, or add --partial to take what is there"


@dataclass(frozen=True)
class SpanTree:
    """A trace as a tree; spans are known by their number in it."""

    trace: Trace
    spans: Sequence[SpanMeaning]
    above: Sequence[int | None]
    """Parent of each span; None for those at the top."""
    numbers: dict[str, int]
    """Number of each span id."""
    repeated: int
    """Spans that were exported more than once."""
    missing: int
    """Spans whose parent is not in the trace."""

    def line(self, number: int) -> list[int]:
        """Return a span and those above it, upwards."""
        found = [number]
        while (above := self.above[found[-1]]) is not None:
            found.append(above)
        return found


def tree_of(trace: Trace, where: str, *, partial: bool) -> SpanTree:
    """Return the tree of a trace.

    Args:
        trace: the trace.
        where: its file, for messages.
        partial: whether a trace is taken of which spans are missing.

    Raises:
        InputError: two spans have one id, spans are above each other in a circle, or spans are missing.
    """
    where = f"{where}: trace {printable(trace.id, 80)}"
    if len(trace.spans) > SPANS_MAX:
        raise InputError(f"{len(trace.spans):,} spans; the limit is {SPANS_MAX:,}", where, "import it in parts")
    numbers: dict[str, int] = {}
    spans: list[SpanMeaning] = []
    repeated = 0
    for span in trace.spans:
        if span.id in numbers:
            first = spans[numbers[span.id]].span
            if (first.name, first.parent, first.start) != (span.name, span.parent, span.start):
                raise InputError(f"two spans have the id {printable(span.id, 80)}", where, "export each span once")
            repeated += 1
            continue
        numbers[span.id] = len(spans)
        spans.append(SpanMeaning(span))
    above = [None if one.span.parent is None else numbers.get(one.span.parent) for one in spans]
    lost = [one.span for one, up in zip(spans, above, strict=True) if one.span.parent is not None and up is None]
    if not partial and lost:
        what = f"{len(lost):,} of {len(spans):,} spans name a parent that is not there"
        raise InputError(f"the trace is not whole: {what}, such as {printable(lost[0].name, 60)!r}", where, PARTIAL)
    if not partial and any(one.span.sampled for one in spans):
        raise InputError("the trace was sampled: spans were left out", where, PARTIAL)
    _require_sound(above, where)
    return SpanTree(trace, spans, above, numbers, repeated, len(lost))


def _require_sound(above: Sequence[int | None], where: str) -> None:
    """Refuse spans above each other in a circle, or more of them above each other than any program nests."""
    depth: dict[int, int] = {}
    for start in range(len(above)):
        line: list[int] = []
        at: int | None = start
        while at is not None and at not in depth:
            line.append(at)
            if len(line) > DEPTH_MAX:
                circle = len(set(line)) < len(line)
                what = (
                    "spans are above each other in a circle" if circle else f"spans nested more than {DEPTH_MAX} deep"
                )
                raise InputError(what, where, "export the trace again")
            at = above[at]
        base = 0 if at is None else depth[at]
        for place, one in enumerate(reversed(line), start=1):
            depth[one] = base + place
        if depth[start] > DEPTH_MAX:
            raise InputError(f"spans nested more than {DEPTH_MAX} deep", where, "export the trace again")
