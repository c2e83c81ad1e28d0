"""This module fits how the largest event of an execution grows with N, x_max ~ N^gamma, and says what that can mean.

gamma is the slope of log x_max on log N by least squares over the N of the grid, x_max being the mean (as published) or
the median over executions of the largest value of each; the median stays finite where the mean of heavy tails does not.
Extreme-value theory gives gamma = zeta / (alpha - 1) for iid draws with tail exponent alpha whose number grows as
N^zeta. Two things make gamma say nothing about tails, so both are reported: a structural cap that grows with N, and the
null in which every execution draws as many values as it had from one distribution for all N.

The interval of gamma is Student's t over the scatter of the N around the line, pooled with that of clusters
(executions, or whole design cells) within each N where there are several (`analysis.cascade_laws.growth_line`). So one
execution for each N gives the wide interval of a line through few points, and two N with one execution each give none.
A bend is tested beside the line.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from agentsoc.errors import InputError
from agentsoc.streams import stream
from analysis.cascade_laws.growth_line import Bend, GrowthLine, fit_line, line_of_points, median_weights
from analysis.fitcard import FitCard, range_warnings
from analysis.interval import Interval
from analysis.observables.sampled import Sample

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Slope(Interval):
    """A log-log slope has an interval by Student's t, from the scatter over N and over clusters within N."""

    null: Interval
    """The slope when all N share one distribution: its median and its central part, by resampling."""

    @property
    def beyond_null(self) -> bool:
        """Whether the slope lies outside what one distribution for all N gives."""
        return not self.null.low <= self.value <= self.null.high


@dataclass(frozen=True)
class Extremes:
    """The object says how the largest value of one observable grows with N."""

    name: str
    per_n: pl.DataFrame
    """n_agents, executions, draws (mean per execution), mean, std, median, max of the largest values, cap, at_cap."""
    by_mean: Slope
    by_median: Slope
    bend: Bend | None
    """Whether the means bend away from the line; None with fewer than three N, or without scatter to judge by."""
    zeta: float
    """Slope of the mean number of values per execution on N."""
    at_cap: float
    """Share of executions whose largest value is the largest that the design allows; nan where it allows any."""
    holdout_error: float
    """Relative error of the mean at the largest N, predicted from the smaller ones."""
    card: FitCard

    def predicted(self, alpha: float) -> float:
        """Return gamma = zeta / (alpha - 1) of iid draws from a tail with exponent `alpha`."""
        return self.zeta / (alpha - 1.0)

    def summary(self) -> str:
        """Return gamma, its interval, the null and the cap, and how the means bend where they do."""
        s = self.by_mean
        bend = "" if self.bend is None or not self.bend.bends else f"; {self.bend.summary()}"
        return (
            f"{self.name}: gamma = {s.value:.3f} [{s.low:.3f}, {s.high:.3f}] by means, "
            f"{self.by_median.value:.3f} by medians; "
            f"one distribution for all N gives [{s.null.low:.3f}, {s.null.high:.3f}]; zeta = {self.zeta:.3f}; "
            + ("no cap of the design is known" if math.isnan(self.at_cap) else f"{self.at_cap:.0%} are at their cap")
        ) + bend


def largest_growth(
    sample: Sample,
    n_agents: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    replicates: int = 400,
    level: float = 0.95,
    seed: int = 0,
) -> Extremes:
    """Return how the largest value of `sample` grows with N.

    Args:
        sample: the observable; executions without a value do not count.
        n_agents: N of each execution, shape (n_executions,).
        clusters: label of each execution, shape (n_executions,); executions themselves by default.
        replicates: replicates of the null.
        level: coverage of the intervals.
        seed: seed of the null.

    Raises:
        InputError: fewer than two N have values, or scatter is known neither over N nor within them.
    """
    groups, index = np.unique(sample.execution, return_inverse=True)
    n = np.asarray(n_agents, dtype=np.int64)[groups]
    grid = np.unique(n)
    if len(grid) < 2:
        found = "values at one number of agents only" if len(grid) else "no values"
        raise InputError(f"{sample.name} has {found}", "", "gamma needs two numbers of agents or more, better five")
    top, cap = np.zeros(len(groups)), np.full(len(groups), -np.inf)
    np.maximum.at(top, index, sample.values)
    np.maximum.at(cap, index, sample.cap)
    if np.ptp(top) == 0:  # an interval of no width would claim to know that it is always so
        raise InputError(f"the largest {sample.name} is {top[0]:g} in every execution", "", "there is no growth to see")
    draws = np.bincount(index) if sample.count is None else np.bincount(index, weights=sample.count).astype(np.int64)
    labels = groups if clusters is None else np.asarray(clusters)[groups]
    strata = [np.flatnonzero(n == size) for size in grid]
    means, medians = _curve(top, strata, np.mean), _curve(top, strata, np.median)
    means_line = fit_line(np.log(grid), [_clustered(top, labels, part) for part in strata])
    medians_line = line_of_points(np.log(grid), np.log(medians), median_weights(means_line.weights))
    null = _null(sample, draws, strata, replicates, seed)
    log_n = np.log(grid)
    by_mean, by_median = (
        _slope(log_n, curve, line, chance, level)
        for curve, line, chance in zip((means, medians), (means_line, medians_line), null, strict=True)
    )
    per_n = _per_n(grid, strata, top, cap, draws)
    error = _holdout(log_n, means)
    zeta = float(_slopes(log_n, per_n["draws"].to_numpy()[None])[0])
    card = _card(sample, grid, len(groups), len(np.unique(labels)), means_line, seed, by_mean, error)
    return Extremes(sample.name, per_n, by_mean, by_median, means_line.bend, zeta, _at_cap(top, cap), error, card)


