"""This module says how many independent votes an outcome is worth: one axis for all organisations.

The majority map f_n is in docs/phase-theory.md, "What is proven"; docs/metrics.md says how the number is read.

No protocol whose outcome depends on n independent leaf votes of signal mu_0 exceeds f_n(mu_0). n_eff is the real n with
f_n(mu_0) = mu_out; n_eff / N compares organisations. Resampling is always over tasks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from agentsoc.errors import InputError
from agentsoc.streams import stream
from analysis.interval import Interval
from analysis.measures.outputs import F64
from analysis.resampling import multinomial
from analysis.synergy.theory.chance import signal_of
from analysis.synergy.theory.effective import effective_votes

DRAWS: Final = 2000
"""Resamples behind an interval."""
METHOD: Final = "percentiles over tasks"


@dataclass(frozen=True, kw_only=True)
class EffectiveVotes(Interval):
    """The object says how many independent leaf votes the outcome of a run is worth.

    0 where the outcome is below one leaf, inf where it cannot be told from perfect, NaN where leaves are at chance.
    """

    leaf_signal: float
    """mu_0 of agents that had heard nobody."""
    out_signal: float
    """mu of the society's answers."""
    leaves: float
    """Mean number of such agents per task, N."""
    n_tasks: int

    @property
    def efficiency(self) -> float:
        """n_eff / N."""
        return self.value / self.leaves

    def __str__(self) -> str:
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}] of {self.leaves:.4g}"


def votes_worth(events: pl.DataFrame, choices: int, *, draws: int = DRAWS, seed: int = 0) -> EffectiveVotes:
    """Return n_eff of a run: leaves are agents' claims without parents, the outcome is the society's answer.

    Exact for two choices and tasks of one difficulty; where these differ a lot, n_eff is too small, because a
    majority gains least where the signal is far from the mean one.

    Args:
        events: rows of one run, or of several on the same kind of tasks under different task numbers.
        choices: answers that a task offers, K.
        draws: resamples of the tasks.
        seed: root of the resampling.

    Raises:
        InputError: tasks have no closed answer space, or no task has both a leaf and an answer.
    """
    return worth_of(lone_votes(events), choices, draws=draws, seed=seed)


def lone_votes(events: pl.DataFrame) -> pl.DataFrame:
    """Return, for each task with a leaf and an answer, columns task, right (sum of the leaves' scores), n, out.

    Args:
        events: rows of whole tasks with the columns task, agent, kind, parents, subtask and correct.
    """
    kind = pl.col("kind").cast(pl.String)
    whole = pl.col("subtask").is_null()
    leaf = events.filter((kind == "propose_claim") & (pl.col("parents").list.len() == 0) & whole)
    leaves = leaf.group_by("task").agg(right=pl.col("correct").fill_null(0.0).sum(), n=pl.len())
    ends = events.filter((kind == "answer") & (pl.col("agent") < 0)).select(
        "task", out=pl.col("correct").fill_null(0.0)
    )
    return leaves.join(ends, on="task").sort("task")


def worth_of(both: pl.DataFrame, choices: int, *, draws: int = DRAWS, seed: int = 0) -> EffectiveVotes:
    """Return n_eff from the rows of `lone_votes`; see `votes_worth`."""
    if choices < 2:
        raise InputError(f"effective votes need tasks with two or more answers to choose from, got {choices}")
    if not both.height:
        raise InputError("no task has both a lone answer and the society's, so effective votes cannot be told")
    n_tasks = both.height
    columns = both.select(pl.col("right", "n", "out").cast(pl.Float64)).to_numpy()
    n = columns[:, 1]
    sums = multinomial(stream(seed, "amplification", "votes"), draws, columns)
    right, leaves, out = np.concatenate([columns.sum(axis=0, keepdims=True), sums]).T
    leaf_signal = _signal(right / leaves, choices)
    out_signal = _signal(out / n_tasks, choices)
    votes = _votes(leaf_signal, out_signal)
    low, high = percentile_interval(votes[1:])
    return EffectiveVotes(
        float(votes[0]), low, high, method=METHOD, leaf_signal=float(leaf_signal[0]), out_signal=float(out_signal[0]),
        leaves=float(n.mean()), n_tasks=n_tasks,
    )  # fmt: skip


def _signal(accuracy: F64, choices: int) -> F64:
    return np.asarray(np.clip(signal_of(accuracy, 1 / choices), -1.0, 1.0))


def _votes(leaf: F64, out: F64) -> F64:
    found = effective_votes(leaf, np.maximum(out, -1.0))
    return np.where(leaf <= 0, np.nan, np.where(out < leaf, 0.0, found))


def percentile_interval(values: F64) -> tuple[float, float]:
    """Return the 2.5 and 97.5 % points, by order alone as values may be infinite; NaN where most are."""
    known = np.sort(values[~np.isnan(values)])
    if 2 * len(known) < len(values) or not len(known):
        return float("nan"), float("nan")
    last = len(known) - 1
    return float(known[int(np.floor(0.025 * last))]), float(known[int(np.ceil(0.975 * last))])
