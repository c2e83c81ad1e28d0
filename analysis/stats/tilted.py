"""This module simulates power from the tasks that a pilot saw; see `analysis.stats.alternatives`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Final

import numpy as np
from scipy import stats

from agentsoc.streams import stream
from analysis.interval import FloatArray
from analysis.stats.clusters import TaskSums
from analysis.stats.planning import Alternatives

_PLANS: Final = 100  # draws of the weights of what was seen
_EACH: Final = 12  # experiments for each of them
_DISTINCT: Final = 40  # sizes of a task's sum that are told apart


@dataclass(frozen=True, eq=False)
class Tilted(Alternatives):
    """Scores with ties: tasks as they were seen, with the weights of those in favour raised and the others lowered."""

    totals: FloatArray
    """Different sums of a task's differences, shape (n,), with their mirror images, increasing."""
    weights: FloatArray
    """How often each was seen, with what is added for what was not, same shape."""
    rows: float
    """Mean number of rows of a task."""
    most: float = 1.0
    whole: ClassVar[bool] = False
    """Whether sums are whole numbers; the test then moves in steps of two."""

    @cached_property
    def _plans(self) -> FloatArray:
        """Mirrored shares of the totals, shape (_PLANS, n), drawn from what was seen leaves open (Rubin 1981)."""
        drawn = stream(0, "stats", "power", "plans").standard_gamma(self.weights, size=(_PLANS, len(self.weights)))
        shares = drawn / drawn.sum(axis=1, keepdims=True)
        mirrored: FloatArray = np.maximum((shares + shares[:, ::-1]) / 2, 1e-300)
        return mirrored

    def power(self, difference: float, n_tasks: int, *, alpha: float = 0.05) -> float:
        """Return the probability, from 1,200 experiments that are the same in every call."""
        size = abs(difference)
        if size > self.most:
            return 0.0
        shares = self._moved(min(size * self.rows, (1 - 1e-9) * self.totals[-1]))
        rng = stream(0, "stats", "power", "experiments")
        counts = rng.multinomial(n_tasks, np.repeat(shares, _EACH, axis=0)).astype(np.float64)
        return float(np.mean(_flip_p(counts, self.totals, self.whole) <= alpha))

    def _moved(self, mean: float) -> FloatArray:
        """Return the shares of the totals where their mean is `mean`, shape (_PLANS, n)."""
        return _tilted(self._plans, self.totals, mean)

    def _start(self, n_tasks: int) -> float:
        spread = float(np.mean(self._plans @ self.totals**2))
        return math.sqrt(spread / n_tasks) / self.rows + 1 / n_tasks


@dataclass(frozen=True, eq=False)
class Added(Tilted):
    """Right-or-wrong answers with several rows a task: tasks as they were seen, with wins added."""

    whole: ClassVar[bool] = True

    def _moved(self, mean: float) -> FloatArray:
        """Return the shares where each row is won with some probability more, as far as a task has rows."""
        n = len(self.totals) // 2  # totals are -n to n
        low, high, average = 0.0, 1.0, self._plans.mean(axis=0)
        for _ in range(30):
            middle = (low + high) / 2
            low, high = (middle, high) if average @ _more(n, middle) @ self.totals < mean else (low, middle)
        moved = self._plans @ _more(n, high)
        scaled: FloatArray = moved / moved.sum(axis=1, keepdims=True)
        return scaled


def _more(n: int, chance: float) -> FloatArray:
    """Return the probabilities of going from each total in -n to n to each other when n rows gain with this chance."""
    mass = stats.binom.pmf(np.arange(n + 1), n, chance)
    found = np.zeros((2 * n + 1, 2 * n + 1))
    for gained, weight in enumerate(mass):
        at = np.arange(2 * n + 1)
        found[at, np.minimum(at + gained, 2 * n)] += weight
    return found


def _tilted(shares: FloatArray, totals: FloatArray, mean: float) -> FloatArray:
    """Return shares times exp(l totals), each row with the l that gives it this mean."""
    logs = np.log(shares)
    step = totals[-1]
    low, high = np.zeros(len(shares)), np.full(len(shares), 1.0)

    def at(tilt: FloatArray) -> FloatArray:
        weights = logs + tilt[:, None] * totals / step
        weights = np.exp(weights - weights.max(axis=1, keepdims=True))
        scaled: FloatArray = weights / weights.sum(axis=1, keepdims=True)
        return scaled

    while np.any(short := at(high) @ totals < mean) and high.max() < 1e6:
        high = np.where(short, 2 * high, high)
    for _ in range(40):
        middle = (low + high) / 2
        below = at(middle) @ totals < mean
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return at(high)


def _flip_p(counts: FloatArray, totals: FloatArray, whole: bool) -> FloatArray:
    """Return p of the sign-flip test for each row of counts of totals, by the Edgeworth series to the fourth moment.

    Under random signs the sum has variance V = sum t^2 and excess kurtosis -2 sum t^4 / V^2; where sums are whole it
    moves by two, so half a step is taken off. p is at least 2^(1 - m), the share of the two outermost of the 2^m swaps.
    """
    seen = np.abs(counts @ totals)
    variance = np.maximum(counts @ totals**2, 1e-300)
    z = np.maximum(seen - (1.0 if whole else 0.0), 0.0) / np.sqrt(variance)
    kurtosis = -2 * (counts @ totals**4) / np.maximum(variance, 1e-100) ** 2
    tail = stats.norm.sf(z) + stats.norm.pdf(z) * kurtosis / 24 * (z**3 - 3 * z)
    moved = counts @ (totals != 0)
    return np.where(seen == 0, 1.0, np.clip(2 * tail, 2.0 ** (1 - np.minimum(moved, 1000)), 1.0))


def tilted_from(one: TaskSums, right_or_wrong: bool, few: bool, most: float) -> Tilted:
    """Return the alternatives of scores with ties.

    Half a task each way and a tie are added to right-or-wrong answers, over all sums that a task can have, and to other
    scores where few tasks moved, at the ends of the range; elsewhere the ends have just weight enough to be reached.
    """
    end = float(one.rows.max())
    if right_or_wrong:
        added = np.arange(1.0, round(end) + 1)
        extra = np.full(len(added), 0.5 / len(added))
    else:
        added, extra = np.array([end]), np.array([0.5 if few else 1e-3])
    total = one.total
    if not right_or_wrong and len(np.unique(np.abs(total))) > _DISTINCT:  # finer steps cost time and change nothing
        step = float(np.abs(total).max()) / _DISTINCT
        total = step * np.rint(total / step)
    values = np.round(np.concatenate([total, added, -added, [0.0]]), 9)
    weights = np.concatenate([np.ones(one.n_tasks), extra, extra, [1.0 if right_or_wrong or few else 1e-3]])
    both = np.concatenate([values, -values]) + 0.0
    totals, where = np.unique(both, return_inverse=True)
    seen = np.bincount(where, weights=np.concatenate([weights, np.zeros(len(values))]), minlength=len(totals))
    return (Added if right_or_wrong else Tilted)(totals, seen.astype(np.float64), float(one.rows.mean()), most)
