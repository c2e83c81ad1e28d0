"""This module is the page of events: 200 rows at a time, filtered by task, round, agent, kind and text."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import polars as pl

from agentsoc.errors import InputError
from agentsoc.events import KINDS
from analysis.viewer.pages.store import OpenLog

PAGE: Final = 200
"""Rows of a page (events)."""
TEXT_CHARS: Final = 2_000
"""Length to which texts are cut on a page (characters); `EventLine.chars` says how long one is."""
NEEDLE_CHARS: Final = 200
"""Longest text that is searched for (characters)."""
_COUNTS_KEPT: Final = 64


class EventFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which events are wanted; what is None or empty leaves none out."""

    task: int | None = None
    round: int | None = None
    agent: int | None = None
    kinds: tuple[str, ...] = ()
    answer: str | None = None
    """The answer, whole: for a stop its reason, for a flag its name."""
    text: str = ""
    """What answer or text have in them; case does not matter."""


class EventLine(msgspec.Struct, frozen=True):
    """An event for a page; see `agentsoc.events.Event` for what the columns mean."""

    task: int
    round: int
    agent: int
    k: int
    kind: str | None
    claim: str | None
    parents: list[str]
    target: str | None
    """The claim disputed or supported; the agent addressed, as ``agent 3``."""
    subtask: str | None
    subtask_parent: str | None
    answer: str | None
    correct: float | None
    confidence: float | None
    text: str | None
    """Cut to `TEXT_CHARS`."""
    chars: int
    """Length of the text before that (characters)."""
    calls: int
    tokens_in: int
    tokens_cached: int
    tokens_out: int
    label_source: str | None
    rewards: float | None


class EventsPage(msgspec.Struct, frozen=True):
    """Some rows of the events that a filter lets through."""

    filter: EventFilter
    offset: int
    total: int
    """Events that it lets through in all."""
    rows: list[EventLine]


def events_page(log: OpenLog, wanted: EventFilter | None = None, offset: int = 0, limit: int = PAGE) -> EventsPage:
    """Return the rows `offset` to `offset + limit` of the events that `wanted` lets through, in their order.

    Raises:
        InputError: the filter or the offset cannot be.
    """
    wanted = wanted or EventFilter()
    require_filter(wanted)
    if offset < 0 or not 1 <= limit <= PAGE:
        raise InputError(f"there is no page of {limit} rows from {offset} on", "events", f"take 1 to {PAGE} rows")
    if wanted.task is not None:
        here = log.of_task(wanted.task)
        if (condition := _condition(wanted)) is not None:
            here = here.filter(condition)
        return EventsPage(wanted, offset, here.height, event_lines(log, here.slice(offset, limit)))
    counts = _counts(log, wanted)
    rows: list[EventLine] = []
    skip = offset
    for at, n in enumerate(counts):
        if len(rows) == limit:
            break
        rows += event_lines(log, _rows(log, wanted, at, (skip, min(skip + limit - len(rows), n))))
        skip = max(skip - n, 0)
    return EventsPage(wanted, offset, sum(counts), rows)


def _rows(log: OpenLog, wanted: EventFilter, at: int, span: tuple[int, int]) -> pl.DataFrame:
    """Return some of the rows of part `at` that a filter lets through, by their places among these."""
    start, stop = span
    if (condition := _condition(wanted)) is None or start >= stop:
        return log.rows_of(at, start, stop)
    found: list[pl.DataFrame] = []
    for frame in log.parts[at].read(None):
        here = frame.filter(condition)
        found.append(here.slice(min(start, here.height), max(stop - start, 0)))
        start, stop = max(start - here.height, 0), stop - here.height
        if stop <= 0:
            break
    return pl.concat(found)


def require_filter(wanted: EventFilter) -> None:
    """Refuse a filter that cannot be.

    Raises:
        InputError: names what is wrong with it.
    """
    strange = [kind for kind in wanted.kinds if kind not in KINDS]
    if strange:
        raise InputError(f"there is no kind of event {strange[0][:40]!r}", "kinds", f"kinds: {', '.join(KINDS)}")
    if len(wanted.text) > NEEDLE_CHARS:
        raise InputError(f"the text to look for is longer than {NEEDLE_CHARS} characters", "text", "shorten it")


def event_lines(log: OpenLog, frame: pl.DataFrame) -> list[EventLine]:
    """Return rows of events as a page has them."""
    return [_line(log, row) for row in frame.iter_rows(named=True)]


def _line(log: OpenLog, row: dict[str, Any]) -> EventLine:
    text = row["text"]
    target = row["target"]
    if target is not None:
        target = f"agent {target}" if row["kind"] == "delegate_subtask" else log.claim(target)
    return EventLine(
        row["task"], row["round"], row["agent"], row["k"], row["kind"], log.claim(row["claim"]),
        [name for parent in row["parents"] or () if (name := log.claim(parent)) is not None], target,
        log.claim(row["subtask"]), log.claim(row["subtask_parent"]), row["answer"], row["correct"], row["confidence"],
        None if text is None else text[:TEXT_CHARS], len(text or ""), row["calls"] or 0, row["tokens_in"] or 0,
        row["tokens_cached"] or 0, row["tokens_out"] or 0, row["label_source"], row["rewards"],
    )  # fmt: skip


def _condition(wanted: EventFilter) -> pl.Expr | None:
    """Return what rows must hold beside their task; None for no condition."""
    held = [pl.col(name) == value for name in ("round", "agent") if (value := getattr(wanted, name)) is not None]
    if wanted.kinds:
        held.append(pl.col("kind").is_in(list(wanted.kinds)))
    if wanted.answer is not None:
        held.append(pl.col("answer") == wanted.answer)
    if wanted.text:
        needle = wanted.text.lower()
        within = (pl.col(name).str.to_lowercase().str.contains(needle, literal=True) for name in ("answer", "text"))
        held.append(pl.any_horizontal(*within).fill_null(value=False))
    return None if not held else pl.all_horizontal(held).fill_null(value=False)


def _counts(log: OpenLog, wanted: EventFilter) -> list[int]:
    """Return how many events of each part a filter lets through; one pass over the columns that it looks at."""
    condition = _condition(wanted)
    if condition is None:
        return [part.rows for part in log.parts]
    if (known := log.counted.get(wanted)) is None:
        names = condition.meta.root_names()
        known = [sum(frame.select(condition.sum()).item() or 0 for frame in part.read(names)) for part in log.parts]
        log.counted[wanted] = known
        while len(log.counted) > _COUNTS_KEPT:
            log.counted.popitem(last=False)
    return known
