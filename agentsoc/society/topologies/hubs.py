"""This module builds organisations around one agent: a star, and a star whose workers may also speak to each other."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeInt

from agentsoc.contracts.graphs import nx
from agentsoc.contracts.topology import Topology
from agentsoc.contracts.wiring import Wiring, starts
from agentsoc.errors import TopologyError
from agentsoc.society.topologies.limits import require_agents, require_edges

HUB = 0


def star(n: int, *, kind: str = "star") -> nx.DiGraph[int]:
    """Return a hub, agent 0, joined both ways to each of the workers 1..n-1.

    The hub has in-degree and out-degree n - 1, each worker 1 and 1: 2 (n - 1) edges. Roles ``hub`` (level 0) and
    ``worker`` (level 1). Diameter 2, or 1 with a single worker.

    Raises:
        TopologyError: `n` < 2.
    """
    require_agents(kind, n, 2, "a hub and a worker")
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_node(HUB, role="hub", level=0)
    graph.add_nodes_from(range(1, n), role="worker", level=1)
    for worker in range(1, n):
        graph.add_edge(HUB, worker)
        graph.add_edge(worker, HUB)
    return graph


def hybrid(n: int, *, peers: int, rng: np.random.Generator) -> nx.DiGraph[int]:
    """Return a star in which `peers` pairs of workers, drawn without replacement, may also address each other.

    The hub has in-degree and out-degree n - 1, so 2 (n - 1) + 2 `peers` edges in all. A worker's in-degree equals its
    out-degree: 1 for the hub, and a hypergeometric number of peers (`peers` drawn out of C(n - 1, 2) pairs, n - 2 of
    which are its own). Roles and levels as in a star.

    Raises:
        TopologyError: `n` < 2, or `peers` is not in [0, C(n - 1, 2)].
    """
    pairs = peer_pairs(n, peers, rng)
    require_edges("hybrid", n, 2 * (n - 1) + 2 * peers)
    graph = star(n, kind="hybrid")
    for a, b in pairs.tolist():
        graph.add_edge(a, b)
        graph.add_edge(b, a)
    return graph


def peer_pairs(n: int, peers: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return `peers` different pairs of different workers out of 1..n-1, uniformly at random, shape (peers, 2).

    Pairs are numbered 0, 1, 2, ... as (2,1), (3,1), (3,2), (4,1), ...: pair r lies in the row of the largest i with
    i (i - 1) / 2 <= r.

    Raises:
        TopologyError: `n` < 2, or `peers` is not in [0, C(n - 1, 2)].
    """
    require_agents("hybrid", n, 2, "a hub and a worker")
    possible = (n - 1) * (n - 2) // 2
    if not 0 <= peers <= possible:
        raise TopologyError(
            f"hybrid of {n} agents has {possible} pair{'' if possible == 1 else 's'} of workers, got {peers=}"
        )
    require_edges("hybrid", n, 2 * peers, hint="take fewer peers")
    drawn: list[int] = []
    if peers:
        drawn = np.sort(rng.choice(possible, size=peers, replace=False, shuffle=False)).tolist()
    rows = [(1 + math.isqrt(1 + 8 * r)) // 2 for r in drawn]
    pairs = [(i + 1, r - i * (i - 1) // 2 + 1) for i, r in zip(rows, drawn, strict=True)]
    return np.array(pairs, dtype=np.int64).reshape(peers, 2)


class Star(Topology):
    """A hub, agent 0, and its workers. Workers never hear each other; everything goes through the hub."""

    kind: Literal["star"] = "star"

    def build(self, n: int, rng: np.random.Generator) -> nx.DiGraph[int]:
        """Return `star`; draws nothing."""
        return star(n)

    def root(self, n: int) -> int:
        """Return the hub."""
        return HUB

    def wiring(self, n: int, rng: np.random.Generator) -> Wiring:
        """Return the arrays directly, in time linear in `n`."""
        require_agents(self.kind, n, 2, "a hub and a worker")
        hears = np.zeros(2 * (n - 1), dtype=np.int64)
        hears[: n - 1] = np.arange(1, n)
        counts = np.ones(n, dtype=np.int64)
        counts[HUB] = n - 1
        below = (np.arange(n) != HUB).astype(np.int8)
        return Wiring(self.kind, n, starts(counts), hears, below.astype(np.int32), ("hub", "worker"), below, root=HUB)

    def fan_in_limit(self, n: int) -> int:
        """Return n - 1: the hub reads all its workers."""
        return n - 1


class Hybrid(Topology):
    """A star whose workers may also address a limited number of each other."""

    kind: Literal["hybrid"] = "hybrid"
    peers: NonNegativeInt | None = None
    """Pairs of workers who may address each other (pairs); None for half as many as there are workers."""

    def pairs(self, n: int) -> int:
        """Return the number of pairs in a society of `n` agents; with two workers or more there is at least one."""
        return (n - 1) // 2 if self.peers is None else self.peers

    def build(self, n: int, rng: np.random.Generator) -> nx.DiGraph[int]:
        """Return `hybrid`; its pairs are the only draw."""
        return hybrid(n, peers=self.pairs(n), rng=rng)

    def root(self, n: int) -> int:
        """Return the hub."""
        return HUB

    def wiring(self, n: int, rng: np.random.Generator) -> Wiring:
        """Return the arrays directly: those of a star and the drawn pairs."""
        a, b = peer_pairs(n, self.pairs(n), rng).T
        workers = np.arange(1, n)
        hub = np.full(n - 1, HUB)
        below = (np.arange(n) != HUB).astype(np.int8)
        wiring = Wiring.from_edges(
            self.kind,
            n,
            np.concatenate([workers, hub, a, b]),
            np.concatenate([hub, workers, b, a]),
            level=below,
            root=HUB,
        )
        return replace(wiring, roles=("hub", "worker"), role=below)

    def fan_in_limit(self, n: int) -> int:
        """Return n - 1: the hub reads all its workers, and no worker has more peers than there are others."""
        return n - 1
