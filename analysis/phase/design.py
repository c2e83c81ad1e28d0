"""The exact designer: the best organisation under a token budget B and a context window W, by the exact recursion [X].

Whole-numbered fan-in b, message length m and depth L are enumerated; the tokens of a leaf follow from the budget
identity, since the signal never falls with more of them. Every candidate has a proven upper bound (clipped growth), and
the exact recursion runs on candidates in the order of their bounds until no bound is left above the best: the result
is that of the full enumeration.

Organisations: ``single`` (one agent takes all), ``star`` (one level), ``tree`` (two levels or more), ``full`` (everybody
reads everybody once). Even fan-ins are not searched, because their last child is wasted; nor are chains, because a
chain without tallies never amplifies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from agentsoc.errors import InputError

from .alternatives import full_vote
from .arrays import FloatArray, fraction
from .budget import LeafLaw, demand_window, leaf_tokens, overhead
from .recursion import Lock, alpha, node_map

Organisation = Literal["single", "star", "tree", "full"]
"""Who reads whom; see the module."""

_ORGANISATIONS: Final[tuple[Organisation, ...]] = ("single", "star", "tree", "full")
_BLOCK: Final = 2048  # candidates whose recursion runs together
_MOST_CANDIDATES: Final = 20_000_000
_SLACK: Final = 1e-12  # relative rounding of bound and recursion


@dataclass(frozen=True)
class Design:
    """One organisation within the budget, and the signal that the theory promises for it."""

    organisation: Organisation
    b: int
    """Fan-in of a node (messages that it reads, its own vote included for `full`); 1 for a single agent."""
    m: int
    """Tokens of a message; 0 for a single agent."""
    depth: int
    n_leaves: int
    x: float
    """Tokens of a leaf."""
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


@dataclass(frozen=True)
class DesignReport:
    """The best design, the best of each organisation, and what was searched."""

    best: Design
    single: Design
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


def best_depth(
    budget: float,
    b: int,
    m: int,
    gamma: float,
    rho: float,
    leaf: LeafLaw,
    *,
    x_min: float = 1.0,
    window: float | None = None,
    c_agg: float = 0.0,
    lock: Lock = "after_channel",
) -> DesignReport:
    """Return the best depth, 0 included, of a tree of given fan-in and message length.

    Args:
        budget: tokens B.
        b: fan-in, odd, at least 3.
        m: tokens of a message.
        gamma: fidelity of a message.
        rho: correlation of the votes that a node receives.
        leaf: leaf law.
        x_min: a leaf must have more tokens than this.
        window: context W of a node, tokens; a fan-in that does not fit is refused.
        c_agg: tokens that an inner node spends besides reading and writing.
        lock: place of the shared draw.

    Raises:
        InputError: b m > W, b is not odd, or the budget does not even pay for one agent.
    """
    if b < 3 or b % 2 == 0:
        raise InputError(f"the designer takes odd fan-ins of at least 3, got b={b}")
    if window is not None:
        demand_window(b, m, window)
    candidates = _trees(budget, np.array([b]), np.array([m]), np.array([gamma]), x_min, c_agg)
    return _report(budget, candidates, leaf, rho, lock, x_min, ("single", "star", "tree"))


def search(
    budget: float,
    window: float,
    leaf: LeafLaw,
    fidelity: Callable[[FloatArray], FloatArray] | float,
    rho: float,
    *,
    m_min: int = 1,
    messages: Iterable[int] | None = None,
    organisations: Iterable[Organisation] = _ORGANISATIONS,
    x_min: float = 1.0,
    c_agg: float = 0.0,
    lock: Lock = "after_channel",
) -> DesignReport:
    """Return the best design over organisation, fan-in, message length, depth and leaf tokens under B and W.

    Args:
        budget: tokens B, all of an episode.
        window: context W of a node, tokens of messages that it can read.
        leaf: leaf law.
        fidelity: gamma as a function of the message length, or one number for every length.
        rho: correlation of the votes that a node receives.
        m_min: shortest message, tokens.
        messages: message lengths to consider; every whole length from `m_min` up by default.
        organisations: what to consider; a single agent is always compared with.
        x_min: a leaf must have more tokens than this.
        c_agg: tokens that an inner node spends besides reading and writing.
        lock: place of the shared draw.

    Raises:
        InputError: nothing fits, or more than 20 million candidates: then name fewer `messages`.
    """
    wanted = tuple(dict.fromkeys(("single", *organisations)))
    if unknown := set(wanted) - set(_ORGANISATIONS):
        raise InputError(f"unknown organisations {sorted(unknown)}", "", f"choose from {', '.join(_ORGANISATIONS)}")
    longest = int(min(window / 2, budget))
    lengths = np.arange(m_min, longest + 1) if messages is None else np.unique(np.asarray(list(messages), dtype=np.int64))
    lengths = lengths[(lengths >= 1) & (lengths <= longest)]
    gammas = fidelity(lengths.astype(np.float64)) if callable(fidelity) else np.full(lengths.shape, float(fidelity))
    gammas = fraction("fidelity", gammas)
    # One level of b leaves must leave x_min each: b (x_min + 2 m) <= B.
    widest = np.minimum(window // lengths, budget / (x_min + 2 * lengths)).astype(np.int64)
    readers = np.minimum(window // lengths + 1, np.sqrt(budget / lengths)).astype(np.int64)
    if (size := int(np.maximum(widest, 0).sum() + np.maximum(readers, 0).sum()) // 2) > _MOST_CANDIDATES:
        raise InputError(
            f"{size:,} pairs of fan-in and message length are too many to enumerate",
            "",
            "pass messages=..., for instance a geometric grid of lengths",
        )
    found = [_Candidates.none()]
    if {"star", "tree"} & set(wanted):
        b, at = _odd_up_to(widest)
        found.append(_trees(budget, b, lengths[at], gammas[at], x_min, c_agg, star="star" in wanted, tree="tree" in wanted))
    if "full" in wanted:
        n, at = _odd_up_to(readers)
        found.append(_full(budget, n, lengths[at], gammas[at], x_min))
    return _report(budget, _Candidates.join(found), leaf, rho, lock, x_min, wanted)


@dataclass(frozen=True)
class _Candidates:
    """Designs that fit, as columns; `full` marks those in which everybody reads everybody."""

    b: NDArray[np.int64]
    m: NDArray[np.int64]
    depth: NDArray[np.int64]
    x: FloatArray
    gamma: FloatArray
    full: NDArray[np.bool_]

    @staticmethod
    def none() -> _Candidates:
        whole, number = np.empty(0, dtype=np.int64), np.empty(0)
        return _Candidates(whole, whole, whole, number, number, np.empty(0, dtype=np.bool_))

    @staticmethod
    def join(parts: Iterable[_Candidates]) -> _Candidates:
        columns = zip(*((p.b, p.m, p.depth, p.x, p.gamma, p.full) for p in parts), strict=True)
        return _Candidates(*(np.concatenate(column) for column in columns))

    def take(self, rows: NDArray[np.intp]) -> _Candidates:
        return _Candidates(*(column[rows] for column in (self.b, self.m, self.depth, self.x, self.gamma, self.full)))


def _odd_up_to(limits: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Return every odd number from 3 to limits[i] next to i, for all i."""
    sizes = np.maximum((limits - 1) // 2, 0)
    owner = np.repeat(np.arange(limits.size), sizes)
    place = np.arange(owner.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return (3 + 2 * place).astype(np.int64), owner


def _trees(
    budget: float,
    b: NDArray[np.int64],
    m: NDArray[np.int64],
    gamma: FloatArray,
    x_min: float,
    c_agg: float,
    *,
    star: bool = True,
    tree: bool = True,
) -> _Candidates:
    """Return every depth >= 1 whose leaves have more than x_min tokens."""
    parts, depth = [_Candidates.none()], 1
    while b.size:
        # b^L (x_min + c0) < B + c0, compared in logarithms so that deep powers do not overflow.
        c0 = overhead(b, m, c_agg)
        fits = depth * np.log(b) < np.log((budget + c0) / (x_min + c0)) + 1e-9
        b, m, gamma = b[fits], m[fits], gamma[fits]
        x = leaf_tokens(budget, b, depth, m, c_agg)
        keep = (x > x_min) & (star if depth == 1 else tree)
        levels = np.full(int(keep.sum()), depth, dtype=np.int64)
        parts.append(_Candidates(b[keep], m[keep], levels, x[keep], gamma[keep], np.zeros(levels.size, dtype=np.bool_)))
        depth += 1
    return _Candidates.join(parts)


def _full(
    budget: float, n: NDArray[np.int64], m: NDArray[np.int64], gamma: FloatArray, x_min: float
) -> _Candidates:
    """Return every electorate of n whose members have more than x_min tokens: B = n x + n^2 m."""
    x = budget / n - n * m.astype(np.float64)
    keep = x > x_min
    ones = np.ones(int(keep.sum()), dtype=np.int64)
    return _Candidates(n[keep], m[keep], ones, x[keep], gamma[keep], np.ones(ones.size, dtype=np.bool_))


def _report(
    budget: float,
    candidates: _Candidates,
    leaf: LeafLaw,
    rho: float,
    lock: Lock,
    x_min: float,
    wanted: tuple[Organisation, ...],
) -> DesignReport:
    if budget <= x_min:
        raise InputError(f"a budget of {budget:g} tokens does not pay for one agent of more than {x_min:g}")
    single = Design("single", 1, 0, 0, 1, float(budget), 1.0, float(leaf(budget)))
    best: dict[Organisation, Design] = {"single": single}
    evaluated = 0
    masks: dict[Organisation, NDArray[np.bool_]] = {
        "star": ~candidates.full & (candidates.depth == 1),
        "tree": ~candidates.full & (candidates.depth > 1),
        "full": candidates.full,
    }
    for organisation, mask in masks.items():
        if organisation in wanted and np.any(mask):
            best[organisation], n = _best_of(organisation, candidates.take(np.flatnonzero(mask)), leaf, rho, lock)
            evaluated += n
    # Of equal signals the smallest society wins.
    winner = max(best.values(), key=lambda d: (d.mu, -d.n_leaves))
    return DesignReport(winner, single, best, candidates.b.size + 1, evaluated + 1)


def _best_of(
    organisation: Organisation, rows: _Candidates, leaf: LeafLaw, rho: float, lock: Lock
) -> tuple[Design, int]:
    """Return the best of the rows, all of one organisation, and how many of them were evaluated."""
    mu0 = leaf(rows.x)
    with np.errstate(divide="ignore"):
        growth = np.log(alpha(rows.b, np.ones(rows.b.size) if rows.full.any() else rows.gamma, rho, lock=lock))
    bound = np.minimum(1.0, np.exp(np.minimum(rows.depth * growth + np.log(mu0), 0.0)))
    order = np.argsort(-bound, kind="stable")
    top, top_row, done = -np.inf, int(order[0]), 0
    while done < order.size and bound[order[done]] * (1 + _SLACK) >= top:
        block = order[done : done + _BLOCK]
        mu = _signals(rows.take(block), mu0[block], rho, lock)
        done += block.size
        # Of equal signals (clipped leaves, say) the one with fewer leaves.
        leaves = rows.b[block].astype(np.float64) ** rows.depth[block]
        first = block[np.lexsort((leaves, -mu))[0]]
        value = float(mu.max())
        if value > top or (value == top and _leaves(rows, int(first)) < _leaves(rows, top_row)):
            top, top_row = value, int(first)
    return (
        Design(
            organisation,
            int(rows.b[top_row]),
            int(rows.m[top_row]),
            int(rows.depth[top_row]),
            _leaves(rows, top_row),
            float(rows.x[top_row]),
            float(rows.gamma[top_row]),
            top,
        ),
        done,
    )


def _leaves(rows: _Candidates, row: int) -> int:
    return int(rows.b[row]) ** int(rows.depth[row])


def _signals(rows: _Candidates, mu0: FloatArray, rho: float, lock: Lock) -> FloatArray:
    """Return the exact signal of every row."""
    if rows.full.any():
        return full_vote(rows.b, rows.gamma, mu0, rho)
    mu = mu0.copy()
    for level in range(int(rows.depth.max(initial=0))):
        on = rows.depth > level
        mu[on] = node_map(mu[on], rows.b[on], rows.gamma[on], rho, lock=lock)
    return mu
