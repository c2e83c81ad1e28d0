"""This module measures integration: how much of what is expanded is merged again, per run and per cascade.

Per execution: `participation` = claims that are a parent or the output of a merge over all claims; `integration` =
terminal claims that are merges over terminal claims; merges per non-merge event. Per cascade, by the log's own roots
where it has them: merge rows over total cognitive effort (rows of the cascade minus one).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from agentsoc.errors import InputError
from analysis.claims.cascades import Cascades, ClaimGraph
from analysis.tables import EventTable

COUNTED: Final = (
    "propose_claim",
    "revise_claim",
    "contradict_claim",
    "endorse_claim",
    "delegate_subtask",
    "merge_claims",
)


@dataclass(frozen=True)
class Integration:
    """The object holds the integration of every execution and every cascade."""

    executions: pl.DataFrame
    """execution, events by kind, merges, expansion, merge_per_expansion, claims, participation, integration, ..."""
    cascades: pl.DataFrame
    """execution, root, tce, merges, merge_per_tce; only cascades with tce > 0. A long log's have no root."""
    roots: str
    """Whose roots the cascades go by: ``logged`` or a root policy."""

    def summary(self) -> str:
        """Return one line: merge conversion overall and in the largest cascades."""
        conversion = self.conversion()
        row = conversion.row(0, named=True) if conversion.height else {"merges": 0, "expansion": 0}
        if row["merges"] + row["expansion"] == 0:
            return "no coordination events"
        if not self.cascades.height or not row["expansion"]:
            return f"{row['merges']} merges, {row['expansion']} other events, {self.cascades.height} cascades"
        return (
            f"{row['merges']} merges for {row['expansion']} other events ({row['merge_per_expansion']:.3f}); "
            f"per cascade {row['mean_merge_per_tce']:.3f} on average, {row['top1pct_merge_per_tce']:.3f} in the top 1 %"
        )

    def conversion(self, executions: pl.DataFrame | None = None, *keys: str) -> pl.DataFrame:
        """Return merge conversion per group of `keys` (columns of `executions`), or over everything without keys.

        Columns: n_executions, counts by kind, merges, expansion, merge_per_expansion, merge_fraction,
        merges_per_execution, n_cascades, mean_merge_per_tce and its mean over the top 10 % and 1 % of cascades by TCE.

        Raises:
            InputError: `executions` does not have every number from 0 on once.
        """
        per_run, per_cascade = self.executions, self.cascades
        if executions is not None and keys:
            labels = executions.select("execution", *keys).sort("execution")
            if not labels["execution"].equals(pl.int_range(labels.height, dtype=pl.Int64, eager=True)):
                raise InputError("`executions` must have each number from 0 on once: cascades find their labels by it")
            per_run = per_run.join(labels, on="execution", maintain_order="left")
            number = labels.select(pl.struct(*keys).rank("dense")).to_series()
            of_group = labels.select(*keys, _group=number).unique()
            # a number for each cascade: there are tens of millions, and texts would take most of the room
            groups = number.gather(per_cascade["execution"])
            per_cascade = per_cascade.select("tce", "merge_per_tce", _group=groups)
        else:
            of_group = pl.DataFrame({"_all": [0], "_group": [0]}, schema={"_all": pl.Int32, "_group": pl.UInt32})
            per_cascade = per_cascade.select("tce", "merge_per_tce", _group=pl.lit(0, pl.UInt32))
        group: list[pl.Expr] = [pl.col(key) for key in keys] or [pl.lit(0).alias("_all")]
        totals = per_run.group_by(group, maintain_order=True).agg(
            pl.len().alias("n_executions"), pl.col([*COUNTED, "merges", "expansion"]).sum()
        )
        ordered = per_cascade.sort("tce", descending=True, maintain_order=True)
        ratio = pl.col("merge_per_tce")
        heads = ordered.group_by("_group", maintain_order=True).agg(
            pl.len().alias("n_cascades"),
            ratio.mean().alias("mean_merge_per_tce"),
            _head(0.10).alias("top10pct_merge_per_tce"),
            _head(0.01).alias("top1pct_merge_per_tce"),
        )
        heads = heads.join(of_group, on="_group", maintain_order="left").drop("_group")
        on = list(keys) or ["_all"]
        joined = totals.join(heads, on=on, how="left", maintain_order="left").with_columns(
            merge_per_expansion=pl.col("merges") / pl.col("expansion"),
            merge_fraction=pl.col("merges") / (pl.col("merges") + pl.col("expansion")),
            merges_per_execution=pl.col("merges") / pl.col("n_executions"),
        )
        return joined.sort(*keys) if keys else joined.drop("_all")


