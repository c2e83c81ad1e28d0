"""This module defines what is said of a curve: its form, its breaks, its slopes, its limit, and where it goes next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike

from agentsoc.errors import InputError
from agentsoc.streams import stream
from analysis.curves.forms import CONSTANT, POWER, Form
from analysis.curves.holdout import Choice
from analysis.fitcard import MIN_POINTS, MIN_RATIO, FitCard
from analysis.interval import FloatArray, Interval

FAR: Final = 10.0
"""Largest factor beyond the data at which a curve is told."""
METHOD: Final = "wild bootstrap"

Word = Literal["constant", "power law", "power law with a limit", "logistic", "broken power law", "bends", "too few x"]


@dataclass(frozen=True)
class Resampled:
    """The object holds the values of a curve in bootstrap samples of what they are means of."""

    values: FloatArray
    """Shape (n_samples, n_values), positive."""
    units: int
    """What is drawn in each sample (tasks)."""
    method: str = "bootstrap over tasks"


@dataclass(frozen=True)
class Samples:
    """The samples are those of a bootstrap: the parameters they were drawn with, and those that were fitted to them."""

    true: FloatArray
    """Shape (n_draws, n_parameters)."""
    fitted: FloatArray
    """Shape (n_draws, n_parameters)."""
    levels: tuple[float, float]
    """Shares of the errors at which an interval ends."""
    method: str = METHOD
    """How they were drawn."""

    def ends(self, value: FloatArray, true: FloatArray, fitted: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the ends of the interval of a number: its value less the errors of the samples at both levels.

        Args:
            value: the number, shape (n,).
            true: the number in what the samples were drawn with, shape (n_draws, n).
            fitted: the number in what was fitted to them, shape (n_draws, n).
        """
        high, low = np.quantile(fitted - true, self.levels, axis=0)
        return np.minimum(value - low, value), np.maximum(value - high, value)


@dataclass(frozen=True)
class Break:
    """A break is a place at which the exponent of a curve changes."""

    at: Interval
    """d, in units of x; open where its interval ends with the places that are looked at."""
    width: Interval
    """f, the width of the change in ln x; small is sharp."""
    change: Interval
    """By how much the log-log slope changes: -c."""
    inside: bool
    """Whether the interval of d lies inside the data."""

    def as_dict(self) -> dict[str, object]:
        """Return plain values for JSON."""
        parts = {"at": self.at, "width": self.width, "change": self.change}
        return {**{name: one.as_dict() for name, one in parts.items()}, "inside": self.inside}


