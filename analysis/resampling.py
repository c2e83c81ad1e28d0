"""This module sums over resamples of tasks, a few resamples at a time, so that their weights never all exist at once.

A thousand resamples of a hundred thousand tasks are 800 MB of weights, and nobody needs more than the sums that they
give. However many are made at once, the draws are the same ones, in the same order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

WEIGHTS_MAX: Final = 4_000_000
"""Weights made at once."""


def multinomial(rng: np.random.Generator, draws: int, columns: F64) -> F64:
    """Return the sums of columns over resamples of their rows, each with as many as there are.

    Args:
        rng: makes the resamples.
        draws: number of resamples.
        columns: shape (n, n_columns).

    Returns:
        Shape (draws, n_columns).
    """
    n = len(columns)
    if n * draws > WEIGHTS_MAX:
        from analysis.multinomial import multinomial_sums  # compiled code: only who needs it pays for its import

        return multinomial_sums(rng, draws, columns)
    return np.asarray(rng.multinomial(n, np.full(n, 1 / n), size=draws) @ columns)


def drawn(rng: np.random.Generator, draws: int, n: int) -> Iterator[F64]:
    """Yield how often each of n tasks is in each resample, some resamples at a time, shape (at most draws, n)."""
    step = max(1, WEIGHTS_MAX // n)
    for start in range(0, draws, step):
        yield draw_counts(rng, min(step, draws - start), n)


def draw_counts(rng: np.random.Generator, draws: int, n: int) -> F64:
    """Return how often each of n tasks is in each resample of n, drawn with replacement, shape (draws, n)."""
    at = rng.integers(n, size=(draws, n)) + n * np.arange(draws)[:, None]
    return np.bincount(at.reshape(-1), minlength=n * draws).reshape(draws, n).astype(np.float64)
