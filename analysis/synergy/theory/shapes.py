"""This module has three ways in which the b votes of a node can be correlated, and the majority map under each.

The pairwise correlation rho does not fix the majority map: the lock is the optimistic end, the other two, with the
same rho, give a clearly smaller slope (docs/phase-theory.md, "What is assumed"; [X] except the lock map, [P2]).

* ``lock``: with probability rho all b votes are one draw, else they are independent.
* ``beta_binomial``: the votes are coins of one random bias with a beta law; equally a Polya urn, in which vote i+1
  copies one of the i earlier votes with probability i rho / (1 - rho + i rho).
* ``gauss_factor``: vote i is right if sqrt(r) Z + sqrt(1-r) e_i <= Phi^-1(p), Z shared; r = sin(pi rho / 2) makes the
  correlation of two votes equal to rho at chance.

Maps take the signal y of one received vote. All arguments broadcast; rho is in [0, 1].
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from analysis.synergy.theory.arrays import FloatArray, IntArray, between, fraction, signal
from analysis.synergy.theory.maps import (
    majority_map,
    majority_map_derivative,
    majority_map_real,
    majority_slope_real,
    odd_fan_in,
)

Shape = Literal["lock", "beta_binomial", "gauss_factor"]
"""How the votes that a node receives are correlated."""

_TINY: Final = 1e-290  # stands for a probability of 0 where a formula divides by it and multiplies by it again
_NODES: Final = 96  # trapezoid nodes of the Gaussian factor; 64 already give full precision
_NORMAL_REACH: Final = 8.6  # standard deviations
_MEDIAN_REACH: Final = 9.5  # of the scale sqrt(pi / (2 b)) of the median of b normal draws


def correlated_majority_map(y: ArrayLike, b: ArrayLike, rho: ArrayLike, *, shape: Shape = "lock") -> FloatArray:
    """Return the signal of the majority of b votes of signal y and pairwise correlation rho.

    The lock gives rho y + (1 - rho) f_b(y) [P2]; the other shapes are [X].
    """
    if shape == "lock":
        y_, rho_ = signal("y", y), fraction("rho", rho)
        return np.asarray(rho_ * y_ + (1 - rho_) * majority_map(y_, b), dtype=np.float64)
    if shape == "beta_binomial":
        return majority_map_beta_binomial(y, b, rho)
    return majority_map_gauss_factor(y, b, latent_correlation(rho))


def correlated_majority_derivative(y: ArrayLike, b: ArrayLike, rho: ArrayLike, *, shape: Shape = "lock") -> FloatArray:
    """Return the derivative of `correlated_majority_map` with respect to y; at y = 0 the slope of the node [D, X]."""
    if shape == "lock":
        rho_ = fraction("rho", rho)
        return np.asarray(rho_ + (1 - rho_) * majority_map_derivative(y, b), dtype=np.float64)
    if shape == "beta_binomial":
        return majority_derivative_beta_binomial(y, b, rho)
    return majority_derivative_gauss_factor(y, b, latent_correlation(rho))


def latent_correlation(rho: ArrayLike) -> FloatArray:
    """Return sin(pi rho / 2), the latent Gaussian correlation whose votes correlate by rho at chance [X]."""
    return np.asarray(np.sin(np.pi / 2 * fraction("rho", rho)), dtype=np.float64)


def majority_map_beta_binomial(y: ArrayLike, b: ArrayLike, rho: ArrayLike) -> FloatArray:
    """Return the majority map when the number of right votes is beta-binomial with intraclass correlation rho [X]."""
    return _beta_binomial(y, b, rho)[0]


def majority_derivative_beta_binomial(y: ArrayLike, b: ArrayLike, rho: ArrayLike) -> FloatArray:
    """Return the derivative of `majority_map_beta_binomial` with respect to y [X]."""
    return _beta_binomial(y, b, rho)[1]


def _beta_binomial(y: ArrayLike, b: ArrayLike, rho: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return map and derivative, one pass per distinct b."""
    y_, b_, rho_ = np.broadcast_arrays(signal("y", y), odd_fan_in(b), fraction("rho", rho))
    value, derivative = np.empty(y_.shape), np.empty(y_.shape)
    for votes in np.unique(b_):
        at = b_ == votes
        value[at], derivative[at] = _beta_binomial_one(y_[at], int(votes), rho_[at])
    return value, derivative


