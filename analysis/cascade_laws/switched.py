"""This module asks whether cascades are deeper, wider or larger than the same fan-in and fan-out wired at random.

How many claims a claim builds on, and how many build on it, already fixes much of how cascades look. The null model
keeps both for every claim, and the order in time, and lets only chance decide who builds on whom: two claims c and d
that build on p and q build on q and p instead, where both were there already and neither built on it before. Edges that
cross a round go on crossing one. Such switches lead from every wiring to the others and back with equal probability.

P values are exact however few switches are made (Besag & Clifford, Biometrika 76, 1989): the wiring of the log stands
at a place drawn at random in a chain of switched ones, so under the null hypothesis it is as likely as any to be
extreme.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentsoc.streams import stream
from analysis.claims.cascades import ClaimGraph, cascades
from analysis.jit import compiled
from analysis.stats.permutation import holm
from analysis.tables import EventTable

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

MEASURES: Final = ("depth", "width", "largest share")
_PER_EDGE: Final = 4
"""Switches that are tried per edge between two wirings."""
_LEVEL: Final = 0.05


@dataclass(frozen=True)
class AgainstChance:
    """The object holds one measure of the cascades, mean over executions, and what chance gives."""

    name: str
    value: float
    by_chance: float
    """Mean over the switched wirings."""
    low: float
    """2.5 % quantile of them."""
    high: float
    p: float
    """Two-sided, exact."""
    p_holm: float = float("nan")
    """The same after Holm's correction over the measures."""

    def summary(self) -> str:
        """Return the measure, what chance gives, and whether they differ."""
        word = "as by chance" if self.p_holm > _LEVEL else "more than by chance"
        if self.p_holm <= _LEVEL and self.value < self.by_chance:
            word = "less than by chance"
        chance = f"{self.by_chance:.3g} [{self.low:.3g}, {self.high:.3g}]"
        return f"{self.name} {self.value:.3g}, by chance {chance}: {word} (p = {self.p:.2g}, by Holm {self.p_holm:.2g})"


@dataclass(frozen=True)
class Switched:
    """The object compares the cascades of a table with switched wirings of the same claims."""

    measures: tuple[AgainstChance, ...]
    """Depth (levels of the deepest cascade), width (most claims at one depth of one cascade), share of the claims that
    the largest cascade has; means over executions. Empty where nothing can be switched."""
    replicates: int
    switches: int
    """Switches made between the wiring of the log and the first other one, at most."""

    def summary(self) -> str:
        """Return one line."""
        if not self.measures:
            return "nothing to compare: fan-in, fan-out and order leave no other wiring"
        return "; ".join(one.summary() for one in self.measures)


@dataclass(frozen=True)
class Wirings:
    """The wirings are sums over executions of the measures of their cascades; those of several parts add up."""

    executions: int
    """Executions with a claim."""
    seen: F64
    """Measures of the log's own wiring, shape (3,)."""
    drawn: F64
    """Those of the switched ones, shape (replicates, 3)."""
    made: I64
    """Switches between each of them and the one before, shape (replicates,)."""

    def __add__(self, other: Wirings) -> Wirings:
        """Return the sums over both."""
        n, seen = self.executions + other.executions, self.seen + other.seen
        return Wirings(n, seen, self.drawn + other.drawn, self.made + other.made)


def against_switched(table: EventTable, graph: ClaimGraph, *, replicates: int = 99, seed: int = 0) -> Switched:
    """Return how the cascades of `graph` compare with the same claims wired at random.

    Args:
        table: its events.
        graph: the claim graph.
        replicates: switched wirings; 0 leaves the comparison out.
        seed: seed of the switches.
    """
    return compared(wirings(table, graph, replicates=replicates, seed=seed))


def wirings(table: EventTable, graph: ClaimGraph, *, replicates: int, seed: int = 0, part: int = 0) -> Wirings:
    """Return the wirings of one part of a log.

    Edges are switched within executions, so that the chains of all parts together are a chain of the whole log, if the
    log's own wiring stands at the same place in each.

    Args:
        table: the events of the part.
        graph: their claim graph.
        replicates: switched wirings; 0 leaves the comparison out.
        seed: seed of the switches.
        part: number of the part, which has switches of its own.
    """
    if not replicates:
        return Wirings(0, np.zeros(3), np.zeros((0, 3)), np.zeros(0, np.int64))
    rng = stream(seed, "switched cascades")
    before = int(rng.integers(replicates + 1))  # place of the log's own wiring in the chain
    if part:
        rng = stream(seed, "switched cascades", part)
    n, seen = _measured(graph, graph.parent)
    if not len(graph.parent):
        return Wirings(n, seen, np.tile(seen, (replicates, 1)), np.zeros(replicates, np.int64))
    chains = [found for n_of in (before, replicates - before) for found in _chain(table, graph, n_of, rng)]
    return Wirings(n, seen, np.array([sums for sums, _ in chains]), np.array([made for _, made in chains]))


