"""This module makes ``estimates.parquet`` and ``estimates.csv``: one row for each figure of a comparison.

They are for R and whatever else reads tables. The columns are the same for every figure; what a figure does not have
is empty. A comparison's other tidy table, ``results.parquet``, has one row for each episode.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from typing import Any, Final

import polars as pl

from agentsoc.log.inside import Inside
from analysis.comparison.block import BaselineBlock
from analysis.comparison.curves import Curves
from analysis.comparison.report import Report
from analysis.comparison.verdict import margin_stands
from analysis.csv_cells import as_csv
from analysis.stats import Interval, PairedComparison, PairedRow

NAME: Final = "estimates"
COLUMNS: Final = {
    "comparison": pl.String, "tasks": pl.String, "agents": pl.Int64, "organisation": pl.String, "baseline": pl.String,
    "quantity": pl.String, "value": pl.Float64, "low": pl.Float64, "high": pl.Float64, "level": pl.Float64,
    "method": pl.String, "p": pl.Float64, "p_holm": pl.Float64, "margin": pl.Float64, "verdict": pl.String,
    "n_tasks": pl.Int64, "n_rows": pl.Int64, "budget": pl.Int64,
}  # fmt: skip
"""Columns of the table; `tasks` names a task block and is empty for all, `agents` is the number on the axis, `budget`
the ceiling where there are several."""


def estimates(report: Report) -> pl.DataFrame:
    """Return the figures of a report, one row each, with the columns of `COLUMNS`.

    ``quantity`` is score, difference, d, odds_ratio, gain, difference_lost_low, difference_lost_high, difference_these,
    difference_beyond, difference_another, not_worse, equivalent, tokens or crossover; not_worse and equivalent have a p
    and a verdict and no value. A crossover is in tokens, and of a pair that has none there is its verdict alone. An end
    that is infinite is empty.
    """
    rows = [
        {"comparison": report.results.record.name, "agents": block.count, **_named(report, row)}
        for block in report.blocks
        for row in _of_block(report, block)
    ]
    if report.curves is not None:
        rows += [{"comparison": report.results.record.name, **row} for row in _of_curves(report.curves)]
    return pl.DataFrame(rows, schema=COLUMNS)


def write_estimates(report: Report) -> None:
    """Write the table beside the runs, as Parquet and as CSV."""
    table = estimates(report)
    inside = Inside(report.results.directory)
    sink = io.BytesIO()
    table.write_parquet(sink)
    inside.write(f"{NAME}.parquet", sink.getvalue())
    inside.write(f"{NAME}.csv", as_csv(table))


def _of_block(report: Report, block: BaselineBlock) -> Iterator[dict[str, Any]]:
    yield from _of_comparison(block.found, None)
    base = block.found.baseline.organisation
    for label, one in block.margins.items():
        own = {"organisation": label, "baseline": base, "margin": one.margin, "level": one.level, "method": one.test}
        own["verdict"] = one.verdict if margin_stands(report, block, label) else "undecided"
        yield {**own, "quantity": "not_worse", "p": one.p_not_worse, "p_holm": one.p_not_worse_holm}
        yield {**own, "quantity": "equivalent", "p": one.p_equivalent, "p_holm": one.p_equivalent_holm}
    for label, lost in block.lost.items():
        own = {"organisation": label, "baseline": base}
        yield {**own, "quantity": "difference_lost_low", **_interval(lost.low), "p_holm": lost.p_low}
        yield {**own, "quantity": "difference_lost_high", **_interval(lost.high), "p_holm": lost.p_high}
    for label, gain in block.gains.items():
        if not isinstance(gain, str):
            yield {"organisation": label, "baseline": base, "quantity": "gain", **_interval(gain)}
    for label, pooled in block.pooled.items():
        for name, found in (("these", pooled.these), ("beyond", pooled.beyond), ("another", pooled.another)):
            yield {"organisation": label, "baseline": base, "quantity": f"difference_{name}", **_interval(found)}
    for tasks, found_in in block.by_tasks.items():
        yield from _of_comparison(found_in, tasks)


def _named(report: Report, row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with the budget apart from the name of the organisation, where there are several."""
    if not report.results.at_budgets:
        return row
    members = report.results.members
    name, budget = members[row["organisation"]]
    return {**row, "organisation": name, "baseline": members[row["baseline"]][0], "budget": budget}


def _of_curves(curves: Curves) -> Iterator[dict[str, Any]]:
    for curve in curves.curves:
        for point in curve.points:
            own = {"organisation": curve.organisation, "quantity": "tokens", "budget": point.budget}
            yield {**own, **_interval(point.tokens)}
    for pair in curves.crossovers:
        own = {"organisation": pair.other, "baseline": pair.one, "quantity": "crossover", "verdict": pair.verdict}
        for crossing in pair.crossings:
            yield {**own, **_interval(crossing.budget)}
        if not pair.crossings:
            yield own


def _of_comparison(found: PairedComparison, tasks: str | None) -> Iterator[dict[str, Any]]:
    base = found.baseline.organisation
    for row in (found.baseline, *found.rows):
        own: dict[str, Any] = {"tasks": tasks, "organisation": row.organisation, "baseline": base}
        yield {**own, "quantity": "score", **_interval(row.mean), "n_tasks": row.n_tasks, "n_rows": row.n_rows}
        if isinstance(row, PairedRow):
            sizes = {"n_tasks": row.n_paired_tasks, "n_rows": row.n_pairs}
            # p values of a task block alone are not corrected over blocks, so only those of all together are told
            p = {"p": row.p, "p_holm": row.p_holm} if tasks is None else {}
            yield {**own, "quantity": "difference", **_interval(row.difference), **sizes, **p}
            for name, size in (("d", row.d), ("odds_ratio", row.odds_ratio)):
                if size is not None:
                    yield {**own, "quantity": name, **_interval(size), **sizes}


def _interval(found: Interval) -> dict[str, Any]:
    ends = {"value": found.value, "low": found.low, "high": found.high}
    known = {name: value if math.isfinite(value) else None for name, value in ends.items()}
    return {**known, "level": found.level, "method": found.method}
