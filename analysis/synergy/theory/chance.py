"""This module turns how often something is right into its signal, which is 0 for a guess and 1 for certainty, and back.

Of accuracies, and of agreement between what was sent and what was read: there the signal is called fidelity.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from analysis.synergy.theory.arrays import FloatArray


def signal_of(share: ArrayLike, chance: float) -> FloatArray:
    """Return mu = (p - c) / (1 - c) for the share p of right answers; below 0 for less than a guess. Not clipped.

    Args:
        share: p, in [0, 1].
        chance: c, the share of a guess: 1/K among K answers.
    """
    return np.asarray((np.asarray(share, dtype=np.float64) - chance) / (1 - chance))


def share_of(signal: ArrayLike, chance: float) -> FloatArray:
    """Return p = c + (1 - c) mu, how often a signal is right; the inverse of `signal_of`."""
    return np.asarray(chance + (1 - chance) * np.asarray(signal, dtype=np.float64))
