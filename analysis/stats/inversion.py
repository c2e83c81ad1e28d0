"""This module makes the interval of a paired difference and the p of "no difference" say the same.

An interval is the set of differences that a test does not reject. At no difference that test is the sign-flip test
of `analysis.stats.permutation`, exact where answers are right or wrong (McNemar's with one row a task). It cannot be
turned round at other differences: flipping signs needs differences that are symmetric about the one that is tested, and
those of right-or-wrong answers are not (it then holds the truth in 63 % of ten tasks with 85 % ties). So other
differences are tested by

* Tango's score (Statistics in Medicine 17, 1998) for right-or-wrong answers with one row a task,
* the interval over tasks of `analysis.stats.bootstrap` otherwise,

and no difference itself by the exact test. Where the two are at odds about 0, the exact one decides: an interval that
leaves 0 out although p does not is stretched to it; one that holds 0 although p is small ends where the test-based
interval does (Miettinen, American Journal of Epidemiology 103, 1976), at d (1 - z / z_p).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from scipy import optimize, stats

from analysis.interval import Interval

_SLACK: Final = 1e-12
SCORE_METHOD: Final = "Tango's score"


def score_z(wins: int, losses: int, n: int, difference: float) -> float:
    """Return Tango's score of n pairs for a true difference, in standard errors; positive where more was seen.

    z = (b - c - n d) / sqrt(n (2 q + d (1 - d))) with b pairs won, c lost, and q the most likely share of lost pairs
    where the true difference is d: the larger root of 2 n q^2 + (-b - c + (2 n - b + c) d) q - c d (1 - d) = 0.
    """
    first = -wins - losses + (2 * n - wins + losses) * difference
    last = -losses * difference * (1 - difference)
    lost = (np.sqrt(max(first * first - 8 * n * last, 0.0)) - first) / (4 * n)
    variance = n * (2 * lost + difference * (1 - difference))
    off = wins - losses - n * difference
    if variance <= _SLACK:
        return 0.0 if abs(off) < 1e-9 else float(np.copysign(np.inf, off))
    return float(off / np.sqrt(variance))


def score_interval(wins: int, losses: int, n: int, *, level: float = 0.95) -> Interval:
    """Return the differences of n pairs of right-or-wrong answers that Tango's score does not reject.

    It has a width also where nothing differs: n ties leave differences up to z^2 / (n + z^2) open.

    Args:
        wins: pairs in which only the organisation was right.
        losses: pairs in which only the baseline was.
        n: pairs in all, each of a task of its own.
        level: coverage aimed at.
    """
    z, value = float(stats.norm.ppf((1 + level) / 2)), (wins - losses) / n
    low = _crossing(wins, losses, n, (-1.0, value), z)
    high = _crossing(wins, losses, n, (value, 1.0), -z)
    return Interval(value, low, high, level, SCORE_METHOD)


def _crossing(wins: int, losses: int, n: int, between: tuple[float, float], z: float) -> float:
    """Return where the score falls through z, or the end of the range at which it never gets there."""
    low, high = between
    if low == high or (z > 0 and score_z(wins, losses, n, low) <= z):
        return low
    if z < 0 and score_z(wins, losses, n, high) >= z:
        return high

    def off(d: float) -> float:
        return float(np.clip(score_z(wins, losses, n, d), -1e6, 1e6)) - z

    return float(optimize.brentq(off, low, high, xtol=1e-10))


def agreeing(found: Interval, p: float) -> Interval:
    """Return the interval that leaves 0 out exactly where p is at most 1 - level.

    Args:
        found: an interval of a difference.
        p: two-sided p of no difference.
    """
    rejected, value = p <= 1 - found.level + _SLACK, found.value
    if not rejected:
        return replace(found, low=min(found.low, 0.0), high=max(found.high, 0.0))
    if not found.low <= 0.0 <= found.high or value == 0:
        return found
    z, z_p = float(stats.norm.ppf((1 + found.level) / 2)), float(stats.norm.isf(max(p, 1e-300) / 2))
    end = value * max(1 - z / z_p, 1e-6)  # never quite 0, which p leaves out
    return replace(found, low=end) if value > 0 else replace(found, high=end)
