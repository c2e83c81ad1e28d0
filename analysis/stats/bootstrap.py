"""This module makes intervals of means by a bootstrap over tasks, each kind where its coverage was measured to hold.

* ``expanded``: percentiles of the resampled means, pushed out as Student's t asks for (Hesterberg, The American
  Statistician 69, 2015, section 3.3). For values within known bounds, such as scores.
* ``pseudo``: Student's t with a few pseudo-tasks in the middle of the range added (for proportions Agresti & Coull
  1998, for paired differences Agresti & Min 2005). For values within bounds when fewer than eight tasks differ from
  the commonest value: resampling a handful of unusual tasks says little, and with none of them nothing.
* ``studentised``: each resampled mean in units of its own error (Efron's bootstrap-t). For values without bounds, such
  as tokens, which are skewed.

The table in docs/statistics.md says how often each holds the truth, and where they fail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from scipy import stats

from agentsoc.errors import InputError
from analysis.interval import FloatArray, Interval
from analysis.stats.clusters import TaskSums, task_weights

FEW_UNUSUAL: Final = 8
"""If fewer tasks than this differ from the commonest value, pseudo-tasks give the interval of a bounded value."""

Kind = Literal["expanded", "pseudo", "studentised"]


@dataclass(frozen=True)
class Bounds:
    """The bounds are the range of a value, with the pseudo-tasks that stand for what was not yet seen."""

    low: float
    high: float
    n_pseudo: float
    """Pseudo-tasks, at the middle of the range."""
    spread: float
    """Sum of their squared distances from the middle, for tasks of one row."""


SCORE: Final = Bounds(0.0, 1.0, 4.0, 1.0)
"""A score in [0, 1]: two tasks all right and two all wrong are added."""
DIFFERENCE: Final = Bounds(-1.0, 1.0, 2.0, 1.0)
"""A difference of two scores: half a task each way and one tie are added."""


def kind_for(sums: TaskSums, bounds: Bounds | None) -> Kind:
    """Return which interval is used for these values."""
    if bounds is None:
        return "studentised"
    return "pseudo" if sums.n_unusual < FEW_UNUSUAL else "expanded"


def mean_intervals(
    sums: Sequence[TaskSums],
    bounds: Sequence[Bounds | None],
    *,
    level: float = 0.95,
    replicates: int = 10_000,
    seed: int = 0,
    kinds: Sequence[Kind] | None = None,
) -> list[Interval]:
    """Return the interval of each mean; the values of one list of tasks are resampled together.

    Args:
        sums: sums by task, one for each mean.
        bounds: range of each, None where there is none.
        level: coverage that is aimed at.
        replicates: bootstrap samples.
        seed: root of the randomness.
        kinds: which interval for each, instead of `kind_for`.

    Raises:
        InputError: the level or the number of replicates is out of range.
    """
    check(level, replicates)
    chosen = list(kinds or [kind_for(one, within) for one, within in zip(sums, bounds, strict=True)])
    blocks = [columns_for(one, kind) for one, kind in zip(sums, chosen, strict=True)]
    drawn = resample(blocks, replicates=replicates, seed=seed)
    return [interval_from(*each, level=level) for each in zip(sums, bounds, chosen, drawn, strict=True)]


def check(level: float, replicates: int) -> None:
    """Refuse a level outside (0.5, 1) and fewer than 100 replicates."""
    if not 0.5 < level < 1:
        raise InputError(f"a level must lie between 0.5 and 1, got {level:g}")
    if replicates < 100:
        raise InputError(f"a bootstrap needs at least 100 replicates, got {replicates}")


def resample(blocks: Sequence[FloatArray], *, replicates: int, seed: int) -> list[FloatArray]:
    """Return the sums of each block of columns, shape (n_tasks, n), over bootstrap samples: shapes (replicates, n).

    Blocks of equally many tasks see the same samples, drawn once.
    """
    found = [np.zeros((replicates, block.shape[1])) for block in blocks]
    for n_tasks in dict.fromkeys(block.shape[0] for block in blocks if block.shape[1]):
        members = [at for at, block in enumerate(blocks) if block.shape[0] == n_tasks]
        edges = np.cumsum([blocks[at].shape[1] for at in members])[:-1]
        columns = np.column_stack([blocks[at] for at in members])
        sums = np.concatenate([weights @ columns for weights in task_weights(replicates, n_tasks, seed=seed)])
        for at, part in zip(members, np.split(sums, edges, axis=1), strict=True):
            found[at] = part
    return found


def columns_for(one: TaskSums, kind: Kind) -> FloatArray:
    """Return what has to be resampled for an interval of this kind, shape (n_tasks, n); n is 0 when nothing has."""
    if one.n_tasks < 2 or kind == "pseudo":
        return np.zeros((one.n_tasks, 0))
    off = one.total - one.mean * one.rows  # centred, so that squares keep their digits
    columns = [off] if one.balanced else [off, one.rows]
    if kind == "studentised":
        columns += [off * off] if one.balanced else [off * off, off * one.rows, one.rows * one.rows]
    return np.column_stack(columns)


def interval_from(one: TaskSums, within: Bounds | None, kind: Kind, drawn: FloatArray, *, level: float) -> Interval:
    """Return the interval of a mean from what `columns_for` asked for, resampled."""
    if within is not None and (kind == "pseudo" or one.n_tasks < 2):
        return _clipped(_pseudo(one, within, level), within)
    if one.n_tasks < 2:
        return Interval(one.mean, -np.inf, np.inf, level, "one task: nothing is known of the others")
    rows = np.full(drawn.shape[0], one.rows.sum()) if one.balanced else drawn[:, 1]
    shift = drawn[:, 0] / rows
    if kind == "studentised":
        if one.balanced:
            own, cross, square = drawn[:, 1], drawn[:, 0] * one.rows[0], rows * one.rows[0]
        else:
            own, cross, square = drawn[:, 2], drawn[:, 3], drawn[:, 4]
        spread = np.maximum(own - 2 * shift * cross + shift**2 * square, 0.0)
        found = _studentised(one, shift, np.sqrt(one.n_tasks / (one.n_tasks - 1) * spread) / rows, level)
    else:
        found = _expanded(one, shift, level)
    return found if within is None else _clipped(found, within)


def expanded_tail(n_tasks: int, level: float) -> float:
    """Return the share of resamples beyond each end of an interval that is as wide as Student's t asks for.

    Args:
        n_tasks: two or more.
        level: coverage that is aimed at.
    """
    return float(stats.norm.cdf(stats.t.ppf((1 - level) / 2, n_tasks - 1) * np.sqrt(n_tasks / (n_tasks - 1))))


def _expanded(one: TaskSums, shift: FloatArray, level: float) -> Interval:
    tail = expanded_tail(one.n_tasks, level)
    low, high = np.quantile(shift, [tail, 1 - tail])
    return Interval(one.mean, one.mean + float(low), one.mean + float(high), level, "bootstrap over tasks, expanded")


def _studentised(one: TaskSums, shift: FloatArray, error: FloatArray, level: float) -> Interval:
    method = "bootstrap over tasks, studentised"
    moved = error > 1e-12 * max(one.se, 1e-300)
    if one.se == 0.0:
        return Interval(one.mean, one.mean, one.mean, level, "no spread between tasks")
    ratio = np.divide(shift, error, out=np.where(shift > 0, np.inf, -np.inf), where=moved)
    ratio[~moved & (shift == 0)] = 0.0
    low, high = np.quantile(ratio, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf")
    return Interval(one.mean, one.mean - float(high) * one.se, one.mean - float(low) * one.se, level, method)


def with_pseudo_tasks(one: TaskSums, within: Bounds) -> tuple[float, float, float]:
    """Return mean, its standard error and the number of tasks once pseudo-tasks are added.

    A task of k rows spreads less than one of a single row, so the pseudo-spread is divided by k.
    """
    rows = float(one.rows.mean())
    middle = (within.low + within.high) / 2
    weight = float(one.rows.sum() + within.n_pseudo * rows)
    centre = float(one.total.sum() + within.n_pseudo * rows * middle) / weight
    off = one.total - centre * one.rows
    added = rows**2 * (within.spread / rows + within.n_pseudo * (middle - centre) ** 2)
    return centre, float(np.sqrt(off @ off + added)) / weight, one.n_tasks + within.n_pseudo


def _pseudo(one: TaskSums, within: Bounds, level: float) -> Interval:
    """Return Student's t interval with pseudo-tasks added; it always holds the mean itself."""
    centre, error, n = with_pseudo_tasks(one, within)
    reach = float(stats.t.ppf((1 + level) / 2, n - 1)) * error
    low, high = min(centre - reach, one.mean), max(centre + reach, one.mean)
    return Interval(one.mean, low, high, level, "Student's t with pseudo-tasks")


def _clipped(found: Interval, within: Bounds) -> Interval:
    low, high = max(found.low, within.low), min(found.high, within.high)
    return Interval(found.value, low, high, found.level, found.method)
