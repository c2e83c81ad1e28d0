"""Parts asks for the sum of its sub-questions, so that an orchestrator has something that it can really delegate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from agentsoc.contracts.task import Task, TaskFamily
from agentsoc.reading.numbers import integer_stated
from agentsoc.streams import stream
from agentsoc.tasks.numerals import last_integer

VOWELS: Final = (
    *("apple", "anchor", "arrow", "autumn", "acorn", "artist", "eagle", "echo", "elbow"),
    *("engine", "evening", "ember", "island", "iron", "insect", "ivory", "ink", "oven"),
    *("orange", "otter", "onion", "olive", "umpire", "uncle", "urchin"),
)
CONSONANTS: Final = (
    *("basket", "bridge", "candle", "copper", "dragon", "desert", "feather", "forest", "garden"),
    *("guitar", "hammer", "harbour", "jacket", "kettle", "lantern", "ladder", "meadow", "marble"),
    *("needle", "pepper", "river", "saddle", "timber", "valley", "window"),
)
NUMBER_MAX: Final = 99


class Parts(TaskFamily):
    """A count or a sum over `parts` lists; each list is a sub-question, and the total is the sum of their answers."""

    kind: Literal["parts"] = "parts"
    work: Literal["count", "sum"] = "count"
    """Count the words that start with a vowel, or add up numbers."""
    parts: int = Field(default=4, ge=2, le=64)
    """Sub-questions of each task."""
    size: int = Field(default=5, ge=1, le=100)
    """Words or numbers in each part."""
    difficulty: tuple[Annotated[float, Field(gt=0, le=1e12)], ...] = Field(default=(), max_length=64)
    """What parts are said to take, dealt to them in turn: the h of success 1 - exp(-b/h) (tokens). Changes no question;
    budgets may be split by it, and agents of kind effort go by it."""

    later: ClassVar[frozenset[str]] = TaskFamily.later | {"difficulty"}

    def make(self, seed: int, index: int) -> Task:
        """Return task `index`; words start with a vowel with probability 1/2, numbers are uniform on 1..99."""
        rng = stream(seed, "task", self.kind, self.work, index)
        lists: list[str] = []
        truths: list[int] = []
        for _ in range(self.parts):
            if self.work == "sum":
                values = [int(x) for x in rng.integers(1, NUMBER_MAX + 1, size=self.size)]
                lists.append(", ".join(map(str, values)))
                truths.append(sum(values))
            else:
                draws = rng.integers(2 * len(VOWELS), size=self.size)
                lists.append(", ".join((VOWELS + CONSONANTS)[int(i)] for i in draws))
                truths.append(int((draws < len(VOWELS)).sum()))
        ask = _ASK[self.work]
        return Task(
            index=index,
            id=f"{self.kind}-{index}",
            question=ask.format(items=", ".join(lists)),
            truth=str(sum(truths)),
            parts=tuple(ask.format(items=items) for items in lists),
            part_truths=tuple(map(str, truths)),
            part_difficulty=tuple(self.difficulty[i % len(self.difficulty)] for i in range(self.parts))
            if self.difficulty
            else (),
        )

    def parse(self, task: Task, text: str) -> str | None:
        """Return the last number of `text` if it is an integer."""
        stated = last_integer(text)
        return None if stated is None else str(stated)

    def stated(self, task: Task, text: str) -> str | None:
        """Return the number that `text` states if it is an integer."""
        return integer_stated(text)

    def score(self, task: Task, answer: str | None) -> float:
        """Return 1 for the exact total, else 0."""
        return 1.0 if answer is not None and last_integer(answer) == int(task.truth) else 0.0

    def score_part(self, task: Task, part: int, answer: str) -> float:
        """Return 1 when the last number of `answer` is that of the part, else 0."""
        return 1.0 if last_integer(answer) == int(task.part_truths[part]) else 0.0

    def combine(self, task: Task, answers: Sequence[str | None]) -> str | None:
        """Return the sum of the answers to all parts; None when one is missing or is not an integer."""
        stated = [None if answer is None else last_integer(answer) for answer in answers]
        known = [x for x in stated if x is not None]
        return str(sum(known)) if len(known) == len(stated) == len(task.parts) else None


_ASK: Final = {
    "count": "How many of these words start with a vowel: {items}? Answer with the number.",
    "sum": "What is the sum of these numbers: {items}? Answer with the number.",
}
