"""This module finds how task difficulty is spread: it fits a mixture of leaf signals to the right votes by task [X].

It takes the place of assumption A2 in docs/phase-theory.md.

A tree amplifies each task's own signal, tasks below chance towards -mu*. So the mean signal does not predict the mean
answer; a mixture does. Its weights are fitted by maximum likelihood over a grid of signals (EM), with no form assumed;
single weights are ill-determined, averages over them (the mean, the share below chance, a trajectory) are not.

Siblings share errors: votes of one group follow the lock or the beta-binomial law with correlation rho given the
task's signal. rho and difficulty can be told apart only by tasks with several groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import polars as pl
from scipy import special

from agentsoc.errors import InputError
from analysis.synergy.estimation.resample import TaskIndex
from analysis.synergy.estimation.votes import demand_columns
from analysis.synergy.theory.arrays import FloatArray, IntArray
from analysis.synergy.theory.recursion import Lock
from analysis.synergy.theory.trajectories import trajectory_mixture

CountShape = Literal["lock", "beta_binomial"]
"""Law of the number of right votes in a group."""

_GRID: Final = 41
_ROUNDS: Final = 400
_STILL: Final = 1e-7  # relative gain in log-likelihood at which EM stops
_TINY: Final = 1e-300
_DRAWN_GRID: Final = 21  # coarser: a tree's answer is an average over the signals, which does not need the finer one
_DRAWN_ROUNDS: Final = 60


@dataclass(frozen=True)
class VoteCounts:
    """The object counts right votes of groups: a group is the siblings of one node in one run."""

    task: IntArray
    """Index of the group's task, shape (n_groups,)."""
    n: IntArray
    """Votes of each group, same shape."""
    right: IntArray
    """Right votes of each group, same shape."""
    n_tasks: int


@dataclass(frozen=True)
class DifficultyMixture:
    """The mixture says which leaf signals tasks have, and how frequent each is."""

    mus: FloatArray
    """Leaf signals that have a weight, ascending, shape (n_kinds,)."""
    weights: FloatArray
    """Share of the tasks at each signal, summing to 1, same shape."""
    rho: float
    """Correlation within groups that was assumed or fitted along."""
    shape: CountShape
    loglik: float
    n_tasks: int

    @property
    def mean(self) -> float:
        """Mean leaf signal."""
        return float(self.mus @ self.weights)

    @property
    def variance(self) -> float:
        """Variance of the leaf signal between tasks."""
        return float(self.mus**2 @ self.weights - self.mean**2)

    @property
    def share_below_chance(self) -> float:
        """Share of tasks whose leaf signal is negative: these get worse with every level."""
        return float(self.weights[self.mus < 0].sum())

    def trajectory(self, b: int, gamma: float, rho: float, depth: int, *, lock: Lock = "after_channel") -> FloatArray:
        """Return the mean signal of a tree by depth, shape (depth + 1,); see `trajectory_mixture`."""
        return trajectory_mixture(self.mus, self.weights, b, gamma, rho, depth, lock=lock)

    def summary(self) -> str:
        """Return one line."""
        return (
            f"difficulty of {self.n_tasks} tasks: mean signal {self.mean:.3g}, standard deviation "
            f"{np.sqrt(max(self.variance, 0.0)):.3g}, {self.share_below_chance:.0%} of the weight below chance"
        )


def count_votes(votes: pl.DataFrame, index: TaskIndex | None = None) -> VoteCounts:
    """Return the groups of a table of votes with columns task, run, node, correct (0 or 1)."""
    demand_columns(votes, ("task", "run", "node", "correct"), "votes")
    groups = (
        votes.group_by("task", "run", "node")
        .agg(pl.len().cast(pl.Int64).alias("n"), pl.col("correct").cast(pl.Int64).sum().alias("right"))
        .sort("task", "run", "node")
    )
    names = groups["task"].to_list()
    index = index or TaskIndex([names])
    return VoteCounts(
        index.codes(names).astype(np.int64), groups["n"].to_numpy(), groups["right"].to_numpy(), len(index)
    )


def log_count_law(n: IntArray, right: IntArray, mu: FloatArray, rho: float, shape: CountShape) -> FloatArray:
    """Return ln P(right of n votes are right) for each group and signal, shape (n_groups, n_signals).

    lock: rho [p 1(right = n) + (1-p) 1(right = 0)] + (1-rho) Bin(n, p) [D]. beta_binomial: intraclass correlation
    rho, bias p on average [X].
    """
    p = np.clip((1 + mu) / 2, 0, 1)[None, :]
    n_, k_ = n[:, None].astype(np.float64), right[:, None].astype(np.float64)
    choose = special.gammaln(n_ + 1) - special.gammaln(k_ + 1) - special.gammaln(n_ - k_ + 1)
    if shape == "lock":
        free = np.exp(choose + special.xlogy(k_, p) + special.xlogy(n_ - k_, 1 - p))
        # A group of one vote is that vote, locked or not: both ends coincide with the binomial there.
        ends = p * (k_ == n_) + (1 - p) * (k_ == 0)
        return np.asarray(np.log(np.maximum(rho * ends + (1 - rho) * free, _TINY)), dtype=np.float64)
    steps = np.arange(int(n.max(initial=1)), dtype=np.float64)
    shared = rho * steps

    def rising(base: FloatArray, upto: IntArray) -> FloatArray:
        logs = np.log(np.maximum((1 - rho) * base[..., None] + shared, _TINY))
        sums = np.concatenate([np.zeros((*base.shape, 1)), np.cumsum(logs, axis=-1)], axis=-1)
        return np.asarray(np.moveaxis(sums, -1, 0)[upto], dtype=np.float64)

    above, below = rising(p[0], right), rising(1 - p[0], n - right)
    return np.asarray(choose + above + below - rising(np.ones(1), n), dtype=np.float64)


