"""This module fits single choices by conditional logit: one slope, a known offset, and effects of ages and authors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from analysis.claims.attachment_choices import Choices
from analysis.claims.attachment_kernels import derivatives, exposures, one_by_one

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

AGES: Final = np.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 21, 27, 35, 46, 60, 80, 110, 150, 200, 300, 500, 1000])
"""Where classes of age begin, in claims made since; fine enough for a window of a few claims to be seen."""
ENGAGED: Final = np.array([0, 1, 2, 3, 5, 9, 17])
"""Where classes of engagement begin, for the goodness of fit."""
FEW_OF_AUTHOR: Final = 5
"""With fewer choices for each author on average, authors are not told apart."""
MOST_AUTHORS: Final = 60
_LOOSE: Final = 0.01  # precision of the normal prior of classes: for classes that nobody chose
_AUTHOR: Final = 1.0  # precision of the normal random effect of authors


@dataclass(frozen=True)
class Effects:
    """The object says which effects the alternatives have: columns of parameter numbers, from 1 on; -1 for none."""

    columns: I64
    """Shape (n_alternatives, k)."""
    precision: F64
    """Precision of the normal prior of each parameter, the slope's (0) first."""

    @property
    def free(self) -> int:
        """Parameters beside the slope, less one for each column where all alternatives have one."""
        return len(self.precision) - 1


@dataclass(frozen=True)
class Fit:
    """A fit is a maximum of the log-likelihood, with the log density of random effects."""

    loglik: float
    slope: float
    se: float
    """Standard error of the slope from the observed information; infinite where nothing informs it."""
    theta: F64


@dataclass(frozen=True)
class SingleChoices:
    """The object holds choices one by one: what was chosen already is no longer on offer."""

    ptr: I64
    chosen: I64
    engagement: F64
    age: I64
    author: I64
    item: I64

    @property
    def n(self) -> int:
        """Number of choices."""
        return len(self.chosen)

    def classes(self, values: I64, starts: I64) -> I64:
        """Return classes of values that are on offer, 0 for the commonest choice's, -1 kept for it as the reference."""
        found = np.searchsorted(starts, values, side="right") - 1
        return _numbered(found.astype(np.int64), self.chosen)

    def authors(self) -> I64 | None:
        """Return the number of each alternative's author, or None where there are too many for the choices."""
        _, number = np.unique(self.author, return_inverse=True)
        n = int(number.max()) + 1
        return number.astype(np.int64) if 1 < n <= min(MOST_AUTHORS, self.n / FEW_OF_AUTHOR) else None

    def exposure(self, weight: F64, liked: F64) -> F64:
        """Return how often each alternative was due before, were it of mean fitness and all others `liked`."""
        _, item = np.unique(self.item, return_inverse=True)
        return exposures(self.ptr, item.astype(np.int64), weight, liked, int(item.max()) + 1)


def _numbered(classes: I64, chosen: I64) -> I64:
    """Return classes numbered from 0 on; the one chosen most often, the reference, is -1."""
    reference = int(np.bincount(classes[chosen]).argmax())
    kept = np.unique(classes[classes != reference])
    found = np.searchsorted(kept, classes)
    return np.where(classes == reference, -1, found).astype(np.int64)


def single_choices(choices: Choices) -> SingleChoices:
    """Return the choices one by one, without those that had a single alternative left."""
    ptr, old, took = one_by_one(choices.ptr, choices.chosen_ptr, choices.chosen)
    sizes = np.diff(ptr)
    kept = sizes > 1
    inside = np.repeat(kept, sizes)
    place = np.cumsum(inside) - 1
    old = old[inside]
    starts = np.concatenate([[0], np.cumsum(sizes[kept])]).astype(np.int64)
    taken = place[took[kept]].astype(np.int64)
    return SingleChoices(
        starts, taken, choices.engagement[old], choices.age[old], choices.author[old], choices.item[old]
    )


def effects(*columns: I64 | None, random: I64 | None = None) -> Effects:
    """Return the effects of classes (loose priors) and of authors (normal random effects, standard deviation 1)."""
    made: list[I64] = []
    precision = [1e-8]
    for column, tight in [*((c, _LOOSE) for c in columns), (random, _AUTHOR)]:
        if column is None or column.max() < 0:
            continue
        made.append(np.where(column >= 0, column + len(precision), -1))
        precision += [tight] * (int(column.max()) + 1)
    return Effects(np.column_stack(made) if made else np.empty((0, 0), np.int64), np.array(precision))


def fit(data: SingleChoices, slope: F64, offset: F64, groups: Effects, start: F64 | None = None) -> Fit:
    """Return the maximum by Newton's method with halved steps.

    Args:
        data: the choices.
        slope: what the slope multiplies, shape (n_alternatives,); zeros leave the slope out.
        offset: known part of the predictor, same shape.
        groups: effects of classes and authors.
        start: parameters to begin with.
    """
    columns = groups.columns if groups.columns.size else np.full((len(slope), 1), -1, np.int64)
    prior = groups.precision
    theta = np.zeros(len(prior)) if start is None else start.copy()

    def at(point: F64) -> tuple[float, F64, F64]:
        value, gradient, information = derivatives(data.ptr, data.chosen, slope, offset, columns, point)
        return (
            value - 0.5 * float(prior @ point**2),
            gradient - prior * point,
            information + np.diag(prior),
        )

    value, gradient, information = at(theta)
    for _ in range(50):
        step = np.linalg.solve(information, gradient)
        gain = float(gradient @ step)
        if gain < 1e-4:  # of the log-likelihood: half as much is left
            break
        size = 1.0
        while True:
            new = at(theta + size * step)
            if new[0] > value - 1e-12 or size < 1e-4:
                break
            size /= 2
        theta, (value, gradient, information) = theta + size * step, new
    variance = float(np.linalg.inv(information)[0, 0])
    return Fit(value, float(theta[0]), variance**0.5 if np.any(slope) else np.inf, theta)
