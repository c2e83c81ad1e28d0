"""What a task is: a question, the space of its answers, a verifier, and optionally parts to delegate.

A family makes tasks from a seed; task i of a family is the same whatever the count. Verifiers are pure functions of
(task, answer): they are called again on replay.
"""

from __future__ import annotations

import re
import unicodedata
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec
from pydantic import Field

from agentsoc.scenario.part import Part, Slot


class Task(msgspec.Struct, frozen=True):
    """One question with everything that is needed to judge an answer to it."""

    index: int
    """Position in the run, 0..count-1: the ``task`` column of the log."""
    id: str
    """Stable name, unique in its family and seed."""
    question: str
    truth: str
    """Reference answer in canonical form; never shown to agents."""
    options: tuple[str, ...] = ()
    """The answer space when it is finite and small; empty for free answers."""
    chance: float = 0.0
    """Expected score of a uniform guess in the answer space; 0 where guessing is hopeless."""
    parts: tuple[str, ...] = ()
    """Sub-questions that together decide the question; empty when it does not decompose."""
    part_truths: tuple[str, ...] = ()
    difficulty: float | None = None
    """The family's own measure of difficulty, if it has one."""
    data: dict[str, Any] = {}
    """What the family's verifier needs besides."""


class TaskFamily(Part):
    """A seeded source of tasks; the ``tasks`` block of a scenario.

    A subclass gives ``kind``, `make` and, where exact match will not do, `score` and `parse`.
    """

    slot: ClassVar[str] = "agentsoc.tasks"

    kind: str
    count: int = Field(default=20, ge=1, le=1_000_000)
    """Tasks in a run (tasks)."""

    @abstractmethod
    def make(self, seed: int, index: int) -> Task:
        """Return task `index` of the run with `seed`; a pure function of both."""

    def tasks(self, seed: int) -> Sequence[Task]:
        """Return all tasks of the run with `seed`, in order."""
        return [self.make(seed, index) for index in range(self.count)]

    def parse(self, task: Task, text: str) -> str | None:
        """Return the canonical answer that a model's free `text` states, or None when it states none."""
        return parse_option(text, task.options) if task.options else normalise(text) or None

    def score(self, task: Task, answer: str | None) -> float:
        """Return the score of a canonical `answer` in [0, 1]; 0 for no answer."""
        return 1.0 if answer is not None and normalise(answer) == normalise(task.truth) else 0.0

    def combine(self, task: Task, answers: Sequence[str | None]) -> str | None:
        """Return the answer that follows from the answers to `task.parts`; None when it cannot be told."""
        return None


TASKS: Slot[TaskFamily] = Slot("agentsoc.tasks", "task family")

_SPACE = re.compile(r"\s+")


def normalise(text: str) -> str:
    """Return `text` in the form in which answers are compared: NFKC, case folded, spaces and outer marks trimmed."""
    return _SPACE.sub(" ", unicodedata.normalize("NFKC", text)).strip(" \t\n.,;:!?\"'`*()[]").casefold()


def parse_option(text: str, options: Sequence[str]) -> str | None:
    """Return the option that `text` names: the whole text if it is one, else the single option that occurs in it.

    Two different options in one text are no answer: a guess would be ours, not the model's.
    """
    folded = normalise(text)
    by_folded = {normalise(option): option for option in options}
    if folded in by_folded:
        return by_folded[folded]
    found = [
        option for key, option in by_folded.items() if re.search(rf"(?<![\w-]){re.escape(key)}(?![\w-])", folded)
    ]
    return found[0] if len(found) == 1 else None
