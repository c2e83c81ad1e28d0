"""This module follows the signal level by level, for tasks of one kind or for a mixture of easy and hard ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from agentsoc.errors import InputError
from analysis.synergy.theory.arrays import FloatArray, counts, fraction, signal
from analysis.synergy.theory.fixed_points import fixed_point
from analysis.synergy.theory.recursion import Lock, node_map
from analysis.synergy.theory.shapes import Shape


def trajectory(
    mu0: ArrayLike,
    b: ArrayLike,
    gamma: ArrayLike,
    rho: ArrayLike,
    depth: int,
    *,
    lock: Lock = "after_channel",
    shape: Shape = "lock",
) -> FloatArray:
    """Return mu_0, ..., mu_depth for one kind of task, exact, shape (depth + 1, ...) [P2].

    Odd in mu0: a leaf worse than chance is amplified towards -mu*. For real data, where tasks differ in difficulty,
    use `trajectory_mixture`.
    """
    if depth < 0 or depth != int(depth):
        raise InputError(f"depth must be a whole number of levels, at least 0, got {depth!r}")
    mu, *_ = np.broadcast_arrays(signal("mu0", mu0), counts("b", b), fraction("gamma", gamma), fraction("rho", rho))
    levels = [np.asarray(mu, dtype=np.float64)]
    for _ in range(int(depth)):
        levels.append(node_map(levels[-1], b, gamma, rho, lock=lock, shape=shape))
    return np.stack(levels)


def trajectory_mixture(
    mus: ArrayLike,
    weights: ArrayLike,
    b: ArrayLike,
    gamma: ArrayLike,
    rho: ArrayLike,
    depth: int,
    *,
    lock: Lock = "after_channel",
    shape: Shape = "lock",
) -> FloatArray:
    """Return the mean signal by depth over tasks of different difficulty, shape (depth + 1, ...); for real data [X].

    Tasks of one kind share their leaf signal, so the mean of the trajectories counts, not the trajectory of the mean:
    kinds below chance are amplified to -mu*, the best depth is then finite, and the pooled mean would promise too much.

    Args:
        mus: leaf signal per kind of task, kinds on the last axis.
        weights: share of each kind, same last axis, non-negative, summing to 1.
        b: fan-in, broadcast with the other axes of `mus`.
        gamma: fidelity, likewise.
        rho: correlation, likewise.
        depth: levels.
        lock: place of the shared draw.
        shape: form of the correlation.
    """
    share = fraction("weights", weights)
    if not np.allclose(share.sum(axis=-1), 1, rtol=0, atol=1e-9):
        raise InputError(f"weights must sum to 1 over the kinds of task, got {share.sum(axis=-1)!s}")
    b_, gamma_, rho_ = (np.asarray(a, dtype=np.float64)[..., None] for a in (b, gamma, rho))
    return np.asarray(np.sum(trajectory(mus, b_, gamma_, rho_, depth, lock=lock, shape=shape) * share, axis=-1))


def mixture_limit(
    mus: ArrayLike, weights: ArrayLike, b: ArrayLike, gamma: ArrayLike, rho: ArrayLike, *, lock: Lock = "after_channel"
) -> FloatArray:
    """Return mu* (P(mu_k > 0) - P(mu_k < 0)), where the mean signal of a task mixture ends [X]."""
    sides = np.sum(np.sign(signal("mus", mus)) * fraction("weights", weights), axis=-1)
    return np.asarray(sides * fixed_point(b, gamma, rho, lock=lock), dtype=np.float64)
