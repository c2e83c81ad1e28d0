"""This module pools samples of the parts of a long log, so that they take as little room as can be.

Values of one execution that are equal become one entry with a count. Counts, sums of whole numbers and everything that
goes by distinct values come out the same; sums of logarithms differ in their last digits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from analysis.observables.base import Sample

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]


def compacted(sample: Sample, first: int) -> Sample:
    """Return a sample of one part with an entry for each pair of execution and value.

    Args:
        sample: values of the part.
        first: number of the part's first execution in the log.
    """
    order = np.lexsort((sample.values, sample.execution))
    values, execution, cap = sample.values[order], sample.execution[order], sample.cap[order]
    new = np.ones(len(values), bool)
    new[1:] = (values[1:] != values[:-1]) | (execution[1:] != execution[:-1])
    starts = np.flatnonzero(new)
    often = np.ones(len(values), np.int64) if sample.count is None else sample.count[order]
    count = np.add.reduceat(often, starts) if len(starts) else often
    bounds = cap[starts] if np.isfinite(cap).any() else _unbounded(len(starts))
    return Sample(sample.name, values[starts], execution[starts] + first, bounds, sample.unit, count, sample.passed)


def pooled(parts: Sequence[Sample]) -> Sample:
    """Return one sample of the parts of a log, in order; caps that a value of any part passes are no caps."""
    values, execution, count = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("values", "execution", "count")
    )
    passed = any(part.passed for part in parts)
    bounded = not passed and any(part.has_caps for part in parts)
    cap = np.concatenate([part.cap for part in parts]) if bounded else _unbounded(len(values))
    return Sample(parts[0].name, values, execution, cap, parts[0].unit, count, passed)


def _unbounded(n: int) -> F64:
    """Return n infinite caps that take no room."""
    return np.broadcast_to(np.array(np.inf), (n,))
