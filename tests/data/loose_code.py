"""The test families as a loose code file, for hosts in other processes."""

from typing import Literal

from agentsoc.plugin import Task, TaskFamily, uniform


class Coin(TaskFamily):
    """Heads or tails, by the seed; the same as in tests/loose.py."""

    kind: Literal["coin"] = "coin"

    def make(self, seed: int, index: int) -> Task:
        truth = "heads" if uniform(seed, "coin", index, 0, 0) < 0.5 else "tails"
        return Task(index, f"coin-{index}", f"How does coin {index} fall?", truth, ("heads", "tails"), 0.5)
