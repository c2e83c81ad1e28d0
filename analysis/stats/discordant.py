"""This module has the exact power of right-or-wrong answers with one row a task; see `analysis.stats.alternatives`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from scipy import special, stats

from agentsoc.errors import InputError
from analysis.interval import FloatArray
from analysis.stats.planning import NODES, Alternatives, middles

_SURE: Final = 1.645
_COUNTS: Final = 300  # values or quantiles of the number of tasks that tell the two apart


@dataclass(frozen=True, eq=False)
class Discordant(Alternatives):
    """Right-or-wrong answers with one row a task: some tasks tell the two apart, the others tie."""

    rates: FloatArray
    """Equally likely shares of tasks that tell the two apart where there is no difference."""
    most: float = 1.0

    @classmethod
    def known(cls, rate: float) -> Discordant:
        """Return the alternatives where the share of tasks that would tell two equals apart is known.

        Raises:
            InputError: it lies outside of [0, 1].
        """
        if not 0 <= rate <= 1:
            raise InputError(f"a share of tasks lies between 0 and 1, got {rate:g}")
        return cls(np.array([rate]))

    @classmethod
    def seen(cls, won: int, lost: int, n_tasks: int, most: float = 1.0) -> Discordant:
        """Return the alternatives after a pilot that won and lost so many of its tasks.

        The posterior of the rate is Beta(won + lost + 1, ties + 1): half a task each way and one tie are added, as in
        the interval of the difference (Agresti & Min 2005). What the pilot's own difference surely brought (beyond
        1.645 of its standard errors) is taken off: that would not be there without a difference.
        """
        moved = won + lost
        surely = max(abs(won - lost) - _SURE * math.sqrt(moved), 0.0) / n_tasks
        rates = stats.beta.ppf(middles(NODES), moved + 1, n_tasks - moved + 1)
        return cls(np.maximum(rates - surely, 0.0), most)

    def power(self, difference: float, n_tasks: int, *, alpha: float = 0.05) -> float:
        """Return the probability, exact for each rate."""
        size = abs(difference)
        if size > self.most:
            return 0.0
        # Where the difference takes nearly all the room that the baseline leaves, little is left to be lost.
        rates = np.minimum(np.minimum(self.rates + size, 2 * self.most - size), 1.0)
        possible = rates[rates > 0]  # where no task tells the two apart nothing is found
        return float(_power_of_rates(possible, size, n_tasks, alpha).sum()) / len(rates)

    def _start(self, n_tasks: int) -> float:
        return float(np.sqrt(self.rates.mean() / n_tasks)) + 1 / n_tasks


def _power_of_rates(rates: FloatArray, size: float, n_tasks: int, alpha: float) -> FloatArray:
    """Return the power where each task tells the two apart with probability `rate`, at least the difference's size.

    All rates at once: a search for a number of tasks asks thousands of times, and each call of scipy costs more than
    what it computes.
    """
    low, high = stats.binom.ppf([[1e-7], [1 - 1e-7]], n_tasks, rates)
    few = high - low < _COUNTS
    found = np.zeros(len(rates))
    if few.any():
        within = low[few, None] + np.arange(_COUNTS)
        within = within[:, : int((high - low)[few].max()) + 1]
        chance = np.where(within <= high[few, None], stats.binom.pmf(within, n_tasks, rates[few, None]), 0.0)
        found[few] = np.sum(chance * _found(within, rates[few, None], size, alpha), axis=1)
    if not few.all():
        counts = stats.binom.ppf(middles(_COUNTS), n_tasks, rates[~few, None])
        found[~few] = np.mean(_found(counts, rates[~few, None], size, alpha), axis=1)
    return found


def _found(counts: FloatArray, rates: FloatArray, size: float, alpha: float) -> FloatArray:
    """Return the probability that so many tasks that differ are won often enough; counts are rows of a rate each."""
    needed = _wins_needed(counts, alpha)
    enough = needed <= counts
    needed = np.where(enough, needed, counts)  # P(wins >= needed) is an incomplete beta function
    won = special.betainc(np.maximum(needed, 1), counts - needed + 1, np.minimum((1 + size / rates) / 2, 1.0))
    found: FloatArray = np.where(enough, won, 0.0)
    return found


def _wins_needed(counts: FloatArray, alpha: float) -> FloatArray:
    """Return the fewest wins of so many tasks that differ for a two-sided p of at most alpha; too many if none are."""
    table = _table_of_wins(alpha)
    small = table[np.minimum(counts, len(table) - 1).astype(np.int64)]
    z = -float(special.ndtri(alpha / 2))
    return np.where(counts < len(table), small, np.ceil((counts + z * np.sqrt(counts) + 1) / 2))


@lru_cache(maxsize=64)
def _table_of_wins(alpha: float) -> FloatArray:
    m = np.arange(2001)
    table: FloatArray = stats.binom.isf(alpha / 2, m, 0.5) + 1
    table[0] = 1.0
    return table
