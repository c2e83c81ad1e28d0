"""This module treats leaves that are not equally good: exact plain and weighted majorities, and what weights gain [X].

Unweighted majorities see only the mean of weak signals and can be worse than their best member; the optimal weights
ln((1 + mu_i) / (1 - mu_i)) never are.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from agentsoc.errors import InputError
from analysis.synergy.theory.arrays import FloatArray, IntArray, real, signal
from analysis.synergy.theory.maps import majority_slope

_EXACT_LEAVES: Final = 20
_SURE: Final = 1 - 2**-50  # a leaf that is never wrong gets this signal where its weight would be infinite


def unweighted_majority(mus: ArrayLike) -> FloatArray:
    """Return the signal of the plain majority of independent leaves, leaves on the last axis; ties by a fair coin.

    Poisson-binomial law of the number of right votes, by its recursion: exact, n^2 steps.
    """
    law = right_vote_law(mus)
    n = law.shape[-1] - 1
    return np.asarray(np.sum(law * np.sign(2 * np.arange(n + 1) - n), axis=-1), dtype=np.float64)


def right_vote_law(mus: ArrayLike) -> FloatArray:
    """Return P(k of the n leaves are right), k = 0..n on the last axis, for independent leaves with signals `mus`."""
    p = (1 + _leaves(mus)) / 2
    law = np.zeros((*p.shape[:-1], p.shape[-1] + 1))
    law[..., 0] = 1.0
    for leaf in range(p.shape[-1]):
        right = p[..., leaf, None]
        law[..., 1:] = law[..., 1:] * (1 - right) + law[..., :-1] * right
        law[..., 0] *= 1 - right[..., 0]
    return law


def log_odds_weights(mus: ArrayLike) -> FloatArray:
    """Return ln((1 + mu) / (1 - mu)), the weights of the best vote of independent leaves (Neyman-Pearson)."""
    return np.asarray(2 * np.arctanh(np.clip(signal("mus", mus), -_SURE, _SURE)), dtype=np.float64)


def weighted_majority(mus: ArrayLike, weights: ArrayLike | None = None, *, cells: int = 8192) -> float:
    """Return the signal of a weighted majority of independent leaves; ties by a fair coin.

    Up to 20 leaves exact, over all 2^n outcomes. Above, the scores are rounded to `cells` cells and their law is
    built by dynamic programming: the error is at most the probability of a score within n/2 cells of zero.

    Args:
        mus: signal of each leaf, shape (n,).
        weights: weight of each vote, shape (n,); the log-odds weights by default.
        cells: resolution of the score grid for more than 20 leaves.
    """
    mu = _leaves(mus).reshape(-1)
    weight = log_odds_weights(mu) if weights is None else real("weights", weights).reshape(-1)
    if weight.shape != mu.shape:
        raise InputError(f"weights and mus must have one entry a leaf, got {weight.size} and {mu.size}")
    if mu.size > _EXACT_LEAVES:
        unit = 2 * np.abs(weight).sum() / cells or 1.0
        return _by_grid(mu, np.rint(weight / unit).astype(np.int64))
    score, chance = np.zeros(1), np.ones(1)
    for leaf, own in zip(mu, weight, strict=True):
        score = np.concatenate([score + own, score - own])
        chance = np.concatenate([chance * ((1 + leaf) / 2), chance * ((1 - leaf) / 2)])
    tie = np.abs(score) <= 1e-12 * np.abs(weight).sum()
    return float(np.sum(np.where(tie, 0.0, np.sign(score)) * chance))


def _by_grid(mu: FloatArray, steps: IntArray) -> float:
    """Return the signal of the majority with whole-numbered weights, by the law of the score."""
    reach = int(np.abs(steps).sum())
    law = np.zeros(2 * reach + 1)
    law[reach] = 1.0
    for leaf, step in zip(mu, steps, strict=True):
        law = np.roll(law, int(step)) * ((1 + leaf) / 2) + np.roll(law, -int(step)) * ((1 - leaf) / 2)
    return float(law[reach + 1 :].sum() - law[:reach].sum())


def weak_majority_slope(mus: ArrayLike) -> FloatArray:
    """Return (A_b / b) sum mu_i, the first-order signal of a plain majority of weak leaves (on the last axis)."""
    mu = _leaves(mus)
    return np.asarray(majority_slope(mu.shape[-1]) * mu.mean(axis=-1), dtype=np.float64)


def weighting_gain(mus: ArrayLike) -> FloatArray:
    """Return RMS(mu) / mean(mu) = sqrt(1 + CV^2), the gain of optimal weights for many weak leaves with mean > 0."""
    mu = _leaves(mus)
    return np.asarray(np.sqrt(np.mean(mu * mu, axis=-1)) / mu.mean(axis=-1), dtype=np.float64)


def _leaves(mus: ArrayLike) -> FloatArray:
    mu = signal("mus", mus)
    if mu.ndim == 0 or mu.shape[-1] == 0:
        raise InputError("mus must hold the signal of each leaf on its last axis, at least one leaf")
    return mu
