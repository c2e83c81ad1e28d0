"""This module computes K* of a team over many tasks by one-hot answers, and keeps no more than the result needs.

A team over all tasks is known by how often each two agents agreed; which agents are the team shows at the end only.
What was counted for fewer agents than are known by now can be no part of the result and is forgotten.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from analysis.measures.diversity import channels
from analysis.measures.outputs import F64, I64, Votes
from analysis.ranks import ranked

TEAM_MAX: Final = 2_000
"""Agents up to which a team is compared as a whole (agents): the matrix has their square."""
DENSE_MAX: Final = 20_000_000
"""Comparisons of answers made at once."""
FEW: Final = 16
"""Number of different answers up to which agreement is counted by products of matrices (answers)."""


class Agreement:
    """The object counts how often each two agents said the same, over the tasks that all of the team answered."""

    def __init__(self) -> None:
        self.agents: I64 = np.zeros(0, np.int64)
        """All agents that were met, increasing."""
        self.n_tasks = 0
        """Tasks that all of them answered."""
        self._same: F64 = np.zeros((0, 0))

    def add(self, task: I64, agent: I64, answer: I64) -> None:
        """Take in answers to further tasks, one of an agent to a task, in the order (task, agent).

        Args:
            task: shape (n,), increasing.
            agent: shape (n,).
            answer: codes, shape (n,).
        """
        known = np.union1d(self.agents, agent)
        n = len(known)
        if n > len(self.agents):  # no task before this one had them all
            self.agents, self.n_tasks = known, 0
            self._same = np.zeros((n, n) if n <= TEAM_MAX else (0, 0))
        if n > TEAM_MAX or not len(task):
            return
        ends = np.append(np.flatnonzero(np.diff(task)), len(task) - 1)
        sizes = np.diff(ends, prepend=-1)
        said = answer[np.repeat(sizes == n, sizes)].reshape(-1, n)
        if len(said):
            self.n_tasks += len(said)
            self._same += _same(said)

    def gram(self) -> F64 | None:
        """Return the share of tasks in which each two agents agreed, shape (n, n); None where there is no such task."""
        return self._same / self.n_tasks if self.n_tasks else None


def _same(said: I64) -> F64:
    """Return the number of tasks in which each two agents said the same; `said` has the shape (n_tasks, n)."""
    n = said.shape[1]
    found = np.zeros((n, n))
    values, codes = ranked(said.reshape(-1))
    codes = codes.reshape(said.shape)
    if len(values) <= FEW:
        for code in range(len(values)):
            one = (codes == code).astype(np.float64)
            found += one.T @ one
        return found
    step = max(1, DENSE_MAX // (n * n))
    for start in range(0, len(codes), step):
        part = codes[start : start + step]
        found += (part[:, :, None] == part[:, None, :]).sum(axis=0)
    return found


class Cumulative:
    """The object adds up, for each round, K* of all texts up to it per question, and its mean over questions."""

    def __init__(self, *, centred: bool) -> None:
        self._centred = centred
        self._rounds: dict[int, F64] = {}
        """By round, what it adds: questions, texts, sum of K*."""

    def add(self, votes: Votes) -> None:
        """Take in the votes on further tasks."""
        n_tasks, n_words = len(votes.tasks), len(votes.words)
        cells, cell = ranked(votes.task * n_words + votes.answer)
        of = cells // max(n_words, 1)
        starts = np.searchsorted(of, np.arange(n_tasks + 1))
        counts, n = np.zeros(len(cells)), np.zeros(n_tasks)
        sums, values = np.zeros(n_tasks), np.zeros(n_tasks)
        order = np.argsort(votes.round, kind="stable")
        ends = np.flatnonzero(np.diff(votes.round[order], append=-1)) + 1
        for rows in np.split(order, ends[:-1]):
            if not len(rows):
                continue
            touched, more = np.unique(cell[rows], return_counts=True)
            after = counts[touched] + more
            np.add.at(
                sums, of[touched], after * np.log2(after) - counts[touched] * np.log2(np.maximum(counts[touched], 1))
            )
            counts[touched] = after
            np.add.at(n, of[touched], more)
            tasks = np.unique(of[touched])
            fresh = int((values[tasks] == 0).sum())
            if self._centred:
                new = _centred(counts, starts, tasks)
            else:  # one-hot rows: the eigenvalues are the counts
                new = np.exp2(np.maximum(np.log2(n[tasks]) - sums[tasks] / n[tasks], 0.0))
            adds = np.array([fresh, len(rows), float((new - values[tasks]).sum())])
            values[tasks] = new
            at = int(votes.round[rows[0]])
            self._rounds[at] = self._rounds.get(at, np.zeros(3)) + adds

    def rows(self) -> list[tuple[int, float, float]]:
        """Return (round, mean number of texts, mean K*) for each round, increasing."""
        total, found = np.zeros(3), []
        for at in sorted(self._rounds):
            total = total + self._rounds[at]
            found.append((at, float(total[1] / total[0]), float(total[2] / total[0])))
        return found


def _centred(counts: F64, starts: I64, tasks: I64) -> F64:
    """Return the centred K* of one-hot rows by how many say each answer: the spectrum of diag(c) - c c'/n.

    Args:
        counts: votes for each answer to each task, shape (n_cells,).
        starts: first cell of each task, shape (n_tasks + 1,).
        tasks: for which tasks.
    """
    found, width = np.ones(len(tasks)), np.diff(starts)[tasks]
    for k in np.unique(width).tolist():
        places = np.flatnonzero(width == k)
        step = max(1, DENSE_MAX // (k * k))
        for start in range(0, len(places), step):
            some = places[start : start + step]
            c = counts[starts[tasks[some]][:, None] + np.arange(k)]
            gram = c[:, :, None] * np.eye(k) - c[:, :, None] * c[:, None, :] / c.sum(axis=1)[:, None, None]
            values = np.maximum(np.linalg.eigvalsh(gram), 0.0)
            values[values < 1e-9] = 0.0
            total = values.sum(axis=1, keepdims=True)
            found[some] = channels(values / np.where(total > 0, total, 1.0))
    return found
