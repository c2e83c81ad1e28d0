"""This module resamples tasks for all organisations and budgets of a comparison together, for what is said of curves.

A point of a curve is the mean score and the mean tokens of an organisation at a budget. All points of a comparison see
the same samples of tasks, so that whatever is computed of several of them keeps their pairing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from analysis.interval import FloatArray
from analysis.stats.clusters import task_weights

REPLICATES = 2_000


@dataclass(frozen=True)
class Draws:
    """The draws of points hold what was observed in row 0, and then what each bootstrap sample of tasks gives."""

    labels: tuple[str, ...]
    score: FloatArray
    """Mean scores, shape (1 + replicates, points)."""
    tokens: FloatArray
    """Mean tokens of a task, same shape (tokens)."""
    n_tasks: int
    bounded: bool
    """Whether scores lie from 0 to 1."""

    def of(self, labels: Sequence[str]) -> Draws:
        """Return the draws of some points, in this order."""
        at = [self.labels.index(label) for label in labels]
        return Draws(tuple(labels), self.score[:, at], self.tokens[:, at], self.n_tasks, self.bounded)


@dataclass(frozen=True)
class TaskTable:
    """The table holds sums over the rows of each task (seeds and repeats), for each point."""

    labels: tuple[str, ...]
    score: FloatArray
    """Shape (tasks, points)."""
    tokens: FloatArray
    rows: FloatArray
    bounded: bool

    @property
    def whole(self) -> NDArray[np.bool_]:
        """Whether every point has a row of a task, shape (tasks,)."""
        return np.asarray((self.rows > 0).all(axis=1))

    def of(self, labels: Sequence[str]) -> TaskTable:
        """Return some points on the tasks that all of these have."""
        at = [self.labels.index(label) for label in labels]
        kept = (self.rows[:, at] > 0).all(axis=1)
        score, tokens, rows = (one[kept][:, at] for one in (self.score, self.tokens, self.rows))
        return TaskTable(tuple(labels), score, tokens, rows, self.bounded)

    def draws(self, *, replicates: int = REPLICATES, seed: int = 0) -> Draws:
        """Return the means of all points over bootstrap samples of tasks; a sample without a row has that of all."""
        n, points = self.rows.shape
        columns = np.column_stack([self.score, self.tokens, self.rows])
        ones = np.ones((1, n))
        sums = np.concatenate([ones @ columns, *(w @ columns for w in task_weights(replicates, n, seed=seed))])
        score, tokens, rows = (sums[:, at * points : (at + 1) * points] for at in range(3))
        rows, empty = np.maximum(rows, 1.0), rows <= 0
        means = score / rows, tokens / rows
        score, tokens = (np.where(empty, one[:1], one) for one in means)
        return Draws(self.labels, score, tokens, n, self.bounded)


def task_table(rows: pl.DataFrame, labels: Sequence[str], cluster: Sequence[str]) -> TaskTable:
    """Return the sums by task of the rows with a score.

    Args:
        rows: columns organisation (a label), score, tokens and those of `cluster`.
        labels: the points, in order.
        cluster: columns that together name a task.
    """
    known = rows.filter(pl.col("organisation").is_in(list(labels))).drop_nulls(["score", "tokens"])
    task = known.select(pl.struct(cluster).rank("dense")).to_series().to_numpy().astype(np.int64) - 1
    place: Mapping[str, int] = {label: at for at, label in enumerate(labels)}
    point = known["organisation"].replace_strict(place, return_dtype=pl.Int64).to_numpy()
    n = int(task.max()) + 1 if task.size else 0
    cell, size = task * len(labels) + point, n * len(labels)
    scores = known["score"].cast(pl.Float64).to_numpy()

    def total(weights: FloatArray | None) -> FloatArray:
        return np.bincount(cell, weights=weights, minlength=size).astype(np.float64).reshape(n, len(labels))

    bounded = bool(scores.size) and scores.min() >= 0 and scores.max() <= 1
    tokens = known["tokens"].cast(pl.Float64).to_numpy()
    return TaskTable(tuple(labels), total(scores), total(tokens), total(None), bounded)
