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
    actions = 0
    for table in log.tables():
        if REWARDS.name in table.column_names:
            rewards = table[REWARDS.name]
            found += pc.drop_null(rewards).to_pylist()
            # neither a reward of an agent that had no move, nor a move in whose place the default was taken
            taken = pc.and_(pc.is_valid(rewards), pc.is_valid(table["answer"]))
            actions += pc.sum(taken).as_py() or 0
    total = math.fsum(found)
    return {"total": total, "per_episode": total / max(log.manifest.totals.episodes, 1), "actions": actions}
