"""This module has other ways to combine binary answers: votes of all, polls of random peers, chains, verifiers [X]."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from agentsoc.errors import InputError
from analysis.synergy.theory.arrays import FloatArray, counts, fraction, signal


def full_vote(n: ArrayLike, gamma: ArrayLike, mu: ArrayLike, rho: ArrayLike = 0.0) -> FloatArray:
    """Return the signal of an agent that counts its own vote, clean, and N - 1 received ones, N odd.

    With p = (1 + mu)/2 and q = (1 + gamma mu)/2: 2 (p P(Bin(N-1, q) >= (N-1)/2) + (1-p) P(Bin(N-1, q) >= (N+1)/2)) - 1.
    With probability rho the received votes are one draw (lock after the channel), which outvotes the own vote.
    """
    n_, gamma_, mu_, rho_ = np.broadcast_arrays(
        counts("n", n), fraction("gamma", gamma), signal("mu", mu), fraction("rho", rho)
    )
    if np.any(n_ % 2 == 0):
        raise InputError("full_vote needs an odd number of agents: an even electorate has ties")
    p, q = (1 + mu_) / 2, (1 + gamma_ * mu_) / 2
    half = (n_ - 1) / 2
    with_own, without = _at_least(half, n_ - 1, q), _at_least(half + 1, n_ - 1, q)
    free = 2 * (p * with_own + (1 - p) * without) - 1
    return np.where(n_ == 1, mu_, rho_ * gamma_ * mu_ + (1 - rho_) * free)


def _at_least(k: FloatArray, n: FloatArray, q: FloatArray) -> FloatArray:
    """Return P(Bin(n, q) >= k)."""
    inner = special.betainc(np.maximum(k, 0.5), np.maximum(n - k + 1, 0.5), q)
    return np.where(k <= 0, 1.0, np.where(k > n, 0.0, inner))


def poll_rounds_valid(n_agents: ArrayLike, b: ArrayLike) -> FloatArray:
    """Return log_b N, the rounds for which repeated polls of b random peers follow the tree recursion.

    Up to then mu <- f_b(gamma mu) is the mean field, with the same gamma_c (`trajectory`); afterwards leaves are used
    again and f_N(mu_0) caps the gain (`voting_ceiling`).
    """
    return np.asarray(np.log(counts("n_agents", n_agents)) / np.log(counts("b", b, 2)), dtype=np.float64)


def chain_trajectory(mu0: ArrayLike, gamma: ArrayLike, own: ArrayLike, hops: int) -> FloatArray:
    """Return the signal along a binary chain without tallies, shape (hops + 1, ...).

    Each agent answers with its own vote with probability `own`, else passes on what it received: mu' = (1 - own) gamma
    mu + own mu_0.
    """
    start, gamma_, own_ = np.broadcast_arrays(signal("mu0", mu0), fraction("gamma", gamma), fraction("own", own))
    levels = [np.asarray(start, dtype=np.float64)]
    for _ in range(hops):
        levels.append(np.asarray((1 - own_) * gamma_ * levels[-1] + own_ * start))
    return np.stack(levels)


def chain_limit(mu0: ArrayLike, gamma: ArrayLike, own: ArrayLike) -> FloatArray:
    """Return own mu_0 / (1 - (1 - own) gamma), where a long chain ends: never above mu_0, so it never amplifies."""
    start, gamma_, own_ = np.broadcast_arrays(signal("mu0", mu0), fraction("gamma", gamma), fraction("own", own))
    lost = 1 - (1 - own_) * gamma_
    return np.where(lost > 0, own_ * start / np.where(lost > 0, lost, 1.0), start)


def relay_signal(mu0: ArrayLike, gamma: ArrayLike, hops: ArrayLike) -> FloatArray:
    """Return gamma^H mu_0, one answer passed on H times."""
    return np.asarray(fraction("gamma", gamma) ** counts("hops", hops, 0) * signal("mu0", mu0), dtype=np.float64)


def verifier_select(b: ArrayLike, tpr: ArrayLike, fpr: ArrayLike, p: ArrayLike) -> FloatArray:
    """Return the accuracy of a uniform choice among the candidates that a verifier accepts (among all if none).

    With q = p tpr + (1 - p) fpr: (1 - (1-q)^b) p tpr / q + (1-q)^(b-1) p (1 - tpr). Per level the odds grow by up to
    tpr / fpr, without a barrier at chance: verification beats voting for weak leaves.

    Args:
        b: candidates.
        tpr: probability that the verifier accepts a right candidate.
        fpr: probability that it accepts a wrong one.
        p: accuracy of a candidate.
    """
    b_, tpr_, fpr_, p_ = np.broadcast_arrays(
        counts("b", b), fraction("tpr", tpr), fraction("fpr", fpr), fraction("p", p)
    )
    q = np.minimum(p_ * tpr_ + (1 - p_) * fpr_, 1.0)
    inner = np.where((q > 0) & (q < 1), q, 0.5)
    some = np.where(q == 0, b_, np.where(q == 1, 1.0, -np.expm1(b_ * np.log1p(-inner)) / inner))
    return np.asarray(p_ * tpr_ * some + (1 - q) ** (b_ - 1) * p_ * (1 - tpr_), dtype=np.float64)
