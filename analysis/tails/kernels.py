"""This module has the compiled parts of the power-law fit: Hurwitz zeta, likelihood, KS distance, scan over xmin.

All zeta sums are scaled by their first term: Z(a, q) = sum_{k >= q} (k/q)^(-a), so nothing under- or overflows. They
are summed directly up to a point and by the Euler-Maclaurin formula beyond it (Johansson, Numer. Algor. 69, 2015,
sect. 2). A sample comes as its distinct values u (increasing) and their counts; sums over the sample never touch
single values.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from analysis.jit import compiled

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

ALPHA_MIN, ALPHA_MAX = 1.0 + 1e-6, 60.0
_BERNOULLI = np.array([1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000])
"""B_2k / (2k)! for k = 1..6."""


@compiled
def _switch(a: float, q: float) -> float:
    """Return the first k >= q from which the Euler-Maclaurin formula is exact to double precision."""
    return q + max(0.0, math.ceil(12.0 + a - q))


@compiled
def zeta_sums(a: float, q: float) -> tuple[float, float, float]:
    """Return the sums over k >= q of w, w L and w L^2 with w = (k/q)^(-a), L = log(k/q), for a > 1."""
    s0 = s1 = s2 = 0.0
    x = _switch(a, q)
    k = q
    while k < x:
        log = math.log(k / q)
        w = math.exp(-a * log)
        s0 += w
        s1 += w * log
        s2 += w * log * log
        k += 1.0
    log = math.log(x / q)
    w = math.exp(-a * log)
    b = 1.0 / (a - 1.0)
    integral = w * x * b
    t0, t1, t2 = integral, integral * (log + b), integral * (log * log + 2 * b * log + 2 * b * b)
    t0 += 0.5 * w
    t1 += 0.5 * w * log
    t2 += 0.5 * w * log * log
    rising, slope, bend = a, 1.0 / a, 1.0 / (a * a)
    power = w / x
    for j in range(6):
        term = _BERNOULLI[j] * rising * power
        change = slope - log
        t0 += term
        t1 -= term * change
        t2 += term * (change * change - bend)
        for i in (2 * j + 1, 2 * j + 2):
            rising *= a + i
            slope += 1.0 / (a + i)
            bend += 1.0 / ((a + i) * (a + i))
        power /= x * x
    return s0 + t0, s1 + t1, s2 + t2


@compiled
def _ratio_tail(a: float, x: float) -> float:
    """Return Z(a, x) for x at or beyond the switch, by the Euler-Maclaurin formula alone."""
    y = 1.0 / x
    y2 = y * y
    a1 = a * y
    a3 = a1 * (a + 1) * (a + 2) * y2
    a5 = a3 * (a + 3) * (a + 4) * y2
    a7 = a5 * (a + 5) * (a + 6) * y2
    a9 = a7 * (a + 7) * (a + 8) * y2
    a11 = a9 * (a + 9) * (a + 10) * y2
    low = a1 / 12 - a3 / 720 + a5 / 30240
    return x / (a - 1.0) + 0.5 + low - a7 / 1209600 + a9 / 47900160 - a11 * 691 / 1307674368000


@compiled
def alpha_discrete(mean_log: float, q: float) -> float:
    """Return the maximum-likelihood exponent of x^-a / zeta(a, q), clipped to [ALPHA_MIN, ALPHA_MAX].

    Solves E_a[log(x/q)] = mean_log by Newton's method on the reciprocal, which is nearly linear in a.
    """
    _, s1, _ = zeta_sums(ALPHA_MAX, q)
    s0, _, _ = zeta_sums(ALPHA_MAX, q)
    if mean_log * s0 <= s1:
        return ALPHA_MAX
    wanted = 1.0 / mean_log
    lo, hi = ALPHA_MIN, ALPHA_MAX
    a = min(max(1.0 + 1.0 / (mean_log + 0.5 / q), lo), hi)
    for _ in range(100):
        s0, s1, s2 = zeta_sums(a, q)
        value = s0 / s1 - wanted
        if value > 0:
            hi = a
        else:
            lo = a
        step = value * s1 * s1 / (s0 * s2 - s1 * s1)
        new = a - step
        if not lo < new < hi:
            new = 0.5 * (lo + hi)
        if abs(new - a) <= 1e-13 * a:
            return new
        a = new
    return a


@compiled
def distance_discrete(
    u: F64, log_u: F64, log_u1: F64, below: F64, start: int, a: float, limit: float, hint: int
) -> tuple[float, int]:
    """Return the KS distance of the tail u[start:] from the power law, and the position of the maximum.

    The distance is the supremum over all integers: at every distinct value and just below it. As soon as it exceeds
    `limit` the search stops with what it has; `hint` is the position to look at first.

    Args:
        u: distinct values of the whole sample, increasing whole numbers.
        log_u: log(u).
        log_u1: log(u + 1).
        below: number of values smaller than u[i], shape (len(u) + 1,).
        start: position of xmin.
        a: exponent.
        limit: give up beyond this distance.
        hint: where to look first.
    """
    q, log_q = u[start], log_u[start]
    n = below[-1] - below[start]
    scale = 1.0 / zeta_sums(a, q)[0]
    switch = 12.0 + a
    if hint > start and u[hint] >= switch:
        worst = _gap(u[hint], log_u[hint], log_u1[hint], log_q, a, scale, below, start, hint, n)
        if worst > limit:
            return worst, hint
    worst, where = 0.0, start
    left = 1.0
    k = q
    i = start
    last = len(u)
    while i < last and u[i] < switch:
        while k < u[i]:
            left -= scale * math.exp(-a * math.log(k / q))
            k += 1.0
        before = abs((1.0 - left) - (below[i] - below[start]) / n)
        left -= scale * math.exp(-a * (log_u[i] - log_q))
        k += 1.0
        after = abs((1.0 - left) - (below[i + 1] - below[start]) / n)
        if max(before, after) > worst:
            worst, where = max(before, after), i
            if worst > limit:
                return worst, where
        i += 1
    reached, value = -1.0, 0.0
    while i < last:
        if u[i] != reached:
            value = scale * math.exp(-a * (log_u[i] - log_q)) * _ratio_tail(a, u[i])
        before = abs((1.0 - value) - (below[i] - below[start]) / n)
        reached = u[i] + 1.0
        value = scale * math.exp(-a * (log_u1[i] - log_q)) * _ratio_tail(a, reached)
        after = abs((1.0 - value) - (below[i + 1] - below[start]) / n)
        if max(before, after) > worst:
            worst, where = max(before, after), i
            if worst > limit:
                return worst, where
        i += 1
    return worst, where


@compiled
def _gap(
    x: float,
    log_x: float,
    log_x1: float,
    log_q: float,
    a: float,
    scale: float,
    below: F64,
    start: int,
    i: int,
    n: float,
) -> float:
    """Return the distance at and just below the value x, which lies beyond the switch."""
    survive = scale * math.exp(-a * (log_x - log_q)) * _ratio_tail(a, x)
    survive1 = scale * math.exp(-a * (log_x1 - log_q)) * _ratio_tail(a, x + 1.0)
    before = abs((1.0 - survive) - (below[i] - below[start]) / n)
    after = abs((1.0 - survive1) - (below[i + 1] - below[start]) / n)
    return float(max(before, after))


@compiled
def distance_continuous(log_u: F64, below: F64, start: int, a: float, limit: float, hint: int) -> tuple[float, int]:
    """Return the KS distance of the tail from the continuous power law, like `distance_discrete`."""
    n = below[-1] - below[start]
    log_q = log_u[start]
    if hint > start:
        fit = 1.0 - math.exp((1.0 - a) * (log_u[hint] - log_q))
        worst = max(abs(fit - (below[hint] - below[start]) / n), abs(fit - (below[hint + 1] - below[start]) / n))
        if worst > limit:
            return worst, hint
    worst, where = 0.0, start
    for i in range(start, len(log_u)):
        fit = 1.0 - math.exp((1.0 - a) * (log_u[i] - log_q))
        gap = max(abs(fit - (below[i] - below[start]) / n), abs(fit - (below[i + 1] - below[start]) / n))
        if gap > worst:
            worst, where = gap, i
            if worst > limit:
                return worst, where
    return worst, where


@compiled
def exponent(u: F64, log_u: F64, below: F64, above_log: F64, start: int, discrete: bool) -> float:
    """Return the exponent of the tail u[start:]; `above_log` is the sum of log values at and above each position."""
    n = below[-1] - below[start]
    mean_log = float(max(above_log[start] / n - log_u[start], 0.0))
    if discrete:
        return alpha_discrete(mean_log, u[start])
    if mean_log * (ALPHA_MAX - 1.0) <= 1.0:
        return ALPHA_MAX
    return max(1.0 + 1.0 / mean_log, ALPHA_MIN)


@compiled
def scan(
    u: F64, log_u: F64, log_u1: F64, below: F64, above_log: F64, candidates: I64, discrete: bool, every: bool
) -> tuple[int, F64, F64]:
    """Return the best candidate (an index into `candidates`), and exponent and KS distance of each.

    The best has the smallest distance, ties going to the smaller xmin. With `every` all distances are exact; otherwise
    a candidate is left as soon as it is worse than the best so far, and its distance is only a lower bound.
    A coarse pass over every 16th candidate comes first, so that most of the others are left at once.
    """
    m = len(candidates)
    alphas, distances = np.empty(m), np.empty(m)
    best, least = -1, np.inf
    hint = int(np.int64(-1))  # as a literal it would have a type of its own, and all below it be compiled twice
    stride = 1 if every else 16
    for turn in range(1 if every else 2):
        for c in range(0, m, stride if turn == 0 else 1):
            if turn == 1 and c % stride == 0:
                continue
            start = candidates[c]
            a = exponent(u, log_u, below, above_log, start, discrete)
            limit = np.inf if every else least
            if discrete:
                d, hint = distance_discrete(u, log_u, log_u1, below, start, a, limit, hint)
            else:
                d, hint = distance_continuous(log_u, below, start, a, limit, hint)
            alphas[c], distances[c] = a, d
            if d < least or (d == least and c < best):
                best, least = c, d
    return best, alphas, distances


@compiled
def invert(level: F64, a: float, q: float, least: float) -> F64:
    """Return for each level v the largest whole x >= least with P(X >= x) >= v, exact up to 2^50."""
    out = np.empty(len(level))
    whole = zeta_sums(a, q)[0]
    for i in range(len(level)):
        v = level[i]
        low, high = least, 2.0 * least
        while math.exp(-a * math.log(high / q)) * zeta_sums(a, high)[0] / whole >= v and high < 1e300:
            low, high = high, 2.0 * high
        while high - low > max(1.0, low * 2.0**-50):
            middle = math.floor(0.5 * (low + high))
            if math.exp(-a * math.log(middle / q)) * zeta_sums(a, middle)[0] / whole >= v:
                low = middle
            else:
                high = middle
        out[i] = low
    return out
