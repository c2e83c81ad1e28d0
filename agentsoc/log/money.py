"""This module adds up exactly, from tables, what the events of a run cost by its scenario's prices.

It also says what the calls of the study cost each, which are in no event.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from agentsoc.contracts.probe_calls import probed_agent
from agentsoc.scenario.prices import FREE, Price, Rate, money, price_of, run_rates, tool_cost, tool_prices

_USED: Final = ("calls", "tokens_in", "tokens_cached", "tokens_out")


class EventCost:
    """The object adds up the cost of events; `known` is False where a model that was called has no price."""

    def __init__(self, scenario: Mapping[str, Any]) -> None:
        self._rates, starts = _rates(scenario) if scenario.get("prices") else ([], [0])
        self._starts = np.asarray(starts)
        self._tools = _tool_prices(scenario)
        self._tool_cost = 0
        self._sums = np.zeros((max(len(self._rates), 1), len(_USED)), dtype=object)

    def add(self, table: pa.Table) -> None:
        """Take in a table with the event schema."""
        if not self._rates:
            return
        agent = table["agent"].to_numpy()
        group = np.maximum(np.searchsorted(self._starts, agent, side="right") - 1, 0)
        used = [table[name].to_numpy().astype(np.int64) for name in _USED]
        used[2] = np.minimum(used[2], used[1])  # cached tokens cannot exceed the input
        for which in np.unique(group).tolist():
            mine = (group == which) & (agent >= 0)
            self._sums[which] += [int(column[mine].sum()) for column in used]
        if self._tools:
            calls = table.filter(pc.equal(table["kind"].cast(pa.string()), "tool_call"))
            said = (calls[name].cast(pa.string()).to_pylist() for name in ("answer", "text"))
            self._tool_cost += tool_cost(self._tools, zip(*said, strict=True))

    @property
    def known(self) -> bool:
        """Tell whether the events say what the run cost."""
        return bool(self._rates) and all(
            rate is not None or not any(sums) for rate, sums in zip(self._rates, self._sums, strict=True)
        )

    @property
    def total(self) -> float:
        """Return what the events cost together (money)."""
        return money(
            self._tool_cost
            + sum(
                (rate or FREE).cost(tokens_in, cached, tokens_out, calls)
                for rate, (calls, tokens_in, cached, tokens_out) in zip(self._rates, self._sums.tolist(), strict=True)
            )
        )


def _tool_prices(scenario: Mapping[str, Any]) -> dict[str, int]:
    try:
        return tool_prices({name: Price.model_validate(price) for name, price in scenario.get("prices", {}).items()})
    except (AttributeError, ValidationError):  # `check` tells of an invalid scenario
        return {}


def study_rates(scenario: Mapping[str, Any]) -> Callable[[int], Rate | None] | None:
    """Return what gives the price of a call of the study by its number `k`; None for a scenario without prices.

    A probe is paid like the turn that it probes; everything else is the judge's. None stands for a price that is not
    known.
    """
    groups, starts = _rates(scenario) if scenario.get("prices") else ([], [0])
    if not groups:
        return None
    prices = {name: Price.model_validate(price) for name, price in scenario["prices"].items()}
    judge = ((scenario["tasks"].get("scoring") or {}).get("judge") or {}).get("model")
    price = None if judge is None else price_of(judge, prices)

    def rate(k: int) -> Rate | None:
        agent = probed_agent(k)
        if agent is None:
            return None if price is None else price.rate
        return groups[bisect_right(starts, agent) - 1]

    return rate


def _rates(scenario: Mapping[str, Any]) -> tuple[list[Rate | None], list[int]]:
    try:
        return run_rates(scenario) or ([], [0])
    except (KeyError, TypeError, AttributeError, ValidationError):  # `check` tells of an invalid scenario
        return [], [0]
