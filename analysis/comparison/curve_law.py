"""This module fits laws to curves of score against tokens spent; each law is an object of `LAWS`, with a card.

A law gets the points of one organisation and returns a fit, or says why there is none. To add one, write a class with
`name` and `fit`, and put an object of it into `LAWS`: report.json and the notes take it from there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from scipy.optimize import isotonic_regression

from agentsoc.streams import stream
from analysis.fitcard import FitCard
from analysis.interval import FloatArray

SIMULATIONS: Final = 2_000
FALLS: Final = 0.05
"""P value up to which scores are said to fall where more is spent."""
_FEWEST: Final = 2


@dataclass(frozen=True)
class CurvePoints:
    """The points of one organisation, by increasing spending."""

    organisation: str
    tokens: FloatArray
    """Mean tokens spent on a task, shape (n,)."""
    score: FloatArray
    """Mean scores, same shape."""
    error: FloatArray
    """Standard errors of the scores, same shape, above 0."""
    n_tasks: int


@dataclass(frozen=True)
class FittedCurve:
    """A fit of one law."""

    law: str
    fitted: FloatArray
    """Scores at the points, shape (n,)."""
    p: float | None
    """P value of the law, small where the points contradict it; None for a law that has none."""
    words: str
    """What a reader has to know; empty where the points do not contradict the law."""
    card: FitCard

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        values = {"law": self.law, "fitted": self.fitted.tolist(), "p": self.p, "words": self.words}
        return {**values, "card": self.card.as_dict()}


class FittedLaw(Protocol):
    """A law of the curve of score against tokens."""

    name: str

    def fit(self, points: CurvePoints, seed: int) -> FittedCurve | str:
        """Return the fit of the points, or why there is none."""


class Isotonic:
    """Scores that never fall where more is spent, whatever else they do: least squares, weighted by the errors."""

    name = "isotonic"

    def fit(self, points: CurvePoints, seed: int) -> FittedCurve | str:
        """Return the non-decreasing scores that are nearest to the points, and whether these contradict that."""
        if len(points.tokens) < _FEWEST:
            return "a curve needs two points at different spending"
        weight = points.error**-2
        fitted = isotonic_regression(points.score, weights=weight).x
        misfit = float(weight @ (points.score - fitted) ** 2)
        p = _misfit_p(misfit, points.error, stream(seed, "comparison", "isotonic", points.organisation))
        drop = float(np.max(np.maximum.accumulate(points.score) - points.score))
        words = ""
        if p <= FALLS:
            words = f"its score falls by {drop:.3f} where it spends more (p {p:.3f}): more tokens made it worse"
        card = FitCard(
            form={
                "equation": "score(tokens) is non-decreasing: a value a point, constant where points were pooled",
                "x": "mean tokens spent on a task (tokens)", "levels": len(np.unique(fitted)),
            },
            data={
                "organisation": points.organisation, "points": len(points.tokens), "tasks": points.n_tasks,
                "from": float(points.tokens[0]), "to": float(points.tokens[-1]),
                "dependence": "points share tasks and are taken as independent: the test then finds falls too rarely",
            },
            extraction={"y": "mean score over tasks and seeds", "error": "bootstrap over tasks"},
            optimisation={
                "loss": "squares weighted by 1/error^2", "method": "pooling of adjacent violators",
                "misfit": misfit, "p": p, "p_by": f"{SIMULATIONS} simulations of a constant curve, the hardest case",
            },
        )  # fmt: skip
        return FittedCurve(self.name, fitted, p, words, card)


LAWS: Final[tuple[FittedLaw, ...]] = (Isotonic(),)
"""The laws that are fitted to every curve."""


def _misfit_p(misfit: float, error: FloatArray, rng: np.random.Generator) -> float:
    """Return how often points around a constant curve are as far from a non-decreasing one, or farther."""
    if misfit <= 0:
        return 1.0
    weight = error**-2
    drawn = rng.normal(size=(SIMULATIONS, len(error))) * error
    far = sum(float(weight @ (one - isotonic_regression(one, weights=weight).x) ** 2) >= misfit for one in drawn)
    return (1 + far) / (1 + SIMULATIONS)
