"""This module refuses organisations that are too small to exist or too large to hold."""

from __future__ import annotations

from typing import Final

from agentsoc.errors import TopologyError

MAX_GRAPH_EDGES: Final = 1_000_000
"""Directed edges of a networkx graph, or of a complete one in any form (about 300 bytes each)."""

MAX_WIRING_EDGES: Final = 50_000_000
"""Directed edges of a wiring made from arrays alone (8 bytes each, a few times that while it is made)."""

MAX_DRAWN_EDGES: Final = 10_000_000
"""Directed edges of a small world or regular graph, which networkx's draws make one by one.

A small world whose edges are all moved takes about 150 bytes each while it is made: moved edges are in a set, a list of
pairs and changes of degrees. It is below `MAX_WIRING_EDGES`, since `check` makes the wiring of a stranger's scenario.
"""


def require_agents(kind: str, n: int, least: int = 1, why: str = "") -> None:
    """Check that there are enough agents.

    Raises:
        TopologyError: `n` < `least`.
    """
    if n < least:
        reason = f" ({why})" if why else ""
        raise TopologyError(f"{kind} needs at least {least} agent{'s' if least > 1 else ''}{reason}, got agents={n}")


def require_edges(kind: str, n: int, edges: int, *, limit: int = MAX_GRAPH_EDGES, hint: str = "") -> None:
    """Check that the edges can be held; called before anything is allocated.

    Raises:
        TopologyError: `edges` > `limit`.
    """
    if edges > limit:
        raise TopologyError(f"{kind} of {n:,} agents has {edges:,} directed edges, the limit is {limit:,}", "", hint)
