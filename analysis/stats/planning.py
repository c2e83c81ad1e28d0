"""This module defines `Alternatives`: what may be true beside no difference, and the plans that follow from it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final

import numpy as np

from agentsoc.errors import InputError
from analysis.interval import FloatArray

MOST_TASKS: Final = 10_000_000
NODES: Final = 12
"""Quantiles of a rate or a variance that stand for all that a pilot leaves open."""
_CLOSE: Final = 1e-3  # relative error of a difference that is searched


class Alternatives(ABC):
    """An object says what may be true beside no difference, and how surely a comparison would find it."""

    most: float
    """Largest difference that can be, in units of the value; infinite where values have no bounds."""

    @abstractmethod
    def power(self, difference: float, n_tasks: int, *, alpha: float = 0.05) -> float:
        """Return the probability that a true `difference` is found with `n_tasks` tasks at level `alpha` (two-sided).

        Args:
            difference: true mean difference, in units of the value; its sign does not matter.
            n_tasks: tasks, each with as many seeds as in the pilot.
            alpha: false-alarm rate; divide by the number of comparisons to plan for Holm's correction.
        """

    @abstractmethod
    def _start(self, n_tasks: int) -> float:
        """Return a difference of the size of the standard error, to search from."""

    def detectable(self, n_tasks: int, *, alpha: float = 0.05, wanted: float = 0.8) -> float | None:
        """Return the smallest true difference that is found with probability `wanted`.

        None where not even the largest possible one is.

        Raises:
            InputError: rates outside of (0, 1).
        """
        _check(alpha, wanted)
        if 2.0 ** (1 - n_tasks) > alpha:  # all tasks won: the smallest p that the test can give
            return None
        most = self.most
        low, high = 0.0, min(self._start(n_tasks), most)
        while self.power(high, n_tasks, alpha=alpha) < wanted:
            if high >= most or high > 1e6 * self._start(n_tasks):
                return None
            low, high = high, min(2 * high, most)
        while high - low > _CLOSE * high:
            middle = (low + high) / 2
            low, high = (low, middle) if self.power(middle, n_tasks, alpha=alpha) >= wanted else (middle, high)
        return high

    def tasks_needed(self, difference: float, *, alpha: float = 0.05, wanted: float = 0.8) -> int | None:
        """Return the fewest tasks with which a true `difference` is found with probability `wanted`.

        None above ten million, and for differences that cannot be.

        Raises:
            InputError: the difference is 0, or rates lie outside of (0, 1).
        """
        _check(alpha, wanted)
        if difference == 0:
            raise InputError(
                "no number of tasks finds a difference of 0", "", "state the smallest one that matters to you"
            )
        if abs(difference) > self.most:
            return None
        low, high = 1, 2
        while self.power(difference, high, alpha=alpha) < wanted:
            low, high = high, 2 * high
            if low > MOST_TASKS:
                return None
        while high - low > max(1, round(_CLOSE * high)):
            middle = (low + high) // 2
            low, high = (low, middle) if self.power(difference, middle, alpha=alpha) >= wanted else (middle, high)
        return high


def middles(n: int) -> FloatArray:
    """Return the levels of n equally likely values."""
    levels: FloatArray = (np.arange(n) + 0.5) / n
    return levels


def _check(alpha: float, wanted: float) -> None:
    if not (0 < alpha < 1 and 0 < wanted < 1):
        raise InputError(f"alpha and power must lie between 0 and 1, got {alpha:g} and {wanted:g}")
