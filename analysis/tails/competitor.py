"""This module defines `Competitor`: a law that a power law is compared with on the same tail.

`COMPETITORS` finds them by entry point in the group ``analysis.tail_competitors``. Each is normalised above xmin, and
discrete for discrete samples.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from agentsoc.errors import InputError
from analysis.interval import Interval
from analysis.registry import Registered, Registry
from analysis.tails.histogram import Histogram
from analysis.tails.powerlaw import PowerLaw

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class TailModel:
    """A model is fitted to the values at or above `xmin` by maximum likelihood."""

    name: str
    xmin: float
    params: dict[str, float]
    loglik: float
    log_mass: F64
    """Log probability (density) of each distinct value of the tail."""
    at_bound: tuple[str, ...]
    """Parameters that ended at an end of their range."""
    converged: bool = True

    @property
    def aic(self) -> float:
        """Akaike's criterion, 2 k - 2 log L."""
        return 2.0 * len(self.params) - 2.0 * self.loglik

    def summary(self) -> str:
        """Return one line: parameters and log-likelihood."""
        values = ", ".join(f"{name} = {value:.4g}" for name, value in self.params.items())
        bound = f" (at bound: {', '.join(self.at_bound)})" if self.at_bound else ""
        return f"{self.name}: {values}{bound}, log L = {self.loglik:.6g}"


class Competitor(Registered, ABC):
    """A competitor is one law of tails: its fit, the doubt of its parameters, its survival function and its style."""

    short: ClassVar[str]
    """Short name of the law, for tables."""
    style: ClassVar[tuple[str, str]]
    """Colour and line of its curve in figures, as matplotlib writes them."""
    holds_power_law: ClassVar[bool] = False
    """Whether the power law is one of its members; then the two are tested as nested models."""
    rivals_cut_off: ClassVar[bool] = False
    """Whether the truncated power law is compared with it too: it can pass for a cut-off."""

    @abstractmethod
    def fit(self, tail: Histogram, power: PowerLaw) -> TailModel:
        """Return the maximum-likelihood fit to `tail`, whose values are at or above ``power.xmin``.

        Raises:
            InputError: the tail holds a single distinct value.
        """

    @abstractmethod
    def intervals(self, model: TailModel, tail: Histogram, *, level: float = 0.95) -> Mapping[str, Interval]:
        """Return the interval of each reported parameter of `model`, which was fitted to `tail`."""

    @abstractmethod
    def survival(self, model: TailModel, x: F64, *, discrete: bool) -> F64:
        """Return P(X >= x) under `model` for x >= ``model.xmin``, of the shape of `x`."""


COMPETITORS: Final[Registry[Competitor]] = Registry("analysis.tail_competitors", Competitor)  # type: ignore[type-abstract]


def log_likelihood(mass: F64, tail: Histogram) -> float:
    """Return the log-likelihood of the tail, from the log mass of each distinct value."""
    return float(tail.counts @ mass)


def need_spread(tail: Histogram) -> None:
    """Refuse a tail of equal values: no model but a point mass fits it.

    Raises:
        InputError: the tail holds a single distinct value.
    """
    if np.count_nonzero(tail.counts) < 2:
        raise InputError("the tail holds a single distinct value", "", "choose a smaller xmin")


def tail_start(tail: Histogram, xmin: float) -> float:
    """Return where the tail begins on the continuous scale."""
    return xmin - 0.5 if tail.discrete else xmin
