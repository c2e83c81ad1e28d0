"""This module says where the recursion ends: the fixed point mu*, its stability, and the place in the phase diagram."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike

from analysis.synergy.theory.arrays import BoolArray, FloatArray, counts, fraction, signal
from analysis.synergy.theory.maps import majority_deficit, majority_map_derivative, majority_slope, odd_fan_in
from analysis.synergy.theory.recursion import Lock, alpha, node_map, node_map_derivative, organization_exponent
from analysis.synergy.theory.shapes import Shape

Regime = Literal["collapse", "amplify", "neutral"]
"""alpha <= 1: the signal dies out; alpha > 1: it grows to mu*; neutral: F is the identity and changes nothing."""

_CRITICAL: Final = 4 * np.finfo(np.float64).eps  # alpha this close to 1 is alpha = 1 with rounding errors
_NEWTON_STEPS: Final = 60
_STEP: Final = 2e-16  # relative Newton step that is rounding only
_BISECTIONS: Final = 80


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
    b: FloatArray,
    gamma: FloatArray,
    rho: FloatArray,
    grows: BoolArray,
    lock: Lock,
    shape: Shape,
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
) -> BoolArray:
    """Return whether a tree, of any depth, beats one of its own leaves: 0 < mu0 < mu* [X].

    Stricter than alpha > 1: lossy aggregation makes strong leaves worse.
    """
    mu0_ = signal("mu0", mu0)
    return np.asarray((mu0_ > 0) & (mu0_ < np.nan_to_num(fixed_point(b, gamma, rho, lock=lock))))


@dataclass(frozen=True)
class PhasePoint:
    """The point says where one organisation sits in the phase diagram."""

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


def phase_point(b: int, gamma: float, rho: float, *, lock: Lock = "after_channel", shape: Shape = "lock") -> PhasePoint:
    """Return growth, exponent [P2], fixed point, multiplier [D] and regime [P] of one (b, gamma, rho)."""
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
