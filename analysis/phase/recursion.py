"""The tree recursion mu_{t+1} = F(mu_t): growth rate, organization exponent, critical lines, fixed point, trajectories.

A node receives b messages, each flipped with probability (1 - gamma) / 2 on its edge and correlated by rho, and takes
the majority. For the lock after the channel, F(mu) = rho gamma mu + (1 - rho) f_b(gamma mu), exact for the whole tree
[P2]. Assumptions A1-A7 of the theory hold throughout; `trajectory_mixture` drops A2 (equally hard tasks).

`lock` says where the shared draw sits: ``after_channel`` (default; it includes the flip) or ``before_channel`` (the
error is shared, then each copy crosses its own channel) [X]. `shape` says how votes are correlated (`shapes`); only
the lock shape has a before-channel form here. Everything broadcasts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike

from agentsoc.errors import InputError

from .arrays import FloatArray, counts, fraction, signal
from .maps import majority_deficit, majority_map, majority_map_derivative, majority_slope, odd_fan_in
from .shapes import Shape, correlated_majority_derivative, correlated_majority_map

Lock = Literal["after_channel", "before_channel"]
"""Whether the shared draw happens after the messages have crossed the channel or before."""
Regime = Literal["collapse", "amplify", "neutral"]
"""alpha <= 1: the signal dies out; alpha > 1: it grows to mu*; neutral: F is the identity and changes nothing."""

_CRITICAL: Final = 4 * np.finfo(np.float64).eps  # alpha this close to 1 is alpha = 1 with rounding errors
_NEWTON_STEPS: Final = 60
_STEP: Final = 2e-16  # relative Newton step that is rounding only
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
        b: fan-in; an even b works as b - 1 (9.1).
        gamma: fidelity of a message, in [0, 1].
        rho: correlation of the votes a node receives, in [0, 1]; of the sent votes for ``before_channel``.
        lock: place of the shared draw.
        shape: form of the correlation.
    """
    mu_, gamma_, rho_ = signal("mu", mu), fraction("gamma", gamma), fraction("rho", rho)
    if not _before(lock, shape):
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
    if not _before(lock, shape):
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


def critical_gamma(b: ArrayLike, rho: ArrayLike, *, shape: Shape = "lock") -> FloatArray:
    """Return gamma_c = 1 / (rho + (1 - rho) A_b), the fidelity at which alpha = 1; after-channel order [D].

    gamma_c(3, 0) = 2/3, the classical threshold of noisy three-vote majorities. Other shapes: 1 / slope [X].
    """
    return np.asarray(1 / correlated_majority_derivative(0.0, b, rho, shape=shape), dtype=np.float64)


def critical_rho(b: ArrayLike, gamma: ArrayLike, *, lock: Lock = "after_channel", shape: Shape = "lock") -> FloatArray:
    """Return the correlation above which a weak signal dies; NaN where no correlation >= 0 amplifies.

    (A_b - 1/gamma) / (A_b - 1) after the channel [D], (gamma A_b - 1) / (gamma A_b - f_b(gamma)) before it [X], by
    bisection for the other shapes [X]. At gamma = 1 it is 1.
    """
    gamma_, b_ = np.broadcast_arrays(fraction("gamma", gamma), counts("b", b))
    clean = gamma_ * majority_slope(b_)
    grows = clean > 1
    if shape == "lock":
        locked = majority_map(gamma_, b_) if _before(lock, shape) else gamma_
        spread = np.where(grows, clean - locked, 1.0)
        return np.where(grows, (clean - 1) / spread, np.nan)
    _before(lock, shape)
    low, high = np.zeros(gamma_.shape), np.ones(gamma_.shape)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        above = gamma_ * correlated_majority_derivative(0.0, b_, middle, shape=shape) > 1
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.where(grows, (low + high) / 2, np.nan)


def cubic_coefficient(b: ArrayLike, gamma: ArrayLike, rho: ArrayLike) -> FloatArray:
    """Return c3 in F(mu) = alpha mu - c3 mu^3 + ...; (1 - rho) A_b gamma^3 (b - 1) / 6, same for both lock orders [X]."""
    gamma_, rho_, odd = fraction("gamma", gamma), fraction("rho", rho), odd_fan_in(b)
    return np.asarray((1 - rho_) * majority_slope(odd) * gamma_**3 * (odd - 1) / 6, dtype=np.float64)


