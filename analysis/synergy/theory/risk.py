"""This module treats continuous answers: the mean-square error of an average, by organisation.

A leaf's estimate is unbiased with error variance sigma2; errors of any two leaves correlate by rho; a link adds
independent noise of variance sigma_c2. Everything broadcasts. Each formula with exchangeable rho is an instance of
`risk_linear` [X]. The paper's chain rule and variance exponent are not known; conventions here are stated, tags say
where a formula comes from.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from agentsoc.errors import InputError
from analysis.synergy.theory.arrays import FloatArray, between, counts, fraction, real


def leaf_variance(x: ArrayLike, sigma1_2: ArrayLike, eta: ArrayLike) -> FloatArray:
    """Return sigma_1^2 x^-eta, the error variance of a leaf with x > 0 tokens; eta = 2 beta matches a weak vote [D]."""
    return np.asarray(between("sigma1_2", sigma1_2, 0.0) * between("x", x, 0.0) ** -real("eta", eta), dtype=np.float64)


def risk_linear(
    weights: ArrayLike, gains: ArrayLike, sigma2: ArrayLike, rho: ArrayLike, sigma_c2: ArrayLike
) -> FloatArray:
    """Return sigma2 (rho + (1 - rho) sum w^2) + sigma_c2 sum g^2, for any linear unbiased aggregator [X].

    Args:
        weights: leaf weights on the last axis, summing to 1.
        gains: gain with which the noise of each link reaches the answer, on the last axis.
        sigma2: error variance of a leaf.
        rho: correlation of the errors of any two leaves.
        sigma_c2: noise variance of a link.
    """
    w, g = real("weights", weights), real("gains", gains)
    if not np.allclose(w.sum(axis=-1), 1, rtol=0, atol=1e-9):
        raise InputError(f"weights must sum to 1 for an unbiased answer, got {w.sum(axis=-1)!s}")
    leaves, noise, rho_ = np.sum(w * w, axis=-1), np.sum(g * g, axis=-1), fraction("rho", rho)
    return np.asarray(
        _variance("sigma2", sigma2) * (rho_ + (1 - rho_) * leaves) + _variance("sigma_c2", sigma_c2) * noise
    )


def risk_star(n: ArrayLike, sigma2: ArrayLike, rho: ArrayLike, sigma_c2: ArrayLike) -> FloatArray:
    """Return sigma2 (1 + (N - 1) rho) / N + sigma_c2 / N, for N m <= W [D, concept P]."""
    n_ = counts("n", n)
    return np.asarray(_pooled(n_, sigma2, rho) + _variance("sigma_c2", sigma_c2) / n_, dtype=np.float64)


def risk_star_floor(sigma2: ArrayLike, rho: ArrayLike) -> FloatArray:
    """Return rho sigma2, the risk of an endless star; the window stops a real one at floor(W / m) leaves [D]."""
    return np.asarray(fraction("rho", rho) * _variance("sigma2", sigma2), dtype=np.float64)


def tree_contraction(b: ArrayLike, rho: ArrayLike) -> FloatArray:
    """Return lam = (1 + (b - 1) rho) / b, by which a node shrinks the variance of its children [P2]."""
    b_ = counts("b", b, 2)
    return np.asarray((1 + (b_ - 1) * fraction("rho", rho)) / b_, dtype=np.float64)


def risk_tree(b: ArrayLike, depth: ArrayLike, sigma2: ArrayLike, rho: ArrayLike, sigma_c2: ArrayLike) -> FloatArray:
    """Return the risk of a tree with a correlation at each node and independent link noise (lock before noise) [P2].

    v' = lam v + sigma_c2 / b, so v_L = lam^L sigma2 + sigma_c2 (1 - lam^L) / (b (1 - lam)).
    """
    lam, b_ = tree_contraction(b, rho), counts("b", b, 2)
    return _geometric(lam, counts("depth", depth, 0), _variance("sigma2", sigma2), _variance("sigma_c2", sigma_c2) / b_)


def risk_tree_floor(b: ArrayLike, rho: ArrayLike, sigma_c2: ArrayLike) -> FloatArray:
    """Return v* = sigma_c2 / ((b - 1)(1 - rho)), what no depth gets below; rho < 1 [P2]."""
    return np.asarray(_variance("sigma_c2", sigma_c2) / ((counts("b", b, 2) - 1) * (1 - _below_one(rho))))


def risk_tree_shared_noise(
    b: ArrayLike, depth: ArrayLike, sigma2: ArrayLike, rho: ArrayLike, sigma_c2: ArrayLike
) -> FloatArray:
    """Return the risk of a tree whose lock comes after the link noise: v' = lam (v + sigma_c2) [X]."""
    lam = tree_contraction(b, rho)
    return _geometric(
        lam, counts("depth", depth, 0), _variance("sigma2", sigma2), lam * _variance("sigma_c2", sigma_c2)
    )


