"""The competitors of the power law on the same tail, all normalised above xmin and all discrete for discrete samples.

exponential (geometric)   x = xmin + k with p proportional to e^(-rate k)
truncated_power_law       x^-alpha e^(-rate x), with alpha >= -1 and rate >= 0; holds the power law as rate = 0
lognormal                 mass of each value binned at +-1/2
stretched_exponential     mass of each value binned at +-1/2, exponent beta in [0, 10]; beta = 1 is the exponential

Continuous samples use the densities. Parameters at an end of their range are told in `at_bound`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentsoc.errors import InputError
from analysis.tails.histogram import Histogram
from analysis.tails.masses import lognormal_bins, lognormal_density, stretched_bins, stretched_density
from analysis.tails.optimise import Box, maximise
from analysis.tails.partition import log_partition
from analysis.tails.powerlaw import PowerLaw

F64 = NDArray[np.float64]

_GROUPS: Final = 256
TRUNCATED_ALPHA: Final = (-1.0, 60.0)


@dataclass(frozen=True)
class TailModel:
    """One model fitted to the values at or above `xmin` by maximum likelihood."""

    name: str
    xmin: float
    params: dict[str, float]
    loglik: float
    log_mass: F64
    """Log probability (density) of each distinct value of the tail."""
    at_bound: tuple[str, ...]
    """Parameters that ended at an end of their range."""
    converged: bool = True

    @property
    def aic(self) -> float:
        """Akaike's criterion, 2 k - 2 log L."""
        return 2.0 * len(self.params) - 2.0 * self.loglik

    def summary(self) -> str:
        """Return one line: parameters and log-likelihood."""
        values = ", ".join(f"{name} = {value:.4g}" for name, value in self.params.items())
        bound = f" (at bound: {', '.join(self.at_bound)})" if self.at_bound else ""
        return f"{self.name}: {values}{bound}, log L = {self.loglik:.6g}"


def fit_exponential(tail: Histogram, xmin: float) -> TailModel:
    """Return the exponential tail: rate = log(1 + 1/(mean - xmin)) if discrete, 1/(mean - xmin) if not."""
    _need_spread(tail)
    excess = float(np.average(tail.values - xmin, weights=tail.counts))
    rate = float(np.log1p(1.0 / excess)) if tail.discrete else 1.0 / excess
    first = np.log(-np.expm1(-rate)) if tail.discrete else np.log(rate)
    mass = first - rate * (tail.values - xmin)
    return TailModel("exponential", xmin, {"rate": rate}, _total(mass, tail), mass, ())


def fit_truncated(tail: Histogram, power: PowerLaw, near: TailModel | None = None) -> TailModel:
    """Return the power law with exponential cut-off; rate = 0, the power law itself, if no cut-off fits better.

    `near` is the fit to a similar tail, to start from: the likelihood has one maximum, so one start will do.
    """
    _need_spread(tail)
    xmin = power.xmin
    logs = tail.logs - np.log(xmin)
    log, excess = (float(np.average(x, weights=tail.counts)) for x in (logs, tail.values - xmin))

    def gain(alpha: float, log_rate: float) -> float:
        rate = float(np.exp(log_rate))
        return -alpha * log - rate * excess - log_partition(alpha, rate, xmin, tail.discrete)

    scale = -float(np.log(excess))
    box = Box((TRUNCATED_ALPHA[0], scale - 25.0), (TRUNCATED_ALPHA[1], scale + 8.0))
    reach = -float(np.log(tail.values[-1]))
    starts = [
        (power.alpha, reach - 3),
        (power.alpha, reach),
        (power.alpha - 0.5, reach + 1),
        (0.5, scale),
        (-0.5, scale),
    ]
    if near is not None and near.params["rate"] > 0:
        starts = [(near.params["alpha"], float(np.log(near.params["rate"])))]
    found = maximise(gain, gain, starts, box)
    alpha, rate = found.at[0], float(np.exp(found.at[1]))
    bound = tuple(name for name, hit in zip(("alpha", "rate"), found.bound, strict=True) if hit)
    if found.value <= power.loglik / tail.n + 1e-12:
        alpha, rate, bound = power.alpha, 0.0, ("rate",)
    mass = -alpha * logs - rate * (tail.values - xmin) - log_partition(alpha, rate, xmin, tail.discrete)
    params = {"alpha": alpha, "rate": rate}
    return TailModel("truncated_power_law", xmin, params, _total(mass, tail), mass, bound, found.converged)


