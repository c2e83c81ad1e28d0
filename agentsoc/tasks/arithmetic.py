"""Arithmetic asks for the value of a short sum or product. The answer is free, an integer, and is judged exactly."""

from __future__ import annotations

from math import prod
from typing import Literal

from pydantic import Field

from agentsoc.contracts.task import Task, TaskFamily
from agentsoc.reading.numbers import integer_stated
from agentsoc.streams import stream
from agentsoc.tasks.numerals import last_integer

Operator = Literal["+", "-", "*"]


class Arithmetic(TaskFamily):
    """``a op b op c ...`` with the usual precedence.

    The answer that a text states is its last number, if that is an integer: ``12``, ``= 12``, ``1,234`` and ``12.0``
    count, ``12.5`` and a text that goes on to another number do not.
    """

    kind: Literal["arithmetic"] = "arithmetic"
    digits: int = Field(default=2, ge=1, le=15)
    """Decimal digits of each operand, at most (digits)."""
    terms: int = Field(default=2, ge=2, le=16)
    """Operands (numbers)."""
    operators: tuple[Operator, ...] = Field(default=("+", "-", "*"), min_length=1, max_length=8)
    """Drawn from uniformly for each gap; naming one twice makes it twice as likely."""

    def make(self, seed: int, index: int) -> Task:
        """Return expression `index`; operands are uniform on 1 .. 10^digits - 1."""
        rng = stream(seed, "task", self.kind, index)
        operands = [int(x) for x in rng.integers(1, 10**self.digits, size=self.terms)]
        signs = [self.operators[int(i)] for i in rng.integers(len(self.operators), size=self.terms - 1)]
        text = str(operands[0]) + "".join(f" {sign} {x}" for sign, x in zip(signs, operands[1:], strict=True))
        return Task(
            index=index,
            id=f"{self.kind}-{index}",
            question=f"What is {text}? Answer with the number.",
            truth=str(value(operands, signs)),
        )

    def numeric(self) -> bool:
        """Return True: every answer is a number."""
        return True

    def whole(self) -> bool:
        """Return True: operands are whole, and nothing is divided."""
        return True

    def numbers_fit(self) -> bool:
        """Return whether no value has more than 18 digits."""
        longest = self.digits * self.terms if "*" in self.operators else self.digits + len(str(self.terms))
        return longest <= 18

    def parse(self, task: Task, text: str) -> str | None:
        """Return the last number of `text` if it is an integer."""
        stated = last_integer(text)
        return None if stated is None else str(stated)

    def stated(self, task: Task, text: str) -> str | None:
        """Return the number that `text` states if it is an integer."""
        return integer_stated(text)

    def score(self, task: Task, answer: str | None) -> float:
        """Return 1 for the exact value, however it is written, else 0."""
        return 1.0 if answer is not None and last_integer(answer) == int(task.truth) else 0.0


def value(operands: list[int], signs: list[Operator]) -> int:
    """Return the value of operands joined by signs, products first."""
    groups: list[tuple[Operator, list[int]]] = [("+", [operands[0]])]
    for sign, x in zip(signs, operands[1:], strict=True):
        if sign == "*":
            groups[-1][1].append(x)
        else:
            groups.append((sign, [x]))
    return sum(prod(factors) if sign == "+" else -prod(factors) for sign, factors in groups)
