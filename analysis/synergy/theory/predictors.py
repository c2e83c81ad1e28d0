"""This module has closed forms for the signal after L levels, named by the kind of bound each is, and mixing depth.

The exact recursion (`trajectory`) is the answer; these serve design algebra, explanations and bounds. All are odd in
mu0, so "upper" and "lower" speak of the magnitude. Arguments broadcast; L is `depth`. The proofs use that F is odd,
increasing and concave on [0, 1], which holds for the lock on either side of the channel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from agentsoc.errors import InputError
from analysis.synergy.theory.arrays import FloatArray, counts, fraction, signal
from analysis.synergy.theory.fixed_points import fixed_point, fixed_point_multiplier
from analysis.synergy.theory.recursion import Lock, alpha, cubic_coefficient, node_map
from analysis.synergy.theory.trajectories import trajectory

_BISECTIONS: Final = 70
_GRID: Final = 256
_ROUNDING: Final = 1e-15
_LONGEST: Final = 100_000


@dataclass(frozen=True)
class _Case:
    """The object holds checked arguments, broadcast, with mu0 as sign and magnitude."""

    sign: FloatArray
    mu0: FloatArray
    b: FloatArray
    gamma: FloatArray
    rho: FloatArray
    depth: FloatArray
    growth: FloatArray
    limit: FloatArray
    lock: Lock

    def gain(self, mu: FloatArray) -> FloatArray:
        """Return R(mu) = F(mu) / mu for mu in (0, 1], falling from alpha to F(1); mu may have a leading grid axis."""
        return np.asarray(node_map(mu, self.b, self.gamma, self.rho, lock=self.lock) / mu, dtype=np.float64)


def _case(mu0: ArrayLike, b: ArrayLike, gamma: ArrayLike, rho: ArrayLike, depth: ArrayLike, lock: Lock) -> _Case:
    mu_, b_, gamma_, rho_, depth_ = np.broadcast_arrays(
        signal("mu0", mu0), counts("b", b), fraction("gamma", gamma), fraction("rho", rho), counts("depth", depth, 0)
    )
    growth = alpha(b_, gamma_, rho_, lock=lock)
    limit = np.nan_to_num(fixed_point(b_, gamma_, rho_, lock=lock), nan=1.0)  # identity: any limit is right, F(1) = 1
    return _Case(np.sign(mu_), np.abs(mu_), b_, gamma_, rho_, depth_, growth, limit, lock)


def _grown(case: _Case, rate: FloatArray, depth: FloatArray) -> FloatArray:
    """Return rate^depth mu0 without overflow, inf where it is beyond any signal."""
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        power = np.exp(np.minimum(depth * np.log(rate) + np.log(case.mu0), 700.0))
    return np.where((depth == 0) | (case.mu0 == 0), case.mu0, power)


def clipped_growth_upper(
    mu0: ArrayLike, b: ArrayLike, gamma: ArrayLike, rho: ArrayLike, depth: ArrayLike, *, lock: Lock = "after_channel"
) -> FloatArray:
    """Return min(mu*, alpha^L mu0), a proven UPPER bound on |mu_L| [D, the natural reading of a clipped predictor].

    Optimistic about the tree, most at the knee (30,000 random sets with alpha > 1.03 and L <= 8: median below 0.1 %,
    1 % of them above 33 %, worst 93 %), so it is conservative only for claims that the tree cannot help. Leaves
    stronger than mu* lose signal; for them the bound is min(mu0, alpha^L mu0).
    """
    case = _case(mu0, b, gamma, rho, depth, lock)
    return case.sign * np.minimum(np.maximum(case.limit, case.mu0), _grown(case, case.growth, case.depth))


def growth_sandwich_lower(
    mu0: ArrayLike, b: ArrayLike, gamma: ArrayLike, rho: ArrayLike, depth: ArrayLike, *, lock: Lock = "after_channel"
) -> FloatArray:
    """Return alpha^L mu0 (1 - c mu0^2 (alpha^2L - 1) / (alpha^2 - 1)), c = c3 / alpha: a LOWER bound on |mu_L| [D].

    0 where the bracket is negative (the bound says nothing). Tight while the signal is weak. Proven for any alpha > 0.
    """
    case = _case(mu0, b, gamma, rho, depth, lock)
    shape = np.where(case.growth > 0, case.growth, 1.0)
    c = cubic_coefficient(case.b, case.gamma, case.rho) / shape
    steps = 2 * np.log(shape)
    with np.errstate(over="ignore", invalid="ignore"):
        span = np.where(np.abs(steps) < 1e-12, case.depth, np.expm1(case.depth * steps) / np.expm1(steps))
        bracket = 1 - c * case.mu0**2 * span
        bound = np.where(bracket > 0, _grown(case, case.growth, case.depth) * bracket, 0.0)
    return case.sign * bound


def chord_clipped_lower(
    mu0: ArrayLike, b: ArrayLike, gamma: ArrayLike, rho: ArrayLike, depth: ArrayLike, *, lock: Lock = "after_channel"
) -> FloatArray:
    """Return max over d of min(d, R(d)^L mu0), R(d) = F(d) / d: a proven LOWER bound on |mu_L| [D].

    This is what "conservative" means for a promise of benefit. R(mu) >= R(d) below d, and F maps [d, mu*] into itself;
    the best d solves d^(L+1) = F(d)^L mu0. Leaves at or above mu* give max(mu*, R(mu0)^L mu0).
    """
    case = _case(mu0, b, gamma, rho, depth, lock)
    weak = (case.mu0 > 0) & (case.mu0 < case.limit)
    start = np.log(np.where(case.mu0 > 0, case.mu0, 1.0))
    low, high = start, np.where(weak, np.log(np.where(case.limit > 0, case.limit, 1.0)), start)
    for _ in range(_BISECTIONS if np.any(weak) else 0):
        middle = (low + high) / 2
        gain = np.where(weak, case.gain(np.minimum(np.exp(middle), 1.0)), 1.0)
        # the gain underflows to zero at subnormal signals; a smaller bound is still a lower bound
        reached = case.depth * np.log(np.maximum(gain, np.finfo(np.float64).tiny)) + start
        low, high = np.where(middle <= reached, middle, low), np.where(middle <= reached, high, middle)
    return case.sign * np.where(weak, np.exp(low), _strong_lower(case))


def two_phase_chord_lower(
    mu0: ArrayLike, b: ArrayLike, gamma: ArrayLike, rho: ArrayLike, depth: ArrayLike, *, lock: Lock = "after_channel"
) -> FloatArray:
    """Return the two-phase chord bound, a proven LOWER bound on |mu_L| that is tighter than the plain chord [X].

    Growth by at least R(d) until d is passed, t_d levels, then contraction to mu* by at most k_d = (mu* - F(d)) /
    (mu* - d); the best of 256 values of d.
    """
    case = _case(mu0, b, gamma, rho, depth, lock)
    weak = (case.mu0 > 0) & (case.mu0 < case.limit)
    low, top = np.where(weak, case.mu0, 0.5), np.where(weak, case.limit, 1.0)
    place = np.arange(_GRID).reshape(-1, *([1] * case.mu0.ndim)) / _GRID
    start, span = np.log(low), np.log(top) - np.log(low)
    d = np.where(place == 0, low, np.minimum(np.exp(start + place * span), 1.0))
    image = node_map(d, case.b, case.gamma, case.rho, lock=lock)
    rate = np.where(weak, image / d, 2.0)
    grows = rate > 1
    levels = place * span / np.where(grows, np.log(np.where(grows, rate, 2.0)), 1.0)
    until = np.where(grows | (d == low), np.ceil(levels * (1 + 1e-12)), np.inf)
    contraction = np.clip(np.where(top > d, (top - image) / np.where(top > d, top - d, 1.0), 1.0), 0.0, 1.0)
    # The difference loses digits for faint signals, so the rounding is taken off; plain growth holds in any case.
    near = top - contraction ** np.maximum(case.depth - until, 0) * (top - d) - _ROUNDING * top
    far = np.minimum(_grown(case, rate, case.depth), d)
    bound = np.where(until <= case.depth, np.maximum(near, far), far)
    return case.sign * np.where(weak, bound.max(axis=0), _strong_lower(case))


def _strong_lower(case: _Case) -> FloatArray:
    """Return the lower bound for leaves at or above mu*: the signal only falls, by R(mu0) or less a level."""
    rate = case.gain(np.where(case.mu0 > 0, case.mu0, 1.0))
    return np.maximum(np.minimum(case.limit, case.mu0), np.minimum(_grown(case, rate, case.depth), case.mu0))


def logistic_clip_approximation(
    mu0: ArrayLike, b: ArrayLike, gamma: ArrayLike, rho: ArrayLike, depth: ArrayLike, *, lock: Lock = "after_channel"
) -> FloatArray:
    """Return mu0 alpha^L / sqrt(1 + (alpha^2L - 1) mu0^2 / mu*^2), the best smooth APPROXIMATION of mu_L [X].

    No bound in general: for b = 3 it is a proven lower bound, for b >= 5 only at small rho. NaN where alpha <= 1.
    """
    case = _case(mu0, b, gamma, rho, depth, lock)
    grows = (case.growth > 1) & (case.limit > 0)
    top = np.where(grows, case.limit, 1.0)
    levels = case.depth * np.log(np.where(grows, case.growth, 2.0))
    # Divided through by mu0 alpha^L / mu*, so that neither a deep tree nor a faint leaf leaves the range of numbers.
    missing = np.exp(np.minimum(np.log(top) - np.log(np.where(case.mu0 > 0, case.mu0, 1.0)) - levels, 700.0))
    value = np.where(case.mu0 > 0, top / np.hypot(missing, np.sqrt(-np.expm1(-2 * levels))), 0.0)
    return np.where(grows, case.sign * value, np.nan)


@dataclass(frozen=True)
class Predictions:
    """The object holds the signal after L levels, exact, bounded and approximated, as arrays of the broadcast shape."""

    exact: FloatArray
    lower_growth: FloatArray
    lower_chord: FloatArray
    lower_two_phase: FloatArray
    upper_clipped_growth: FloatArray
    approximate_logistic: FloatArray


def predictors(
    mu0: ArrayLike, b: ArrayLike, gamma: ArrayLike, rho: ArrayLike, depth: int, *, lock: Lock = "after_channel"
) -> Predictions:
    """Return the exact signal [P2] after `depth` levels next to every bound [D, X] and approximation [X] of it."""
    return Predictions(
        exact=trajectory(mu0, b, gamma, rho, depth, lock=lock)[-1],
        lower_growth=growth_sandwich_lower(mu0, b, gamma, rho, depth, lock=lock),
        lower_chord=chord_clipped_lower(mu0, b, gamma, rho, depth, lock=lock),
        lower_two_phase=two_phase_chord_lower(mu0, b, gamma, rho, depth, lock=lock),
        upper_clipped_growth=clipped_growth_upper(mu0, b, gamma, rho, depth, lock=lock),
        approximate_logistic=logistic_clip_approximation(mu0, b, gamma, rho, depth, lock=lock),
    )


def finite_depth_exponent(mu0: ArrayLike, mu_depth: ArrayLike, b: ArrayLike, depth: ArrayLike) -> FloatArray:
    """Return s_L = ln(mu_L / mu0) / (L ln b), the exponent that a tree of finite depth shows; at most s [X].

    Finite-budget synergy holds where s_L > beta ln(B / x) / ln N (`synergy_boundary_exponent` in `budget`).
    """
    ratio = signal("mu_depth", mu_depth) / signal("mu0", mu0)
    if np.any(ratio <= 0):
        raise InputError(
            "mu0 and mu_depth must be non-zero and of one sign: the exponent is a ratio of their logarithms"
        )
    return np.asarray(np.log(ratio) / (counts("depth", depth) * np.log(counts("b", b, 2))), dtype=np.float64)


@dataclass(frozen=True)
class MixingDepth:
    """The object says how deep a tree must be before more levels buy next to nothing."""

    growth: float
    """ln(mu*/mu0) / ln(alpha), in levels; not positive when the leaves are at mu* or above, inf in collapse."""
    exact: int | None
    """Least t with |mu_t - mu*| <= eps mu*; None in collapse, or beyond the longest depth that was tried."""
    n_leaves: float
    """(mu*/mu0)^(1/s), leaves at the growth depth."""
    remainder: float
    """ln(1/eps) / ln(1/kappa), the levels that the approach to mu* adds asymptotically."""


def mixing_depth(
    mu0: float,
    b: int,
    gamma: float,
    rho: float,
    eps: float = 0.01,
    *,
    lock: Lock = "after_channel",
    longest: int = _LONGEST,
) -> MixingDepth:
    """Return the growth depth [D; concept P] and the exact depth at which the signal is within `eps` of mu*.

    Args:
        mu0: signal of a leaf, in (0, 1].
        b: fan-in, at least 2.
        gamma: fidelity of a message.
        rho: correlation.
        eps: relative distance from mu*, in (0, 1).
        lock: place of the shared draw.
        longest: depth at which the exact search gives up (next to criticality it grows like 1 / (alpha - 1)).
    """
    if not (0 < mu0 <= 1 and 0 < eps < 1):
        raise InputError(f"mixing depth needs mu0 in (0, 1] and eps in (0, 1), got mu0={mu0!r}, eps={eps!r}")
    growth, limit = float(alpha(b, gamma, rho, lock=lock)), float(fixed_point(b, gamma, rho, lock=lock))
    if not limit > 0:
        return MixingDepth(np.inf, None, np.inf, np.inf)
    levels = float(np.log(limit / mu0) / np.log(growth))
    kappa = float(fixed_point_multiplier(b, gamma, rho, lock=lock))
    remainder = float(np.log(1 / eps) / np.log(1 / kappa)) if kappa > 0 else 0.0
    exact, mu = 0, mu0
    while abs(mu - limit) > eps * limit and exact <= longest:
        mu, exact = float(node_map(mu, b, gamma, rho, lock=lock)), exact + 1
    with np.errstate(over="ignore"):
        leaves = float(np.exp(levels * np.log(b)))
    return MixingDepth(levels, exact if exact <= longest else None, leaves, remainder)
