"""This module asks whether effort is concentrated on an elite, and whether chance among few acts would do the same.

For the efforts x of the agents of one execution, ascending x_(1) <= ... <= x_(n):

    Gini        sum_i (2 i - n - 1) x_(i) / (n sum x)
    top share   sum of the k = max(1, ceil(q n)) largest over the total; its egalitarian value is k/n, not q
    effective N (sum x)^2 / sum x^2

Each is given over the agents that acted and over all N agents (zeros appended). Two null models say what chance
gives, with the same acts and costs. In the schedule's, every agent that acted acts once, as a schedule makes it, and
only the other acts fall on these agents at random; it is held against the measures over the agents that acted. In the
free one all acts fall on all N agents at random, so that some never act; it is held against the measures over all.
They differ much where acts per agent are few, and which one is right depends on whether turns were scheduled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from agentsoc.streams import stream
from analysis.claims.cascades import Cascades, ClaimGraph
from analysis.claims.reach import Reach
from analysis.jit import compiled
from analysis.observables.described import TOP, effective_n, gini, top_share, top_size
from analysis.observables.sampled import effort
from analysis.tables import EventTable

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


def lorenz(x: ArrayLike) -> tuple[F64, F64]:
    """Return the Lorenz curve of `x`: (share of agents, share of the total they hold), poorest first, from (0, 0)."""
    ordered = np.sort(np.asarray(x, dtype=np.float64))
    held = np.concatenate([[0.0], np.cumsum(ordered)])
    return np.linspace(0.0, 1.0, len(held)), held / held[-1] if held[-1] > 0 else held


@dataclass(frozen=True)
class Null:
    """The null model says what concentration chance gives in each execution; arrays have shape (n_executions,)."""

    gini: F64
    """Mean Gini of the null replicates, over the agents that acted in the schedule's, over all N in the free one."""
    top_share: F64
    """Mean top share over the same agents."""
    top_share_p: F64
    """Share of null replicates (and the data) with at least the observed top share."""
    replicates: int


@dataclass(frozen=True)
class Concentration:
    """The object holds the concentration of effort per execution, in events and tokens, with the null model."""

    table: pl.DataFrame
    """One row per execution: n_active, n_all, k_active, k_all and the measures, those of tokens with prefix tok_."""
    null_events: Null | None
    """All acts fall on all N agents at random."""
    null_tokens: Null | None
    schedule_events: Null | None = None
    """Every agent that acted acts once, the other acts fall on these agents at random."""
    schedule_tokens: Null | None = None
    n_seen: int = 0
    """Executions whose N is not stated: there "all agents" are those that acted."""

    def by(self, executions: pl.DataFrame, *keys: str) -> pl.DataFrame:
        """Return the means over the executions that share `keys` (columns of `executions`)."""
        joined = self.table.join(executions.select("execution", *keys), on="execution", maintain_order="left")
        numbers = [name for name in self.table.columns if name != "execution"]
        return (
            joined.group_by(*keys, maintain_order=True)
            .agg(pl.len().alias("n_executions"), pl.col(numbers).mean())
            .sort(*keys)
        )

    def summary(self) -> str:
        """Return one line: mean concentration and what chance gives."""
        t = self.table
        if not t.height:
            return "no effort recorded"
        g, share, k = (t[name].to_numpy() for name in ("gini_active", "top10_active", "k_active"))
        text = f"over the agents that acted: mean Gini {np.mean(g):.3f}, top-{TOP:.0%} share {np.mean(share):.3f} "
        text += f"(k from {k.min():.0f} to {k.max():.0f}, {t.height} executions)"
        if self.schedule_events is not None:
            null = self.schedule_events
            text += f"; where each acts once and the rest by chance {_both(null.gini, null.top_share)}"
        text += f"; over all N {_both(*(t[name].to_numpy() for name in ('gini_all', 'top10_all')))}"
        if self.n_seen:
            text += f", which are those that acted in {self.n_seen} executions, where N is not stated"
        if self.null_events is None:
            return text
        return f"{text}; where all acts fall by chance {_both(self.null_events.gini, self.null_events.top_share)}"


