"""This module estimates how long something lives when some were still alive at the end (Kaplan and Meier, 1958)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agentsoc.errors import InputError
from agentsoc.theory.proportion import Z95
from analysis.interval import FloatArray, IntArray, Interval

METHOD = "Kaplan-Meier, log(-log) interval"


@dataclass(frozen=True)
class Survival:
    """The curve: at each time at which somebody died, how many were at risk, how many died, what share lives on."""

    time: IntArray
    """Times at which somebody died, increasing."""
    at_risk: IntArray
    died: IntArray
    share: tuple[Interval, ...]
    """Share that lives beyond each time, with its interval."""

    def beyond(self, time: float) -> Interval:
        """Return the share that lives beyond `time`."""
        place = int(np.searchsorted(self.time, time, side="right"))
        return Interval(1.0, 1.0, 1.0, method=METHOD) if place == 0 else self.share[place - 1]

    def median(self) -> float | None:
        """Return the first time beyond which at most half of them live; None where more than half lived on."""
        for time, share in zip(self.time.tolist(), self.share, strict=True):
            if share.value <= 0.5:
                return float(time)
        return None


def kaplan_meier(time: IntArray, died: FloatArray) -> Survival:
    """Return the survival curve of lives that ended, or were still going on, after `time`.

    S(t) = product over times u <= t of (1 - d_u / n_u); Greenwood's variance, on the scale of log(-log S), so that the
    interval stays in [0, 1]. At S = 0 or 1 that scale has no end: the interval is then that of the values nearest.

    Args:
        time: how long each was watched, shape (n,).
        died: 1 where it died then, 0 where it was still alive.

    Raises:
        InputError: there is nobody.
    """
    if not len(time):
        raise InputError("survival needs at least one life")
    times = np.unique(time[died > 0])
    at_risk = np.array([(time >= t).sum() for t in times], dtype=np.int64)
    deaths = np.array([((time == t) & (died > 0)).sum() for t in times], dtype=np.int64)
    shares, share, greenwood = [], 1.0, 0.0
    for n, d in zip(at_risk.tolist(), deaths.tolist(), strict=True):
        share *= 1 - d / n
        greenwood += d / (n * (n - d)) if d < n else 0.0
        shares.append(_around(share, greenwood, len(time)))
    return Survival(times, at_risk, deaths, tuple(shares))


def _around(share: float, greenwood: float, n: int) -> Interval:
    if share <= 0:  # nobody lives: with n lives, a share of up to 1 - 0.05^(1/n) would give that once in twenty
        return Interval(0.0, 0.0, float(1 - 0.05 ** (1 / n)), method=METHOD)
    if share >= 1:
        return Interval(1.0, float(0.05 ** (1 / n)), 1.0, method=METHOD)
    reach = Z95 * greenwood**0.5 / abs(np.log(share))
    low, high = (float(share ** np.exp(sign * reach)) for sign in (1, -1))
    return Interval(share, low, high, method=METHOD)
