"""This module cross-validates with whole groups held out: it says what a fit is worth on groups it has not seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from agentsoc.errors import InputError
from agentsoc.streams import stream
from analysis.interval import FloatArray, IntArray
from analysis.stats.predictors import design, learn_scale


@dataclass(frozen=True)
class CrossValidation:
    """The object holds errors on rows that the fit had not seen."""

    r2: float
    """1 - squared error / squared error of the training mean; negative when the fit is worse than that mean."""
    mae: float
    """Mean absolute error, in units of the score."""
    rmse: float
    predicted: FloatArray
    """Prediction of each row by a fit without its group, shape (n_rows,)."""


def group_folds(code: IntArray, folds: int, *, seed: int = 0) -> Iterator[tuple[IntArray, IntArray]]:
    """Yield (training rows, held-out rows); every group is held out once, whole.

    Groups are dealt out largest first, each to the fold with the fewest rows, in an order that `seed` shuffles.

    Raises:
        InputError: more folds than groups, or fewer than two.
    """
    groups, size = np.unique(code, return_counts=True)
    if not 2 <= folds <= groups.size:
        raise InputError(f"{folds} folds of {groups.size} groups are impossible", "folds", "use 2 up to that number")
    shuffled = stream(seed, "stats", "folds").permutation(groups.size)
    order = shuffled[np.argsort(-size[shuffled], kind="stable")]
    load, home = np.zeros(folds), np.zeros(groups.size, dtype=np.int64)
    for at in order:
        home[at] = int(np.argmin(load))
        load[home[at]] += size[at]
    fold = home[np.searchsorted(groups, code)]
    for number in range(folds):
        yield np.flatnonzero(fold != number), np.flatnonzero(fold == number)


def cross_validate(
    table: pl.DataFrame, response: str, code: IntArray, *, folds: int = 5, seed: int = 0
) -> CrossValidation:
    """Predict every row by least squares on `predictors` fitted without its group.

    Scales are learnt from the training rows alone.

    Args:
        table: rows with all predictors and `response`.
        response: what is predicted.
        code: group of each row.
        folds: parts; at most as many as groups.
        seed: root of the dealing.
    """
    y = table[response].cast(pl.Float64).to_numpy().astype(np.float64)
    predicted, naive = np.zeros(y.size), np.zeros(y.size)
    for train, held in group_folds(code, min(folds, np.unique(code).size), seed=seed):
        predicted[held] = predict_rows(table[train], y[train], table[held])
        naive[held] = y[train].mean()
    off = y - predicted
    return CrossValidation(
        1 - float(off @ off / np.sum((y - naive) ** 2)), float(np.abs(off).mean()), float(np.sqrt(np.mean(off**2))),
        predicted,
    )  # fmt: skip


def predict_rows(train: pl.DataFrame, y: FloatArray, other: pl.DataFrame) -> FloatArray:
    """Return least-squares predictions for `other` from `train`, shape (n_other,); the shortest of equal solutions."""
    scale = learn_scale(train)
    x = design(train, scale)
    # einsum, because a product of matrices this small costs more in threads of a busy machine than in arithmetic
    gram = np.einsum("ij,ik->jk", x, x)
    beta = np.linalg.pinv(gram, rcond=1e-10, hermitian=True) @ (x.T @ y)
    return np.asarray(design(other, scale) @ beta)
