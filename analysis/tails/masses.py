"""This module has log probabilities of lognormal and stretched exponential tails, stable up to the power-law limit.

Both are written by their survival function relative to its start t0, as a function of l = log(t/t0):

    lognormal              S = exp(-(s l + c l^2 / 2)) erfcx((z0 + r l)/sqrt 2) / erfcx(z0/sqrt 2), r = sqrt c, z0 = s/r
    stretched exponential  S = exp(-s (e^(b l) - 1) / b)

s is the slope at t0 and c or b how fast it steepens: c = 1/sigma^2, s = (log t0 - mu)/sigma^2. c -> 0 and b -> 0 are
power laws, which the usual parameters reach only at infinity. A discrete value x gets the mass between x - 1/2 and
x + 1/2, renormalised above xmin - 1/2.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from analysis.jit import compiled

F64 = NDArray[np.float64]

_ROOT2 = math.sqrt(2.0)
_LOG_ROOT_2_PI = 0.5 * math.log(2.0 * math.pi)
_NARROW = 1e-7
"""Bins narrower than this in log x take the density times the width: a difference would lose all digits."""


@compiled
def _erfcx(x: float) -> float:
    """Return exp(x^2) erfc(x) for x >= 0."""
    if x < 25.0:
        return math.exp(x * x) * math.erfc(x)
    y = 1.0 / (x * x)
    return (1.0 - y * (0.5 - y * (0.75 - y * (1.875 - y * 6.5625)))) / (x * math.sqrt(math.pi))


@compiled
def _log_upper(z: float) -> float:
    """Return the log of the normal survival function."""
    if z > 0.0:
        return -0.5 * z * z + math.log(0.5 * _erfcx(z / _ROOT2))
    return math.log(0.5 * math.erfc(z / _ROOT2))


@compiled
def _log_between(a: float, b: float) -> float:
    """Return the log probability that a standard normal lies between a < b."""
    if a < 0.0 < b:
        return math.log(0.5 * (math.erf(b / _ROOT2) - math.erf(a / _ROOT2)))
    if b <= 0.0:
        a, b = -b, -a
    upper = _log_upper(a)
    return upper + math.log(-math.expm1(_log_upper(b) - upper))


@compiled
def lognormal_bins(low: F64, high: F64, slope: float, log_bend: float, out: F64) -> None:
    """Write the log mass of the lognormal tail between each pair of l = log(edge/t0) into `out`."""
    c = math.exp(log_bend)
    r = math.sqrt(c)
    z0 = slope / r
    start = _log_upper(z0)
    steep = z0 >= 0.0
    base = _erfcx(z0 / _ROOT2) if steep else 1.0
    for i in range(len(low)):
        a, b = low[i], high[i]
        if b - a < _NARROW:
            middle = 0.5 * (a + b)
            out[i] = -(slope * middle + 0.5 * c * middle * middle) + math.log(r * (b - a))
            out[i] += math.log(math.sqrt(2.0 / math.pi) / base) if steep else -0.5 * z0 * z0 - _LOG_ROOT_2_PI - start
        elif steep:
            at = -(slope * a + 0.5 * c * a * a) + math.log(_erfcx((z0 + r * a) / _ROOT2) / base)
            to = -(slope * b + 0.5 * c * b * b) + math.log(_erfcx((z0 + r * b) / _ROOT2) / base)
            out[i] = at + math.log(-math.expm1(to - at))
        else:
            out[i] = _log_between(z0 + r * a, z0 + r * b) - start


@compiled
def lognormal_density(logs: F64, slope: float, log_bend: float, out: F64) -> None:
    """Write the log density in l of the lognormal tail at each l = log(x/xmin) into `out`."""
    c = math.exp(log_bend)
    r = math.sqrt(c)
    z0 = slope / r
    hazard = (
        -0.5 * z0 * z0 - _LOG_ROOT_2_PI - _log_upper(z0)
        if z0 < 0.0
        else math.log(math.sqrt(2.0 / math.pi) / _erfcx(z0 / _ROOT2))
    )
    for i in range(len(logs)):
        out[i] = -(slope * logs[i] + 0.5 * c * logs[i] * logs[i]) + hazard + math.log(r)


@compiled
def _growth(x: float, b: float) -> float:
    """Return (e^(b x) - 1)/b, which is x for b = 0."""
    return math.expm1(b * x) / b if abs(b) > 1e-12 else x


@compiled
def stretched_bins(low: F64, high: F64, log_slope: float, b: float, out: F64) -> None:
    """Write the log mass of the stretched exponential tail between each pair of l into `out`."""
    s = math.exp(log_slope)
    for i in range(len(low)):
        fall = s * (_growth(high[i], b) - _growth(low[i], b))
        if high[i] - low[i] < _NARROW:
            fall = s * math.exp(0.5 * b * (low[i] + high[i])) * (high[i] - low[i])
        out[i] = -s * _growth(low[i], b) + math.log(-math.expm1(-fall))


@compiled
def stretched_density(logs: F64, log_slope: float, b: float, out: F64) -> None:
    """Write the log density in l of the stretched exponential tail at each l into `out`."""
    s = math.exp(log_slope)
    for i in range(len(logs)):
        out[i] = log_slope + b * logs[i] - s * _growth(logs[i], b)
