"""This module gives the numbers of each figure of a comparison as a table: what is drawn is in it, and nothing else.

Budget curves have theirs in `analysis.comparison.curve_figure`.
"""

from __future__ import annotations

import polars as pl

from analysis.comparison.block import BaselineBlock
from analysis.comparison.report import Report, measured
from analysis.interval import Interval


def scores_table(report: Report) -> pl.DataFrame:
    """Return `organisation`, whether it is a `baseline`, its mean `score`, `low`, `high`, and the `level` of both."""
    rows = [
        (row.organisation, row.organisation in baselines(report), *_ends(row.mean), row.mean.level)
        for row in report.rows()
    ]
    return pl.DataFrame(rows, ["organisation", "baseline", "score", "low", "high", "level"], orient="row")


def cost_table(report: Report) -> pl.DataFrame:
    """Return scores against what a task took, of organisations of which that is known, and the ceilings.

    Returns:
        pl.DataFrame: `what` (``organisation`` or ``budget``), `organisation`, `baseline`, `tokens` of a task, `score`,
            and the ends of both intervals; null what a row does not have.
    """
    found: list[tuple[object, ...]] = []
    for row in report.rows():
        spent = measured(report, row.organisation, "tokens")
        if spent is not None:
            base = row.organisation in baselines(report)
            found.append(("organisation", row.organisation, base, *_ends(spent), *_ends(row.mean)))
    ceilings = sorted({value for value in report.results.budgets.values() if value is not None})
    found += [("budget", None, None, ceiling, None, None, None, None, None) for ceiling in ceilings]
    numbers = ["tokens", "tokens_low", "tokens_high", "score", "score_low", "score_high"]
    texts = {"what": pl.String, "organisation": pl.String, "baseline": pl.Boolean}
    return pl.DataFrame(found, {**texts, **dict.fromkeys(numbers, pl.Float64)}, orient="row", strict=False)


def differences_table(report: Report) -> pl.DataFrame:
    """Return `organisation`, its `baseline`, the paired `difference` with `low`, `high`, and the `level` of both."""
    rows = [
        (
            row_name(block, row.organisation),
            block.found.baseline.organisation,
            *_ends(row.difference),
            row.difference.level,
        )
        for block in report.blocks
        for row in block.found.rows
    ]
    return pl.DataFrame(rows, ["organisation", "baseline", "difference", "low", "high", "level"], orient="row")


def row_name(block: BaselineBlock, organisation: str) -> str:
    """Return how a row of differences is called."""
    return organisation if block.count is None else f"{organisation} (at n={block.count})"


def baselines(report: Report) -> set[str]:
    """Return the organisations that others are compared with."""
    return {block.found.baseline.organisation for block in report.blocks}


def _ends(one: Interval) -> tuple[float, float, float]:
    return one.value, one.low, one.high
