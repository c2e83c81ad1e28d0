"""Sizes of paired effects in units that travel: Cohen's d over tasks, and odds for answers right or wrong."""

from __future__ import annotations

import numpy as np

from .bootstrap import FEW_UNUSUAL
from .clusters import TaskSums
from .interval import FloatArray, Interval
from .proportions import clopper_pearson

_LEAST_DRAWS = 0.5


def effect_columns(sums: TaskSums, wins: FloatArray, losses: FloatArray) -> FloatArray:
    """Return what has to be resampled for the sizes of an effect, shape (n_tasks, 6), or (1, 0) for one task.

    Args:
        sums: differences by task.
        wins: pairs won, by task, shape (n_tasks,).
        losses: pairs lost.
    """
    if sums.n_tasks < 2:
        return np.zeros((sums.n_tasks, 0))
    mean = sums.by_task
    return np.column_stack([sums.total, sums.rows, mean, mean * mean, wins, losses])


def paired_d(sums: TaskSums, draws: FloatArray, level: float) -> Interval | None:
    """Return the mean difference in standard deviations of the tasks' differences; None when all tasks are alike.

    Args:
        sums: differences by task.
        draws: `effect_columns`, resampled.
        level: coverage aimed at.
    """
    n = sums.n_tasks
    sd = float(np.std(sums.by_task, ddof=1)) if n > 1 else 0.0
    if sd < 1e-12:
        return None
    spread = np.sqrt(np.maximum(draws[:, 3] / n - (draws[:, 2] / n) ** 2, 0.0) * n / (n - 1))
    mean = draws[:, 0] / draws[:, 1]
    d = np.divide(mean, spread, out=np.full(mean.size, np.nan), where=spread > 1e-6 * sd)
    return _percentiles(sums.mean / sd, d, level)


def odds_ratio(sums: TaskSums, wins: float, losses: float, draws: FloatArray, level: float) -> Interval | None:
    """Return the odds of winning against losing among pairs that differ (1/2 added to each, as there may be none).

    With one row a task the interval is exact (Clopper-Pearson for the share of wins). With more it is resampled, and
    None when fewer than eight tasks differ from the commonest.

    Args:
        sums: differences by task.
        wins: pairs in which only the organisation was right.
        losses: pairs in which only the baseline was.
        draws: `effect_columns`, resampled.
        level: coverage aimed at.
    """
    value = (wins + 0.5) / (losses + 0.5)
    if sums.n_rows == sums.n_tasks:
        share = clopper_pearson(round(wins), round(wins + losses), level=level)
        low, high = (end / (1 - end) if end < 1 else np.inf for end in (share.low, share.high))
        return Interval(value, low, high, level, "Clopper-Pearson among pairs that differ")
    if sums.n_unusual < FEW_UNUSUAL:
        return None
    return _percentiles(value, (draws[:, 4] + 0.5) / (draws[:, 5] + 0.5), level)


def _percentiles(value: float, draws: FloatArray, level: float) -> Interval | None:
    usable = draws[np.isfinite(draws)]
    if usable.size < _LEAST_DRAWS * draws.size:
        return None
    low, high = np.quantile(usable, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high), level, "bootstrap over tasks, percentiles")
