"""This module says at which shares of a bootstrap its percentile interval ends when units are few."""

from __future__ import annotations

import math

from scipy.special import ndtr, stdtrit


def percentile_levels(level: float, units: int) -> tuple[float, float]:
    """Return the two shares; for many units (1 - level)/2 and (1 + level)/2.

    Samples drawn from few units spread too little, by sqrt((units - 1)/units), and their spread is itself uncertain.
    The shares of Student's t, scaled accordingly, put that right (Hesterberg, Am. Stat. 69, 2015, sect. 5.3).

    Args:
        level: coverage aimed at, 0 to 1.
        units: clusters, or values, that each replicate draws with replacement.
    """
    if units < 2:
        return 0.0, 1.0
    tail = float(ndtr(stdtrit(units - 1, 0.5 - level / 2) * math.sqrt(units / (units - 1.0))))
    return tail, 1.0 - tail
