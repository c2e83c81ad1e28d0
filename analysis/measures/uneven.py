"""This module says where so few tasks took most of the tokens that means of them, and their intervals, mean little.

The mean of a heavy tail is carried by tasks that a sample may not hold; no interval from the sample knows of them.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

EVEN: Final = 0.2
"""Share of the tasks that equal ones with the same spread would be, below which intervals are said to be too narrow.

In the study (benchmarks/study_attacks.py) a lognormal with sigma 1 keeps above it, one with sigma 2 is below."""
TAIL: Final = 2.0
"""Tail index (Hill, Annals of Statistics 3, 1975) at which a variance ceases to exist, and below which the tokens are
said to be too heavy-tailed: of the tenth of the tasks with the most."""
FEWEST_OF_TAIL: Final = 100
"""Tasks below which no tail index is looked at: with 50, exponential tokens would be below it in three of ten samples,
with 100 in one of eleven (docs/comparison-studies.md)."""
FEWEST: Final = 10
"""Tasks below which nothing is said: intervals over so few are said to be rough anyway."""


def uneven_tokens(table: pl.DataFrame) -> str:
    """Return in words that few tasks took most of the tokens; nothing where they did not.

    Args:
        table: rows with the column tokens; null where a task has none.
    """
    used = table["tokens"].drop_nulls().cast(pl.Float64).to_numpy()
    if used.size < FEWEST or not used.sum():
        return ""
    worth = float(used.sum() ** 2 / (used @ used))
    if worth < EVEN * used.size:
        top = float(np.max(used) / used.sum())
        return (
            f"few tasks took most of the tokens (one of {used.size:,} took {top:.0%}), so tokens a task and what is "
            "made of them may lie far outside their intervals"
        )
    index = tail_index(used)
    if index is None or index >= TAIL:
        return ""
    return (
        f"the tokens of a task are too heavy-tailed for an interval of their mean (tail index {index:.2g}; below "
        f"{TAIL:g} there may be no variance), so tokens a task and what is made of them may lie outside theirs"
    )


def tail_index(used: NDArray[np.float64]) -> float | None:
    """Return Hill's estimate for the largest tenth of the values, without bias for a power law; None where too few.

    The smaller it is, the heavier the tail: the density falls as x^-(1 + index).
    """
    if used.size < FEWEST_OF_TAIL:
        return None
    k = used.size // 10
    largest = np.sort(used)[-k - 1 :]
    if largest[0] <= 0:
        return None
    excess = float(np.log(largest[1:] / largest[0]).sum())
    return (k - 1) / excess if excess > 0 else float("inf")
