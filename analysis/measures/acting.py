"""This module says what calls of tools and moves in an environment cost and brought, and what failed calls spread.

A call is *redundant* when the same tool was called with the same arguments before in the episode, by anybody. A claim
is *fed* by the calls that its author made since its last one; what failed calls do to claims is told apart from what
good ones do, and followed to what others build on wrong ones.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl

from agentsoc.events import COORDINATION
from agentsoc.log.read import RunLog
from analysis.blocks import blocks, frame_of
from analysis.interval import Interval
from analysis.measures.amplification import WRONG_BELOW, Taint, taint
from analysis.measures.moves import mean_over_tasks
from analysis.stats.bootstrap import SCORE
from analysis.tables import from_log

FAILURES: Final = ("unknown_tool", "bad_arguments", "timeout", "error", "refused", "lost", "limit")
"""Kinds of failures, with which the text of a call that failed begins."""


@dataclass(frozen=True)
class Acting:
    """What tools and environments did in a run; intervals are over tasks, None where there is nothing to measure."""

    calls: int
    """Calls of tools in all (calls)."""
    by_tool: dict[str, int]
    failed_by_kind: dict[str, int]
    per_task: Interval | None
    """Calls of tools in a task (calls)."""
    per_score: float | None
    """Calls of tools for each point of score: all of them over the sum of all scores; None where nothing was scored."""
    per_1k_tokens: float | None
    """Calls of tools for each 1,000 tokens."""
    failed: Interval | None
    """Share of the calls that failed."""
    redundant: Interval | None
    """Share of the calls that repeat an earlier one of the episode."""
    wrong_after_failure: Interval | None
    """Share of the scored claims that are wrong, of those fed by a failed call."""
    wrong_after_success: Interval | None
    """The same of those fed by good calls alone."""
    spread: Taint | None
    """What became of wrong claims that failed calls fed: a fault each, as if it had been planted."""
    reward: Interval | None
    """Reward of all agents in a task."""
    reward_per_1k_tokens: float | None

    def summary(self) -> list[str]:
        """Return lines for a terminal."""
        said = []
        if self.calls:
            tools = ", ".join(f"{count:,} {tool}" for tool, count in sorted(self.by_tool.items()))
            each = {"a point of score": self.per_score, "1,000 tokens": self.per_1k_tokens}
            rates = [f"{value:.4g} for {what}" for what, value in each.items() if value is not None]
            said.append(", ".join([f"tools: {self.calls:,} calls ({tools}), {self.per_task} a task", *rates]))
            kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(self.failed_by_kind.items()))
            said.append(f"  failed {self.failed}{f' ({kinds})' if kinds else ''}, redundant {self.redundant}")
        if self.wrong_after_failure is not None and self.wrong_after_success is not None:
            good = self.wrong_after_success
            said.append(f"  claims wrong after a failed call {self.wrong_after_failure}, after good ones {good}")
        if self.spread is not None and self.spread.table.height:
            said.append(f"  through tool results: {self.spread.summary()}")
        if self.reward is not None:
            per = self.reward_per_1k_tokens
            said.append(f"rewards: {self.reward} a task" + ("" if per is None else f", {per:.4g} for 1,000 tokens"))
        return said

    def as_dict(self) -> dict[str, object]:
        """Return plain values for JSON."""
        measured = {
            "tool_calls_per_task": self.per_task, "failed": self.failed, "redundant": self.redundant,
            "wrong_after_failure": self.wrong_after_failure, "wrong_after_success": self.wrong_after_success,
            "reward_per_task": self.reward,
        }  # fmt: skip
        spread = None if self.spread is None or not self.spread.table.height else self.spread.table
        return {
            "tool_calls": self.calls,
            "by_tool": dict(sorted(self.by_tool.items())),
            "failed_by_kind": dict(sorted(self.failed_by_kind.items())),
            "tool_calls_per_score": self.per_score,
            "tool_calls_per_1k_tokens": self.per_1k_tokens,
            "tainted_acts_per_wrong_claim": None if spread is None else float(spread["per_fault"].to_numpy().mean()),
            "reward_per_1k_tokens": self.reward_per_1k_tokens,
            **{name: None if one is None else one.as_dict() for name, one in measured.items()},
        }


@dataclass
class _Read:
    """What is collected, block by block."""

    tasks: set[int] = field(default_factory=set)
    calls: list[tuple[int, bool, bool]] = field(default_factory=list)
    """Task, whether it failed, whether it was redundant."""
    tools: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    fed: list[tuple[int, bool, float]] = field(default_factory=list)
    """Task, whether a failed call fed the claim, 1 where it is wrong."""
    spread: list[pl.DataFrame] = field(default_factory=list)
    rewards: dict[int, float] = field(default_factory=dict)
    score: float = 0.0
    scored: bool = False
    tokens: int = 0


def acting(log: RunLog, *, seed: int = 0) -> Acting | None:
    """Return what tools and environments did in a run; None for a run with neither.

    Args:
        log: the run.
        seed: root of the resampling.

    Raises:
        LogDamagedError: a segment is not what was written.
    """
    kinds = log.manifest.totals.events_by_kind
    if not kinds.get("tool_call") and not kinds.get("action"):
        return None
    read = _Read()
    for block in blocks(log):
        rewarded = "rewards" in block.column_names
        frame = frame_of(block)
        _take(read, frame, block.column("rewards").to_pylist() if rewarded else None, str(log.directory))
    rows = log.episodes()
    if rows is not None and "score" in rows.columns:
        scores = [score for score in rows["score"].to_list() if score is not None]
        read.score, read.scored = float(sum(scores)), bool(scores)
    return _result(read, seed)


def _take(read: _Read, frame: pl.DataFrame, rewards: list[float | None] | None, run: str) -> None:
    seen: set[tuple[int, str]] = set()
    since: dict[tuple[int, int], list[bool]] = {}
    bad: list[tuple[int, int]] = []
    columns = ("task", "agent", "kind", "answer", "text", "claim", "correct", "tokens_in", "tokens_out")
    for number, row in enumerate(zip(*(frame[name].to_list() for name in columns), strict=True)):
        task, agent, kind, answer, text, claim, correct, tokens_in, tokens_out = row
        read.tasks.add(task)
        read.tokens += tokens_in + tokens_out
        reward = None if rewards is None else rewards[number]
        if reward is not None:
            read.rewards[task] = read.rewards.get(task, 0.0) + reward
        if kind == "tool_call":
            failure = failure_of(text)
            place = (task, answer or "")
            read.calls.append((task, failure is not None, place in seen))
            seen.add(place)
            read.tools[tool_of(answer)] += 1
            if failure is not None:
                read.failures[failure] += 1
            since.setdefault((task, agent), []).append(failure is not None)
        elif kind in COORDINATION and (calls := since.pop((task, agent), None)) and correct is not None:
            wrong = correct < WRONG_BELOW
            read.fed.append((task, any(calls), float(wrong)))
            if wrong and any(calls) and claim is not None:
                bad.append((task, claim))
    if bad:
        read.spread.append(_spread(frame, bad, run))


def _spread(frame: pl.DataFrame, bad: list[tuple[int, int]], run: str) -> pl.DataFrame:
    """Return the taint of wrong claims that failed calls fed, as if each were a planted fault."""
    own = frame.filter((pl.col("kind") != "fault") & pl.col("task").is_in([task for task, _ in bad]))
    marks = own.filter(pl.struct("task", "claim").is_in([{"task": task, "claim": claim} for task, claim in bad]))
    faults = marks.with_columns(kind=pl.lit("fault"), target=pl.col("claim"), claim=pl.lit(None, pl.Int64),
                                parents=pl.lit([], pl.List(pl.Int64)))  # fmt: skip
    whole = pl.concat([own, faults.select(own.columns)]).sort("task", "round", maintain_order=True)
    return taint(from_log(whole, run=run)).table


def failure_of(text: str | None) -> str | None:
    """Return the kind of failure that the text of a call states; None for a result."""
    kind = (text or "").partition(":")[0]
    return kind if kind in FAILURES and (text or "").startswith(f"{kind}: ") else None


def tool_of(answer: str | None) -> str:
    """Return the tool that a call names."""
    try:
        said: Any = msgspec.json.decode((answer or "").encode("utf-8", "replace"))
    except msgspec.DecodeError:
        return "?"
    tool = said.get("tool") if isinstance(said, dict) else None
    return tool if isinstance(tool, str) else "?"


def _result(read: _Read, seed: int) -> Acting:
    order = sorted(read.tasks)
    per_task = Counter(task for task, *_ in read.calls)
    calls = np.array(read.calls, dtype=np.float64).reshape(-1, 3)
    fed = np.array(read.fed, dtype=np.float64).reshape(-1, 3)
    tasks = np.array(order, dtype=np.float64)

    def wrong(failed: bool) -> Interval | None:
        kept = fed[:, 1] == failed
        return mean_over_tasks(fed[kept, 2], fed[kept, 0], SCORE, seed=seed)

    thousands = read.tokens / 1_000
    reward = None
    if read.rewards:
        reward = mean_over_tasks(np.array([read.rewards.get(task, 0.0) for task in order]), tasks, None, seed=seed)
    return Acting(
        calls=len(read.calls),
        by_tool=dict(read.tools),
        failed_by_kind=dict(read.failures),
        per_task=mean_over_tasks(np.array([per_task[task] for task in order]), tasks, None, seed=seed)
        if read.calls
        else None,
        per_score=len(read.calls) / read.score if read.calls and read.scored and read.score else None,
        per_1k_tokens=len(read.calls) / thousands if read.calls and thousands else None,
        failed=mean_over_tasks(calls[:, 1], calls[:, 0], SCORE, seed=seed),
        redundant=mean_over_tasks(calls[:, 2], calls[:, 0], SCORE, seed=seed),
        wrong_after_failure=wrong(True),
        wrong_after_success=wrong(False),
        spread=Taint(pl.concat(read.spread)) if read.spread else None,
        reward=reward,
        reward_per_1k_tokens=sum(read.rewards.values()) / thousands if read.rewards and thousands else None,
    )
