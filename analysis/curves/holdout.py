"""This module chooses the form of a curve by the error on values that the fit has not seen.

Values are left out in ten parts (by whole clusters where clusters have several x, else by x), every form is fitted to
the rest with a search of its own, and predicts them. The simplest form is chosen whose mean squared error of ln y is at
most one standard error above that of the best (Breiman et al., Classification and Regression Trees, 1984). The error is
that of the difference over what was left out, put right for what training sets have in common (Nadeau & Bengio, Machine
Learning 52, 2003). So a form with more parameters has to predict better, not only fit better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from analysis.curves.forms import CANDIDATES, Form
from analysis.curves.points import FOLDS, Points
from analysis.curves.search import Sets, search, sides
from analysis.interval import FloatArray

SPARE: Final = 2
"""Distinct x that a form needs beyond its parameters."""


@dataclass(frozen=True)
class Choice:
    """The choice holds the errors of every form that was tried."""

    errors: Mapping[Form, FloatArray]
    """Sum of squared errors of ln y over each part left out, shape (n_held,), from few parameters to many."""
    n_values: int
    chosen: Form

    def rms(self, form: Form) -> float:
        """Return the root of the mean squared held-out error of ln y: about the relative error."""
        return float(np.sqrt(self.errors[form.either].sum() / self.n_values))

    @property
    def as_good(self) -> tuple[Form, ...]:
        """Other forms whose held-out error is not told apart from that of the chosen one."""
        own = self.errors[self.chosen]
        return tuple(
            form
            for form, other in self.errors.items()
            if form != self.chosen and not beats(own, other) and not beats(other, own)
        )

    @property
    def breaks_help(self) -> bool:
        """Whether the chosen form predicts better than every form without a break."""
        own = self.errors[self.chosen]
        return all(beats(own, other) for form, other in self.errors.items() if form.breaks < 1 and not form.logistic)


def beats(one: FloatArray, other: FloatArray) -> bool:
    """Return whether the first errors are smaller than the others by more than a standard error.

    It is the smaller of the scatter of the differences and that of the first errors themselves: of a form that is
    wildly wrong now and then the differences scatter so much that pairs alone would never tell it from any other.
    """
    gain = other - one
    n = gain.size
    parts = min(n, FOLDS)
    common = 1 + parts / (parts - 1)
    se = min(float(gain.std(ddof=1)), float(one.std(ddof=1))) * np.sqrt(common / n)
    return bool(float(gain.mean()) > se)


def allowed(points: Points) -> tuple[Form, ...]:
    """Return the forms that so many distinct x can bear."""
    return tuple(form for form in CANDIDATES if form.n_parameters + SPARE <= points.n_x)


def choose(points: Points, forms: Sequence[Form]) -> Choice:
    """Return the errors of these forms, and the simplest that predicts as well as the best.

    Args:
        points: the data.
        forms: from few parameters to many.
    """
    parts = np.unique(points.fold)
    left_out = points.fold == parts[:, None]
    training = points.sets(~left_out)
    errors = {form: _errors(form, training, points, left_out) for form in forms}
    return Choice(errors, points.at.size, _simplest(errors, forms))


def with_fewer(choice: Choice) -> Choice | None:
    """Return the choice among forms with breaks and fewer parameters than the chosen one; None where there is none."""
    left = [form for form in choice.errors if form.breaks > 0 and form.n_parameters < choice.chosen.n_parameters]
    return replace(choice, chosen=_simplest(choice.errors, left)) if left else None


def _simplest(errors: Mapping[Form, FloatArray], forms: Sequence[Form]) -> Form:
    """Return the simplest of these forms that the best of them does not beat."""
    best = min(forms, key=lambda form: (float(errors[form].sum()), form.n_parameters))
    return next(form for form in forms if form == best or not beats(errors[best], errors[form]))


def _errors(form: Form, training: Sets, points: Points, left_out: np.ndarray) -> FloatArray:
    """Return the squared errors of what was left out, summed over what is left out together."""
    found = [search(one, training) for one in sides(form)]
    curves = np.array([one.form.log_y(one.theta, points.log_x)[0] for one in found])
    better = np.argmin([one.loss for one in found], axis=0)
    curve = curves[better, np.arange(training.n_sets)]
    part = np.argmax(left_out, axis=0)
    off = points.log_y - curve[part, points.at]
    return np.asarray(np.bincount(points.held, off**2), dtype=np.float64)
