"""This module fits how the largest event of an execution grows with N, x_max ~ N^gamma, and says what that can mean.

gamma is the slope of log x_max on log N by least squares over the N of the grid, x_max being the mean (as published) or
the median over executions of the largest value of each; the median stays finite where the mean of heavy tails does not.
Extreme-value theory gives gamma = zeta / (alpha - 1) for iid draws with tail exponent alpha whose number grows as
N^zeta. Two things make gamma say nothing about tails, so both are reported: a structural cap that grows with N, and the
null in which every execution draws as many values as it had from one distribution for all N.
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
from analysis.fitcard import FitCard, range_warnings
from analysis.interval import Interval
from analysis.observables.sampled import Sample
from analysis.percentiles import percentile_levels

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Slope(Interval):
    """A log-log slope has a cluster-bootstrap interval: percentiles, corrected for the fewest clusters at any N."""

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
        """Return one line: gamma, its interval, the null and the cap."""
        s = self.by_mean
        return (
            f"{self.name}: gamma = {s.value:.3f} [{s.low:.3f}, {s.high:.3f}] by means, "
            f"{self.by_median.value:.3f} by medians; "
            f"one distribution for all N gives [{s.null.low:.3f}, {s.null.high:.3f}]; zeta = {self.zeta:.3f}; "
            + ("no cap of the design is known" if math.isnan(self.at_cap) else f"{self.at_cap:.0%} are at their cap")
        )


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
        clusters: label of each execution, shape (n_executions,), for the bootstrap; executions themselves by default.
        replicates: bootstrap and null replicates.
        level: coverage of the intervals.
        seed: seed of both.

    Raises:
        InputError: fewer than two N have values.
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
    draws = np.bincount(index)
    labels = groups if clusters is None else np.asarray(clusters)[groups]
    strata = [np.flatnonzero(n == size) for size in grid]
    means, medians = _curve(top, strata, np.mean), _curve(top, strata, np.median)
    boot = _bootstrap(top, strata, labels, replicates, seed)
    null = _null(sample.values, draws, strata, replicates, seed)
    log_n = np.log(grid)
    fewest = min(len(np.unique(labels[part])) for part in strata)
    by_mean, by_median = (
        _slope(log_n, curve, resampled, chance, level, fewest)
        for curve, resampled, chance in zip((means, medians), boot, null, strict=True)
    )
    per_n = _per_n(grid, strata, top, cap, draws)
    error = _holdout(log_n, means)
    zeta = float(_slopes(log_n, per_n["draws"].to_numpy()[None])[0])
    card = _card(sample, grid, len(groups), len(np.unique(labels)), replicates, seed, by_mean, error)
    return Extremes(sample.name, per_n, by_mean, by_median, zeta, _at_cap(top, cap), error, card)


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


def _slope(log_n: F64, curve: F64, resampled: F64, chance: F64, level: float, fewest: int) -> Slope:
    """Return the slope of a curve with the intervals of its resampled curves and of those by chance."""
    spread = np.quantile(_slopes(log_n, resampled), percentile_levels(level, fewest))
    low, middle, high = np.quantile(_slopes(log_n, chance), (0.5 - level / 2, 0.5, 0.5 + level / 2))
    null = Interval(float(middle), float(low), float(high), level, "one distribution for all N")
    value = float(_slopes(log_n, curve[None])[0])
    method = "bootstrap over clusters, percentiles"
    return Slope(value, float(spread[0]), float(spread[1]), level, method, null=null)


def _curve(values: F64, strata: list[I64], statistic: Callable[[F64], np.floating]) -> F64:
    """Return the statistic of `values` in each stratum."""
    return np.array([float(statistic(values[part])) for part in strata])


def _slopes(log_n: F64, curves: F64) -> F64:
    """Return the least-squares slope of log(curve) on log N for each row of `curves`, shape (n_curves,)."""
    centred = log_n - log_n.mean()
    return np.asarray(np.log(curves) @ centred / (centred @ centred))


def _bootstrap(top: F64, strata: list[I64], labels: NDArray[np.generic], replicates: int, seed: int) -> tuple[F64, F64]:
    """Return curves of means and medians, clusters resampled within each N, shape (replicates, n_grid) each."""
    means, medians = np.empty((replicates, len(strata))), np.empty((replicates, len(strata)))
    for s, part in enumerate(strata):
        rng = stream(seed, "extremes-bootstrap", s)
        _, own = np.unique(labels[part], return_inverse=True)
        order = np.argsort(own, kind="stable")
        first = np.searchsorted(own[order], np.arange(own.max() + 2))
        values = top[part][order]
        for r in range(replicates):
            chosen = rng.integers(len(first) - 1, size=len(first) - 1)
            drawn = np.concatenate([values[first[c] : first[c + 1]] for c in chosen])
            means[r, s], medians[r, s] = drawn.mean(), np.median(drawn)
    return means, medians


def _null(pool: F64, draws: I64, strata: list[I64], replicates: int, seed: int) -> tuple[F64, F64]:
    """Return curves of means and medians when every execution draws its number of values from the pooled sample.

    The largest of n draws is the quantile of the pool at U^(1/n).
    """
    ordered = np.sort(pool)
    rng = stream(seed, "extremes-null")
    means, medians = np.empty((replicates, len(strata))), np.empty((replicates, len(strata)))
    for r in range(replicates):
        level = rng.random(len(draws)) ** (1.0 / draws)
        top = ordered[np.minimum((level * len(ordered)).astype(np.int64), len(ordered) - 1)]
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
    sample: Sample, grid: I64, executions: int, clusters: int, replicates: int, seed: int, slope: Slope, error: float
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
            "uncertainty": f"cluster bootstrap within each N, {replicates} replicates",
            "gamma": slope.value,
            "interval": (slope.low, slope.high),
            "hold-out at the largest N, relative error": error,
            "seed": seed,
        },
        warnings=range_warnings(grid, "numbers of agents"),
    )
