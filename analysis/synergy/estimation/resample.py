"""This module resamples tasks, never votes, because votes on one task share its difficulty.

A resample is a row of whole weights, how often each task was drawn. Estimators work on sums over tasks, so a thousand
resamples are one matrix product.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agentsoc.errors import InputError
from agentsoc.streams import stream
from analysis.resampling import draw_counts
from analysis.synergy.theory.arrays import FloatArray, IntArray


def task_weights(n_draws: int, strata: IntArray, *, seed: int) -> FloatArray:
    """Return how often each task occurs in each bootstrap sample, shape (n_draws, n_tasks).

    Args:
        n_draws: bootstrap samples, at least 2.
        strata: stratum of each task, shape (n_tasks,); every stratum keeps its number of tasks.
        seed: root of the randomness.
    """
    if n_draws < 2 or strata.size == 0:
        raise InputError(f"a bootstrap needs at least 2 draws and 1 task, got {n_draws} draws of {strata.size} tasks")
    rng = stream(seed, "phase", "bootstrap")
    weights = np.zeros((n_draws, strata.size))
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        weights[:, members] = draw_counts(rng, n_draws, members.size)
    return weights


class TaskIndex:
    """The index is one list of tasks for several tables of measurements, and says in which tables each task occurs."""

    def __init__(self, tables: Sequence[Sequence[str]]) -> None:
        """Join the task names of `tables`; a name may occur often in a table."""
        distinct = [dict.fromkeys(names) for names in tables]
        self.names: tuple[str, ...] = tuple(sorted(set().union(*distinct)))
        self._place = {name: place for place, name in enumerate(self.names)}
        member = np.array([[name in names for names in distinct] for name in self.names], dtype=np.int64)
        member = member.reshape(len(self.names), len(distinct))
        self.strata: IntArray = member @ (1 << np.arange(len(distinct), dtype=np.int64))
        """Pattern of the tables that a task occurs in; resampling keeps the number of tasks of each pattern."""

    def codes(self, names: Sequence[str]) -> NDArray[np.intp]:
        """Return the index of each name, shape (len(names),)."""
        return np.fromiter((self._place[name] for name in names), dtype=np.intp, count=len(names))

    def __len__(self) -> int:
        return len(self.names)


def sums_by_task(
    n_tasks: int, task: NDArray[np.intp], cell: NDArray[np.intp], n_cells: int, value: FloatArray
) -> FloatArray:
    """Return the sum of `value` per task and cell, shape (n_tasks, n_cells)."""
    flat = np.bincount(task * n_cells + cell, weights=value, minlength=n_tasks * n_cells)
    return np.asarray(flat.reshape(n_tasks, n_cells), dtype=np.float64)
