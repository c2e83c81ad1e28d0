"""This module divides a budget: by weights into whole numbers, by the marginal rule, and among the leaves of a tree.

Pure functions. What they return adds up to the amount exactly, and none of it depends on the order in which anybody
asks: equal weights get shares that differ by one at most.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Final

from agentsoc.theory.allocation import best_leaf_tokens, leaves_paid

_HALVINGS: Final = 200


def split(amount: int, weights: Sequence[float]) -> list[int]:
    """Return shares of `amount` in proportion to `weights`: largest remainders, the first of equal ones first.

    The shares add up to `amount`, unless no weight is positive: then they are all 0.

    Args:
        amount: what is divided, >= 0.
        weights: finite and >= 0, shape (n,).
    """
    if not weights:
        return []
    if min(weights) == max(weights):
        share, rest = divmod(amount, len(weights)) if weights[0] > 0 else (0, 0)
        return [share + (i < rest) for i in range(len(weights))]
    exact = [Fraction(weight) for weight in weights]
    total = sum(exact)
    wanted = [amount * weight / total for weight in exact]
    shares = [math.floor(share) for share in wanted]
    order = sorted(range(len(shares)), key=lambda i: (shares[i] - wanted[i], i))
    for i in order[: amount - sum(shares)]:
        shares[i] += 1
    return shares


def marginal(amount: float, difficulties: Sequence[float]) -> list[float]:
    """Return the shares that maximise the product of 1 - exp(-b_i/h_i) under sum b_i = amount.

    At the optimum d ln(success)/db = 1/(h (exp(b/h) - 1)) is the same number exp(-u) for all parts, hence
    b = h ln(1 + exp(u)/h), which grows with u: u is found by bisection.

    Args:
        amount: what is divided, >= 0.
        difficulties: h of each part, > 0, in the units of `amount`, shape (n,).
    """
    if not difficulties or amount <= 0:
        return [0.0] * len(difficulties)

    def shares(u: float) -> list[float]:
        return [h * _softplus(u - math.log(h)) for h in difficulties]

    middle, width = math.log(max(difficulties)), 1.0
    while sum(shares(middle + width)) < amount or sum(shares(middle - width)) > amount:
        width *= 2
    low, high = middle - width, middle + width
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        if sum(shares(middle)) < amount:
            low = middle
        else:
            high = middle
    found = shares(high)
    scale = amount / sum(found)
    return [share * scale for share in found]


def _softplus(x: float) -> float:
    """Return ln(1 + exp(x))."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def leaf_tokens(c0: float, beta: float, t: float) -> float | None:
    """Return x* = c0 beta / (t - beta), the tokens that a leaf of a tree is worth; None where t <= beta.

    For leaves of signal a x^beta under a merging that gains N^t with N leaves, at c0 tokens of communication a leaf.
    It does not depend on the budget, which buys leaves, not stronger ones. Where t <= beta one agent takes all.
    """
    return best_leaf_tokens(c0, beta, t) if t > beta else None


def leaves(amount: float, c0: float, beta: float, t: float) -> float:
    """Return N* = (B + c0) / (x* + c0), the number of leaves (real) that a budget is worth; at least 1.

    inf where messages are free (c0 = 0) and t > beta.
    """
    x = leaf_tokens(c0, beta, t)
    if x is None:
        return 1.0
    return max(leaves_paid(amount, c0, x), 1.0) if x + c0 > 0 else math.inf
