"""`Topology`: the part of a scenario that says who may address whom. Builders are pure and seeded."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import networkx as nx
import numpy as np

from agentsoc.scenario.part import Part, Slot
from agentsoc.society.wiring import Wiring


class Topology(Part):
    """Base of all topologies; the ``topology`` block of a scenario."""

    slot: ClassVar[str] = "agentsoc.topologies"

    kind: str

    @abstractmethod
    def build(self, n: int, rng: np.random.Generator) -> "nx.DiGraph[int]":
        """Return the graph on agents 0..n-1; nodes carry ``role`` and ``level``; edge u -> v: u may address v.

        Raises:
            TopologyError: no such organisation of `n` agents exists.
        """

    def root(self, n: int) -> int | None:
        """Return the agent in whom the organisation ends, or None among peers."""
        return None

    def size(self, n: int | None) -> int:
        """Return the number of agents: `n` when given, else what the topology's own parameters imply."""
        if n is None:
            raise ValueError(f"a {self.kind} needs the number of agents")
        return n

    def wiring(self, n: int, rng: np.random.Generator) -> Wiring:
        """Return the built topology as arrays. Overridden where a graph would be too big; always equal to `build`."""
        return Wiring.of(self.build(n, rng), self.kind, root=self.root(n))

    def fan_in_limit(self, n: int) -> int:
        """Return the largest number of claims that one agent has to read at once."""
        return 0


TOPOLOGIES: Slot[Topology] = Slot("agentsoc.topologies", "topology")
