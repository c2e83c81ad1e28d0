"""This module builds communities that are dense inside and meet only through their bridges."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import numpy as np
from pydantic import Field, PositiveInt

from agentsoc.contracts.graphs import nx
from agentsoc.contracts.topology import Topology
from agentsoc.errors import TopologyError
from agentsoc.society.topologies.limits import require_edges

INTEGRATOR: Final = 0


def community_sizes(n: int, communities: int) -> list[int]:
    """Return the sizes of `communities` communities of `n` agents: equal up to 1, the larger ones first."""
    small, larger = divmod(n, communities)
    return [small + 1] * larger + [small] * (communities - larger)


def modular(n: int, *, communities: int, bridges: int = 1, integrator: bool = False) -> nx.DiGraph[int]:
    """Return communities in which everybody addresses everybody, joined by `bridges` agents of each.

    Communities are runs of consecutive agents, equal in size up to 1, the larger ones first; the first `bridges` agents
    of each are its bridges. Without an integrator, bridge j of a community and bridge j of every other one address each
    other: with c communities a member of a community of s has in-degree = out-degree = s - 1, a bridge s - 1 + c - 1.
    With one, agent 0 stands between the communities and belongs to none (community -1): it and every bridge address
    each other, bridges do not; a bridge has degree s, the integrator c * `bridges`. Roles ``bridge``, ``member`` and
    ``integrator``. Levels: 0 for all, or integrator 0, bridges 1, members 2.

    Raises:
        TopologyError: `communities` < 2, or `bridges` is not in [1, size of the smallest community].
    """
    inside = n - 1 if integrator else n
    if communities < 2:
        raise TopologyError(f"modular needs communities >= 2, got {communities=}", "", "for one: decentralized")
    if inside < communities:
        raise TopologyError(
            f"modular needs an agent in each community, got {communities=}, agents={inside} to share out"
        )
    sizes = community_sizes(inside, communities)
    if not 1 <= bridges <= sizes[-1]:
        raise TopologyError(
            f"modular needs 1 <= bridges <= size of the smallest community, got {bridges=}, "
            f"sizes {sizes[0]} to {sizes[-1]} (agents={n}, {communities=})"
        )
    between = 2 * communities * bridges if integrator else bridges * communities * (communities - 1)
    require_edges(
        "modular", n, sum(s * (s - 1) for s in sizes) + between, hint="take more, smaller communities or fewer agents"
    )

    graph: nx.DiGraph[int] = nx.DiGraph()
    if integrator:
        graph.add_node(INTEGRATOR, role="integrator", level=0, community=-1)
    first = n - inside
    gates: list[range] = []
    for index, size in enumerate(sizes):
        block = range(first, first + size)
        gate = block[:bridges]
        for agent in block:
            role, level = ("bridge", 1) if agent in gate else ("member", 2)
            graph.add_node(agent, role=role, level=level if integrator else 0, community=index)
        graph.add_edges_from((u, v) for u in block for v in block if u != v)
        if integrator:
            graph.add_edges_from((INTEGRATOR, bridge) for bridge in gate)
            graph.add_edges_from((bridge, INTEGRATOR) for bridge in gate)
        else:
            graph.add_edges_from(
                edge for other in gates for a, b in zip(other, gate, strict=True) for edge in ((a, b), (b, a))
            )
        gates.append(gate)
        first += size
    return graph


class Modular(Topology):
    """Communities that are dense inside and joined by bridges, or by an integrator above the bridges."""

    kind: Literal["modular"] = "modular"
    communities: Annotated[int, Field(ge=2)] = 2
    """Number of communities."""
    bridges: PositiveInt = 1
    """Agents of each community who also speak with the outside (agents)."""
    integrator: bool = False
    """Whether agent 0 belongs to no community and stands between the bridges; the organisation then ends in it."""

    def build(self, n: int, rng: np.random.Generator) -> nx.DiGraph[int]:
        """Return `modular`; draws nothing."""
        return modular(n, communities=self.communities, bridges=self.bridges, integrator=self.integrator)

    def root(self, n: int) -> int | None:
        """Return the integrator, if there is one."""
        return INTEGRATOR if self.integrator else None

    def fan_in_limit(self, n: int) -> int:
        """Return what the busiest agent reads: a bridge its community and other bridges, the integrator all bridges."""
        if self.integrator:
            return max(community_sizes(n - 1, self.communities)[0] - 1, self.communities * self.bridges)
        return community_sizes(n, self.communities)[0] - 1 + self.communities - 1
