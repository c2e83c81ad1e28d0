"""This module estimates and replays deficit-triggered integration: when would a monitor have called for a merge?

Every cascade has a segment with t events and M merges since its start. Expansion builds pressure a t^beta; when the
deficit a t^beta - M exceeds delta, the branch heads (each agent's latest row in the cascade) are to be merged, and
the segment starts anew with t = 0 and M = 1. Parameters belong to a class of conditions, by default the topology.

Two deficits are in use. The published estimator of delta scales the merges too, a (t^beta - M), although the published
monitor does not; ``corrected`` uses a t^beta - M in both places. The published monitor has no brakes; `Brakes` holds
those a live one needs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agentsoc.events import COORDINATION
from agentsoc.society.deficit import BETA, NO_BRAKES, SYNTHESIZER, Brakes, Parameters
from analysis.claims.cascades import Cascades, ClaimGraph
from analysis.claims.dti_kernels import triggers
from analysis.tables import EventTable

I64 = NDArray[np.int64]
I32 = NDArray[np.int32]

MIN_POINTS: Final = 5
MIN_TCE: Final = 3

DeficitRule = Literal["corrected", "published"]


@dataclass(frozen=True)
class FittedDeficits:
    """The object holds the parameters of one class of conditions and what they rest on."""

    parameters: Parameters
    rule: DeficitRule
    cascades: int
    """Cascades of the class."""
    large_cascades: int
    """Cascades with a total cognitive effort of at least `MIN_TCE`; only these are used."""
    merge_points: int
    """Merges in the large cascades; the scale a rests on these instants alone."""

    def summary(self) -> str:
        """Return one line."""
        p = self.parameters
        default = " (default: too few merges)" if self.merge_points < MIN_POINTS else ""
        basis = f"{self.large_cascades} of {self.cascades} cascades"
        return f"a = {p.scale:.4g}{default}, delta = {p.threshold:.4g} from {basis}"


@dataclass(frozen=True)
class MonitorReplay:
    """The object says what the monitor would have done on a log."""

    triggers: pl.DataFrame
    """One row per trigger: execution, row, root, deficit, events, merges, branches, number."""
    events: int
    """Acts of coordination that were watched."""

    @property
    def cascades_hit(self) -> int:
        """Cascades with at least one trigger."""
        return self.triggers.select("execution", "root").n_unique() if self.triggers.height else 0

    def summary(self) -> str:
        """Return one line."""
        return f"{self.triggers.height} triggers in {self.cascades_hit} cascades over {self.events} events"


def cascade_rows(table: EventTable, graph: ClaimGraph | None = None, found: Cascades | None = None) -> pl.DataFrame:
    """Return the acts of coordination with the root of their cascade: execution, row, root, agent, merge, in order.

    The log's own roots are used where it has them. Otherwise claims take the root that `found` gives them and
    endorsements that of the claim they support; delegations without a claim then belong to no cascade.
    """
    events = table.events.with_row_index("row").with_columns(pl.col("row").cast(pl.Int64))
    if table.has("root_logged"):
        root = pl.coalesce("root_logged", "claim")
    else:
        if graph is None or found is None:
            raise ValueError("a log without roots of its own needs its claim graph and cascades")
        known = pl.DataFrame(
            {"execution": graph.execution, "_claim": graph.claim, "_root": graph.claim[found.root]},
            schema={"execution": pl.Int64, "_claim": pl.Int64, "_root": pl.Int64},
        )
        about = pl.when(pl.col("kind") == "endorse_claim").then(pl.col("target")).otherwise(pl.col("claim"))
        events = events.with_columns(_claim=about).join(
            known, on=["execution", "_claim"], how="left", maintain_order="left"
        )
        root = pl.col("_root")
    kept = pl.col("kind").cast(pl.String).is_in(list(COORDINATION))
    return (
        events.filter(kept)
        .select("execution", "row", "agent", root=root, merge=pl.col("kind") == "merge_claims")
        .drop_nulls("root")
    )


@dataclass(frozen=True)
class DeficitPoints:
    """The points are all that estimates of one class of conditions need of its cascades."""

    cascades: int
    t: I32
    """Events of the cascade up to each merge of a large cascade, shape (n_merges,)."""
    m: I32
    """Merges up to each of them, same shape."""
    t_end: I32
    """Events of each large cascade, shape (n_large,)."""
    m_end: I32
    """Merges of each large cascade, same shape."""


def estimate(rows: pl.DataFrame, *, rule: DeficitRule = "corrected", beta: float = BETA) -> FittedDeficits:
    """Return the parameters of one class of conditions from its cascades; see `estimate_from`.

    Args:
        rows: `cascade_rows` of the executions of the class.
        rule: which deficit delta is estimated from.
        beta: exponent of the pressure.
    """
    return estimate_from([points_of(rows)], rule=rule, beta=beta)


def points_of(rows: pl.DataFrame) -> DeficitPoints:
    """Return what estimates need of `cascade_rows`."""
    grouped = rows.with_columns(
        t=pl.int_range(1, pl.len() + 1).over("execution", "root"),
        m=pl.col("merge").cast(pl.Int64).cum_sum().over("execution", "root"),
        size=pl.len().over("execution", "root"),
    )
    n_cascades = grouped.select("execution", "root").n_unique() if rows.height else 0
    large = grouped.filter(pl.col("size") - 1 >= MIN_TCE)
    merges, ends = large.filter("merge"), large.filter(pl.col("t") == pl.col("size"))
    t, m = (merges[name].to_numpy().astype(np.int32) for name in ("t", "m"))
    t_end, m_end = (ends[name].to_numpy().astype(np.int32) for name in ("t", "m"))
    return DeficitPoints(n_cascades, t, m, t_end, m_end)


def estimate_from(
    parts: Sequence[DeficitPoints], *, rule: DeficitRule = "corrected", beta: float = BETA
) -> FittedDeficits:
    """Return the parameters of one class of conditions from the points of parts of its executions, in order.

    a = max(0.01, exp(mean(log m - beta log t))) over all merges, t and m being events and merges of the cascade so
    far; 1 with fewer than five merges. delta = max(0.5, mean + sd of the deficit at the end of the cascades); 2 with
    fewer than five cascades.

    Args:
        parts: points of the class.
        rule: which deficit delta is estimated from.
        beta: exponent of the pressure.
    """
    t, m, t_end, m_end = (
        np.concatenate([getattr(part, name) for part in parts]).astype(np.float64)
        for name in ("t", "m", "t_end", "m_end")
    )
    scale = 1.0
    if len(t) >= MIN_POINTS:
        scale = max(0.01, float(np.exp(np.mean(np.log(m) - beta * np.log(t)))))
    threshold = 2.0
    if len(t_end) >= MIN_POINTS:
        last = scale * t_end**beta - m_end if rule == "corrected" else scale * (t_end**beta - m_end)
        threshold = max(0.5, float(last.mean() + last.std()))
    n_cascades = sum(part.cascades for part in parts)
    return FittedDeficits(Parameters(scale, threshold, beta), rule, n_cascades, len(t_end), len(t))


def replay(
    rows: pl.DataFrame, parameters: Parameters | Mapping[int, Parameters], brakes: Brakes = NO_BRAKES
) -> MonitorReplay:
    """Return what the monitor would have done on `rows`, without changing anything: injected merges are not fed back.

    Args:
        rows: `cascade_rows` of any executions.
        parameters: the same for all, or by execution.
        brakes: when a deficit may trigger; the published monitor always does. What is affordable is not asked.
    """
    if not rows.height:
        return MonitorReplay(pl.DataFrame(schema=_TRIGGERS), 0)
    execution, root, agent = (rows[name].to_numpy().astype(np.int64) for name in ("execution", "root", "agent"))
    cascade, first = _pairs(execution, root)
    branch, member = _pairs(cascade, agent)
    n_cascades = len(first)
    merged = np.full(n_cascades, -1, np.int64)
    whole = member[agent[member] == SYNTHESIZER]
    merged[cascade[whole]] = branch[whole]
    own = [parameters if isinstance(parameters, Parameters) else parameters[int(e)] for e in execution[first]]
    table = np.array([(one.scale, one.threshold, one.beta) for one in own])
    most = -1 if brakes.max_triggers is None else brakes.max_triggers
    limits = np.array([brakes.min_branches, brakes.min_tce, brakes.cooldown_events, most], np.int64)
    at, deficits, counts = triggers(cascade, branch, rows["merge"].to_numpy().astype(np.bool_), merged, table, limits)
    events, merges, branches, number = counts.T
    found = {
        "execution": execution[at], "row": rows["row"].to_numpy()[at], "root": root[at], "deficit": deficits,
        "events": events, "merges": merges, "branches": branches, "number": number,
    }  # fmt: skip
    return MonitorReplay(pl.DataFrame(found, schema=_TRIGGERS), rows.height)


def _pairs(one: I64, other: I64) -> tuple[I64, I64]:
    """Return the number of each pair, from 0, and the first place of each number."""
    own = np.unique(one, return_inverse=True)[1]
    others, number = np.unique(other, return_inverse=True)  # ids are a stranger's and may lie 2^63 apart
    _, first, code = np.unique(own * len(others) + number, return_index=True, return_inverse=True)
    return code.astype(np.int64), first.astype(np.int64)


_TRIGGERS: Final = {
    "execution": pl.Int64(), "row": pl.Int64(), "root": pl.Int64(), "deficit": pl.Float64(), "events": pl.Int64(),
    "merges": pl.Int64(), "branches": pl.Int64(), "number": pl.Int64(),
}  # fmt: skip


def first_trigger(parameters: Parameters, *, restarted: bool = False) -> int:
    """Return after how many events without a merge the monitor fires: the least t with a t^beta - M > delta.

    M is 0 at the start of a cascade and 1 after a restart.
    """
    needed = (parameters.threshold + restarted) / parameters.scale
    t = math.floor(needed ** (1.0 / parameters.beta)) if needed > 0 else 0
    while parameters.deficit(t, int(restarted)) <= parameters.threshold:
        t += 1
    return t
