"""This module says what one agent makes of the tokens that it spends."""

from __future__ import annotations

from agentsoc.theory.elementary import Real, expm1, power, smaller


def leaf_signal(x: Real, a: Real, beta: Real, mu_max: Real) -> Real:
    """Return min(a x^beta, mu_max), the signal 2p - 1 of an agent that spends `x` tokens; p is how often it is right.

    The leaf law of budgeted synergy (Liu, Kong and Pei, arXiv:2601.17311; docs/phase-theory.md, "The objects"), with a
    ceiling.

    Args:
        x: tokens, >= 0; above 0 where beta is 0.
        a: signal of one token, > 0.
        beta: compute exponent of the signal, >= 0.
        mu_max: ceiling of the signal, in (0, 1].
    """
    return smaller(a * power(x, beta), mu_max)


def success(tokens: Real, h: Real) -> Real:
    """Return 1 - exp(-b/h), the success of a part on which b tokens are spent and that takes about h.

    Diminishing returns: every further token solves the same share of what is still unsolved (docs/budgets.md).

    Args:
        tokens: b, >= 0.
        h: tokens that the part takes, > 0.
    """
    return -expm1(-tokens / h)
