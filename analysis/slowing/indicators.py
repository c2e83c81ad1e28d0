"""This module measures what changes as a system slows down: memory, spread and lean of a series in rolling windows.

A system that returns more and more slowly from small disturbances remembers them longer: near an AR(1) process with
coefficient phi the lag-1 autocorrelation is phi, the variance sigma^2 / (1 - phi^2) and the recovery time -1 / ln phi
steps. The trend is taken away first by a Gaussian kernel; each indicator is followed over windows, and Kendall's tau
with time says in one number whether it rises or falls. Batches: the first axis counts series.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.ndimage import gaussian_filter1d

from analysis.interval import FloatArray, IntArray

INDICATORS: Final = ("autocorrelation", "variance", "skewness")
"""Lag-1 autocorrelation, variance, and absolute skewness, in this order."""
WINDOWS_MAX: Final = 128
"""Windows at most; of a longer series every k-th is taken."""


def trend(series: FloatArray, bandwidth: float) -> FloatArray:
    """Return the Gaussian-kernel mean of every series, shape (n_series, n); at the ends with the weights that are left.

    Args:
        series: shape (n_series, n).
        bandwidth: standard deviation of the kernel (steps).
    """
    smooth = gaussian_filter1d(series, bandwidth, axis=1, mode="constant")
    return np.asarray(smooth / gaussian_filter1d(np.ones(series.shape[1]), bandwidth, mode="constant"))


def window_ends(n: int, window: int) -> IntArray:
    """Return the end of each window, exclusive: every step, or every k-th so that there are at most 128."""
    step = -(-(n - window + 1) // WINDOWS_MAX)
    return np.arange(n, window - 1, -step)[::-1]


def rolling(series: FloatArray, window: int) -> FloatArray:
    """Return the indicators in every window, shape (3, n_series, n_windows).

    The lag-1 autocorrelation is the correlation of a value with the next, over the pairs of a window; the skewness is
    without its sign. In a window in which nothing varies they are 0.

    Args:
        series: shape (n_series, n).
        window: steps of a window, at least 3 and at most n.
    """
    ends = window_ends(series.shape[1], window)
    scale = series.std(axis=1, keepdims=True)
    x = np.where(scale > 0, (series - series.mean(axis=1, keepdims=True)) / np.where(scale > 0, scale, 1.0), 0.0)
    mean, square, cube = (_sums(x**power, ends, window) / window for power in (1, 2, 3))
    variance = np.maximum(square - mean**2, 0.0)
    third = cube - 3 * mean * square + 2 * mean**3
    first, last = x[:, ends - window], x[:, ends - 1]
    pairs = window - 1
    before, after = (window * mean - last) / pairs, (window * mean - first) / pairs
    spread_before = np.maximum((window * square - last**2) / pairs - before**2, 0.0)
    spread_after = np.maximum((window * square - first**2) / pairs - after**2, 0.0)
    product = _sums(x[:, 1:] * x[:, :-1], ends - 1, pairs) / pairs
    memory = _over(product - before * after, np.sqrt(spread_before * spread_after))
    lean = np.abs(_over(third, variance**1.5))
    return np.stack([memory, variance * scale**2, lean])


def _sums(values: FloatArray, ends: IntArray, window: int) -> FloatArray:
    """Return the sum over each window."""
    total = np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)
    return np.asarray(total[:, ends] - total[:, ends - window])


def _over(above: FloatArray, below: FloatArray) -> FloatArray:
    """Return a quotient, 0 where nothing varies."""
    varies = below > 1e-12
    return np.where(varies, above / np.where(varies, below, 1.0), 0.0)


def kendall(values: FloatArray) -> FloatArray:
    """Return Kendall's tau-a of every row with time: (rises - falls) / pairs, over all pairs of times.

    Args:
        values: shape (..., n), n at least 2.
    """
    n = values.shape[-1]
    total = np.zeros(values.shape[:-1])
    for at in range(n - 1):
        later, now = values[..., at + 1 :], values[..., at : at + 1]
        total += np.count_nonzero(later > now, axis=-1).astype(np.float64) - np.count_nonzero(later < now, axis=-1)
    return np.asarray(total / (n * (n - 1) / 2))


def lag1(series: FloatArray) -> FloatArray:
    """Return the lag-1 autocorrelation of every series, put right for its bias at few steps, shape (n_series,).

    An autocorrelation of n steps is too small by about (1 + 3 phi) / n (Kendall, Biometrika 41, 1954).
    """
    n = series.shape[1]
    found = rolling(series, n)[0, :, 0]
    return np.asarray(np.clip(found + (1 + 3 * found) / n, -0.999, 0.999))