def _beta_binomial_one(y: FloatArray, b: int, rho: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return map and derivative for one odd b; y and rho have shape (n,).

    P(K = k) = C(b,k) R_k(p) R_{b-k}(1-p) / R_b(1) with R_k(p) = prod_{i<k} (p (1-rho) + i rho): no singular case at
    rho = 0 (binomial) or rho = 1 (all votes equal).
    """
    i = np.arange(b)
    shared = rho[:, None] * i
    right = np.maximum((1 + y) / 2, _TINY)[:, None] * (1 - rho)[:, None] + shared
    wrong = np.maximum((1 - y) / 2, _TINY)[:, None] * (1 - rho)[:, None] + shared
    total = (1 - rho)[:, None] + shared
    right, wrong, total = (np.maximum(factor, _TINY) for factor in (right, wrong, total))
    k = np.arange((b + 1) // 2, b + 1)
    log_choose = special.gammaln(b + 1) - special.gammaln(k + 1) - special.gammaln(b - k + 1)

    def before(factors: FloatArray, n: IntArray) -> FloatArray:
        running = np.concatenate([np.zeros((len(y), 1)), np.cumsum(factors, axis=1)], axis=1)
        return running[:, n]

    log_pmf = log_choose + before(np.log(right), k) + before(np.log(wrong), b - k)
    pmf = np.exp(log_pmf - np.sum(np.log(total), axis=1, keepdims=True))
    score = (1 - rho)[:, None] * (before(1 / right, k) - before(1 / wrong, b - k))
    everything = rho == 1
    value = np.where(everything, y, 2 * pmf.sum(axis=1) - 1)
    return np.clip(value, -1, 1), np.where(everything, 1.0, (pmf * score).sum(axis=1))


def majority_map_gauss_factor(y: ArrayLike, b: ArrayLike, rho_latent: ArrayLike) -> FloatArray:
    """Return the majority map when one Gaussian factor of latent correlation `rho_latent` is shared [X].

    The majority is right iff sqrt(r) Z + sqrt(1-r) M <= Phi^-1(p), M the median of b normal draws (b continued to real
    values). Integrated over Z or over M, whichever leaves the smoother integrand, by the trapezoid rule, whose error
    is then below 1e-13.
    """
    return _gauss_factor(y, b, rho_latent)[0]


def majority_derivative_gauss_factor(y: ArrayLike, b: ArrayLike, rho_latent: ArrayLike) -> FloatArray:
    """Return the derivative of `majority_map_gauss_factor` with respect to y; 0 at |y| = 1 for 0 < r < 1, b > 1 [X]."""
    return _gauss_factor(y, b, rho_latent)[1]


def _gauss_factor(y: ArrayLike, b: ArrayLike, rho_latent: ArrayLike) -> tuple[FloatArray, FloatArray]:
    odd = between("b", np.asarray(odd_fan_in(b)), 1.0)
    y_, b_, r_ = np.broadcast_arrays(signal("y", y), odd, fraction("rho_latent", rho_latent))
    inner = np.clip(y_, -1 + 1e-15, 1 - 1e-15)  # |y| = 1 is set below
    theta = special.ndtri((1 + inner) / 2)[..., None]
    votes, r = b_[..., None], r_[..., None]
    own, common = np.sqrt(1 - r), np.sqrt(r)
    scale = np.sqrt(np.pi / (2 * votes))  # of the median of `votes` normal draws
    unit = np.linspace(-1, 1, _NODES)
    over_median = common >= scale * own

    m = unit * _MEDIAN_REACH * scale  # form 1: average Phi((theta - own M) / common) over the median M
    weight = _median_density(m, votes)
    weight = weight / weight.sum(axis=-1, keepdims=True)
    argument = (theta - own * m) / np.where(over_median, common, 1.0)
    value_m = np.sum(weight * (2 * special.ndtr(argument) - 1), axis=-1)
    slope_m = np.sum(weight * _normal_ratio(argument, theta), axis=-1) / np.where(over_median, common, 1.0)[..., 0]

    z = unit * _NORMAL_REACH  # form 2: average the majority map at fixed Z over Z
    weight = np.exp(-z * z / 2)
    weight = weight / weight.sum()
    argument = (theta - common * z) / np.where(over_median, 1.0, own)
    given_z = 2 * special.ndtr(argument) - 1
    value_z = np.sum(weight * majority_map_real(given_z, np.broadcast_to(votes, given_z.shape)), axis=-1)
    spread = majority_slope_real(votes) * (4 * special.ndtr(argument) * special.ndtr(-argument)) ** ((votes - 1) / 2)
    slope_z = (
        np.sum(weight * spread * _normal_ratio(argument, theta), axis=-1) / np.where(over_median, 1.0, own)[..., 0]
    )

    first = over_median[..., 0]
    value = np.where(first, value_m, value_z)
    slope = np.where(first, slope_m, slope_z)
    certain, trivial = np.abs(y_) == 1, (b_ == 1) | (r_ == 1)
    value = np.where(certain | trivial, y_, np.clip(value, -1, 1))
    return value, np.where(trivial, 1.0, np.where(certain, 0.0, slope))


def _median_density(m: FloatArray, b: FloatArray) -> FloatArray:
    """Return the density, up to a factor, of the median of b standard normal draws at m."""
    return np.asarray((4 * special.ndtr(m) * special.ndtr(-m)) ** ((b - 1) / 2) * np.exp(-m * m / 2), dtype=np.float64)


def _normal_ratio(at: FloatArray, base: FloatArray) -> FloatArray:
    """Return phi(at) / phi(base) for the standard normal density phi."""
    return np.asarray(np.exp((base - at) * (base + at) / 2), dtype=np.float64)
