"""This module describes a sample by numbers: mean, median, spread, and how far its sum is in the hands of a few.

A sample of a long log has entries that stand for several values (`Sample.count`). It is described from its distinct
values and their counts, which gives the same numbers up to rounding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.observables.base import Sample
from analysis.tails.histogram import Histogram, histogram

F64 = NDArray[np.float64]

TOP: Final = 0.10
"""Share of agents, or of values, that count as the top."""


@dataclass(frozen=True)
class Described:
    """The object holds the numbers that describe a sample."""

    mean: float
    median: float
    std: float
    largest: float
    distinct: int
    """Different values."""
    gini: float
    top_share: float
    """Share of the sum that the largest tenth of the values has."""
    effective_n: float


def described(sample: Sample) -> Described:
    """Return the numbers that describe a sample that has values."""
    if sample.count is not None:
        return _of_counts(histogram(sample.counted, discrete=False))
    values = sample.values
    return Described(
        float(values.mean()), float(np.median(values)), float(values.std()), float(values.max()),
        len(np.unique(values)), gini(values), top_share(values), effective_n(values),
    )  # fmt: skip


def _of_counts(sample: Histogram) -> Described:
    values, counts, n = sample.values, sample.counts, sample.n
    total, mean = float(counts @ values), float(counts @ values) / n
    below = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    middle = [values[np.searchsorted(below, place, side="right") - 1] for place in ((n - 1) // 2, n // 2)]
    in_top = np.minimum(counts, np.maximum(below[1:] - (n - top_size(n)), 0))
    return Described(
        mean=mean,
        median=float(np.mean(middle)),
        std=math.sqrt(float(counts @ (values - mean) ** 2) / n),
        largest=float(values[-1]),
        distinct=len(values),
        gini=float((2.0 * below[:-1] + counts - n) @ (values * counts) / (n * total)),
        top_share=float(in_top @ values) / total,
        effective_n=total**2 / float(counts @ values**2),
    )


def gini(x: ArrayLike) -> float:
    """Return the Gini coefficient of non-negative `x`; nan if it sums to zero."""
    ordered = np.sort(np.asarray(x, dtype=np.float64))
    n, total = len(ordered), ordered.sum()
    if total <= 0:
        return math.nan
    return float((2.0 * np.arange(1, n + 1) - n - 1) @ ordered / (n * total))


def top_size(n: int, q: float = TOP) -> int:
    """Return k = max(1, ceil(q n)); q n is first rounded to twelve digits, so that 0.1 x 70 gives 7, not 8."""
    return max(1, math.ceil(round(q * n, 12)))


def top_share(x: ArrayLike, q: float = TOP) -> float:
    """Return the share of the total held by the `top_size` largest of `x`; nan if it sums to zero."""
    ordered = np.sort(np.asarray(x, dtype=np.float64))
    total = ordered.sum()
    return float(ordered[len(ordered) - top_size(len(ordered), q) :].sum() / total) if total > 0 else math.nan


def effective_n(x: ArrayLike) -> float:
    """Return (sum x)^2 / sum x^2, the number of equal agents that would be as concentrated; nan if it sums to zero."""
    array = np.asarray(x, dtype=np.float64)
    squares = float(array @ array)
    return float(array.sum() ** 2 / squares) if squares > 0 else math.nan
