"""This module finds cascades: which claims grew out of which, their roots, depths, sizes, for every rule of descent.

The claim graph has an edge from every parent to the claim that builds on it.
Parents that the log never shows are stubs: they count in a claim's in-degree but are no nodes, never roots and never
counted in sizes. A claim without a known parent is a root of depth 0; any other has the depth of its deepest parent
plus one and belongs to one cascade, chosen by the root policy; the roots of its other parents are its secondary roots.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from agentsoc.errors import InputError
from agentsoc.events import CLAIMING, KINDS
from analysis.claims.cascade_kernels import (
    EARLIEST,
    FIRST,
    LARGEST,
    LOGGED,
    is_ordered,
    other_roots,
    resolve_parents,
    spread_roots,
    topological_order,
    transpose,
)
from analysis.tables import EventTable

I64 = NDArray[np.int64]

RootPolicy = Literal["earliest_parent", "first_parent", "logged", "largest"]
"""Whose root a claim with several parents inherits.

`earliest_parent`: the parent first in (round, claim). `first_parent`: the one listed first. `logged`: the root that the
log names, where it does, else that of the earliest parent. `largest`: the parent whose cascade has most claims so far,
ties to the earlier parent.
"""
_CODES: Final[dict[str, int]] = {
    "earliest_parent": EARLIEST,
    "first_parent": FIRST,
    "logged": LOGGED,
    "largest": LARGEST,
}
_NONE: Final = np.empty(0, np.int64)


@dataclass(frozen=True)
class ClaimGraph:
    """The graph holds all claims of a table as one directed acyclic graph; executions never share an edge.

    Nodes are ordered by (execution, round, claim). All arrays have shape (n_claims,) unless said otherwise.
    """

    n_executions: int
    execution: I64
    row: I64
    """Event row that minted the claim."""
    claim: I64
    agent: I64
    ptr: I64
    """Start of each node's parents in `parent`, shape (n_claims + 1,)."""
    parent: I64
    """Known parents as nodes, distinct, in the order listed, shape (n_edges,)."""
    stubs: I64
    """Distinct parents that are no nodes."""
    logged_root: I64
    """The root that the log names, as a node; -1 where it names none or one that is no node."""
    order: I64
    """A topological order; empty when the node order is one already."""

    @property
    def n_claims(self) -> int:
        """Number of nodes."""
        return len(self.claim)

    @property
    def in_degree(self) -> I64:
        """Distinct parents of each claim, stubs included."""
        return np.diff(self.ptr) + self.stubs

    @property
    def out_degree(self) -> I64:
        """Distinct claims that build directly on each claim."""
        return np.bincount(self.parent, minlength=self.n_claims).astype(np.int64)

    def edges(self) -> tuple[I64, I64]:
        """Return (parent, child) of every edge, shape (n_edges,) each."""
        return self.parent, np.repeat(np.arange(self.n_claims), np.diff(self.ptr))

    def children(self) -> tuple[I64, I64]:
        """Return CSR (ptr, child) of the children of each claim."""
        return transpose(self.ptr, self.parent)


@dataclass(frozen=True)
class Cascades:
    """The object says to which cascade each claim belongs; arrays have shape (n_claims,)."""

    policy: str
    root: I64
    depth: I64
    size: I64
    """Claims of the cascade that a root opens, the root included; 0 for claims that are no root."""

    @property
    def roots(self) -> I64:
        """Nodes that open a cascade, increasing."""
        return np.flatnonzero(self.size)

    @property
    def tce(self) -> I64:
        """Total cognitive effort of each cascade, in the order of `roots`: its claims without the root."""
        return self.size[self.roots] - 1

    def summary(self) -> str:
        """Return one line: number, size and depth of the cascades."""
        if not len(self.root):
            return "no claims, no cascades"
        return (
            f"{len(self.roots)} cascades of {len(self.root)} claims (roots by {self.policy}): "
            f"largest {self.size.max()}, deepest {self.depth.max()}"
        )


