"""This module derives money: it says what the events of a run cost by a table of prices, its own or another one.

Costs follow from tokens and calls in the events alone, so any run can be priced afterwards. Attempts whose usage is
unknown are in no event: `Totals.cost_lost` has what was charged for them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import polars as pl

from agentsoc.events import SOCIETY, Event
from agentsoc.log.stored import StoredRun
from agentsoc.scenario.prices import FREE, UNIT, Price, Rate, run_rates, tool_cost, tool_prices


def cost(events: Iterable[Event], groups: Sequence[Rate | None], group_start: Sequence[int] = (0,)) -> int | None:
    """Return what events cost (units of 10^-12); None where a model that was called has no price.

    Args:
        events: of any tasks, in any order.
        groups: rate of each group of agents; None for one without a price.
        group_start: first agent of each group, increasing from 0.
    """
    total = 0
    for event in events:
        if event.agent != SOCIETY:
            rate = groups[bisect_right(group_start, event.agent) - 1]
            if rate is None and (event.calls or event.tokens_in or event.tokens_out):
                return None
            total += (rate or FREE).cost(event.tokens_in, event.tokens_cached, event.tokens_out, event.calls)
    return total


def cost_by_task(log: StoredRun, prices: Mapping[str, Price] | None = None) -> pl.DataFrame | None:
    """Return the columns task and cost (money) of a run, one row per task; None where a called model has no price.

    Args:
        log: the run.
        prices: in place of its scenario's own.
    """
    priced = run_rates(log.manifest.scenario, prices)
    if priced is None:
        return None
    groups, starts = priced
    columns = ("task", "agent", "calls", "tokens_in", "tokens_cached", "tokens_out")
    events = log.scan().select(columns).collect()
    group = np.maximum(np.searchsorted(np.asarray(starts), events["agent"].to_numpy(), side="right") - 1, 0)
    sums = (
        events.with_columns(pl.Series("group", group))
        .group_by("task", "group")
        .agg(pl.col("calls", "tokens_in", "tokens_cached", "tokens_out").sum())
    )
    totals: dict[int, int] = dict.fromkeys(events["task"].unique().to_list(), 0)
    for task, which, calls, tokens_in, cached, tokens_out in sums.iter_rows():
        rate = groups[which]
        if rate is None and (calls or tokens_in or tokens_out):
            return None
        totals[task] += (rate or FREE).cost(tokens_in, cached, tokens_out, calls)
    table = log.manifest.scenario.get("prices", {}) if prices is None else prices
    of_tools = tool_prices({name: Price.model_validate(price) for name, price in table.items()})
    if of_tools:
        called = log.scan().filter(pl.col("kind") == "tool_call").select("task", "answer", "text").collect()
        for task, said, text in called.iter_rows():
            totals[task] += tool_cost(of_tools, [(said, text)])
    tasks = sorted(totals)
    return pl.DataFrame(
        {"task": tasks, "cost": [totals[task] / UNIT for task in tasks]}, {"task": pl.Int64, "cost": pl.Float64}
    )
