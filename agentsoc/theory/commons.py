"""This module has the arithmetic of a shared resource: how it grows back, what may be taken, how well a society did.

The measures are those of GovSim (arXiv 2404.16698); its released code has the dynamics, the paper the definitions.
"""

from __future__ import annotations

from collections.abc import Sequence


def sustainable_share(stock: int, agents: int) -> int:
    """Return what each of `agents` can take of `stock` so that doubling what is left restores it (units)."""
    return stock // 2 // agents


def regrown(stock: int, capacity: int) -> int:
    """Return the stock after it has grown: twice what was left, at most `capacity` (units)."""
    return min(capacity, 2 * stock)


def gain_efficiency(total: float, best: float) -> float:
    """Return 1 - max(0, best - total) / best, the share of the sustainable maximum that was taken, in [0, 1].

    Args:
        total: what all agents took in all rounds (units).
        best: what they could have taken without harm: rounds x agents x share of a full stock (units), > 0.
    """
    return 1 - max(0.0, best - total) / best


def gain_equality(gains: Sequence[float]) -> float:
    """Return 1 - (sum over pairs of |R_i - R_j|) / (2 n sum R), one minus Gini's coefficient; 1 when nobody got any.

    One of n agents with everything gives 1/n, equal gains give 1.
    """
    total = sum(gains)
    if total <= 0:
        return 1.0
    n = len(gains)
    # Over ordered gains, the sum of |R_i - R_j| over all ordered pairs is 2 sum_i (2 i - n + 1) R_(i).
    spread = 2 * sum((2 * rank - n + 1) * gain for rank, gain in enumerate(sorted(gains)))
    return 1 - spread / (2 * n * total)