def fit_difficulty(
    votes: pl.DataFrame, *, rho: float = 0.0, shape: CountShape = "lock", n_grid: int = _GRID
) -> DifficultyMixture:
    """Return the mixture of signals that makes the votes most likely, at a given correlation within groups.

    Args:
        votes: columns task, run, node, correct.
        rho: correlation of siblings given the task, in [0, 1): 0 for independent leaves, else from `estimate_rho`.
        shape: law of the counts.
        n_grid: signals considered, evenly spaced on [-1, 1].
    """
    if not 0 <= rho < 1:
        raise InputError(
            f"a correlation within groups lies in [0, 1), got {rho!r}", "", "clip a negative estimate to 0"
        )
    counts = count_votes(votes)
    mus = np.linspace(-1, 1, n_grid)
    per_task = task_loglik(counts, mus, rho, shape)
    weights, loglik = mixture_weights(per_task, np.ones((1, counts.n_tasks)))
    return _mixture(mus, weights[0], rho, shape, float(loglik[0]), counts.n_tasks)


def difficulty_draws(
    votes: pl.DataFrame, index: TaskIndex, weights: FloatArray, rho: float, *, n_grid: int = _DRAWN_GRID
) -> tuple[DifficultyMixture, FloatArray]:
    """Return the mixture of signals of the tasks, and its weights in each resample of them, shape (n_draws, n_kinds).

    Args:
        votes: columns task, run, node, correct.
        index: all tasks, those without votes included.
        weights: how often each task of the index occurs in each resample, shape (n_draws, n_tasks).
        rho: correlation of siblings given the task.
        n_grid: signals considered, evenly spaced on [-1, 1].
    """
    counts = count_votes(votes, index)
    mus = np.linspace(-1, 1, n_grid)
    voted = np.bincount(counts.task, minlength=counts.n_tasks) > 0
    per_task = task_loglik(counts, mus, rho, "lock")[voted]
    shares, loglik = mixture_weights(per_task, np.ones((1, int(voted.sum()))))
    drawn, _ = mixture_weights(per_task, weights[:, voted], 0.9 * shares[0] + 0.1 / mus.size, rounds=_DRAWN_ROUNDS)
    kept = (shares[0] > 1e-6) | (drawn.max(axis=0) > 1e-3)
    point, drawn = shares[0][kept] / shares[0][kept].sum(), drawn[:, kept] / drawn[:, kept].sum(axis=1, keepdims=True)
    return DifficultyMixture(mus[kept], point, rho, "lock", float(loglik[0]), int(voted.sum())), drawn


def task_loglik(counts: VoteCounts, mus: FloatArray, rho: float, shape: CountShape) -> FloatArray:
    """Return the log-likelihood of each task's votes at each signal, shape (n_tasks, n_signals)."""
    pairs, which = np.unique(np.stack([counts.n, counts.right], axis=1), axis=0, return_inverse=True)
    law = log_count_law(pairs[:, 0], pairs[:, 1], mus, rho, shape)
    total = np.zeros((counts.n_tasks, mus.size))
    np.add.at(total, counts.task, law[which.reshape(-1)])
    return total


def mixture_weights(
    per_task: FloatArray, tasks: FloatArray, start: FloatArray | None = None, rounds: int = _ROUNDS
) -> tuple[FloatArray, FloatArray]:
    """Return the most likely weights of the signals and their log-likelihood for each resample of tasks.

    Tasks with the same likelihood are taken together, so that the cost does not grow with their number.

    Args:
        per_task: log-likelihood of each task at each signal, shape (n_tasks, n_signals).
        tasks: weight of each task in each resample, shape (n_draws, n_tasks).
        start: weights to begin from, shape (n_signals,); equal ones by default.
        rounds: most EM rounds.
    """
    # Rounded, so that sums in another order count as the same task.
    kinds, member = np.unique(np.round(per_task, 9), axis=0, return_inverse=True)
    often = np.zeros((tasks.shape[0], kinds.shape[0]))
    for kind in range(kinds.shape[0]):
        often[:, kind] = tasks[:, member.reshape(-1) == kind].sum(axis=1)
    top = kinds.max(axis=1, keepdims=True)
    likelihood = np.exp(kinds - top)
    n_signals = per_task.shape[1]
    weights = np.tile(np.full(n_signals, 1 / n_signals) if start is None else start, (tasks.shape[0], 1))
    total = often.sum(axis=1, keepdims=True)
    before = np.full(tasks.shape[0], -np.inf)
    for _ in range(rounds):
        mixed = np.maximum(weights @ likelihood.T, _TINY)
        value = np.sum(often * (np.log(mixed) + top[:, 0]), axis=1)
        if np.all(value - before <= _STILL * np.abs(value)):
            break
        before = value
        weights = weights * ((often / mixed) @ likelihood) / total
        weights = weights / weights.sum(axis=1, keepdims=True)
    return weights, value


def _mixture(
    mus: FloatArray, weights: FloatArray, rho: float, shape: CountShape, loglik: float, n_tasks: int
) -> DifficultyMixture:
    kept = weights > 1e-6
    share = weights[kept]
    return DifficultyMixture(mus[kept], share / share.sum(), rho, shape, loglik, n_tasks)
