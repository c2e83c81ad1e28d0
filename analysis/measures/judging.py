"""This module says how far a judge agrees with itself: when asked again, and when the order is swapped.

A grade that changes when nothing but the order of reference and answer changes is a grade of the order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agentsoc.contracts.rules import recorded_rules
from agentsoc.contracts.turns import SLOT_WIDTH
from agentsoc.events import SOCIETY
from agentsoc.log.read import RunLog
from agentsoc.log.tool_rows import is_model
from agentsoc.reading.grades import grade_stated
from agentsoc.society.probe import FIRST_K
from analysis.interval import Interval
from analysis.stats.bootstrap import DIFFERENCE, SCORE, Bounds, mean_intervals
from analysis.stats.clusters import sums_by_task


@dataclass(frozen=True)
class JudgeAgreement:
    """The agreement of a judge with itself; intervals are over tasks."""

    answers: int
    """Answers that it was asked about (answers)."""
    readings: int
    """Readings of them, each a grade if it could be read (readings)."""
    graded: int
    """Readings that gave a grade (readings)."""
    swapped: Interval | None
    """Share of the pairs of readings in both orders that give the same grade."""
    repeated: Interval | None
    """Share of the pairs of readings in the same order that give the same grade; None where each is read once."""
    swapped_by: Interval | None
    """Mean score with the order swapped minus that without (score)."""

    def summary(self) -> str:
        """Return it in one line."""
        said = f"judge: {self.answers:,} answers, {self.graded:,} of {self.readings:,} readings with a grade"
        if self.swapped is not None and self.swapped_by is not None:
            said += f"; same grade with the order swapped {self.swapped}, which moves the score by "
            said += self.swapped_by.text(sign=True)
        return said + ("" if self.repeated is None else f"; same grade when asked again {self.repeated}")

    def as_dict(self) -> dict[str, object]:
        """Return plain values for JSON; a measure that there is not is null."""
        measured = {"swapped": self.swapped, "repeated": self.repeated, "swapped_by": self.swapped_by}
        counts = {"answers": self.answers, "readings": self.readings, "graded": self.graded}
        return {**counts, **{name: None if one is None else one.as_dict() for name, one in measured.items()}}


def agreement(log: RunLog, *, seed: int = 0) -> JudgeAgreement | None:
    """Return how far the judge of a run agrees with itself; None for a run without one.

    Args:
        log: the run.
        seed: root of the resampling.

    Raises:
        LogDamagedError: the journal is not what was written.
    """
    judge = ((log.manifest.scenario.get("tasks") or {}).get("scoring") or {}).get("judge")
    if judge is None:
        return None
    scale, n = int(judge["scale"]), 2 * int(judge["repeats"])
    grades = tuple(map(str, range(scale + 1)))
    reader = recorded_rules(log.manifest.rules, str(log.directory)).reader
    read: dict[int, dict[int, float | None]] = {}
    for row in log.journal():
        if row.agent == SOCIETY and row.k < FIRST_K and is_model(row.model) and row.state in ("done", "failed"):
            cut = row.finish == "length"
            done = row.state == "done" and row.reply
            said = grade_stated(row.reply or "", grades, reader, cut=cut) if done else None
            read.setdefault(row.task, {})[row.k // SLOT_WIDTH] = None if said is None else int(said) / scale
    swaps, repeats, moves = _Pairs(), _Pairs(), _Pairs()
    for task, readings in read.items():
        for slot in range(n):
            here = readings.get(slot)
            if here is None:
                continue
            other, later = readings.get(slot + 1), readings.get(slot + 2)
            if not slot % 2 and other is not None:
                swaps.add(task, here == other)
                moves.add(task, other - here)
            if later is not None:
                repeats.add(task, here == later)
    graded = sum(grade is not None for readings in read.values() for grade in readings.values())
    swapped, repeated, moved = swaps.mean(SCORE, seed), repeats.mean(SCORE, seed), moves.mean(DIFFERENCE, seed)
    return JudgeAgreement(len(read), n * len(read), graded, swapped, repeated, moved)


class _Pairs:
    """The object collects what pairs of readings say, task by task."""

    def __init__(self) -> None:
        self._tasks: list[int] = []
        self._values: list[float] = []

    def add(self, task: int, value: float) -> None:
        """Take in a pair."""
        self._tasks.append(task)
        self._values.append(float(value))

    def mean(self, within: Bounds, seed: int) -> Interval | None:
        """Return the mean with its interval over tasks; None without a pair."""
        if not self._values:
            return None
        tasks, at = np.unique(self._tasks, return_inverse=True)
        sums = sums_by_task(np.array(self._values), at.astype(np.int64), len(tasks))
        return mean_intervals([sums], [within], seed=seed)[0]
