"""This module resamples to see how far samples of a true power law stray from it, and how far the exponent does.

The goodness-of-fit test is the semiparametric bootstrap of Clauset, Shalizi & Newman (SIAM Rev. 51, 2009, sect. 4):
values below xmin are drawn from the sample, those above from the fitted law, and xmin is chosen anew in every
replicate. Intervals of the exponent are percentiles over samples drawn from the data with replacement, xmin chosen
anew in each as well: the error at a fixed xmin misses what the choice adds (benchmarks/study_tail_coverage.py). Values
of one execution depend on each other, so `cluster_interval` draws whole clusters; `value_interval` draws values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agentsoc.errors import InputError
from agentsoc.streams import stream
from analysis.interval import Interval
from analysis.percentiles import percentile_levels
from analysis.tails.competitors.truncated import fit_truncated
from analysis.tails.histogram import CountedValues, Histogram, counted, histogram
from analysis.tails.kernels import invert, zeta_sums
from analysis.tails.powerlaw import USUAL_TAIL, LeastTail, PowerLaw, fit_at, select_xmin, survival

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

SCREENING, CLAIM = 100, 1000
"""Replicates for a first look and for a statement."""
_TABLE: Final = 2048


@dataclass(frozen=True)
class GoodnessOfFit:
    """The object gives the share of samples from the fitted law that fit it worse than the data do."""

    p: float
    """(1 + replicates at least as far as the data) / (1 + replicates): small p speaks against the power law."""
    replicates: int
    distance: float
    """KS distance of the data."""
    family: int = 1
    """Laws of the same report that are tested so: p is that of each alone, not corrected for their number."""

    @property
    def error(self) -> float:
        """Standard error of p from the finite number of replicates."""
        return math.sqrt(self.p * (1.0 - self.p) / self.replicates)

    def summary(self) -> str:
        """Return one line: p with its error, and that it is single where there are several."""
        single = f"; single, not corrected for {self.family} laws" if self.family > 1 else ""
        return f"goodness of fit p = {self.p:.3f} +- {self.error:.3f} ({self.replicates} replicates{single})"


@dataclass(frozen=True)
class ExponentInterval(Interval):
    """The object is a bootstrap interval of the exponent."""

    se: float = math.nan
    clusters: int = 0
    """Units that were drawn: clusters, or values."""
    replicates: int = 0
    failed: int = 0
    """Replicates in which no threshold left enough values."""
    refit_xmin: bool = True

    def summary(self) -> str:
        """Return one line: interval and what was resampled."""
        return f"{self.level:.0%} interval of alpha [{self.low:.4g}, {self.high:.4g}] over {self.clusters} clusters"


def goodness_of_fit(
    sample: Histogram,
    fit: PowerLaw,
    *,
    replicates: int = SCREENING,
    seed: int = 0,
    refit: LeastTail | None = USUAL_TAIL,
) -> GoodnessOfFit:
    """Return the semiparametric bootstrap p value of `fit` on `sample`.

    Args:
        sample: the whole sample, values below xmin included.
        fit: the power law fitted to it.
        replicates: synthetic samples; `SCREENING` for a first look, `CLAIM` for a statement.
        seed: seed of the draws.
        refit: choose xmin anew in each replicate, as was done for the data, with this least tail, which must be what
            the fit used; None if xmin was given.
    """
    if replicates < 1:
        raise InputError(f"{replicates} replicates", "", f"take at least {SCREENING}")
    draw = _Replica(sample, fit)
    farther = 0
    for k in range(replicates):
        copy = draw(stream(seed, "goodness-of-fit", k))
        found = None if refit is None else select_xmin(copy, min_tail=refit.values, min_distinct=refit.distinct)
        if found is None:
            if copy.values[-1] < fit.xmin:
                continue
            found = fit_at(copy, fit.xmin)
        farther += found.ks >= fit.ks
    return GoodnessOfFit((1 + farther) / (1 + replicates), replicates, fit.ks)


class _Replica:
    """The object draws synthetic samples as histograms: as counts where values are common, one by one far out."""

    def __init__(self, sample: Histogram, fit: PowerLaw) -> None:
        start = int(np.searchsorted(sample.values, fit.xmin))
        self.fit, self.n = fit, sample.n
        self.body, self.body_counts = sample.values[:start], sample.counts[:start]
        self.share = fit.n_tail / sample.n
        self.discrete = sample.discrete
        if self.discrete:
            self.near = fit.xmin + np.arange(_TABLE, dtype=np.float64)
            over = np.log(self.near / fit.xmin)
            self.masses = np.exp(-fit.alpha * over) / zeta_sums(fit.alpha, fit.xmin)[0]
            self.beyond = float(survival(fit, np.array([fit.xmin + _TABLE]), discrete=True)[0])
            whole = self.masses.sum() + self.beyond
            self.masses, self.beyond = self.masses / whole, self.beyond / whole

    def __call__(self, rng: np.random.Generator) -> Histogram:
        """Return one synthetic sample of the size of the data."""
        n_tail = int(rng.binomial(self.n, self.share))
        body = np.zeros(0, np.int64)
        if len(self.body):
            body = rng.multinomial(self.n - n_tail, self.body_counts / self.body_counts.sum())
        else:
            n_tail = self.n
        values, counts = self._tail(rng, n_tail)
        kept = body > 0
        return Histogram(
            np.concatenate([self.body[kept], values]),
            np.concatenate([body[kept], counts]).astype(np.int64),
            self.discrete,
        )

    def _tail(self, rng: np.random.Generator, n: int) -> tuple[F64, I64]:
        """Return distinct values and counts of `n` draws from the law."""
        fit = self.fit
        if not self.discrete:
            return np.unique(fit.xmin * (1.0 - rng.random(n)) ** (-1.0 / (fit.alpha - 1.0)), return_counts=True)
        drawn = rng.multinomial(n, np.append(self.masses, self.beyond))
        level = (1.0 - rng.random(int(drawn[-1]))) * self.beyond
        far, far_counts = np.unique(invert(level, fit.alpha, fit.xmin, fit.xmin + _TABLE), return_counts=True)
        kept = drawn[:-1] > 0
        return np.concatenate([self.near[kept], far]), np.concatenate([drawn[:-1][kept], far_counts])


@dataclass(frozen=True)
class ValueIntervals:
    """The object holds bootstrap intervals with values taken as independent."""

    alpha: ExponentInterval
    """Interval of the exponent of the power law."""
    truncated: dict[str, tuple[float, float]]
    """Intervals of alpha and rate of the truncated power law; empty if they were not asked for."""


def value_interval(
    sample: Histogram,
    fit: PowerLaw,
    *,
    replicates: int = 200,
    level: float = 0.95,
    seed: int = 0,
    refit: LeastTail | None = USUAL_TAIL,
    truncated: bool = False,
) -> ValueIntervals:
    """Return the percentile intervals when values are drawn from the sample with replacement.

    Args:
        sample: the whole sample, values below xmin included.
        fit: the power law fitted to it.
        replicates: bootstrap samples.
        level: coverage aimed at.
        seed: seed of the draws.
        refit: choose xmin anew in each replicate, as was done for the data, with this least tail; None if xmin was
            given.
        truncated: fit the truncated power law to every replicate as well.
    """
    shares = sample.counts / sample.n
    first = sample.tail(fit.xmin)
    near = fit_truncated(first, fit) if truncated and len(first.values) > 1 else None
    alphas: list[float] = []
    pairs: list[tuple[float, float]] = []
    for k in range(replicates):
        drawn = stream(seed, "value-bootstrap", k).multinomial(sample.n, shares)
        kept = drawn > 0
        copy = Histogram(sample.values[kept], drawn[kept], sample.discrete)
        found = _refitted(copy, fit, refit)
        if found is None:
            continue
        alphas.append(found.alpha)
        tail = copy.tail(found.xmin)
        if truncated and len(tail.values) > 1:
            params = fit_truncated(tail, found, near).params
            pairs.append((params["alpha"], params["rate"]))
    ends = {}
    if pairs:
        low, high = np.quantile(pairs, percentile_levels(level, sample.n), axis=0)
        ends = {name: (float(low[i]), float(high[i])) for i, name in enumerate(("alpha", "rate"))}
    return ValueIntervals(_percentiles(fit.alpha, alphas, level, sample.n, replicates, refit is not None), ends)


def _refitted(copy: Histogram, fit: PowerLaw, refit: LeastTail | None) -> PowerLaw | None:
    """Return the power law fitted to a replicate; None where no threshold leaves enough of it."""
    if refit is not None:
        return select_xmin(copy, min_tail=refit.values, min_distinct=refit.distinct)
    return fit_at(copy, fit.xmin) if copy.values[-1] > fit.xmin else None


def _percentiles(
    alpha: float, alphas: list[float], level: float, units: int, replicates: int, refit_xmin: bool
) -> ExponentInterval:
    """Return the interval that the exponents of the replicates span; `units` is what was drawn from."""
    failed = replicates - len(alphas)
    low = high = se = math.nan
    if alphas:
        # A hundred replicates end a little short of their percentiles; "weibull" reaches out for that. Where xmin is
        # chosen anew, the choice strays more in resampled data than in data, and makes up for it.
        ends = np.quantile(alphas, percentile_levels(level, units), method="linear" if refit_xmin else "weibull")
        low, high, se = float(ends[0]), float(ends[1]), float(np.std(alphas))
    return ExponentInterval(
        alpha, low, high, level, "bootstrap", se=se, clusters=units, replicates=replicates, failed=failed,
        refit_xmin=refit_xmin,
    )  # fmt: skip


def cluster_interval(
    values: ArrayLike | CountedValues,
    clusters: ArrayLike,
    fit: PowerLaw,
    *,
    discrete: bool = True,
    replicates: int = 200,
    level: float = 0.95,
    seed: int = 0,
    refit: LeastTail | None = USUAL_TAIL,
) -> ExponentInterval:
    """Return the percentile interval of the exponent when whole clusters are resampled with replacement.

    Args:
        values: the sample, shape (n,).
        clusters: a label for each value, shape (n,): its execution, or its design cell.
        fit: the fit of the whole sample.
        discrete: whether the sample is.
        replicates: bootstrap samples.
        level: coverage aimed at.
        seed: seed of the draws.
        refit: choose xmin anew in each replicate, with this least tail; None keeps fit.xmin, so that its choice adds
            no spread.
    """
    array, often = counted(values)
    _, cluster = np.unique(np.asarray(clusters), return_inverse=True)
    if array.shape != cluster.shape:
        raise InputError(f"{len(array)} values but {len(cluster)} cluster labels", "", "give every value its cluster")
    n_clusters = int(cluster.max()) + 1
    sample = histogram(values, discrete=discrete)
    pair = cluster * len(sample.values) + np.searchsorted(sample.values, array)
    pairs, code, counts = np.unique(pair, return_inverse=True, return_counts=True)
    if often is not None:
        counts = np.bincount(code, weights=often, minlength=len(pairs)).astype(np.int64)
    owner, position = pairs // len(sample.values), pairs % len(sample.values)
    alphas: list[float] = []
    for k in range(replicates):
        rng = stream(seed, "cluster-bootstrap", k)
        weight = np.bincount(rng.integers(n_clusters, size=n_clusters), minlength=n_clusters)
        drawn = np.bincount(position, weights=weight[owner] * counts, minlength=len(sample.values)).astype(np.int64)
        kept = drawn > 0
        copy = Histogram(sample.values[kept], drawn[kept], discrete)
        found = _refitted(copy, fit, refit)
        if found is not None:
            alphas.append(found.alpha)
    return _percentiles(fit.alpha, alphas, level, n_clusters, replicates, refit is not None)
