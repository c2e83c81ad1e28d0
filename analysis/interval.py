"""This module defines `Interval`: a measured number with its interval and the method that made it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Interval:
    """The interval holds the true number with probability `level`, over repeated experiments."""

    value: float
    low: float
    high: float
    level: float = 0.95
    method: str = ""
    """How the interval was made, in a few words."""
    open_low: bool = False
    """Whether the interval ends where the range of the number does: the data set no lower limit."""
    open_high: bool = False

    @property
    def width(self) -> float:
        """Width of the interval."""
        return self.high - self.low

    def covers(self, truth: float) -> bool:
        """Return whether the interval holds `truth`; rounding of the machine does not count."""
        slack = 1e-9 * max(1.0, abs(truth))
        return self.low - slack <= truth <= self.high + slack

    def mapped(self, f: Callable[[float], float]) -> Interval:
        """Return the interval of f of the number, for a monotone `f`."""
        low, high = f(self.low), f(self.high)
        opens = (self.open_low, self.open_high)
        if low > high:
            low, high, opens = high, low, opens[::-1]
        return Interval(f(self.value), low, high, self.level, self.method, *opens)

    def brackets(self) -> str:
        """Return the bounds in brackets, round ones where the data set no limit."""
        first, last = "(" if self.open_low else "[", ")" if self.open_high else "]"
        return f"{first}{self.low:.4g}, {self.high:.4g}{last}"

    def as_dict(self) -> dict[str, float | str | None]:
        """Return plain values for JSON; what is not finite becomes null."""
        numbers = {"value": self.value, "low": self.low, "high": self.high}
        shown: dict[str, float | str | None] = {k: v if math.isfinite(v) else None for k, v in numbers.items()}
        return {**shown, "level": self.level, "method": self.method}

    def text(self, *, sign: bool = False) -> str:
        """Return value and bounds in three digits after the point, or three in all for large numbers."""
        return f"{shown(self.value, sign=sign)} [{shown(self.low, sign=sign)}, {shown(self.high, sign=sign)}]"

    def __str__(self) -> str:
        return self.text()


def shown(value: float, *, sign: bool = False) -> str:
    """Return a number as people read it: 0.125, 12.3, 1,235."""
    plus = "+" if sign else ""
    if not math.isfinite(value):
        return "-" if math.isnan(value) else f"{value:{plus}}"
    if abs(value) >= 100:
        return f"{value:{plus},.0f}"
    return f"{value:{plus}.1f}" if abs(value) >= 10 else f"{value:{plus}.3f}"