def _both(one: F64, other: F64) -> str:
    return f"{np.mean(one):.3f} and {np.mean(other):.3f}"


def joined(parts: Sequence[Concentration]) -> Concentration:
    """Return the concentration of all executions from that of parts of them, in order; parts without effort go."""
    some = [part for part in parts if part.table.height]
    if len(some) < 2:
        return some[0] if some else parts[0]
    return Concentration(
        pl.concat([part.table for part in some], how="vertical_relaxed", rechunk=True),
        _one_null([part.null_events for part in some]),
        _one_null([part.null_tokens for part in some]),
        _one_null([part.schedule_events for part in some]),
        _one_null([part.schedule_tokens for part in some]),
        sum(part.n_seen for part in some),
    )


def _one_null(parts: Sequence[Null | None]) -> Null | None:
    known = [part for part in parts if part is not None]
    if not known:
        return None
    return Null(
        np.concatenate([part.gini for part in known]),
        np.concatenate([part.top_share for part in known]),
        np.concatenate([part.top_share_p for part in known]),
        known[0].replicates,
    )


def concentration(table: EventTable, *, first: int = 0, null_replicates: int = 200, seed: int = 0) -> Concentration:
    """Return the concentration of effort in every execution.

    Args:
        table: the events.
        first: number of the first execution, where the table is a part of a log.
        null_replicates: replicates of the null model per execution; 0 leaves it out.
        seed: seed of the null model.
    """
    efforts = effort(table).filter(pl.col("events") > 0).sort("execution", "agent")
    agents = table.executions["n_agents"].to_list()
    rows = []
    for (execution,), part in efforts.group_by("execution", maintain_order=True):
        n_agents = agents[int(execution)] or part.height
        rows.append({"execution": first + int(execution), **_measures(part, max(int(n_agents), part.height))})
    frame = pl.DataFrame(rows)
    seen = int(table.n_is_seen[frame["execution"].to_numpy() - first].sum()) if rows else 0
    if not null_replicates or not rows:
        return Concentration(frame, None, None, n_seen=seen)
    costs = table.events.filter(pl.col("agent") >= 0).select(
        pl.col("execution") + first, cost=pl.col("tokens_in") + pl.col("tokens_out")
    )
    acts = dict(zip(frame["execution"], frame["events"], strict=True))
    token_costs = {int(e): part["cost"].to_numpy() for (e,), part in costs.group_by("execution", maintain_order=True)}
    event_costs = {int(e): np.ones(int(n)) for e, n in acts.items()}
    return Concentration(
        frame,
        _null(frame, event_costs, "top10_all", null_replicates, seed),
        _null(frame, token_costs, "tok_top10_all", null_replicates, seed),
        _scheduled(frame, event_costs, "top10_active", null_replicates, seed),
        _scheduled(frame, token_costs, "tok_top10_active", null_replicates, seed),
        seen,
    )


def _measures(part: pl.DataFrame, n_all: int) -> dict[str, float]:
    """Return all measures of one execution from its agents' events and tokens."""
    found: dict[str, float] = {
        "n_active": part.height,
        "n_all": n_all,
        "k_active": top_size(part.height),
        "k_all": top_size(n_all),
        "events": int(part["events"].sum()),
        "tokens": int(part["tokens"].sum()),
    }
    for prefix, column in (("", "events"), ("tok_", "tokens")):
        active = part[column].to_numpy().astype(np.float64)
        everyone = np.concatenate([active, np.zeros(n_all - len(active))])
        found |= {
            f"{prefix}gini_active": gini(active),
            f"{prefix}gini_all": gini(everyone),
            f"{prefix}top10_active": top_share(active),
            f"{prefix}top10_all": top_share(everyone),
            f"{prefix}top10_excess_active": top_share(active) - top_size(len(active)) / len(active),
            f"{prefix}top10_excess_all": top_share(everyone) - top_size(n_all) / n_all,
            f"{prefix}effective_n": effective_n(active),
        }
    return found


