"""This module has the observables of the claim graph: fan-in, cascades, degrees, depth, and the reach of agents."""

from __future__ import annotations

import numpy as np
import polars as pl

from analysis.observables.base import Sample, Structures, agents_of, sample_from, sample_of


def merge_fan_in(found: Structures) -> Sample:
    """Return distinct parents of each merge other than itself, two or more; at most one per agent."""
    others = pl.col("parents").list.eval(pl.element().unique())
    rows = found.table.events.filter(pl.col("kind") == "merge_claims").select(
        "execution",
        value=others.list.len().cast(pl.Int64)
        - pl.col("parents").list.contains(pl.col("claim")).fill_null(value=False).cast(pl.Int64),
    )
    return sample_from("merge_fan_in", rows.filter(pl.col("value") >= 2), agents_of(found), "claims")


def cascade_size(found: Structures) -> Sample:
    """Return distinct claims downstream of each claim that has no parent at all, not even a stub."""
    first = found.graph.in_degree == 0
    return sample_of("cascade_size", found.reach.descendants[first], found.graph.execution[first], None, "claims")


def claim_descendant_count(found: Structures) -> Sample:
    """Return distinct claims downstream of each claim."""
    graph = found.graph
    return sample_of("claim_descendant_count", found.reach.descendants, graph.execution, None, "claims")


def claim_out_degree(found: Structures) -> Sample:
    """Return distinct claims that build directly on each claim."""
    graph = found.graph
    return sample_of("claim_out_degree", graph.out_degree, graph.execution, None, "claims")


def claim_in_degree(found: Structures) -> Sample:
    """Return distinct parents of each claim, stubs included."""
    graph = found.graph
    return sample_of("claim_in_degree", graph.in_degree, graph.execution, None, "claims")


def claim_depth(found: Structures) -> Sample:
    """Return the depth that the log gives; where it gives none, that in the claim graph."""
    if found.table.has("depth_logged"):
        depth = found.table.events["depth_logged"].gather(found.graph.row).fill_null(0).to_numpy()
    else:
        depth = found.cascades.depth
    return sample_of("claim_depth", depth, found.graph.execution, None, "steps")


def agent_out_strength(found: Structures) -> Sample:
    """Return edges that leave each agent's claims, those to its own claims included."""
    source, _ = found.graph.edges()
    strength = np.bincount(found.reach.actor[source], minlength=len(found.reach.actor_agent))
    return sample_of("agent_out_strength", strength, found.reach.actor_execution, None, "edges")


def agent_out_degree(found: Structures) -> Sample:
    """Return distinct other agents who build on each agent's claims."""
    source, child = found.graph.edges()
    a, b = found.reach.actor[source], found.reach.actor[child]
    n = len(found.reach.actor_agent)
    pairs = np.unique(a[a != b] * n + b[a != b])
    degree = np.bincount(pairs // max(n, 1), minlength=n)
    return sample_of("agent_out_degree", degree, found.reach.actor_execution, agents_of(found) - 1, "agents")


def agent_descendant_influence(found: Structures) -> Sample:
    """Return the sum of the descendant counts of each agent's claims; a claim counts for each."""
    sums = np.bincount(found.reach.actor, weights=found.reach.descendants, minlength=len(found.reach.actor_agent))
    return sample_of("agent_descendant_influence", sums, found.reach.actor_execution, None, "claims")


def agent_unique_descendant_reach(found: Structures) -> Sample:
    """Return distinct claims downstream of any of each agent's claims."""
    down = found.reach
    return sample_of("agent_unique_descendant_reach", down.actor_reach, down.actor_execution, None, "claims")


def tce(found: Structures) -> Sample:
    """Return the total cognitive effort of each cascade of the claim graph: its claims without the root."""
    graph, cas = found.graph, found.cascades
    return sample_of("tce", cas.tce, graph.execution[cas.roots], None, "events")


def tce_logged(found: Structures) -> Sample:
    """Return rows per root that the log names, minus one; delegations and endorsements count."""
    if not found.table.has("root_logged"):
        return sample_of("tce_logged", np.empty(0), np.empty(0, np.int64), None, "events")
    per_root = (
        found.table.events.drop_nulls("root_logged")
        .group_by("execution", "root_logged", maintain_order=True)
        .agg((pl.len().cast(pl.Int64) - 1).alias("value"))
    )
    return sample_from("tce_logged", per_root, None, "events")