def _head(share: float) -> pl.Expr:
    """Return the mean conversion of the ceil(share n) largest cascades of a group that is sorted by size."""
    ratio = pl.col("merge_per_tce")
    return ratio.head((pl.len() * share).ceil().cast(pl.Int64)).mean()


def integration(table: EventTable, graph: ClaimGraph, found: Cascades) -> Integration:
    """Return the integration metrics of `table`, whose claim graph and cascades are given."""
    events = table.events
    kind = pl.col("kind")
    counts = events.group_by("execution", maintain_order=True).agg(
        *[(kind == name).sum().cast(pl.Int64).alias(name) for name in COUNTED]
    )
    per_run = counts.with_columns(
        merges=pl.col("merge_claims"), expansion=pl.sum_horizontal(name for name in COUNTED if name != "merge_claims")
    ).with_columns(merge_per_expansion=_ratio("merges", "expansion"))
    claims = _claim_metrics(table, graph)
    per_run = per_run.join(claims, on="execution", how="left", maintain_order="left")
    per_cascade, roots = _per_cascade(table, graph, found)
    return Integration(per_run, per_cascade, roots)


def narrowed(part: Integration, first: int) -> Integration:
    """Return the integration of a part of a long log as it is kept until all parts are there.

    There are tens of millions of cascades, so their columns are narrow ones, and their roots are left out.

    Args:
        part: integration of the part.
        first: number of the part's first execution in the log.
    """
    narrow = ((pl.col("execution") + first).cast(pl.Int32), pl.col("tce", "merges").cast(pl.Int32))
    return Integration(
        part.executions.with_columns(pl.col("execution") + first), part.cascades.select(narrow), part.roots
    )


def joined(parts: Sequence[Integration]) -> Integration:
    """Return the integration of a long log from its parts, in order, as `narrowed` gave them."""
    executions = pl.concat([part.executions for part in parts], rechunk=True)
    cascades = pl.concat([part.cascades for part in parts], rechunk=True).with_columns(_PER_TCE)
    return Integration(executions, cascades, parts[0].roots)


_PER_TCE: Final = (pl.col("merges") / pl.col("tce")).alias("merge_per_tce")


def _ratio(top: str, bottom: str) -> pl.Expr:
    """Return the quotient of two columns, null where the divisor is zero."""
    return pl.when(pl.col(bottom) > 0).then(pl.col(top) / pl.col(bottom)).otherwise(None)


def _claim_metrics(table: EventTable, graph: ClaimGraph) -> pl.DataFrame:
    """Return per execution: claims, participation, integration, and merges and contradictions per claim."""
    kinds = table.events["kind"].gather(graph.row)
    merges = (kinds == "merge_claims").fill_null(value=False).to_numpy()
    disputes = (kinds == "contradict_claim").fill_null(value=False).to_numpy()
    source, child = graph.edges()
    taking_part = merges.copy()
    taking_part[source[merges[child]]] = True
    terminal = graph.out_degree == 0
    frame = pl.DataFrame(
        {
            "execution": graph.execution,
            "merge": merges,
            "dispute": disputes,
            "part": taking_part,
            "terminal": terminal,
            "merged_end": terminal & merges,
        }
    )
    return frame.group_by("execution", maintain_order=True).agg(
        pl.len().cast(pl.Int64).alias("claims"),
        pl.col("part").mean().alias("participation"),
        (pl.col("part") | pl.col("terminal")).mean().alias("resolution"),
        (pl.col("merged_end").sum() / pl.col("terminal").sum()).alias("integration"),
        pl.col("merge").mean().alias("merges_per_claim"),
        pl.col("dispute").mean().alias("contradictions_per_claim"),
    )


def _per_cascade(table: EventTable, graph: ClaimGraph, found: Cascades) -> tuple[pl.DataFrame, str]:
    """Return TCE and merges of every cascade with TCE > 0, by logged roots if the log has them."""
    merge = pl.col("kind") == "merge_claims"
    if table.has("root_logged"):
        rows = table.events.drop_nulls("root_logged").select(
            "execution", root="root_logged", merge=merge.fill_null(value=False)
        )
        roots = "logged"
    else:
        kinds = table.events["kind"].gather(graph.row)
        rows = pl.DataFrame(
            {
                "execution": graph.execution,
                "root": graph.claim[found.root] if graph.n_claims else np.empty(0, np.int64),
                "merge": (kinds == "merge_claims").fill_null(value=False),
            }
        )
        roots = found.policy
    grouped = rows.group_by("execution", "root", maintain_order=True).agg(
        (pl.len().cast(pl.Int64) - 1).alias("tce"), pl.col("merge").sum().cast(pl.Int64).alias("merges")
    )
    kept = grouped.filter(pl.col("tce") > 0)
    return kept.with_columns(_PER_TCE), roots
