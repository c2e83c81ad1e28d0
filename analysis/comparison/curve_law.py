"""This module fits laws to curves of score against tokens spent; each law is an object of `LAWS`, with a card.

A law gets the points of one organisation and returns a fit, or says why there is none. To add one, write a class with
`name` and `fit`, and put an object of it into `LAWS`: report.json and the notes take it from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np
from scipy.optimize import isotonic_regression

from agentsoc.errors import InputError
from agentsoc.streams import stream
from analysis.curves import CurveLaw, Resampled, fit_curve
from analysis.fitcard import MIN_POINTS, MIN_RATIO, FitCard
from analysis.interval import FloatArray

SIMULATIONS: Final = 2_000
SAME: Final = 1.02
"""Factor in spending below which two points of a curve count as one for its law, as for crossovers."""
DRAWS: Final = 200
"""Samples of tasks behind the intervals of a broken power law."""
FALLS: Final = 0.05
"""P value up to which scores are said to fall where more is spent."""
_FEWEST: Final = 2
RISE: Final = 2 * float(np.log(9))
"""ln x that a logistic of steepness 1 takes from a tenth to nine tenths of its height."""
_SHAPE: Final = (
    "word", "form", "equation", "breaks_reported", "slopes", "breaks", "limit", "steepness", "middle", "held_out",
    "as_good",
)  # fmt: skip
"""Keys of a law of `analysis.curves` that say nothing of what lies beyond the data."""


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
    samples: FloatArray | None = None
    """Mean scores in bootstrap samples of the tasks, the same for all points, shape (n_samples, n); None for none."""


@dataclass(frozen=True)
class FittedCurve:
    """A fit of one law."""

    law: str
    fitted: FloatArray
    """Scores at the points, shape (n,)."""
    p: float | None
    """P value of the law, small where the points contradict it; None for a law that has none."""
    words: str
    """What a reader has to know: what speaks against the law, or what it says; empty where that is nothing."""
    card: FitCard
    shape: Mapping[str, Any] = field(default_factory=dict)
    """Plain values of what the law says of the form of the curve; empty for a law that says nothing of it."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        values = {"law": self.law, "fitted": self.fitted.tolist(), "p": self.p, "words": self.words}
        return {**values, "shape": dict(self.shape), "card": self.card.as_dict()}


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


class Broken:
    """A constant, a power law with or without limit or breaks, or a logistic: whichever predicts points left out best.

    It is `analysis.curves.fit_curve`, on points of a range that bears a law, and it says nothing beyond this range.
    """

    name = "broken power law"

    def fit(self, points: CurvePoints, seed: int) -> FittedCurve | str:
        """Return the form that was chosen by held-out error, with its slopes and breaks."""
        at = _apart(points.tokens)
        n, range_ = len(at), _factor(points.tokens)
        if n < MIN_POINTS or not range_ >= MIN_RATIO:
            needs = f"{MIN_POINTS} points at different spending over a factor of {MIN_RATIO:g}"
            return f"a law of the curve needs {needs}, and there are {n} over {range_:.3g}"
        try:
            law = fit_curve(
                points.tokens[at], points.score[at], names=("tokens", "score"), draws=DRAWS, seed=seed,
                resampled=_resampled(points, at),
            )  # fmt: skip
        except InputError as error:
            return str(error.args[0])
        fitted = np.array([one.value for one in law.predict(points.tokens)])
        vague = _vague(law)
        low, high = points.tokens[0], points.tokens[-1]
        words = f"score over tokens, by {n} points from {low:,.0f} to {high:,.0f} and for these alone: "
        words += f"{vague or law.told()}; {law.held_out()}"
        return FittedCurve(self.name, fitted, None, words, _card(law, points), _shape(law, told=not vague))


LAWS: Final[tuple[FittedLaw, ...]] = (Isotonic(), Broken())
"""The laws that are fitted to every curve."""


def _misfit_p(misfit: float, error: FloatArray, rng: np.random.Generator) -> float:
    """Return how often points around a constant curve are as far from a non-decreasing one, or farther."""
    if misfit <= 0:
        return 1.0
    weight = error**-2
    drawn = rng.normal(size=(SIMULATIONS, len(error))) * error
    far = sum(float(weight @ (one - isotonic_regression(one, weights=weight).x) ** 2) >= misfit for one in drawn)
    return (1 + far) / (1 + SIMULATIONS)


def _factor(tokens: FloatArray) -> float:
    """Return by which factor the most is above the least; 0 where there is none."""
    return float(tokens[-1] / tokens[0]) if len(tokens) and tokens[0] > 0 else 0.0


def _apart(tokens: FloatArray) -> list[int]:
    """Return the places of points that spend at least 2 % more than the one before: the others are no further x."""
    kept: list[int] = []
    for at, spent in enumerate(tokens):
        if not kept or spent >= SAME * tokens[kept[-1]]:
            kept.append(at)
    return kept


def _resampled(points: CurvePoints, at: list[int]) -> Resampled | None:
    """Return the samples of tasks; a score of 0 in one is taken as half a task, as it has no logarithm."""
    if points.samples is None:
        return None
    return Resampled(np.maximum(points.samples[:DRAWS, at], 0.5 / max(points.n_tasks, 1)), points.n_tasks)


def _card(law: CurveLaw, points: CurvePoints) -> FitCard:
    """Return the card of the curve with what is known of its points."""
    card = law.card
    return FitCard(
        form=card.form,
        data={
            **card.data, "organisation": points.organisation, "tasks": points.n_tasks,
            "largest standard error of a point": float(points.error.max()),
            "dependence": "the choice of the form takes points as independent, though they share tasks",
        },
        extraction={
            **card.extraction, "y": "mean score over tasks and seeds", "x": "mean tokens spent on a task",
        },
        optimisation=card.optimisation,
        warnings=card.warnings,
    )  # fmt: skip


def _vague(law: CurveLaw) -> str:
    """Return what is said of a curve whose parameters the points do not tell; empty where they do.

    A logistic may be steeper than the points are close, and then every steeper one fits as well; or its middle may lie
    where there are no points.
    """
    if law.word == "constant":
        return "no form predicts points left out better than a constant"
    if not law.form.logistic or law.middle is None or law.steepness is None or law.word == "too few x":
        return ""
    after = int(np.searchsorted(law.x, law.middle.value))
    if not 0 < after < law.x.size:
        return "it bends as a logistic whose middle lies outside of these points"
    below, above = law.x[after - 1], law.x[after]
    if RISE / abs(law.steepness.value) > np.log(above / below):
        return ""
    return f"it changes in a step between {below:,.0f} and {above:,.0f}, and how steep that is cannot be told"


def _shape(law: CurveLaw, *, told: bool) -> dict[str, Any]:
    """Return what the law says within its range; no parameters of a logistic that the points do not tell."""
    whole = law.as_dict() if told else {**law.as_dict(), "steepness": None, "middle": None}
    breaks = [{"at": one.at.as_dict(), "change": one.change.as_dict(), "inside": one.inside} for one in law.breaks]
    return {name: whole[name] for name in _SHAPE} | {"breaks": breaks}
