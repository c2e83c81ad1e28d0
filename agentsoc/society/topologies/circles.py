"""This module builds organisations on a circle: a ring, an exponential graph, a ring with shortcuts (small world)."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from agentsoc.contracts.graphs import nx
from agentsoc.contracts.topology import Topology
from agentsoc.contracts.wiring import Wiring
from agentsoc.errors import TopologyError
from agentsoc.society.topologies.drawn import small_world_pairs
from agentsoc.society.topologies.limits import MAX_DRAWN_EDGES, MAX_WIRING_EDGES, require_agents, require_edges


def ring(n: int, *, neighbours: int, kind: str = "ring") -> nx.DiGraph[int]:
    """Return a circle in which every agent and its `neighbours` nearest agents on each side address each other.

    In-degree and out-degree are exactly 2 `neighbours`; all are peers at level 0. The diameter is
    ceil(floor(n / 2) / neighbours).

    Raises:
        TopologyError: `neighbours` < 1 or `n` < 2 `neighbours` + 1, so that the two sides would overlap.
    """
    offsets = ring_offsets(n, neighbours, kind)
    require_edges(kind, n, n * len(offsets), hint="take fewer neighbours or agents")
    return _circle(n, offsets)


def exponential(n: int) -> nx.DiGraph[int]:
    """Return the graph in which agent i addresses i + 1, i + 2, i + 4, ... (mod n), all powers of two below n.

    In-degree and out-degree are exactly ceil(log2 n), and the diameter is at most floor(log2 n), which it is when n is
    a power of two: everybody is reached in as many rounds as the number has bits. All are peers at level 0. Source: the
    static exponential graph of decentralized averaging (Assran et al., ICML 2019; Ying et al., NeurIPS 2021).

    Raises:
        TopologyError: `n` < 2.
    """
    offsets = exponential_offsets(n)
    require_edges("exponential", n, n * len(offsets), hint="take fewer agents")
    return _circle(n, offsets)


def small_world(
    n: int, *, neighbours: int, rewire: float, rng: np.random.Generator, kind: str = "small-world"
) -> nx.DiGraph[int]:
    """Return a Watts-Strogatz graph: a ring whose edges are each moved elsewhere with probability `rewire`.

    Each of the n `neighbours` undirected edges keeps one end and, when moved, gets a random other end, so there are
    exactly 2 n `neighbours` directed ones; in-degree = out-degree >= `neighbours` for everybody, 2 `neighbours` on
    average. All are peers at level 0. It may, rarely, fall apart. Source: Watts & Strogatz, Nature 393 (1998) 440;
    their K is 2 `neighbours`.

    Raises:
        TopologyError: `neighbours` < 1, `n` < 2 `neighbours` + 1, or `rewire` is not in [0, 1].
    """
    _require_small_world(n, neighbours, rewire, kind)
    require_edges(kind, n, 2 * n * neighbours, hint="take fewer neighbours or agents")
    seed = int(rng.integers(2**31))
    return both_ways(n, nx.watts_strogatz_graph(n, 2 * neighbours, rewire, seed=seed))


def small_world_wiring(kind: str, n: int, neighbours: int, rewire: float, rng: np.random.Generator) -> Wiring:
    """Return the same edges as `small_world`, in time linear in agents + edges.

    Raises:
        TopologyError: as there, or there are more than ten million directed edges.
    """
    _require_small_world(n, neighbours, rewire, kind)
    edges = 2 * n * neighbours
    require_edges(kind, n, edges, limit=MAX_DRAWN_EDGES, hint="take fewer neighbours or agents")
    return both_ways_wiring(kind, n, small_world_pairs(n, neighbours, rewire, int(rng.integers(2**31))))


def both_ways_wiring(kind: str, n: int, pairs: NDArray[np.int64]) -> Wiring:
    """Return the wiring of peers 0..n-1 who address each other along edges that stand once each, shape (n_edges, 2)."""
    return Wiring.from_edges(kind, n, pairs.reshape(-1), pairs[:, ::-1].reshape(-1))


def _require_small_world(n: int, neighbours: int, rewire: float, kind: str) -> None:
    ring_offsets(n, neighbours, kind)
    if not 0 <= rewire <= 1:
        raise TopologyError(f"{kind} needs 0 <= rewire <= 1, got {rewire=}")


def both_ways(n: int, undirected: nx.Graph[int]) -> nx.DiGraph[int]:
    """Return peers 0..n-1 who address each other along the edges of `undirected`."""
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(range(n), role="peer", level=0)
    for u, v in undirected.edges():
        graph.add_edge(u, v)
        graph.add_edge(v, u)
    return graph


def ring_offsets(n: int, neighbours: int, kind: str = "ring") -> list[int]:
    """Return how far on the circle a ring's agents speak: 1..neighbours to each side.

    Raises:
        TopologyError: `neighbours` < 1 or `n` < 2 `neighbours` + 1.
    """
    if neighbours < 1:
        raise TopologyError(f"{kind} needs neighbours >= 1, got {neighbours=}")
    require_agents(kind, n, 2 * neighbours + 1, f"{neighbours=} on each side, all different")
    near = range(1, neighbours + 1)
    return [*near, *(n - d for d in near)]


def exponential_offsets(n: int) -> list[int]:
    """Return the powers of two below `n`.

    Raises:
        TopologyError: `n` < 2.
    """
    require_agents("exponential", n, 2)
    return [1 << j for j in range((n - 1).bit_length())]


def circle_wiring(kind: str, n: int, offsets: list[int]) -> Wiring:
    """Return the wiring in which agent i addresses i + d (mod n) for each d of `offsets`, all different, in (0, n).

    Raises:
        TopologyError: there are more edges than a wiring holds.
    """
    k = len(offsets)
    require_edges(kind, n, n * k, limit=MAX_WIRING_EDGES, hint="take fewer neighbours or agents")
    hears: NDArray[np.int64] = np.arange(n)[:, None] - np.array(sorted(offsets, reverse=True))
    # Only the first agents hear around the corner; everybody else's row is in order as it stands.
    wrapped = hears[: max(offsets)]
    wrapped[wrapped < 0] += n
    wrapped.sort(axis=1)
    return Wiring(kind, n, np.arange(n + 1) * k, hears.reshape(-1), np.zeros(n, dtype=np.int32))


def _circle(n: int, offsets: list[int]) -> nx.DiGraph[int]:
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(range(n), role="peer", level=0)
    for i in range(n):
        for d in offsets:
            graph.add_edge(i, (i + d) % n)
    return graph


class Ring(Topology):
    """A circle: every agent hears only its nearest neighbours, so news travels slowly and stays local."""

    kind: Literal["ring"] = "ring"
    neighbours: PositiveInt = 1
    """Neighbours on each side (agents)."""

    def build(self, n: int, rng: np.random.Generator) -> nx.DiGraph[int]:
        """Return `ring`; draws nothing."""
        return ring(n, neighbours=self.neighbours)

    def wiring(self, n: int, rng: np.random.Generator) -> Wiring:
        """Return the arrays directly, in time linear in agents + edges."""
        return circle_wiring(self.kind, n, ring_offsets(n, self.neighbours))

    def fan_in_limit(self, n: int) -> int:
        """Return 2 `neighbours`."""
        return 2 * self.neighbours


class Exponential(Topology):
    """Agent i addresses i + 1, i + 2, i + 4, ...: few edges an agent, and everybody is a few hops away."""

    kind: Literal["exponential"] = "exponential"

    def build(self, n: int, rng: np.random.Generator) -> nx.DiGraph[int]:
        """Return `exponential`; draws nothing."""
        return exponential(n)

    def wiring(self, n: int, rng: np.random.Generator) -> Wiring:
        """Return the arrays directly, in time linear in agents + edges."""
        return circle_wiring(self.kind, n, exponential_offsets(n))

    def fan_in_limit(self, n: int) -> int:
        """Return ceil(log2 n)."""
        return (n - 1).bit_length()


class SmallWorld(Topology):
    """A ring with some edges moved to random places: local groups, yet short ways between them (Watts & Strogatz)."""

    kind: Literal["small-world"] = "small-world"
    neighbours: PositiveInt = 2
    """Neighbours on each side before any edge is moved (agents)."""
    rewire: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Probability that an edge is moved."""

    def build(self, n: int, rng: np.random.Generator) -> nx.DiGraph[int]:
        """Return `small_world`; one draw seeds it."""
        return small_world(n, neighbours=self.neighbours, rewire=self.rewire, rng=rng)

    def wiring(self, n: int, rng: np.random.Generator) -> Wiring:
        """Return the arrays directly, in time linear in agents + edges."""
        return small_world_wiring(self.kind, n, self.neighbours, self.rewire, rng)
