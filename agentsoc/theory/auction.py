"""The score of an auction of plans: what a plan costs less what it is worth to a jury; the lowest score wins.

After strategy auctions (SALE, arXiv 2602.02751). The cost of a plan is w_c pi |s| with the price pi of a token of its
author and the plan's length |s|; its value is w_j times the mean of the jury's marks, 0 to 5. The entropy of the plan's
tokens, which the paper adds with a weight w_h, needs log-probabilities; without them w_h is 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
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


@dataclass(frozen=True)
class Bid:
    """A plan of an auction whose outcome is known, as a calibration has it."""

    cost: float
    """Price of a token of its author times the plan's length."""
    marks: tuple[float, ...]
    loss: float
    """What it costs if its author carries it out: tokens, money, and whatever a wrong answer is worth."""


def fit_cost_weight(auctions: Sequence[Sequence[Bid]]) -> float:
    """Return the weight of cost, that of the jury's mean mark being 1, at which the worst auction loses least.

    Only the ratio of the two decides who wins. Among weights with the same worst loss that with the least sum of losses
    is taken, then the middle of the lowest interval of such weights. Winners change where two plans score the same, so
    the middle between each two neighbours of these is tried, 0, and twice the last. But for scores that differ by less
    than `ALIKE`, which count as equal, the search is exact. Where several win, the one who loses most counts.

    Args:
        auctions: for each task the bids of all agents, each with what came or would come of it.

    Raises:
        ValueError: there is no auction, or one without a bid.
    """
    if not auctions or not all(auctions):
        raise ValueError("weights are fitted to auctions with at least one bid each")
    values = [[sum(bid.marks) / len(bid.marks) if bid.marks else 0.0 for bid in bids] for bids in auctions]
    turns = {0.0}
    for bids, value in zip(auctions, values, strict=True):
        for i, one in enumerate(bids):
            for j in range(i):
                if one.cost != bids[j].cost and (at := (value[i] - value[j]) / (one.cost - bids[j].cost)) > 0:
                    turns.add(at)
    places = sorted(turns)
    between = [(a + b) / 2 for a, b in pairwise(places)]
    tried = sorted({0.0, *between, 2 * places[-1] or 1.0})

    def losses(weight: float) -> tuple[float, float, float]:
        lost = []
        for bids, value in zip(auctions, values, strict=True):
            won = lowest({at: weight * bid.cost - value[at] for at, bid in enumerate(bids)})
            lost.append(max(bids[at].loss for at in won))
        return max(lost), sum(lost), weight

    return min(losses(weight) for weight in tried)[2]