def critical_decay(depth: ArrayLike, b: ArrayLike, gamma: ArrayLike, rho: ArrayLike) -> FloatArray:
    """Return 1 / sqrt(2 c3 t), how a signal dies at alpha = 1 for large depth t, whatever it was at the leaves [X]."""
    return np.asarray(1 / np.sqrt(2 * cubic_coefficient(b, gamma, rho) * counts("depth", depth)), dtype=np.float64)


def fixed_point(
    b: ArrayLike, gamma: ArrayLike, rho: ArrayLike, *, lock: Lock = "after_channel", shape: Shape = "lock"
) -> FloatArray:
    """Return mu*, the limit of every positive signal under more and more levels.

    0 where alpha <= 1 (collapse to chance, also at alpha = 1), the one positive root of F(mu) = mu where alpha > 1 [P,
    proof D], 1 at gamma = 1. NaN where F is the identity (gamma = 1 with b <= 2 or rho = 1). For the lock the root is
    found as D_b(gamma mu) = delta, with D_b the deficit of the majority from linear growth, by Newton steps from a
    proven upper bound: the digits do not drown near the critical line. Other shapes: bisection; that they have one
    positive root was checked numerically, not proven.
    """
    b_, gamma_, rho_ = np.broadcast_arrays(counts("b", b), fraction("gamma", gamma), fraction("rho", rho))
    growth = alpha(b_, gamma_, rho_, lock=lock, shape=shape)
    grows = growth > 1 + _CRITICAL
    if shape == "lock":
        own = np.where(grows, (1 - rho_) * gamma_ * majority_slope(b_), 1.0)
        received = _invert_deficit(np.where(grows, (growth - 1) / own, 0.0), odd_fan_in(b_))
        root = np.minimum(received / np.where(gamma_ > 0, gamma_, 1.0), 1.0)
        root = np.where(gamma_ == 1, 1.0, root)
    else:
        root = _bisect_fixed_point(b_, gamma_, rho_, grows, lock, shape)
    identity = (gamma_ == 1) & ((b_ <= 2) | (rho_ == 1))
    return np.where(identity, np.nan, np.where(grows, root, 0.0))


def _invert_deficit(delta: FloatArray, b: FloatArray) -> FloatArray:
    """Return y in [0, 1] with `majority_deficit`(y, b) = delta.

    With m = (b-1)/2 and u = y^2, D >= m u / 3 - m (m-1) u^2 / 10 bounds y from above and so does f_b <= 1. From the
    right, Newton's method on the concave f_b(y) - (1 - delta) A_b y falls monotonically onto the root.
    """
    m, slope = np.maximum((b - 1) / 2, 0.5), majority_slope(b)
    quadratic = 2 * m * (m - 1) / 5 * delta
    square = np.where(m * m / 9 > quadratic, 2 * delta / (m / 3 + np.sqrt(np.maximum(m * m / 9 - quadratic, 0))), 1.0)
    y = np.minimum(np.minimum(np.sqrt(square), 1 / np.maximum((1 - delta) * slope, 1.0)), 1.0)
    flat_y, flat_b, flat_delta, flat_slope = (np.array(a).reshape(-1) for a in np.broadcast_arrays(y, b, delta, slope))
    moving = np.flatnonzero(flat_delta > 0)
    for _ in range(_NEWTON_STEPS):
        at, fan_in, short = flat_y[moving], flat_b[moving], flat_delta[moving]
        excess = at * (short - majority_deficit(at, fan_in))
        steepness = majority_map_derivative(at, fan_in) / flat_slope[moving] - (1 - short)
        step = np.where((steepness < 0) & (excess < 0), excess / np.where(steepness < 0, steepness, -1.0), 0.0)
        flat_y[moving] = at - step
        moving = moving[step > _STEP * at]
        if moving.size == 0:
            break
    return np.where(delta > 0, flat_y.reshape(y.shape), 0.0)


def _bisect_fixed_point(
    b: FloatArray, gamma: FloatArray, rho: FloatArray, grows: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
    lock: Lock, shape: Shape,
) -> FloatArray:
    """Return the positive root of F(mu) = mu where `grows`, by bisection on the logarithm of mu."""
    low, high = np.full(b.shape, -40.0), np.zeros(b.shape)
    for _ in range(_BISECTIONS if np.any(grows) else 0):
        middle = (low + high) / 2
        mu = np.exp(middle)
        above = node_map(mu, b, gamma, rho, lock=lock, shape=shape) > mu
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.where(gamma == 1, 1.0, np.exp((low + high) / 2))


