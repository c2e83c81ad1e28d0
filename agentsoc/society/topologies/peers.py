"""This module builds peers without a hub: everybody addresses everybody, or each a few."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt, model_validator

from agentsoc.contracts.graphs import nx
from agentsoc.contracts.topology import Topology
from agentsoc.contracts.wiring import Wiring
from agentsoc.errors import TopologyError
from agentsoc.society.topologies.circles import (
    both_ways,
    both_ways_wiring,
    circle_wiring,
    ring,
    ring_offsets,
    small_world,
    small_world_wiring,
)
from agentsoc.society.topologies.drawn import regular_pairs
from agentsoc.society.topologies.limits import MAX_DRAWN_EDGES, MAX_WIRING_EDGES, require_agents, require_edges

_FEWER = "give each agent fewer peers: topology: {kind: decentralized, degree: 4}"


def complete(n: int) -> nx.DiGraph[int]:
    """Return the graph in which everybody may address everybody else.

    In-degree and out-degree are exactly n - 1, so n (n - 1) edges; diameter 1. All are peers at level 0.

    Raises:
        TopologyError: `n` < 1, or there are more than a million edges (n > 1,000).
    """
    require_agents("decentralized", n)
    require_edges("decentralized", n, n * (n - 1), hint=_FEWER)
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(range(n), role="peer", level=0)
    graph.add_edges_from((u, v) for u in range(n) for v in range(n) if u != v)
    return graph


def decentralized(n: int, *, degree: int, rng: np.random.Generator) -> nx.DiGraph[int]:
    """Return a peer graph on agents 0..n-1 in which every agent may address `degree` others, drawn at random.

    Edge u -> v means u may send to v. Out-degree is exactly `degree`; in-degree is Binomial(n - 1, degree / (n - 1)),
    so nobody is a hub by construction. All are peers at level 0.

    Raises:
        TopologyError: `degree` is not in [1, n - 1].
    """
    _require_degree(n, degree)
    require_edges("decentralized", n, n * degree, hint=_FEWER)
    chosen = random_peers(n, degree, rng)
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(range(n), role="peer", level=0)
    graph.add_edges_from((u, v) for u, row in enumerate(chosen.tolist()) for v in row)
    return graph


def regular(n: int, *, degree: int, rng: np.random.Generator) -> nx.DiGraph[int]:
    """Return a random regular peer graph: everybody and exactly `degree` others address each other.

    In-degree and out-degree are exactly `degree`. For `degree` >= 3 it hangs together with a probability that tends to
    1 with n; with 1 it is a set of pairs, with 2 a set of circles. Pairing algorithm of Steger & Wormald, Comb. Prob.
    Comput. 8 (1999) 377: uniform in the limit of large n.

    Raises:
        TopologyError: `degree` is not in [1, n - 1], or n * `degree` is odd.
    """
    return both_ways(n, _regular_pairs(n, degree, rng))


def _regular_pairs(n: int, degree: int, rng: np.random.Generator) -> nx.Graph[int]:
    """Return who is joined with whom in `regular`."""
    _require_regular(n, degree)
    require_edges("decentralized", n, n * degree, hint=_FEWER)
    seed = int(rng.integers(2**31))
    few = 2 * degree < n
    # The pairing often fails when nearly all pairs are taken, so draw who does not hear whom.
    pairs: nx.Graph[int] = nx.random_regular_graph(degree if few else n - 1 - degree, n, seed=seed)
    return pairs if few else nx.complement(pairs)


def _regular_wiring(kind: str, n: int, degree: int, rng: np.random.Generator) -> Wiring:
    """Return the same edges as `regular`; with few neighbours no object is made for one."""
    _require_regular(n, degree)
    if 2 * degree < n:
        require_edges("decentralized", n, n * degree, limit=MAX_DRAWN_EDGES, hint=_FEWER)
        pairs = regular_pairs(n, degree, int(rng.integers(2**31)))
    else:
        pairs = np.array(_regular_pairs(n, degree, rng).edges(), dtype=np.int64).reshape(-1, 2)
    return both_ways_wiring(kind, n, pairs)


def _require_regular(n: int, degree: int) -> None:
    _require_degree(n, degree)
    if n * degree % 2:
        raise TopologyError(
            f"decentralized with shape regular needs an even agents * degree, got agents={n}, {degree=}",
            "",
            "change one of them by 1",
        )


def random_peers(n: int, degree: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return `degree` different others for every agent, uniformly at random, shape (n, degree).

    Raises:
        TopologyError: `degree` is not in [1, n - 1].
    """
    _require_degree(n, degree)
    require_edges("decentralized", n, n * degree, limit=MAX_WIRING_EDGES, hint=_FEWER)
    if degree * degree <= n:  # whole rows drawn until none names anybody twice: at least 3 in 5 are right at once
        chosen = rng.integers(n - 1, size=(n, degree))
        wrong = _with_repeats(chosen)
        while len(wrong):
            chosen[wrong] = rng.integers(n - 1, size=(len(wrong), degree))
            wrong = wrong[_with_repeats(chosen[wrong])]
    else:
        chosen = np.array([rng.choice(n - 1, size=degree, replace=False, shuffle=False) for _ in range(n)])
    return chosen + (
        chosen >= np.arange(n)[:, None]
    )  # numbers from the agent's own on move up by one: nobody picks itself