def compared(found: Wirings) -> Switched:
    """Return how the log's own wiring compares with the switched ones."""
    replicates, switches = len(found.made), int(found.made.max(initial=0))
    if not switches:
        return Switched((), replicates, 0)
    seen, chance = found.seen / found.executions, found.drawn / found.executions
    return Switched(_against_chance(seen, chance), replicates, switches)


def _against_chance(seen: F64, chance: F64) -> tuple[AgainstChance, ...]:
    """Return each measure of the log beside those of the switched wirings."""
    replicates = len(chance)
    found = []
    for at, name in enumerate(MEASURES):
        column = chance[:, at]
        above, below = (np.count_nonzero(side) for side in (column >= seen[at] - 1e-12, column <= seen[at] + 1e-12))
        p = min(1.0, 2.0 * (1 + min(above, below)) / (1 + replicates))
        low, high = np.quantile(column, [0.025, 0.975])
        found.append(AgainstChance(name, float(seen[at]), float(column.mean()), float(low), float(high), p))
    adjusted = holm(np.array([one.p for one in found]))
    return tuple(replace(one, p_holm=float(p)) for one, p in zip(found, adjusted, strict=True))


def _chain(table: EventTable, graph: ClaimGraph, n: int, rng: np.random.Generator) -> Iterator[tuple[F64, int]]:
    """Yield measures of n wirings, each switched from the one before, the first from the log's; and switches made."""
    child = graph.edges()[1]
    rank = np.arange(graph.n_claims)
    if len(graph.order):
        rank[graph.order] = np.arange(graph.n_claims)
    round_ = table.events["round"].to_numpy()[graph.row].astype(np.int64)
    of_edge = graph.execution[child]
    start, stop = (np.searchsorted(of_edge, of_edge, side=side).astype(np.int64) for side in ("left", "right"))
    parent = graph.parent.astype(np.int64).copy()
    tries = _PER_EDGE * len(parent)
    for _ in range(n):
        first = rng.integers(len(parent), size=tries)
        second = start[first] + (rng.random(tries) * (stop - start)[first]).astype(np.int64)
        made = switch(parent, child, graph.ptr, rank, round_, first, second)
        yield _measured(graph, parent)[1], int(made)


@compiled
def switch(parent: I64, child: I64, ptr: I64, rank: I64, round_: I64, first: I64, second: I64) -> int:
    """Switch the parents of pairs of edges in place where order, rounds and distinct parents allow; count switches.

    Args:
        parent: parent of each edge; edges stand by child.
        child: child of each edge.
        ptr: first edge of each claim.
        rank: place of each claim in an order in which parents come first.
        round_: round of each claim.
        first: one edge of each pair.
        second: the other one.
    """
    made = 0
    for at in range(len(first)):
        i, j = first[at], second[at]
        p, c, q, d = parent[i], child[i], parent[j], child[j]
        if p == q or c == d or rank[q] >= rank[c] or rank[p] >= rank[d]:
            continue
        if (round_[q] < round_[c]) != (round_[p] < round_[c]) or (round_[p] < round_[d]) != (round_[q] < round_[d]):
            continue
        free = True
        for edge in range(ptr[c], ptr[c + 1]):
            free = free and parent[edge] != q
        for edge in range(ptr[d], ptr[d + 1]):
            free = free and parent[edge] != p
        if free:
            parent[i], parent[j] = q, p
            made += 1
    return made


def _measured(graph: ClaimGraph, parent: I64) -> tuple[int, F64]:
    """Return the number of executions with claims, and their sums of the measures under a wiring, shape (3,)."""
    found = cascades(replace(graph, parent=parent, logged_root=np.full(graph.n_claims, -1, np.int64)))
    n = graph.n_executions
    claims = np.bincount(graph.execution, minlength=n)
    some = claims > 0
    deepest, largest, widest = np.zeros(n), np.zeros(n), np.zeros(n)
    np.maximum.at(deepest, graph.execution, found.depth)
    np.maximum.at(largest, graph.execution, found.size)
    _, code, counts = np.unique(
        found.root.astype(np.int64) * (int(found.depth.max(initial=0)) + 1) + found.depth,
        return_inverse=True, return_counts=True,
    )  # fmt: skip
    np.maximum.at(widest, graph.execution, counts[code])
    sums = np.array([deepest[some].sum(), widest[some].sum(), (largest[some] / claims[some]).sum()])
    return int(np.count_nonzero(some)), sums
