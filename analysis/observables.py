"""The observables of coordination, each as a pooled sample that remembers which execution every value came from.

Names and definitions are those of spec cascades.md section 5. The unit is one execution; samples pool over executions
and drop zeros. Two are added for logs that carry no roots or chains of their own: `tce` (from the claim graph,
whichever root policy) next to `tce_logged`, and revision chains rebuilt from the claim graph where the log names
none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agentsoc.events import KINDS
from analysis.cascades import Cascades, ClaimGraph, cascades, claim_graph
from analysis.jit import compiled
from analysis.reach import Reach, reach
from analysis.subtasks import SubtaskForest, node_of_rows, subtask_forest
from analysis.tables import EventTable

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

BURST_GAP: Final = 3
"""Rounds after which contradictions of the same claim are another burst."""
EFFORT_KINDS: Final = frozenset({*KINDS[:6], "answer", "vote", "flag"})
"""Kinds that are an agent's own act; the others report what happened to an episode."""


@dataclass(frozen=True)
class Sample:
    """Positive values of one observable, pooled over executions."""

    name: str
    values: F64
    """Shape (n,), each > 0."""
    execution: I64
    """Execution of each value, shape (n,)."""
    cap: F64
    """Largest value that the design of its execution allows, infinite where nothing bounds it, shape (n,)."""
    unit: str

    @property
    def n(self) -> int:
        """Number of values."""
        return len(self.values)

    @property
    def capped(self) -> float:
        """Share of the executions in the sample whose largest value is its structural cap."""
        if not self.n:
            return 0.0
        groups, index = np.unique(self.execution, return_inverse=True)
        top = np.zeros(len(groups))
        np.maximum.at(top, index, self.values)
        hit = np.zeros(len(groups), bool)
        hit[index[self.values >= self.cap]] = True
        largest = np.zeros(len(groups), bool)
        largest[index[(self.values == top[index]) & (self.values >= self.cap)]] = True
        return float(np.mean(hit & largest))

    @property
    def max_is_cap(self) -> bool:
        """Whether the largest value of all is a structural cap."""
        return bool(self.n and self.values[np.argmax(self.values)] >= self.cap[np.argmax(self.values)])

    def summary(self) -> str:
        """Return one line: size, mean and range."""
        if not self.n:
            return f"{self.name}: no values"
        return f"{self.name}: n={self.n} mean={self.values.mean():.4g} max={self.values.max():.6g} {self.unit}"


@dataclass(frozen=True)
class Structures:
    """What the observables are computed from; build it once with `structures`."""

    table: EventTable
    graph: ClaimGraph
    cascades: Cascades
    reach: Reach
    subtasks: SubtaskForest


def structures(table: EventTable, *, endorse_as_node: bool = False) -> Structures:
    """Return claim graph, cascades, reach and subtask trees of `table`."""
    graph = claim_graph(table, endorse_as_node=endorse_as_node)
    return Structures(table, graph, cascades(graph), reach(graph), subtask_forest(table))


def observables(found: Structures) -> dict[str, Sample]:
    """Return every observable that the log can give, by name; those without a single value are left out."""
    samples = [make(found) for make in _MAKERS]
    return {sample.name: sample for sample in samples if sample.n}


def _sample(name: str, values: NDArray[np.generic], execution: I64, caps: F64 | None, unit: str) -> Sample:
    """Return a sample of the positive `values`; `caps` is per execution, shape (n_executions,)."""
    numbers = values.astype(np.float64)
    kept = numbers > 0
    where = execution[kept]
    bound = np.full(len(where), np.inf) if caps is None else caps[where]
    return Sample(name, numbers[kept], where, bound, unit)


def _from(name: str, frame: pl.DataFrame, caps: F64 | None, unit: str) -> Sample:
    """Return a sample of column `value` of a frame with columns `execution` and `value`."""
    frame = frame.drop_nulls("value")
    return _sample(name, frame["value"].to_numpy(), frame["execution"].to_numpy().astype(np.int64), caps, unit)


def _claims_less_one(found: Structures) -> F64:
    """Return for each execution the number of its claims minus one."""
    return np.bincount(found.graph.execution, minlength=found.table.n_executions).astype(np.float64) - 1


