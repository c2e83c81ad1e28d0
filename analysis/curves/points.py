"""This module takes columns of x and y as what a curve is fitted to, and refuses what none can be fitted to.

Values with one x enter by the mean of their ln y and their number. What is left out at a time to see whether a form
predicts it, and what the bootstrap takes as independent, are units: clusters (runs, seeds) where they are named, else
all values with one x together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from agentsoc.errors import InputError
from analysis.curves.search import Sets
from analysis.interval import FloatArray, IntArray

FEWEST_X: Final = 4
"""Distinct x below which nothing is fitted."""
MOST_X: Final = 128
"""Distinct x kept; with more, neighbours in ln x are taken together."""
FOLDS: Final = 10
FEWEST_UNITS: Final = 5
"""Clusters below which values with one x are the units, though clusters are named."""
VALUES_MAX: Final = 5_000_000
SPAN: Final = 230.0
"""Largest range of ln y: a factor of 1e100."""


@dataclass(frozen=True)
class Points:
    """The points are what a curve is fitted to."""

    log_x: FloatArray
    """ln x less `centre`, distinct and increasing, shape (n_x,)."""
    centre: float
    """Mean of ln x over the distinct x."""
    at: IntArray
    """Place in `log_x` of each value, shape (n_values,)."""
    log_y: FloatArray
    """ln y of each value less `level`, shape (n_values,)."""
    level: float
    """Mean of ln y."""
    unit: IntArray
    """Unit of each value, from 0, shape (n_values,)."""
    by_clusters: bool
    """Whether units are clusters; else values with one x."""
    fold: IntArray
    """Part in which each value is left out, shape (n_values,)."""
    held: IntArray
    """What is left out together, from 0, shape (n_values,): clusters where these have several x, else an x."""
    merged: bool
    """Whether neighbours in x were taken together."""
    notes: tuple[str, ...]

    @property
    def n_x(self) -> int:
        """Distinct x."""
        return self.log_x.size

    @property
    def n_units(self) -> int:
        """Number of units."""
        return int(self.unit.max()) + 1

    def x(self) -> FloatArray:
        """Return the distinct x in their own units."""
        return np.asarray(np.exp(self.log_x + self.centre))

    def whole(self) -> Sets:
        """Return all values as one set."""
        return self.sets(np.ones((1, self.at.size), dtype=bool))

    def sets(self, taken: np.ndarray) -> Sets:
        """Return sets of some of the values, given by a mask of shape (n_sets, n_values)."""
        weight = np.array([np.bincount(self.at[one], minlength=self.n_x) for one in taken], dtype=np.float64)
        sums = np.array([np.bincount(self.at[one], self.log_y[one], minlength=self.n_x) for one in taken])
        return Sets(self.log_x, sums / np.maximum(weight, 1.0), weight)

    def spread(self, residual: FloatArray, signs: FloatArray) -> FloatArray:
        """Return what the residuals of units with these signs add to the mean of each x.

        Args:
            residual: of each value, shape (n_values,).
            signs: factor of each unit, shape (n_draws, n_units).

        Returns:
            Shape (n_draws, n_x).
        """
        share = residual / np.bincount(self.at)[self.at]
        matrix = sparse.coo_array((share, (self.at, self.unit)), shape=(self.n_x, self.n_units)).tocsr()
        return np.asarray((matrix @ signs.T).T)


def points_of(x: ArrayLike, y: ArrayLike, clusters: ArrayLike | None, *, names: tuple[str, str]) -> Points:
    """Return the points of two columns.

    Raises:
        InputError: the columns differ in length or are no numbers, a value is not positive and finite, there are fewer
            than four distinct x, or more than five million values.
    """
    xs, ys = _numbers(x, names[0]), _numbers(y, names[1])
    if xs.size != ys.size:
        raise InputError(f"{names[0]} has {xs.size} values and {names[1]} has {ys.size}", "", "give one y for each x")
    if xs.size > VALUES_MAX:
        raise InputError(f"there are {xs.size:,} values, at most {VALUES_MAX:,} are taken", "", "give means of them")
    log_y = np.log(ys)
    if np.ptp(log_y) > SPAN:
        what = f"{names[1]} spans a factor of more than 1e{SPAN / np.log(10):.0f}"
        raise InputError(what, names[1], "leave out what is next to nothing")
    log_x, at = np.unique(np.log(xs), return_inverse=True)
    if log_x.size < FEWEST_X:
        what = f"{names[0]} has {log_x.size} distinct values"
        raise InputError(what, names[0], f"a curve needs {FEWEST_X} or more, better ten over two decades")
    merged = log_x.size > MOST_X
    if merged:
        bins = np.linspace(log_x[0], log_x[-1], MOST_X + 1)
        place = np.clip(np.searchsorted(bins, log_x, side="right") - 1, 0, MOST_X - 1)
        place = np.unique(place, return_inverse=True)[1]
        count = np.bincount(place[at]).astype(np.float64)
        log_x, at = np.bincount(place[at], np.log(xs)) / count, place[at]
    unit, by_clusters, notes = _units(at, clusters, xs.size, names)
    held = unit if by_clusters and _several(unit, at) else at
    return Points(
        log_x - log_x.mean(), float(log_x.mean()), at, log_y - log_y.mean(), float(log_y.mean()), unit, by_clusters,
        held % FOLDS, held, merged, notes,
    )  # fmt: skip


def _several(unit: IntArray, at: IntArray) -> bool:
    """Return whether some unit has values at several x."""
    pairs = np.unique(np.column_stack([unit, at]), axis=0)
    return len(pairs) > int(unit.max()) + 1


def _units(
    at: IntArray, clusters: ArrayLike | None, n: int, names: tuple[str, str]
) -> tuple[IntArray, bool, tuple[str, ...]]:
    """Return the unit of each value, whether units are clusters, and what is to be said of it."""
    if clusters is None:
        return at, False, ()
    labels = np.asarray(clusters)
    if labels.shape != (n,):
        raise InputError(f"{labels.size} clusters are named for {n} values of {names[0]}", "clusters", "give one each")
    found, unit = np.unique(labels, return_inverse=True)
    if len(found) < FEWEST_UNITS:
        one = "all values are of one cluster" if len(found) == 1 else f"values are of only {len(found)} clusters"
        return at, False, (f"{one}, so each x is taken as independent, which it may not be",)
    return unit, True, ()


def _numbers(values: ArrayLike, name: str) -> FloatArray:
    """Return a column of positive finite numbers."""
    try:
        found = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name} is not a column of numbers", name, "give one number for each value") from None
    if found.ndim != 1:
        raise InputError(f"{name} has {found.ndim} dimensions", name, "give one column")
    bad = np.flatnonzero(~(np.isfinite(found) & (found > 0)))
    if bad.size:
        more = f" and {bad.size - 1} more" if bad.size > 1 else ""
        what = f"{name} has {found[bad[0]]:g} in row {bad[0]}{more}"
        raise InputError(what, name, "logs are fitted, so leave out or replace what is not positive and finite")
    return found
