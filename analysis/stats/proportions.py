"""This module gives proportions and mean scores of analyses intervals that hold for few tasks too.

The formulas of a proportion are in `agentsoc.theory.proportion`, which a run's own summary takes as well.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from scipy import stats

from agentsoc.errors import InputError
from agentsoc.theory import proportion
from analysis.interval import FloatArray, Interval
from analysis.stats.bootstrap import SCORE, Bounds, mean_intervals
from analysis.stats.clusters import TaskSums, sums_by_task


def clopper_pearson(successes: int, n: int, *, level: float = 0.95) -> Interval:
    """Return a proportion with its exact interval: covered at least `level`, for every n and every true value.

    Ends are quantiles of beta distributions: Beta(s, n-s+1) and Beta(s+1, n-s) (Clopper & Pearson 1934).

    Raises:
        InputError: not 0 <= successes <= n.
    """
    _check(successes, n)
    tail = (1 - level) / 2
    low = float(stats.beta.ppf(tail, successes, n - successes + 1)) if successes else 0.0
    high = float(stats.beta.ppf(1 - tail, successes + 1, n - successes)) if successes < n else 1.0
    return Interval(successes / n if n else float("nan"), low, high, level, "Clopper-Pearson")


def wilson(successes: float, n: float, *, level: float = 0.95) -> Interval:
    """Return a proportion with Wilson's score interval: covered `level` on average, shorter than the exact one.

    The formula is `agentsoc.theory.proportion.wilson`, cut to [0, 1].

    Raises:
        InputError: not 0 <= successes <= n with n > 0.
    """
    _check(successes, n)
    if n == 0:
        return Interval(float("nan"), 0.0, 1.0, level, "Wilson")
    z = float(stats.norm.ppf((1 + level) / 2))
    p = successes / n
    low, high = proportion.wilson(p, n, z)
    return Interval(p, max(0.0, low), min(1.0, high), level, "Wilson")


def mean_interval(
    table: pl.DataFrame,
    *,
    value: str = "score",
    cluster: Sequence[str] = ("tasks", "task"),
    level: float = 0.95,
    replicates: int = 10_000,
    seed: int = 0,
) -> Interval:
    """Return the mean of `value` over the rows of a table, its interval from resampled tasks.

    Right-or-wrong answers with one row a task get Wilson's interval. Rows without a value are left out.

    Raises:
        InputError: a column is missing or nothing has a value.
    """
    missing = [name for name in (value, *cluster) if name not in table.columns]
    if missing:
        raise InputError(f"the table has no column {', '.join(missing)}", "", f"it has {', '.join(table.columns)}")
    task = table.select(pl.struct(cluster).rank("dense") - 1).to_series().to_numpy().astype(np.int64)
    rows = table[value].cast(pl.Float64).to_numpy()
    sums = sums_by_task(rows, task, int(task.max(initial=-1)) + 1)
    if is_proportion(rows) and sums.n_rows == sums.n_tasks:
        return wilson(float(sums.total.sum()), sums.n_rows, level=level)
    return mean_intervals([sums], [score_bounds(rows)], level=level, replicates=replicates, seed=seed)[0]


def is_proportion(value: FloatArray) -> bool:
    """Return whether all known values are 0 or 1."""
    known = value[np.isfinite(value)]
    return bool(np.all((known == 0) | (known == 1)))


def score_bounds(value: FloatArray) -> Bounds | None:
    """Return the bounds of a score when all known values lie in [0, 1], else None."""
    known = value[np.isfinite(value)]
    return SCORE if bool(np.all((known >= 0) & (known <= 1))) else None


def mean_of(sums: TaskSums, *, proportion: bool, level: float, found: Interval) -> Interval:
    """Return Wilson's interval for right-or-wrong answers with one row a task, else `found`."""
    if proportion and sums.n_rows == sums.n_tasks:
        return wilson(float(sums.total.sum()), sums.n_rows, level=level)
    return found


def _check(successes: float, n: float) -> None:
    if not 0 <= successes <= n:
        raise InputError(f"{successes:g} successes of {n:g} trials are impossible")
