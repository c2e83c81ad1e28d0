"""Intervals of the parameters of fitted tails, by profile likelihood at the given threshold.

Parameters are those that are reported: `alpha` and `rate` of the truncated law, `mu` and `sigma` of the lognormal,
`beta` of the stretched exponential, `rate` of the exponential. The likelihood is that of the tail, grouped far out
as in the search for the maximum. Values are taken as independent: where they come in clusters the intervals are too
narrow, and the cluster bootstrap of the exponent says by how much.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from analysis.tails.alternatives import (
    TRUNCATED_ALPHA,
    TailModel,
    grouped,
    masses,
    per_value,
    tail_start,
)
from analysis.tails.histogram import Histogram
from analysis.tails.masses import lognormal_bins, lognormal_density, stretched_bins, stretched_density
from analysis.tails.partition import log_partition
from analysis.tails.profile import Objective, Range, profile

_FREE: Final = (-1e12, 1e12)
_LOG_BEND: Final = (math.log(1e-6), math.log(1e6))


def parameter_intervals(model: TailModel, tail: Histogram, *, level: float = 0.95) -> dict[str, Range]:
    """Return the interval of each reported parameter of `model`, which was fitted to `tail`."""
    makers = {
        "truncated_power_law": _truncated,
        "lognormal": _lognormal,
        "stretched_exponential": _stretched,
        "exponential": _exponential,
    }
    return makers[model.name](model, tail, level)


def _truncated(model: TailModel, tail: Histogram, level: float) -> dict[str, Range]:
    """Return those of alpha and rate, in which the likelihood is concave, so that rate = 0 is no trap."""
    log = float(np.average(tail.logs, weights=tail.counts)) - math.log(model.xmin)
    excess = float(np.average(tail.values - model.xmin, weights=tail.counts))

    def gain(alpha: float, scaled: float) -> float:
        rate = scaled / excess
        value = -alpha * log - scaled - log_partition(alpha, rate, model.xmin, tail.discrete)
        return value if math.isfinite(value) else -math.inf

    at = (model.params["alpha"], model.params["rate"] * excess)
    ranges = (TRUNCATED_ALPHA, (0.0, 3000.0))
    alpha = profile(gain, tail.n, at, ranges, level=level, scale=(0.1, 0.1))
    scaled = profile(_swapped(gain), tail.n, at[::-1], ranges[::-1], level=level, scale=(0.1, 0.1))
    rate = Range(scaled.low / excess, scaled.high / excess, level, scaled.open_low, scaled.open_high)
    return {"alpha": alpha, "rate": rate}


def _lognormal(model: TailModel, tail: Histogram, level: float) -> dict[str, Range]:
    """Return those of mu and sigma, found over slope s and bend c: sigma = c^-1/2, mu = log t0 - s/c."""
    small = grouped(tail)
    by_slope = per_value(masses(small, model.xmin, lognormal_bins, lognormal_density), small)
    log_t0 = math.log(tail_start(tail, model.xmin))
    mu, sigma = model.params["mu"], model.params["sigma"]
    log_bend = -2.0 * math.log(sigma)
    slope = (log_t0 - mu) / sigma**2

    def by_mu(m: float, log_c: float) -> float:
        return by_slope((log_t0 - m) * math.exp(log_c), log_c)

    ranges = (_LOG_BEND, (-1e4, 1e4))
    bend = profile(_swapped(by_slope), tail.n, (log_bend, slope), ranges, level=level, scale=(0.1, 0.1))
    sigmas = Range(math.exp(-0.5 * bend.high), math.exp(-0.5 * bend.low), level, bend.open_high, bend.open_low)
    mus = profile(by_mu, tail.n, (mu, log_bend), (_FREE, _LOG_BEND), level=level, scale=(0.1 * sigma, 0.1))
    return {"mu": mus, "sigma": sigmas}


def _stretched(model: TailModel, tail: Histogram, level: float) -> dict[str, Range]:
    """Return those of beta and of the slope at the start of the tail."""
    small = grouped(tail)
    f = per_value(masses(small, model.xmin, stretched_bins, stretched_density), small)
    at = (math.log(model.params["slope"]), model.params["beta"])
    ranges = ((-40.0, 40.0), (0.0, 10.0))
    slope = profile(f, tail.n, at, ranges, level=level, scale=(0.1, 0.1))
    beta = profile(_swapped(f), tail.n, at[::-1], ranges[::-1], level=level, scale=(0.1, 0.1))
    return {
        "beta": beta,
        "slope": Range(math.exp(slope.low), math.exp(slope.high), level, slope.open_low, slope.open_high),
    }


def _exponential(model: TailModel, tail: Histogram, level: float) -> dict[str, Range]:
    """Return that of the rate alone: a profile over nothing."""
    excess = float(np.average(tail.values - model.xmin, weights=tail.counts))

    def gain(log_rate: float, _: float) -> float:
        rate = math.exp(log_rate)
        return (math.log(-math.expm1(-rate)) if tail.discrete else log_rate) - rate * excess

    at = (math.log(model.params["rate"]), 0.0)
    found = profile(gain, tail.n, at, ((-700.0, 6.0), (0.0, 0.0)), level=level, scale=(0.1, 1.0))
    return {"rate": Range(math.exp(found.low), math.exp(found.high), level, found.open_low, found.open_high)}


def _swapped(f: Objective) -> Objective:
    """Return `f` with its arguments in the other order."""
    return lambda a, b: f(b, a)
