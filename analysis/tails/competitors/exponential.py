"""This module fits the exponential tail, geometric for discrete values: the yardstick of what is heavy-tailed."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from analysis.interval import Interval
from analysis.tails.competitor import Competitor, TailModel, log_likelihood, need_spread
from analysis.tails.histogram import Histogram
from analysis.tails.powerlaw import PowerLaw
from analysis.tails.profile import profile

F64 = NDArray[np.float64]


class ExponentialTail(Competitor):
    """The exponential tail has mass proportional to e^(-rate (x - xmin))."""

    name: ClassVar[str] = "exponential"
    place: ClassVar[int] = 0
    short: ClassVar[str] = "exponential"
    style: ClassVar[tuple[str, str]] = ("tab:orange", ":")

    def fit(self, tail: Histogram, power: PowerLaw) -> TailModel:
        """Return the fit; see `fit_exponential`."""
        return fit_exponential(tail, power.xmin)

    def intervals(self, model: TailModel, tail: Histogram, *, level: float = 0.95) -> dict[str, Interval]:
        """Return the profile-likelihood interval of the rate, the only parameter."""
        excess = float(np.average(tail.values - model.xmin, weights=tail.counts))

        def gain(log_rate: float, _: float) -> float:
            rate = math.exp(log_rate)
            return (math.log(-math.expm1(-rate)) if tail.discrete else log_rate) - rate * excess

        at = (math.log(model.params["rate"]), 0.0)
        found = profile(gain, tail.n, at, ((-700.0, 6.0), (0.0, 0.0)), level=level, scale=(0.1, 1.0))
        return {"rate": found.mapped(math.exp)}

    def survival(self, model: TailModel, x: F64, *, discrete: bool) -> F64:
        """Return e^(-rate (x - xmin))."""
        return np.asarray(np.exp(-model.params["rate"] * (x - model.xmin)))


def fit_exponential(tail: Histogram, xmin: float) -> TailModel:
    """Return the exponential tail: rate = log(1 + 1/(mean - xmin)) if discrete, 1/(mean - xmin) if not."""
    need_spread(tail)
    excess = float(np.average(tail.values - xmin, weights=tail.counts))
    rate = float(np.log1p(1.0 / excess)) if tail.discrete else 1.0 / excess
    first = np.log(-np.expm1(-rate)) if tail.discrete else np.log(rate)
    mass = first - rate * (tail.values - xmin)
    return TailModel("exponential", xmin, {"rate": rate}, log_likelihood(mass, tail), mass, ())
