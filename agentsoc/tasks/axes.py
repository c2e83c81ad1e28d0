"""`axes`: tasks whose difficulty has five sides, each with a dial of its own: what an organisation is good for shows.

The axes are those of MASBENCH (arXiv 2601.14652): depth, horizon, breadth, parallel, robustness. What each dial changes
in a question stands below it; which organisation gains from it is measured in docs/environments-axes.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, model_validator

from agentsoc.contracts.task import Task, TaskFamily
from agentsoc.puzzles.worksheet import drawn, part_question, whole_question, worked_out, written
from agentsoc.reading.numbers import integer_stated
from agentsoc.streams import stream
from agentsoc.tasks.numerals import last_integer

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Axes(TaskFamily):
    """Sheets of facts and steps that are worked out and added up; five dials say how."""

    kind: Literal["axes"] = "axes"
    depth: int = Field(default=3, ge=0, le=60)
    """Steps that follow each other in a sheet; each needs the result of the one before."""
    horizon: int = Field(default=0, ge=0, le=20)
    """Results before the last one that each step reaches back to: what has to be remembered."""
    breadth: int = Field(default=2, ge=1, le=30)
    """Facts that a sheet begins with; all are needed."""
    parallel: int = Field(default=1, ge=1, le=16)
    """Sheets that do not depend on each other; each is a part of the task, and the answer is the sum of results."""
    robustness: int = Field(default=0, ge=0, le=60)
    """Pieces of hearsay in a sheet that contradict its facts (planted noise)."""

    @model_validator(mode="after")
    def _reaches_back(self) -> Axes:
        if self.horizon and self.horizon >= self.depth:
            most = max(self.depth - 1, 0)
            raise ValueError(f"with a depth of {self.depth} steps the horizon is at most {most}, got {self.horizon}")
        return self

    def numeric(self) -> bool:
        """Return that answers are numbers."""
        return True

    def whole(self) -> bool:
        """Return that they are whole."""
        return True

    def make(self, seed: int, index: int) -> Task:
        """Return task `index`."""
        rng = stream(seed, "task", self.kind, index)
        sheets = [drawn(rng, self.depth, self.horizon, self.breadth, self.robustness) for _ in range(self.parallel)]
        texts = [written(sheet, _LETTERS[number]) for number, sheet in enumerate(sheets)]
        truths = [worked_out(sheet) for sheet in sheets]
        return Task(
            index=index,
            id=f"{self.kind}-{index}",
            question=whole_question(texts, self.depth),
            truth=str(sum(truths)),
            parts=tuple(part_question(text, self.depth) for text in texts),
            part_truths=tuple(map(str, truths)),
        )

    def parse(self, task: Task, text: str) -> str | None:
        """Return the number that `text` states if it is a whole one."""
        return integer_stated(text)

    def stated(self, task: Task, text: str) -> str | None:
        """Return the same; it is told apart so that new runs are read without the marks of lists."""
        return integer_stated(text)

    def score(self, task: Task, answer: str | None) -> float:
        """Return 1 for the exact sum."""
        return 1.0 if answer is not None and last_integer(answer) == int(task.truth) else 0.0

    def score_part(self, task: Task, part: int, answer: str) -> float:
        """Return 1 for the exact result of a sheet."""
        if part >= len(task.part_truths):
            return 0.0
        return 1.0 if last_integer(answer) == int(task.part_truths[part]) else 0.0

    def combine(self, task: Task, answers: Sequence[str | None]) -> str | None:
        """Return the sum of the results; None when one is missing or no whole number."""
        stated = [None if answer is None else last_integer(answer) for answer in answers]
        known = [x for x in stated if x is not None]
        return str(sum(known)) if len(known) == len(stated) == len(task.parts) else None
