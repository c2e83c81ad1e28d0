"""This module builds organisations that lead step by step to one agent: a chain of relays, a tree of managers."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import numpy as np
from pydantic import Field

from agentsoc.contracts.graphs import nx
from agentsoc.contracts.group import MAX_AGENTS
from agentsoc.contracts.topology import Topology
from agentsoc.contracts.wiring import Wiring, starts
from agentsoc.errors import TopologyError
from agentsoc.society.topologies.limits import require_agents

ROOT: Final = 0


def chain(n: int) -> nx.DiGraph[int]:
    """Return 0 -> 1 -> ... -> n-1: each agent hears the one before it; the last is the end.

    n - 1 edges; in-degree 1 except for agent 0, out-degree 1 except for the last. Roles ``relay`` and, for the last,
    ``end``; an agent's level is its distance to the end, n - 1 - i. Nobody can reach anybody before it, so there is no
    diameter when n > 1; the longest path has n - 1 hops.

    Raises:
        TopologyError: `n` < 1.
    """
    require_agents("chain", n)
    graph: nx.DiGraph[int] = nx.DiGraph()
    for i in range(n):
        graph.add_node(i, role="end" if i == n - 1 else "relay", level=n - 1 - i)
    graph.add_edges_from((i, i + 1) for i in range(n - 1))
    return graph


def tree(n: int, *, fan_in: int) -> nx.DiGraph[int]:
    """Return the `fan_in`-ary tree on `n` agents, filled breadth-first from agent 0.

    The children of agent i are b i + 1, ..., b i + b as far as they exist; parents and children address each other,
    so there are 2 (n - 1) edges, and in-degree = out-degree = number of children (at most b) + 1 for a parent. Roles
    ``root``, ``inner`` and ``leaf``; the level is the distance L from the root. With n = (b^(L+1) - 1) / (b - 1) the
    tree is complete: every agent above level L has exactly b children, and the diameter is 2 L.

    Raises:
        TopologyError: `n` < 1 or `fan_in` < 2.
    """
    require_agents("tree", n)
    _require_fan_in(fan_in)
    graph: nx.DiGraph[int] = nx.DiGraph()
    level = {ROOT: 0}
    for i in range(n):
        if i != ROOT:
            level[i] = level[(i - 1) // fan_in] + 1
        role = "root" if i == ROOT else "inner" if fan_in * i + 1 < n else "leaf"
        graph.add_node(i, role=role, level=level[i])
    for i in range(1, n):
        parent = (i - 1) // fan_in
        graph.add_edge(i, parent)
        graph.add_edge(parent, i)
    return graph


def tree_size(fan_in: int, depth: int) -> int:
    """Return the number of agents in a complete tree: (b^(L+1) - 1) / (b - 1).

    Raises:
        TopologyError: `fan_in` < 2, or there are more agents than a society can have.
    """
    _require_fan_in(fan_in)
    n: int = (fan_in ** (depth + 1) - 1) // (fan_in - 1)
    if n > MAX_AGENTS:
        raise TopologyError(
            f"a complete tree with {fan_in=} and {depth=} has more agents than a society can have ({MAX_AGENTS:,})"
        )
    return n


def _require_fan_in(fan_in: int) -> None:
    if fan_in < 2:
        raise TopologyError(f"tree needs fan_in >= 2, got {fan_in=}", "", "one child a node is a chain")


class Chain(Topology):
    """A line of relays: each agent hears only the one before it, and the last one ends it."""

    kind: Literal["chain"] = "chain"

    def build(self, n: int, rng: np.random.Generator) -> nx.DiGraph[int]:
        """Return `chain`; draws nothing."""
        return chain(n)

    def root(self, n: int) -> int:
        """Return the last agent."""
        return n - 1

    def wiring(self, n: int, rng: np.random.Generator) -> Wiring:
        """Return the arrays directly, in time linear in `n`."""
        require_agents(self.kind, n)
        counts = np.ones(n, dtype=np.int64)
        counts[0] = 0
        last = (np.arange(n) == n - 1).astype(np.int8)
        return Wiring(
            self.kind,
            n,
            starts(counts),
            np.arange(n - 1),
            np.arange(n - 1, -1, -1, dtype=np.int32),
            ("relay", "end") if n > 1 else ("end",),
            last if n > 1 else np.zeros(1, dtype=np.int8),
            root=n - 1,
        )

    def fan_in_limit(self, n: int) -> int:
        """Return 1, or 0 for an agent alone."""
        return min(1, n - 1)


class Tree(Topology):
    """A hierarchy in which nobody has more than `fan_in` children; answers go up, guidance goes down."""

    kind: Literal["tree"] = "tree"
    fan_in: Annotated[int, Field(ge=2, le=MAX_AGENTS)] = 2
    """Children of a node, b (agents)."""
    depth: Annotated[int, Field(ge=0, le=32)] | None = None
    """Levels below the root, L, of a complete tree; fixes the number of agents. None to fill a given number."""

    def size(self, n: int | None) -> int:
        """Return the number of agents: (b^(L+1) - 1) / (b - 1) with a depth, else `n`.

        Raises:
            TopologyError: neither is given, or they disagree.
        """
        if self.depth is None:
            if n is None:
                raise TopologyError(
                    "a tree needs the number of agents or a depth", "", "give agents a count, or add depth"
                )
            return n
        size = tree_size(self.fan_in, self.depth)
        if n not in (None, size):
            raise TopologyError(
                f"a complete tree with fan_in={self.fan_in} and depth={self.depth} has {size} agents, got agents={n}",
                "",
                "leave out the count of agents or the depth",
            )
        return size

    def build(self, n: int, rng: np.random.Generator) -> nx.DiGraph[int]:
        """Return `tree`; draws nothing."""
        return tree(self.size(n), fan_in=self.fan_in)

    def root(self, n: int) -> int:
        """Return agent 0."""
        return ROOT

    def wiring(self, n: int, rng: np.random.Generator) -> Wiring:
        """Return the arrays directly, in time linear in `n`: who hears its parent first, then its children."""
        require_agents(self.kind, self.size(n))
        b, agents = self.fan_in, np.arange(n)
        children = np.clip(n - 1 - b * agents, 0, b)
        start = starts(children + (agents > ROOT))
        hears = np.empty(2 * (n - 1), dtype=np.int64)
        parent = (agents[1:] - 1) // b
        hears[start[1:-1]] = parent
        hears[start[parent] + (parent > ROOT) + (agents[1:] - 1) % b] = agents[1:]
        level = np.zeros(n, dtype=np.int32)
        first, depth = 1, 1
        while first < n:  # level L begins right after the complete tree of depth L - 1
            level[first : b * first + 1] = depth
            first, depth = b * first + 1, depth + 1
        role = np.where(children > 0, 1, 2).astype(np.int8)
        role[ROOT] = 0
        names = ("root", "inner", "leaf") if (role == 1).any() else ("root", "leaf") if n > 1 else ("root",)
        if len(names) == 2:
            role = np.minimum(role, 1)
        return Wiring(self.kind, n, start, hears, level, names, role, root=ROOT)

    def fan_in_limit(self, n: int) -> int:
        """Return the largest number of children that a node reads: b, or fewer where there are not so many agents."""
        return min(self.fan_in, n - 1)
