"""This module builds an organisation of the user's own from a list of edges, in the scenario or in a file beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, StringConstraints, model_validator

from agentsoc.contracts.graphs import nx
from agentsoc.contracts.group import MAX_AGENTS
from agentsoc.contracts.topology import Topology
from agentsoc.contracts.wiring import MAX_ROLES, Wiring
from agentsoc.errors import InputError, TopologyError
from agentsoc.scenario.files import sha256_of
from agentsoc.society.topologies.edge_files import NAME_MAX
from agentsoc.society.topologies.edges import EdgeList, given_edges, read_edges
from agentsoc.society.topologies.limits import MAX_GRAPH_EDGES, require_agents

AgentNumber = Annotated[int, Field(ge=0, lt=MAX_AGENTS, strict=True)]
NodeName = Annotated[str, Field(min_length=1, max_length=NAME_MAX, strict=True)]
RoleName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9 _-]{0,39}$")]


def custom(
    n: int,
    edges: EdgeList,
    *,
    both_ways: bool = False,
    roles: Mapping[str, Sequence[int]] | None = None,
    ends_in: int | None = None,
    allow_disconnected: bool = False,
) -> Wiring:
    """Return the wiring of agents 0..n-1 with exactly the edges of the list.

    Args:
        n: number of agents.
        edges: speaker -> hearer, each at most once.
        both_ways: whether each edge of the list also holds the other way round.
        roles: the agents that have each role; all others are peers.
        ends_in: where the organisation ends. The level of an agent is then the number of hops of the shortest way from
            it to there; without it all levels are 0.
        allow_disconnected: whether there may be agents who are joined to the others by no edges (whatever their
            direction), or who have no way to `ends_in`; the latter get the level below the deepest.

    Raises:
        TopologyError: an edge names no agent, joins an agent to itself or occurs twice; a role or `ends_in` names no
            agent; an agent has two roles; or somebody is cut off.
    """
    require_agents("custom", n)
    _require_sound(n, edges, both_ways)
    names = _names(n, roles or {})
    if ends_in is not None and not 0 <= ends_in < n:
        raise TopologyError(f"custom ends in agent {ends_in}, who is not there: agents are 0 to {n - 1}", "ends_in")
    u, v = edges.speakers, edges.hearers
    if both_ways:
        u, v = np.concatenate([u, v]), np.concatenate([v, u])
    if not allow_disconnected:
        _require_connected(n, edges)
    flat = Wiring.from_edges("custom", n, u, v, names=names, root=ends_in)
    if ends_in is None:
        return flat
    return Wiring.from_edges(
        "custom", n, u, v, names=names, root=ends_in, level=_levels(flat, ends_in, allow_disconnected)
    )


def _require_sound(n: int, edges: EdgeList, both_ways: bool) -> None:
    """Refuse edges to nobody, loops and repetitions, naming their places."""
    u, v = edges.speakers, edges.hearers
    unknown = np.flatnonzero((u >= n) | (v >= n))
    if len(unknown):
        i = int(unknown[0])
        raise TopologyError(
            f"the edge {u[i]} -> {v[i]} names an agent who is not there: agents are 0 to {n - 1}",
            edges.where(i),
            "raise the count of agents, or leave it out to take it from the edges",
        )
    loops = np.flatnonzero(u == v)
    if len(loops):
        i = int(loops[0])
        raise TopologyError(f"agent {u[i]} is joined to itself", edges.where(i), "leave that edge out")
    key = np.minimum(u, v) * n + np.maximum(u, v) if both_ways else u * n + v
    order = np.argsort(key, kind="stable")
    again = order[1:][key[order[1:]] == key[order[:-1]]]
    if len(again):
        i = int(again.min())
        first = int(np.flatnonzero(key == key[i])[0])
        why = ", which holds both ways," if both_ways else ""
        raise TopologyError(f"the edge {u[i]} -> {v[i]}{why} was given before, at {edges.where(first)}", edges.where(i))


def _require_connected(n: int, edges: EdgeList) -> None:
    """Refuse an organisation that falls apart, seen without the direction of its edges (union-find)."""
    above = list(range(n))

    def top(agent: int) -> int:
        while above[agent] != agent:
            above[agent] = agent = above[above[agent]]
        return agent

    parts = n
    for a, b in zip(edges.speakers.tolist(), edges.hearers.tolist(), strict=True):
        x, y = top(a), top(b)
        if x != y:
            above[max(x, y)] = min(x, y)
            parts -= 1
    if parts > 1:
        apart = next(agent for agent in range(n) if top(agent) != 0)
        raise TopologyError(
            f"custom falls into {parts} parts: no edges lead from agent 0 to agent {apart}, in either direction",
            edges.source,
            "join them, or say allow_disconnected: true",
        )


def _levels(wiring: Wiring, end: int, allow_disconnected: bool) -> NDArray[np.int32]:
    """Return the number of hops from each agent to `end`, breadth first against the edges."""
    level = np.full(wiring.n, -1, dtype=np.int32)
    level[end] = 0
    reached = [end]
    for agent in reached:  # grows while it is read
        for speaker in wiring.heard_by(agent):
            if level[speaker] < 0:
                level[speaker] = level[agent] + 1
                reached.append(speaker)
    cut_off = np.flatnonzero(level < 0)
    if len(cut_off):
        if not allow_disconnected:
            raise TopologyError(
                f"custom ends in agent {end}, but agent {cut_off[0]} has no way there along the edges",
                "ends_in",
                "add edges towards it (or both_ways: true), or say allow_disconnected: true",
            )
        level[cut_off] = level.max() + 1
    return level


def _names(n: int, roles: Mapping[str, Sequence[int]]) -> list[str]:
    names = ["peer"] * n
    taken: dict[int, str] = {}
    for role, agents in roles.items():
        for agent in agents:
            if not 0 <= agent < n:
                raise TopologyError(
                    f"agent {agent} has a role but is not there: agents are 0 to {n - 1}", f"roles.{role}"
                )
            if agent in taken:
                raise TopologyError(f"agent {agent} has two roles: {taken[agent]} and {role}", f"roles.{role}")
            names[agent] = taken[agent] = role
    return names


class Custom(Topology):
    """Exactly the edges that are listed: in the scenario, or in a file beside it."""

    kind: Literal["custom"] = "custom"
    file: Annotated[str, Field(min_length=1, max_length=1_000)] | None = None
    """Edge list beside the scenario, the first addresses the second: .csv, .tsv, .txt, .edgelist, .json, .jsonl,
    .graphml or .gml. Ids that are not 0 to n - 1, or are names, are compacted, and `agentsoc check` says how."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """Digest that the file must have; None not to check it."""
    edges: Annotated[tuple[tuple[AgentNumber, AgentNumber], ...], Field(max_length=MAX_GRAPH_EDGES)] | None = None
    """Edge list given here instead: pairs (speaker, hearer)."""
    both_ways: bool = False
    """Whether each listed edge also holds the other way round."""
    roles: Annotated[dict[RoleName, tuple[AgentNumber | NodeName, ...]], Field(max_length=MAX_ROLES - 1)] = Field(
        default={}
    )
    """Agents that have each role, by number, or by their id in the file as a text; all others are peers."""
    ends_in: AgentNumber | NodeName | None = None
    """Agent in whom the organisation ends, as a hub or a root does; by number, or by its id in the file as a text."""
    allow_disconnected: bool = False
    """Whether agents may be cut off from the others."""

    @model_validator(mode="after")
    def _one_source(self) -> Custom:
        if (self.file is None) == (self.edges is None):
            raise ValueError("a custom topology needs file or edges, and not both")
        if self.sha256 is not None and self.file is None:
            raise ValueError("sha256 is the digest of a file; there is none")
        return self

    def edge_list(self, n: int | None = None) -> EdgeList:
        """Return the edges as they are listed; ids of a file become agents, of whom there are `n` where that is known.

        Raises:
            TopologyError: they cannot be read, are no edges, or the file is not the one that `sha256` names.
        """
        if self.file is None:
            return given_edges(self.edges or ())
        found = read_edges(self.file, n, as_written=self.allow_disconnected, both_ways=self.both_ways)
        if self.sha256 is not None and (digest := _digest(self.file)) != self.sha256:
            raise TopologyError(
                f"the file has changed: its SHA-256 is {digest}, not {self.sha256}",
                self.file,
                "bring the old file back, or correct sha256",
            )
        return found

    def pinned(self) -> Custom:
        """Return this topology with the digest of its file as it is now, so that a changed file is noticed later."""
        return self if self.file is None else self.model_copy(update={"sha256": _digest(self.file)})

    def size(self, n: int | None) -> int:
        """Return `n`, or else one more than the largest number that an edge names.

        Raises:
            TopologyError: there is neither a number of agents nor an edge.
        """
        if n is not None:
            return n
        agents = self.edge_list().agents
        if not agents:
            raise TopologyError("custom has no edges to take the number of agents from", "", "give agents a count")
        return agents

    def build(self, n: int, rng: np.random.Generator) -> nx.DiGraph[int]:
        """Return the graph of `custom`; draws nothing."""
        return self.wiring(n, rng).graph()

    def root(self, n: int) -> int | None:
        """Return the agent of `ends_in`."""
        return None if self.ends_in is None else self.edge_list(n).agent(self.ends_in, "ends_in")

    def remarks(self, n: int) -> tuple[str, ...]:
        """Return what was assumed of the ids and edges of the file."""
        return self.edge_list(n).notes

    def wiring(self, n: int, rng: np.random.Generator) -> Wiring:
        """Return `custom`; draws nothing."""
        edges = self.edge_list(n)
        return custom(
            n,
            edges,
            both_ways=self.both_ways or edges.undirected,
            roles={role: [edges.agent(one, f"roles.{role}") for one in agents] for role, agents in self.roles.items()},
            ends_in=None if self.ends_in is None else edges.agent(self.ends_in, "ends_in"),
            allow_disconnected=self.allow_disconnected,
        )

    def fan_in_limit(self, n: int) -> int:
        """Return the largest number that one agent reads at once."""
        return int(self.wiring(n, np.random.default_rng(0)).reads.max())


def _digest(name: str) -> str:
    try:
        return sha256_of(name)
    except InputError as error:
        raise TopologyError(error.problem.what, error.problem.where, error.problem.hint) from error
