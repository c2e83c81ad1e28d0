"""This module counts reach: the claims downstream of a claim, and those downstream of any claim of an agent.

Claims are counted once however many paths lead to them, so subtree sums do not do. Components that are trees take one
linear pass. In the others reachable sets are bitsets, computed for a block of target claims at a time, so memory stays
small; the work is (claims + edges) x claims / 64 within a component. Where even that is too much, sizes are estimated
from the minima of exponential ranks (Cohen, J. Comput. Syst. Sci. 55, 1997), in linear time, with a stated error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentsoc.streams import stream
from analysis.claims.cascade_kernels import transpose
from analysis.claims.cascades import ClaimGraph
from analysis.claims.reach_kernels import components, count, minima, relabel, work

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

EXACT_LIMIT: Final = 2.0e10
"""Word operations that the exact count may take, about ten seconds of one core."""
_RANKS: Final = 256
_RANKS_AT_ONCE: Final = 16


@dataclass(frozen=True)
class Reach:
    """The object holds the numbers of claims downstream of each claim and of each agent.

    An actor is an agent in one execution; actors are ordered by (execution, agent).
    """

    descendants: F64
    """Distinct claims downstream of each claim, itself excluded, shape (n_claims,); whole numbers when exact."""
    actor: I64
    """Actor of each claim, shape (n_claims,)."""
    actor_execution: I64
    actor_agent: I64
    actor_reach: F64
    """Distinct claims downstream of any claim of the actor, shape (n_actors,)."""
    relative_error: float
    """Relative standard error of the counts: 0 when they are exact."""

    def summary(self) -> str:
        """Return one line: the largest reach of a claim and of an agent, and how exact the counts are."""
        if not len(self.descendants):
            return "no claims"
        kind = "exact" if self.relative_error == 0 else f"estimates with {self.relative_error:.1%} standard error"
        return f"largest reach: claim {self.descendants.max():.0f}, agent {self.actor_reach.max():.0f} ({kind})"


def actors(execution: I64, agent: I64) -> tuple[I64, I64, I64]:
    """Return (actor of each entry, execution of each actor, agent of each actor) for pairs (execution, agent)."""
    if not len(agent):
        return (np.empty(0, np.int64),) * 3
    low, span = int(agent.min()), int(agent.max() - agent.min()) + 1
    keys, actor = np.unique(execution * span + (agent - low), return_inverse=True)
    return actor.astype(np.int64), keys // span, keys % span + low


def reach(graph: ClaimGraph, *, exact_limit: float = EXACT_LIMIT, seed: int = 0) -> Reach:
    """Return the reach of every claim and agent of `graph`.

    Args:
        graph: claims of any number of executions.
        exact_limit: word operations allowed for the exact count; beyond it all counts are estimates.
        seed: seed of the ranks behind the estimates.
    """
    actor, actor_execution, actor_agent = actors(graph.execution, graph.agent)
    n, n_actors = graph.n_claims, len(actor_agent)
    ptr, parent, who = graph.ptr, graph.parent, actor
    if len(graph.order):
        ptr, parent = relabel(graph.ptr, graph.parent, graph.order)
        who = actor[graph.order]
    first, members = components(ptr, parent)
    if work(ptr, first, members) <= exact_limit:
        child_ptr, child = transpose(ptr, parent)
        counts, by_actor = count(ptr, parent, child_ptr, child, first, members, who, n_actors)
        down, up = counts.astype(np.float64), by_actor.astype(np.float64)
        error = 0.0
    else:
        down, up = _estimate(ptr, parent, who, n_actors, seed)
        error = (_RANKS - 2) ** -0.5
    if len(graph.order):
        back = np.empty(n)
        back[graph.order] = down
        down = back
    return Reach(down, actor, actor_execution, actor_agent, up, error)


def _estimate(ptr: I64, parent: I64, actor: I64, n_actors: int, seed: int) -> tuple[F64, F64]:
    """Return estimated descendants and actor reach: (k - 1) / (sum of k minima of unit exponential ranks)."""
    n = len(ptr) - 1
    rng = stream(seed, "reach")
    sums, actor_sums = np.zeros(n), np.zeros(n_actors)
    for _ in range(_RANKS // _RANKS_AT_ONCE):
        low, actor_low = minima(ptr, parent, actor, rng.standard_exponential((n, _RANKS_AT_ONCE)), n_actors)
        sums += low
        actor_sums += actor_low
    return (_RANKS - 1) / sums, (_RANKS - 1) / actor_sums
