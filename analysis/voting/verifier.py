"""This module treats resampling until an imperfect verifier accepts: ceiling, coverage, best number of attempts.

After "Inference Scaling fLaws" (arXiv 2411.17501); the formulas are derived here and checked by simulation [D]. An
attempt is right with probability p; the verifier accepts right answers with probability c (completeness) and wrong ones
with probability f (false positives). The same holds of any organisation whose last step selects: f is then the
selector's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from agentsoc.errors import InputError
from analysis.interval import FloatArray

MOST_ATTEMPTS: Final = 2_000


def accept_rate(p: ArrayLike, c: ArrayLike, f: ArrayLike) -> FloatArray:
    """Return how often one attempt is accepted: p c + (1-p) f."""
    right, complete, false = (_fraction(*item) for item in (("p", p), ("c", c), ("f", f)))
    return np.asarray(right * complete + (1 - right) * false)


def ceiling(p: ArrayLike, c: ArrayLike, f: ArrayLike) -> FloatArray:
    """Return how often an accepted answer is right, for any number of attempts: p c / (p c + (1-p) f).

    NaN where nothing is ever accepted.
    """
    accepted = accept_rate(p, c, f)
    right = np.asarray(p, dtype=np.float64) * np.asarray(c, dtype=np.float64)
    return np.asarray(np.divide(right, accepted, out=np.full(accepted.shape, np.nan), where=accepted > 0))


def coverage(p: ArrayLike, c: ArrayLike, f: ArrayLike, attempts: ArrayLike) -> FloatArray:
    """Return how often something is accepted within K attempts: 1 - (1 - a)^K."""
    return np.asarray(1 - (1 - accept_rate(p, c, f)) ** np.asarray(attempts, dtype=np.float64))


def accuracy(p: ArrayLike, c: ArrayLike, f: ArrayLike, attempts: ArrayLike) -> FloatArray:
    """Return how often the answer is right after at most K attempts, no answer counted as wrong.

    Ceiling times coverage: attempts beyond the first few only raise coverage.
    """
    return np.nan_to_num(ceiling(p, c, f)) * coverage(p, c, f, attempts)


@dataclass(frozen=True)
class TaskType:
    """The object describes tasks of one difficulty."""

    share: float
    """Prior share of such tasks."""
    right: float
    """Probability that an attempt at one is right."""


@dataclass(frozen=True)
class Attempts:
    """The object says how many attempts to make."""

    best: int | None
    """Number of attempts with the highest expected value; 0 when even one loses, None when every further one pays."""
    enough: int
    """Fewest attempts that reach 99 % of the highest expected value."""
    value: float
    """Highest expected value of a task: 1 for a right answer, `loss` for a wrong one, 0 for none, less the price."""
    curve: FloatArray
    """Expected value of at most 1, 2, ... attempts, shape (most,)."""


def best_attempts(
    types: Sequence[TaskType],
    *,
    f: float,
    c: float = 1.0,
    loss: float = 0.0,
    price: float = 0.0,
    most: int = MOST_ATTEMPTS,
) -> Attempts:
    """Return the best number of attempts over tasks of mixed difficulty, before any answer is seen (prior form).

    Attempt k is made where k-1 were rejected, with probability beta_t^(k-1), beta_t = 1 - r_t c - (1-r_t) f; it adds
    sum_t share_t beta_t^(k-1) (r_t c + loss (1-r_t) f - price). Shares are priors: rejected attempts shift the mix
    towards hard tasks by themselves, and to weight with posterior shares as well would count that twice.

    Args:
        types: difficulties; shares add up to 1.
        f: probability that a wrong answer is accepted.
        c: probability that a right one is.
        loss: value of a wrong answer that was accepted, at most 0.
        price: what one attempt costs, in values of a right answer.
        most: attempts looked at.

    Raises:
        InputError: shares that do not add up to 1, or numbers out of range.
    """
    share = _fraction("share", [t.share for t in types])
    right = _fraction("right", [t.right for t in types])
    _fraction("c", c), _fraction("f", f)
    if abs(float(share.sum()) - 1) > 1e-6:
        raise InputError(f"the shares of the task types add up to {share.sum():g}, not 1", "types")
    if loss > 0 or price < 0 or not 1 <= most <= 10**6:
        raise InputError(f"need loss <= 0, price >= 0 and 1 to 10^6 attempts, got {loss:g}, {price:g}, {most}")
    gain = share * (right * c + loss * (1 - right) * f - price)
    accepted = accept_rate(right, c, f)
    with np.errstate(under="ignore"):
        curve = np.cumsum((1 - accepted) ** np.arange(most)[:, None] @ gain)
    forever = np.where(gain < 0, -np.inf, 0.0)  # what is never accepted is paid for without end
    limit = float(np.divide(gain, accepted, out=forever, where=accepted > 0).sum())
    top = int(np.argmax(curve))  # the first of equals: no attempt is bought for nothing
    value = max(float(curve[top]), limit)
    if value <= 0:
        return Attempts(0, 0, 0.0, curve)
    enough = 1 + int(np.argmax(curve >= 0.99 * value)) if curve[top] >= 0.99 * value else most
    # Of sums of geometric series the one that decays last decides; rounding must not end a rise that never ends.
    endless = limit >= float(curve[top]) - 1e-12 and float(gain[accepted == accepted[gain != 0].min()].sum()) > 0
    return Attempts(None if endless else top + 1, enough, value, curve)


def _fraction(name: str, value: ArrayLike) -> FloatArray:
    array = np.asarray(value, dtype=np.float64)
    if array.size == 0 or not np.all((array >= 0) & (array <= 1)):
        raise InputError(f"{name} must lie between 0 and 1, got {array.tolist()}", name)
    return array
