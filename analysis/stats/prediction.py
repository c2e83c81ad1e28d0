"""This module tells where the true difference of one more model or family lies, with the doubt of tau^2 carried along.

With tau^2 the variance of true differences and v_i that of each error, w_i = 1 / (v_i + tau^2) and m = sum w_i x_i /
sum w_i: Q(tau^2) = sum w_i (x_i - m)^2 follows chi^2 with k - 1 degrees of freedom at the true tau^2, whatever it is
(Viechtbauer, Statistics in Medicine 26, 2007), and m - mu is normal with variance 1 / sum w_i, independent of Q. So
each quantile of chi^2 gives one tau^2, 0 where it is above Q(0), and one more difference is normal about m with
variance tau^2 + 1 / sum w_i: the interval is that of the even mixture over the quantiles, a generalised confidence
interval in the sense of Iyer, Wang and Mathew (JASA 99, 2004). An interval for a single estimate of tau^2 is too narrow
where that estimate is often 0.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy import special, stats

from analysis.interval import FloatArray

QUANTILES: Final = 200
"""Quantiles of chi^2 that stand for its distribution, each in the middle of its share."""
_HALVINGS: Final = 60
_FAR: Final = 12.0
"""Standard deviations beyond which nothing of a normal distribution is left."""


def predict_another(values: FloatArray, variances: FloatArray, level: float) -> tuple[float, float]:
    """Return both ends of the prediction interval of one more true difference.

    Args:
        values: differences, shape (k,), k of at least 2.
        variances: squares of their standard errors, same shape, positive.
        level: coverage aimed at.
    """
    k = values.size
    drawn = stats.chi2.ppf((np.arange(QUANTILES) + 0.5) / QUANTILES, k - 1)
    tau2 = _variances_of(drawn, values, variances)
    _, centre, squared = _weighed(tau2, values, variances)
    sd = np.sqrt(tau2 + squared)
    return _quantile((1 - level) / 2, centre, sd), _quantile((1 + level) / 2, centre, sd)


def _weighed(tau2: FloatArray, x: FloatArray, variances: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return Q, the weighed mean and its variance for each tau^2, shape (n,) each."""
    weight = 1 / (variances + tau2[:, None])
    total = weight.sum(axis=1)
    mean = weight @ x / total
    return (weight * (x - mean[:, None]) ** 2).sum(axis=1), mean, 1 / total


def _variances_of(drawn: FloatArray, x: FloatArray, variances: FloatArray) -> FloatArray:
    """Return the tau^2 at which Q is each of `drawn`: Q falls with tau^2 and is at most sum (x - mean)^2 / tau^2."""
    low, high = np.zeros(drawn.size), np.sum((x - x.mean()) ** 2) / drawn
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        above = _weighed(middle, x, variances)[0] > drawn
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    none = _weighed(np.zeros(1), x, variances)[0][0] <= drawn
    return np.where(none, 0.0, (low + high) / 2)


def _quantile(share: float, centre: FloatArray, sd: FloatArray) -> float:
    """Return the value below which lies `share` of the even mixture of normal distributions."""
    low, high = float(np.min(centre - _FAR * sd)), float(np.max(centre + _FAR * sd))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if special.ndtr((middle - centre) / sd).mean() < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2
