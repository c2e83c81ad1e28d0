"""This module adds up what agents did beside speaking, in one pass: calls of tools, moves and what they brought."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from agentsoc.errors import LogDamagedError
from agentsoc.events import REWARD_MAX
from agentsoc.log.names import EVENTS
from agentsoc.log.schema import REWARDS
from agentsoc.log.stored import StoredRun

_BEYOND = "limit: "
"""How the text of a call begins that was one too many, in its reply or for the budget."""


@dataclass(frozen=True)
class Acted:
    """What the agents of a run did."""

    tool_calls: int
    """Calls of tools that were made (calls)."""
    tool_calls_refused: int
    """Calls that were not made because they were too many; a tool that itself ends with ``limit`` (its memory, say) is
    among them: the log tells them no further (calls)."""
    rewards: dict[str, Any] | None
    """The sum of all rewards, its mean over episodes, and the number of actions; None without an environment."""


def sound_rewards(table: pa.Table, directory: Path) -> pa.ChunkedArray:
    """Return the rewards of a table of events that has them.

    Raises:
        LogDamagedError: one is no number, or larger than any that a run writes.
    """
    found = table[REWARDS.name]
    if not pc.all(pc.less_equal(pc.abs(pc.drop_null(found)), REWARD_MAX), min_count=0).as_py():
        what = f"the events have a reward that is none: a reward is a number of at most {REWARD_MAX:g}"
        raise LogDamagedError(what, str(directory / EVENTS))
    return found


def acted(log: StoredRun) -> Acted:
    """Return what the agents of a run did; the events are read only where there is something of it among them."""
    kinds = log.manifest.totals.events_by_kind
    wanted, acting = kinds.get("tool_call", 0), kinds.get("action", 0)
    if not wanted and not acting:
        return Acted(0, 0, None)
    refused = actions = 0
    rewards: list[float] = []
    for table in log.tables():
        if wanted:
            calls = table.filter(pc.equal(table["kind"].cast(pa.string()), "tool_call"))
            refused += pc.sum(pc.starts_with(calls["text"].cast(pa.string()), _BEYOND)).as_py() or 0
        if acting and REWARDS.name in table.column_names:
            found = sound_rewards(table, log.directory)
            rewards += pc.drop_null(found).to_pylist()
            # neither a reward of an agent that had no move, nor a move in whose place the default was taken
            actions += pc.sum(pc.and_(pc.is_valid(found), pc.is_valid(table["answer"]))).as_py() or 0
    total = math.fsum(rewards)
    per_episode = total / max(log.manifest.totals.episodes, 1)
    told = {"total": total, "per_episode": per_episode, "actions": actions} if acting else None
    return Acted(wanted - refused, refused, told)
