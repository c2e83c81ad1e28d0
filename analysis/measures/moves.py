"""This module reads the moves of agents in an environment, and their rewards, out of a log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
import numpy as np
from pydantic import ValidationError

from agentsoc.contracts.environments import Environment
from agentsoc.events import MAX_AGENTS
from agentsoc.log.acted import sound_rewards
from agentsoc.log.read import RunLog
from analysis.blocks import blocks
from analysis.interval import FloatArray, Interval
from analysis.stats.bootstrap import Bounds, mean_intervals
from analysis.stats.clusters import sums_by_task

_COLUMNS = ("task", "round", "agent", "kind", "answer", "text", "rewards")


World = TypeVar("World", bound=Environment)


@dataclass
class EpisodeMoves:
    """The moves of one episode, stage by stage, and what agents were rewarded with in each."""

    task: int
    moves: list[dict[int, str]] = field(default_factory=list)
    """What each agent did in a stage, as the log has it: a choice, or JSON."""
    rewards: list[dict[int, float]] = field(default_factory=list)


def episodes(log: RunLog) -> Iterator[EpisodeMoves]:
    """Yield the episodes of a run in which agents acted, in the order of tasks.

    Raises:
        LogDamagedError: a segment is not what was written.
    """
    for block in blocks(log):
        names = [name for name in _COLUMNS if name in block.column_names]
        if "rewards" not in names:
            return
        sound_rewards(block, log.directory)
        rows = zip(*(block.column(name).to_pylist() for name in names), strict=True)
        now: EpisodeMoves | None = None
        stage = -1
        for task, round_, agent, kind, answer, _, reward in rows:
            if kind != "action":
                continue
            if now is None or now.task != task:
                if now is not None:
                    yield now
                now, stage = EpisodeMoves(task), -1
            if round_ != stage:
                stage = round_
                now.moves.append({})
                now.rewards.append({})
            if answer is not None:
                now.moves[-1][agent] = answer
            if reward is not None:
                now.rewards[-1][agent] = now.rewards[-1].get(agent, 0.0) + reward
        if now is not None:
            yield now


def played(log: RunLog, kind: type[World]) -> tuple[World, int] | None:
    """Return the environment of a run with its number of agents; None for a run in another one, or in none.

    Args:
        log: the run.
        kind: the environment.
    """
    tasks = log.manifest.scenario.get("tasks")
    settings = tasks.get("environment") if isinstance(tasks, dict) else None
    if not isinstance(settings, dict) or settings.get("kind") != kind.model_fields["kind"].default:
        return None
    try:
        world = kind.model_validate(settings)
    except ValidationError:  # of a version that has other settings
        return None
    groups = log.manifest.scenario.get("agents")
    counts = [group.get("count") for group in groups if isinstance(group, dict)] if isinstance(groups, list) else []
    n = sum(count for count in counts if isinstance(count, int))
    return (world, n) if 1 <= n <= MAX_AGENTS else None


def value_of(answer: str) -> Any:
    """Return an action: the value of its JSON, or the choice itself."""
    try:
        return msgspec.json.decode(answer.encode("utf-8", "replace"))
    except (msgspec.DecodeError, RecursionError):
        return answer


def mean_over_tasks(values: FloatArray, tasks: FloatArray, within: Bounds | None, *, seed: int) -> Interval | None:
    """Return the mean of values with its interval over tasks; None where there is none.

    Args:
        values: shape (n,).
        tasks: the task of each.
        within: their range, None where there is none.
        seed: root of the resampling.
    """
    if not len(values):
        return None
    distinct, at = np.unique(tasks, return_inverse=True)
    exact: FloatArray = np.asarray(values, dtype=np.float64).round(9)  # so that equal sums of other summands are equal
    sums = sums_by_task(exact, at.astype(np.int64), len(distinct))
    return mean_intervals([sums], [within], seed=seed)[0]
