"""This module pools samples of the parts of a long log, so that they take as little room as can be.

Values of one execution that are equal become one entry with a count. Counts, sums of whole numbers and everything that
goes by distinct values come out the same; sums of logarithms differ in their last digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.observables.base import Sample

I64 = NDArray[np.int64]
I32 = NDArray[np.int32]
F64 = NDArray[np.float64]


@dataclass(frozen=True)
class PackedSample:
    """A packed sample has an entry for each pair of execution and value, in narrow columns, shape (n,) each."""

    name: str
    values: F64 | I32
    execution: I32
    """Number of the execution in the whole log; one of 2^31 executions would fit nowhere."""
    count: I32
    """How many values of the execution are the same."""
    cap: F64 | None
    """Largest value that the design allows; None where nothing bounds any."""
    unit: str
    passed: bool
    """Whether caps were left out because a value passes them."""


def packed(sample: Sample, first: int) -> PackedSample:
    """Return a sample of one part of a log as it is kept until all parts are there.

    Args:
        sample: values of the part.
        first: number of the part's first execution in the log.
    """
    order = np.lexsort((sample.values, sample.execution))
    values, execution, cap = sample.values[order], sample.execution[order], sample.cap[order]
    new = np.ones(len(values), bool)
    new[1:] = (values[1:] != values[:-1]) | (execution[1:] != execution[:-1])
    starts = np.flatnonzero(new)
    count = np.diff(np.append(starts, len(values)))
    kept = values[starts]
    whole = kept.astype(np.int32) if not len(kept) or kept.max() < 1 << 31 else kept
    return PackedSample(
        name=sample.name,
        values=whole if np.array_equal(whole, kept) else kept,
        execution=(execution[starts] + first).astype(np.int32),
        count=count.astype(np.int32),
        cap=cap[starts] if np.isfinite(cap).any() else None,
        unit=sample.unit,
        passed=sample.passed,
    )


def pooled(parts: Sequence[PackedSample]) -> Sample:
    """Return one sample of the parts of a log, in order; caps that a value of any part passes are no caps."""
    values = np.concatenate([part.values for part in parts], dtype=np.float64)
    execution = np.concatenate([part.execution for part in parts], dtype=np.int64)
    count = np.concatenate([part.count for part in parts], dtype=np.int64)
    passed = any(part.passed for part in parts)
    bounded = not passed and any(part.cap is not None for part in parts)
    caps = [_unbounded(len(part.values)) if part.cap is None else part.cap for part in parts] if bounded else []
    cap = np.concatenate(caps) if bounded else _unbounded(len(values))
    return Sample(parts[0].name, values, execution, cap, parts[0].unit, count, passed)


def _unbounded(n: int) -> F64:
    """Return n infinite caps that take no room."""
    return np.broadcast_to(np.array(np.inf), (n,))
