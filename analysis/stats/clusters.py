"""This module groups values by task, the unit of every interval and test here: repeats of a task share its difficulty.

Estimates are means over rows. Their uncertainty comes from sums over tasks, so that a bootstrap is one product of
matrices and a table of 100,000 rows costs as much as its number of tasks says.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from agentsoc.errors import InputError
from agentsoc.streams import stream
from analysis.interval import FloatArray, IntArray

_CELLS = 1 << 21  # weights held at a time: 16 MB


@dataclass(frozen=True)
class TaskSums:
    """The object holds sums of one value over the rows of each task; tasks without a row are left out."""

    total: FloatArray
    """Sum of the value, shape (n_tasks,)."""
    rows: FloatArray
    """Number of rows, same shape, each at least 1."""
    squares: FloatArray
    """Sum of the squared value, same shape."""

    @property
    def n_tasks(self) -> int:
        """Number of tasks."""
        return int(self.total.size)

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return round(float(self.rows.sum()))

    @property
    def balanced(self) -> bool:
        """Whether every task has the same number of rows."""
        return bool(np.all(self.rows == self.rows[0]))

    @cached_property
    def mean(self) -> float:
        """Mean over rows."""
        return float(self.total.sum() / self.rows.sum())

    @cached_property
    def by_task(self) -> FloatArray:
        """Mean of each task, shape (n_tasks,)."""
        return self.total / self.rows

    @cached_property
    def se(self) -> float:
        """Standard error of `mean` from the spread between tasks; 0 with one task.

        se^2 = T/(T-1) sum_t (S_t - mean n_t)^2 / (sum_t n_t)^2, the linearised variance of a ratio of sums.
        """
        if self.n_tasks < 2:
            return 0.0
        off = self.total - self.mean * self.rows
        return float(np.sqrt(self.n_tasks / (self.n_tasks - 1) * (off @ off)) / self.rows.sum())

    @cached_property
    def within(self) -> float:
        """Variance between rows of one task; NaN when every task has a single row."""
        spare = self.n_rows - self.n_tasks
        return float(np.maximum(self.squares - self.total**2 / self.rows, 0).sum() / spare) if spare else float("nan")

    @cached_property
    def n_unusual(self) -> int:
        """Tasks whose mean is not the commonest one: with few of them, resampling knows too little."""
        _, often = np.unique(np.round(self.by_task, 9), return_counts=True)
        return self.n_tasks - int(often.max())


def sums_by_task(value: FloatArray, task: IntArray, n_tasks: int) -> TaskSums:
    """Return the sums of the rows that have a value.

    Args:
        value: shape (n_rows,); NaN where a row has none.
        task: number of the task of each row, in 0..n_tasks-1.
        n_tasks: tasks in all.

    Raises:
        InputError: no row has a value.
    """
    known = np.isfinite(value)
    if not known.any():
        raise InputError("there is no row with a value")
    rows = np.bincount(task[known], minlength=n_tasks).astype(np.float64)
    total, squares = (
        np.bincount(task[known], weights=value[known] ** n, minlength=n_tasks).astype(np.float64) for n in (1, 2)
    )
    kept = rows > 0
    return TaskSums(total[kept], rows[kept], squares[kept])


def effective_size(value: FloatArray, cluster: IntArray, count: IntArray | None = None) -> float:
    """Return how many independent values a mean over clustered values is worth (Kish): n / (1 + (m - 1) r).

    r is the intraclass correlation by analysis of variance, in [0, 1], and m the mean size of the cluster of a value.
    With a single cluster, or a single value, nothing tells them apart, and n is returned.

    Args:
        value: shape (n,).
        cluster: any labels, same shape.
        count: how many values each entry stands for, same shape; None for one each.
    """
    _, code, sizes = np.unique(cluster, return_inverse=True, return_counts=True)
    n, k, often = value.size, sizes.size, np.ones(1, np.int64)
    if count is not None:
        n, often, sizes = int(count.sum()), count, np.bincount(code, weights=count)
    if k < 2 or n == k or np.ptp(value) == 0:
        return float(n)
    means = np.bincount(code, weights=value * often) / sizes
    mean = value.mean() if count is None else float(value @ count) / n
    within = float(np.sum((value - means[code]) ** 2 * often)) / (n - k)
    between = float(sizes @ (means - mean) ** 2) / (k - 1)
    typical = (n - float(sizes @ sizes) / n) / (k - 1)
    shared = (between - within) / typical
    if shared <= 0:
        return float(n)
    r = shared / (shared + within)
    return n / (1 + (float(sizes @ sizes) / n - 1) * r)


def task_weights(n_draws: int, n_tasks: int, *, seed: int) -> Iterator[FloatArray]:
    """Yield how often each task occurs in each bootstrap sample, in blocks of shape (some draws, n_tasks).

    Args:
        n_draws: bootstrap samples in all.
        n_tasks: tasks that are drawn, with replacement, as many as there are.
        seed: root of the randomness.
    """
    rng = stream(seed, "stats", "bootstrap")
    block = max(1, min(n_draws, _CELLS // n_tasks))
    for first in range(0, n_draws, block):
        n = min(block, n_draws - first)
        drawn = rng.integers(n_tasks, size=(n, n_tasks), dtype=np.int32)
        drawn += np.arange(n, dtype=np.int32)[:, None] * np.int32(n_tasks)
        yield np.bincount(drawn.reshape(-1), minlength=n * n_tasks).reshape(n, n_tasks).astype(np.float64)