@dataclass(frozen=True)
class CurveLaw:
    """The law of a curve y(x), with all intervals at 95 % and what speaks against it."""

    names: tuple[str, str]
    """What x and y are."""
    form: Form
    """The form that was chosen by held-out error."""
    x: FloatArray
    """Distinct x, increasing, shape (n_x,)."""
    limit: Interval | None
    """a, in units of y; None where the form has none."""
    slopes: tuple[Interval, ...]
    """Log-log slope of |y - a| on each segment, before the first break first; empty for constant and logistic."""
    breaks: tuple[Break, ...]
    """Where the slope changes, in units of x, from left to right; empty for a form without breaks."""
    steepness: Interval | None
    """k of a logistic."""
    middle: Interval | None
    """m of a logistic, in units of x."""
    choice: Choice
    """How the forms did on values that were left out."""
    theta: FloatArray
    """Parameters as in `analysis.curves.forms`, for ln x and ln y less `centre`."""
    samples: Samples
    """What the bootstrap made of it."""
    rivals: tuple[tuple[Form, FloatArray], ...]
    """Other forms whose held-out error is not told apart, with their parameters."""
    centre: tuple[float, float]
    """What is taken from ln x and from ln y."""
    residual: FloatArray
    """ln y less the curve, of each value, pushed out for the parameters that were fitted."""
    card: FitCard
    """Sample, method and assumptions of the fit."""

    @property
    def reported(self) -> bool:
        """Whether breaks are reported: all of them inside the data, and the held-out error better for them."""
        return bool(self.breaks) and all(one.inside for one in self.breaks) and self.choice.breaks_help

    @property
    def word(self) -> Word:
        """What the curve is called."""
        if self.x.size < MIN_POINTS or self.x[-1] / self.x[0] < MIN_RATIO:
            return "too few x"
        if self.breaks:
            return "broken power law" if self.reported else "bends"
        if self.form.logistic:
            return "logistic"
        if self.form == CONSTANT:
            return "constant"
        return "power law with a limit" if self.form.limit else "power law"

    def predict(self, x: ArrayLike, *, new: bool = False, seed: int = 0) -> tuple[Interval, ...]:
        """Return y at these x, with the bootstrap's interval.

        What is assumed is that the chosen form holds at x, or one that held-out values do not tell apart from it: what
        those give is in the interval.

        Args:
            x: where, in the units of x, at most a factor of 10 outside of the data.
            new: whether the interval is for a new value with its own scatter, instead of for the curve.
            seed: seed of that scatter.

        Raises:
            InputError: an x is no positive number, or farther from the data.
        """
        at = np.atleast_1d(np.asarray(x, dtype=np.float64))
        if not np.all((at >= self.x[0] / FAR) & (at <= self.x[-1] * FAR)):
            least, most = self.x[0] / FAR, self.x[-1] * FAR
            raise InputError(f"this curve is told from {least:g} to {most:g}", self.names[0], "ask for x in that range")
        log_x = np.log(at) - self.centre[0]
        value = self.form.log_y(self.theta[None], log_x)[0][0]
        fitted = self.form.log_y(self.samples.fitted, log_x)[0]
        if new:
            fitted = fitted + stream(seed, "curve-new").choice(self.residual, size=fitted.shape)
        low, high = self.samples.ends(value, self.form.log_y(self.samples.true, log_x)[0], fitted)
        for form, theta in self.rivals:
            other = form.log_y(theta[None], log_x)[0][0]
            low, high = np.minimum(low, other), np.maximum(high, other)
        ends = np.exp(np.stack([value, low, high]) + self.centre[1]).T.tolist()
        method = self.samples.method
        return tuple(Interval(middle, least, most, method=method) for middle, least, most in ends)

    def summary(self) -> str:
        """Return the law in words, with the form's held-out error and what lies one octave beyond."""
        name_x, name_y = self.names
        said = f"{name_y} over {name_x} ({self.x.size} of them from {self.x[0]:g} to {self.x[-1]:g}): {self.told()}"
        said += f"; {self.held_out()}"
        beyond = self.predict(2 * self.x[-1])[0]
        return f"{said}; {beyond} at {2 * self.x[-1]:g}, if it goes on so"

    def held_out(self) -> str:
        """Return the error on values left out, beside that of a power law."""
        said = f"held-out error {self.choice.rms(self.form):.2%}"
        if self.form != POWER and POWER in self.choice.errors:
            said += f", {self.choice.rms(POWER):.2%} for a power law"
        return said

    def told(self) -> str:
        """Return the word with its numbers."""
        if self.word == "too few x":
            return f"too few {self.names[0]} or too short a range for a law; {self.form.name} predicts best"
        if self.word == "constant":
            return "no change is seen"
        if self.form.logistic:
            floor = f" above {self.limit}" if self.limit is not None else ""
            return f"levels off as a logistic, steepness {self.steepness}, middle at {self.middle}{floor}"
        limit = f" towards the limit {self.limit}" if self.limit is not None else ""
        slopes = [f"{one.text(sign=True)}" for one in self.slopes]
        if not self.breaks:
            return f"power law{limit}, slope {slopes[0]}"
        if not self.reported:
            lies = all(one.inside for one in self.breaks)
            why = "forms without a break predict as well" if lies else "its interval reaches beyond the data"
            return f"it bends, but no break is reported: {why}"
        places = " and ".join(str(one.at) for one in self.breaks)
        return f"broken power law{limit}, slope {', then '.join(slopes)}, with a break at {places}"

    def as_dict(self) -> dict[str, object]:
        """Return plain values for JSON."""
        named = {"limit": self.limit, "steepness": self.steepness, "middle": self.middle}
        return {
            "x": self.names[0],
            "y": self.names[1],
            "word": self.word,
            "form": self.form.name,
            "equation": self.form.equation,
            "breaks_reported": self.reported,
            "slopes": [one.as_dict() for one in self.slopes],
            "breaks": [one.as_dict() for one in self.breaks],
            **{name: None if one is None else one.as_dict() for name, one in named.items()},
            "held_out": {form.name: self.choice.rms(form) for form in self.choice.errors},
            "as_good": [form.name for form in self.choice.as_good],
            "octave_beyond": self.predict(2 * self.x[-1])[0].as_dict(),
            "card": self.card.as_dict(),
        }


def interval_of(
    samples: Samples, number: Callable[[FloatArray], FloatArray], theta: FloatArray, ends: tuple[float, float]
) -> Interval:
    """Return the interval of a number that follows from the parameters, open where it reaches an end.

    Args:
        samples: the bootstrap.
        number: gives the number for parameters of shape (n, n_parameters), shape (n,).
        theta: the parameters that were found, shape (1, n_parameters).
        ends: least and largest value that is looked at; infinite where there is none.
    """
    value = number(theta)
    found = samples.ends(value, number(samples.true)[:, None], number(samples.fitted)[:, None])
    low, high = (float(np.clip(one[0], *ends)) for one in found)
    slack = 1e-6 * (ends[1] - ends[0]) if np.isfinite(ends[1] - ends[0]) else 0.0
    return Interval(
        float(value[0]), low, high, method=samples.method, open_low=low <= ends[0] + slack,
        open_high=high >= ends[1] - slack,
    )  # fmt: skip
