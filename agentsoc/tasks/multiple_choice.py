"""Multiple choice asks for the one right answer among K from small built-in tables; the seed orders the options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, get_args

import numpy as np
from pydantic import Field

from agentsoc.contracts.task import Task, TaskFamily
from agentsoc.streams import stream
from agentsoc.tasks.facts import CAPITALS, ELEMENTS, MONTHS, WEEKDAYS, roman

Subject = Literal["capitals", "elements", "roman", "weekdays", "months"]
SUBJECTS: Final[tuple[Subject, ...]] = get_args(Subject)
ROMAN_MAX: Final = 199


class MultipleChoice(TaskFamily):
    """Questions of general knowledge with `choices` options; a uniform guess is right with probability 1/choices."""

    kind: Literal["multiple-choice"] = "multiple-choice"
    choices: int = Field(default=4, ge=2, le=7)
    """Options of each question, K."""
    subjects: tuple[Subject, ...] = Field(default=SUBJECTS, min_length=1, max_length=20)
    """Tables to ask from, each equally likely: capitals, chemical elements, Roman numerals, days and months."""

    def make(self, seed: int, index: int) -> Task:
        """Return question `index`."""
        rng = stream(seed, "task", self.kind, index)
        subject = self.subjects[int(rng.integers(len(self.subjects)))]
        ask, truth, others = _ask(subject, rng)
        wrong = [others[int(i)] for i in rng.choice(len(others), size=self.choices - 1, replace=False)]
        options = [truth, *wrong]
        shuffled = tuple(options[int(i)] for i in rng.permutation(self.choices))
        return Task(
            index=index,
            id=f"{self.kind}-{index}",
            question=f"{ask} Choose one: {', '.join(shuffled)}.",
            truth=truth,
            options=shuffled,
            chance=1 / self.choices,
        )


def _ask(subject: Subject, rng: np.random.Generator) -> tuple[str, str, list[str]]:
    """Return a question without its options, the right answer, and the wrong answers to choose from."""
    if subject == "capitals":
        return _from_table("What is the capital of {key}?", CAPITALS, rng)
    if subject == "elements":
        return _from_table("Which chemical element has the symbol {key}?", ELEMENTS, rng)
    if subject == "roman":
        number = int(rng.integers(1, ROMAN_MAX + 1))
        near = [str(x) for x in range(max(1, number - 12), number + 13) if x != number]
        return f"Which number is {roman(number)} in Roman numerals?", str(number), near
    names, unit = (WEEKDAYS, "day") if subject == "weekdays" else (MONTHS, "month")
    return _after(names, unit, rng)


def _from_table(ask: str, table: dict[str, str], rng: np.random.Generator) -> tuple[str, str, list[str]]:
    keys = list(table)
    key = keys[int(rng.integers(len(keys)))]
    return ask.format(key=key), table[key], [value for value in table.values() if value != table[key]]


def _after(names: Sequence[str], unit: str, rng: np.random.Generator) -> tuple[str, str, list[str]]:
    start, steps = int(rng.integers(len(names))), int(rng.integers(1, 3 * len(names)))
    truth = names[(start + steps) % len(names)]
    later = f"{steps} {unit}{'s' * (steps > 1)} after {names[start]}"
    ask = f"Which {'day of the week' if unit == 'day' else 'month'} comes {later}?"
    return ask, truth, [name for name in names if name != truth]
