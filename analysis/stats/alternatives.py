"""This module says how often a comparison of so many tasks would find a true difference, given what a pilot showed.

Power is that of the test that is made, the sign-flip test over tasks, under alternatives that can be true:

* ``Discordant``, right-or-wrong answers, one row a task: exact. m of n tasks tell the two apart, m binomial with rate
  q + |difference|, q being the rate without a difference: what was lost by chance is still lost, and wins are added. Of
  these (1 + difference / rate) / 2 are won; the test is McNemar's exact one (power: Connor, Biometrics 43, 1987). So a
  difference of 0.05 has at least 5 % of the tasks come out differently, and needs 157 of them where no others do.
* ``Added``, the same with several rows a task: simulated, each row being won with some probability more.
* ``Tilted``, other scores with ties: simulated from the tasks that were seen, mirrored, with weights times exp(l t),
  l such that the mean is the difference; that is the distribution of this mean that is nearest to what was seen.
* ``Shifted``, values that hardly tie: the t test's power, and below 15 tasks the sign-flip test's, simulated.

A pilot knows its own spread badly. So power is averaged over what the pilot leaves open (rates by their posterior,
weights by Rubin's bootstrap, variances by the chi-square): over many pilots the stated power is then the true one.
No plan promises a difference for which the baseline leaves no room on the score's scale. All of it is measured by
benchmarks/study_power.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from scipy import stats

from agentsoc.errors import InputError
from agentsoc.streams import stream
from analysis.interval import FloatArray
from analysis.stats.bootstrap import FEW_UNUSUAL, Bounds
from analysis.stats.clusters import TaskSums
from analysis.stats.discordant import Discordant
from analysis.stats.planning import NODES, Alternatives, middles
from analysis.stats.tilted import tilted_from

_ENUMERATED: Final = 14
_TIED: Final = 0.1  # share of ties from which on values are lumps, and a shift of all of them makes no sense


@dataclass(frozen=True, eq=False)
class Shifted(Alternatives):
    """Values that hardly tie: every task moves by as much."""

    sd: float
    """Standard deviation of the tasks' mean differences, as the pilot shows it."""
    df: float
    """Degrees of freedom of its estimate; infinite where it is known."""
    most: float = math.inf

    def power(self, difference: float, n_tasks: int, *, alpha: float = 0.05) -> float:
        """Return the probability, averaged over the standard deviations that the pilot leaves open."""
        size = abs(difference)
        if size > self.most:
            return 0.0
        if n_tasks < 2 or 2.0 ** (1 - n_tasks) > alpha:
            return 0.0
        if self.sd == 0:
            return 1.0 if size else 0.0
        return _power_of_shift(size / self.sd, n_tasks, self.df, alpha)

    def _start(self, n_tasks: int) -> float:
        return self.sd / math.sqrt(n_tasks) or 1e-9


@lru_cache(maxsize=4096)
def _power_of_shift(ratio: float, n_tasks: int, df: float, alpha: float) -> float:
    """Return the power for a difference of so many estimated standard deviations."""
    if n_tasks > _ENUMERATED:
        factors = np.sqrt(stats.chi2.ppf(middles(NODES), df) / df) if math.isfinite(df) else np.ones(1)
        shift, free = ratio * factors * math.sqrt(n_tasks), n_tasks - 1
        critical = float(stats.t.ppf(1 - alpha / 2, free))
        # Student's t and the normal agree to 3 digits there; the noncentral t loses digits far out.
        plain = stats.norm.sf(critical - shift)
        if free <= 300:
            near = np.minimum(shift, 30.0)
            plain = np.where(shift > 30, plain, stats.nct.sf(critical, free, near))
        return float(np.mean(plain))
    noise, factors = _small_experiments(n_tasks, df)
    values = noise + ratio * factors[:, None]
    signs = _signs(n_tasks)
    moved = np.abs(values)
    slack = 1 - 1e-9
    p = [np.mean(np.abs(block @ signs) >= slack * np.abs(seen.sum(axis=1))[:, None], axis=1)
         for block, seen in zip(np.array_split(moved, 8), np.array_split(values, 8), strict=True)]  # fmt: skip
    return float(np.mean(np.concatenate(p) <= alpha))


@lru_cache(maxsize=16)
def _small_experiments(n_tasks: int, df: float) -> tuple[FloatArray, FloatArray]:
    """Return standard normal values of 800 experiments, and for each the estimated standard deviation over the true."""
    rng = stream(0, "stats", "power", "small")
    noise = rng.standard_normal((800, n_tasks))
    return noise, np.sqrt(rng.chisquare(df, 800) / df) if math.isfinite(df) else np.ones(800)


@lru_cache(maxsize=16)
def _signs(n_tasks: int) -> FloatArray:
    """Return all swaps but for an overall sign, shape (n_tasks, 2^(n_tasks - 1))."""
    codes = np.arange(1 << (n_tasks - 1))[None, :] >> np.arange(n_tasks)[:, None] & 1
    return (1.0 - 2.0 * codes).astype(np.float64)


def alternatives(
    one: TaskSums, change: Bounds | None, *, right_or_wrong: bool, base: float | None = None
) -> Alternatives:
    """Return what may be true beside no difference, after a pilot.

    Args:
        one: the paired differences of the pilot, by task.
        change: range of a difference; None where values have no bounds.
        right_or_wrong: whether each answer is right or wrong, so that differences are -1, 0 and 1.
        base: mean score of the baseline, which leaves max(base, 1 - base) for a difference; None if not known.

    Raises:
        InputError: fewer than two tasks.
    """
    if one.n_tasks < 2:
        raise InputError("planning needs at least two tasks with both organisations", "", "run a pilot of 10 or more")
    moved = int(np.count_nonzero(one.total))
    most = math.inf if change is None else change.high if base is None else max(base, 1 - base)
    if right_or_wrong and one.n_rows == one.n_tasks:
        won = int(np.count_nonzero(one.total > 0))
        return Discordant.seen(won, moved - won, one.n_tasks, most)
    few = change is not None and one.n_unusual < FEW_UNUSUAL
    if change is not None and (right_or_wrong or few or moved <= (1 - _TIED) * one.n_tasks):
        return tilted_from(one, right_or_wrong, few, most)
    return Shifted(one.se * math.sqrt(one.n_tasks), one.n_tasks - 1, most)
