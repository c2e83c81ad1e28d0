"""This module measures how much siblings share errors: rho within runs, and a pooled figure with difficulty in it [X].

Given the task, E[X_i X_j | same run] - mu_k^2 = rho (1 - mu_k^2). Averaged over tasks, S - C = rho (1 - C), with S the
mean product over pairs of one run and C over pairs of different runs of one task. One run per task has no C: what is
left, the pooled (S - M) / (1 - M) with M over different tasks, takes difficulty for correlation. It has its own name
here and never reaches alpha unasked.

Votes are coded +1 (right) and -1 (wrong) for any number of answers: the correlation of being right is the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from agentsoc.errors import InputError
from analysis.stats.bootstrap import FEW_UNUSUAL
from analysis.synergy.estimation.interval import Estimate, hull, jackknife
from analysis.synergy.estimation.resample import TaskIndex
from analysis.synergy.estimation.votes import demand_columns
from analysis.synergy.theory.arrays import FloatArray

MIN_TASKS: Final = 10
"""Fewest tasks with replicates that rho is read from."""
_SURE: Final = 2.326  # standard errors; one side, 1 %


@dataclass(frozen=True)
class PairMoments:
    """The object holds mean products of votes per task, shape (n_tasks,) each; NaN where a task has no such pairs."""

    same: FloatArray
    """Mean product over pairs of one run."""
    cross: FloatArray
    """Mean product over pairs of different nodes, of one run or of several."""
    mean: FloatArray
    """Mean vote."""
    nodes: FloatArray
    """Mean product over pairs of different nodes of one run."""
    runs: FloatArray
    """Mean product over pairs of different runs."""


@dataclass(frozen=True)
class RhoFit:
    """The fit gives the correlation of siblings: within runs if there are replicates, pooled if not."""

    within: Estimate | None
    """Correlation given the task, which the theory calls rho, however wide; None when refused. May be negative."""
    pooled: Estimate | None
    """Correlation and difficulty together (rho_pooled): an upper end, not an estimate of rho."""
    between_variance: Estimate | None
    """C - M, variance of the tasks' signals: the difficulty that A2 assumes away. From pairs of different runs; where
    tasks were run once, from pairs of different nodes, and then what a run shares is in it as well."""
    run_variance: Estimate | None
    """Variance of what the nodes of a run share beyond their task; None without several runs of several nodes."""
    few_unusual: bool
    """Whether so few tasks differ in how siblings agree that `within` counts two tasks that were not seen."""
    one_run: bool
    """Whether tasks were run once, so that difficulty and what a run shares cannot be told apart."""
    signal: float
    """Mean vote, 2 accuracy - 1."""
    n_tasks: int
    n_runs: int
    n_votes: int
    refusals: tuple[str, ...]

    @property
    def tasks_differ(self) -> bool:
        """Whether tasks differ in difficulty; said of equal tasks once in a hundred times."""
        return self.between_variance is not None and self.between_variance.value > _SURE * self.between_variance.se

    @property
    def runs_differ(self) -> bool:
        """Whether the nodes of a run share more than their task; said of independent runs once in a hundred times."""
        return self.run_variance is not None and self.run_variance.value > _SURE * self.run_variance.se

    def summary(self) -> str:
        """Return the fit as text; the pooled figure always says what it is."""
        lines = [f"siblings: {self.n_votes} votes, {self.n_runs} runs of {self.n_tasks} tasks"]
        if self.within is not None:
            lines.append(f"rho (within runs) = {self.within}")
        lines += [f"rho refused: {reason}" for reason in self.refusals]
        if self.pooled is not None:
            lines.append(f"rho_pooled = {self.pooled}: includes task difficulty, not for alpha")
        if self.between_variance is not None:
            of = "tasks or runs (each task was run once)" if self.one_run else "tasks"
            lines.append(f"variance of signal between {of} = {self.between_variance}")
        if self.run_variance is not None:
            lines.append(f"variance of signal between runs of a task = {self.run_variance}")
        return "\n".join(lines)


def pair_moments(votes: pl.DataFrame, index: TaskIndex | None = None) -> PairMoments:
    """Return the moments of a table of votes: columns task, run, node and correct (0 or 1).

    Siblings are the votes with the same task, run and node; different nodes of one run are as good as different runs,
    because every node has a shock of its own (A4).
    """
    demand_columns(votes, ("task", "run", "node", "correct"), "votes")
    right = votes["correct"]
    if right.null_count() or not right.cast(pl.Float64).is_in([0.0, 1.0]).all():
        raise InputError("votes are right (1) or wrong (0), graded scores have no vote", "", "give 0 or 1 as correct")
    groups = votes.group_by("task", "run", "node").agg(
        pl.len().cast(pl.Float64).alias("n"), (2 * pl.col("correct").cast(pl.Float64) - 1).sum().alias("s")
    )
    sums = pl.col("n").sum(), pl.col("s").sum()
    squares = (pl.col("s") ** 2).sum().alias("s2"), (pl.col("n") ** 2).sum().alias("n2")
    by_run = groups.group_by("task", "run").agg(*sums, *squares)
    whole = (pl.col("s") ** 2).sum().alias("sr"), (pl.col("n") ** 2).sum().alias("nr")
    tasks = by_run.group_by("task").agg(*sums, pl.col("s2").sum(), pl.col("n2").sum(), *whole)
    names = tasks["task"].to_list()
    index = index or TaskIndex([names])
    n, s, s2, n2, sr, nr = (tasks[name].to_numpy() for name in ("n", "s", "s2", "n2", "sr", "nr"))
    filled = [np.full(len(index), np.nan) for _ in range(5)]
    place = index.codes(names)
    tops, bottoms = (s2 - n, s * s - s2, s, sr - s2, s * s - sr), (n2 - n, n * n - n2, n, nr - n2, n * n - nr)
    for column, top, bottom in zip(filled, tops, bottoms, strict=True):
        column[place] = np.divide(top, bottom, out=np.full(n.shape, np.nan), where=bottom > 0)
    return PairMoments(*filled)


def estimate_rho(votes: pl.DataFrame) -> RhoFit:
    """Return rho within runs and pooled, bias-corrected by the task jackknife.

    rho_within = (S - C) / (1 - C) over tasks with at least two runs; rho_pooled = (S - M) / (1 - M) over all tasks.
    Numerators and denominators are unbiased; the ratio's bias is O(1/tasks) and the jackknife removes it.

    Args:
        votes: columns task, run, node, correct; *received* votes for the rho of the theory. Sent votes give the
            correlation before the channel.
    """
    moments = pair_moments(votes)
    runs = votes.select("task", "run", "node").n_unique()
    usable = np.isfinite(moments.same) & np.isfinite(moments.cross)
    refusals = []
    within, few = None, False
    if int(usable.sum()) < MIN_TASKS:
        refusals.append(
            f"{int(usable.sum())} tasks were run twice with siblings; rho needs at least {MIN_TASKS}: without "
            "replicates it cannot be told from difficulty"
        )
    else:
        ones = np.ones(int(usable.sum()))
        same, cross = moments.same[usable], moments.cross[usable]
        n = ones.size
        left_s, left_c = (same.sum() - same) / (n - 1), (cross.sum() - cross) / (n - 1)
        if np.any(left_c >= 1) or cross.mean() >= 1:
            refusals.append("all votes are equal: their correlation is not defined")
        else:
            within = jackknife(float(_ratio(same.mean(), cross.mean())), _ratio(left_s, left_c))
            _, often = np.unique(np.round(np.stack([same, cross]), 9), axis=1, return_counts=True)
            few = bool(n - often.max() < FEW_UNUSUAL)
            within = hull(within, _with_unseen(within.value, same, cross)) if few else within
    several = int(np.isfinite(moments.runs).sum()) >= MIN_TASKS
    apart = moments.runs if several else moments.cross
    return RhoFit(
        within=within,
        few_unusual=few,
        pooled=_pooled(moments),
        between_variance=_between(apart, moments.mean) if int(usable.sum()) >= MIN_TASKS else None,
        run_variance=_of_runs(moments),
        one_run=not several,
        signal=float(np.nanmean(moments.mean)),
        n_tasks=int(np.isfinite(moments.mean).sum()),
        n_runs=runs,
        n_votes=votes.height,
        refusals=tuple(refusals),
    )


def _with_unseen(value: float, same: FloatArray, cross: FloatArray) -> Estimate:
    """Return rho with the interval of the tasks and of two that were not seen.

    In one of these siblings all agree, in the other three of them agree as little as they can; pairs of runs are as in
    the tasks seen. Where these are nearly alike, their spread says less than that there could be such a task.
    """
    more = np.append(same, [1.0, -1 / 3]), np.append(cross, [cross.mean()] * 2)
    n = more[0].size
    left = [(each.sum() - each) / (n - 1) for each in more]
    found = jackknife(value, _ratio(left[0], left[1]))
    reach = (found.high - found.low) / 2
    return Estimate(value, value - reach, value + reach, method="jackknife", se=found.se)


def rho_draws(moments: PairMoments, weights: FloatArray) -> FloatArray:
    """Return rho within runs of each resample, shape (n_draws,)."""
    usable = np.isfinite(moments.same) & np.isfinite(moments.cross)
    w = weights[:, usable]
    total = np.maximum(w.sum(axis=1), 1e-300)
    return _ratio(w @ moments.same[usable] / total, w @ moments.cross[usable] / total)


def pooled_draws(moments: PairMoments, weights: FloatArray) -> FloatArray:
    """Return rho pooled of each resample, shape (n_draws,); pairs of a task with its own copy are left out."""
    usable = np.isfinite(moments.same)
    w, m = weights[:, usable], moments.mean[usable]
    total = w.sum(axis=1)
    squared = ((w @ m) ** 2 - (w * w) @ (m * m)) / (total**2 - (w * w).sum(axis=1))
    return _ratio(w @ moments.same[usable] / total, squared)


def agent_correlations(votes: pl.DataFrame) -> tuple[tuple[int, ...], FloatArray]:
    """Return the agents and the matrix of phi coefficients of their votes, for `effective.optimal_votes` and the like.

    Over all groups in which every agent voted; like all pooled figures it holds difficulty. Shape (n_agents, n_agents).

    Args:
        votes: columns task, run, node, agent, correct.

    Raises:
        InputError: fewer than 3 groups are complete, or an agent is always right or always wrong.
    """
    agents = tuple(sorted(votes["agent"].unique().to_list()))
    table = votes.pivot(on="agent", index=["task", "run", "node"], values="correct").drop_nulls()
    if table.height < 3 or len(agents) < 2:
        raise InputError(
            f"{table.height} groups have votes of all {len(agents)} agents; correlations need 3 groups and 2 agents"
        )
    ballots = table.select([str(agent) for agent in agents]).to_numpy().astype(np.float64)
    constant = [agent for agent, spread in zip(agents, np.ptp(ballots, axis=0), strict=True) if spread == 0]
    if constant:
        raise InputError(f"the votes of agents {constant} never change: their correlation is not defined")
    return agents, np.asarray(np.corrcoef(ballots, rowvar=False), dtype=np.float64)


def _ratio(together: FloatArray | float, apart: FloatArray | float) -> FloatArray:
    top, bottom = np.asarray(together) - np.asarray(apart), 1 - np.asarray(apart)
    quotient = np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)
    return np.asarray(quotient, dtype=np.float64)


def _pooled(moments: PairMoments) -> Estimate | None:
    usable = np.isfinite(moments.same)
    s, m = moments.same[usable], moments.mean[usable]
    n = s.size
    if n < 3:
        return None
    value = _ratio(s.mean(), _different_tasks(m.sum(), (m * m).sum(), n))
    left = _ratio((s.sum() - s) / (n - 1), _different_tasks(m.sum() - m, (m * m).sum() - m * m, n - 1))
    return jackknife(float(value), left) if np.all(np.isfinite(left)) else None


def _of_runs(moments: PairMoments) -> Estimate | None:
    """Return how much more the nodes of one run agree than those of different runs, over tasks that have both."""
    usable = np.isfinite(moments.nodes) & np.isfinite(moments.runs)
    n = int(usable.sum())
    if n < MIN_TASKS:
        return None
    more = (moments.nodes - moments.runs)[usable]
    return jackknife(float(more.mean()), (more.sum() - more) / (n - 1))


def _between(apart: FloatArray, mean: FloatArray) -> Estimate:
    usable = np.isfinite(apart)
    c, m = apart[usable], mean[usable]
    n = c.size
    value = c.mean() - _different_tasks(m.sum(), (m * m).sum(), n)
    left = (c.sum() - c) / (n - 1) - _different_tasks(m.sum() - m, (m * m).sum() - m * m, n - 1)
    return jackknife(float(value), np.asarray(left))


def _different_tasks(total: FloatArray | float, squares: FloatArray | float, n: int) -> FloatArray:
    """Return the mean product over pairs of different tasks, unbiased for the squared mean."""
    return np.asarray((np.asarray(total) ** 2 - squares) / (n * (n - 1)), dtype=np.float64)
