"""This module treats best of N, with a judge who compares all attempts at once and picks one.

A judge of odds w picks a given right attempt w times as often as a given wrong one; w = 1 guesses, w = inf never picks
a wrong one while there is a right one. The law is derived here [D]; the setting is that of bBoN (arXiv 2510.02250).
"""

from __future__ import annotations

import numpy as np
from scipy import optimize, special

from agentsoc.errors import InputError
from analysis.interval import FloatArray


def best_of(p: float, n: int, w: float) -> float:
    """Return how often the picked attempt is right: sum_j C(n,j) p^j (1-p)^(n-j) j w / (j w + n - j).

    Args:
        p: probability that an attempt is right; attempts independent.
        n: attempts.
        w: odds of the judge for a right attempt against a wrong one, at least 0; inf for a perfect judge.

    Raises:
        InputError: a number is out of range.
    """
    if not (0 <= p <= 1 and n >= 1 and w >= 0):
        raise InputError(f"best of n needs 0 <= p <= 1, n >= 1 and w >= 0, got {p:g}, {n}, {w:g}")
    return float(_mass(p, n) @ picked_right(n, w))


def picked_right(n: int, w: float) -> FloatArray:
    """Return how often the judge picks a right attempt when j of n are right, for j = 0..n, shape (n + 1,)."""
    j = np.arange(n + 1, dtype=np.float64)
    if np.isinf(w):
        return (j > 0).astype(np.float64)
    return np.divide(j * w, j * w + n - j, out=np.ones(n + 1), where=j < n) * (j > 0)


def judge_odds(p: float, n: int, seen: float) -> float:
    """Return the odds w with which best of n is right as often as `seen`: what a judge is worth, from its results.

    Raises:
        InputError: no judge explains it: fewer right than the worst, or more than a perfect one gives.
    """
    worst, best = best_of(p, n, 0.0), best_of(p, n, float("inf"))
    if not worst <= seen <= best:
        raise InputError(f"best of {n} at p={p:g} is right between {worst:.4g} and {best:.4g} times, not {seen:g}")
    if seen >= best_of(p, n, 1e12):
        return float("inf")
    if seen <= best_of(p, n, 1e-12):
        return 0.0
    return float(np.exp(optimize.brentq(lambda u: best_of(p, n, float(np.exp(u))) - seen, -28, 28, xtol=1e-10)))


def _mass(p: float, n: int) -> FloatArray:
    """Return the binomial probabilities of 0..n right attempts."""
    j = np.arange(n + 1)
    with np.errstate(divide="ignore"):
        logs = special.gammaln(n + 1) - special.gammaln(j + 1) - special.gammaln(n - j + 1)
        return np.asarray(np.exp(logs + special.xlogy(j, p) + special.xlog1py(n - j, -p)))
