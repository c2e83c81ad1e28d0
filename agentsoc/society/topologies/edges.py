"""This module numbers the edges that a person or another program wrote, in the scenario or in a file beside it.

`agentsoc.society.topologies.edge_files` reads files with their own ids. Here these become agents: numbers that are 0 to
n - 1 as they are; others, and names, are compacted: numbers in their order, names in that of their first mention. An
edge that is listed twice counts once, and one from an agent to itself is left out, since everybody knows their own
claims. All of it is said (`EdgeList.notes`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentsoc.contracts.group import MAX_AGENTS
from agentsoc.errors import InputError, TopologyError
from agentsoc.scenario.files import is_kept, open_text
from agentsoc.society.topologies.edge_doubts import require_clear
from agentsoc.society.topologies.edge_files import FileEdges, NodeId, file_edges
from agentsoc.society.topologies.limits import MAX_GRAPH_EDGES

Edge = tuple[int, int]
_SHOWN: Final = 5
"""Ids that a note names."""


@dataclass(frozen=True)
class EdgeList:
    """Edges speaker -> hearer in the order in which they were written, and where each was."""

    speakers: NDArray[np.int64]
    """Shape (n_edges,)."""
    hearers: NDArray[np.int64]
    """Shape (n_edges,)."""
    source: str
    """File name, or ``edges`` for those in the scenario."""
    lines: NDArray[np.int64] | None = None
    """Line of each edge in the file, shape (n_edges,)."""
    nodes: int = 0
    """Agents that the file names, with edges or without; 0 where it names none beside its edges."""
    ids: tuple[str, ...] | None = None
    """What the file calls each agent, where that is not its number."""
    undirected: bool = False
    """Whether the file says that its edges hold both ways."""
    notes: tuple[str, ...] = ()
    """What was assumed and left out."""

    def where(self, index: int) -> str:
        """Return the place of one edge as file:line, or as a dotted key."""
        return f"{self.source}[{index}]" if self.lines is None else f"{self.source}:{self.lines[index]}"

    @property
    def agents(self) -> int:
        """Return the smallest number of agents that these edges need."""
        return max(self.nodes, 1 + int(max(self.speakers.max(initial=-1), self.hearers.max(initial=-1))))

    def agent(self, named: int | str, key: str) -> int:
        """Return the agent that a scenario names: by its number, or by what the file calls it.

        Args:
            named: number of an agent; or its id in the file, as a text.
            key: where the scenario names it, for messages.

        Raises:
            TopologyError: the file calls nobody so, or agents are numbered otherwise than in the file.
        """
        if isinstance(named, int):
            if self.ids is None:
                return named
            hint = f'write it as in the file, in quotes: {key.split(".")[0]}: "{self.ids[0]}"'
            what = f"agent {named} could be meant by its number or by its id in {self.source}, which are not the same"
            raise TopologyError(what, key, hint)
        if self.ids is None and named.isascii() and named.isdigit():
            return int(named)
        if self.ids is None or named not in self.ids:
            known = ", ".join((self.ids or ())[:_SHOWN]) or "numbers"
            raise TopologyError(f"{self.source} calls nobody {named!r}", key, f"it has {known}, ...")
        return self.ids.index(named)


def given_edges(edges: Iterable[Edge], source: str = "edges") -> EdgeList:
    """Return edges that were written in the scenario.

    Raises:
        TopologyError: more than a million of them, or a number out of range.
    """
    flat: list[int] = []
    for place, (u, v) in enumerate(edges):
        _require_agents(u, v, f"{source}[{place}]")
        if place == MAX_GRAPH_EDGES:
            raise TopologyError(f"more than {MAX_GRAPH_EDGES:,} edges, which is the limit", f"{source}[{place}]")
        flat += (u, v)
    both = np.array(flat, dtype=np.int64).reshape(-1, 2)
    return EdgeList(both[:, 0], both[:, 1], source)


def read_edges(name: str, n: int | None = None, *, as_written: bool = False, both_ways: bool = False) -> EdgeList:
    """Return the edges of the file that a scenario calls `name`; for the rest see `parse_edges`.

    A copy that a run keeps is read as when the run was made, whatever is refused of files for new ones.

    Raises:
        TopologyError: the file cannot be used (outside the scenario's directory, too big, not UTF-8, ...), one of its
            lines is no edge, or edges would be lost; says which.
    """
    try:
        text = open_text(name)
    except InputError as error:
        raise TopologyError(error.problem.what, error.problem.where, error.problem.hint) from error
    if not is_kept():
        require_clear(text, name)
    return parse_edges(text, name, n, as_written=as_written, both_ways=both_ways)


def parse_edges(
    text: str, name: str, n: int | None = None, *, as_written: bool = False, both_ways: bool = False
) -> EdgeList:
    """Return the edges that `text` lists in the form that the ending of `name` tells.

    Args:
        text: the file.
        name: its name.
        n: number of agents, where it is known: ids below it are then numbers of agents.
        as_written: whether numbers are those of agents, whatever is between them.
        both_ways: whether an edge and the one back are the same.

    Raises:
        TopologyError: the ending is unknown, a line is no edge, or there are more than a million.
    """
    found = file_edges(text, name)
    ids, compact = _ids(found, n, as_written)
    number = {one: at for at, one in enumerate(ids)} if compact else None
    u = _numbers(found, found.speakers, number)
    v = _numbers(found, found.hearers, number)
    lines = np.array(found.lines, dtype=np.int64)
    notes: list[str] = []
    if compact:
        named = ", ".join(f"{at} is {one}" for at, one in enumerate(ids[:_SHOWN]))
        more = f", ... of {len(ids):,}" if len(ids) > _SHOWN else ""
        notes.append(f"ids of {name} are compacted: agent {named}{more}")
    kept = u != v
    if not kept.all():
        notes.append(f"{int((~kept).sum()):,} edges of an agent to itself are left out")
    once = _once(u, v, both_ways or found.undirected) & kept
    if int(kept.sum()) > int(once.sum()):
        notes.append(f"{int(kept.sum() - once.sum()):,} edges are listed again, and count once")
    if found.weighted:
        notes.append(f"{found.weighted:,} edges have a weight or other data, which is not used")
    if found.undirected:
        notes.append("the file says that its edges hold both ways")
    nodes = len(ids) if compact else 1 + max((one for one in found.nodes if isinstance(one, int)), default=-1)
    texts = tuple(map(str, ids)) if compact else None
    return EdgeList(u[once], v[once], name, lines[once], nodes, texts, found.undirected, tuple(notes))


def _ids(found: FileEdges, n: int | None, as_written: bool) -> tuple[list[NodeId], bool]:
    """Return the ids of a file in the order of agents, and whether they are compacted."""
    seen = dict.fromkeys(found.nodes)
    for one, other in zip(found.speakers, found.hearers, strict=True):
        seen[one] = seen[other] = None
    ids = list(seen)
    if ids and isinstance(ids[0], str):
        return ids, True
    numbers = sorted(one for one in ids if isinstance(one, int))
    last = numbers[-1] if numbers else -1
    if as_written or last == len(numbers) - 1 or (n is not None and (last < n or len(numbers) != n)):
        return list(numbers), False
    return list(numbers), True


def _numbers(found: FileEdges, column: list[NodeId], number: dict[NodeId, int] | None) -> NDArray[np.int64]:
    if number is None:
        for at, one in enumerate(column):
            if not isinstance(one, int) or one >= MAX_AGENTS:
                _require_agents(*_edge(found, at), f"{found.source}:{found.lines[at]}")
        return np.array(column, dtype=np.int64)
    return np.array([number[one] for one in column], dtype=np.int64)


def _edge(found: FileEdges, at: int) -> tuple[int, int]:
    return int(found.speakers[at]), int(found.hearers[at])


def _require_agents(u: int, v: int, where: str) -> None:
    if not (0 <= u < MAX_AGENTS and 0 <= v < MAX_AGENTS):
        raise TopologyError(f"the edge {u} -> {v}: agents are numbered from 0 to at most {MAX_AGENTS - 1}", where)


def _once(u: NDArray[np.int64], v: NDArray[np.int64], both_ways: bool) -> NDArray[np.bool_]:
    """Return which edges are the first of their kind, shape (n_edges,)."""
    first = np.zeros(len(u), dtype=bool)
    low, high = (np.minimum(u, v), np.maximum(u, v)) if both_ways else (u, v)
    _, at = np.unique(low * MAX_AGENTS + high, return_index=True)
    first[at] = True
    return first
