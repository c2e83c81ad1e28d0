"""This module holds out depth: it predicts the deepest tree from leaves and first level, and compares the answers.

The theory is fitted where trees are cheap (leaves, one level) and asked where they are dear. z compares the two with
an error that holds both: each bootstrap sample of tasks gives a prediction and an observation, and their difference
spreads as it should whether or not they come from the same run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import polars as pl

from agentsoc.errors import InputError
from analysis.synergy.estimation.difficulty import count_votes, mixture_weights, task_loglik
from analysis.synergy.estimation.interval import Estimate, from_draws
from analysis.synergy.estimation.node_response import Copied, count_responses, response_draws
from analysis.synergy.estimation.resample import TaskIndex, sums_by_task, task_weights
from analysis.synergy.estimation.sibling_correlation import estimate_rho
from analysis.synergy.theory.arrays import FloatArray
from analysis.synergy.theory.recursion import Lock
from analysis.synergy.theory.trajectories import trajectory, trajectory_mixture

Difficulty = Literal["auto", "mixture", "equal"]
"""Whether tasks differ: fitted, taken as equal, or decided by the variance between tasks."""

_GRID = 41


@dataclass(frozen=True)
class HoldOutModel:
    """What the prediction takes for true of nodes and tasks."""

    lock: Lock = "after_channel"
    """Place of the shared draw."""
    copied: Copied = "first"
    """Whose vote a locked node repeats."""
    difficulty: Difficulty = "auto"
    """Whether to average over a mixture of task signals."""


USUAL_MODEL: Final = HoldOutModel()


@dataclass(frozen=True)
class HoldOut:
    """The object holds a prediction of the signal at a depth that was not used to make it."""

    b: int
    depth: int
    predicted: Estimate
    observed: Estimate
    se_difference: float
    """Standard error of observed - predicted, from joint resamples."""
    mixture: bool
    """Whether the prediction averages over the difficulty of tasks."""

    @property
    def z(self) -> float:
        """(observed - predicted) in its standard errors; about standard normal when the theory holds."""
        return (self.observed.value - self.predicted.value) / self.se_difference

    def summary(self) -> str:
        """Return one line."""
        kind = "mixture of difficulties" if self.mixture else "equal tasks"
        return (
            f"depth {self.depth} (b = {self.b}, {kind}): predicted {self.predicted}, observed {self.observed}, "
            f"z = {self.z:.2f}"
        )


def hold_out_depth(
    votes: pl.DataFrame,
    merges: pl.DataFrame,
    answers: pl.DataFrame,
    b: int,
    *,
    depth: int | None = None,
    model: HoldOutModel = USUAL_MODEL,
    n_draws: int = 200,
    seed: int = 0,
) -> HoldOut:
    """Return predicted and observed signal of trees of fan-in b at `depth`, which no fit has seen.

    Args:
        votes: leaf votes, columns task, run, node, correct; independent given the task.
        merges: what nodes of the first level made of them (`merge_table(..., level=1)`), and relays.
        answers: answers by level, columns task, level, correct (`level_table`); those at `depth` are held out.
        b: fan-in.
        depth: level to predict; the highest by default.
        model: what the prediction takes for true of nodes and tasks.
        n_draws: bootstrap samples.
        seed: root of the bootstrap's randomness.

    Raises:
        InputError: the depth is below 2 (depth 1 was fitted) or has no answers.
    """
    top = int(answers["level"].max()) if depth is None and answers.height else depth or 0  # type: ignore[arg-type]
    held = answers.filter(pl.col("level") == top)
    if top < 2 or held.is_empty():
        raise InputError(
            f"there is no depth of 2 or more to hold out (asked for {top})", "", "depth 1 is what the fit is made from"
        )
    index = TaskIndex([table["task"].to_list() for table in (votes, merges, held)])
    weights = np.vstack([np.ones(len(index)), task_weights(n_draws, index.strata, seed=seed)])
    response = response_draws(count_responses(merges, index), weights, model.lock, model.copied)
    gamma, rho = np.clip(response[:, 0], 0, 1), np.clip(response[:, 1], 0, 1)
    mixed = model.difficulty == "mixture" or (model.difficulty == "auto" and estimate_rho(votes).tasks_differ)
    if mixed:
        predicted = _by_mixture(votes, index, weights, b, gamma, rho, top, model.lock)
    else:
        mu = _weighted_mean(votes, index, weights)
        predicted = trajectory(mu, b, gamma, rho, top, lock=model.lock)[-1]
    observed = _weighted_mean(held, index, weights)
    return HoldOut(
        b,
        top,
        from_draws(float(predicted[0]), predicted[1:]),
        from_draws(float(observed[0]), observed[1:]),
        float(np.std(observed[1:] - predicted[1:], ddof=1)),
        mixed,
    )


def _weighted_mean(table: pl.DataFrame, index: TaskIndex, weights: FloatArray) -> FloatArray:
    """Return the mean vote of each resample, every row of a task alike."""
    names = table["task"].to_list()
    task, cell = index.codes(names), np.zeros(len(names), dtype=np.intp)
    vote = 2 * table["correct"].to_numpy().astype(np.float64) - 1
    total = weights @ sums_by_task(len(index), task, cell, 1, vote)[:, 0]
    return np.asarray(total / (weights @ sums_by_task(len(index), task, cell, 1, np.ones(vote.size))[:, 0]))


def _by_mixture(
    votes: pl.DataFrame,
    index: TaskIndex,
    weights: FloatArray,
    b: int,
    gamma: FloatArray,
    rho: FloatArray,
    depth: int,
    lock: Lock,
) -> FloatArray:
    counts = count_votes(votes, index)
    seen = np.bincount(counts.task, minlength=len(index)) > 0
    mus = np.linspace(-1, 1, _GRID)
    per_task = task_loglik(counts, mus, 0.0, "lock")[seen]
    start, _ = mixture_weights(per_task, weights[:1][:, seen])
    share, _ = mixture_weights(per_task, weights[:, seen], start=start[0], rounds=60)
    share[0] = start[0]
    levels = trajectory_mixture(mus, share, b, gamma, rho, depth, lock=lock)
    return np.asarray(levels[-1], dtype=np.float64)
