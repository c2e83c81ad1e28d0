"""This module says how a tree of agents spends a budget best: the tokens of a leaf, and the number of leaves.

From the stationarity of a x^beta N^t under B + c0 = N (x + c0): N leaves of x tokens each, c0 tokens of communication a
leaf, merging that makes N^t of a weak signal (Liu, Kong and Pei, arXiv:2601.17311; docs/phase-theory.md, "What is
proven": Allocation). Both hold for t > beta only; otherwise one agent should spend everything.
"""

from __future__ import annotations

from agentsoc.theory.elementary import Real


def best_leaf_tokens(c0: Real, beta: Real, t: Real) -> Real:
    """Return x* = c0 beta / (t - beta), the tokens that a leaf is worth; independent of the budget.

    Args:
        c0: tokens of communication a leaf, >= 0.
        beta: compute exponent of a leaf, >= 0.
        t: growth exponent of merging, > beta.
    """
    return c0 * beta / (t - beta)


def leaves_paid(budget: Real, c0: Real, x: Real) -> Real:
    """Return N = (B + c0) / (x + c0), the leaves of x tokens that a budget of B tokens pays for; a real number."""
    return (budget + c0) / (x + c0)