def risk_tree_shared_noise_floor(b: ArrayLike, rho: ArrayLike, sigma_c2: ArrayLike) -> FloatArray:
    """Return (1 + (b - 1) rho) sigma_c2 / ((b - 1)(1 - rho)); rho < 1 [X]."""
    return np.asarray((1 + (counts("b", b, 2) - 1) * fraction("rho", rho)) * risk_tree_floor(b, rho, sigma_c2))


def risk_tree_global(
    b: ArrayLike, depth: ArrayLike, sigma2: ArrayLike, rho: ArrayLike, sigma_c2: ArrayLike
) -> FloatArray:
    """Return the risk of a tree under one correlation of all leaves: _pooled + sigma_c2 (1 - 1/N) / (b - 1) [X]."""
    b_ = counts("b", b, 2)
    n = b_ ** counts("depth", depth, 0)
    return np.asarray(_pooled(n, sigma2, rho) + _variance("sigma_c2", sigma_c2) * (1 - 1 / n) / (b_ - 1))


def risk_tree_global_floor(b: ArrayLike, sigma2: ArrayLike, rho: ArrayLike, sigma_c2: ArrayLike) -> FloatArray:
    """Return rho sigma2 + sigma_c2 / (b - 1) [X]."""
    return np.asarray(risk_star_floor(sigma2, rho) + _variance("sigma_c2", sigma_c2) / (counts("b", b, 2) - 1))


def risk_chain_mean(n: ArrayLike, sigma2: ArrayLike, rho: ArrayLike, sigma_c2: ArrayLike) -> FloatArray:
    """Return the risk of a chain that keeps the running mean: pooled + sigma_c2 (N - 1)(2N - 1) / (6N) [D].

    No floor: it grows like N sigma_c2 / 3. The convention (weights 1/N) is ours.
    """
    n_ = counts("n", n)
    noise = _variance("sigma_c2", sigma_c2) * (n_ - 1) * (2 * n_ - 1) / (6 * n_)
    return np.asarray(_pooled(n_, sigma2, rho) + noise, dtype=np.float64)


def chain_mean_best_length(sigma2: ArrayLike, rho: ArrayLike, sigma_c2: ArrayLike) -> FloatArray:
    """Return the real N that minimises `risk_chain_mean`, sqrt(3 (1 - rho) sigma2 / sigma_c2 + 1/2), at least 1 [X].

    About sqrt(3 (1 - rho)) sigma / sigma_c for quiet links [D]; inf without link noise.
    """
    quiet = (1 - fraction("rho", rho)) * _variance("sigma2", sigma2)
    with np.errstate(divide="ignore", invalid="ignore"):
        square = 3 * quiet / _variance("sigma_c2", sigma_c2) + 0.5
    return np.maximum(np.sqrt(np.nan_to_num(square, nan=1.0, posinf=np.inf)), 1.0)


def risk_chain_kalman(n: int, sigma2: ArrayLike, rho: ArrayLike, sigma_c2: ArrayLike) -> FloatArray:
    """Return the risk of a chain with optimal gains: rho sigma2 + v_N, a scalar filter along the chain [X].

    v_1 = u = (1 - rho) sigma2, v_{k+1} = (v_k + sigma_c2) u / (v_k + sigma_c2 + u).
    """
    u, noise = (1 - fraction("rho", rho)) * _variance("sigma2", sigma2), _variance("sigma_c2", sigma_c2)
    v, noise = np.broadcast_arrays(u, noise)
    for _ in range(int(counts("n", n)) - 1):
        received = v + noise
        total = received + u
        v = np.where(total > 0, received * u / np.where(total > 0, total, 1.0), 0.0)
    return np.asarray(risk_star_floor(sigma2, rho) + v, dtype=np.float64)


def risk_chain_kalman_floor(sigma2: ArrayLike, rho: ArrayLike, sigma_c2: ArrayLike) -> FloatArray:
    """Return rho sigma2 + (sqrt(c^2 + 4 c u) - c) / 2, with u = (1 - rho) sigma2 and c = sigma_c2 [X]."""
    u, noise = (1 - fraction("rho", rho)) * _variance("sigma2", sigma2), _variance("sigma_c2", sigma_c2)
    root = np.sqrt(noise * noise + 4 * noise * u)
    # This is the difference of root and noise, without cancellation.
    return np.asarray(risk_star_floor(sigma2, rho) + 2 * noise * u / np.where(root > 0, root + noise, 1.0))


