"""This module treats K answers instead of two: the plurality of b votes, its fixed points, its first-order window [X].

The signal is mu = (p - 1/K) / (1 - 1/K). Wrong votes are uniform over the K - 1 wrong answers, a message keeps its
answer with probability gamma and is uniform else, ties are broken at random: then wrong answers stay uniform and the
scalar recursion mu' = rho gamma mu + (1 - rho) f_{b,K}(gamma mu) is exact. For K >= 3 the map is convex next to chance:
between gamma_saddle and gamma_c both chance and mu* are stable, and only leaves above a threshold are amplified. So
alpha > 1 is not needed to amplify a strong signal, and alpha <= 1 is no collapse. One popular wrong answer behaves like
K = 2: use `recursion` for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special

from agentsoc.errors import InputError
from analysis.synergy.theory.arrays import FloatArray, IntArray, between, fraction
from analysis.synergy.theory.chance import share_of, signal_of

_SCAN: Final = 2001


def plurality_map(mu: ArrayLike, b: int, k: int) -> FloatArray:
    """Return f_{b,K}(mu), the signal of the plurality of b independent votes among K answers.

    Args:
        mu: signal of one vote, in [-1/(K-1), 1]; 0 is chance.
        b: number of votes, even or odd.
        k: number of answers, at least 2; K = 2 is `majority_map`.
    """
    p = _accuracy(mu, k)
    votes = np.arange(b + 1)
    right = np.sum(_binomial(p[..., None], votes, b) * _wins(b, k), axis=-1)
    return signal_of(right, 1 / k)


def plurality_map_derivative(mu: ArrayLike, b: int, k: int) -> FloatArray:
    """Return f_{b,K}'(mu), from the differences of the Bernstein coefficients: no cancellation at the ends."""
    p = _accuracy(mu, k)
    return np.asarray(b * np.sum(_binomial(p[..., None], np.arange(b), b - 1) * np.diff(_wins(b, k)), axis=-1))


def plurality_slope(b: int, k: int) -> float:
    """Return A_{b,K} = f_{b,K}'(0), the slope at chance; 1 + 1/K for b = 3."""
    return float(plurality_map_derivative(0.0, b, k))


def plurality_alpha(b: int, k: int, gamma: ArrayLike, rho: ArrayLike) -> FloatArray:
    """Return gamma (rho + (1 - rho) A_{b,K}), the growth of a weak signal per level (lock after the channel)."""
    rho_ = fraction("rho", rho)
    return np.asarray(fraction("gamma", gamma) * (rho_ + (1 - rho_) * plurality_slope(b, k)), dtype=np.float64)


def plurality_node_map(mu: ArrayLike, b: int, k: int, gamma: ArrayLike, rho: ArrayLike) -> FloatArray:
    """Return rho gamma mu + (1 - rho) f_{b,K}(gamma mu), one level of a K-ary tree (lock after the channel)."""
    received = fraction("gamma", gamma) * between("mu", mu, -1 / (k - 1), 1)
    rho_ = fraction("rho", rho)
    return np.asarray(rho_ * received + (1 - rho_) * plurality_map(received, b, k), dtype=np.float64)


def plurality_trajectory(mu0: ArrayLike, b: int, k: int, gamma: ArrayLike, rho: ArrayLike, depth: int) -> FloatArray:
    """Return mu_0, ..., mu_depth of a K-ary tree, shape (depth + 1, ...)."""
    mu, *_ = np.broadcast_arrays(np.asarray(mu0, dtype=np.float64), gamma, rho)
    levels = [np.asarray(mu, dtype=np.float64)]
    for _ in range(depth):
        levels.append(plurality_node_map(levels[-1], b, k, gamma, rho))
    return np.stack(levels)


@dataclass(frozen=True)
class PluralityWindow:
    """In the first-order window, gamma_saddle < gamma < gamma_c, chance and mu* are both stable."""

    gamma_saddle: float
    """Fidelity at which mu* appears out of nothing; gamma_c where the transition is continuous."""
    mu_saddle: float
    """Signal at which it appears; 0 where the transition is continuous."""
    gamma_c: float
    """Fidelity at which chance loses its stability (alpha = 1)."""

    @property
    def first_order(self) -> bool:
        """Whether there is a window at all."""
        return self.gamma_saddle < self.gamma_c


def plurality_window(b: int, k: int, rho: float = 0.0) -> PluralityWindow:
    """Return where chance and mu* are both stable.

    A signal y after the channel is a fixed point at gamma = 1 / (rho + (1 - rho) f(y)/y): the saddle is the largest
    f(y)/y, a root of y f'(y) = f(y).
    """
    share = float(fraction("rho", rho))
    gamma_c = 1 / (share + (1 - share) * plurality_slope(b, k))
    grid = np.linspace(0, 1, _SCAN)[1:]
    ratio = plurality_map(grid, b, k) / grid
    peak = int(np.argmax(ratio))
    if ratio[peak] <= plurality_slope(b, k) * (1 + 1e-12):
        return PluralityWindow(gamma_c, 0.0, gamma_c)

    def tangent(y: float) -> float:
        return float(y * plurality_map_derivative(y, b, k) - plurality_map(y, b, k))

    low, high = float(grid[max(peak - 1, 0)]), float(grid[min(peak + 1, grid.size - 1)])
    y = high if tangent(high) >= 0 else float(optimize.brentq(tangent, low, high, xtol=1e-15, rtol=1e-14))
    gamma_saddle = 1 / (share + (1 - share) * float(plurality_map(y, b, k)) / y)
    return PluralityWindow(gamma_saddle, y / gamma_saddle, gamma_c)


