"""This module has the tree recursion mu_{t+1} = F(mu_t): one level, its growth rate, exponent and critical lines.

A node receives b messages, each flipped with probability (1 - gamma) / 2 on its edge and correlated by rho, and takes
the majority. For the lock after the channel, F(mu) = rho gamma mu + (1 - rho) f_b(gamma mu), exact for the whole tree
[P2]. Assumptions A1-A7 of the theory hold throughout; `trajectories.trajectory_mixture` drops A2 (equally hard tasks).

`lock` says where the shared draw sits: ``after_channel`` (default; it includes the flip) or ``before_channel`` (the
error is shared, then each copy crosses its own channel) [X]. `shape` says how votes are correlated (`shapes`); only
the lock shape has a before-channel form here. Everything broadcasts.
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike

from agentsoc.errors import InputError
from analysis.synergy.theory.arrays import FloatArray, counts, fraction, signal
from analysis.synergy.theory.maps import majority_map, majority_map_derivative, majority_slope, odd_fan_in
from analysis.synergy.theory.shapes import Shape, correlated_majority_derivative, correlated_majority_map

Lock = Literal["after_channel", "before_channel"]
"""Whether the shared draw happens after the messages have crossed the channel or before."""

_BISECTIONS: Final = 80


def node_map(
    mu: ArrayLike,
    b: ArrayLike,
    gamma: ArrayLike,
    rho: ArrayLike,
    *,
    lock: Lock = "after_channel",
    shape: Shape = "lock",
) -> FloatArray:
    """Return F(mu), the signal of a node whose b children have signal mu.

    After the channel: rho gamma mu + (1 - rho) f_b(gamma mu) [P2]. Before it: rho mu f_b(gamma) + (1 - rho)
    f_b(gamma mu) [X]. Other shapes than the lock: the map of `shapes` at gamma mu [X].

    Args:
        mu: signal of a child, in [-1, 1].
        b: fan-in; an even b works as b - 1 (see `maps.majority_map`).
        gamma: fidelity of a message, in [0, 1].
        rho: correlation of the votes a node receives, in [0, 1]; of the sent votes for ``before_channel``.
        lock: place of the shared draw.
        shape: form of the correlation.
    """
    mu_, gamma_, rho_ = signal("mu", mu), fraction("gamma", gamma), fraction("rho", rho)
    if not is_before_channel(lock, shape):
        return correlated_majority_map(gamma_ * mu_, b, rho_, shape=shape)
    mixed = rho_ * mu_ * majority_map(gamma_, b) + (1 - rho_) * majority_map(gamma_ * mu_, b)
    return np.asarray(mixed, dtype=np.float64)


def node_map_derivative(
    mu: ArrayLike,
    b: ArrayLike,
    gamma: ArrayLike,
    rho: ArrayLike,
    *,
    lock: Lock = "after_channel",
    shape: Shape = "lock",
) -> FloatArray:
    """Return F'(mu) [D]; F'(0) is alpha."""
    mu_, gamma_, rho_ = signal("mu", mu), fraction("gamma", gamma), fraction("rho", rho)
    if not is_before_channel(lock, shape):
        return np.asarray(gamma_ * correlated_majority_derivative(gamma_ * mu_, b, rho_, shape=shape), dtype=np.float64)
    own = gamma_ * majority_map_derivative(gamma_ * mu_, b)
    return np.asarray(rho_ * majority_map(gamma_, b) + (1 - rho_) * own, dtype=np.float64)


def alpha(
    b: ArrayLike, gamma: ArrayLike, rho: ArrayLike, *, lock: Lock = "after_channel", shape: Shape = "lock"
) -> FloatArray:
    """Return alpha_rho = F'(0), the growth of a weak signal per level.

    gamma (rho + (1 - rho) A_b) for the lock after the channel [P2]; rho f_b(gamma) + (1 - rho) gamma A_b before it [X].
    """
    return node_map_derivative(0.0, b, gamma, rho, lock=lock, shape=shape)


def organization_exponent(
    b: ArrayLike, gamma: ArrayLike, rho: ArrayLike, *, lock: Lock = "after_channel", shape: Shape = "lock"
) -> FloatArray:
    """Return s = log_b(alpha): a weak signal grows like N^s in the number of leaves N = b^L [P2].

    Below 1/2 for every majority tree [X], negative below the critical line, -inf at gamma = 0. b must be at least 2.
    """
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(alpha(b, gamma, rho, lock=lock, shape=shape)) / np.log(counts("b", b, 2)))


def critical_gamma(b: ArrayLike, rho: ArrayLike, *, lock: Lock = "after_channel", shape: Shape = "lock") -> FloatArray:
    """Return gamma_c, the fidelity at which alpha = 1; at most 1.

    1 / (rho + (1 - rho) A_b) after the channel [D], so gamma_c(3, 0) = 2/3, the classical threshold of noisy three-vote
    majorities; 1 / slope for the other shapes [X]; by bisection before the channel [X].
    """
    if not is_before_channel(lock, shape):
        return np.asarray(1 / correlated_majority_derivative(0.0, b, rho, shape=shape), dtype=np.float64)
    b_, rho_ = np.broadcast_arrays(counts("b", b), fraction("rho", rho))
    low, high = np.zeros(b_.shape), np.ones(b_.shape)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        above = alpha(b_, middle, rho_, lock=lock) > 1
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return np.asarray((low + high) / 2, dtype=np.float64)


def critical_rho(b: ArrayLike, gamma: ArrayLike, *, lock: Lock = "after_channel", shape: Shape = "lock") -> FloatArray:
    """Return the correlation above which a weak signal dies; NaN where no correlation >= 0 amplifies.

    (A_b - 1/gamma) / (A_b - 1) after the channel [D], (gamma A_b - 1) / (gamma A_b - f_b(gamma)) before it [X], by
    bisection for the other shapes [X]. At gamma = 1 it is 1.
    """
    gamma_, b_ = np.broadcast_arrays(fraction("gamma", gamma), counts("b", b))
    clean = gamma_ * majority_slope(b_)
    grows = clean > 1
    if shape == "lock":
        locked = majority_map(gamma_, b_) if is_before_channel(lock, shape) else gamma_
        spread = np.where(grows, clean - locked, 1.0)
        return np.where(grows, (clean - 1) / spread, np.nan)
    is_before_channel(lock, shape)
    low, high = np.zeros(gamma_.shape), np.ones(gamma_.shape)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        above = gamma_ * correlated_majority_derivative(0.0, b_, middle, shape=shape) > 1
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.where(grows, (low + high) / 2, np.nan)


def cubic_coefficient(b: ArrayLike, gamma: ArrayLike, rho: ArrayLike) -> FloatArray:
    """Return c3 = (1 - rho) A_b gamma^3 (b - 1) / 6 of F(mu) = alpha mu - c3 mu^3 + ..., for both lock orders [X]."""
    gamma_, rho_, odd = fraction("gamma", gamma), fraction("rho", rho), odd_fan_in(b)
    return np.asarray((1 - rho_) * majority_slope(odd) * gamma_**3 * (odd - 1) / 6, dtype=np.float64)


def critical_decay(depth: ArrayLike, b: ArrayLike, gamma: ArrayLike, rho: ArrayLike) -> FloatArray:
    """Return 1 / sqrt(2 c3 t), how a signal dies at alpha = 1 for large depth t, whatever it was at the leaves [X]."""
    return np.asarray(1 / np.sqrt(2 * cubic_coefficient(b, gamma, rho) * counts("depth", depth)), dtype=np.float64)


def is_before_channel(lock: Lock, shape: Shape) -> bool:
    """Return whether the before-channel form is meant; refuse it for shapes that have none here."""
    if lock == "before_channel" and shape != "lock":
        raise InputError(f'lock="before_channel" is defined for shape="lock" only, got shape={shape!r}')
    return lock == "before_channel"
