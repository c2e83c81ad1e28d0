"""This module has the observables of acts: delegation, revision chains, bursts of contradiction, effort and tokens."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from analysis.claims.subtasks import node_of_rows
from analysis.jit import compiled
from analysis.observables.base import Sample, Structures, agents_of, effort, sample_from, sample_of

I64 = NDArray[np.int64]

BURST_GAP: Final = 3
"""Rounds after which contradictions of the same claim are another burst."""


def delegation_subtree(found: Structures) -> Sample:
    """Return subtasks at and below the one that each delegation hands out."""
    forest = found.subtasks
    node = node_of_rows(found.table, forest)
    hit = (found.table.events["kind"] == "delegate_subtask").fill_null(value=False).to_numpy() & (node >= 0)
    execution = found.table.events["execution"].to_numpy()[hit]
    return sample_of("delegation_subtree", forest.size[node[hit]], execution, None, "subtasks")


def subtask_tree(found: Structures) -> Sample:
    """Return subtasks below each root subtask that has any."""
    forest = found.subtasks
    trees = forest.trees
    return sample_of("subtask_tree", forest.size[trees] - 1, forest.execution[trees], None, "subtasks")


def revision_chain_len(found: Structures) -> Sample:
    """Return revisions per chain, by the log's chains if it has them; the proposal revised does not count."""
    events = found.table.events
    if found.table.has("revision_chain"):
        revisions = events.filter((pl.col("kind") == "revise_claim") & pl.col("revision_chain").is_not_null())
        chains = revisions.group_by("execution", "revision_chain", maintain_order=True).agg(pl.len().alias("value"))
        return sample_from("revision_chain_len", chains, None, "revisions")
    graph = found.graph
    revises = (events["kind"].gather(graph.row) == "revise_claim").fill_null(value=False).to_numpy()
    chain = _revision_chains(graph.ptr, graph.parent, graph.order, revises)
    lengths = np.bincount(chain[chain >= 0], minlength=graph.n_claims)
    opened = np.flatnonzero(lengths)
    return sample_of("revision_chain_len", lengths[opened], graph.execution[opened], None, "revisions")


@compiled
def _revision_chains(ptr: I64, parent: I64, order: I64, revises: NDArray[np.bool_]) -> I64:
    """Return the revision that opened each revision's chain, -1 for other claims.

    A revision joins the chain, among those of the claims it cites, that was opened first; else it opens one.
    """
    n = len(ptr) - 1
    chain = np.full(n, -1, np.int64)
    for t in range(n):
        v = order[t] if len(order) else t
        if not revises[v]:
            continue
        first = v
        for j in range(ptr[v], ptr[v + 1]):
            c = chain[parent[j]]
            if c >= 0 and (first == v or c < first):
                first = c
        chain[v] = first
    return chain


def contradiction_burst_logged(found: Structures) -> Sample:
    """Return distinct disputing agents per contradiction group that the log names."""
    if not found.table.has("contradiction_group"):
        return sample_of("contradiction_burst_logged", np.empty(0), np.empty(0, np.int64), None, "agents")
    disputes = found.table.events.filter(
        (pl.col("kind") == "contradict_claim") & pl.col("contradiction_group").is_not_null()
    )
    groups = disputes.group_by("execution", "contradiction_group", maintain_order=True).agg(
        pl.col("agent").n_unique().alias("value")
    )
    return sample_from("contradiction_burst_logged", groups, agents_of(found), "agents")


def contradiction_burst_recomputed(found: Structures) -> Sample:
    """Return distinct agents that dispute the same claim in rounds no more than `BURST_GAP` apart."""
    disputes = (
        found.table.events.filter(pl.col("kind") == "contradict_claim")
        .select("execution", "round", "agent", pl.col("parents").list.unique())
        .explode("parents")
        .drop_nulls("parents")
        .sort("execution", "parents", "round", "agent")
    )
    same = (pl.col("execution") == pl.col("execution").shift(1)) & (pl.col("parents") == pl.col("parents").shift(1))
    close = (pl.col("round") - pl.col("round").shift(1)) <= BURST_GAP
    bursts = disputes.with_columns(burst=(~(same & close)).fill_null(value=True).cast(pl.Int64).cum_sum())
    counts = bursts.group_by("burst", maintain_order=True).agg(
        pl.col("execution").first(), pl.col("agent").n_unique().alias("value")
    )
    return sample_from("contradiction_burst_recomputed", counts, agents_of(found), "agents")


def agent_effort_events(found: Structures) -> Sample:
    """Return acts per agent and execution."""
    frame = effort(found.table).select("execution", value="events")
    return sample_from("agent_effort_events", frame, None, "events")


def agent_effort_tokens(found: Structures) -> Sample:
    """Return tokens in and out per agent and execution."""
    return sample_from("agent_effort_tokens", effort(found.table).select("execution", value="tokens"), None, "tokens")


def tce_tokens_execution(found: Structures) -> Sample:
    """Return tokens in and out per execution."""
    totals = found.table.events.group_by("execution", maintain_order=True).agg(
        (pl.col("tokens_in") + pl.col("tokens_out")).sum().alias("value")
    )
    return sample_from("tce_tokens_execution", totals, None, "tokens")


def message_tokens_output(found: Structures) -> Sample:
    """Return tokens written per act."""
    return sample_from(
        "message_tokens_output", found.table.events.select("execution", value="tokens_out"), None, "tokens"
    )
