"""A `Wiring` is a built topology: it holds who may address whom, with roles and levels, as flat arrays.

Arrays, not a networkx graph, are what the engine reads: a star of a million agents is a few dozen megabytes. `graph`
gives the networkx view, `Wiring.of` takes one, and `Wiring.from_edges` takes plain arrays of edges.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agentsoc.contracts.graphs import nx
from agentsoc.errors import TopologyError

MAX_ROLES: Final = 127
"""Different roles that one wiring can hold: they are stored in a byte."""

Reach = Literal["exact", "unreachable", "too large"]
"""How a diameter is known: it was counted; there is none, as somebody cannot reach somebody; it was not counted."""


@dataclass(frozen=True, eq=False)
class Wiring:
    """Directed edges u -> v: u may address v, so v hears u.

    ``hears_start`` (n + 1) and ``hears`` (n_edges) are a compressed list: agent v hears
    ``hears[hears_start[v]:hears_start[v + 1]]``, in increasing order.
    """

    kind: str
    """Name of the topology."""
    n: int
    """Number of agents."""
    hears_start: NDArray[np.int64]
    """Where each agent's list begins in `hears`, shape (n + 1,)."""
    hears: NDArray[np.int64]
    """Agents that are heard, agent after agent, shape (n_edges,)."""
    level: NDArray[np.int32]
    """Distance from the root of the organisation, shape (n,): 0 for the hub, root or last of a chain; 0 for peers."""
    roles: tuple[str, ...] = ("peer",)
    """Names of the roles that occur, in the order of the first agent that has them."""
    role: NDArray[np.int8] = field(default_factory=lambda: np.zeros(0, dtype=np.int8))
    """Index into `roles` per agent, shape (n,); left out, every agent has the first role."""
    root: int | None = None
    """The agent in whom the organisation ends (hub, root, last of a chain); None among peers."""
    community: NDArray[np.int32] | None = None
    """Community per agent for modular organisations, shape (n,); -1 for an agent who is in none."""

    live: bool = False
    """Whether the edges are only the first ones: who hears whom changes while an episode goes on."""

    def __post_init__(self) -> None:
        if not len(self.role):
            object.__setattr__(self, "role", np.zeros(self.n, dtype=np.int8))

    def __eq__(self, other: object) -> bool:
        """Tell whether both are the same organisation, array by array."""
        if not isinstance(other, Wiring):
            return NotImplemented
        mine, theirs = self.community, other.community
        return (
            (self.kind, self.n, self.roles, self.root) == (other.kind, other.n, other.roles, other.root)
            and np.array_equal(self.hears_start, other.hears_start)
            and np.array_equal(self.hears, other.hears)
            and np.array_equal(self.level, other.level)
            and np.array_equal(self.role, other.role)
            and (mine is theirs or (mine is not None and theirs is not None and np.array_equal(mine, theirs)))
        )

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def from_edges(
        cls,
        kind: str,
        n: int,
        speakers: ArrayLike,
        hearers: ArrayLike,
        *,
        names: Sequence[str] | None = None,
        level: ArrayLike | None = None,
        root: int | None = None,
        community: ArrayLike | None = None,
    ) -> Wiring:
        """Return the wiring with an edge ``speakers[i] -> hearers[i]`` for each i, given in any order.

        Args:
            kind: the topology's kind.
            n: number of agents.
            speakers: agents who address, shape (n_edges,), each in [0, n).
            hearers: agents who are addressed, shape (n_edges,), each in [0, n).
            names: role per agent, shape (n,); None when all are peers.
            level: distance from the root per agent, shape (n,); None when all are 0.
            root: where the organisation ends.
            community: community per agent, shape (n,).

        Raises:
            TopologyError: an edge names no agent, joins an agent to itself or occurs twice; or too many roles.
        """
        u, v = np.asarray(speakers, dtype=np.int64), np.asarray(hearers, dtype=np.int64)
        _require_edges(kind, n, u, v)
        order = v * n + u  # one number an edge, so that a plain sort groups by hearer and orders by speaker
        order.sort()
        twice = np.flatnonzero(order[1:] == order[:-1])
        if len(twice):
            hearer, speaker = divmod(int(order[twice[0]]), n)
            raise TopologyError(f"{kind}: the edge {speaker} -> {hearer} occurs twice")
        roles, role = _encode(kind, n, names)
        return cls(
            kind=kind,
            n=n,
            hears_start=starts(np.bincount(v, minlength=n)),
            hears=order % n,
            level=np.zeros(n, dtype=np.int32) if level is None else np.asarray(level, dtype=np.int32),
            roles=roles,
            role=role,
            root=root,
            community=None if community is None else np.asarray(community, dtype=np.int32),
        )

    @classmethod
    def of(
        cls,
        graph: nx.DiGraph[int],
        kind: str,
        *,
        root: int | None = None,
    ) -> Wiring:
        """Return the wiring of a graph on agents 0..n-1 whose nodes may carry ``role``, ``level`` and ``community``.

        Raises:
            TopologyError: the nodes are not 0..n-1, or an edge joins an agent to itself.
        """
        n = graph.number_of_nodes()
        if any(v not in graph for v in range(n)):
            raise TopologyError(f"{kind}: the {n} nodes of the graph must be numbered 0 to {n - 1}")
        edges = np.fromiter((x for edge in graph.edges() for x in edge), np.int64, 2 * graph.number_of_edges())
        communities = [graph.nodes[v].get("community") for v in range(n)]
        in_one = n > 0 and None not in communities
        return cls.from_edges(
            kind,
            n,
            edges[0::2],
            edges[1::2],
            names=[graph.nodes[v].get("role", "peer") for v in range(n)],
            level=[graph.nodes[v].get("level", 0) for v in range(n)],
            root=root,
            community=np.array(communities, dtype=np.int32) if in_one else None,
        )

    @property
    def n_edges(self) -> int:
        """Count the directed edges."""
        return len(self.hears)

    def heard_by(self, agent: int) -> Sequence[int]:
        """Return the agents whom `agent` hears, in increasing order."""
        return self.hears[self.hears_start[agent] : self.hears_start[agent + 1]].tolist()  # type: ignore[no-any-return]

    @cached_property
    def fan_out(self) -> NDArray[np.int64]:
        """Count the agents who hear each agent, shape (n,): the deliveries that one of its claims makes."""
        return np.bincount(self.hears, minlength=self.n).astype(np.int64)

    @cached_property
    def fan_in(self) -> NDArray[np.int64]:
        """Count the agents whom each agent hears, shape (n,)."""
        return np.diff(self.hears_start)

    @cached_property
    def reads(self) -> NDArray[np.int64]:
        """Count the claims that each agent has to read at once, shape (n,): one from each equal and each below it.

        What comes from above (a hub's guidance to a worker, a parent's to a child) comes alone, in a round of its own,
        so it is not counted: a hub of N workers reads N, a node of a tree its b children. A protocol that shows every
        neighbour at once reads `fan_in`.
        """
        hearer = np.repeat(np.arange(self.n), self.fan_in)
        from_above = self.level[self.hears] < self.level[hearer]
        return self.fan_in - np.bincount(hearer[from_above], minlength=self.n)

    @cached_property
    def depth(self) -> int:
        """Count the levels below the root."""
        return int(self.level.max(initial=0))

    def role_of(self, agent: int) -> str:
        """Return the role of one agent."""
        return self.roles[int(self.role[agent])]

    def with_role(self, role: str) -> list[int]:
        """Return the agents that have `role`, in increasing order."""
        if role not in self.roles:
            return []
        return np.flatnonzero(self.role == self.roles.index(role)).tolist()

    def graph(self) -> nx.DiGraph[int]:
        """Return the networkx graph with ``role``, ``level`` and, where it has any, ``community`` per node."""
        graph: nx.DiGraph[int] = nx.DiGraph()
        for v in range(self.n):
            attributes: dict[str, Any] = {"role": self.role_of(v), "level": int(self.level[v])}
            if self.community is not None:
                attributes["community"] = int(self.community[v])
            graph.add_node(v, **attributes)
        targets = np.repeat(np.arange(self.n), self.fan_in)
        graph.add_edges_from(zip(self.hears.tolist(), targets.tolist(), strict=True))
        return graph

    def diameter(self) -> int | None:
        """Return the longest shortest path in hops, or None when somebody cannot reach somebody.

        Counted over all pairs: n_edges * diameter * n / 64 operations and n * n / 4 bytes. `describe` knows shortcuts.
        """
        return self.reach(math.inf)[0]

    def reach(self, max_work: float) -> tuple[int | None, Reach]:
        """Return the diameter and how it came about; give up when it takes more than `max_work` steps.

        A step is about what it takes to look at one edge once, in a society of a few hundred agents (some 0.1 us).

        Each agent holds the set of those who can reach it within t hops, one bit an agent. When everybody holds
        everybody, t is the diameter; when nothing changes before that, somebody is out of reach.
        """
        if self.n == 1:
            return 0, "exact"
        if not self.fan_in.all() or not self.fan_out.all():
            return None, "unreachable"
        work = self.n_edges + self.n * self.n / 50  # what the lists and sets below take, in memory too
        if work > max_work:
            return None, "too large"
        heard = [self.heard_by(v) for v in range(self.n)]
        everybody = (1 << self.n) - 1
        held = [1 << v for v in range(self.n)]
        hops = 0
        while any(bits != everybody for bits in held):
            work += self.n_edges * (1 + self.n / 2_000)
            if work > max_work:
                return None, "too large"
            before = held
            held = list(before)
            for v, speakers in enumerate(heard):
                bits = before[v]
                for u in speakers:
                    bits |= before[u]
                held[v] = bits
            if held == before:
                return None, "unreachable"
            hops += 1
        return hops, "exact"


