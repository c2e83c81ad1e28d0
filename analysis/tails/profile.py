"""This module computes profile-likelihood intervals of the parameters of two-parameter tails, at a given threshold.

The interval of one parameter holds the values at which the best likelihood over the other one is at most half a
chi-square(1) quantile below the maximum. Unlike estimate +- errors it follows the shape of the likelihood: the
parameters of cut-off and lognormal tails trade off against each other along curved ridges.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.special import ndtri

from analysis.interval import Interval

Objective = Callable[[float, float], float]


def profile(
    f: Objective,
    n: int,
    at: tuple[float, float],
    limits: tuple[tuple[float, float], tuple[float, float]],
    *,
    level: float = 0.95,
    scale: tuple[float, float] = (1.0, 1.0),
) -> Interval:
    """Return the profile-likelihood interval of the first argument of `f`.

    Values are taken as independent and the threshold as given.

    Args:
        f: log-likelihood per value, unimodal in its second argument; -inf where it is not defined.
        n: number of values.
        at: where `f` is largest.
        limits: ranges of both arguments.
        level: coverage aimed at.
        scale: size of a first step in each argument, used where the curvature says nothing.
    """
    top = f(*at)
    target = float(ndtri(0.5 + 0.5 * level))
    step = tuple(_error(f, n, at, which, limits[which], scale[which]) for which in (0, 1))

    def height(a: float, warm: float) -> tuple[float, float]:
        """Return (signed-root distance from the maximum, where the other argument is best) at the first one `a`."""
        best, value = _ridge(lambda b: f(a, b), warm, step[1], limits[1])
        return math.sqrt(max(2.0 * n * (top - value), 0.0)), best

    low, open_low = _end(height, at, -step[0], limits[0], target)
    high, open_high = _end(height, at, step[0], limits[0], target)
    return Interval(at[0], low, high, level, "profile likelihood", open_low, open_high)


def _end(
    height: Callable[[float, float], tuple[float, float]],
    at: tuple[float, float],
    step: float,
    limits: tuple[float, float],
    target: float,
) -> tuple[float, bool]:
    """Return where the height reaches `target` in the direction of `step`, or the limit and True."""
    bound = limits[0] if step < 0 else limits[1]
    inner, low, warm = at[0], 0.0, at[1]
    outer, high = inner, 0.0
    stride = target * step
    for _ in range(60):
        outer = max(inner + stride, bound) if step < 0 else min(inner + stride, bound)
        high, warm_there = height(outer, warm)
        if high >= target or outer == bound:
            break
        # The height is nearly linear, so the next stride aims a little beyond the target.
        slope = (high - low) / (outer - inner) if high > low else 0.0
        inner, low, warm = outer, high, warm_there
        stride = 1.1 * (target - low) / slope if slope * step > 0 else 2.0 * stride
        stride = math.copysign(max(min(abs(stride), 8.0 * abs(target * step)), 0.05 * abs(target * step)), step)
    if high < target:
        return outer, True
    for _ in range(40):
        if high - low < 1e-3 or abs(outer - inner) < 1e-12 * (1.0 + abs(inner)):
            break
        share = (target - low) / (high - low) if math.isfinite(high) else 0.5
        middle = inner + min(max(share, 0.02), 0.98) * (outer - inner)
        value, there = height(middle, warm)
        if abs(value - target) < 1e-3:
            return middle, False
        if value < target:
            inner, low, warm = middle, value, there
        else:
            outer, high = middle, value
    return outer, False


def _ridge(f: Callable[[float], float], start: float, step: float, limits: tuple[float, float]) -> tuple[float, float]:
    """Return (place, value) of the maximum of the unimodal `f`, near `start`, to a hundredth of `step`."""
    low, high = limits
    b = min(max(start, low), high)
    value = f(b)
    for _ in range(80):  # climb until both neighbours are lower
        left, right = max(b - step, low), min(b + step, high)
        below, above = f(left) if left < b else -math.inf, f(right) if right > b else -math.inf
        if below <= value and above <= value:
            break
        b, value = (left, below) if below > above else (right, above)
        step *= 1.5
    points = sorted({left: below, b: value, right: above}.items())
    for _ in range(12):
        new = _vertex(points, b)
        if abs(new - b) < 0.01 * step:
            break
        at_new = f(new)
        if at_new > value:
            step = max(abs(new - b), 0.02 * step)
            b, value = new, at_new
        points = sorted({**dict(points), new: at_new}.items())
        where = [x for x, _ in points].index(b)
        points = points[max(where - 1, 0) : where + 2]
    return b, value


def _vertex(points: list[tuple[float, float]], best: float) -> float:
    """Return the top of the parabola through three points, or a place between the best and its widest neighbour."""
    finite = [(x, y) for x, y in points if math.isfinite(y)]
    if len(finite) == 3:
        (x0, y0), (x1, y1), (x2, y2) = finite
        left, right = (y1 - y0) / (x1 - x0), (y2 - y1) / (x2 - x1)
        if right < left:
            top = 0.5 * (x0 + x1) + left * 0.5 * (x2 - x0) / (left - right)
            return min(max(top, 0.9 * x0 + 0.1 * x1), 0.9 * x2 + 0.1 * x1)
    ends = [x for x, _ in points if x != best]
    if not ends:
        return best
    far = max(ends, key=lambda x: abs(x - best))
    return best + 0.3 * (far - best)


def _error(
    f: Objective, n: int, at: tuple[float, float], which: int, limits: tuple[float, float], scale: float
) -> float:
    """Return 1/sqrt(n curvature) in one argument with the other one fixed; `scale` where that is no number."""
    step = scale
    for _ in range(6):
        middle = min(max(at[which], limits[0] + step), limits[1] - step)

        def g(x: float) -> float:
            return f(x, at[1]) if which == 0 else f(at[0], x)

        bend = (2.0 * g(middle) - g(middle - step) - g(middle + step)) / (step * step)
        found = 1.0 / math.sqrt(n * bend) if np.isfinite(bend) and bend > 0 else 0.1 * step
        if 0.3 * step <= found <= 3.0 * step:
            return found
        step = min(found, 4.0 * step)
    return step


def swapped(f: Objective) -> Objective:
    """Return `f` with its arguments in the other order."""
    return lambda a, b: f(b, a)
