"""This module finds the Pareto front of score against tokens: what nobody beats who spends no more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from analysis.comparison.curve_draws import Draws
from analysis.interval import FloatArray

_BLOCK: Final = 1 << 22
"""Comparisons held at a time."""


@dataclass(frozen=True)
class FrontPoint:
    """A point of a curve, and how surely it is on the front."""

    label: str
    tokens: float
    score: float
    on_front: bool
    share: float
    """Share of the bootstrap samples of tasks in which it is on the front."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return vars(self)


def front_of(draws: Draws) -> tuple[FrontPoint, ...]:
    """Return every point with whether it is on the front, by increasing spending."""
    on = on_front(draws.tokens, draws.score)
    found = [
        FrontPoint(
            label, float(draws.tokens[0, at]), float(draws.score[0, at]), bool(on[0, at]), float(on[1:, at].mean())
        )
        for at, label in enumerate(draws.labels)
    ]
    return tuple(sorted(found, key=lambda point: (point.tokens, -point.score)))


def on_front(tokens: FloatArray, score: FloatArray) -> FloatArray:
    """Return for each sample and point whether it is on the front, as 0 or 1, shape (samples, points).

    It is where no other has at least its score for at most its tokens, one of the two strictly so.
    """
    samples, points = tokens.shape
    found = np.ones((samples, points))
    step = max(1, _BLOCK // max(points * points, 1))
    for first in range(0, samples, step):
        x, y = tokens[first : first + step], score[first : first + step]
        cheaper, better = x[:, None, :] <= x[:, :, None], y[:, None, :] >= y[:, :, None]
        strictly = (x[:, None, :] < x[:, :, None]) | (y[:, None, :] > y[:, :, None])
        found[first : first + step] = ~(cheaper & better & strictly).any(axis=2)
    return found
