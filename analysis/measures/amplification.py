"""This module measures error amplification as two different quantities, to which arXiv 2512.08296 gives one name.

    A_task  = (1 - S_MAS) / (1 - S_single)          how much more often the society fails than one agent does
    A_trace = tainted acts per fault, society / the same, single agent

The first is bounded by 1 / (1 - S_single); numbers such as 17.2 that were published for it can only be of the second
kind. An act is *tainted* when it is the faulty claim itself, or is wrong and builds on (or endorses) a tainted claim;
the society's answer counts as one more when it is wrong and comes from a tainted claim. A consumer that rejects the
error ends the taint there, and so does one that disputes it, whatever it says instead. Needs `fault` events, each
naming the planted claim, and a verifier's scores.

If every tainted claim is read by f agents and each rejects it with probability q, the expected number over depth h is
sum_{i=0..h} (f (1 - q))^i (`expected_taint`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agentsoc.errors import InputError
from agentsoc.streams import stream
from analysis.claims.cascades import ClaimGraph, claim_graph
from analysis.claims.faults import faulty_claims
from analysis.interval import Interval
from analysis.measures.effective_votes import DRAWS, METHOD, percentile_interval
from analysis.measures.outputs import F64, I64
from analysis.resampling import multinomial
from analysis.tables import EventTable

Mask = NDArray[np.bool_]

WRONG_BELOW: Final = 0.5
"""Score below which an answer is wrong."""


@dataclass(frozen=True, kw_only=True)
class Amplification(Interval):
    """The object is a ratio with its 95 % interval; NaN where it is not defined."""

    n: int
    """Tasks, or executions with a fault, of the society."""
    n_single: int
    paired: bool
    """Whether both were resampled together."""

    def __str__(self) -> str:
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"


def a_task(
    society: pl.DataFrame, single: pl.DataFrame, *, same_tasks: bool = True, draws: int = DRAWS, seed: int = 0
) -> Amplification:
    """Return (1 - S_MAS) / (1 - S_single) from two tables with the columns task and score.

    The same tasks are resampled together. Resamples in which the single agent never fails count as infinite.

    Args:
        society: several rows of a task are its repetitions.
        single: the single agent's rows.
        same_tasks: whether equal numbers in the column task are the same task.
        draws: resamples of the tasks.
        seed: root of the resampling.

    Raises:
        InputError: a table has no row.
    """
    if not society.height or not single.height:
        raise InputError("A_task needs tasks of the society and of the single agent")
    mine, other = (table.group_by("task").agg(pl.col("score").mean()).sort("task") for table in (society, single))
    paired = same_tasks and mine["task"].to_list() == other["task"].to_list()
    failures = 1 - mine["score"].to_numpy().astype(np.float64), 1 - other["score"].to_numpy().astype(np.float64)
    return _ratio(*failures, paired, draws, stream(seed, "amplification", "task"))


@dataclass(frozen=True)
class Taint:
    """The object says what became of planted errors, one row per execution that has one."""

    table: pl.DataFrame
    """execution, run, task, faults, tainted (acts, the faulty claims included), downstream (acts that could have been
    tainted: all that build on a faulty claim, over any path), reached (whether the society's answer is tainted),
    per_fault = (tainted + reached) / faults."""

    def summary(self) -> str:
        """Return one line: how many faults, what share of what they could reach was tainted."""
        t = self.table
        if not t.height:
            return "no faults"
        faults, tainted, down = (int(t[name].sum()) for name in ("faults", "tainted", "downstream"))
        per_fault = float(t["per_fault"].to_numpy().mean())
        return (
            f"{faults} faults in {t.height} executions: {tainted} tainted acts of {down + faults} within their reach, "
            f"{int(t['reached'].sum())} tainted answers; {per_fault:.3f} per fault"
        )


def taint(table: EventTable, graph: ClaimGraph | None = None) -> Taint:
    """Return the taint of all faults of `table`.

    Args:
        table: events with `fault` events and scores; wrong is a score below one half.
        graph: claim graph of `table`, where it is known already.
    """
    graph = claim_graph(table) if graph is None else graph
    events = table.events
    faults = faulty_claims(table)
    nodes = pl.DataFrame({"execution": graph.execution, "claim": graph.claim, "node": np.arange(graph.n_claims)})
    planted = faults.join(nodes, on=["execution", "claim"])["node"].to_numpy()
    wrong = events["correct"].to_numpy()[graph.row] < WRONG_BELOW  # a missing score is NaN: not known to be wrong
    tainted = _spread(_without_disputes(events, graph), planted, wrong)
    reached = _spread(graph.edges(), planted, np.ones(graph.n_claims, bool))
    counts = pl.DataFrame(
        {
            "execution": graph.execution,
            "faults": np.isin(np.arange(graph.n_claims), planted).astype(np.int64),
            "tainted": tainted.astype(np.int64),
            "downstream": reached.astype(np.int64),
        }
    )
    endorsed = _endorsements(events, nodes, tainted, reached)
    sums = pl.concat([counts, endorsed]).group_by("execution").agg(pl.all().sum()).filter(pl.col("faults") > 0)
    sums = sums.with_columns(downstream=pl.col("downstream") - pl.col("faults"))
    ends = _tainted_ends(events, nodes, tainted)
    found = (
        sums.join(ends, on="execution", how="left")
        .with_columns(reached=pl.col("reached").fill_null(value=False))
        .with_columns(per_fault=(pl.col("tainted") + pl.col("reached").cast(pl.Int64)) / pl.col("faults"))
        .join(table.executions.select("execution", "run", "task"), on="execution", how="left")
        .sort("execution")
        .select("execution", "run", "task", "faults", "tainted", "downstream", "reached", "per_fault")
    )
    return Taint(found)


def a_trace(society: Taint, single: Taint, *, draws: int = DRAWS, seed: int = 0) -> Amplification:
    """Return tainted acts per fault of the society over the same of the single agent; executions are resampled.

    Raises:
        InputError: one of them has no fault.
    """
    for name, found in (("society", society), ("single agent", single)):
        if not found.table.height:
            raise InputError(
                f"the {name} has no planted error to trace",
                "",
                "A_trace needs `fault` events: plant some with `faults:` in the scenario",
            )
    counts = society.table["per_fault"].to_numpy(), single.table["per_fault"].to_numpy()
    return _ratio(*counts, False, draws, stream(seed, "amplification", "trace"))


def expected_taint(fan: float, reject: float, depth: int) -> float:
    """Return sum_{i=0..depth} (fan (1 - reject))^i: the faulty claim and what follows from it."""
    return float(np.sum((fan * (1 - reject)) ** np.arange(depth + 1)))


def union_error(n: int, error: float) -> float:
    """Return 1 - (1 - error)^n: some of n agents errs, and all that they said is handed on."""
    return float(-np.expm1(n * np.log1p(-error)))


def _spread(edges: tuple[I64, I64], planted: I64, open_: Mask) -> Mask:
    """Return which claims the planted ones reach over claims that are open, themselves included, shape (n_claims,).

    Args:
        edges: (parent, child) of each edge.
        planted: where it starts, whether open or not.
        open_: which claims it enters.
    """
    parent, child = edges
    order = np.argsort(parent, kind="stable")
    child, ptr = child[order], np.searchsorted(parent[order], np.arange(len(open_) + 1))
    seen = np.zeros(len(open_), dtype=bool)
    front = np.unique(planted)
    seen[front] = True
    while len(front):
        lengths = ptr[front + 1] - ptr[front]
        at = np.repeat(ptr[front] - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())
        following = np.unique(child[at])
        front = following[open_[following] & ~seen[following]]
        seen[front] = True
    return seen


def _without_disputes(events: pl.DataFrame, graph: ClaimGraph) -> tuple[I64, I64]:
    """Return the edges but for those from a claim to one that disputes it: who disputes an error does not carry it."""
    parent, child = graph.edges()
    disputes = (events["kind"] == "contradict_claim").fill_null(value=False).to_numpy()[graph.row]
    target = events["target"].fill_null(-1).to_numpy()[graph.row]
    kept = ~(disputes[child] & (target[child] == graph.claim[parent]))
    return parent[kept], child[kept]


def _endorsements(events: pl.DataFrame, nodes: pl.DataFrame, tainted: Mask, reached: Mask) -> pl.DataFrame:
    """Return one row per endorsement of a claim that a fault reaches; a wrong one of a tainted claim is tainted."""
    marked = nodes.with_columns(
        tainted=pl.Series(tainted)[nodes["node"].to_numpy()], reached=pl.Series(reached)[nodes["node"].to_numpy()]
    ).filter("reached")
    acts = events.filter((pl.col("kind") == "endorse_claim") & pl.col("claim").is_null())
    return acts.join(marked, left_on=["execution", "target"], right_on=["execution", "claim"]).select(
        "execution",
        faults=pl.lit(0, pl.Int64),
        tainted=(pl.col("tainted") & (pl.col("correct") < WRONG_BELOW).fill_null(value=False)).cast(pl.Int64),
        downstream=pl.lit(1, pl.Int64),
    )


def _tainted_ends(events: pl.DataFrame, nodes: pl.DataFrame, tainted: Mask) -> pl.DataFrame:
    """Return whether each wrong answer of a society comes from a tainted claim: columns execution, reached.

    An answer that is one agent's claim names it; one by majority names none and is tainted when a tainted claim says
    the same.
    """
    wrong = events.filter((pl.col("kind") == "answer") & (pl.col("correct") < WRONG_BELOW))
    bad = nodes.filter(pl.Series(tainted)[nodes["node"].to_numpy()])
    said = bad.join(
        events.select("execution", "claim", "answer").drop_nulls("claim").unique(["execution", "claim"]),
        on=["execution", "claim"],
    )
    named = wrong.explode("parents").join(bad, left_on=["execution", "parents"], right_on=["execution", "claim"])
    counted = wrong.filter(pl.col("parents").list.len() == 0).join(said, on=["execution", "answer"], how="semi")
    return (
        pl.concat([named.select("execution"), counted.select("execution")]).unique().with_columns(reached=pl.lit(True))
    )


def _ratio(above: F64, below: F64, paired: bool, draws: int, rng: np.random.Generator) -> Amplification:
    n, m = len(above), len(below)
    if paired:
        mine, other = multinomial(rng, draws, np.stack([above, below], axis=1)).T / n
    else:
        mine = multinomial(rng, draws, above[:, None])[:, 0] / n
        other = multinomial(rng, draws, below[:, None])[:, 0] / m
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(np.divide(above.mean(), below.mean()))
        low, high = percentile_interval(np.divide(mine, other))
    return Amplification(value, low, high, method=METHOD, n=n, n_single=m, paired=paired)
