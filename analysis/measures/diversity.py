"""This module computes K*: how many different channels a team has, and how alike its members are (arXiv 2602.03794).

Rows of a matrix M (n x d) are what n agents said, as vectors. They are scaled to length 1; then

    mu = eigenvalues of M'M, which are those of MM' and zeros,  lambda = mu / sum mu
    H  = -sum lambda log2 lambda,   K* = 2^H

so n orthogonal rows have K* = n, equal rows 1. For n rows with pairwise cosine rho, lambda_1 = (1 + (n-1) rho)/n and
n - 1 times (1 - rho)/n: two orthogonal rows (2.0) are worth more than sixteen with rho = .9 (1.76).

Rows are not centred: a topic that all share lowers K*, and so does anything else that their vectors have in common.
The centred variant (`centred=True`) takes the mean row away first; it counts directions of *difference*, n - 1 at
most, and has to be named when it is used. Random rows are not n channels in few dimensions: 16 of them have K* = 9.5
in 16 dimensions and 15.7 in 384.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agentsoc.errors import InputError

F64 = NDArray[np.float64]
Route = Literal["gram", "covariance"]

NEGLIGIBLE: Final = 1e-12
"""Shares below this are rounding."""
CORRECT_WEIGHT: Final = 1.0
WRONG_WEIGHT: Final = 0.3
UNPARSED_WEIGHT: Final = 0.5


def unit_rows(rows: ArrayLike) -> F64:
    """Return `rows`, shape (..., n, d), each scaled to length 1; rows of zeros stay.

    Raises:
        InputError: a value is not finite, or there are not two axes.
    """
    matrix = np.asarray(rows, dtype=np.float64)
    if matrix.ndim < 2 or not np.isfinite(matrix).all():
        raise InputError(f"vectors must be finite rows of a matrix, got shape {matrix.shape}")
    largest = np.abs(matrix).max(axis=-1, keepdims=True, initial=0.0)
    matrix = matrix / np.where(largest > 0, largest, 1.0)  # first of all: squares must not overflow or vanish
    length = np.linalg.norm(matrix, axis=-1, keepdims=True)
    return np.asarray(matrix / np.where(length > 0, length, 1.0))


def spectrum(rows: ArrayLike, *, centred: bool = False, route: Route | None = None) -> F64:
    """Return the shares lambda of the eigenvalues, shape (..., min(n, d)), increasing; zeros for a matrix of zeros.

    Args:
        rows: shape (..., n, d); the leading axes are teams of equal size.
        centred: take the mean of the scaled rows away first.
        route: through MM' (n x n) or M'M (d x d); None for the smaller one.
    """
    matrix = unit_rows(rows)
    if centred:
        matrix = matrix - matrix.mean(axis=-2, keepdims=True)
    n, d = matrix.shape[-2:]
    if route is None:
        route = "gram" if n <= d else "covariance"
    other = np.swapaxes(matrix, -1, -2)
    return shares(matrix @ other if route == "gram" else other @ matrix)[..., -min(n, d) :]


def shares(gram: ArrayLike) -> F64:
    """Return the shares of the eigenvalues of a symmetric matrix of inner products, shape (..., n), increasing."""
    symmetric = np.asarray(gram, dtype=np.float64)
    if symmetric.shape[-1] == 0:
        return np.zeros(symmetric.shape[:-1])
    values = np.maximum(np.linalg.eigvalsh(symmetric), 0.0)
    # what is left of rows that are equal but for rounding is no channel
    values[values < NEGLIGIBLE * symmetric.shape[-1]] = 0.0
    total = values.sum(axis=-1, keepdims=True)
    return np.asarray(values / np.where(total > 0, total, 1.0))


def channels(of: ArrayLike) -> F64:
    """Return 2^H for shares along the last axis; 1 where there are none."""
    lam = np.asarray(of, dtype=np.float64)
    kept = np.where(lam > NEGLIGIBLE, lam, 1.0)
    return np.asarray(np.exp2(-(kept * np.log2(kept)).sum(axis=-1)))


def k_star(
    rows: ArrayLike, *, centred: bool = False, weights: ArrayLike | None = None, route: Route | None = None
) -> float:
    """Return K* of a team, 1 for no rows or rows of zeros.

    Args:
        rows: one vector per agent, shape (n, d).
        centred: the centred variant, see the module.
        weights: factor of each scaled row, shape (n,), such as `answer_weights` gives; not with `centred`.
        route: see `spectrum`.
    """
    matrix = np.asarray(rows, dtype=np.float64)
    if not matrix.size:
        return 1.0
    if weights is None:
        return float(channels(spectrum(matrix, centred=centred, route=route)))
    if centred:
        raise InputError("K* is weighted or centred, not both: the mean of weighted rows is no direction of theirs")
    scaled = unit_rows(matrix) * np.asarray(weights, dtype=np.float64)[:, None]
    return float(channels(shares(scaled @ scaled.T if len(scaled) <= scaled.shape[1] else scaled.T @ scaled)))


def equicorrelated(n: int, rho: float) -> float:
    """Return K* of n rows with pairwise cosine `rho`, in closed form.

    Raises:
        InputError: no n vectors have this cosine.
    """
    if n < 1 or not -1 / max(n - 1, 1) <= rho <= 1:
        raise InputError(f"{n} vectors cannot all have the cosine {rho}")
    return float(channels([(1 + (n - 1) * rho) / n, *[(1 - rho) / n] * (n - 1)]))


def redundancy(rows: ArrayLike) -> float:
    """Return the mean cosine of two different rows, NaN with fewer than two; rows of zeros are left out."""
    matrix = unit_rows(rows)
    matrix = matrix[np.abs(matrix).sum(axis=1) > 0]
    n = len(matrix)
    if n < 2:
        return float("nan")
    return float((np.sum(matrix.sum(axis=0) ** 2) - n) / (n * (n - 1)))


def leave_one_out(rows: ArrayLike, *, centred: bool = False) -> F64:
    """Return what each agent adds: K* of all minus K* without it, shape (n,); negative for one that repeats others."""
    matrix = np.asarray(rows, dtype=np.float64)
    whole = k_star(matrix, centred=centred)
    return np.array([whole - k_star(np.delete(matrix, i, axis=0), centred=centred) for i in range(len(matrix))])


@dataclass(frozen=True)
class ByAnswer:
    """The object holds K* of those who were right and of those who were wrong."""

    correct: float
    wrong: float

    @property
    def effective(self) -> float:
        """Diversity that helps: K* of the right minus half of that of the wrong."""
        return self.correct - 0.5 * self.wrong


def by_answer(rows: ArrayLike, score: ArrayLike, *, centred: bool = False) -> ByAnswer:
    """Return K* of the agents with a score of at least one half, and of the others that have one.

    Args:
        rows: shape (n, d).
        score: verifier's score of each agent's answer, shape (n,); NaN for none.
        centred: see `k_star`.
    """
    matrix, scores = np.asarray(rows, dtype=np.float64), np.asarray(score, dtype=np.float64)
    return ByAnswer(k_star(matrix[scores >= 0.5], centred=centred), k_star(matrix[scores < 0.5], centred=centred))


def answer_weights(score: ArrayLike) -> F64:
    """Return the weights of rows by answer: 1 right, 0.3 wrong, 0.5 without a score (NaN), with mean 1."""
    scores = np.asarray(score, dtype=np.float64)
    weights = np.where(np.isnan(scores), UNPARSED_WEIGHT, np.where(scores >= 0.5, CORRECT_WEIGHT, WRONG_WEIGHT))
    return np.asarray(weights / weights.mean()) if len(weights) else weights


def correlation(k_stars: ArrayLike, accuracy: ArrayLike) -> tuple[float, float, float]:
    """Return Pearson's correlation of K* with majority accuracy over teams, and its 95 % interval (Fisher's z).

    NaN with fewer than four teams or when one of the two does not vary. It means something among teams of equal size
    and equal individual accuracy only.
    """
    x, y = np.asarray(k_stars, dtype=np.float64), np.asarray(accuracy, dtype=np.float64)
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    if len(x) < 4 or np.ptp(x) < NEGLIGIBLE or np.ptp(y) < NEGLIGIBLE:
        return float("nan"), float("nan"), float("nan")
    r = float(np.clip(np.corrcoef(x, y)[0, 1], -1, 1))
    if abs(r) == 1:
        return r, r, r
    reach = 1.959963984540054 / np.sqrt(len(x) - 3)
    return r, float(np.tanh(np.arctanh(r) - reach)), float(np.tanh(np.arctanh(r) + reach))
