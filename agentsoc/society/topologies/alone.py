"""This module builds organisations whose agents hear nobody: one agent alone, or many side by side."""

from __future__ import annotations

from typing import Literal

import numpy as np

from agentsoc.contracts.graphs import nx
from agentsoc.contracts.topology import Topology
from agentsoc.contracts.wiring import Wiring
from agentsoc.errors import TopologyError
from agentsoc.society.topologies.limits import require_agents


def single(n: int = 1) -> nx.DiGraph[int]:
    """Return the society of one agent: node 0 with role ``solo`` at level 0, no edges.

    Raises:
        TopologyError: `n` is not 1.
    """
    if n != 1:
        raise TopologyError(f"single is exactly 1 agent, got agents={n}", "", "for more, side by side: independent")
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_node(0, role="solo", level=0)
    return graph


def independent(n: int) -> nx.DiGraph[int]:
    """Return `n` agents without edges: every in-degree and out-degree is 0; all are peers at level 0.

    Raises:
        TopologyError: `n` < 1.
    """
    require_agents("independent", n)
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(range(n), role="peer", level=0)
    return graph


class Single(Topology):
    """One agent alone: the baseline that every organisation has to beat at the same budget."""

    kind: Literal["single"] = "single"

    def build(self, n: int, rng: np.random.Generator) -> nx.DiGraph[int]:
        """Return `single`; draws nothing."""
        return single(n)

    def root(self, n: int) -> int:
        """Return 0: the organisation ends in its only agent."""
        return 0

    def size(self, n: int | None) -> int:
        """Return 1.

        Raises:
            TopologyError: another number is given.
        """
        if n not in (None, 1):
            raise TopologyError(f"single is exactly 1 agent, got agents={n}", "", "for more, side by side: independent")
        return 1

    def fan_in_limit(self, n: int) -> int:
        """Return 0: there is nobody to read."""
        return 0


class Independent(Topology):
    """Agents who work side by side and never hear each other; their answers meet only in the count of votes."""

    kind: Literal["independent"] = "independent"

    def build(self, n: int, rng: np.random.Generator) -> nx.DiGraph[int]:
        """Return `independent`; draws nothing."""
        return independent(n)

    def wiring(self, n: int, rng: np.random.Generator) -> Wiring:
        """Return the arrays directly, in time linear in `n`."""
        require_agents(self.kind, n)
        nobody = np.zeros(0, dtype=np.int64)
        return Wiring(self.kind, n, np.zeros(n + 1, dtype=np.int64), nobody, np.zeros(n, dtype=np.int32))

    def fan_in_limit(self, n: int) -> int:
        """Return 0: nobody reads anybody."""
        return 0
