"""This module tells the scores of tasks apart by a column of their file: the subject of a question, its source.

Which column that is, the scenario says (`tasks.category`); what a task has there stands in the run's table of tasks.
For each category: tasks and mean score with its 95 % interval, by the method that `compare` takes for such scores.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from agentsoc.log.read import RunLog
from agentsoc.printing.text import line, table
from analysis.interval import FloatArray, Interval
from analysis.stats.bootstrap import SCORE, mean_intervals
from analysis.stats.clusters import sums_by_task

SHOWN: Final = 100
"""Categories that are printed; JSON has them all."""
NONE: Final = "(none)"
_DRAWN: Final = 20_000_000
"""Tasks that are drawn for an interval, in all resamples together, as long as these stay a thousand."""


@dataclass(frozen=True)
class CategoryScore:
    """The scores of one category."""

    category: str
    n_tasks: int
    score: Interval


@dataclass(frozen=True)
class Categories:
    """The scores of a run by the values of one column."""

    column: str
    scores: tuple[CategoryScore, ...]

    def summary(self) -> list[str]:
        """Return a heading and a line for each category, the largest first."""
        rows = [
            [line(one.category, 60), f"{one.n_tasks:,}", f"{one.score.value:.3f}",
             f"[{one.score.low:.3f}, {one.score.high:.3f}]"]
            for one in self.scores[:SHOWN]
        ]  # fmt: skip
        more = len(self.scores) - SHOWN
        found = [f"score by {line(self.column, 60)}:", *table(rows, right=frozenset({1, 2}), indent="  ").split("\n")]
        return [*found, f"  and {more:,} more categories"] if more > 0 else found

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        rows = [
            {"category": one.category, "n_tasks": one.n_tasks, "score": one.score.value,
             "ci95": [one.score.low, one.score.high]}
            for one in self.scores
        ]  # fmt: skip
        return {"column": self.column, "scores": rows}


def categories_of(log: RunLog, episodes: pl.DataFrame, *, seed: int = 0) -> Categories | None:
    """Return the scores of a run by category; None where its scenario names no column or its tasks have none.

    Args:
        log: the run.
        episodes: rows with the columns task and score.
        seed: root of the resampling, where scores are other than 0 and 1.
    """
    column = log.manifest.scenario.get("tasks", {}).get("category")
    tasks = log.tasks()
    if not isinstance(column, str) or "metadata" not in tasks.columns:
        return None
    named = pl.Series("category", [_category(text, column) for text in tasks["metadata"].to_list()], pl.String)
    known = tasks.select(pl.col("task").cast(pl.Int64)).with_columns(named)
    joined = episodes.select(pl.col("task").cast(pl.Int64), pl.col("score").cast(pl.Float64)).join(
        known, on="task", how="inner", maintain_order="left"
    )
    found = []
    for part in joined.drop_nulls("score").partition_by("category", maintain_order=True):
        scores = part["score"].to_numpy()
        found.append(CategoryScore(str(part["category"][0]), len(scores), _mean(scores, seed)))
    found.sort(key=lambda one: (-one.n_tasks, one.category))
    return Categories(column, tuple(found)) if found else None


def _category(text: str | None, column: str) -> str:
    try:
        held = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return NONE
    value = held.get(column) if isinstance(held, dict) else None
    return NONE if value is None else str(value)


def _mean(scores: FloatArray, seed: int) -> Interval:
    n = len(scores)
    sums = sums_by_task(scores, np.arange(n), n)
    (interval,) = mean_intervals([sums], [SCORE], replicates=max(1_000, min(10_000, _DRAWN // n)), seed=seed)
    return interval