def _with_repeats(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    ordered = np.sort(rows, axis=1)
    return np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=1))


def _require_degree(n: int, degree: int) -> None:
    if not 1 <= degree < n:
        raise TopologyError(f"decentralized needs 1 <= degree < agents, got {degree=}, agents={n}")


class Decentralized(Topology):
    """Peers without a hub: everybody may address everybody, or each a limited number of others."""

    kind: Literal["decentralized"] = "decentralized"
    degree: PositiveInt | None = None
    """Peers of an agent (agents); None for everybody."""
    shape: Literal["random", "regular", "ring", "small-world"] = "random"
    """How they are chosen: by each agent at random (directed); mutually, the same number for all; the nearest on a
    circle; the nearest, with some edges moved elsewhere (`degree` is then an average)."""
    rewire: Annotated[float, Field(ge=0, le=1)] | None = None
    """Probability that an edge is moved; for the shape small-world, which needs it."""

    @model_validator(mode="after")
    def _fits_together(self) -> Decentralized:
        if self.degree is None and self.shape != "random":
            raise ValueError(f"shape {self.shape} needs a degree; without one, everybody hears everybody")
        if self.shape in ("ring", "small-world") and self.degree is not None and self.degree % 2:
            raise ValueError(f"shape {self.shape} needs an even degree, half on each side; got {self.degree}")
        if (self.rewire is None) == (self.shape == "small-world"):
            raise ValueError("rewire is the probability that a small-world edge is moved: give it with that shape only")
        return self

    def build(self, n: int, rng: np.random.Generator) -> nx.DiGraph[int]:
        """Return `complete`, `decentralized`, `regular`, `ring` or `small_world`, as the fields say."""
        if self.degree is None:
            return complete(n)
        if self.shape == "regular":
            return regular(n, degree=self.degree, rng=rng)
        if self.shape == "ring":
            return ring(n, neighbours=self.degree // 2, kind=self.kind)
        if self.shape == "small-world":
            return small_world(n, neighbours=self.degree // 2, rewire=self.rewire or 0.0, rng=rng, kind=self.kind)
        return decentralized(n, degree=self.degree, rng=rng)

    def wiring(self, n: int, rng: np.random.Generator) -> Wiring:
        """Return the arrays directly, in time linear in agents + edges."""
        if self.degree is None:
            require_agents(self.kind, n)
            require_edges(self.kind, n, n * (n - 1), hint=_FEWER)
            speakers, hearers = np.nonzero(~np.eye(n, dtype=bool))
            return Wiring.from_edges(self.kind, n, speakers, hearers)
        if self.shape == "random":
            chosen = random_peers(n, self.degree, rng)
            return Wiring.from_edges(self.kind, n, np.repeat(np.arange(n), self.degree), chosen.reshape(-1))
        if self.shape == "regular":
            return _regular_wiring(self.kind, n, self.degree, rng)
        if self.shape == "ring":
            return circle_wiring(self.kind, n, ring_offsets(n, self.degree // 2, self.kind))
        return small_world_wiring(self.kind, n, self.degree // 2, self.rewire or 0.0, rng)

    def fan_in_limit(self, n: int) -> int:
        """Return `degree` where it is exact, else n - 1: in the worst draw everybody addresses the same agent."""
        return self.degree if self.degree is not None and self.shape in ("regular", "ring") else n - 1
