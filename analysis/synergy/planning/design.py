"""This module searches the best organisation under a token budget B and a context window W by exact recursion [X].

Whole-numbered fan-in b, message length m and depth L are enumerated; the tokens of a leaf follow from the budget
identity, since the signal never falls with more of them. Candidates have proven upper bounds (clipped growth, and the
cap of the last channel); the exact recursion runs on those whose bounds reach the best found so far. So the result is
that of the full enumeration.

Organisations: ``single`` (one agent takes all), ``star`` (one level), ``tree`` (two levels or more), ``full``
(everybody reads everybody once). Even fan-ins are not searched, because their last child is wasted; nor are chains,
because a chain without tallies never amplifies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from agentsoc.errors import InputError
from agentsoc.log.notebook import notebook_html
from analysis.synergy.theory.alternatives import full_vote
from analysis.synergy.theory.arrays import FloatArray, IntArray, fraction
from analysis.synergy.theory.costs import LeafLaw, demand_window, leaf_tokens, overhead
from analysis.synergy.theory.recursion import Lock, alpha, node_map

Organisation = Literal["single", "star", "tree", "full"]
"""Who reads whom; see the module."""

_ORGANISATIONS: Final[tuple[Organisation, ...]] = ("single", "star", "tree", "full")
_CHUNK: Final = 1 << 17  # pairs of fan-in and message length worked on at a time: the columns stay in the cache
_MOST_PAIRS: Final = 10_000_000
_SLACK: Final = 1e-12  # relative rounding of bound and recursion


@dataclass(frozen=True)
class Design:
    """A design is one organisation within the budget, with the signal that the theory promises for it."""

    organisation: Organisation
    b: int
    """Fan-in of a node (messages that it reads, its own vote included for `full`); 1 for a single agent."""
    m: int
    """Length of a message; 0 for a single agent (tokens)."""
    depth: int
    n_leaves: int
    x: float
    """Compute of a leaf (tokens)."""
    gamma: float
    """Fidelity of a message; 1 where there is none."""
    mu: float
    """Signal of the answer."""

    @property
    def context(self) -> int:
        """Tokens of messages that the busiest node reads."""
        readers = self.n_leaves - 1 if self.organisation == "full" else self.b
        return 0 if self.organisation == "single" else readers * self.m

    @property
    def accuracy(self) -> float:
        """Probability that the answer is right."""
        return (1 + self.mu) / 2

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "organisation": self.organisation,
            "b": self.b,
            "depth": self.depth,
            "leaves": self.n_leaves,
            "x": self.x,
            "m": self.m,
            "gamma": self.gamma,
            "mu": self.mu,
        }

    def said(self) -> str:
        """Return the design in words."""
        if self.organisation == "single":
            return f"one agent with {self.x:,.0f} tokens"
        message = f", messages of {self.m:,.0f}" if self.m else ""
        shape = f"b = {self.b}, depth {self.depth}, {self.n_leaves:,} leaves"
        return f"a {self.organisation} with {shape}, {self.x:,.0f} tokens a leaf{message}"


@dataclass(frozen=True)
class DesignTerms:
    """What all designs of a search have in common besides budget, window and leaf law."""

    x_min: float = 1.0
    """A leaf must have more tokens than this."""
    c_agg: float = 0.0
    """Tokens that an inner node spends besides reading and writing."""
    lock: Lock = "after_channel"
    """Place of the shared draw."""


USUAL_TERMS: Final = DesignTerms()


@dataclass(frozen=True)
class DesignReport:
    """The report holds the best design, the best of each organisation, and what was searched."""

    best: Design
    """The design with the largest signal."""
    single: Design
    """One agent that takes the whole budget."""
    by_organisation: dict[Organisation, Design]
    """The best design of each organisation that fits budget and window."""
    n_candidates: int
    """Designs that fit budget and window."""
    n_evaluated: int
    """Of these, designs whose recursion was run; the bounds excluded the rest."""
    assumptions: tuple[str, ...] = field(
        default=(
            "A1 both truths equally hard",
            "A2 leaves independent and equally good given the task",
            "A3 messages err independently and symmetrically",
            "A4 a fresh correlation shock at every node (lock model, the optimistic shape)",
            "A5 nodes take plain majorities",
            "A6 the leaf law holds at this many tokens",
        )
    )
    """What must hold for the figures to be right; see the theory for what breaks when one fails."""

    def _repr_html_(self) -> str:
        """Return it for a notebook: pictures and tables, without any script."""
        return notebook_html("plan", self, self.summary())

    @property
    def gain(self) -> float:
        """Signal of the best design over that of a single agent."""
        return self.best.mu / self.single.mu if self.single.mu else float("nan")

    def summary(self) -> str:
        """Return one line for a person."""
        d = self.best
        if d.organisation == "single":
            return f"one agent with {d.x:.4g} tokens: signal {d.mu:.4g}; no organisation beats it"
        return (
            f"{d.organisation} of {d.n_leaves} leaves (b={d.b}, depth {d.depth}, {d.x:.4g} tokens a leaf, messages of "
            f"{d.m}): signal {d.mu:.4g}, {self.gain:.3g} times that of one agent"
        )

    def details(self, budget: float) -> str:
        """Return the best design for `budget` tokens as text, with the best of the other organisations."""
        lines = [f"with these parameters and {budget:,.0f} tokens: {self.best.said()}"]
        lines.append(f"  signal {self.best.mu:.4g}, accuracy {self.best.accuracy:.4f} of two answers")
        others = [one for one in self.by_organisation.values() if one != self.best]
        lines += [f"  next: {other.said()}, signal {other.mu:.4g}" for other in sorted(others, key=lambda one: -one.mu)]
        lines.append(f"  exact over {self.n_candidates:,} designs; the parameters are taken as certain")
        return "\n".join([*lines, *(f"  assumed: {text}" for text in self.assumptions)])

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "best": self.best.as_dict(),
            "by_organisation": {name: one.as_dict() for name, one in self.by_organisation.items()},
            "candidates": self.n_candidates,
            "assumptions": list(self.assumptions),
        }


def best_depth(
    budget: float,
    b: int,
    m: int,
    gamma: float,
    rho: float,
    leaf: LeafLaw,
    *,
    window: float | None = None,
    terms: DesignTerms = USUAL_TERMS,
) -> DesignReport:
    """Return the best depth, 0 included, of a tree of given fan-in and message length.

    Args:
        budget: tokens B.
        b: fan-in, odd, at least 3.
        m: tokens of a message.
        gamma: fidelity of a message.
        rho: correlation of the votes that a node receives.
        leaf: leaf law.
        window: context W of a node, tokens; a fan-in that does not fit is refused.
        terms: fewest tokens of a leaf, cost of a node, place of the shared draw.

    Raises:
        InputError: b m > W, b is not odd, or the budget does not even pay for one agent.
    """
    if b < 3 or b % 2 == 0:
        raise InputError(f"the designer takes odd fan-ins of at least 3, got b={b}")
    if window is not None:
        demand_window(b, m, window)
    contest = _Contest(budget, leaf, rho, terms, ("single", "star", "tree"))
    contest.enter_trees(np.array([b]), np.array([m]), np.asarray(fraction("gamma", [gamma])))
    return contest.report()


def search(
    budget: float,
    window: float,
    leaf: LeafLaw,
    fidelity: Callable[[FloatArray], FloatArray] | float,
    rho: float,
    *,
    messages: Iterable[int] | None = None,
    organisations: Iterable[Organisation] = _ORGANISATIONS,
    terms: DesignTerms = USUAL_TERMS,
) -> DesignReport:
    """Return the best design over organisation, fan-in, message length, depth and leaf tokens under B and W.

    Args:
        budget: tokens B, all of an episode.
        window: context W of a node, tokens of messages that it can read.
        leaf: leaf law.
        fidelity: gamma as a function of the message length, or one number for every length.
        rho: correlation of the votes that a node receives.
        messages: message lengths to consider, tokens; every whole length by default.
        organisations: what to consider; a single agent is always compared with.
        terms: fewest tokens of a leaf, cost of a node, place of the shared draw.

    Raises:
        InputError: nothing fits, or more than 10 million pairs of fan-in and length: then name fewer `messages`.
    """
    wanted = tuple(dict.fromkeys(("single", *organisations)))
    if unknown := set(wanted) - set(_ORGANISATIONS):
        raise InputError(f"unknown organisations {sorted(unknown)}", "", f"choose from {', '.join(_ORGANISATIONS)}")
    longest = int(min(window / 2, budget))
    lengths = np.arange(1, longest + 1) if messages is None else np.unique(np.asarray(list(messages), dtype=np.int64))
    lengths = lengths[(lengths >= 1) & (lengths <= longest)]
    gammas = fidelity(lengths.astype(np.float64)) if callable(fidelity) else np.full(lengths.shape, float(fidelity))
    gammas = fraction("fidelity", gammas)
    # One level of b leaves must leave x_min each: b (x_min + 2 m) <= B. Everybody reading everybody costs n^2 m.
    widest = np.minimum(window // lengths, budget / (terms.x_min + 2 * lengths)).astype(np.int64)
    crowd = np.minimum(window // lengths + 1, np.sqrt(budget / lengths)).astype(np.int64)
    size = int(np.maximum(widest, 0).sum() + np.maximum(crowd, 0).sum()) // 2
    if size > _MOST_PAIRS:
        raise InputError(
            f"{size:,} pairs of fan-in and message length are too many to enumerate",
            "",
            "pass messages=..., for instance a geometric grid of lengths",
        )
    contest = _Contest(budget, leaf, rho, terms, wanted)
    for block in _blocks(lengths.size, widest + crowd):
        m, gamma = lengths[block], gammas[block]
        if {"star", "tree"} & set(wanted):
            b, at = _odd_up_to(widest[block])
            contest.enter_trees(b, m[at], gamma[at])
        if "full" in wanted:
            n, at = _odd_up_to(crowd[block])
            contest.enter_full(n, m[at], gamma[at])
    return contest.report()


def _blocks(n: int, sizes: IntArray) -> Iterable[NDArray[np.intp]]:
    """Yield index blocks of moderate total size that cover 0..n-1: a coarse sample first, for a good bound early."""
    first = np.arange(0, n, max(n // 64, 1))
    rest = np.setdiff1d(np.arange(n), first)
    for part in (first, rest):
        edges = np.searchsorted(np.cumsum(sizes[part]), np.arange(_CHUNK, int(sizes[part].sum()), _CHUNK))
        yield from (block for block in np.split(part, np.unique(edges)) if block.size)


@dataclass(frozen=True)
class _Candidates:
    """The object holds designs of one organisation that fit, as columns."""

    organisation: Organisation
    b: IntArray
    m: IntArray
    depth: IntArray
    x: FloatArray
    gamma: FloatArray

    def take(self, rows: NDArray[np.intp]) -> _Candidates:
        """Return the given rows."""
        b, m, depth = self.b[rows], self.m[rows], self.depth[rows]
        return _Candidates(self.organisation, b, m, depth, self.x[rows], self.gamma[rows])

    def design(self, row: int, mu: float) -> Design:
        """Return one row, of signal `mu`, as a design."""
        b, m, depth = int(self.b[row]), int(self.m[row]), int(self.depth[row])
        return Design(self.organisation, b, m, depth, b**depth, float(self.x[row]), float(self.gamma[row]), mu)


def _odd_up_to(limits: IntArray) -> tuple[IntArray, NDArray[np.intp]]:
    """Return every odd number from 3 to limits[i] next to i, for all i."""
    sizes = np.maximum((limits - 1) // 2, 0)
    owner = np.repeat(np.arange(limits.size), sizes)
    place = np.arange(owner.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return (3 + 2 * place).astype(np.int64), owner


class _Contest:
    """The contest keeps the best design of each organisation while candidates come in."""

    def __init__(
        self, budget: float, leaf: LeafLaw, rho: float, terms: DesignTerms, wanted: tuple[Organisation, ...]
    ) -> None:
        if budget <= terms.x_min:
            raise InputError(f"a budget of {budget:g} tokens does not pay for one agent of more than {terms.x_min:g}")
        self.budget, self.leaf, self.rho, self.lock = budget, leaf, rho, terms.lock
        self.x_min, self.c_agg = terms.x_min, terms.c_agg
        self.wanted = wanted
        self.single = Design("single", 1, 0, 0, 1, float(budget), 1.0, float(leaf(budget)))
        self.best: dict[Organisation, Design] = {"single": self.single}
        self.seen = self.evaluated = 1

    def enter_trees(self, b: IntArray, m: IntArray, gamma: FloatArray) -> None:
        """Let every tree of these fan-ins and messages compete whose leaves have more than x_min tokens."""
        depth = 1
        while b.size:
            # b^L (x_min + c0) < B + c0, compared in logarithms so that deep powers do not overflow.
            c0 = overhead(b, m, self.c_agg)
            fits = depth * np.log(b) < np.log((self.budget + c0) / (self.x_min + c0)) + 1e-9
            b, m, gamma = b[fits], m[fits], gamma[fits]
            x = leaf_tokens(self.budget, b, depth, m, self.c_agg)
            keep = x > self.x_min
            levels = np.full(int(keep.sum()), depth, dtype=np.int64)
            self._enter(_Candidates("star" if depth == 1 else "tree", b[keep], m[keep], levels, x[keep], gamma[keep]))
            depth += 1

    def enter_full(self, n: IntArray, m: IntArray, gamma: FloatArray) -> None:
        """Let every electorate of n compete whose members have more than x_min tokens: B = n x + n^2 m."""
        x = self.budget / n - n * m.astype(np.float64)
        keep = x > self.x_min
        ones = np.ones(int(keep.sum()), dtype=np.int64)
        self._enter(_Candidates("full", n[keep], m[keep], ones, x[keep], gamma[keep]))

    def _enter(self, rows: _Candidates) -> None:
        if rows.organisation not in self.wanted or rows.b.size == 0:
            return
        self.seen += rows.b.size
        rival = self.best.get(rows.organisation)
        floor = -1.0 if rival is None else rival.mu
        mu0 = self.leaf(rows.x)
        for bound in (_growth_bound, _last_level_bound):
            may_win = np.flatnonzero(bound(rows, mu0, self.rho, self.lock) * (1 + _SLACK) >= floor)
            rows, mu0 = rows.take(may_win), mu0[may_win]
        if rows.b.size == 0:
            return
        self.evaluated += rows.b.size
        mu = _signals(rows, mu0, self.rho, self.lock)
        # Of equal signals (clipped leaves, say) the one with fewer leaves.
        row = int(np.lexsort((rows.depth * np.log(rows.b), -mu))[0])
        design = rows.design(row, float(mu[row]))
        if rival is None or (design.mu, -design.n_leaves) > (rival.mu, -rival.n_leaves):
            self.best[rows.organisation] = design

    def report(self) -> DesignReport:
        """Return the winner and the best of each organisation; of equal signals the smallest society wins."""
        winner = max(self.best.values(), key=lambda d: (d.mu, -d.n_leaves))
        return DesignReport(winner, self.single, self.best, self.seen, self.evaluated)


def _growth_bound(rows: _Candidates, mu0: FloatArray, rho: float, lock: Lock, levels_less: int = 0) -> FloatArray:
    """Return min(1, alpha^L mu0), an upper bound on the signal after `levels_less` levels fewer than the row has."""
    gamma = (
        np.ones(rows.b.size) if rows.organisation == "full" else rows.gamma
    )  # the own vote of `full` crosses no channel
    with np.errstate(divide="ignore"):
        growth = np.log(alpha(rows.b, gamma, rho, lock=lock))
        return np.exp(np.minimum((rows.depth - levels_less) * growth + np.log(mu0), 0.0))


def _last_level_bound(rows: _Candidates, mu0: FloatArray, rho: float, lock: Lock) -> FloatArray:
    """Return F(min(1, alpha^(L-1) mu0)): the last channel caps the signal, which plain growth does not see."""
    if rows.organisation == "full":
        return _growth_bound(rows, mu0, rho, lock)
    return node_map(_growth_bound(rows, mu0, rho, lock, 1), rows.b, rows.gamma, rho, lock=lock)


def _signals(rows: _Candidates, mu0: FloatArray, rho: float, lock: Lock) -> FloatArray:
    """Return the exact signal of every row."""
    if rows.organisation == "full":
        return full_vote(rows.b, rows.gamma, mu0, rho)
    mu = mu0.copy()
    for level in range(int(rows.depth.max(initial=0))):
        on = rows.depth > level
        mu[on] = node_map(mu[on], rows.b[on], rows.gamma[on], rho, lock=lock)
    return mu