def fit_lognormal(tail: Histogram, power: PowerLaw) -> TailModel:
    """Return the lognormal tail; `mu` and `sigma` are those of the logarithm; sigma at its bound is a power law."""
    _need_spread(tail)
    mean = float(np.average(tail.logs, weights=tail.counts))
    variance = float(np.average((tail.logs - mean) ** 2, weights=tail.counts))
    log_t0 = float(np.log(tail_start(tail, power.xmin)))
    rough = -float(np.log(variance))
    starts = [((log_t0 - mean) / variance, rough), (power.alpha - 1.0, -4.0), (power.alpha - 1.0, -9.0), (0.0, rough)]
    box = Box((-1e4, float(np.log(1e-6))), (1e4, float(np.log(1e6))))
    slope, log_bend, mass, bound, converged = _binned(tail, power.xmin, lognormal_bins, lognormal_density, starts, box)
    sigma = float(np.exp(-0.5 * log_bend))
    params = {"mu": log_t0 - slope * sigma**2, "sigma": sigma}
    names = tuple(name for name, hit in zip(("mu", "sigma"), bound, strict=True) if hit)
    return TailModel("lognormal", power.xmin, params, _total(mass, tail), mass, names, converged)


def fit_stretched(tail: Histogram, power: PowerLaw) -> TailModel:
    """Return the stretched exponential tail; `slope` is that of -log S against log t at its start."""
    _need_spread(tail)
    excess = float(np.average(tail.values - power.xmin, weights=tail.counts))
    log_slope = float(np.log(power.alpha - 1.0))
    rate = float(np.log(tail_start(tail, power.xmin) / max(excess, 1e-300)))
    starts = [(log_slope, 0.05), (log_slope - 0.7, 0.3), (rate, 1.0), (rate + 0.7, 0.6)]
    box = Box((-40.0, 0.0), (40.0, 10.0))
    slope, beta, mass, bound, converged = _binned(tail, power.xmin, stretched_bins, stretched_density, starts, box)
    params = {"beta": beta, "slope": float(np.exp(slope))}
    names = tuple(name for name, hit in zip(("slope", "beta"), bound, strict=True) if hit)
    return TailModel("stretched_exponential", power.xmin, params, _total(mass, tail), mass, names, converged)


Bins = Callable[[F64, F64, float, float, F64], None]
Density = Callable[[F64, float, float, F64], None]


def _binned(
    tail: Histogram, xmin: float, bins: Bins, density: Density, starts: list[tuple[float, float]], box: Box
) -> tuple[float, float, F64, tuple[bool, bool], bool]:
    """Return (first parameter, second parameter, log masses, bounds hit, converged) of a two-parameter tail."""
    exact = masses(tail, xmin, bins, density)
    small = grouped(tail)
    coarse = masses(small, xmin, bins, density)

    found = maximise(per_value(exact, tail), per_value(coarse, small), starts, box)
    return *found.at, exact(*found.at).copy(), found.bound, found.converged


def masses(tail: Histogram, xmin: float, bins: Bins, density: Density) -> Callable[[float, float], F64]:
    """Return the function from the two parameters to the log masses of the tail's values."""
    out = np.empty(len(tail.values))
    log_start = np.log(tail_start(tail, xmin))
    if tail.discrete:
        low, high = np.log(tail.values - 0.5) - log_start, np.log(tail.values + 0.5) - log_start

        def discrete(a: float, b: float) -> F64:
            bins(low, high, a, b, out)
            return out

        return discrete
    logs = tail.logs - log_start

    def continuous(a: float, b: float) -> F64:
        density(logs, a, b, out)
        return out - tail.logs

    return continuous


def per_value(log_masses: Callable[[float, float], F64], part: Histogram) -> Callable[[float, float], float]:
    """Return the log-likelihood per value of `part` as a function of the two parameters, -inf where it is no number."""
    weights = part.counts / part.n

    def value(a: float, b: float) -> float:
        total = float(weights @ log_masses(a, b))
        return total if np.isfinite(total) else -np.inf

    return value


def tail_start(tail: Histogram, xmin: float) -> float:
    """Return where the tail begins on the continuous scale."""
    return xmin - 0.5 if tail.discrete else xmin


def grouped(tail: Histogram) -> Histogram:
    """Return a tail of at most `_GROUPS` values in which neighbours far out are merged at their mean logarithm."""
    if len(tail.values) <= _GROUPS:
        return tail
    # The first values weigh most and stay as they are; the rest is cut into equal widths of log x.
    head = _GROUPS // 4
    width = (tail.logs[-1] - tail.logs[head]) / (_GROUPS - head)
    group = np.floor((tail.logs[head:] - tail.logs[head]) / width).astype(np.int64)
    counts = np.bincount(group, weights=tail.counts[head:])
    means = np.bincount(group, weights=tail.counts[head:] * tail.logs[head:])
    used = counts > 0
    merged = np.exp(means[used] / counts[used])
    return Histogram(
        np.concatenate([tail.values[:head], merged]),
        np.concatenate([tail.counts[:head], counts[used].astype(np.int64)]),
        tail.discrete,
    )


def _total(mass: F64, tail: Histogram) -> float:
    """Return the log-likelihood of the tail."""
    return float(tail.counts @ mass)


def _need_spread(tail: Histogram) -> None:
    """Refuse a tail of equal values: no model but a point mass fits it."""
    if np.count_nonzero(tail.counts) < 2:
        raise InputError("the tail holds a single distinct value", "", "choose a smaller xmin")
