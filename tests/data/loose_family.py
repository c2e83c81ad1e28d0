"""A task family in a file of its own, for the tests of `--allow-code`: yes-or-no questions about parity."""

from __future__ import annotations

from typing import Literal

from agentsoc.plugin import Task, TaskFamily, uniform


class Parity(TaskFamily):
    """Is a number drawn from the seed even?"""

    kind: Literal["parity"] = "parity"
    size: int = 1_000
    """Numbers are drawn below this."""
    generous: bool = False
    """Whether an answer is worth half a point when it is wrong: then the score is no accuracy."""

    def make(self, seed: int, index: int) -> Task:
        """Return question `index`."""
        number = int(uniform(seed, "parity", index, 0, 0) * self.size)
        return Task(
            index, f"parity-{number}", f"Is {number} even?", "no" if number % 2 else "yes", ("yes", "no"), chance=0.5
        )

    def score(self, task: Task, answer: str | None) -> float:
        """Return 1 for the right answer; 0 or a half for another one."""
        right = super().score(task, answer)
        return max(right, 0.5) if self.generous else right
