"""This module maps numbers to places on a picture, and chooses ticks: at least two, round, none on top of another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

CHAR: Final = 6.4
"""Width of a character of a label (pixels)."""
_STEPS: Final = (1.0, 2.0, 2.5, 5.0, 10.0)
_LEAST_SPAN: Final = 1e-12
_LEAST_LOG: Final = 1e-290
"""Values up to which there is no logarithmic scale: what is below has too few digits."""


@dataclass(frozen=True)
class AxisScale:
    """A scale maps [low, high] to pixels [start, end], linearly or by logarithm."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Return the place of a value, at the border where it lies outside."""
        at = self._share(min(max(value, self.low), self.high))
        return self.start + at * (self.end - self.start)

    def _share(self, value: float) -> float:
        if self.log:
            first = math.log(self.low)
            return (math.log(value) - first) / (math.log(self.high) - first)
        return (value - self.low) / (self.high - self.low)

    def ticks(self, most: int = 6) -> list[tuple[float, str]]:
        """Return at most about `most` round values with their labels, and at least two."""
        values = _log_ticks(self.low, self.high, most) if self.log else _ticks(self.low, self.high, most)
        step = 0.0 if self.log else min((b - a for a, b in pairwise(values)), default=0.0)
        return [(value, label(value, step)) for value in values]


def scale(
    values: Sequence[float], start: float, end: float, *, log: bool = False, around: Sequence[float] = ()
) -> AxisScale:
    """Return a scale that holds all `values`, and those of `around`, with some room; never a single point.

    Args:
        values: what is to be seen; what is not finite, or not positive on a logarithmic scale, does not count.
        start: place of the low end (pixels).
        end: place of the high end (pixels).
        log: by logarithm, if all values allow it.
        around: further values that have to be within.
    """
    known = [value for value in (*values, *around) if math.isfinite(value) and (not log or value > _LEAST_LOG)]
    if not known:
        return AxisScale(1.0, 10.0, start, end, log=True) if log else AxisScale(0.0, 1.0, start, end)
    low, high = min(known), max(known)
    if log:
        low, high = (low / 1.15, high * 1.15) if high > low * 1.01 else (low / 2.0, high * 2.0)
        return AxisScale(low, high, start, end, log=True)
    room = 0.05 * (high - low)
    if high - low <= _LEAST_SPAN * max(abs(high), abs(low), 1.0):
        room = max(abs(high) * 0.1, 0.5)
    return AxisScale(low - room, high + room, start, end)


def unit_scale(start: float, end: float) -> AxisScale:
    """Return a scale of [0, 1] with a little room."""
    return AxisScale(-0.03, 1.03, start, end)


def label(value: float, step: float = 0.0) -> str:
    """Return a number as short as it can be told apart at this distance of ticks."""
    if value == 0 or abs(value) < step * 1e-9:
        return "0"
    size = abs(value)
    if size >= 1e15 or size < 1e-4:
        return f"{value:.3g}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")
    for factor, name in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size >= factor and (size >= 1e4 or factor > 1e3):
            return f"{_digits(value / factor, step / factor)}{name}"
    return _digits(value, step)


def _digits(value: float, step: float) -> str:
    if step <= 0:
        return f"{value:.4g}"
    places = max(-math.floor(math.log10(step) + 1e-9), 0)
    if abs(round(step, places) - step) > 1e-6 * step:
        places += 1
    return f"{value:.{places}f}"


def _ticks(low: float, high: float, most: int) -> list[float]:
    raw = (high - low) / max(most, 2)
    power = 10.0 ** math.floor(math.log10(raw))
    for step in (*(step * power for step in _STEPS), *(step * power * 10 for step in _STEPS)):
        if step >= raw:
            found = _multiples(low, high, step)
            if len(found) <= most + 1:
                break
    while len(found) < 2:
        step /= 2
        found = _multiples(low, high, step)
    return found


def _multiples(low: float, high: float, step: float) -> list[float]:
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(at * step, 12) for at in range(first, min(last, first + 50) + 1)]


def _log_ticks(low: float, high: float, most: int) -> list[float]:
    decades = [10.0**at for at in range(math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9) + 1)]
    if len(decades) >= 3:
        step = -(-len(decades) // most)
        return decades[::step]
    for marks in ((1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        first = math.floor(math.log10(low))
        found = [
            mark * 10.0**at for at in range(first, math.ceil(math.log10(high)) + 1) for mark in marks
            if low <= mark * 10.0**at <= high
        ]  # fmt: skip
        if len(found) >= 3:
            return found
    return found if len(found) >= 2 else _ticks(low, high, 3)


def apart(places: Sequence[float], least: float, low: float, high: float) -> list[float]:
    """Return places for labels, each as near to its own as it can be, at least `least` from the next one.

    Where there is no room for all between `low` and `high`, they go beyond `high`: the caller makes room.
    """
    order = sorted(range(len(places)), key=lambda at: (places[at], at))
    found = list(places)
    before = -math.inf
    for at in order:
        found[at] = max(found[at], before + least, low)
        before = found[at]
    after = math.inf
    for at in reversed(order):
        limit = min(after - least, high)
        if found[at] > limit >= low:
            found[at] = limit
        after = found[at]
    before = -math.inf
    for at in order:
        found[at] = max(found[at], before + least)
        before = found[at]
    return found
