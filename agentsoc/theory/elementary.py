"""This module has elementary functions of floats and arrays: `math` computes the first, NumPy the second."""

from __future__ import annotations

import math
from typing import Final, TypeAlias, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]
Real = TypeVar("Real", float, FloatArray)
"""A float, or an array of floats."""
_NUMPY: Final = (np.ndarray, np.generic)


@overload
def expm1(x: float) -> float: ...
@overload
def expm1(x: FloatArray) -> FloatArray: ...
def expm1(x: float | FloatArray) -> float | FloatArray:
    """Return exp(x) - 1, exact for small x."""
    return np.asarray(np.expm1(x)) if isinstance(x, _NUMPY) else math.expm1(x)


@overload
def power(x: float, exponent: float) -> float: ...
@overload
def power(x: FloatArray, exponent: FloatArray) -> FloatArray: ...
def power(x: float | FloatArray, exponent: float | FloatArray) -> float | FloatArray:
    """Return x^exponent for x >= 0."""
    if isinstance(x, _NUMPY) or isinstance(exponent, _NUMPY):
        return np.asarray(x**exponent)
    return math.pow(x, exponent)


@overload
def sqrt(x: float) -> float: ...
@overload
def sqrt(x: FloatArray) -> FloatArray: ...
def sqrt(x: float | FloatArray) -> float | FloatArray:
    """Return the square root of x >= 0."""
    return np.asarray(np.sqrt(x)) if isinstance(x, _NUMPY) else math.sqrt(x)


@overload
def smaller(x: float, y: float) -> float: ...
@overload
def smaller(x: FloatArray, y: FloatArray) -> FloatArray: ...
def smaller(x: float | FloatArray, y: float | FloatArray) -> float | FloatArray:
    """Return the smaller of two numbers, element by element."""
    if isinstance(x, _NUMPY) or isinstance(y, _NUMPY):
        return np.asarray(np.minimum(x, y))
    return min(x, y)
