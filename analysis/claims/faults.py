"""This module follows planted errors: it finds what was built on a claim that is known to be wrong.

A ``fault`` event names the faulty claim as its target, or, in imported traces, as its parent. Its downstream are all
claims reachable from it over the claim graph; what share of the later claims that is, and how many agents they belong
to, says how far one error got. Being downstream is exposure, not proof of damage: nothing is said about whether the
later claims are wrong. `analysis.measures.amplification` counts those that are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from analysis.claims.cascades import ClaimGraph
from analysis.tables import EventTable

_COLUMNS = {
    "execution": pl.Int64(), "claim": pl.Int64(), "agent": pl.Int64(), "round": pl.Int64(), "downstream": pl.Int64(),
    "later": pl.Int64(), "exposed": pl.Float64(), "agents": pl.Int64(), "rounds": pl.Int64(),
    "reaches_end": pl.Boolean(), "claims": pl.List(pl.Int64()), "linked": pl.Boolean(),
}  # fmt: skip


@dataclass(frozen=True)
class FaultTrace:
    """The trace says where each fault went."""

    table: pl.DataFrame
    """One row per fault: execution, claim, agent, round; downstream (claims), later (claims after it in the execution),
    exposed = downstream / later (null without later ones), agents (distinct others that own one), rounds (from the
    fault to its last downstream claim), reaches_end (whether the last claim is downstream), claims (downstream ids),
    linked (whether the log says of any claim of the execution what it builds on; if not, `exposed` is null)."""

    def summary(self) -> str:
        """Return one line: how many faults, how far they got."""
        t = self.table
        if not t.height:
            return "no faults"
        known = t.filter("linked")
        text = f"{t.height} faults"
        if known.height < t.height:
            text += (
                f"; of {t.height - known.height} nothing is known: no claim of their executions is said to build on "
                "another"
            )
        if not known.height:
            return text
        share = known["exposed"].drop_nulls()
        mean = f"{np.mean(share.to_numpy()):.0%}" if share.len() else "none"
        of = "" if known.height == t.height else f" of the other {known.height}"
        ends = int(known["reaches_end"].sum())
        return (
            f"{text}; on average {mean} of the later claims are downstream{of}; "
            f"{ends} reach the last claim of their execution"
        )


def joined(parts: Sequence[tuple[int, FaultTrace]]) -> FaultTrace:
    """Return the trace of all executions from those of parts of them, each with the number of its first execution."""
    return FaultTrace(pl.concat([part.table.with_columns(pl.col("execution") + first) for first, part in parts]))


def faulty_claims(table: EventTable) -> pl.DataFrame:
    """Return the claims that ``fault`` events name: columns execution, claim, each once."""
    faults = table.events.filter(pl.col("kind") == "fault")
    named = pl.when(pl.col("parents").list.len() > 0).then("parents").otherwise(pl.concat_list("target"))
    return faults.select("execution", claim=named).explode("claim").drop_nulls("claim").unique(maintain_order=True)


def trace_faults(table: EventTable, graph: ClaimGraph) -> FaultTrace:
    """Return the downstream of every claim that a ``fault`` event of `table` names.

    Args:
        table: the events; faults on claims that no row makes are left out.
        graph: claim graph of `table`.
    """
    faults = faulty_claims(table)
    nodes = pl.DataFrame({"execution": graph.execution, "claim": graph.claim, "node": np.arange(graph.n_claims)})
    starts = faults.join(nodes, on=["execution", "claim"], how="inner", maintain_order="left")["node"].to_list()
    ptr, child = graph.children()
    rounds = table.events["round"].to_numpy()[graph.row]
    first = np.searchsorted(graph.execution, np.arange(graph.n_executions + 1))
    linked = np.zeros(graph.n_executions, dtype=bool)
    linked[graph.execution[graph.in_degree > 0]] = True
    rows = []
    for start in starts:
        seen, waiting = {start}, [start]
        while waiting:
            at = waiting.pop()
            for next_ in child[ptr[at] : ptr[at + 1]].tolist():
                if next_ not in seen:
                    seen.add(next_)
                    waiting.append(next_)
        down = np.array(sorted(seen - {start}), dtype=np.int64)
        e = int(graph.execution[start])
        own = np.arange(first[e], first[e + 1])
        later = int(np.count_nonzero(rounds[own] > rounds[start]))
        last = own[np.lexsort((own, rounds[own]))[-1]]
        rows.append(
            (
                e, int(graph.claim[start]), int(graph.agent[start]), int(rounds[start]), len(down), later,
                len(down) / later if later and linked[e] else None,
                len(set(graph.agent[down].tolist()) - {int(graph.agent[start])}),
                int(rounds[down].max() - rounds[start]) if len(down) else 0,
                bool(last == start or last in seen), graph.claim[down].tolist(), bool(linked[e]),
            )
        )  # fmt: skip
    return FaultTrace(pl.DataFrame(rows, schema=_COLUMNS, orient="row"))
