"""This module has the majority map: what one unweighted majority of independent votes does to their signal.

A vote is +1 (correct) or -1 (wrong); its signal is x = E[vote] = 2p - 1. The map is f_b(x) = E sign(sum of b votes).
Everything here takes scalars or arrays that broadcast. The slope formula is [P2], the closed forms are [D].
"""

from __future__ import annotations

from math import comb, pi
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from analysis.synergy.theory.arrays import FloatArray, between, counts, signal

Ties = Literal["fair_coin", "first_child", "failure"]
"""What a tie of an even number of votes means: a coin, the vote of one fixed child, or a wrong answer."""

_EXACT_UP_TO: Final = (
    1023  # slopes of odd b up to here come from integers, correctly rounded; A_3 is 1.5 to the last bit
)
_SLOPES: Final[FloatArray] = np.array([b * comb(b - 1, b // 2) / (1 << (b - 1)) for b in range(1, _EXACT_UP_TO + 1, 2)])
_SERIES_FROM: Final = 101  # real b above which the expansion is used; below it the gamma functions keep their digits
_LINEAR_BELOW: Final = 1e-16  # b x^2 below which f_b(x) = A_b x to the last bit (and x^2 may underflow)
_SERIES_BELOW: Final = 0.1  # (b-1)/2 x^2 below which the deficit is summed instead of subtracted
_SERIES_TERMS: Final = 14


def majority_slope_real(b: ArrayLike) -> FloatArray:
    """Return A_b = f_b'(0) = 2 / Beta(1/2, (b+1)/2) for any real b >= 1 [D]."""
    b_ = between("b", b, 1.0)
    few = special.poch((np.minimum(b_, _SERIES_FROM) + 1) / 2, 0.5) * (2 / np.sqrt(pi))
    return np.where(b_ > _SERIES_FROM, _slope_of_many(b_), few)


def majority_slope(b: ArrayLike) -> FloatArray:
    """Return A_b = f_b'(0) = b C(b-1, (b-1)/2) / 2^(b-1) [P2]; an even b has the slope of b - 1 [X].

    Args:
        b: fan-in, whole numbers >= 1. Integer arithmetic up to 1023, an asymptotic series above: no overflow.
    """
    odd = odd_fan_in(b)
    exact = np.asarray(_SLOPES[np.minimum(odd, _EXACT_UP_TO).astype(np.intp) // 2])
    large = odd > _EXACT_UP_TO
    return np.where(large, _slope_of_many(odd), exact) if np.any(large) else exact


def _slope_of_many(b: FloatArray) -> FloatArray:
    """Return A_b for b > 101 by the expansion of Gamma(w + 3/4) / Gamma(w + 1/4), w = (2b + 1) / 4, to the last bit."""
    w = (2 * b + 1) / 4
    u = 1 / (w * w)
    series = 1 + u * (1 / 64 + u * (-19 / 8192 + u * (631 / 524288)))
    return np.asarray(2 / np.sqrt(pi) * np.sqrt(w) * series, dtype=np.float64)


def majority_slope_asymptotic(b: ArrayLike) -> FloatArray:
    """Return sqrt(2 b / pi), the leading term of A_b for large b (relative error about 1 / (4 b)) [D]."""
    return np.asarray(np.sqrt(2 * counts("b", b) / pi))


def majority_map(x: ArrayLike, b: ArrayLike, *, ties: Ties = "fair_coin") -> FloatArray:
    """Return f_b(x), the signal of the majority of b independent votes of signal x [P2 for odd b, X for even b].

    f_b(x) = sign(x) I_{x^2}(1/2, (b+1)/2), the regularised incomplete beta function: odd, increasing, and concave on
    [0, 1] for b >= 3. With an even b and a fair coin (or any fixed child) the last vote is wasted: f_b = f_{b-1}. With
    ties counted as failure f_b(0) < 0: chance is no fixed point any more, so the phase theory does not apply.

    Args:
        x: signal, in [-1, 1].
        b: number of votes, whole numbers >= 1.
        ties: what a tie means; only an even b has ties.
    """
    x_, b_ = np.broadcast_arrays(signal("x", x), counts("b", b))
    fair = majority_map_real(x_, odd_fan_in(b_))
    if ties != "failure":
        return fair
    tied = majority_slope(b_ + 1) / (b_ + 1) * ((1 - x_) * (1 + x_)) ** (b_ / 2)  # C(b, b/2) (pq)^(b/2)
    return np.where(b_ % 2 == 0, fair - tied, fair)


def majority_map_real(x: ArrayLike, b: ArrayLike) -> FloatArray:
    """Return f_b(x) continued to real b >= 1, as effective numbers of votes need it [X]."""
    x_, b_ = np.broadcast_arrays(signal("x", x), between("b", b, 1.0))
    curve = np.asarray(np.copysign(special.betainc(0.5, (b_ + 1) / 2, x_ * x_), x_), dtype=np.float64)
    faint = b_ * x_ * x_ < _LINEAR_BELOW
    return np.where(faint, majority_slope_real(b_) * x_, curve) if np.any(faint) else curve


def majority_map_derivative(x: ArrayLike, b: ArrayLike) -> FloatArray:
    """Return f_b'(x) = A_b (1 - x^2)^((b-1)/2) for whole b (an even b as b - 1) [P2]."""
    x_, odd = np.broadcast_arrays(signal("x", x), odd_fan_in(b))
    return np.asarray(majority_slope(odd) * ((1 - x_) * (1 + x_)) ** ((odd - 1) / 2), dtype=np.float64)


def majority_deficit(x: ArrayLike, b: ArrayLike) -> FloatArray:
    """Return 1 - f_b(x) / (A_b x), by how much the majority falls short of linear growth; 0 at x = 0 [D].

    Where the difference would cancel, the series sum_n (-1)^(n+1) C((b-1)/2, n) x^(2n) / (2n+1) is used, so that
    fixed points next to the critical line keep their digits.
    """
    x_, odd = np.broadcast_arrays(np.abs(signal("x", x)), odd_fan_in(b))
    m = (odd - 1) / 2
    square = x_ * x_
    term, series = np.ones_like(square), np.zeros_like(square)
    near = np.where(m * square < _SERIES_BELOW, square, 0.0)
    for n in range(1, _SERIES_TERMS + 1):
        term = term * near * (m - n + 1) / -n
        series -= term / (2 * n + 1)
    linear = majority_slope(odd) * np.where(x_ > 0, x_, 1.0)
    return np.where(m * square < _SERIES_BELOW, series, 1 - majority_map_real(x_, odd) / linear)


def odd_fan_in(b: ArrayLike) -> FloatArray:
    """Return the odd fan-in with the same majority map: b itself, or b - 1 for an even b [X]."""
    b_ = counts("b", b)
    return np.asarray(b_ - (b_ % 2 == 0), dtype=np.float64)