def _events_less_one(found: Structures) -> F64:
    """Return for each execution the number of its events minus one."""
    return np.diff(found.table.starts).astype(np.float64) - 1


def _agents(found: Structures) -> F64:
    """Return for each execution its number of agents."""
    return found.table.executions["n_agents"].fill_null(2**53).to_numpy().astype(np.float64)


def _merge_fan_in(found: Structures) -> Sample:
    others = pl.col("parents").list.eval(pl.element().unique())
    rows = found.table.events.filter(pl.col("kind") == "merge_claims").select(
        "execution",
        value=others.list.len().cast(pl.Int64)
        - pl.col("parents").list.contains(pl.col("claim")).fill_null(value=False).cast(pl.Int64),
    )
    return _from("merge_fan_in", rows.filter(pl.col("value") >= 2), _agents(found), "claims")


def _cascade_size(found: Structures) -> Sample:
    first = found.graph.in_degree == 0
    return _sample(
        "cascade_size", found.reach.descendants[first], found.graph.execution[first], _claims_less_one(found), "claims"
    )


def _claim_descendant_count(found: Structures) -> Sample:
    graph = found.graph
    return _sample(
        "claim_descendant_count", found.reach.descendants, graph.execution, _claims_less_one(found), "claims"
    )


def _claim_out_degree(found: Structures) -> Sample:
    graph = found.graph
    return _sample("claim_out_degree", graph.out_degree, graph.execution, _claims_less_one(found), "claims")


def _claim_in_degree(found: Structures) -> Sample:
    graph = found.graph
    return _sample("claim_in_degree", graph.in_degree, graph.execution, _events_less_one(found), "claims")


def _claim_depth(found: Structures) -> Sample:
    """Depth that the log gives; where it gives none, depth in the claim graph."""
    if found.table.has("depth_logged"):
        depth = found.table.events["depth_logged"].gather(found.graph.row).fill_null(0).to_numpy()
    else:
        depth = found.cascades.depth
    return _sample("claim_depth", depth, found.graph.execution, _events_less_one(found), "steps")


def _agent_out_strength(found: Structures) -> Sample:
    source, _ = found.graph.edges()
    strength = np.bincount(found.reach.actor[source], minlength=len(found.reach.actor_agent))
    return _sample("agent_out_strength", strength, found.reach.actor_execution, None, "edges")