def starts(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where each group begins in a flat list of groups of these sizes, and the total, shape (n + 1,)."""
    out = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=out[1:])
    return out


def _require_edges(kind: str, n: int, u: NDArray[np.int64], v: NDArray[np.int64]) -> None:
    outside = np.flatnonzero((u < 0) | (u >= n) | (v < 0) | (v >= n))
    if len(outside):
        i = outside[0]
        raise TopologyError(
            f"{kind}: the edge {u[i]} -> {v[i]} names an agent that is not there: agents are 0 to {n - 1}"
        )
    loops = np.flatnonzero(u == v)
    if len(loops):
        raise TopologyError(f"{kind}: agent {u[loops[0]]} is joined to itself", "", "leave that edge out")


def _encode(kind: str, n: int, names: Sequence[str] | None) -> tuple[tuple[str, ...], NDArray[np.int8]]:
    """Return the different role names in order of first use, and the index of each agent's."""
    if names is None:
        return ("peer",), np.zeros(n, dtype=np.int8)
    index = {name: i for i, name in enumerate(dict.fromkeys(names))}
    if len(index) > MAX_ROLES:
        raise TopologyError(f"{kind}: {len(index)} different roles, the limit is {MAX_ROLES}")
    return tuple(index), np.fromiter((index[name] for name in names), np.int8, n)
