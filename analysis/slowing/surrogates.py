"""This module makes series like a given one in which nothing changes: what an indicator does in them is chance.

Windows overlap, so that tau is large by chance alone: in stationary series of 500 steps with phi = .5 and windows of
250 steps, one in ten lies beyond -.74 or +.74. Only the tau of such series says what is much.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from scipy.signal import lfilter

from analysis.interval import FloatArray
from analysis.slowing.indicators import lag1


def ar1(series: FloatArray, number: int, rng: np.random.Generator) -> FloatArray:
    """Return AR(1) series with the lag-1 autocorrelation and the variance of a series, shape (number, n).

    Args:
        series: shape (n,).
        number: how many.
        rng: makes the draws.
    """
    n, phi = series.size, float(lag1(series[None])[0])
    shocks = rng.normal(size=(number, n)) * np.sqrt(1 - phi**2)
    shocks[:, 0] /= np.sqrt(1 - phi**2)  # the first value has the variance that all have
    return np.asarray(lfilter([1.0], [1.0, -phi], shocks, axis=1) * series.std())


def phases(series: FloatArray, number: int, rng: np.random.Generator) -> FloatArray:
    """Return series with the spectrum of a series and random phases, shape (number, n)."""
    n = series.size
    spectrum = np.fft.rfft(series - series.mean())
    turned = np.abs(spectrum) * np.exp(2j * np.pi * rng.random((number, spectrum.size)))
    if n % 2 == 0:
        turned[:, -1] = np.abs(spectrum[-1]) * np.sign(turned[:, -1].real)  # it has to stay real
    return np.fft.irfft(turned, n=n, axis=1)


SURROGATES: Final[Mapping[str, Callable[[FloatArray, int, np.random.Generator], FloatArray]]] = {
    "AR(1)": ar1,
    "phase-randomised": phases,
}
"""How surrogates are made, by name."""


def pooled(kind: str, rows: FloatArray, number: int, rng: np.random.Generator) -> FloatArray:
    """Return series with the memory, or the spectrum, that several series have on average, shape (number, n).

    Args:
        kind: a name of `SURROGATES`.
        rows: the series, shape (n_series, n), each of mean 0.
        number: how many.
        rng: makes the draws.
    """
    n = rows.shape[1]
    scaled = rows / rows.std(axis=1, keepdims=True)
    if kind == "AR(1)":
        phi = float(lag1(rows).mean())
        shocks = rng.normal(size=(number, n)) * np.sqrt(1 - phi**2)
        shocks[:, 0] /= np.sqrt(1 - phi**2)
        return np.asarray(lfilter([1.0], [1.0, -phi], shocks, axis=1))
    amplitude = np.sqrt(np.mean(np.abs(np.fft.rfft(scaled, axis=1)) ** 2, axis=0))
    # a spectrum that is averaged is smooth, so its amplitudes are drawn as those of noise are, with their phases
    noise = rng.normal(size=(number, amplitude.size)) + 1j * rng.normal(size=(number, amplitude.size))
    return np.fft.irfft(amplitude * noise / np.sqrt(2), n=n, axis=1)
