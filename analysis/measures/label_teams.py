"""This module computes K* of many teams at once by one-hot answers, as `analysis.measures.diversity` does one by one.

An agent's vector has an axis for every answer in every round, scaled to length 1. Agents that voted once each have
vectors that are equal or orthogonal, so the eigenvalues of a team are the numbers of votes behind each answer, and
nothing has to be decomposed. Other teams of equal size and as many axes are stacked, a few at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from analysis.measures.diversity import CORRECT_WEIGHT, UNPARSED_WEIGHT, WRONG_WEIGHT, channels, shares
from analysis.measures.outputs import F64, I64, Votes
from analysis.ranks import ranked

STACK_MAX: Final = 1_000_000
"""Numbers of a stack of teams worked on at once."""

_Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Teams:
    """The object has one entry per task with votes, in the order of `Votes.tasks`; arrays have shape (n_tasks,)."""

    n_agents: I64
    k_star: F64
    correct: F64
    """K* of the agents whose last answer was right (a score of one half or more)."""
    wrong: F64
    weighted: F64
    """K* of rows weighted by `analysis.measures.diversity.answer_weights`; NaN for the centred variant."""
    redundancy: F64
    """Mean cosine of two agents, NaN for one agent."""


def label_teams(votes: Votes, *, centred: bool = False) -> Teams:
    """Return K* of the agents of each task.

    Args:
        votes: what they said.
        centred: the centred variant, see `analysis.measures.diversity`.
    """
    seats, n_tasks = votes.seats, len(votes.tasks)
    n = np.bincount(seats.task, minlength=n_tasks)
    found = Teams(n, *(np.ones(n_tasks) for _ in range(3)), *(np.full(n_tasks, np.nan) for _ in range(2)))
    if not n_tasks:
        return found
    axis, axes = _axes(votes)
    spoke = np.bincount(seats.of, minlength=len(seats.task))
    score = votes.score[seats.last]
    weight = _weights(score, seats.task, n)
    once = np.bincount(seats.task, spoke, n_tasks) == n
    if not centred and once.any():
        _of_one_vote(votes, axis, once, score, weight, found)
    rest = np.flatnonzero(~once if not centred else np.ones(n_tasks, bool))
    if len(rest):
        _stacked(votes, axis, axes, rest, score, weight, centred, found)
    return found


def _axes(votes: Votes) -> tuple[I64, I64]:
    """Return the axis of each vote, counted over all tasks, and the first axis of each task, shape (n_tasks + 1,)."""
    rounds = ranked(votes.round)[1]
    key = (votes.task * (int(rounds.max()) + 1) + rounds) * len(votes.words) + votes.answer
    axis = ranked(key)[1]
    of = np.zeros(int(axis.max()) + 1, np.int64)
    of[axis] = votes.task
    return axis, np.searchsorted(of, np.arange(len(votes.tasks) + 1))


def _weights(score: F64, task: I64, n: I64) -> F64:
    """Return `answer_weights` of each team, shape (n_seats,)."""
    plain = np.where(np.isnan(score), UNPARSED_WEIGHT, np.where(score >= 0.5, CORRECT_WEIGHT, WRONG_WEIGHT))
    return np.asarray(plain / (np.bincount(task, plain, len(n)) / n)[task])


def _of_one_vote(votes: Votes, axis: I64, once: _Mask, score: F64, weight: F64, found: Teams) -> None:
    """Fill in the teams whose agents voted once each: eigenvalues are sums over the votes for each answer."""
    seats, n_tasks = votes.seats, len(votes.tasks)
    seat = seats.of
    task_of_axis = np.zeros(int(axis.max()) + 1, np.int64)
    task_of_axis[axis] = votes.task

    def of(size: F64) -> F64:
        return np.asarray(np.bincount(axis, size[seat], len(task_of_axis)), dtype=np.float64)

    def k_star(values: F64) -> F64:
        total = np.bincount(task_of_axis, values, n_tasks)
        share = values / np.where(total > 0, total, 1.0)[task_of_axis]
        bits = np.bincount(task_of_axis, share * np.log2(np.where(share > 0, share, 1.0)), n_tasks)
        return np.asarray(np.exp2(-bits))

    counts = of(np.ones(len(score)))
    found.k_star[once] = k_star(counts)[once]
    found.correct[once] = k_star(of((score >= 0.5).astype(np.float64)))[once]
    found.wrong[once] = k_star(of((score < 0.5).astype(np.float64)))[once]
    found.weighted[once] = k_star(of(weight**2))[once]
    several = once & (found.n_agents > 1)
    n = found.n_agents[several].astype(np.float64)
    found.redundancy[several] = (np.bincount(task_of_axis, counts**2, n_tasks)[several] - n) / (n * (n - 1))


def _stacked(
    votes: Votes, axis: I64, axes: I64, rest: I64, score: F64, weight: F64, centred: bool, found: Teams
) -> None:
    """Fill in the teams of the tasks `rest`, those of equal size and as many axes together."""
    seats = votes.seats
    first_seat = np.searchsorted(seats.task, np.arange(len(votes.tasks) + 1))
    column = axis - axes[votes.task]
    entry = 1 / np.sqrt(np.bincount(seats.of, minlength=len(seats.task)))
    order = np.argsort(votes.task, kind="stable")
    first_vote = np.searchsorted(votes.task[order], np.arange(len(votes.tasks) + 1))
    shape = np.stack([np.diff(first_seat)[rest], np.diff(axes)[rest]], axis=1)
    kinds, kind = np.unique(shape, axis=0, return_inverse=True)
    by_kind = np.split(rest[np.argsort(kind, kind="stable")], np.cumsum(np.bincount(kind.reshape(-1)))[:-1])
    for (n, d), tasks in zip(kinds.tolist(), by_kind, strict=True):
        step = max(1, STACK_MAX // max(n * d, min(n, d) ** 2))
        for start in range(0, len(tasks), step):
            some = tasks[start : start + step]
            rows = np.zeros((len(some), n, d))
            at = _ranges(first_vote, some)
            vote = order[at]
            which = np.repeat(np.arange(len(some)), (first_vote[some + 1] - first_vote[some]))
            rows[which, seats.place[seats.of[vote]], column[vote]] = entry[seats.of[vote]]
            seat = first_seat[some][:, None] + np.arange(n)
            right, wrong = score[seat] >= 0.5, score[seat] < 0.5
            found.k_star[some] = _spectra(rows, None, centred)
            found.correct[some] = _spectra(rows, right, centred)
            found.wrong[some] = _spectra(rows, wrong, centred)
            if not centred:
                found.weighted[some] = _spectra(rows * weight[seat][:, :, None], None, centred)
            if n > 1:
                found.redundancy[some] = ((rows.sum(axis=1) ** 2).sum(axis=1) - n) / (n * (n - 1))


def _ranges(first: I64, of: I64) -> I64:
    """Return the numbers of the ranges first[i] ... first[i + 1] - 1 for each i in `of`, one after the other."""
    lengths = first[of + 1] - first[of]
    return np.asarray(np.repeat(first[of] - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum()))


def _spectra(rows: F64, kept: _Mask | None, centred: bool) -> F64:
    """Return K* of each team of a stack.

    Args:
        rows: shape (n_teams, n, d).
        kept: which agents of each team count, shape (n_teams, n); None for all.
        centred: take the mean of those rows away first.
    """
    if kept is not None:
        rows = rows * kept[:, :, None]
    if centred:
        n = np.full(len(rows), rows.shape[1]) if kept is None else kept.sum(axis=1)
        rows = rows - (rows.sum(axis=1) / np.maximum(n, 1)[:, None])[:, None, :]
        if kept is not None:
            rows = rows * kept[:, :, None]
    other = np.swapaxes(rows, 1, 2)
    return channels(shares(rows @ other if rows.shape[1] <= rows.shape[2] else other @ rows))
