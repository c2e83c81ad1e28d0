"""This module fits a curve with bends to the largest value of each execution over N, where there are N enough for one.

The line of `growth_line` says one exponent, and tests for a bend. This says which form predicts N that were left out:
a power law, one that levels off, or one with breaks (`analysis.curves`). What is fitted is the mean of the logarithm,
so the typical largest value; design cells, or executions where no seed is logged, are the independent units.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from analysis.curves import CurveLaw, fit_curve
from analysis.fitcard import MIN_POINTS, MIN_RATIO
from analysis.observables.sampled import Sample

DRAWS_LEAST: Final = 20


def growth_curve(
    sample: Sample, n_agents: ArrayLike, *, clusters: ArrayLike, draws: int, seed: int = 0
) -> CurveLaw | None:
    """Return the law of the largest value over N; None with fewer than five N, less than a factor 10, or no draws.

    Args:
        sample: the observable; executions without a value do not count.
        n_agents: N of each execution, shape (n_executions,).
        clusters: label of each execution, shape (n_executions,).
        draws: bootstrap samples; with fewer than 20 nothing is fitted.
        seed: seed of the bootstrap.
    """
    present, index = np.unique(sample.execution, return_inverse=True)
    n = np.asarray(n_agents, dtype=np.float64)[present]
    distinct = np.unique(n)
    if draws < DRAWS_LEAST or len(distinct) < MIN_POINTS or distinct[0] <= 0 or distinct[-1] / distinct[0] < MIN_RATIO:
        return None
    top = np.zeros(len(present))
    np.maximum.at(top, index, sample.values)
    names = ("N", f"largest {sample.name}")
    return fit_curve(n, top, clusters=np.asarray(clusters)[present], names=names, draws=draws, seed=seed)