@dataclass(frozen=True)
class PluralityFixedPoints:
    """K-ary signals end at `mu_star` when they start above `threshold`, at chance (0) below it."""

    mu_star: float
    """Stable signal above chance; 0 if there is none."""
    threshold: float
    """Unstable signal that separates the two; 0 if every positive signal is amplified, inf if none is."""


def plurality_fixed_points(b: int, k: int, gamma: float, rho: float) -> PluralityFixedPoints:
    """Return the stable and the unstable positive fixed point of the K-ary recursion; K = 2 has no unstable one."""
    received, share = float(fraction("gamma", gamma)), float(fraction("rho", rho))
    if received == 0:
        return PluralityFixedPoints(0.0, np.inf)

    def excess(mu: float) -> float:
        return float(plurality_node_map(mu, b, k, received, share)) - mu

    def root(low: float, high: float) -> float:
        return float(optimize.brentq(excess, low, high, xtol=1e-15, rtol=1e-14))

    saddle = plurality_window(b, k, share)
    grows = float(plurality_alpha(b, k, received, share)) > 1
    if not grows and received < saddle.gamma_saddle * (1 + 1e-15):
        return PluralityFixedPoints(0.0, np.inf)
    # Between the saddle's signal and 1 the gain F(mu)/mu falls, below it the gain rises: one root on either side.
    top = saddle.mu_saddle * saddle.gamma_saddle / received if saddle.first_order else 1e-9
    top = min(top, 1.0)
    mu_star = 1.0 if received == 1 else root(top, 1.0) if excess(1.0) < 0 < excess(top) else top
    if grows:
        return PluralityFixedPoints(mu_star, 0.0)
    return PluralityFixedPoints(mu_star, root(1e-12, top) if excess(1e-12) < 0 < excess(top) else top)


def _accuracy(mu: ArrayLike, k: int) -> FloatArray:
    if k < 2:
        raise InputError(f"a question needs at least 2 answers, got k={k}")
    signal = between("mu", mu, -1 / (k - 1), 1.0)
    return np.clip(share_of(signal, 1 / k), 0.0, 1.0)


def _binomial(p: FloatArray, j: IntArray, n: int) -> FloatArray:
    """Return the probabilities of j successes out of n."""
    log_choose = special.gammaln(n + 1) - special.gammaln(j + 1) - special.gammaln(n - j + 1)
    return np.asarray(np.exp(log_choose + special.xlogy(j, p) + special.xlog1py(n - j, -p)), dtype=np.float64)


@lru_cache(maxsize=256)
def _wins(b: int, k: int) -> FloatArray:
    """Return P(the right answer wins | it has j votes) for j = 0..b, ties at random.

    The b - j wrong votes are uniform over K - 1 answers: none may exceed j, and with t of them at j the right answer
    wins with probability 1 / (t + 1). Counted with independent Poisson cells, conditioned on their sum: all terms are
    positive and of moderate size.
    """
    if b < 1 or b != int(b):
        raise InputError(f"b must be a whole number of votes, at least 1, got {b!r}")
    cells = k - 1
    wins = np.zeros(b + 1)
    for j in range(b + 1):
        n = b - j
        if n == 0:
            wins[j] = 1.0
        elif j > 0:
            wins[j] = _wins_given(j, n, cells)
    wins.setflags(write=False)
    return wins


def _wins_given(j: int, n: int, cells: int) -> float:
    """Return the chance that j right votes win against n uniform votes over `cells` wrong answers."""
    rate = n / cells
    counts = np.arange(n + 1)
    poisson = np.exp(special.xlogy(counts, rate) - rate - special.gammaln(counts + 1))
    below = np.where(counts < j, poisson, 0.0)
    sum_is_n = np.exp(special.xlogy(n, n) - n - special.gammaln(n + 1))
    total = 0.0
    for tied in range(min(cells, n // j) + 1):
        rest = _power(below, cells - tied)[n - tied * j]
        at_j = float(poisson[j]) ** tied if tied else 1.0
        total += special.comb(cells, tied) * at_j * rest / (tied + 1)
    return float(total / sum_is_n)


def _power(series: FloatArray, exponent: int) -> FloatArray:
    """Return the truncated power of a series with non-negative coefficients."""
    result, base = np.zeros_like(series), series
    result[0] = 1.0
    while exponent:
        if exponent & 1:
            result = np.convolve(result, base)[: series.size]
        base, exponent = np.convolve(base, base)[: series.size], exponent >> 1
    return result
