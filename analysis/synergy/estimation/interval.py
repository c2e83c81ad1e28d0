"""This module defines an estimate with its interval, and the ways in which intervals are made in this package.

Every estimator of the phase returns `Estimate`s, so that a value never travels without its uncertainty and the method
that gave it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from scipy import stats

from agentsoc.errors import InputError
from agentsoc.streams import stream
from analysis.interval import Interval
from analysis.synergy.theory.arrays import FloatArray

Method = Literal["profile", "wilson", "jackknife", "bootstrap", "delta", "given"]
"""How an interval was made; ``given`` is a value that the caller states and nobody measured."""

LEVEL: Final = 0.95
"""Coverage that every interval aims at."""
NORMAL: Final = float(stats.norm.ppf((1 + LEVEL) / 2))
"""Half width of an interval, in standard errors."""
_SHORT: Final = 0.8  # of a side of the interval: draws that reach less far tell less than it does
_STILL: Final = 0.01  # of a side: draws that reach less far do not spread at all
WIDEST: Final = 0.5
"""Widest interval of gamma or rho by which a regime is decided. A wider one is told all the same: to leave estimates
out by their width would leave in those that came out small, and they would be too small on average."""


@dataclass(frozen=True)
class Estimate(Interval):
    """An estimate is a parameter found from data, with its 95 % interval."""

    method: Method = "given"
    se: float = math.nan
    """Standard error; NaN where the method gives an interval only."""

    def __str__(self) -> str:
        if self.method == "given":
            return f"{self.value:.4g} (given)"
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}] ({self.method})"


def sure(p: float) -> str:
    """Return a probability, never as a certainty: it is a share of some hundred draws."""
    return "> 0.99" if p > 0.99 else "< 0.01" if p < 0.01 else f"{p:.2f}"


def equals(told: str) -> str:
    """Return what stands between the name of a probability and what `sure` tells of it: "= 0.61", "> 0.99"."""
    return told if told[0] in "<>" else f"= {told}"


def given(value: float) -> Estimate:
    """Return a value that was stated, not measured, and so has no width."""
    return Estimate(value, value, value, method="given", se=0.0)


def from_draws(value: float, draws: FloatArray) -> Estimate:
    """Return `value` with the percentile interval of its bootstrap `draws`, shape (n_draws,); NaN draws are left out.

    Raises:
        InputError: fewer than half of the draws are numbers.
    """
    usable = draws[np.isfinite(draws)]
    if usable.size * 2 < draws.size or usable.size < 2:
        raise InputError(
            f"only {usable.size} of {draws.size} resamples give this estimate",
            "",
            "it hangs on a few tasks; measure more of them",
        )
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(usable, [tail, 1 - tail])
    return Estimate(float(value), float(low), float(high), method="bootstrap", se=float(usable.std(ddof=1)))


def hull(one: Estimate, other: Estimate) -> Estimate:
    """Return the first estimate with an interval that holds both; the method is that of the wider one."""
    low, high = min(one.low, other.low), max(one.high, other.high)
    wider = one if one.width >= other.width else other
    return Estimate(one.value, low, high, method=wider.method, se=max(one.se, error_of(one.value, low, high)))


def error_of(value: float, low: float, high: float) -> float:
    """Return a standard error that reaches the further end of an interval: at a border the other end is the value."""
    return max(value - low, high - value) / NORMAL


def as_wide(found: Estimate, draws: FloatArray, *, seed: int = 0) -> FloatArray:
    """Return draws that reach as far as the interval of their estimate, shape (n_draws,).

    They are the draws given, but where resamples tell less than the interval does. A side of which they reach less than
    four fifths is stretched to its end, in which draws keep their order, and so go with those of other parameters as
    before. Tasks that all came out alike give the same value in every resample; then each end of the interval is 1.96
    standard deviations from the value, by the half of a normal distribution to its side.
    """
    usable = draws[np.isfinite(draws)]
    if found.method == "given" or not found.width > 0 or not usable.size:
        return draws
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(usable, [tail, 1 - tail])
    wide = np.array(draws, dtype=np.float64)
    for reach, side, which in (
        (found.value - float(low), found.value - found.low, draws < found.value),
        (float(high) - found.value, found.high - found.value, draws > found.value),
    ):
        if reach >= _SHORT * side:
            continue
        if reach < _STILL * side:
            z = stream(seed, "phase", "spread").standard_normal(draws.size)
            ends = np.where(z < 0, found.value - found.low, found.high - found.value)
            return np.asarray(found.value + z * np.maximum(ends, 0.0) / NORMAL, dtype=np.float64)
        wide[which] = found.value + (draws[which] - found.value) * side / reach
    return wide


def jackknife(value: float, left_out: FloatArray) -> Estimate:
    """Return the bias-corrected estimate and its interval from the values with one task left out, shape (n_tasks,).

    value' = T value - (T-1) mean(left_out), se^2 = (T-1)/T sum (left_out - mean)^2, quantiles of Student's t with
    T - 1 degrees of freedom.
    """
    n = left_out.size
    centre = float(left_out.mean())
    corrected = n * value - (n - 1) * centre
    se = float(np.sqrt((n - 1) / n * np.sum((left_out - centre) ** 2)))
    reach = float(stats.t.ppf((1 + LEVEL) / 2, n - 1)) * se
    return Estimate(corrected, corrected - reach, corrected + reach, method="jackknife", se=se)
