"""This module tells which of two models fits a tail better, by likelihood ratios, also for values in clusters.

R = sum of log p1 - log p2 over the tail; R > 0 favours the first. Models that do not contain each other: Vuong's test
(Econometrica 57, 1989), z = R / (sqrt(n) sd), p = erfc(|z|/sqrt 2). A model inside the other: p is the chi-square(1)
survival of -2 R; where the hypothesis lies on the boundary (rate = 0) that is conservative by a factor of two.

Values of one execution are not independent. The cluster-robust test replaces n sd^2 by the sum over clusters of the
squared deviations of their totals; with few clusters its z is what the data can say, the other one is not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_ndtr

from agentsoc.errors import InputError
from analysis.tails.histogram import CountedValues, Histogram, counted

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]


@dataclass(frozen=True)
class LikelihoodRatio:
    """The object compares two models on one tail by their likelihood ratio."""

    first: str
    second: str
    ratio: float
    """R = log L1 - log L2."""
    z: float | None
    """R over its standard error; None for nested models."""
    p: float
    """Two-sided p value; 0 where it underflows."""
    log10_p: float
    nested: bool
    clusters: int | None = None
    """Clusters behind the standard error; None if values were taken as independent."""
    log10_p_holm: float | None = None
    """The same as `log10_p` after Holm's correction over `family` tests; None where nothing was corrected."""
    family: int = 0
    """Tests that the correction is over."""

    @property
    def deciding_p(self) -> float:
        """The p value that words follow: the corrected one where there is one."""
        return self.p if self.log10_p_holm is None else float(10.0**self.log10_p_holm)

    def prefers(self, name: str, level: float = 0.05) -> bool:
        """Return whether the test decides for the model `name` at `level`."""
        winner = self.first if self.ratio > 0 else self.second
        return winner == name and self.deciding_p < level

    def summary(self) -> str:
        """Return one line: who wins and how surely."""
        winner = self.first if self.ratio > 0 else self.second
        test = "nested" if self.z is None else f"z = {self.z:.2f}"
        basis = f" over {self.clusters} clusters" if self.clusters is not None else ""
        sure = f"{test}, log10 p = {self.log10_p:.1f}{basis}"
        if self.log10_p_holm is not None:
            sure += f", {self.log10_p_holm:.1f} by Holm over {self.family} tests"
        return f"{self.first} against {self.second}: {winner} by {abs(self.ratio):.6g} ({sure})"


@dataclass(frozen=True)
class Members:
    """The object says which cluster each value of a tail belongs to."""

    position: I64
    """Index of each value among the distinct values of the tail, shape (n_tail,)."""
    cluster: I64
    """Cluster of each value, 0..n_clusters - 1, shape (n_tail,)."""
    n_clusters: int
    count: I64 | None = None
    """How many values each entry stands for; None for one each."""


def members(tail: Histogram, values: ArrayLike | CountedValues, clusters: ArrayLike) -> Members:
    """Return the memberships of those of `values` that are in `tail`; `clusters` has any labels.

    Raises:
        InputError: the two have different lengths.
    """
    (array, often), labels = counted(values), np.asarray(clusters)
    if array.shape != labels.shape:
        raise InputError(f"{len(array)} values but {len(labels)} cluster labels", "", "give every value its cluster")
    inside = array >= tail.values[0]
    _, cluster = np.unique(labels[inside], return_inverse=True)
    position = np.searchsorted(tail.values, array[inside])
    count = None if often is None else often[inside]
    return Members(position.astype(np.int64), cluster.astype(np.int64), int(cluster.max(initial=-1)) + 1, count)


def vuong(names: tuple[str, str], masses: tuple[F64, F64], tail: Histogram) -> LikelihoodRatio:
    """Return Vuong's test of two models that do not contain each other, values taken as independent."""
    difference = masses[0] - masses[1]
    n = tail.n
    ratio = float(tail.counts @ difference)
    spread = float(np.sqrt(tail.counts @ (difference - ratio / n) ** 2 / n))
    return _tested(names, ratio, spread * np.sqrt(n), None)


def vuong_clustered(names: tuple[str, str], masses: tuple[F64, F64], tail: Histogram, who: Members) -> LikelihoodRatio:
    """Return Vuong's test with the standard error that allows any dependence within clusters."""
    difference = masses[0] - masses[1]
    ratio = float(tail.counts @ difference)
    if who.n_clusters < 2:
        return LikelihoodRatio(*names, ratio, 0.0, 1.0, 0.0, nested=False, clusters=who.n_clusters)
    centred = difference - ratio / tail.n
    own = centred[who.position] if who.count is None else centred[who.position] * who.count
    totals = np.bincount(who.cluster, weights=own, minlength=who.n_clusters)
    error = float(np.sqrt(totals @ totals * who.n_clusters / (who.n_clusters - 1)))
    return _tested(names, ratio, error, who.n_clusters)


def nested(names: tuple[str, str], small: float, large: float) -> LikelihoodRatio:
    """Return the likelihood-ratio test of a model against one with one more parameter that contains it.

    Args:
        names: the smaller model first.
        small: log-likelihood of the smaller model.
        large: log-likelihood of the larger one, which cannot be smaller.
    """
    ratio = min(small - large, 0.0)
    # A chi-square(1) is a squared normal: its survival at x is 2 ndtr(-sqrt x).
    log10 = float((np.log(2.0) + log_ndtr(-np.sqrt(-2.0 * ratio))) / np.log(10.0))
    return LikelihoodRatio(*names, ratio, None, float(10.0**log10), log10, nested=True)


def _tested(names: tuple[str, str], ratio: float, error: float, clusters: int | None) -> LikelihoodRatio:
    """Return the comparison with z = ratio / error; equal models give z = 0 and p = 1."""
    # Differences of rounding size are no difference: models that coincide must not win by noise.
    z = ratio / error if error > 1e-9 * max(abs(ratio), 1e-3) else 0.0
    log10 = float((np.log(2.0) + log_ndtr(-abs(z))) / np.log(10.0))
    return LikelihoodRatio(
        *names, ratio, z, float(min(10.0**log10, 1.0)), min(log10, 0.0), nested=False, clusters=clusters
    )
