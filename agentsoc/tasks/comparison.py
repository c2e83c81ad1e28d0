"""Comparison asks which of two numbers is larger: trivial for strong models, at chance for the embedded one."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agentsoc.contracts.task import Task, TaskFamily, parse_letter
from agentsoc.reading.options import option_stated
from agentsoc.streams import stream
from agentsoc.tasks.numerals import integers

LETTERS = ("A", "B")


class Comparison(TaskFamily):
    """Two different numbers of `digits` digits; the larger one stands first with probability 1/2."""

    kind: Literal["comparison"] = "comparison"
    digits: int = Field(default=3, ge=1, le=50)
    """Decimal digits of either number (digits)."""
    answer: Literal["letter", "number"] = "number"
    """What is asked for: the number itself, or the letter of the larger one. Small models say one letter whatever is
    asked, and then a comparison measures that."""

    def make(self, seed: int, index: int) -> Task:
        """Return pair `index`; uniform over ordered pairs of different numbers without a leading zero."""
        rng = stream(seed, "task", self.kind, index)
        low = 10 ** (self.digits - 1)
        span = 9 * low  # numbers with that many digits
        first = _below(rng.bytes(32), span)
        second = _below(rng.bytes(32), span - 1)
        second += second >= first  # skip the first one: every other number equally likely
        a, b = str(low + first), str(low + second)
        larger = 0 if first > second else 1
        if self.answer == "letter":
            options, ask = LETTERS, f"Which number is larger? A: {a}, B: {b}. Answer A or B."
        else:
            options, ask = (a, b), f"Which number is larger, {a} or {b}? Answer with the number."
        return Task(
            index=index,
            id=f"{self.kind}-{index}",
            question=ask,
            truth=options[larger],
            options=options,
            chance=0.5,
        )

    def parse(self, task: Task, text: str) -> str | None:
        """Return the letter that stands alone in `text`, or the one of the two numbers that occurs in it."""
        if self.answer == "letter":
            return parse_letter(text, task.options)
        found = {str(x) for x in integers(text)}
        named = [option for option in task.options if option in found]
        return named[0] if len(named) == 1 else None

    def stated(self, task: Task, text: str) -> str | None:
        """Return the option that `text` states."""
        return option_stated(text, task.options)


def _below(raw: bytes, limit: int) -> int:
    """Return an integer in [0, limit) from 256 random bits; limits beyond 64 bits occur, the bias is below 1e-26."""
    return int.from_bytes(raw, "little") * limit >> 8 * len(raw)
