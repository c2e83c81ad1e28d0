"""This module puts all topologies on one axis: how many independent votes an outcome is worth [X].

No protocol whose output depends on n independent symmetric leaf votes can exceed f_n(mu_0) (Neyman-Pearson), so the n
that would just reach the observed signal measures any run, and n_eff / N compares organisations.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from agentsoc.errors import InputError
from analysis.synergy.theory.arrays import FloatArray, counts, fraction, real, signal
from analysis.synergy.theory.maps import majority_map_real

_BISECTIONS: Final = 70
_MOST_VOTES: Final = 1e12


def effective_votes(mu0: ArrayLike, mu_out: ArrayLike) -> FloatArray:
    """Return the real n with I_{mu0^2}(1/2, (n + 1)/2) = mu_out, the independent votes that the outcome is worth.

    NaN where the outcome is below one leaf (undefined) or the leaf is at or below chance; inf where the outcome cannot
    be told from perfect (mu_out = 1 with mu0 < 1) or needs more than 1e12 votes.
    """
    leaf, out = np.broadcast_arrays(signal("mu0", mu0), signal("mu_out", mu_out))
    defined = (leaf > 0) & (out >= leaf)
    x = np.where(defined, leaf, 0.5)
    low, high = np.zeros(x.shape), np.full(x.shape, np.log(_MOST_VOTES))
    target = np.where(defined, out, 0.5)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        short = majority_map_real(x, np.exp(middle)) < target
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    votes = np.where(out == leaf, 1.0, np.exp((low + high) / 2))
    endless = (out >= 1) & (leaf < 1) | (votes > 0.999 * _MOST_VOTES)
    return np.where(defined, np.where(endless, np.inf, votes), np.nan)


def voting_ceiling(n: ArrayLike, mu0: ArrayLike) -> FloatArray:
    """Return f_n(mu_0), the most that any protocol gets out of n independent leaf votes (n may be real)."""
    return majority_map_real(mu0, n)


def ring_light_cone(rounds: ArrayLike) -> FloatArray:
    """Return 2 T + 1, the votes that can have reached an agent on a ring after T rounds."""
    return 2 * counts("rounds", rounds, 0) + 1


def kish_votes(n: ArrayLike, rho: ArrayLike) -> FloatArray:
    """Return N / (1 + (N - 1) rho), the independent values that an average of N correlated ones is worth."""
    n_ = counts("n", n)
    return np.asarray(n_ / (1 + (n_ - 1) * fraction("rho", rho)), dtype=np.float64)


def optimal_votes(correlations: ArrayLike) -> float:
    """Return 1' R^-1 1, the votes that N correlated ones are worth with optimal weights; R has shape (n, n)."""
    matrix = _correlation_matrix(correlations)
    return float(np.linalg.solve(matrix, np.ones(len(matrix))).sum())


def equal_weight_votes(correlations: ArrayLike) -> float:
    """Return N^2 / (1' R 1), the votes that N correlated ones are worth with equal weights."""
    matrix = _correlation_matrix(correlations)
    return float(len(matrix) ** 2 / matrix.sum())


def participation_ratio(correlations: ArrayLike) -> float:
    """Return (sum l)^2 / sum l^2 over the eigenvalues of R: how many channels the correlations leave."""
    matrix = _correlation_matrix(correlations)
    return float(np.trace(matrix) ** 2 / np.sum(matrix * matrix))


def _correlation_matrix(correlations: ArrayLike) -> FloatArray:
    matrix = real("correlations", correlations)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not np.allclose(matrix, matrix.T):
        raise InputError(f"correlations must be a symmetric square matrix, got shape {matrix.shape}")
    return matrix