def risk_chain_relay(hops: ArrayLike, sigma2: ArrayLike, sigma_c2: ArrayLike) -> FloatArray:
    """Return sigma2 + H sigma_c2: one estimate passed on H times [D]."""
    return np.asarray(_variance("sigma2", sigma2) + counts("hops", hops, 0) * _variance("sigma_c2", sigma_c2))


def risk_full(n: ArrayLike, sigma2: ArrayLike, rho: ArrayLike, sigma_c2: ArrayLike) -> FloatArray:
    """Return the risk of everybody averaging everybody once, own value clean; needs (N - 1) m <= W [X].

    Pooled + sigma_c2 (N - 1) / N^2; the floor is rho sigma2 (`risk_star_floor`).
    """
    n_ = counts("n", n)
    return np.asarray(_pooled(n_, sigma2, rho) + _variance("sigma_c2", sigma_c2) * (n_ - 1) / (n_ * n_))


def risk_ring_gossip(
    n: int, weight: float, rounds: ArrayLike, sigma2: ArrayLike, rho: ArrayLike, sigma_c2: ArrayLike
) -> FloatArray:
    """Return the risk of an agent on a ring after T rounds of averaging with `weight` per neighbour [X].

    Eigenvalues l_k = 1 - 2 w (1 - cos(2 pi k / N)), q = 2 w^2 sigma_c2; risk = (sigma2 / N)(1 + (N - 1) rho + (1 - rho)
    sum_{k>0} l_k^2T) + (q / N)(T + sum_{k>0} (1 - l_k^2T) / (1 - l_k^2)). The mean mode collects noise linearly in T,
    so the best T is finite.

    Args:
        n: agents on the ring, at least 3.
        weight: weight of each neighbour, in [0, 1/2].
        rounds: T, broadcast with the rest.
        sigma2: error variance of an agent's own estimate.
        rho: correlation of the errors.
        sigma_c2: noise variance of a link.
    """
    size, w = int(counts("n", n, 3)), float(between("weight", weight, 0.0, 0.5))
    squares = (1 - 2 * w * (1 - np.cos(2 * np.pi * np.arange(1, size) / size))) ** 2
    t, s2, rho_, noise = (
        np.asarray(value)[..., None]
        for value in (counts("rounds", rounds, 0), _variance("sigma2", sigma2), fraction("rho", rho), sigma_c2)
    )
    left = squares**t
    gap = np.where(squares < 1, 1 - squares, 1.0)
    collected = np.where(squares < 1, (1 - left) / gap, t).sum(axis=-1)
    spread = 1 + (size - 1) * rho_[..., 0] + (1 - rho_[..., 0]) * left.sum(axis=-1)
    q = 2 * w * w * _variance("sigma_c2", noise)[..., 0]
    return np.asarray(s2[..., 0] / size * spread + q / size * (t[..., 0] + collected), dtype=np.float64)


def variance_exponent(b: ArrayLike, rho: ArrayLike) -> FloatArray:
    """Return s_c = 1 - log_b(1 + (b - 1) rho): the variance of a quiet tree falls like N^-s_c [D].

    The allocation of `budget` applies with t = s_c and beta = eta.
    """
    b_ = counts("b", b, 2)
    return np.asarray(1 - np.log1p((b_ - 1) * fraction("rho", rho)) / np.log(b_), dtype=np.float64)


def _variance(name: str, value: ArrayLike) -> FloatArray:
    return between(name, value, 0.0)


def _below_one(rho: ArrayLike) -> FloatArray:
    value = fraction("rho", rho)
    if np.any(value == 1):
        raise InputError("rho must be below 1: fully correlated leaves have no floor but their own variance")
    return value


def _pooled(n: FloatArray, sigma2: ArrayLike, rho: ArrayLike) -> FloatArray:
    """Return sigma2 (1 + (N - 1) rho) / N, the variance of the mean of N exchangeable errors."""
    return np.asarray(_variance("sigma2", sigma2) * (1 + (n - 1) * fraction("rho", rho)) / n, dtype=np.float64)


def _geometric(rate: FloatArray, steps: FloatArray, start: FloatArray, added: FloatArray) -> FloatArray:
    """Return v_L of v' = rate v + added, also at rate = 1."""
    power = rate**steps
    total = np.where(rate < 1, (1 - power) / np.where(rate < 1, 1 - rate, 1.0), steps)
    return np.asarray(power * start + added * total, dtype=np.float64)
