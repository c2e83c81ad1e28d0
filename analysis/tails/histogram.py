"""This module turns a sample into its distinct values and their counts, which is all that the fits need of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agentsoc.errors import InputError

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

_LARGEST_COUNTED: Final = 1 << 22


@dataclass(frozen=True)
class Histogram:
    """A histogram holds distinct positive values in increasing order with their counts."""

    values: F64
    counts: I64
    discrete: bool
    """Whether values are whole numbers and models are probability masses on them, not densities."""

    @property
    def n(self) -> int:
        """Number of values."""
        return int(self.counts.sum())

    @cached_property
    def logs(self) -> F64:
        """Logarithms of the values."""
        return np.log(self.values)

    @cached_property
    def logs_next(self) -> F64:
        """Logarithms of the values plus one."""
        return np.log(self.values + 1.0)

    @cached_property
    def below(self) -> F64:
        """Number of sample values smaller than each distinct value, and the total, shape (n_distinct + 1,)."""
        return np.concatenate([[0.0], np.cumsum(self.counts, dtype=np.float64)])

    @cached_property
    def log_above(self) -> F64:
        """Sum of the logarithms of all sample values at or above each distinct value."""
        return np.cumsum((self.counts * self.logs)[::-1])[::-1].copy()

    def tail(self, xmin: float) -> Histogram:
        """Return the part at or above `xmin`."""
        start = int(np.searchsorted(self.values, xmin))
        return Histogram(self.values[start:], self.counts[start:], self.discrete)


@dataclass(frozen=True)
class CountedValues:
    """The object is a sample that says how often each of its values stands in it, as a large one does."""

    values: F64
    """Shape (n,); the same value may come again, of another cluster."""
    counts: I64
    """How many there are of each, at least one, shape (n,)."""


def counted(values: ArrayLike | CountedValues) -> tuple[F64, I64 | None]:
    """Return values, and how many there are of each; None where there is one of each."""
    if isinstance(values, CountedValues):
        return values.values, values.counts
    return np.asarray(values, dtype=np.float64), None


def histogram(values: ArrayLike | CountedValues, *, discrete: bool = True) -> Histogram:
    """Return the histogram of the positive `values`; zeros are left out, as in every observable.

    Raises:
        InputError: a value is negative, not finite or, for a discrete sample, not a whole number.
    """
    array, often = counted(values)
    array = array.ravel()
    if not np.all(np.isfinite(array)):
        raise InputError("the sample holds values that are not finite", "", "drop or censor them before fitting")
    if len(array) and array.min() < 0:
        raise InputError(
            f"the sample holds negative values, the least is {array.min():g}", "", "tails are fitted to sizes"
        )
    if discrete and np.any(array != np.floor(array)):
        odd = array[array != np.floor(array)][0]
        raise InputError(
            f"the discrete sample holds {odd:g}, which is not a whole number", "", "fit it with discrete=False"
        )
    often = None if often is None else often[array > 0]
    array = array[array > 0]
    if discrete and len(array) and array.max() < _LARGEST_COUNTED:
        counts = np.bincount(array.astype(np.int64), weights=often).astype(np.int64)  # whole numbers: exact
        present = np.flatnonzero(counts)
        return Histogram(present.astype(np.float64), counts[present], discrete)
    if often is None:
        distinct, counts = np.unique(array, return_counts=True)
    else:
        distinct, code = np.unique(array, return_inverse=True)
        counts = np.bincount(code, weights=often, minlength=len(distinct))
    return Histogram(distinct, counts.astype(np.int64), discrete)
