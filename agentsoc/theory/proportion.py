"""This module has Wilson's score interval of a proportion, for scores of runs and for measured fidelities."""

from __future__ import annotations

import math
from typing import Final

Z95: Final = 1.959963984540054
"""Quantile of the normal distribution for two-sided 95 %."""


def wilson(share: float, n: float, z: float) -> tuple[float, float]:
    """Return the ends of (p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n).

    Wilson, J. Am. Stat. Assoc. 22 (1927). Rounding may put an end outside [0, 1] by the last digit.

    Args:
        share: p, observed, in [0, 1].
        n: trials, > 0.
        z: quantile of the normal distribution, 1.96 for two-sided 95 %.
    """
    z2 = z * z
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    reach = z / (1 + z2 / n) * math.sqrt(max(share * (1 - share), 0.0) / n + z2 / (4 * n * n))
    return middle - reach, middle + reach
