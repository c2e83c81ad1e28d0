"""This module fits the power law with cut-off, x^-alpha e^(-rate x): alpha >= -1, rate >= 0; 0 is the power law."""

from __future__ import annotations

import math
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from analysis.interval import Interval
from analysis.tails.competitor import Competitor, TailModel, log_likelihood, need_spread
from analysis.tails.histogram import Histogram
from analysis.tails.optimise import SearchBox, maximise
from analysis.tails.partition import log_partition
from analysis.tails.powerlaw import PowerLaw
from analysis.tails.profile import profile, swapped

F64 = NDArray[np.float64]

TRUNCATED: Final = "truncated_power_law"
_ALPHA: Final = (-1.0, 60.0)


class TruncatedPowerLaw(Competitor):
    """The truncated power law has mass proportional to x^-alpha e^(-rate x)."""

    name: ClassVar[str] = TRUNCATED
    place: ClassVar[int] = 1
    short: ClassVar[str] = "truncated"
    style: ClassVar[tuple[str, str]] = ("tab:red", "--")
    holds_power_law: ClassVar[bool] = True

    def fit(self, tail: Histogram, power: PowerLaw) -> TailModel:
        """Return the fit; see `fit_truncated`."""
        return fit_truncated(tail, power)

    def intervals(self, model: TailModel, tail: Histogram, *, level: float = 0.95) -> dict[str, Interval]:
        """Return the intervals of alpha and rate; the likelihood is concave in both, so rate = 0 is no trap."""
        log = float(np.average(tail.logs, weights=tail.counts)) - math.log(model.xmin)
        excess = float(np.average(tail.values - model.xmin, weights=tail.counts))

        def gain(alpha: float, scaled: float) -> float:
            rate = scaled / excess
            value = -alpha * log - scaled - log_partition(alpha, rate, model.xmin, tail.discrete)
            return value if math.isfinite(value) else -math.inf

        at = (model.params["alpha"], model.params["rate"] * excess)
        ranges = (_ALPHA, (0.0, 3000.0))
        alpha = profile(gain, tail.n, at, ranges, level=level, scale=(0.1, 0.1))
        scaled = profile(swapped(gain), tail.n, at[::-1], ranges[::-1], level=level, scale=(0.1, 0.1))
        rate = scaled.mapped(lambda scaled_rate: scaled_rate / excess)
        return {"alpha": alpha, "rate": rate}

    def survival(self, model: TailModel, x: F64, *, discrete: bool) -> F64:
        """Return the ratio of the sums (integrals) from x and from xmin on."""
        p, xmin = model.params, model.xmin
        norms = np.array([log_partition(p["alpha"], p["rate"], float(v), discrete) for v in x])
        first = log_partition(p["alpha"], p["rate"], xmin, discrete)
        return np.asarray(np.exp(-p["alpha"] * np.log(x / xmin) - p["rate"] * (x - xmin) + norms - first))


def fit_truncated(tail: Histogram, power: PowerLaw, near: TailModel | None = None) -> TailModel:
    """Return the power law with exponential cut-off; rate = 0, the power law itself, if no cut-off fits better.

    `near` is the fit to a similar tail, to start from: the likelihood has one maximum, so one start will do.
    """
    need_spread(tail)
    xmin = power.xmin
    logs = tail.logs - np.log(xmin)
    log, excess = (float(np.average(x, weights=tail.counts)) for x in (logs, tail.values - xmin))

    def gain(alpha: float, log_rate: float) -> float:
        rate = float(np.exp(log_rate))
        return -alpha * log - rate * excess - log_partition(alpha, rate, xmin, tail.discrete)

    scale = -float(np.log(excess))
    box = SearchBox((_ALPHA[0], scale - 25.0), (_ALPHA[1], scale + 8.0))
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
    return TailModel(TRUNCATED, xmin, params, log_likelihood(mass, tail), mass, bound, found.converged)
