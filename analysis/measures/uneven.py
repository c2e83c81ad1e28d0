"""This module says where so few tasks took most of the tokens that means of them, and their intervals, mean little.

The mean of a heavy tail is carried by tasks that a sample may not hold; no interval from the sample knows of them.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

EVEN: Final = 0.2
"""Share of the tasks that equal ones with the same spread would be, below which intervals are said to be too narrow.

In the study (benchmarks/study_attacks.py) a lognormal with sigma 1 keeps above it, one with sigma 2 is below."""
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
    if worth >= EVEN * used.size:
        return ""
    top = float(np.max(used) / used.sum())
    return (
        f"few tasks took most of the tokens (one of {used.size:,} took {top:.0%}), so tokens a task and what is made "
        "of them may lie far outside their intervals"
    )
