"""This module fits the tail of the lognormal law; each discrete value has the mass of its bin."""

from __future__ import annotations

import math
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from analysis.interval import Interval
from analysis.tails.binned import fit_binned, grouped, masses, per_value
from analysis.tails.competitor import Competitor, TailModel, log_likelihood, need_spread, tail_start
from analysis.tails.histogram import Histogram
from analysis.tails.masses import lognormal_bins, lognormal_density
from analysis.tails.optimise import SearchBox
from analysis.tails.powerlaw import PowerLaw
from analysis.tails.profile import profile, swapped

F64 = NDArray[np.float64]

_FREE: Final = (-1e12, 1e12)
_LOG_BEND: Final = (math.log(1e-6), math.log(1e6))


class LognormalTail(Competitor):
    """In the lognormal tail ln x is normal with mean mu and standard deviation sigma, above xmin."""

    name: ClassVar[str] = "lognormal"
    place: ClassVar[int] = 2
    short: ClassVar[str] = "lognormal"
    style: ClassVar[tuple[str, str]] = ("tab:green", "-.")
    rivals_cut_off: ClassVar[bool] = True

    def fit(self, tail: Histogram, power: PowerLaw) -> TailModel:
        """Return the fit; see `fit_lognormal`."""
        return fit_lognormal(tail, power)

    def intervals(self, model: TailModel, tail: Histogram, *, level: float = 0.95) -> dict[str, Interval]:
        """Return the intervals of mu and sigma, found over slope s and bend c: sigma = c^-1/2, mu = log t0 - s/c."""
        small = grouped(tail)
        by_slope = per_value(masses(small, model.xmin, lognormal_bins, lognormal_density), small)
        log_t0 = math.log(tail_start(tail, model.xmin))
        mu, sigma = model.params["mu"], model.params["sigma"]
        log_bend = -2.0 * math.log(sigma)
        slope = (log_t0 - mu) / sigma**2

        def by_mu(m: float, log_c: float) -> float:
            return by_slope((log_t0 - m) * math.exp(log_c), log_c)

        ranges = (_LOG_BEND, (-1e4, 1e4))
        bend = profile(swapped(by_slope), tail.n, (log_bend, slope), ranges, level=level, scale=(0.1, 0.1))
        sigmas = bend.mapped(lambda log_bend: math.exp(-0.5 * log_bend))
        mus = profile(by_mu, tail.n, (mu, log_bend), (_FREE, _LOG_BEND), level=level, scale=(0.1 * sigma, 0.1))
        return {"mu": mus, "sigma": sigmas}

    def survival(self, model: TailModel, x: F64, *, discrete: bool) -> F64:
        """Return the ratio of the normal tails of ln x and ln xmin."""
        mu, sigma = model.params["mu"], model.params["sigma"]
        half = 0.5 if discrete else 0.0
        tail, whole = ((np.log(v - half) - mu) / sigma for v in (x, np.array([model.xmin])))
        return np.asarray(np.exp(log_ndtr(-tail) - log_ndtr(-whole)))


def fit_lognormal(tail: Histogram, power: PowerLaw) -> TailModel:
    """Return the lognormal tail; `mu` and `sigma` are those of the logarithm; sigma at its bound is a power law."""
    need_spread(tail)
    mean = float(np.average(tail.logs, weights=tail.counts))
    variance = float(np.average((tail.logs - mean) ** 2, weights=tail.counts))
    log_t0 = float(np.log(tail_start(tail, power.xmin)))
    rough = -float(np.log(variance))
    starts = [((log_t0 - mean) / variance, rough), (power.alpha - 1.0, -4.0), (power.alpha - 1.0, -9.0), (0.0, rough)]
    box = SearchBox((-1e4, float(np.log(1e-6))), (1e4, float(np.log(1e6))))
    slope, log_bend, mass, bound, converged = fit_binned(
        tail, power.xmin, lognormal_bins, lognormal_density, starts, box
    )
    sigma = float(np.exp(-0.5 * log_bend))
    params = {"mu": log_t0 - slope * sigma**2, "sigma": sigma}
    names = tuple(name for name, hit in zip(("mu", "sigma"), bound, strict=True) if hit)
    return TailModel("lognormal", power.xmin, params, log_likelihood(mass, tail), mass, names, converged)
