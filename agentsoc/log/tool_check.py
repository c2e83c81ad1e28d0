"""This module compares what a journal has of tools and environments with the events of its run.

Every call of a tool that was made has a row, and one event that says what the row says; every step of an environment of
its own has a row at the place of its actions. Only digests are kept of both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from agentsoc.events import SOCIETY
from agentsoc.log.journal import Attempt
from agentsoc.log.tool_rows import ENVIRONMENT, OPENING_K, STEP_K, TOOL, told_of

_LIMIT: Final = "limit: "
"""How the event of a call begins that was not made, so that the journal has no row of it."""
_UNKNOWN: Final = b"?"
"""In place of the digest of a row whose outcome is not known."""
_TOLD: Final = ("task", "round", "agent", "k", "answer", "text")


class RowPlace(NamedTuple):
    """Where a call of a tool or a step of an environment stands, in the log as in the journal."""

    task: int
    round: int
    agent: int
    k: int

    def __str__(self) -> str:
        if self.agent == SOCIETY:
            return f"task {self.task}, round {self.round}"
        return f"task {self.task}, round {self.round}, agent {self.agent}, k {self.k}"


class ActingRows:
    """The object takes in rows of a journal and tables of events, in any order, and then compares them."""

    def __init__(self) -> None:
        self.tool_rows = 0
        """Rows of the journal that are calls of tools (rows)."""
        self.environment_rows = 0
        """Rows that are openings and steps of an environment of its own (rows)."""
        self._rows: dict[RowPlace, bytes] = {}
        self._events: dict[RowPlace, bytes] = {}
        self._not_made: set[RowPlace] = set()
        """Events of calls that need no row."""
        self._steps: set[RowPlace] = set()
        self._opened: set[int] = set()
        self._moves: set[tuple[int, int]] = set()

    def add(self, attempts: Sequence[Attempt]) -> None:
        """Take in rows of the journal."""
        for row in attempts:
            is_tool, is_step = row.model.startswith(TOOL), row.model.startswith(ENVIRONMENT)
            self.tool_rows += is_tool
            self.environment_rows += is_step
            if row.state == "superseded":
                continue
            place = RowPlace(row.task, row.round, row.agent, row.k)
            if is_tool:
                told = told_of(row.reply, row.failure)
                name = row.model.removeprefix(TOOL)
                self._rows[place] = _UNKNOWN if row.state == "started" else _digest(name, told)
            elif is_step and row.k == OPENING_K:
                self._opened.add(row.task)
            elif is_step:
                self._steps.add(place)

    def add_events(self, table: pa.Table) -> None:
        """Take in events."""
        kind = table["kind"].cast(pa.string())
        for event in table.select(_TOLD).filter(pc.equal(kind, "tool_call")).to_pylist():
            place = RowPlace(*(event[name] for name in _TOLD[:4]))
            text = event["text"] or ""
            self._events[place] = _digest(_tool_of(event["answer"]), text)
            if text.startswith(_LIMIT):
                self._not_made.add(place)
        moves = table.select(["task", "round"]).filter(pc.equal(kind, "action"))
        self._moves.update(zip(moves["task"].to_pylist(), moves["round"].to_pylist(), strict=True))

    def differences(self, *, ended: bool) -> Iterator[tuple[str, RowPlace]]:
        """Yield what does not agree, and where, in the order of the log.

        Args:
            ended: whether the run has ended, so that every row has its event.
        """
        for place in sorted(self._rows.keys() | self._events.keys()):
            row, event = self._rows.get(place), self._events.get(place)
            if row is None and place not in self._not_made:
                yield "the events have a call of a tool that the journal has no row of", place
            elif event is None and ended:
                yield "the journal has a row of a call of a tool that is in no event", place
            elif row is not None and event is not None and row != event:
                yield "the event of a call of a tool does not say what its row in the journal says", place
        if self._opened or self._steps:
            yield from self._steps_without(ended)

    def _steps_without(self, ended: bool) -> Iterator[tuple[str, RowPlace]]:
        moved = {RowPlace(task, round_, SOCIETY, STEP_K) for task, round_ in self._moves}
        for place in sorted(moved | self._steps):
            if place not in self._steps:
                yield "the events have actions for which the journal has no step of the environment", place
            elif place not in moved and ended:
                yield "the journal has a step of the environment for which there is no action", place
            elif place.task not in self._opened:
                yield "the journal does not say how the environment opened the episode", place


def _tool_of(answer: str | None) -> str:
    """Return the name of the tool that an event's call is of; empty for one that names none."""
    try:
        said = json.loads(answer or "")
    except (ValueError, RecursionError):
        return ""
    name = said.get("tool") if isinstance(said, dict) else None
    return name if isinstance(name, str) else ""


def _digest(name: str, text: str) -> bytes:
    return hashlib.blake2b(f"{name}\0{text}".encode("utf-8", "replace"), digest_size=12).digest()
