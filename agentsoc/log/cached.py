"""This module tells what a run was spared by its cache of replies: calls, tokens, and money that was not paid."""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

import msgspec

from agentsoc.events import SOCIETY
from agentsoc.log.stored import StoredRun
from agentsoc.scenario.prices import money as in_money
from agentsoc.scenario.prices import run_rates

MARK: Final = "cache:"
"""How the model of a journal's row begins that was answered by the cache."""


class Spared(msgspec.Struct, frozen=True):
    """What was answered from the cache: charged like every call, and not paid."""

    calls: int = 0
    tokens: int = 0
    """Input and output (tokens)."""
    cost: float | None = None
    """By the scenario's prices (money); None where a model has none."""


def spared_by_cache(log: StoredRun) -> Spared | None:
    """Return what the cache answered in a run; None for a run without one."""
    if not (log.manifest.scenario.get("calls") or {}).get("cache"):
        return None
    priced = run_rates(log.manifest.scenario)
    calls = tokens = 0
    cost: int | None = None if priced is None else 0
    for row in log.journal():
        if row.state != "done" or row.agent == SOCIETY or not row.model.startswith(MARK):
            continue
        tokens_in, cached, tokens_out = row.tokens_in or 0, row.tokens_cached or 0, row.tokens_out or 0
        calls, tokens = calls + 1, tokens + tokens_in + tokens_out
        if priced is not None and cost is not None:
            groups, starts = priced
            rate = groups[bisect_right(starts, row.agent) - 1]
            cost = None if rate is None else cost + rate.cost(tokens_in, cached, tokens_out, 1)
    return Spared(calls, tokens, None if cost is None else in_money(cost))
