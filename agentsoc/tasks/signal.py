"""Signal asks a question with nothing in it, for societies of simulated voters.

The truth is one of K letters, uniform by seed. A mixture makes tasks differ in difficulty: each task then carries the
leaf signal mu_k of its component, and accuracy becomes the average of trajectories, not the trajectory of the average.
`Signal.columns` gives all tasks as arrays, so that a million of them cost milliseconds and no Python objects.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from agentsoc.contracts.part import Part
from agentsoc.contracts.task import MadeOnDemand, Task, TaskFamily, parse_letter
from agentsoc.reading.options import option_stated
from agentsoc.streams import uniform, uniforms

LETTERS: Final = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_PURPOSE: Final = "task-signal"


class MixtureComponent(Part):
    """One component of a mixture of difficulties."""

    weight: float = Field(gt=0, le=1e9)
    """Share of the tasks, relative to the other components."""
    signal: float = Field(ge=-1, le=1)
    """Leaf signal mu = (p - 1/K) / (1 - 1/K) of these tasks; below 0 the truth is the less likely answer."""


class Signal(TaskFamily):
    """A question without content, for simulated voters: which of K options is right is a uniform draw.

    Tasks may be a mixture of difficulties.
    """

    kind: Literal["signal"] = "signal"
    choices: int = Field(default=2, ge=2, le=len(LETTERS))
    """Possible answers, K: the letters from A on."""
    mixture: tuple[MixtureComponent, ...] = Field(default=(), max_length=1_000)
    """Components that tasks are drawn from; none for tasks of equal difficulty."""

    @model_validator(mode="after")
    def _probabilities(self) -> Signal:
        """Refuse a signal below -1/(K-1): it would make a probability negative."""
        for place, component in enumerate(self.mixture):
            if component.signal < -1 / (self.choices - 1):
                raise ValueError(
                    f"mixture {place}: with {self.choices} choices a signal is at least"
                    f" {-1 / (self.choices - 1):.4g}, got {component.signal:g}"
                )
        return self

    @cached_property
    def _shares(self) -> list[float]:
        """Return the cumulative shares of the components, the last one exactly 1."""
        sums = list(accumulate(component.weight for component in self.mixture))
        return [s / sums[-1] for s in sums[:-1]] + [1.0] if sums else []

    def columns(self, seed: int) -> tuple[NDArray[np.int64], NDArray[np.float64] | None]:
        """Return (index of the true option, signal) of all tasks, shape (count,) each; no signals without a mixture.

        Equal to what `make` gives task by task.
        """
        draws = uniforms(seed, _PURPOSE, np.arange(self.count), 0, 0, draws=2)
        truth = (draws[:, 0] * self.choices).astype(np.int64)
        if not self.mixture:
            return truth, None
        signals = np.array([component.signal for component in self.mixture])
        return truth, signals[np.searchsorted(self._shares, draws[:, 1], side="right")]

    def make(self, seed: int, index: int) -> Task:
        """Return task `index`."""
        truth = int(uniform(seed, _PURPOSE, index, 0, 0, 0) * self.choices)
        signal: float | None = None
        if self.mixture:
            signal = self.mixture[bisect_right(self._shares, uniform(seed, _PURPOSE, index, 0, 0, 1))].signal
        options = LETTERS[: self.choices]
        return Task(
            index=index,
            id=f"{self.kind}-{index}",
            question=f"Which is right: {', '.join(options[:-1])} or {options[-1]}?",
            truth=options[truth],
            options=options,
            chance=1 / self.choices,
            difficulty=signal,
        )

    def tasks(self, seed: int) -> Sequence[Task]:
        """Return all tasks as a sequence that makes each one when it is looked at."""
        return MadeOnDemand(self, seed, self.count)

    def parse(self, task: Task, text: str) -> str | None:
        """Return the letter that `text` names."""
        return parse_letter(text, task.options)

    def stated(self, task: Task, text: str) -> str | None:
        """Return the option that `text` states."""
        return option_stated(text, task.options)
