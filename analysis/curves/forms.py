"""This module defines the forms that a curve can have: constant, power law, power law with breaks, logistic.

Broken neural scaling laws (arXiv 2210.14891) are y = a + b x^(-c0) prod_i (1 + (x/d_i)^(1/f_i))^(-c_i f_i): a the
limit, b the scale, c0 the first exponent, d_i the place of a break, f_i its width in ln x (small is sharp), c_i by how
much the exponent changes. On segment j, |y - a| falls as x^-(c0 + ... + cj). A power law is n = 0. The logistic in ln
x, y = a + b / (1 + (x/m)^-k), is what a curve with a floor and a ceiling follows.

Parameters of a form stand in one vector: a (where the form has a limit), ln |b|, then those of its core: c0, and for
each break c_i, ln d_i, ln f_i; or k and ln m. b > 0 where `sign` is 1: the curve lies above a. Arrays are batches: the
first axis counts fits that have nothing to do with each other, and all work is done for all of them at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy.special import expit

from analysis.interval import FloatArray

STEEPEST: Final = 20.0
"""Largest exponent, or change of it, that is looked for."""
BEYOND: Final = 0.25
"""How far outside of the data a break is looked for, as a share of their range in ln x."""
SHARPEST: Final = 1 / 200
"""Smallest width of a break, as a share of the range in ln x."""
WIDEST: Final = 1 / 4
"""Largest width of a break, as a share of the range in ln x."""
LEAST: Final = 1e-6
"""Share of |a| + |y - a| below which y is not let fall: a curve below its limit may come out negative."""


@dataclass(frozen=True)
class Form:
    """A form is one equation for y; its parameters are given apart."""

    breaks: int = 0
    """Breaks; -1 for the constant, which has no exponent."""
    limit: bool = False
    """Whether a is free; else it is 0."""
    logistic: bool = False
    sign: int = 1
    """Whether the curve lies above its limit (1) or below it (-1)."""

    @property
    def either(self) -> Form:
        """The form whichever side of its limit it is on."""
        return replace(self, sign=1)

    @property
    def n_parameters(self) -> int:
        """Number of free parameters."""
        core = 2 if self.logistic else 1 + 3 * self.breaks
        return int(self.limit) + 1 + max(core, 0)

    @property
    def name(self) -> str:
        """The form in a few words."""
        if self.logistic:
            core = "logistic"
        else:
            core = ("constant", "power law", "power law with one break", "power law with two breaks")[self.breaks + 1]
        return core + (", with a limit" if self.limit and not self.logistic else ", with a floor" if self.limit else "")

    @property
    def equation(self) -> str:
        """The equation as text."""
        start = "y = a + " if self.limit else "y = "
        if self.logistic:
            return f"{start}b / (1 + (x/m)^-k)"
        if self.breaks < 0:
            return "y = b"
        product = " prod_i (1 + (x/d_i)^(1/f_i))^(-c_i f_i)" if self.breaks else ""
        return f"{start}b x^-c0{product}"

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters, in the order of the vector."""
        start = ("a", "ln |b|") if self.limit else ("ln |b|",)
        if self.logistic:
            return (*start, "k", "ln m")
        if self.breaks < 0:
            return start
        own = [(f"c{i}", f"ln d{i}", f"ln f{i}") for i in range(1, self.breaks + 1)]
        return (*start, "c0", *(name for group in own for name in group))

    def core(self, theta: FloatArray, log_x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return ln |y - a| and its derivatives by all parameters but a.

        Args:
            theta: shape (batch, n_parameters).
            log_x: shape (n,).

        Returns:
            Shapes (batch, n) and (batch, n, n_parameters - limit).
        """
        own = theta[:, int(self.limit) :]
        value = np.repeat(own[:, :1], log_x.size, axis=1)
        slope = np.empty((*value.shape, own.shape[1]))
        slope[..., 0] = 1.0
        if self.logistic:
            k, z = own[:, 1:2], log_x - own[:, 2:3]
            value -= np.logaddexp(0.0, -k * z)
            share = expit(-k * z)
            slope[..., 1], slope[..., 2] = share * z, -share * k
        elif self.breaks >= 0:
            value -= own[:, 1:2] * log_x
            slope[..., 1] = -log_x
            for at in range(2, own.shape[1], 3):
                c, width = own[:, at : at + 1], np.exp(own[:, at + 2 : at + 3])
                z = (log_x - own[:, at + 1 : at + 2]) / width
                soft, share = np.logaddexp(0.0, z), expit(z)
                value -= c * width * soft
                slope[..., at] = -width * soft
                slope[..., at + 1] = c * share
                slope[..., at + 2] = -c * width * (soft - z * share)
        return value, slope

    def log_y(self, theta: FloatArray, log_x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return ln y and its derivatives by all parameters; shapes (batch, n) and (batch, n, n_parameters).

        Where the curve would be negative, ln y is that of a millionth of a and |y - a| together.
        """
        value, slope = self.core(theta, log_x)
        if not self.limit:
            return value, slope
        part = self.sign * np.exp(np.clip(value, -300.0, 300.0))
        y, whole = theta[:, :1] + part, theta[:, :1] + np.abs(part)
        low = y < LEAST * whole
        y = np.where(low, whole, y)
        found = np.empty((*value.shape, theta.shape[1]))
        found[..., 0] = 1 / y
        found[..., 1:] = slope * (np.where(low, np.abs(part), part) / y)[..., None]
        return np.log(y) + np.where(low, np.log(LEAST), 0.0), found

    def bounds(self, log_x: FloatArray, log_y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the least and the largest value of each parameter, for data in these ranges."""
        low_x, high_x = float(log_x.min()), float(log_x.max())
        wide = high_x - low_x
        least, most = float(np.exp(log_y.min())), float(np.exp(log_y.max()))
        scale = 2 * STEEPEST * max(abs(low_x), abs(high_x), wide) + float(np.abs(log_y).max()) + 10
        pairs = [((0.0, most) if self.sign > 0 else (least, 100 * most))] if self.limit else []
        pairs.append((-scale, scale))
        place = (low_x - BEYOND * wide, high_x + BEYOND * wide)
        if self.logistic:
            pairs += [(-STEEPEST, STEEPEST), (low_x - 2 * wide, high_x + 2 * wide)]
        elif self.breaks >= 0:
            pairs.append((-STEEPEST, STEEPEST))
            width = (float(np.log(wide * SHARPEST)), float(np.log(wide * WIDEST)))
            pairs += [(-STEEPEST, STEEPEST), place, width] * self.breaks
        low, high = np.array(pairs).T
        return low, high


CONSTANT: Final = Form(-1)
POWER: Final = Form(0)
CANDIDATES: Final[tuple[Form, ...]] = (
    CONSTANT,
    POWER,
    Form(0, limit=True),
    Form(logistic=True),
    Form(limit=True, logistic=True),
    Form(1),
    Form(1, limit=True),
    Form(2),
    Form(2, limit=True),
)
"""All forms that are tried, from few parameters to many."""
