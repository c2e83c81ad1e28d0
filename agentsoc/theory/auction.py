"""The score of an auction of plans: what a plan costs less what it is worth to a jury; the lowest score wins.

After strategy auctions (SALE, arXiv 2602.02751). The cost of a plan is w_c pi |s| with the price pi of a token of its
author and the plan's length |s|; its value is w_j times the mean of the jury's marks, 0 to 5. The entropy of the plan's
tokens, which the paper adds with a weight w_h, needs log-probabilities; without them w_h is 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

ALIKE: Final = 1e-9
"""Scores that differ by less are the same."""


def score(price: float, length: int, marks: Sequence[float], *, cost_weight: float, jury_weight: float) -> float:
    """Return cost less value of a plan of `length` tokens at `price` each; without any marks its value is 0."""
    value = jury_weight * sum(marks) / len(marks) if marks else 0.0
    return cost_weight * price * length - value


def lowest(scores: Mapping[int, float]) -> list[int]:
    """Return those who have the lowest score, in increasing order; several where they are equal."""
    if not scores:
        return []
    best = min(scores.values())
    return sorted(agent for agent, found in scores.items() if found <= best + ALIKE)