def _agent_out_degree(found: Structures) -> Sample:
    source, child = found.graph.edges()
    a, b = found.reach.actor[source], found.reach.actor[child]
    n = len(found.reach.actor_agent)
    pairs = np.unique(a[a != b] * n + b[a != b])
    degree = np.bincount(pairs // max(n, 1), minlength=n)
    return _sample("agent_out_degree", degree, found.reach.actor_execution, _agents(found) - 1, "agents")


def _agent_descendant_influence(found: Structures) -> Sample:
    sums = np.bincount(found.reach.actor, weights=found.reach.descendants, minlength=len(found.reach.actor_agent))
    return _sample("agent_descendant_influence", sums, found.reach.actor_execution, None, "claims")


def _agent_unique_descendant_reach(found: Structures) -> Sample:
    down = found.reach
    return _sample(
        "agent_unique_descendant_reach", down.actor_reach, down.actor_execution, _claims_less_one(found), "claims"
    )


def _tce(found: Structures) -> Sample:
    graph, cas = found.graph, found.cascades
    return _sample("tce", cas.tce, graph.execution[cas.roots], _claims_less_one(found), "events")


def _tce_logged(found: Structures) -> Sample:
    caps = _events_less_one(found)
    if not found.table.has("root_logged"):
        return _sample("tce_logged", np.empty(0), np.empty(0, np.int64), caps, "events")
    per_root = (
        found.table.events.drop_nulls("root_logged")
        .group_by("execution", "root_logged", maintain_order=True)
        .agg((pl.len().cast(pl.Int64) - 1).alias("value"))
    )
    return _from("tce_logged", per_root, caps, "events")


def _delegation_subtree(found: Structures) -> Sample:
    forest = found.subtasks
    node = node_of_rows(found.table, forest)
    hit = (found.table.events["kind"] == "delegate_subtask").fill_null(value=False).to_numpy() & (node >= 0)
    caps = np.bincount(forest.execution, minlength=found.table.n_executions).astype(np.float64)
    execution = found.table.events["execution"].to_numpy()[hit]
    return _sample("delegation_subtree", forest.size[node[hit]], execution, caps, "subtasks")


def _subtask_tree(found: Structures) -> Sample:
    forest = found.subtasks
    caps = np.bincount(forest.execution, minlength=found.table.n_executions).astype(np.float64) - 1
    trees = forest.trees
    return _sample("subtask_tree", forest.size[trees] - 1, forest.execution[trees], caps, "subtasks")


def _revision_chain_len(found: Structures) -> Sample:
    events = found.table.events
    if found.table.has("revision_chain"):
        revisions = events.filter((pl.col("kind") == "revise_claim") & pl.col("revision_chain").is_not_null())
        chains = revisions.group_by("execution", "revision_chain", maintain_order=True).agg(pl.len().alias("value"))
        return _from("revision_chain_len", chains, None, "revisions")
    graph = found.graph
    revises = (events["kind"].gather(graph.row) == "revise_claim").fill_null(value=False).to_numpy()
    chain = _revision_chains(graph.ptr, graph.parent, graph.order, revises)
    lengths = np.bincount(chain[chain >= 0], minlength=graph.n_claims)
    opened = np.flatnonzero(lengths)
    return _sample("revision_chain_len", lengths[opened], graph.execution[opened], None, "revisions")


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


def _contradiction_burst_logged(found: Structures) -> Sample:
    if not found.table.has("contradiction_group"):
        return _sample("contradiction_burst_logged", np.empty(0), np.empty(0, np.int64), None, "agents")
    disputes = found.table.events.filter(
        (pl.col("kind") == "contradict_claim") & pl.col("contradiction_group").is_not_null()
    )
    groups = disputes.group_by("execution", "contradiction_group", maintain_order=True).agg(
        pl.col("agent").n_unique().alias("value")
    )
    return _from("contradiction_burst_logged", groups, _agents(found), "agents")


def _contradiction_burst_recomputed(found: Structures) -> Sample:
    """Distinct agents that dispute the same claim in rounds no more than `BURST_GAP` apart."""
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
    return _from("contradiction_burst_recomputed", counts, _agents(found), "agents")


def effort(table: EventTable) -> pl.DataFrame:
    """Return one row per agent and execution with its acts (`events`) and tokens in and out (`tokens`).

    Acts of no single agent do not count; acts outside our vocabulary do.
    """
    own = pl.col("kind").is_null() | pl.col("kind").cast(pl.String).is_in(list(EFFORT_KINDS))
    return (
        table.events.filter(pl.col("agent") >= 0)
        .group_by("execution", "agent", maintain_order=True)
        .agg(
            own.sum().cast(pl.Int64).alias("events"), (pl.col("tokens_in") + pl.col("tokens_out")).sum().alias("tokens")
        )
    )


def _agent_effort_events(found: Structures) -> Sample:
    frame = effort(found.table).select("execution", value="events")
    return _from("agent_effort_events", frame, _events_less_one(found) + 1, "events")


def _agent_effort_tokens(found: Structures) -> Sample:
    return _from("agent_effort_tokens", effort(found.table).select("execution", value="tokens"), None, "tokens")


def _tce_tokens_execution(found: Structures) -> Sample:
    totals = found.table.events.group_by("execution", maintain_order=True).agg(
        (pl.col("tokens_in") + pl.col("tokens_out")).sum().alias("value")
    )
    return _from("tce_tokens_execution", totals, None, "tokens")


def _message_tokens_output(found: Structures) -> Sample:
    return _from("message_tokens_output", found.table.events.select("execution", value="tokens_out"), None, "tokens")


_MAKERS: Final[tuple[Callable[[Structures], Sample], ...]] = (
    _delegation_subtree, _subtask_tree, _revision_chain_len, _contradiction_burst_logged,
    _contradiction_burst_recomputed, _merge_fan_in, _tce_logged, _tce, _cascade_size, _claim_descendant_count,
    _claim_out_degree, _claim_in_degree, _claim_depth, _agent_out_strength, _agent_out_degree,
    _agent_descendant_influence, _agent_unique_descendant_reach, _agent_effort_events, _agent_effort_tokens,
    _tce_tokens_execution, _message_tokens_output,
)  # fmt: skip
