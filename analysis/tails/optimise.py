"""This module maximises smooth functions of two parameters inside a box: damped Newton steps on finite differences.

Two-parameter tail models need no more. A coarse objective finds the region from several starts, the exact one polishes
with the curvature of the coarse one, so that the exact objective is evaluated some ten times only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
Objective = Callable[[float, float], float]


@dataclass(frozen=True)
class Maximum:
    """The object says where a function is largest and how that was found."""

    at: tuple[float, float]
    value: float
    converged: bool
    bound: tuple[bool, bool]
    """Whether each coordinate ended at an end of its range."""


@dataclass(frozen=True)
class SearchBox:
    """The box holds the ranges of the two parameters and the step of their finite differences."""

    low: tuple[float, float]
    high: tuple[float, float]
    step: tuple[float, float] = (1e-4, 1e-4)

    def clip(self, point: F64) -> F64:
        """Return the point of the box nearest to `point`."""
        return np.clip(point, self.low, self.high)


def maximise(exact: Objective, coarse: Objective, starts: Sequence[tuple[float, float]], box: SearchBox) -> Maximum:
    """Return the best maximum of `exact` reached from the best two of `starts` on `coarse`.

    Both are to return finite values or -inf; they should be of order one (log-likelihood per value).
    """
    ranked = sorted(starts, key=lambda start: -coarse(*box.clip(np.array(start))))
    rough = [_climb(coarse, np.array(start), box, None, 60) for start in ranked[:2]]
    best = max(rough, key=lambda found: found.value)
    curvature = _curvature(coarse, np.array(best.at), box)
    return _climb(exact, np.array(best.at), box, curvature, 25)


def _climb(f: Objective, start: F64, box: SearchBox, curvature: F64 | None, turns: int) -> Maximum:
    """Return where damped Newton steps from `start` lead; `curvature` replaces the Hessian of `f` when given."""
    x = box.clip(start)
    value = f(*x)
    damping = 1e-3
    converged = False
    for _ in range(turns):
        slope = _slope(f, x, box)
        hessian = _curvature(f, x, box) if curvature is None else curvature
        free = _free(x, slope, box)
        if not free.any():
            converged = True
            break
        moved = False
        for _ in range(12):
            step = _step(slope, hessian, free, damping)
            new = box.clip(x + step)
            gained = f(*new) - value
            if gained > 0 or np.all(np.abs(new - x) <= 1e-9 * (1 + np.abs(x))):
                moved = True
                break
            damping = max(damping * 8, 1e-6)
        if not moved:
            converged = float(np.abs(slope[free]).max()) < 1e-6
            break
        change = float(np.max(np.abs(new - x) / (1 + np.abs(x))))
        x, value = (new, value + gained) if gained > 0 else (x, value)
        damping = max(damping / 8, 1e-12)
        if change < 1e-7 or gained < 1e-13 * (1 + abs(value)):
            converged = True
            break
    ends = tuple(bool(min(x[i] - box.low[i], box.high[i] - x[i]) <= 1e-6 * (1 + abs(x[i]))) for i in range(2))
    return Maximum((float(x[0]), float(x[1])), float(value), converged, (ends[0], ends[1]))


def _step(slope: F64, hessian: F64, free: NDArray[np.bool_], damping: float) -> F64:
    """Return the ascent step on the free coordinates; the Hessian is made negative definite by damping."""
    index = np.flatnonzero(free)
    matrix = -hessian[np.ix_(index, index)]
    values, vectors = np.linalg.eigh(matrix)
    size = np.maximum(np.abs(values), 1e-12 + damping * np.abs(values).max())
    step = np.zeros(2)
    step[index] = vectors @ ((vectors.T @ slope[index]) / (size * (1 + damping)))
    return step


def _free(x: F64, slope: F64, box: SearchBox) -> NDArray[np.bool_]:
    """Return which coordinates are not held at a bound by the slope."""
    low, high = np.array(box.low), np.array(box.high)
    return ~(((x <= low) & (slope <= 0)) | ((x >= high) & (slope >= 0)))


def _inner(x: F64, box: SearchBox) -> tuple[F64, F64]:
    """Return the centre of the stencil, moved off the bounds, and the steps."""
    h = np.array(box.step) * (1 + np.abs(x))
    return np.clip(x, np.array(box.low) + h, np.array(box.high) - h), h


def _slope(f: Objective, x: F64, box: SearchBox) -> F64:
    """Return the gradient by central differences."""
    (a, b), (h, k) = _inner(x, box)
    return np.array([(f(a + h, b) - f(a - h, b)) / (2 * h), (f(a, b + k) - f(a, b - k)) / (2 * k)])


def _curvature(f: Objective, x: F64, box: SearchBox) -> F64:
    """Return the Hessian by central differences with steps ten times those of the gradient."""
    wide = SearchBox(box.low, box.high, (10 * box.step[0], 10 * box.step[1]))
    (a, b), (h, k) = _inner(x, wide)
    middle = f(a, b)
    faa = (f(a + h, b) - 2 * middle + f(a - h, b)) / (h * h)
    fbb = (f(a, b + k) - 2 * middle + f(a, b - k)) / (k * k)
    fab = (f(a + h, b + k) - f(a + h, b - k) - f(a - h, b + k) + f(a - h, b - k)) / (4 * h * k)
    return np.array([[faa, fab], [fab, fbb]])
