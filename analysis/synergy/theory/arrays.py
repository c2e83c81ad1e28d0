"""This module checks numbers from a caller and returns float arrays: scalars or arrays that broadcast.

Results are float64 arrays; a scalar call gives a 0-dimensional array, which formats, compares and computes as a number.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agentsoc.errors import InputError

FloatArray: TypeAlias = NDArray[np.float64]
BoolArray: TypeAlias = NDArray[np.bool_]
IntArray: TypeAlias = NDArray[np.int64]


def real(name: str, value: ArrayLike) -> FloatArray:
    """Return `value` as float64; refuse NaN, infinities and what is not a number."""
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be a number or an array of numbers, got {value!r}") from error
    _demand(np.isfinite(array), name, array, "must be finite")
    return array


def between(name: str, value: ArrayLike, low: float, high: float = np.inf) -> FloatArray:
    """Return `value` as float64, each element in [low, high]."""
    array = real(name, value)
    span = f"must lie in [{low:g}, {high:g}]" if np.isfinite(high) else f"must be at least {low:g}"
    _demand((array >= low) & (array <= high), name, array, span)
    return array


def positive(name: str, value: ArrayLike) -> FloatArray:
    """Return `value` as float64, each element above 0."""
    array = real(name, value)
    _demand(array > 0, name, array, "must be above 0")
    return array


def counts(name: str, value: ArrayLike, low: int = 1) -> FloatArray:
    """Return `value` as float64, each element a whole number of at least `low`."""
    array = between(name, value, low)
    _demand(array == np.floor(array), name, array, "must be a whole number")
    return array


def fraction(name: str, value: ArrayLike) -> FloatArray:
    """Return `value` as float64, each element in [0, 1]: fidelities, correlations, probabilities."""
    return between(name, value, 0.0, 1.0)


def exponent(name: str, value: ArrayLike) -> FloatArray:
    """Return `value` as float64, each element a growth exponent: any number or -inf (nothing gets through), not NaN."""
    array = np.asarray(value, dtype=np.float64)
    _demand(~np.isnan(array), name, array, "must be a number")
    return array


def signal(name: str, value: ArrayLike) -> FloatArray:
    """Return `value` as float64, each element in [-1, 1]: the mean of a vote coded +1 (correct) or -1 (wrong)."""
    return between(name, value, -1.0, 1.0)


def _demand(holds: BoolArray, name: str, array: FloatArray, rule: str) -> None:
    if not np.all(holds):
        worst = array[~holds].flat[0] if array.ndim else array
        raise InputError(f"{name} {rule}, got {float(worst)!r}")
