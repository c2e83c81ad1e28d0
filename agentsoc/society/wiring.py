"""`Wiring`: a built topology. Who may address whom, with roles and levels, as flat arrays.

Arrays, not a networkx graph, are what the engine reads: a star of a million agents is a few megabytes. `graph` gives
the networkx view, and `Wiring.of` takes one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Wiring:
    """Directed edges u -> v: u may address v, so v hears u.

    ``hears_start`` (n + 1) and ``hears`` (n_edges) are a compressed list: agent v hears
    ``hears[hears_start[v]:hears_start[v + 1]]``, in increasing order.
    """

    kind: str
    n: int
    hears_start: NDArray[np.int64]
    hears: NDArray[np.int64]
    level: NDArray[np.int32]
    """Distance from the root of the organisation, shape (n,): 0 for the hub, root or last of a chain; 0 for peers."""
    roles: tuple[str, ...] = ("peer",)
    """Names of the roles that occur."""
    role: NDArray[np.int8] = field(default_factory=lambda: np.zeros(0, dtype=np.int8))
    """Index into `roles` per agent, shape (n,)."""
    root: int | None = None
    """The agent in whom the organisation ends (hub, root, last of a chain); None among peers."""
    community: NDArray[np.int32] | None = None
    """Community per agent for modular organisations, shape (n,)."""

    @classmethod
    def of(
        cls,
        graph: nx.DiGraph[int],
        kind: str,
        *,
        root: int | None = None,
    ) -> Wiring:
        """Return the wiring of a graph on agents 0..n-1 whose nodes may carry ``role``, ``level`` and ``community``."""
        n = graph.number_of_nodes()
        sources = [sorted(graph.predecessors(v)) for v in range(n)]
        start = np.zeros(n + 1, dtype=np.int64)
        np.cumsum([len(s) for s in sources], out=start[1:])
        flat = np.fromiter((u for s in sources for u in s), dtype=np.int64, count=int(start[-1]))
        names = [graph.nodes[v].get("role", "peer") for v in range(n)]
        roles = tuple(dict.fromkeys(names))
        communities = [graph.nodes[v].get("community") for v in range(n)]
        return cls(
            kind=kind,
            n=n,
            hears_start=start,
            hears=flat,
            level=np.array([graph.nodes[v].get("level", 0) for v in range(n)], dtype=np.int32),
            roles=roles,
            role=np.array([roles.index(name) for name in names], dtype=np.int8),
            root=root,
            community=None if any(c is None for c in communities) else np.array(communities, dtype=np.int32),
        )

    @property
    def n_edges(self) -> int:
        """Number of directed edges."""
        return len(self.hears)

    def heard_by(self, agent: int) -> Sequence[int]:
        """Return the agents whom `agent` hears, in increasing order."""
        return self.hears[self.hears_start[agent] : self.hears_start[agent + 1]].tolist()  # type: ignore[no-any-return]

    @cached_property
    def fan_out(self) -> NDArray[np.int64]:
        """Number of agents who hear each agent, shape (n,): the deliveries that one of its claims makes."""
        return np.bincount(self.hears, minlength=self.n).astype(np.int64)

    @cached_property
    def fan_in(self) -> NDArray[np.int64]:
        """Number of agents whom each agent hears, shape (n,)."""
        return np.diff(self.hears_start)

    @cached_property
    def depth(self) -> int:
        """Number of levels below the root."""
        return int(self.level.max(initial=0))

    def role_of(self, agent: int) -> str:
        """Return the role of one agent."""
        return self.roles[int(self.role[agent])] if len(self.role) else self.roles[0]

    def with_role(self, role: str) -> list[int]:
        """Return the agents that have `role`, in increasing order."""
        if role not in self.roles:
            return []
        return np.flatnonzero(self.role == self.roles.index(role)).tolist()  # type: ignore[no-any-return]

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
        """Return the longest shortest path in hops, or None when somebody cannot reach somebody; O(n * edges)."""
        graph = self.graph()
        if self.n == 1:
            return 0
        return nx.diameter(graph) if nx.is_strongly_connected(graph) else None