def _at_cap(top: F64, cap: F64) -> float:
    """Return the share of executions at their cap; nan where no design has one."""
    return float(np.mean(top >= cap)) if np.isfinite(cap).any() else math.nan


def _per_n(grid: I64, strata: list[I64], top: F64, cap: F64, draws: I64) -> pl.DataFrame:
    """Return the rows of `Extremes.per_n` from the largest value, the cap and the number of values of executions."""
    at_cap = top >= cap
    return pl.DataFrame(
        {
            "n_agents": grid,
            "executions": [len(part) for part in strata],
            "draws": _curve(draws.astype(np.float64), strata, np.mean),
            "mean": _curve(top, strata, np.mean),
            "std": _curve(top, strata, np.std),
            "median": _curve(top, strata, np.median),
            "max": _curve(top, strata, np.max),
            "cap": _curve(cap, strata, np.max),
            "at_cap": [float(np.mean(at_cap[part])) for part in strata],
        }
    )


def _slope(log_n: F64, curve: F64, line: GrowthLine, chance: F64, level: float) -> Slope:
    """Return the slope of a curve with the interval of its line and that of chance."""
    low, middle, high = np.quantile(_slopes(log_n, chance), (0.5 - level / 2, 0.5, 0.5 + level / 2))
    null = Interval(float(middle), float(low), float(high), level, "one distribution for all N")
    reach = line.reach(level)
    return Slope(line.slope, line.slope - reach, line.slope + reach, level, line.method, null=null)


def _clustered(top: F64, labels: NDArray[np.generic], part: I64) -> list[F64]:
    """Return the largest values of the executions at one N, those of a cluster together."""
    _, own = np.unique(labels[part], return_inverse=True)
    return [top[part][own == cluster] for cluster in range(own.max() + 1)]


def _curve(values: F64, strata: list[I64], statistic: Callable[[F64], np.floating]) -> F64:
    """Return the statistic of `values` in each stratum."""
    return np.array([float(statistic(values[part])) for part in strata])


def _slopes(log_n: F64, curves: F64) -> F64:
    """Return the least-squares slope of log(curve) on log N for each row of `curves`, shape (n_curves,)."""
    centred = log_n - log_n.mean()
    return np.asarray(np.log(curves) @ centred / (centred @ centred))


def _null(pool: Sample, draws: I64, strata: list[I64], replicates: int, seed: int) -> tuple[F64, F64]:
    """Return curves of means and medians when every execution draws its number of values from the pooled sample.

    The largest of n draws is the quantile of the pool at U^(1/n).
    """
    by_size = np.argsort(pool.values, kind="stable")
    ordered = pool.values[by_size]
    up_to = None if pool.count is None else np.cumsum(pool.count[by_size], dtype=np.int64)
    rng = stream(seed, "extremes-null")
    means, medians = np.empty((replicates, len(strata))), np.empty((replicates, len(strata)))
    for r in range(replicates):
        level = rng.random(len(draws)) ** (1.0 / draws)
        place = np.minimum((level * pool.n).astype(np.int64), pool.n - 1)
        top = ordered[place if up_to is None else np.searchsorted(up_to, place, side="right")]
        for s, part in enumerate(strata):
            means[r, s], medians[r, s] = top[part].mean(), np.median(top[part])
    return means, medians


def _holdout(log_n: F64, means: F64) -> float:
    """Return the relative error of the line through the other N at the largest N; nan with fewer than three N."""
    if len(log_n) < 3:
        return float("nan")
    slope, level = np.polyfit(log_n[:-1], np.log(means[:-1]), 1)
    return float(np.exp(level + slope * log_n[-1]) / means[-1] - 1.0)


def _card(
    sample: Sample, grid: I64, executions: int, clusters: int, line: GrowthLine, seed: int, slope: Slope, error: float
) -> FitCard:
    """Return the fit card of the slope."""
    return FitCard(
        form={
            "equation": "log mean(x_max) = a + gamma log N",
            "free": ("a", "gamma"),
            "x": "number of agents",
            "y": f"largest {sample.name} of an execution ({sample.unit})",
            "competing": ("log median(x_max)", "one distribution for all N"),
        },
        data={
            "executions": executions,
            "N": tuple(float(size) for size in grid),
            "values": sample.n,
            "clusters": clusters,
            "excluded": "executions without a positive value",
        },
        extraction={"estimator": "largest value of each execution, mean over executions", "smoothing": "none"},
        optimisation={
            "loss": "squared error of logs, every N with the same weight",
            "uncertainty": f"{line.method}, {line.df:g} degrees of freedom",
            "bend": "not testable" if line.bend is None else line.bend.summary(),
            "gamma": slope.value,
            "interval": (slope.low, slope.high),
            "hold-out at the largest N, relative error": error,
            "seed": seed,
        },
        warnings=range_warnings(grid, "numbers of agents"),
    )
