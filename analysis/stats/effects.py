"""This module measures paired effects in units that travel: Cohen's d over tasks, odds for answers right or wrong."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy import stats

from analysis.interval import FloatArray, Interval
from analysis.stats.bootstrap import FEW_UNUSUAL
from analysis.stats.clusters import TaskSums
from analysis.stats.proportions import clopper_pearson

FEWEST_TASKS: Final = 100
"""Tasks below which no d is given: its interval was measured to hold too rarely; see docs/comparison-studies.md."""
FEWEST_UNUSUAL: Final = 10
"""Tasks off the commonest difference below which no d is given either."""


def paired_d(
    sums: TaskSums, level: float, *, fewest: tuple[int, int] = (FEWEST_TASKS, FEWEST_UNUSUAL)
) -> Interval | None:
    """Return the mean difference in standard deviations of the tasks' differences; None where too few tasks carry it.

    se^2 = (1 - d g + d^2 (k - 1) / 4) / T with skewness g and kurtosis k of the tasks' differences (delta method); for
    normal ones this is the usual (1 + d^2 / 2) / T. Measured to hold better than resampling it.

    Args:
        sums: differences by task.
        level: coverage aimed at.
        fewest: tasks, and tasks off the commonest difference, that it takes.
    """
    n = sums.n_tasks
    if n < fewest[0] or sums.n_unusual < fewest[1]:
        return None
    sd = float(np.std(sums.by_task, ddof=1))
    d = sums.mean / sd
    standard = (sums.by_task - sums.by_task.mean()) / sd
    skewness, kurtosis = (float(np.mean(standard**power)) for power in (3, 4))
    se = float(np.sqrt(max(1 - d * skewness + d * d * (kurtosis - 1) / 4, 0.0) / n))
    reach = float(stats.t.ppf((1 + level) / 2, n - 1)) * se
    return Interval(d, d - reach, d + reach, level, "delta method over tasks")


def odds_ratio(sums: TaskSums, wins: float, losses: float, draws: FloatArray, level: float) -> Interval | None:
    """Return the odds of winning against losing among pairs that differ (1/2 added to each, as there may be none).

    With one row a task the interval is exact (Clopper-Pearson for the share of wins). With more it is resampled, and
    None when fewer than eight tasks differ from the commonest.

    Args:
        sums: differences by task.
        wins: pairs in which only the organisation was right.
        losses: pairs in which only the baseline was.
        draws: won and lost pairs by task, resampled, shape (replicates, 2); not used with one row a task.
        level: coverage aimed at.
    """
    value = (wins + 0.5) / (losses + 0.5)
    if sums.n_rows == sums.n_tasks:
        share = clopper_pearson(round(wins), round(wins + losses), level=level)
        low, high = (end / (1 - end) if end < 1 else np.inf for end in (share.low, share.high))
        return Interval(value, low, high, level, "Clopper-Pearson among pairs that differ")
    if sums.n_unusual < FEW_UNUSUAL:
        return None
    ratio = (draws[:, 0] + 0.5) / (draws[:, 1] + 0.5)
    low, high = np.quantile(ratio, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high), level, "bootstrap over tasks, percentiles")
