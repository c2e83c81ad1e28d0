"""This module ranks whole numbers among the distinct ones: it counts where they lie close together, else it sorts.

Tasks, rounds and answers are numbered from zero, so that their combinations lie close together: to count them takes
one pass over the numbers, to sort them several.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

I64 = NDArray[np.int64]

SPREAD_MAX: Final = 8
"""The range of the numbers, as a multiple of how many there are, up to which they are counted."""


def ranked(numbers: NDArray[Any]) -> tuple[I64, I64]:
    """Return the distinct numbers, increasing, and the place of each number among them: `np.unique` with the inverse.

    Args:
        numbers: whole numbers, shape (n,).
    """
    if not numbers.size:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    low, high = int(numbers.min()), int(numbers.max())
    if high - low > SPREAD_MAX * numbers.size:
        values, rank = np.unique(numbers, return_inverse=True)
        return values.astype(np.int64), rank.astype(np.int64)
    place = numbers.astype(np.int64) - low
    there = np.zeros(high - low + 1, bool)
    there[place] = True
    return np.flatnonzero(there) + low, (np.cumsum(there) - 1)[place]
