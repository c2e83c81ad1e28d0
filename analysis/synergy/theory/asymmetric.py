"""This module treats a channel that errs more one way: right answers turn wrong with e1, wrong ones right with e2 [X].

The received signal is (1 - e1 - e2) mu + (e2 - e1). A nonzero offset turns the sharp transition into a smooth
crossover, an imperfect pitchfork: fit both rates and warn when |e1 - e2| exceeds its standard error.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize

from agentsoc.errors import InputError
from analysis.synergy.theory.arrays import FloatArray, between, fraction, signal
from analysis.synergy.theory.shapes import correlated_majority_map

_SCAN: Final = 4001


def received_signal(mu: ArrayLike, e1: ArrayLike, e2: ArrayLike) -> FloatArray:
    """Return (1 - e1 - e2) mu + (e2 - e1), the signal after the channel.

    Args:
        mu: signal that was sent.
        e1: probability that a right answer arrives as a wrong one.
        e2: probability that a wrong answer arrives as a right one.
    """
    wrong, right = fraction("e1", e1), fraction("e2", e2)
    return np.asarray(np.clip((1 - wrong - right) * signal("mu", mu) + (right - wrong), -1, 1), dtype=np.float64)


def asymmetric_node_map(mu: ArrayLike, b: ArrayLike, rho: ArrayLike, e1: ArrayLike, e2: ArrayLike) -> FloatArray:
    """Return rho y + (1 - rho) f_b(y) at the received signal y (lock after the channel)."""
    return correlated_majority_map(received_signal(mu, e1, e2), b, rho)


def asymmetric_trajectory(
    mu0: ArrayLike, b: ArrayLike, rho: ArrayLike, e1: ArrayLike, e2: ArrayLike, depth: int
) -> FloatArray:
    """Return mu_0, ..., mu_depth under an asymmetric channel, shape (depth + 1, ...)."""
    if depth < 0:
        raise InputError(f"depth must be at least 0, got {depth}")
    mu, *_ = np.broadcast_arrays(signal("mu0", mu0), b, rho, e1, e2)
    levels = [np.asarray(mu, dtype=np.float64)]
    for _ in range(depth):
        levels.append(asymmetric_node_map(levels[-1], b, rho, e1, e2))
    return np.stack(levels)


def asymmetric_fixed_points(b: int, rho: float, e1: float, e2: float) -> FloatArray:
    """Return all fixed points in [-1, 1], ascending: one beyond the crossover, else three; the middle one repels."""
    grid = np.linspace(-1, 1, _SCAN)

    def excess(mu: float | FloatArray) -> FloatArray:
        return np.asarray(asymmetric_node_map(mu, b, rho, e1, e2) - mu, dtype=np.float64)

    values = excess(grid)
    roots = list(grid[values == 0])
    changes = np.flatnonzero(values[:-1] * values[1:] < 0)
    roots += [optimize.brentq(lambda mu: float(excess(mu)), grid[i], grid[i + 1], xtol=1e-15) for i in changes]
    return np.sort(np.asarray(roots, dtype=np.float64))


def asymmetry_warning(e1: float, e2: float, se: float) -> str | None:
    """Return a warning when |e1 - e2| exceeds its standard error `se`, which casts doubt on the theory; else None."""
    between("se", se, 0.0)
    if abs(e1 - e2) <= se:
        return None
    return (
        f"the channel errs more one way: e1={e1:.3g} (right to wrong), e2={e2:.3g} (wrong to right), se of the "
        f"difference {se:.2g}; expect a smooth crossover instead of a sharp transition"
    )
