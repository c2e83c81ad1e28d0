"""This module measures votes of many tasks at once: final answers, how often agents agree, what a round resolves.

For the standing answers of one task, c_a agents behind answer a, n in all, p_a = c_a / n:

    vote entropy        H = -sum p log2 p                       (bits)
    consensus           sum p^2;  disagreement = 1 - consensus
    majority_correct    verifier's score of the answer with most votes, the mean over those that tie
    information gain    sum over rounds of H before - H after, each over the agents that stood by an answer before
                        the round: a newcomer changes who votes, not what is known
    redundancy          mean cosine of one-hot answers of two different agents in the same round, which is the share
                        of pairs that agree: (sum c^2 - n) / (n (n - 1)), averaged over rounds with two or more
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from analysis.measures.outputs import F64, I64, Outputs
from analysis.ranks import ranked


@dataclass(frozen=True)
class Cells:
    """The object holds votes as integers: a cell is one answer to one task, a pair one agent on one task."""

    n_tasks: int
    task: I64
    """Index of the task of each vote, shape (n_votes,)."""
    round: I64
    cell: I64
    pair: I64
    cell_task: I64
    """Task of each cell, shape (n_cells,)."""
    cell_score: F64
    """Verifier's score of each answer, NaN where nothing scored it, shape (n_cells,)."""
    n_pairs: int


def ballot_metrics(outputs: Outputs, tasks: I64) -> pl.DataFrame:
    """Return the columns of the module for each of `tasks`, increasing; null where a task has no votes to say it."""
    cells = _cells(outputs, tasks)
    gain, counts = _information_gain(cells)
    n = cells.n_tasks
    of = cells.cell_task
    votes = np.bincount(of, counts, n)
    with np.errstate(invalid="ignore", divide="ignore"):
        squares = np.bincount(of, counts**2, n) / votes**2
        entropy = np.log2(votes) - np.bincount(of, _nlogn(counts), n) / votes
        correct = np.bincount(of, counts * np.nan_to_num(cells.cell_score), n) / votes
        unscored = np.bincount(of, np.isnan(cells.cell_score) & (counts > 0), n) > 0
    correct[unscored] = np.nan
    found = {
        "task": tasks,
        "n_voters": votes.astype(np.int64),
        "n_answers": np.bincount(of, counts > 0, n).astype(np.int64),
        "consensus": squares,
        "disagreement": 1 - squares,
        "vote_entropy": np.where(votes > 0, np.maximum(entropy, 0.0), np.nan),
        "voter_accuracy": correct,
        "majority_correct": _plurality_score(cells, counts),
        "information_gain": gain,
        "redundancy": _agreement(cells),
    }
    return pl.DataFrame(found).with_columns(pl.col(pl.Float64).fill_nan(None))


def _cells(outputs: Outputs, tasks: I64) -> Cells:
    votes = outputs.coded
    task = np.searchsorted(tasks, votes.tasks)[votes.task]
    keys, cell = ranked(task * len(votes.words) + votes.answer)
    score = np.full(len(keys), np.nan)
    known = ~np.isnan(votes.score)
    score[cell[known]] = votes.score[known]
    cell_task = np.zeros(len(keys), np.int64)
    cell_task[cell] = task
    return Cells(len(tasks), task, votes.round, cell, votes.seats.of, cell_task, score, len(votes.seats.task))


def _nlogn(counts: F64) -> F64:
    return counts * np.log2(np.maximum(counts, 1.0))


def _information_gain(cells: Cells) -> tuple[F64, F64]:
    """Return the gain of each task (NaN where no two agents stood by an answer before a round) and the final counts.

    H = log2 n - sum c log2 c / n, so what a round does to the n that voted before is a change of the sum alone.
    """
    stand = np.full(cells.n_pairs, -1, np.int64)
    counts = np.zeros(len(cells.cell_task))
    voters = np.zeros(cells.n_tasks)
    gain = np.full(cells.n_tasks, np.nan)
    order = np.argsort(cells.round, kind="stable")
    ends = np.flatnonzero(np.diff(cells.round[order], append=-1))
    start = 0
    for end in (ends + 1).tolist():
        rows = order[start:end]
        start = end
        pair, new, task = cells.pair[rows], cells.cell[rows], cells.task[rows]
        old = stand[pair]
        stood = old >= 0
        seen = np.unique(task)
        seen = seen[voters[seen] >= 2]
        gain[seen] = np.nan_to_num(gain[seen])
        moved = stood & (old != new)
        if moved.any():
            touched, place = np.unique(np.concatenate([old[moved], new[moved]]), return_inverse=True)
            sign = np.repeat([-1.0, 1.0], int(moved.sum()))
            after = counts[touched] + np.bincount(place, sign, len(touched))
            of = cells.cell_task[touched]
            np.add.at(gain, of, (_nlogn(after) - _nlogn(counts[touched])) / voters[of])
            counts[touched] = after
        np.add.at(counts, new[~stood], 1.0)
        np.add.at(voters, task[~stood], 1.0)
        stand[pair] = new
    return gain, counts


def _plurality_score(cells: Cells, counts: F64) -> F64:
    """Return the mean score of the answers with most votes; NaN without votes or where one of them is not scored."""
    most = np.zeros(cells.n_tasks)
    np.maximum.at(most, cells.cell_task, counts)
    leading = (counts > 0) & (counts == most[cells.cell_task])
    of = cells.cell_task[leading]
    n = np.bincount(of, minlength=cells.n_tasks)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.bincount(of, cells.cell_score[leading], cells.n_tasks) / n)


def _agreement(cells: Cells) -> F64:
    """Return the mean over rounds of the share of pairs of agents that said the same, per task."""
    n_rounds = int(cells.round.max(initial=0)) + 1
    where, counts = np.unique(cells.cell * n_rounds + cells.round, return_counts=True)
    place = cells.cell_task[where // n_rounds] * n_rounds + where % n_rounds
    groups, group = ranked(place)
    n = np.bincount(group, counts, len(groups))
    squares = np.bincount(group, counts.astype(np.float64) ** 2, len(groups))
    several = n >= 2
    share = (squares[several] - n[several]) / (n[several] * (n[several] - 1))
    of = groups[several] // n_rounds
    rounds = np.bincount(of, minlength=cells.n_tasks)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.bincount(of, share, cells.n_tasks) / rounds)
