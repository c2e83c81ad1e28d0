"""This module fits the power law above a threshold: exponent, KS distance and the choice of the threshold xmin.

Discrete: p(x) = x^-alpha / zeta(alpha, xmin). Continuous: p(x) = (alpha - 1)/xmin (x/xmin)^-alpha, for which the
maximum-likelihood exponent is Hill's, 1 + n / sum log(x/xmin). xmin is the candidate with the smallest KS distance
(Clauset, Shalizi & Newman, SIAM Rev. 51, 2009), among those that leave enough values in the tail.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentsoc.errors import InputError
from analysis.tails.histogram import Histogram
from analysis.tails.kernels import (
    ALPHA_MAX,
    ALPHA_MIN,
    distance_continuous,
    distance_discrete,
    exponent,
    scan,
    zeta_sums,
)

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

MIN_TAIL: Final = 50
MIN_DISTINCT: Final = 5
MAX_CANDIDATES: Final = {True: 20_000, False: 500}
"""Candidates for xmin that are compared at most, for discrete and continuous samples: the scan can be quadratic."""


@dataclass(frozen=True)
class LeastTail:
    """The object says how much of the sample a chosen threshold must leave in the tail."""

    values: int = MIN_TAIL
    distinct: int = MIN_DISTINCT


USUAL_TAIL: Final = LeastTail()


@dataclass(frozen=True)
class PowerLaw:
    """A power law is fitted above `xmin`."""

    alpha: float
    xmin: float
    n_tail: int
    n_distinct: int
    """Distinct values in the tail."""
    ks: float
    """Largest distance between the two distribution functions, both sides of each step."""
    se: float
    """Standard error of alpha from the observed information, values taken as independent and xmin as given.

    Where xmin was chosen by the KS distance it is too small (+- 1.96 of it covers 82 to 95 %): take the bootstrap."""
    loglik: float
    at_bound: bool
    """Whether alpha is at an end of its range: then it is no estimate."""
    candidates: int = 1
    """Thresholds compared to find xmin; 1 when it was given."""
    possible: int = 1
    """Thresholds that the sample would have allowed."""

    @property
    def sigma(self) -> float:
        """The textbook error (alpha - 1)/sqrt(n_tail), which published tables give."""
        return (self.alpha - 1.0) / float(np.sqrt(self.n_tail))

    def summary(self) -> str:
        """Return one line: exponent with its error, threshold, tail and distance."""
        bound = " at its bound" if self.at_bound else ""
        return (
            f"alpha = {self.alpha:.4g} +- {self.se:.2g}{bound} above xmin = {self.xmin:g} "
            f"({self.n_tail} values, KS {self.ks:.4f})"
        )


@dataclass(frozen=True)
class XminCurve:
    """The curve holds every candidate threshold with its fit; arrays have shape (n_candidates,)."""

    xmin: F64
    alpha: F64
    ks: F64
    n_tail: I64


def fit_at(sample: Histogram, xmin: float) -> PowerLaw:
    """Return the power law fitted to the values at or above `xmin`.

    Raises:
        InputError: no value is that large, or xmin is not positive, or not whole for a discrete sample.
    """
    if xmin <= 0 or (sample.discrete and xmin != int(xmin)):
        raise InputError(f"xmin = {xmin:g} is no value that the sample could hold", "", "give a positive whole number")
    start = int(np.searchsorted(sample.values, xmin))
    if start == len(sample.values):
        raise InputError(f"no value is at or above xmin = {xmin:g}", "", "choose a smaller xmin")
    if sample.values[start] != xmin:
        # The law starts at xmin itself, so that value must be in the histogram, with a count of zero.
        sample = Histogram(
            np.insert(sample.values[start:], 0, xmin), np.insert(sample.counts[start:], 0, 0), sample.discrete
        )
        start = 0
    alpha = exponent(sample.values, sample.logs, sample.below, sample.log_above, start, sample.discrete)
    return _describe(sample, start, alpha)


def _describe(sample: Histogram, start: int, alpha: float) -> PowerLaw:
    """Return the fit with exponent `alpha` above position `start`."""
    u, logs, below = sample.values, sample.logs, sample.below
    n = below[-1] - below[start]
    if sample.discrete:
        ks, _ = distance_discrete(u, logs, sample.logs_next, below, start, alpha, np.inf, -1)
        s0, s1, s2 = zeta_sums(alpha, u[start])
        variance = s2 / s0 - (s1 / s0) ** 2
        log_norm = float(np.log(s0))
    else:
        ks, _ = distance_continuous(logs, below, start, alpha, np.inf, -1)
        variance = (alpha - 1.0) ** -2
        log_norm = -float(np.log(alpha - 1.0)) + logs[start]
    over = sample.log_above[start] - n * logs[start]
    return PowerLaw(
        alpha=float(alpha),
        xmin=float(u[start]),
        n_tail=int(n),
        n_distinct=int(np.count_nonzero(sample.counts[start:])),
        ks=float(ks),
        se=float(1.0 / np.sqrt(n * variance)),
        loglik=float(-alpha * over - n * log_norm),
        at_bound=bool(alpha >= ALPHA_MAX or alpha <= ALPHA_MIN),
    )


def candidates(sample: Histogram, *, min_tail: int = MIN_TAIL, min_distinct: int = MIN_DISTINCT) -> I64:
    """Return the positions that may be xmin: at least that many values, and distinct values, at or above them."""
    n_tail = sample.below[-1] - sample.below[:-1]
    allowed = int(np.searchsorted(-n_tail, -min_tail, side="right"))
    return np.arange(max(min(allowed, len(sample.values) - min_distinct + 1), 0), dtype=np.int64)


def thin(sample: Histogram, positions: I64, most: int) -> I64:
    """Return at most `most` of `positions`, evenly spaced in the logarithm of the tail size that they leave."""
    if len(positions) <= most:
        return positions
    n_tail = (sample.below[-1] - sample.below[:-1])[positions]
    sizes = np.geomspace(n_tail[0], n_tail[-1], most)
    kept: I64 = positions[np.unique(np.searchsorted(-n_tail, -sizes).clip(0, len(positions) - 1))]
    return kept


def select_xmin(
    sample: Histogram, *, min_tail: int = MIN_TAIL, min_distinct: int = MIN_DISTINCT, most: int | None = None
) -> PowerLaw | None:
    """Return the fit above the threshold with the smallest KS distance, ties going to the smaller threshold.

    None if no threshold leaves `min_tail` values and `min_distinct` distinct values. `most` limits the thresholds that
    are compared (default: `MAX_CANDIDATES`).
    """
    possible = candidates(sample, min_tail=min_tail, min_distinct=min_distinct)
    if not len(possible):
        return None
    allowed = thin(sample, possible, MAX_CANDIDATES[sample.discrete] if most is None else most)
    best, alphas, _ = scan(
        sample.values, sample.logs, sample.logs_next, sample.below, sample.log_above, allowed, sample.discrete, False
    )
    found = _describe(sample, int(allowed[best]), alphas[best])
    return replace(found, candidates=len(allowed), possible=len(possible))


def xmin_curve(
    sample: Histogram, *, min_tail: int = MIN_TAIL, min_distinct: int = MIN_DISTINCT, most: int = 500
) -> XminCurve:
    """Return exponent, exact KS distance and tail size of up to `most` thresholds, to show how the choice matters."""
    allowed = thin(sample, candidates(sample, min_tail=min_tail, min_distinct=min_distinct), most)
    _, alphas, distances = scan(
        sample.values, sample.logs, sample.logs_next, sample.below, sample.log_above, allowed, sample.discrete, True
    )
    n_tail = (sample.below[-1] - sample.below[:-1])[allowed].astype(np.int64)
    return XminCurve(sample.values[allowed], alphas, distances, n_tail)


def log_mass(fit: PowerLaw, tail: Histogram) -> F64:
    """Return the log probability (density) of each distinct value of `tail`, which starts at or above fit.xmin."""
    over = tail.logs - np.log(fit.xmin)
    if tail.discrete:
        return np.asarray(-fit.alpha * over - np.log(zeta_sums(fit.alpha, fit.xmin)[0]))
    return np.asarray(-fit.alpha * over + np.log((fit.alpha - 1.0) / fit.xmin))


def survival(fit: PowerLaw, x: F64, *, discrete: bool) -> F64:
    """Return P(X >= x) under the fit for x >= xmin."""
    ratio = np.asarray(x, dtype=np.float64) / fit.xmin
    if not discrete:
        return np.asarray(ratio ** (1.0 - fit.alpha))
    whole = zeta_sums(fit.alpha, fit.xmin)[0]
    sums = np.array([zeta_sums(fit.alpha, float(value))[0] for value in np.ravel(x)]).reshape(np.shape(x))
    return np.asarray(ratio**-fit.alpha * sums / whole)
