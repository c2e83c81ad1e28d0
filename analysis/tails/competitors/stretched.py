"""This module fits the stretched exponential tail, beta in [0, 10], 1 for the exponential; values have bins' masses."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from analysis.interval import Interval
from analysis.tails.binned import fit_binned, grouped, masses, per_value
from analysis.tails.competitor import Competitor, TailModel, log_likelihood, need_spread, tail_start
from analysis.tails.histogram import Histogram
from analysis.tails.masses import stretched_bins, stretched_density
from analysis.tails.optimise import SearchBox
from analysis.tails.powerlaw import PowerLaw
from analysis.tails.profile import profile, swapped

F64 = NDArray[np.float64]


class StretchedExponentialTail(Competitor):
    """The stretched exponential tail has survival e^(-slope (e^(beta l) - 1) / beta) with l = ln(x / xmin)."""

    name: ClassVar[str] = "stretched_exponential"
    place: ClassVar[int] = 3
    short: ClassVar[str] = "stretched"
    style: ClassVar[tuple[str, str]] = ("tab:purple", ":")
    rivals_cut_off: ClassVar[bool] = True

    def fit(self, tail: Histogram, power: PowerLaw) -> TailModel:
        """Return the fit; see `fit_stretched`."""
        return fit_stretched(tail, power)

    def intervals(self, model: TailModel, tail: Histogram, *, level: float = 0.95) -> dict[str, Interval]:
        """Return the intervals of beta and of the slope at the start of the tail."""
        small = grouped(tail)
        f = per_value(masses(small, model.xmin, stretched_bins, stretched_density), small)
        at = (math.log(model.params["slope"]), model.params["beta"])
        ranges = ((-40.0, 40.0), (0.0, 10.0))
        slope = profile(f, tail.n, at, ranges, level=level, scale=(0.1, 0.1))
        beta = profile(swapped(f), tail.n, at[::-1], ranges[::-1], level=level, scale=(0.1, 0.1))
        return {
            "beta": beta,
            "slope": slope.mapped(math.exp),
        }

    def survival(self, model: TailModel, x: F64, *, discrete: bool) -> F64:
        """Return e^(-slope (e^(beta l) - 1) / beta); the power law x^-slope where beta is 0."""
        half = 0.5 if discrete else 0.0
        length, beta = np.log((x - half) / (model.xmin - half)), model.params["beta"]
        growth = np.expm1(beta * length) / beta if beta > 1e-12 else length
        return np.asarray(np.exp(-model.params["slope"] * growth))


def fit_stretched(tail: Histogram, power: PowerLaw) -> TailModel:
    """Return the stretched exponential tail; `slope` is that of -log S against log t at its start."""
    need_spread(tail)
    excess = float(np.average(tail.values - power.xmin, weights=tail.counts))
    log_slope = float(np.log(power.alpha - 1.0))
    rate = float(np.log(tail_start(tail, power.xmin) / max(excess, 1e-300)))
    starts = [(log_slope, 0.05), (log_slope - 0.7, 0.3), (rate, 1.0), (rate + 0.7, 0.6)]
    box = SearchBox((-40.0, 0.0), (40.0, 10.0))
    slope, beta, mass, bound, converged = fit_binned(tail, power.xmin, stretched_bins, stretched_density, starts, box)
    params = {"beta": beta, "slope": float(np.exp(slope))}
    names = tuple(name for name, hit in zip(("slope", "beta"), bound, strict=True) if hit)
    return TailModel("stretched_exponential", power.xmin, params, log_likelihood(mass, tail), mass, names, converged)
