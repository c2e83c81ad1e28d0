"""This module adds up the rewards of a run in an environment."""

from __future__ import annotations

import math
from typing import Any

import pyarrow.compute as pc

from agentsoc.log.schema import REWARDS
from agentsoc.log.stored import StoredRun


def rewards_of(log: StoredRun) -> dict[str, Any] | None:
    """Return the sum of all rewards, its mean over episodes, and the number of actions; None without an environment."""
    acting = log.manifest.totals.events_by_kind.get("action", 0)
    if not acting:
        return None
    found: list[float] = []
    for table in log.tables():
        if REWARDS.name in table.column_names:
            found += pc.drop_null(table[REWARDS.name]).to_pylist()
    total = math.fsum(found)
    return {"total": total, "per_episode": total / max(log.manifest.totals.episodes, 1), "actions": acting}
