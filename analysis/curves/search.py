"""This module finds the parameters of a form: a grid of starts, then refinement, for many sets of data at once.

The loss is the mean squared error of ln y. Points with the same x enter by the mean of their ln y and their number,
which loses nothing: the rest of the loss does not depend on the curve. A start fixes the limit, the places and the
widths of breaks on a grid; ln |b| and the exponents then follow by linear least squares, and the best starts are
refined by the method of Levenberg and Marquardt within the bounds of the form. scipy's does one set of data at a time;
held-out errors and bootstraps need hundreds, so all are refined together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final

import numpy as np

from analysis.curves.forms import Form
from analysis.interval import FloatArray, IntArray

PLACES: Final = (14, 10)
"""Places of a break on the grid, for one break and for two."""
WIDTHS: Final = ((1 / 100, 1 / 25, 1 / 8), (1 / 60, 1 / 12))
"""Widths of a break on the grid, as shares of the range in ln x, for one break and for two."""
ABOVE: Final = (0.3, 0.7, 0.95)
"""Limits of a curve above its limit, as shares of the least y."""
BELOW: Final = (1.05, 1.3, 3.0)
"""Limits of a curve below its limit, as multiples of the largest y."""
KEPT: Final = 3
"""Starts of the grid that are refined; of a form with a limit, one for each limit of the grid."""
FIRST_STEPS: Final = 8
"""Steps after which only the best two starts of a set go on."""
STEPS: Final = 50
STILL: Final = 1e-8
"""Relative change of the loss below which a fit is found."""
_RIDGE: Final = 1e-10


@dataclass(frozen=True)
class Sets:
    """The object holds sets of data over the same x: one a row."""

    log_x: FloatArray
    """ln x, distinct and increasing, shape (n,)."""
    log_y: FloatArray
    """Mean of ln y at each x, shape (n_sets, n)."""
    weight: FloatArray
    """Number of values at each x, shape (n_sets, n); 0 where a set has none."""

    def row(self, at: int) -> Sets:
        """Return one of the sets."""
        return replace(self, log_y=self.log_y[at : at + 1], weight=self.weight[at : at + 1])

    @property
    def n_sets(self) -> int:
        """Number of sets."""
        return len(self.log_y)


@dataclass(frozen=True)
class BestFit:
    """The object holds the best parameters of each set."""

    form: Form
    """The form; of two that differ in the side of their limit only, the one that fits the first set better."""
    theta: FloatArray
    """Shape (n_sets, n_parameters)."""
    loss: FloatArray
    """Weighted mean squared error of the means of ln y, shape (n_sets,)."""


def sides(form: Form) -> tuple[Form, ...]:
    """Return the form on both sides of its limit, where it has one; a rising logistic has a floor, not a roof."""
    return (form, replace(form, sign=-1)) if form.limit and not form.logistic else (form,)


def best_of_sides(form: Form, sets: Sets) -> BestFit:
    """Return the fit of a form to a single set, on the side of the limit on which it is better."""
    return min((search(one, sets) for one in sides(form)), key=lambda found: float(found.loss[0]))


def search(form: Form, sets: Sets) -> BestFit:
    """Return the best parameters of every set, each found from a grid of its own."""
    starts = [grid_starts(form, sets.row(at)) for at in range(sets.n_sets)]
    owner = np.repeat(np.arange(sets.n_sets), [len(one) for one in starts])
    return refine(form, sets, np.concatenate(starts), owner)


def refine(
    form: Form,
    sets: Sets,
    starts: FloatArray,
    owner: IntArray,
    bounds: tuple[FloatArray, FloatArray] | None = None,
) -> BestFit:
    """Return the best parameters of every set from given starts.

    Args:
        form: the form.
        sets: the data.
        starts: shape (n_starts, n_parameters).
        owner: the set that each start is for, shape (n_starts,); every set has one or more.
        bounds: least and largest value of each parameter; None for those of the form.
    """
    seen = sets.weight.sum(axis=0) > 0
    low, high = bounds or form.bounds(sets.log_x[seen], sets.log_y[:, seen])
    theta, loss = _refined(form, sets, np.clip(starts, low, high), owner, (low, high), FIRST_STEPS)
    order, first = _ranked(loss, owner, sets.n_sets)
    second = np.minimum(first + 1, len(owner) - 1)
    kept = order[np.unique(np.concatenate([first, second[owner[order[second]] == np.arange(sets.n_sets)]]))]
    theta, loss = _refined(form, sets, theta[kept], owner[kept], (low, high), STEPS)
    order, first = _ranked(loss, owner[kept], sets.n_sets)
    return BestFit(form, theta[order[first]], loss[order[first]])


def _ranked(loss: FloatArray, owner: IntArray, n_sets: int) -> tuple[IntArray, IntArray]:
    """Return the order of fits by set and loss, and where in it each set begins."""
    order = np.lexsort((loss, owner))
    return order, np.searchsorted(owner[order], np.arange(n_sets))


def grid_starts(form: Form, one: Sets) -> FloatArray:
    """Return the best starts of the grid for a single set, shape (n_starts, n_parameters)."""
    used = one.weight[0] > 0
    log_x, log_y, weight = one.log_x[used], one.log_y[0, used], one.weight[0, used]
    nodes = list(_nodes(form, log_x))
    starts = []
    for limit in _limits(form, log_y):
        y, a = np.exp(log_y), 0.0 if limit is None else limit
        inside = form.sign * (y - a) > 0
        if inside.sum() < 2:
            continue
        target = np.log(form.sign * (y[inside] - a))
        pull = weight[inside] * ((y[inside] - a) / y[inside]) ** 2
        starts.append(_linear_starts(form, log_x[inside], target, pull, nodes, limit))
    return np.concatenate(starts)


def _limits(form: Form, log_y: FloatArray) -> list[float | None]:
    """Return the limits on the grid; None for a form without one."""
    if not form.limit:
        return [None]
    if form.sign > 0:
        return [share * float(np.exp(log_y.min())) for share in ABOVE]
    return [times * float(np.exp(log_y.max())) for times in BELOW]


def _nodes(form: Form, log_x: FloatArray) -> Iterator[tuple[float, ...]]:
    """Yield what the grid fixes besides the limit: ln d and ln f of each break, or k and ln m."""
    low, wide = float(log_x[0]), float(np.ptp(log_x))
    if form.logistic:
        for k in (0.3, 0.6, 1.0, 1.5, 2.5, 4.0):
            for place in np.linspace(low - 0.5 * wide, low + 1.5 * wide, 16):
                yield k, float(place)
                yield -k, float(place)
    elif form.breaks < 1:
        yield ()
    else:
        places = low + wide * np.linspace(0.06, 0.94, PLACES[form.breaks - 1])
        for chosen in combinations(places.tolist(), form.breaks):
            for share in WIDTHS[form.breaks - 1]:
                yield tuple(value for place in chosen for value in (place, float(np.log(share * wide))))


def _linear_starts(
    form: Form,
    log_x: FloatArray,
    target: FloatArray,
    pull: FloatArray,
    nodes: list[tuple[float, ...]],
    limit: float | None,
) -> FloatArray:
    """Return the best nodes with what linear least squares gives for the other parameters."""
    n = log_x.size
    fixed = np.array(nodes).reshape(len(nodes), -1)
    columns = [np.ones((len(nodes), n))]
    offset = np.zeros((len(nodes), n))
    if form.logistic:
        offset = -np.logaddexp(0.0, -fixed[:, :1] * (log_x - fixed[:, 1:2]))
    elif form.breaks >= 0:
        columns.append(np.broadcast_to(-log_x, (len(nodes), n)))
        for at in range(0, 2 * form.breaks, 2):
            width = np.exp(fixed[:, at + 1 : at + 2])
            columns.append(-width * np.logaddexp(0.0, (log_x - fixed[:, at : at + 1]) / width))
    design = np.stack(columns, axis=2)
    left = target - offset
    weighted = design * pull[:, None]
    square = np.matmul(weighted.transpose(0, 2, 1), design)
    size = np.trace(square, axis1=1, axis2=2)[:, None, None]
    square = square + _RIDGE * size * np.eye(design.shape[2])
    solved = np.linalg.solve(square, np.einsum("gnq,gn->gq", weighted, left)[..., None])
    loss = ((left - np.matmul(design, solved)[..., 0]) ** 2) @ pull
    best = np.argsort(loss, kind="stable")[: KEPT if limit is None else 1]
    return np.array([_vector(form, solved[at, :, 0], fixed[at], limit) for at in best])


def _vector(form: Form, solved: FloatArray, fixed: FloatArray, limit: float | None) -> FloatArray:
    """Return the parameters of a form in their order."""
    start = [] if limit is None else [limit]
    if form.logistic:
        return np.array([*start, solved[0], *fixed])
    own = [*start, *solved[:2]]
    for i in range(max(form.breaks, 0)):
        own += [solved[2 + i], fixed[2 * i], fixed[2 * i + 1]]
    return np.array(own)


def _refined(
    form: Form,
    sets: Sets,
    theta: FloatArray,
    owner: IntArray,
    bounds: tuple[FloatArray, FloatArray],
    steps: int,
) -> tuple[FloatArray, FloatArray]:
    """Return parameters and losses at the minima that the starts lead to, by damped steps within the bounds."""
    theta, target = theta.copy(), sets.log_y[owner]
    share = sets.weight[owner] / sets.weight[owner].sum(axis=1, keepdims=True)
    value, slope = form.log_y(theta, sets.log_x)
    loss = (share * (target - value) ** 2).sum(axis=1)
    damping, going = np.full(len(theta), 1e-2), np.arange(len(theta))
    for _ in range(steps):
        step = _step(theta[going], target[going] - value[going], slope[going], share[going], damping[going], bounds)
        tried = np.clip(theta[going] + step, *bounds)
        new_value, new_slope = form.log_y(tried, sets.log_x)
        new = (share[going] * (target[going] - new_value) ** 2).sum(axis=1)
        better = new < loss[going]
        still = np.where(better, loss[going] - new <= STILL * (loss[going] + 1e-30), damping[going] > 1e7)
        at = going[better]
        theta[at], loss[at], value[at], slope[at] = tried[better], new[better], new_value[better], new_slope[better]
        damping[going] = np.where(better, np.maximum(damping[going] / 5, 1e-9), damping[going] * 4)
        going = going[~still]
        if not going.size:
            break
    return theta, loss


def _step(
    theta: FloatArray,
    off: FloatArray,
    slope: FloatArray,
    share: FloatArray,
    damping: FloatArray,
    bounds: tuple[FloatArray, FloatArray],
) -> FloatArray:
    """Return the damped step of every fit; what lies at a bound and would go beyond it stays."""
    low, high = bounds
    weighted = slope * share[..., None]
    pull = np.einsum("bnp,bn->bp", weighted, off)
    held = ((theta <= low) & (pull < 0)) | ((theta >= high) & (pull > 0))
    square = np.matmul(weighted.transpose(0, 2, 1), slope)
    free = ~held
    square = square * (free[:, :, None] & free[:, None, :])
    size = np.einsum("bpp->bp", square)
    at = np.arange(size.shape[1])
    square[:, at, at] += damping[:, None] * size + 1e-12 * size.max(axis=1, keepdims=True) + held + 1e-30
    return np.asarray(np.linalg.solve(square, (pull * free)[..., None])[..., 0])