def claim_graph(table: EventTable, *, endorse_as_node: bool = False) -> ClaimGraph:
    """Return the claim graph of all executions of `table`.

    Args:
        table: events with at least claim, parents, kind and agent.
        endorse_as_node: whether an endorsement that carries a claim id of its own mints a claim. The published tables
            leave such rows out, so that what builds on them builds on stubs.

    Raises:
        InputError: claims build on each other in a circle.
    """
    events = table.events
    minting = {*CLAIMING, "delegate_subtask"} | ({"endorse_claim"} if endorse_as_node else set())
    mints = np.array([kind in minting for kind in KINDS] + [False])
    code = events["kind"].to_physical().fill_null(len(KINDS)).to_numpy()
    claims = events["claim"].fill_null(-1).to_numpy()
    rows = np.flatnonzero(mints[code] & (claims >= 0))
    execution = events["execution"].to_numpy()[rows]
    claim, round_ = claims[rows], events["round"].to_numpy()[rows]
    if not _increasing(execution, claim):
        rows, execution, claim, round_ = _first_of_each(rows, execution, claim, round_)
    first = np.searchsorted(execution, np.arange(table.n_executions + 1))
    by_claim, sorted_claim = _NONE, claim
    if not _increasing(execution, claim):
        by_claim = np.lexsort((claim, execution))
        sorted_claim = claim[by_claim]
    offsets, values = _flat(events["parents"])
    ptr, parent, stubs = resolve_parents(
        first, execution, sorted_claim, by_claim, claim, rows.astype(np.int64), offsets, values
    )
    logged = _logged_roots(table, rows, execution, claim)
    order = _NONE
    if not is_ordered(ptr, parent):
        order = topological_order(ptr, parent)
        if len(order) < len(claim):
            _refuse_cycle(table, np.setdiff1d(np.arange(len(claim)), order), execution, claim)
    agent = events["agent"].to_numpy()[rows]
    return ClaimGraph(
        table.n_executions, execution, rows.astype(np.int64), claim, agent, ptr, parent, stubs, logged, order
    )


def cascades(graph: ClaimGraph, policy: RootPolicy = "earliest_parent") -> Cascades:
    """Return root, depth and size of all cascades under `policy`; linear in claims and edges.

    Raises:
        InputError: `policy` is not one of the four.
    """
    if policy not in _CODES:
        raise InputError(f"root policy {policy!r} does not exist", "", f"use one of {', '.join(get_args(RootPolicy))}")
    root, depth, size = spread_roots(graph.ptr, graph.parent, graph.order, graph.logged_root, _CODES[policy])
    return Cascades(policy, root, depth, size)


def secondary_roots(graph: ClaimGraph, found: Cascades) -> tuple[I64, I64]:
    """Return CSR (ptr, roots): for each claim the roots of its parents other than its own root, in listed order."""
    return other_roots(graph.ptr, graph.parent, found.root)


def _increasing(execution: I64, claim: I64) -> bool:
    """Return whether (execution, claim) is strictly increasing."""
    later = execution[1:] > execution[:-1]
    return bool(np.all(later | ((execution[1:] == execution[:-1]) & (claim[1:] > claim[:-1]))))


def _first_of_each(rows: I64, execution: I64, claim: I64, round_: I64) -> tuple[I64, I64, I64, I64]:
    """Return the arrays with one entry per (execution, claim), its first row, ordered by (execution, round, claim)."""
    by_id = np.lexsort((rows, claim, execution))
    new = np.ones(len(by_id), bool)
    new[1:] = (execution[by_id][1:] != execution[by_id][:-1]) | (claim[by_id][1:] != claim[by_id][:-1])
    kept = by_id[new]
    kept = kept[np.lexsort((claim[kept], round_[kept], execution[kept]))]
    return rows[kept], execution[kept], claim[kept], round_[kept]


def _flat(lists: pl.Series) -> tuple[I64, I64]:
    """Return (offsets, values) of a column of integer lists, without copying where Arrow allows."""
    array = lists.rechunk().to_arrow()
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    offsets = np.asarray(array.offsets).astype(np.int64)
    values = np.asarray(array.values) if len(array.values) else np.empty(0, np.int64)
    return offsets, values.astype(np.int64, copy=False)


def _logged_roots(table: EventTable, rows: I64, execution: I64, claim: I64) -> I64:
    """Return the node of each claim's logged root, -1 where the log names none that is a node."""
    if not table.has("root_logged"):
        return np.full(len(rows), -1, np.int64)
    nodes = pl.DataFrame({"execution": execution, "root": claim, "node": np.arange(len(rows))})
    named = pl.DataFrame({"execution": execution, "root": table.events["root_logged"].gather(rows)})
    found = named.join(nodes, on=["execution", "root"], how="left", maintain_order="left")
    return found["node"].fill_null(-1).to_numpy().astype(np.int64)


def _refuse_cycle(table: EventTable, stuck: I64, execution: I64, claim: I64) -> None:
    """Raise an error that names claims which build on each other in a circle."""
    run = table.executions["run"][int(execution[stuck[0]])]
    names = ", ".join(str(c) for c in claim[stuck[:5]])
    raise InputError(
        f"{len(stuck)} claims build on each other in a circle, among them {names}",
        f"run {run}",
        "a claim can only build on claims that were made before it; correct the parents in the log",
    )