def fixed_point_multiplier(
    b: ArrayLike, gamma: ArrayLike, rho: ArrayLike, *, lock: Lock = "after_channel", shape: Shape = "lock"
) -> FloatArray:
    """Return kappa = F'(mu*): errors around mu* shrink by kappa per level; alpha where the signal collapses [D]."""
    limit = fixed_point(b, gamma, rho, lock=lock, shape=shape)
    kappa = node_map_derivative(np.nan_to_num(limit), b, gamma, rho, lock=lock, shape=shape)
    return np.where(np.isnan(limit), 1.0, kappa)


def fixed_point_fan_in_three(gamma: ArrayLike, rho: ArrayLike) -> FloatArray:
    """Return mu* for b = 3 in closed form, (1/gamma) sqrt((3 - rho - 2/gamma) / (1 - rho)); 0 below criticality [X].

    After-channel lock; rho < 1 and gamma > 0.
    """
    gamma_, rho_ = fraction("gamma", gamma), fraction("rho", rho)
    square = (3 - rho_ - 2 / gamma_) / (1 - rho_)
    return np.asarray(np.sqrt(np.maximum(square, 0)) / gamma_, dtype=np.float64)


def tree_beats_its_leaf(
    mu0: ArrayLike, b: ArrayLike, gamma: ArrayLike, rho: ArrayLike, *, lock: Lock = "after_channel"
) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Return whether a tree, of any depth, beats one of its own leaves: 0 < mu0 < mu* [X].

    Stricter than alpha > 1: lossy aggregation makes strong leaves worse.
    """
    mu0_ = signal("mu0", mu0)
    return np.asarray((mu0_ > 0) & (mu0_ < np.nan_to_num(fixed_point(b, gamma, rho, lock=lock))))


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
    return np.sum(trajectory(mus, b_, gamma_, rho_, depth, lock=lock, shape=shape) * share, axis=-1)


def mixture_limit(
    mus: ArrayLike, weights: ArrayLike, b: ArrayLike, gamma: ArrayLike, rho: ArrayLike, *, lock: Lock = "after_channel"
) -> FloatArray:
    """Return mu* (P(mu_k > 0) - P(mu_k < 0)), where the mean signal of a task mixture ends [X]."""
    sides = np.sum(np.sign(signal("mus", mus)) * fraction("weights", weights), axis=-1)
    return np.asarray(sides * fixed_point(b, gamma, rho, lock=lock), dtype=np.float64)


@dataclass(frozen=True)
class PhasePoint:
    """Where one organisation sits in the phase diagram."""

    b: int
    gamma: float
    rho: float
    alpha: float
    """Growth of a weak signal per level."""
    s: float
    """Organization exponent: signal ~ N^s."""
    mu_star: float
    """Signal at infinite depth."""
    kappa: float
    """Contraction of errors around mu* per level."""
    regime: Regime

    def summary(self) -> str:
        """Return one line for a person."""
        return (
            f"b={self.b} gamma={self.gamma:.3g} rho={self.rho:.3g}: alpha={self.alpha:.4g}, s={self.s:.4g}, "
            f"mu*={self.mu_star:.4g}, kappa={self.kappa:.4g} ({self.regime})"
        )


def phase_point(
    b: int, gamma: float, rho: float, *, lock: Lock = "after_channel", shape: Shape = "lock"
) -> PhasePoint:
    """Return growth, exponent, fixed point, its multiplier and the regime of one (b, gamma, rho)."""
    limit = float(fixed_point(b, gamma, rho, lock=lock, shape=shape))
    regime: Regime = "neutral" if np.isnan(limit) else "amplify" if limit > 0 else "collapse"
    return PhasePoint(
        b=b,
        gamma=gamma,
        rho=rho,
        alpha=float(alpha(b, gamma, rho, lock=lock, shape=shape)),
        s=float(organization_exponent(b, gamma, rho, lock=lock, shape=shape)),
        mu_star=limit,
        kappa=float(fixed_point_multiplier(b, gamma, rho, lock=lock, shape=shape)),
        regime=regime,
    )


def _before(lock: Lock, shape: Shape) -> bool:
    """Return whether the before-channel form is meant; refuse it for shapes that have none here."""
    if lock == "before_channel" and shape != "lock":
        raise InputError(f'lock="before_channel" is defined for shape="lock" only, got shape={shape!r}')
    return lock == "before_channel"
