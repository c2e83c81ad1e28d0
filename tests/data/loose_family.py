"""A task family in a file of its own, for the tests of `--allow-code`: yes-or-no questions about parity."""

from __future__ import annotations

from typing import Literal

from agentsoc.streams import uniform
from agentsoc.tasks.base import Task, TaskFamily


class Parity(TaskFamily):
    """Is a number drawn from the seed even?"""

    kind: Literal["parity"] = "parity"
    size: int = 1_000
    """Numbers are drawn below this."""

    def make(self, seed: int, index: int) -> Task:
        """Return question `index`."""
        number = int(uniform(seed, "parity", index, 0, 0) * self.size)
        return Task(
            index, f"parity-{number}", f"Is {number} even?", "no" if number % 2 else "yes", ("yes", "no"), chance=0.5
        )
