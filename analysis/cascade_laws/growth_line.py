"""This module puts a line through the logs of means at several N, with an interval that holds for few clusters too.

y_g is the log of the mean at N_g over m_g clusters. The slope is that of least squares with every N alike, as
published. Its variance is tau^2 sum_g c_g^2 / m_g, c_g the weights of the slope, because the log of a mean over m
clusters varies as tau^2 / m. tau^2 pools the scatter of the y_g around the weighted line (G - 2 degrees of freedom)
with the jackknife variance of y_g over the clusters within each N (m_g - 1 each), and the interval is Student's t with
all of them. What is assumed is that the relative scatter is alike at all N; coverage: docs/verdict-studies.md.

A bend is the contrast of the y_g with (log N)^2 beyond the line, tested by t against the scatter that is left, and told
with the two slopes of the broken line that fits best.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from agentsoc.errors import InputError

F64 = NDArray[np.float64]

BEND_LEVEL: Final = 0.01
"""Level of the test of a bend."""
OVER_N: Final = "scatter over N"
OVER_BOTH: Final = "scatter over N and over clusters within N"


@dataclass(frozen=True)
class Bend:
    """The object says how means bend away from the line, in logs."""

    curvature: float
    """Coefficient of (log N)^2."""
    p: float
    """Chance of a bend as large if there is none."""
    at: float
    """N at which the broken line that fits best breaks; nan with three N, where any broken line fits."""
    below: float
    """Slope of the broken line up to there."""
    above: float
    """Slope from there on."""
    aic_gain: float
    """AIC of the straight line less that of the broken one; nan with three N."""

    @property
    def bends(self) -> bool:
        """Whether the bend is beyond chance."""
        return self.p < BEND_LEVEL

    def summary(self) -> str:
        """Return the bend in words."""
        if not self.bends:
            return f"no bend is seen (p = {self.p:.2g})"
        text = f"no one exponent: the means bend {'up' if self.curvature > 0 else 'down'} (p = {self.p:.2g})"
        if math.isnan(self.at):
            return text
        return f"{text}, slope {self.below:.3g} up to N = {self.at:g} and {self.above:.3g} beyond"


@dataclass(frozen=True)
class GrowthLine:
    """The object holds a line through logs of means."""

    slope: float
    se: float
    df: float
    """Degrees of freedom of `se`."""
    method: str
    weights: F64
    """Clusters at each N, shape (n_grid,)."""
    bend: Bend | None

    def reach(self, level: float) -> float:
        """Return half the width of the interval of the slope."""
        return float(stats.t.ppf((1 + level) / 2, self.df)) * self.se


def fit_line(log_n: F64, values: Sequence[Sequence[F64]]) -> GrowthLine:
    """Return the line through the logs of the means.

    Args:
        log_n: log of each N, increasing, shape (n_grid,).
        values: for each N the positive values of every cluster.

    Raises:
        InputError: there are two N with one cluster each.
    """
    m = np.array([len(clusters) for clusters in values], dtype=np.float64)
    y = np.array([math.log(float(np.concatenate(list(clusters)).mean())) for clusters in values])
    within = float(sum(_within(clusters) for clusters in values))
    return _line(log_n, y, m, within, float(np.sum(m - 1)))


def median_weights(m: F64) -> F64:
    """Return how much medians of m clusters weigh: the inverse variance of a median of m normal logs, 1 for one."""
    return np.asarray(2 / np.pi * (m + np.pi / 2 - 1))


def line_of_points(log_n: F64, y: F64, weights: F64) -> GrowthLine:
    """Return the line through the points y; with two points its interval is infinite.

    Nothing is known of their scatter but that around the line: so it is for medians.
    """
    if len(y) < 3:
        return GrowthLine(float(_weights(log_n) @ y), math.inf, 1.0, "none: two N", weights, None)
    return _line(log_n, y, weights, 0.0, 0.0)


def _line(log_n: F64, y: F64, m: F64, within: float, within_df: float) -> GrowthLine:
    """Return the line, given the sum of squares within the N and its degrees of freedom."""
    df = within_df + len(y) - 2
    if df < 1:
        what = f"there is one independent value at each of {len(y)} numbers of agents"
        raise InputError(what, "", "gamma needs a third N, or several executions or cells at one N")
    residual = _residuals(np.column_stack([np.ones_like(log_n), log_n]), y, m)
    tau2 = (within + float(m @ residual**2)) / df
    c = _weights(log_n)
    method = f"Student's t, {OVER_BOTH if within_df else OVER_N}"
    bend = _bend(log_n, y, m, within, within_df)
    return GrowthLine(float(c @ y), math.sqrt(tau2 * float(c**2 @ (1 / m))), df, method, m, bend)


def _weights(log_n: F64) -> F64:
    """Return the weights of y in the least-squares slope."""
    centred = log_n - log_n.mean()
    return np.asarray(centred / (centred @ centred))


def _residuals(design: F64, y: F64, m: F64) -> F64:
    """Return what least squares with weights m leaves of y."""
    root = np.sqrt(m)
    found = np.linalg.lstsq(design * root[:, None], y * root, rcond=None)[0]
    return np.asarray(y - design @ found)


def _within(clusters: Sequence[F64]) -> float:
    """Return m (m - 1) times the jackknife variance of the log of the mean over m clusters; 0 for one."""
    m = len(clusters)
    if m < 2:
        return 0.0
    sums, sizes = np.array([values.sum() for values in clusters]), np.array([values.size for values in clusters])
    left_out = np.log((sums.sum() - sums) / (sizes.sum() - sizes))
    return float((m - 1) ** 2 * np.sum((left_out - left_out.mean()) ** 2))


def _bend(log_n: F64, y: F64, m: F64, within: float, within_df: float) -> Bend | None:
    """Return the bend of y beyond the line; None where nothing is left to judge it by."""
    df = within_df + len(y) - 3
    if len(y) < 3 or df < 1:
        return None
    straight = np.column_stack([np.ones_like(log_n), log_n])
    square = (log_n - log_n.mean()) ** 2
    beyond = _residuals(straight, square, m)
    left = _residuals(np.column_stack([straight, square]), y, m)
    tau2 = (within + float(m @ left**2)) / df
    curvature = float(beyond @ (m * y) / (beyond**2 @ m))
    se = math.sqrt(tau2 / float(beyond**2 @ m))
    p = 1.0 if curvature == 0 else 0.0 if se == 0 else float(2 * stats.t.sf(abs(curvature) / se, df))
    if len(y) < 4:
        return Bend(curvature, p, math.nan, math.nan, math.nan, math.nan)
    at, below, above, squares = min((_broken(log_n, y, m, k) for k in range(1, len(y) - 1)), key=lambda one: one[3])
    clusters = float(m.sum())
    whole = within + float(m @ _residuals(straight, y, m) ** 2)
    gain = clusters * math.log(whole / (within + squares)) - 4.0 if within + squares > 0 else math.inf
    return Bend(curvature, p, at, below, above, gain if whole > 0 else math.nan)


def _broken(log_n: F64, y: F64, m: F64, k: int) -> tuple[float, float, float, float]:
    """Return (N, slope below, slope above, weighted squares) of the continuous line that breaks at the k-th N."""
    design = np.column_stack([np.ones_like(log_n), log_n, np.maximum(log_n - log_n[k], 0.0)])
    root = np.sqrt(m)
    found = np.linalg.lstsq(design * root[:, None], y * root, rcond=None)[0]
    left = y - design @ found
    return float(round(float(np.exp(log_n[k])))), float(found[1]), float(found[1] + found[2]), float(m @ left**2)
