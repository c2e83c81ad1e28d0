"""This module fits a curve to two columns of a tidy table, such as one with a row for each run of a sweep."""

from __future__ import annotations

import polars as pl

from agentsoc.errors import InputError
from analysis.curves.fit import DRAWS, fit_curve
from analysis.curves.law import CurveLaw


def curve_of(
    table: pl.DataFrame, x: str, y: str, *, cluster: str | None = None, draws: int = DRAWS, seed: int = 0
) -> CurveLaw:
    """Return the law of one column over another; rows where either is missing are left out.

    Args:
        table: a row for each measurement.
        x: column of N, tokens or rounds, positive numbers.
        y: column of what depends on it, positive numbers.
        cluster: column that says which rows belong together (a run, a seed); None takes each x as independent.
        draws: bootstrap samples.
        seed: seed of the bootstrap.

    Raises:
        InputError: a column is missing or holds no numbers, or as for `fit_curve`.
    """
    names = [x, y] + ([] if cluster is None else [cluster])
    for name in names:
        if name not in table.columns:
            raise InputError(f"the table has no column {name}", name, f"it has {', '.join(table.columns)}")
    for name in (x, y):
        if not table[name].dtype.is_numeric():
            raise InputError(f"column {name} holds {table[name].dtype}, not numbers", name, "cast it to numbers")
    rows = table.select(names).drop_nulls([x, y])
    labels = None if cluster is None else rows[cluster].cast(pl.String).fill_null("").to_numpy()
    return fit_curve(
        rows[x].cast(pl.Float64).to_numpy(), rows[y].cast(pl.Float64).to_numpy(), clusters=labels, names=(x, y),
        draws=draws, seed=seed,
    )  # fmt: skip
