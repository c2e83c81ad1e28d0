"""This module gives the numbers of each panel of the phase diagram as a table: what is drawn is in it.

In each, `what` says what a row belongs to, as the panel's legend does, and what a row does not have is null.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from analysis.synergy.diagram.panels import BudgetPanel, PhasePlane, TrajectoryPanel

DIGITS: Final = 6
"""Significant digits of the table of the plane: it has a row for every place that is coloured."""
_Column = NDArray[np.float64] | NDArray[np.int64] | Sequence[float] | float | None


def plane_table(plane: PhasePlane) -> pl.DataFrame:
    """Return panel 1.

    Returns:
        pl.DataFrame: `what`, `gamma` and `rho` (in [0, 1]) and `value`: the exponent s at each place of the plane, the
            signal that a parent has above its leaf's (``mu over mu0``, where the leaf's is known), the two lines alpha
            = 1 (``lock``, ``beta-binomial``), the level beta, and the point that was measured with its draws.
    """
    gamma, rho = np.meshgrid(plane.gamma, plane.rho)
    parts = [_places("s", gamma.ravel(), rho.ravel(), plane.s.ravel())]
    if plane.finite is not None:
        parts.append(_places("mu over mu0", gamma.ravel(), rho.ravel(), plane.finite.ravel()))
    parts.append(_places("alpha = 1, lock", plane.boundary_lock, plane.rho))
    parts.append(_places("alpha = 1, beta-binomial", plane.boundary_beta_binomial, plane.rho))
    if plane.beta is not None:
        parts.append(_places("beta", None, None, [plane.beta]))
    if plane.point is not None:
        parts.append(_places("measured", [plane.point[0]], [plane.point[1]]))
    if plane.cloud.size:
        parts.append(_places("draw", plane.cloud[:, 0], plane.cloud[:, 1]))
    return _finite(pl.concat(parts)).with_columns(pl.selectors.numeric().round_sig_figs(DIGITS))


def budget_table(panel: BudgetPanel) -> pl.DataFrame:
    """Return panel 2.

    Returns:
        pl.DataFrame: `what`, `beta` with its interval `beta_low` and `beta_high` where it was measured, `budget` in
            units of c0 and in `tokens`: the four curves, null where no budget does it, then s and the measured beta.
    """
    curves = {
        "B*_1": panel.first, "B*_g": panel.growth, "B_sat": panel.saturation, "B_catch": panel.catch_up,
    }  # fmt: skip
    parts = [_budgets(name, panel.beta, budget=curve) for name, curve in curves.items()]
    parts.append(_budgets("s", [panel.s]))
    if panel.measured_beta is not None:
        value, low, high = panel.measured_beta
        parts.append(_budgets("measured beta", [value], low=low, high=high))
    return _finite(pl.concat(parts)).with_columns((pl.col("budget") * panel.c0).alias("tokens"))


def depth_table(panel: TrajectoryPanel) -> pl.DataFrame:
    """Return panel 3.

    Returns:
        pl.DataFrame: `what` (``exact``, ``upper bound``, ``lower bound``, ``95 % band``, ``measured``), `depth`
            (levels), `signal` in [-1, 1], and `low` and `high` of band and measured points.
    """
    depth = np.arange(panel.exact.size)
    parts = [
        _signals(name, depth, signal)
        for name, signal in (("exact", panel.exact), ("upper bound", panel.upper), ("lower bound", panel.lower))
    ]
    if np.any(np.isfinite(panel.band_low)):
        parts.append(_signals("95 % band", depth, None, panel.band_low, panel.band_high))
    if panel.measured:
        levels = np.array([point.level for point in panel.measured])
        signal, low, high = np.array([(point.signal, point.low, point.high) for point in panel.measured]).T
        parts.append(_signals("measured", levels, signal, low, high))
    return _finite(pl.concat(parts))


def _places(
    what: str,
    gamma: _Column,
    rho: _Column,
    value: _Column = None,
) -> pl.DataFrame:
    return _rows(what, {"gamma": gamma, "rho": rho, "value": value})


def _budgets(
    what: str,
    beta: _Column,
    *,
    low: float | None = None,
    high: float | None = None,
    budget: _Column = None,
) -> pl.DataFrame:
    return _rows(what, {"beta": beta, "beta_low": low, "beta_high": high, "budget": budget})


def _signals(
    what: str,
    depth: _Column,
    signal: _Column,
    low: _Column = None,
    high: _Column = None,
) -> pl.DataFrame:
    return _rows(what, {"depth": depth, "signal": signal, "low": low, "high": high})


def _rows(what: str, columns: dict[str, _Column]) -> pl.DataFrame:
    """Return columns of numbers as long as the longest; one value or None is that of all rows."""
    n = max(1 if column is None or isinstance(column, float) else len(column) for column in columns.values())
    made = {
        name: pl.Series(name, [column] * n if column is None or isinstance(column, float) else column, strict=False)
        for name, column in columns.items()
    }
    return pl.DataFrame({"what": [what] * n, **made}).with_columns(pl.selectors.exclude("what").cast(pl.Float64))


def _finite(table: pl.DataFrame) -> pl.DataFrame:
    """Return a table with null in place of what is no finite number."""
    numbers = pl.selectors.numeric()
    return table.with_columns(pl.when(numbers.is_finite()).then(numbers))
