"""This module fits two-parameter tails whose discrete masses are bins of a continuous law; far out, bins are grouped.

A discrete value x gets the mass between x - 1/2 and x + 1/2, renormalised above xmin - 1/2. The search goes over
grouped values, which is faster and as good far out; the end of it over all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from analysis.tails.competitor import tail_start
from analysis.tails.histogram import Histogram
from analysis.tails.optimise import SearchBox, maximise

F64 = NDArray[np.float64]

_GROUPS: Final = 256
Bins = Callable[[F64, F64, float, float, F64], None]
Density = Callable[[F64, float, float, F64], None]


def fit_binned(
    tail: Histogram, xmin: float, bins: Bins, density: Density, starts: list[tuple[float, float]], box: SearchBox
) -> tuple[float, float, F64, tuple[bool, bool], bool]:
    """Return (first parameter, second parameter, log masses, bounds hit, converged) of a two-parameter tail."""
    exact = masses(tail, xmin, bins, density)
    small = grouped(tail)
    coarse = masses(small, xmin, bins, density)

    found = maximise(per_value(exact, tail), per_value(coarse, small), starts, box)
    return *found.at, exact(*found.at).copy(), found.bound, found.converged


def masses(tail: Histogram, xmin: float, bins: Bins, density: Density) -> Callable[[float, float], F64]:
    """Return the function from the two parameters to the log masses of the tail's values."""
    out = np.empty(len(tail.values))
    log_start = np.log(tail_start(tail, xmin))
    if tail.discrete:
        low, high = np.log(tail.values - 0.5) - log_start, np.log(tail.values + 0.5) - log_start

        def discrete(a: float, b: float) -> F64:
            bins(low, high, a, b, out)
            return out

        return discrete
    logs = tail.logs - log_start

    def continuous(a: float, b: float) -> F64:
        density(logs, a, b, out)
        return out - tail.logs

    return continuous


def per_value(log_masses: Callable[[float, float], F64], part: Histogram) -> Callable[[float, float], float]:
    """Return the log-likelihood per value of `part` as a function of the two parameters, -inf where it is no number."""
    weights = part.counts / part.n

    def value(a: float, b: float) -> float:
        total = float(weights @ log_masses(a, b))
        return total if np.isfinite(total) else -np.inf

    return value


def grouped(tail: Histogram) -> Histogram:
    """Return a tail of at most `_GROUPS` values in which neighbours far out are merged at their mean logarithm."""
    if len(tail.values) <= _GROUPS:
        return tail
    # The first values weigh most and stay as they are; the rest is cut into equal widths of log x.
    head = _GROUPS // 4
    width = (tail.logs[-1] - tail.logs[head]) / (_GROUPS - head)
    group = np.floor((tail.logs[head:] - tail.logs[head]) / width).astype(np.int64)
    counts = np.bincount(group, weights=tail.counts[head:])
    means = np.bincount(group, weights=tail.counts[head:] * tail.logs[head:])
    used = counts > 0
    merged = np.exp(means[used] / counts[used])
    return Histogram(
        np.concatenate([tail.values[:head], merged]),
        np.concatenate([tail.counts[:head], counts[used].astype(np.int64)]),
        tail.discrete,
    )
