"""What each task of a run cost by the price table of its scenario."""

from __future__ import annotations

from typing import Any

import polars as pl
from pydantic import TypeAdapter

from agentsoc.log.read import RunLog
from agentsoc.scenario.prices import Prices, Rate, money, rates

_SPENT = ("tokens_in", "tokens_cached", "tokens_out", "calls")


def with_cost(episodes: pl.DataFrame, log: RunLog) -> pl.DataFrame:
    """Return the rows of a run with a column ``cost`` (money); null where the scenario does not price every model.

    Calls whose usage is unknown are not in it; what they may have cost is in the totals of the run.

    Args:
        episodes: one row per task, with tokens and calls.
        log: the run.
    """
    known = _rates(log.manifest.scenario)
    if known is None:
        return episodes.with_columns(cost=pl.lit(None, pl.Float64))
    if len(set(known)) == 1:
        costs = [money(known[0].cost(*spent)) for spent in episodes.select(_SPENT).iter_rows()]
        return episodes.with_columns(cost=pl.Series(costs, dtype=pl.Float64))
    starts = _starts(log.manifest.scenario["agents"])
    spent_by = log.frame().filter(pl.col("agent") >= 0).group_by("task", "agent").agg(pl.col(_SPENT).sum())
    units: dict[int, int] = {}
    for task, agent, *spent in spent_by.iter_rows():
        group = sum(agent >= start for start in starts) - 1
        units[task] = units.get(task, 0) + known[group].cost(*spent)
    costs = [money(units.get(task, 0)) for task in episodes["task"]]
    return episodes.with_columns(cost=pl.Series(costs, dtype=pl.Float64))


def _rates(scenario: dict[str, Any]) -> list[Rate] | None:
    table = scenario.get("prices")
    if not table:
        return None
    found = rates(scenario["agents"], TypeAdapter(Prices).validate_python(table))
    known = [rate for rate in found if rate is not None]
    return known if len(known) == len(found) else None


def _starts(groups: list[dict[str, Any]]) -> list[int]:
    """Return the first agent of each group; a single group may leave its count out."""
    starts = [0]
    for group in groups[:-1]:
        starts.append(starts[-1] + int(group["count"]))
    return starts