def _null(frame: pl.DataFrame, costs: dict[int, F64], observed: str, replicates: int, seed: int) -> Null:
    """Return the null model: every act goes to an agent drawn uniformly from all N, with its cost."""
    found = []
    columns = ("execution", "n_all", "k_all", observed)
    for row in frame.select(columns).iter_rows(named=True):
        execution, n, k = int(row["execution"]), int(row["n_all"]), int(row["k_all"])
        cost = np.asarray(costs.get(execution, np.zeros(0)), dtype=np.float64)
        rng = stream(seed, "effort-null", observed, execution)
        drawn = _assign(rng.integers(n, size=(replicates, len(cost))), cost, n, k)
        found.append(_row(drawn, row[observed]))
    return _of_rows(found, replicates)


def _scheduled(frame: pl.DataFrame, costs: dict[int, F64], observed: str, replicates: int, seed: int) -> Null:
    """Return the null model of a schedule: each active agent has one act drawn at random, and others by chance."""
    found = []
    columns = ("execution", "n_active", "k_active", observed)
    for row in frame.select(columns).iter_rows(named=True):
        execution, n, k = int(row["execution"]), int(row["n_active"]), int(row["k_active"])
        cost = np.asarray(costs.get(execution, np.zeros(0)), dtype=np.float64)
        rng = stream(seed, "effort-schedule", observed, execution)
        first = np.broadcast_to(np.arange(n), (replicates, n))
        others = rng.integers(n, size=(replicates, max(len(cost) - n, 0)))
        owner = np.ascontiguousarray(np.hstack([first, others])[:, : len(cost)])
        if np.ptp(cost) > 0 if len(cost) else False:  # equal costs need not be mixed
            owner = rng.permuted(owner, axis=1)
        drawn = _assign(owner, cost, n, k)
        found.append(_row(drawn, row[observed]))
    return _of_rows(found, replicates)


@compiled
def _assign(owner: I64, cost: F64, n: int, k: int) -> F64:
    """Return (Gini, share of the k largest) over n agents for each row of owners, shape (2, replicates)."""
    rows, total = len(owner), cost.sum()
    found = np.full((2, rows), np.nan)
    if total <= 0:
        return found
    for row in range(rows):
        held = np.zeros(n)
        for act in range(len(cost)):
            held[owner[row, act]] += cost[act]
        held.sort()
        weighted = top = 0.0
        for place in range(n):
            weighted += held[place] * (2.0 * (place + 1) - n - 1.0)
            top += held[place] if place >= n - k else 0.0
        found[0, row], found[1, row] = weighted / (n * total), top / total
    return found


def _of_rows(found: list[tuple[float, float, float]], replicates: int) -> Null:
    gini_of, share, p = np.array(found).T.copy()
    return Null(gini_of, share, p, replicates)


def _row(drawn: F64, observed: float) -> tuple[float, float, float]:
    """Return what `Null` has of one execution, from what `_assign` gave."""
    at_least = np.count_nonzero(drawn[1] >= observed - 1e-12)
    return float(drawn[0].mean()), float(drawn[1].mean()), (1 + at_least) / (1 + drawn.shape[1])


def tce_weighted_influence(graph: ClaimGraph, found: Cascades, reach: Reach) -> F64:
    """Return for each actor the sum, over its claims, of the total cognitive effort of the claim's cascade.

    Actors are those of `reach`, ordered by (execution, agent), shape (n_actors,).
    """
    weight = (found.size[found.root] - 1).astype(np.float64)
    if len(weight) != graph.n_claims:
        raise ValueError("cascades and graph are of different tables")
    return np.bincount(reach.actor, weights=weight, minlength=len(reach.actor_agent)).astype(np.float64)
