"""This module says what an organisation costs in tokens, and what one agent makes of its share.

B + c0 = N (x + c0) for a tree of N = b^L leaves with x tokens each, c0 the communication overhead per leaf [P2 for
c0; exact identity D]. A single agent is N = 1: it spends all of B on itself and sends no message.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from agentsoc.errors import InputError
from agentsoc.theory import agents as law
from analysis.synergy.theory.arrays import FloatArray, between, counts, fraction, positive, real


@dataclass(frozen=True)
class LeafLaw:
    """The law says what one agent makes of its tokens: mu_0(x) = min(a x^beta, mu_max), 0 for x <= 0 [P2]."""

    a: float
    """Signal of one token, above 0."""
    beta: float
    """Compute exponent of the signal (not of the accuracy), at least 0."""
    mu_max: float = 1.0
    """Ceiling of the signal, in (0, 1]."""

    def __post_init__(self) -> None:
        if not (self.a > 0 and self.beta >= 0 and 0 < self.mu_max <= 1):
            raise InputError(
                "a leaf law needs a > 0, beta >= 0 and mu_max in (0, 1], "
                f"got a={self.a!r}, beta={self.beta!r}, mu_max={self.mu_max!r}"
            )

    def __call__(self, x: ArrayLike) -> FloatArray:
        """Return the signal of a leaf with `x` tokens."""
        return leaf_signal(x, self.a, self.beta, self.mu_max)


def leaf_signal(x: ArrayLike, a: ArrayLike, beta: ArrayLike, mu_max: ArrayLike = 1.0) -> FloatArray:
    """Return min(a x^beta, mu_max); 0 where x <= 0, so that too small a budget needs no special case [P2]."""
    x_ = real("x", x)
    spent = np.where(x_ > 0, x_, 1.0)
    signal = law.leaf_signal(spent, positive("a", a), between("beta", beta, 0.0), fraction("mu_max", mu_max))
    return np.where(x_ > 0, signal, 0.0)


def overhead(b: ArrayLike, m: ArrayLike, c_agg: ArrayLike = 0.0) -> FloatArray:
    """Return c0 = (2 m b + c_agg) / (b - 1), communication tokens per leaf [P2; with c_agg X].

    Args:
        b: fan-in, at least 2.
        m: tokens of a message, written once and read once.
        c_agg: tokens that an inner node spends besides reading and writing.
    """
    b_ = counts("b", b, 2)
    return np.asarray((2 * between("m", m, 0.0) * b_ + between("c_agg", c_agg, 0.0)) / (b_ - 1), dtype=np.float64)


def tree_cost(b: ArrayLike, depth: ArrayLike, x: ArrayLike, m: ArrayLike, c_agg: ArrayLike = 0.0) -> FloatArray:
    """Return B = N x + c0 (N - 1), the tokens of a tree of `depth` levels whose leaves spend x each [P2/D]."""
    n = counts("b", b, 2) ** counts("depth", depth, 0)
    return np.asarray(n * between("x", x, 0.0) + overhead(b, m, c_agg) * (n - 1), dtype=np.float64)


def leaf_tokens(budget: ArrayLike, b: ArrayLike, depth: ArrayLike, m: ArrayLike, c_agg: ArrayLike = 0.0) -> FloatArray:
    """Return x = (B + c0) / N - c0, what is left for a leaf; not positive where the messages cost it all [D]."""
    c0 = overhead(b, m, c_agg)
    n = counts("b", b, 2) ** counts("depth", depth, 0)
    return np.asarray((between("budget", budget, 0.0) + c0) / n - c0, dtype=np.float64)


def star_cost(n: ArrayLike, x: ArrayLike, m: ArrayLike) -> FloatArray:
    """Return N (x + 2 m), the tokens of a star (a tree of one level) [D]."""
    return np.asarray(counts("n", n) * (between("x", x, 0.0) + 2 * between("m", m, 0.0)), dtype=np.float64)


def full_cost(n: ArrayLike, x: ArrayLike, m: ArrayLike) -> FloatArray:
    """Return N x + N m + N (N - 1) m: everybody writes once and reads everybody else, one round [X]."""
    n_ = counts("n", n)
    return np.asarray(n_ * between("x", x, 0.0) + n_ * n_ * between("m", m, 0.0), dtype=np.float64)


def ring_cost(n: ArrayLike, x: ArrayLike, m: ArrayLike, rounds: ArrayLike) -> FloatArray:
    """Return N x + T N (m + 2 m): T rounds in which everybody writes once and reads two neighbours [X]."""
    n_ = counts("n", n)
    return np.asarray(n_ * between("x", x, 0.0) + 3 * counts("rounds", rounds, 0) * n_ * between("m", m, 0.0))


def chain_cost(n: ArrayLike, x: ArrayLike, m: ArrayLike) -> FloatArray:
    """Return N x + 2 m (N - 1): one message per link [D]."""
    n_ = counts("n", n)
    return np.asarray(n_ * between("x", x, 0.0) + 2 * between("m", m, 0.0) * (n_ - 1), dtype=np.float64)


def demand_window(fan_in: int, m: float, window: float) -> None:
    """Raise InputError unless `fan_in` messages of `m` tokens fit the context `window`: b m <= W [P2]."""
    if fan_in * m > window:
        raise InputError(
            f"a node cannot read {fan_in} messages of {m:g} tokens: {fan_in * m:g} exceed the window of {window:g}",
            "",
            f"use a fan-in of at most {int(window // m)} or messages of at most {int(window // fan_in)} tokens",
        )
