"""This module pools differences over models, task families or comparisons, and says for which of them it speaks.

*For these*: the plain mean of the differences, with the error that their own errors give. It says nothing of others.
*Beyond these*: the ones at hand are taken as a sample of all that could have been chosen, whose true differences vary
with variance tau^2 (restricted maximum likelihood). The interval is that of Hartung and Knapp and of Sidik and Jonkman:
Student's t with k - 1 degrees of freedom, its error never below that of equal true differences (Roever et al., BMC
Medical Research Methodology 15, 2015). The prediction interval is for the true difference of one more
(`analysis.stats.prediction`). With two at hand both are so wide that they hardly say anything, as it should be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import optimize, stats

from agentsoc.errors import InputError
from analysis.interval import FloatArray, Interval
from analysis.stats.prediction import predict_another

FEWEST: Final = 2


@dataclass(frozen=True)
class Pooled:
    """The object holds a difference over several models or families."""

    these: Interval
    """Mean difference of the ones at hand."""
    beyond: Interval
    """Mean difference of the population that they are a sample of."""
    another: Interval
    """Prediction interval of the true difference of one more."""
    tau: float
    """Standard deviation of the true differences."""
    n: int

    def summary(self, what: str) -> str:
        """Return one line; `what` names the ones at hand in the plural, such as "models"."""
        return f"for these {self.n} {what} {self.these.text(sign=True)}; {self.beyond_text(what)}"

    def beyond_text(self, what: str) -> str:
        """Return what is said of others than those at hand."""
        shown = self.beyond.low > 0 or self.beyond.high < 0
        word = "a difference" if shown else "no difference is shown"
        return (
            f"beyond these {what} {word}: {self.beyond.text(sign=True)}, one more of them "
            f"[{self.another.low:+.3f}, {self.another.high:+.3f}]"
        )


def random_effects(
    values: Sequence[float],
    errors: Sequence[float],
    *,
    level: float = 0.95,
    within: tuple[float, float] = (-np.inf, np.inf),
) -> Pooled:
    """Return the pooled difference of k models or families.

    Args:
        values: differences, shape (k,).
        errors: their standard errors, same shape, positive.
        level: coverage aimed at.
        within: range of a difference, to which intervals are cut: (-1, 1) for scores.

    Raises:
        InputError: fewer than two, or an error that is not positive.
    """
    x, se = np.asarray(values, dtype=np.float64), np.asarray(errors, dtype=np.float64)
    k = x.size
    if k < FEWEST or se.size != k:
        raise InputError(f"pooling needs at least {FEWEST} differences, each with its error, got {k} and {se.size}")
    if not np.all(np.isfinite(x)) or not np.all(se > 0):
        raise InputError("pooling needs differences that are numbers and errors above 0")
    variance = se**2
    tau2 = _reml(x, variance)
    weight = 1 / (variance + tau2)
    mean = float(weight @ x / weight.sum())
    spread = float(weight @ (x - mean) ** 2) / (k - 1)
    error = float(np.sqrt(max(spread, 1.0) / weight.sum()))
    reach = float(stats.t.ppf((1 + level) / 2, k - 1)) * error
    least, most = predict_another(x, variance, level)
    plain, own = float(x.mean()), float(np.sqrt(variance.sum())) / k
    z = float(stats.norm.ppf((1 + level) / 2))

    def around(centre: float, by: float, method: str) -> Interval:
        return Interval(centre, max(centre - by, within[0]), min(centre + by, within[1]), level, method)

    return Pooled(
        these=around(plain, z * own, "mean of those at hand"),
        beyond=around(mean, reach, "random effects, Hartung-Knapp-Sidik-Jonkman"),
        another=Interval(mean, max(least, within[0]), min(most, within[1]), level, "prediction"),
        tau=float(np.sqrt(tau2)), n=k,
    )  # fmt: skip


def _reml(x: FloatArray, variance: FloatArray) -> float:
    """Return the variance of true differences that makes the residuals most likely; 0 at the least."""

    def unlikely(tau2: float) -> float:
        weight = 1 / (variance + tau2)
        mean = weight @ x / weight.sum()
        return float(np.log(variance + tau2).sum() + np.log(weight.sum()) + weight @ (x - mean) ** 2) / 2

    most = float(np.var(x)) * x.size + float(variance.max())
    found = optimize.minimize_scalar(unlikely, bounds=(0.0, 4 * most), method="bounded", options={"xatol": 1e-6 * most})
    return 0.0 if unlikely(0.0) <= found.fun else float(found.x)
