"""`episodes`: tasks that are episodes of an environment, in which agents act and which says how good the end is."""

from __future__ import annotations

from typing import Literal

from agentsoc.contracts.environments import PlayedTasks
from agentsoc.contracts.task import Task


class Episodes(PlayedTasks):
    """Episodes of an environment, led by the protocol `play`; their score is the environment's."""

    kind: Literal["episodes"] = "episodes"

    def make(self, seed: int, index: int) -> Task:
        """Return episode `index`."""
        return self.environment.task(seed, index)

    def score(self, task: Task, answer: str | None) -> float:
        """Return 0: what an episode is worth follows from its last state, not from words."""
        return 0.0

    def files(self) -> tuple[str, ...]:
        """Return the files of the environment."""
        return self.environment.files()
