"""This module watches a series, or a sweep of them, for signs of slowing, and says which of them chance does not give.

What an indicator does is judged by surrogates alone: series like the given one in which nothing changes. A sign is told
where its tau lies beyond those of both kinds of surrogates, taken together, two-sided at 5 %. Surrogates are made of
what is left after the trend was taken away; taking it away from them once more would make them calmer than the series,
and alarms too many.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from agentsoc.errors import InputError
from agentsoc.streams import stream
from analysis.interval import FloatArray
from analysis.slowing.indicators import INDICATORS, kendall, rolling, trend, window_ends
from analysis.slowing.surrogates import SURROGATES, pooled

LEVEL: Final = 0.05
SURROGATES_LEAST: Final = 500
STEPS_LEAST: Final = 40
STEPS_MAX: Final = 100_000
WINDOW_LEAST: Final = 20
VALUES_LEAST: Final = 5
"""Values of the control parameter that a sweep needs."""
BLOCK: Final = 1_000_000
"""Steps of surrogates that are made at once."""
WARNING: Final = (
    "Slowing precedes some transitions and not others, and in some systems these signs point the other way: they are "
    "no forecast."
)
_NAMES: Final = {"autocorrelation": "lag-1 autocorrelation", "variance": "variance", "skewness": "absolute skewness"}


@dataclass(frozen=True)
class Sign:
    """A sign is the trend of one indicator, held against chance."""

    name: str
    """autocorrelation, variance or skewness."""
    tau: float
    """Kendall's tau with time, or with the control parameter."""
    chance: tuple[float, float]
    """What 95 % of the surrogates give, both kinds together."""
    p: float
    """Two-sided, by both kinds together."""
    p_of: Mapping[str, float]
    """Two-sided, by each kind of surrogate."""

    @property
    def trend(self) -> int:
        """1 where it rises beyond chance, -1 where it falls, else 0."""
        return int(np.sign(self.tau)) if self.p <= LEVEL else 0

    def summary(self) -> str:
        """Return the sign in words."""
        word = {1: "rises", -1: "falls", 0: "has no trend beyond chance"}[self.trend]
        told = ", ".join(f"{p:.3f} {kind}" for kind, p in self.p_of.items())
        low, high = self.chance
        chance = f"chance {low:+.2f} to {high:+.2f}"
        return f"{_NAMES[self.name]} {word}: tau {self.tau:+.2f}, {chance}, p = {self.p:.3f} ({told})"

    def as_dict(self) -> dict[str, object]:
        """Return plain values for JSON."""
        kinds = dict(self.p_of)
        return {"tau": self.tau, "chance95": list(self.chance), "p": self.p, "p_of": kinds, "trend": self.trend}


@dataclass(frozen=True)
class EarlyWarning:
    """The object holds the signs of slowing of a series or a sweep."""

    about: str
    """What was watched, and how."""
    at: FloatArray
    """Last step of each window, or the control parameter, shape (n,)."""
    values: FloatArray
    """The indicators there, shape (3, n): lag-1 autocorrelation, variance, absolute skewness."""
    signs: tuple[Sign, ...]
    """One for each indicator, in the same order."""
    surrogates: int
    """Surrogates of each kind."""

    def sign(self, name: str) -> Sign:
        """Return the sign of an indicator, by its name."""
        return next(one for one in self.signs if one.name == name)

    @property
    def slowing(self) -> bool:
        """Whether memory and spread both rise beyond chance."""
        return self.sign("autocorrelation").trend > 0 and self.sign("variance").trend > 0

    def summary(self) -> str:
        """Return the signs in words, and what they are not."""
        lines = [f"{self.about}, {self.surrogates} surrogates of each kind"]
        lines += [f"  {one.summary()}" for one in self.signs]
        if self.slowing:
            lines.append("  memory and spread rise together, as in a system that slows down")
        elif any(one.trend for one in self.signs):
            lines.append("  something changes, but memory and spread do not both rise as in a system that slows down")
        else:
            lines.append("  nothing is told from chance, which does not say that nothing comes")
        return "\n".join([*lines, f"  {WARNING}"])

    def as_dict(self) -> dict[str, object]:
        """Return plain values for JSON."""
        return {
            "about": self.about, "slowing": self.slowing, "surrogates": self.surrogates, "warning": WARNING,
            "signs": {one.name: one.as_dict() for one in self.signs}, "at": self.at.tolist(),
            "values": dict(zip(INDICATORS, self.values.tolist(), strict=True)),
        }  # fmt: skip


def watch_series(
    series: ArrayLike,
    *,
    window: int | None = None,
    bandwidth: float | None = None,
    surrogates: int = SURROGATES_LEAST,
    name: str = "series",
    seed: int = 0,
) -> EarlyWarning:
    """Return the signs of slowing along a series, such as a quantity along the rounds of a society.

    Args:
        series: one value a step, shape (n,), 40 to 100,000 of them, up to where a transition is feared, not beyond.
        window: steps of a window; None for half of the series.
        bandwidth: standard deviation of the Gaussian kernel whose mean is taken away (steps); None for a tenth of the
            series, 0 to take nothing away.
        surrogates: of each kind, 500 or more.
        name: what is watched.
        seed: seed of the surrogates.

    Raises:
        InputError: too few or too many steps, a value that is not finite, a series that does not vary, a window or a
            kernel that does not fit it, or too few surrogates.
    """
    x = _checked(series, name)
    n = x.size
    window = n // 2 if window is None else window
    bandwidth = n / 10 if bandwidth is None else bandwidth
    if not WINDOW_LEAST <= window <= n - 10:
        what = f"a window of {window} steps does not fit a series of {n}"
        raise InputError(what, "window", f"use {WINDOW_LEAST} to {n - 10}")
    if not (np.isfinite(bandwidth) and 0 <= bandwidth <= n) or 0 < bandwidth < 1:
        raise InputError(f"a kernel of {bandwidth:g} steps is impossible", "bandwidth", f"use 0, or 1 to {n} steps")
    _enough(surrogates)
    left = x - trend(x[None], bandwidth)[0] if bandwidth else x - x.mean()
    if left.std() <= 1e-12 * max(np.abs(x).max(), 1e-300):
        raise InputError(f"{name} has no scatter around its trend", name, "signs of slowing are in the scatter")
    values = rolling(left[None], window)[:, 0]
    rng = stream(seed, "slowing", "series")
    taus = {}
    for kind, make in SURROGATES.items():
        found = [kendall(rolling(make(left, number, rng), window)) for number in _portions(surrogates, n)]
        taus[kind] = np.concatenate(found, axis=1)
    how = f"trend of {bandwidth:g} steps taken away" if bandwidth else "no trend taken away"
    about = f"{name}: {n} steps, windows of {window}, {how}"
    return EarlyWarning(
        about,
        np.asarray(window_ends(n, window) - 1.0, dtype=np.float64),
        values,
        _signs(kendall(values), taus),
        surrogates,
    )


def watch_sweep(
    parameter: ArrayLike,
    series: Sequence[ArrayLike],
    *,
    surrogates: int = SURROGATES_LEAST,
    name: str = "parameter",
    seed: int = 0,
) -> EarlyWarning:
    """Return the signs of slowing along a control parameter, from a series at each of its values.

    Each series is one whole window; surrogates have the memory, or the spectrum, that all have on average.

    Args:
        parameter: the control parameter, shape (n,), distinct; the order in which it is told.
        series: the series at each value, each of the same length of 40 steps or more, in which it does not change.
        surrogates: of each kind, 500 or more.
        name: what the parameter is.
        seed: seed of the surrogates.

    Raises:
        InputError: fewer than five values, values that are equal or not finite, series of different lengths, or as for
            `watch_series`.
    """
    at = np.asarray(parameter, dtype=np.float64)
    if at.ndim != 1 or at.size != len(series):
        what = f"there are {at.size} values of {name} and {len(series)} series"
        raise InputError(what, name, "give one series for each value")
    if at.size < VALUES_LEAST or np.unique(at).size != at.size or not np.isfinite(at).all():
        what = f"{name} has {np.unique(at[np.isfinite(at)]).size} distinct finite values in {at.size}"
        raise InputError(what, name, f"sweep {VALUES_LEAST} or more, each once")
    order = np.argsort(at)
    rows = [_checked(series[place], f"the series at {name} = {at[place]:g}") for place in order]
    if len({row.size for row in rows}) > 1:
        sizes = ", ".join(str(row.size) for row in rows)
        raise InputError(f"the series have different lengths: {sizes}", "series", "cut them to the shortest")
    _enough(surrogates)
    x = np.array(rows)
    x = x - x.mean(axis=1, keepdims=True)
    n = x.shape[1]
    values = rolling(x, n)[:, :, 0]
    taus = {}
    for kind in SURROGATES:
        found = []
        rng = stream(seed, "slowing", "sweep", kind)
        for number in _portions(surrogates, n * len(x)):
            made = pooled(kind, x, number * len(x), rng)
            found.append(kendall(rolling(made, n)[:, :, 0].reshape(3, number, len(x))))
        taus[kind] = np.concatenate(found, axis=1)
    about = f"{name} from {at.min():g} to {at.max():g}: {len(x)} series of {n} steps"
    return EarlyWarning(about, at[order], values, _signs(kendall(values), taus), surrogates)


def _signs(tau: FloatArray, taus: Mapping[str, FloatArray]) -> tuple[Sign, ...]:
    """Return the sign of each indicator from its tau and those of the surrogates, shape (3, n) of each kind."""
    found = []
    for place, name in enumerate(INDICATORS):
        of_kinds = {kind: _two_sided(float(tau[place]), all_taus[place]) for kind, all_taus in taus.items()}
        every = np.concatenate([all_taus[place] for all_taus in taus.values()])
        low, high = np.quantile(every, (LEVEL / 2, 1 - LEVEL / 2))
        p = _two_sided(float(tau[place]), every)
        found.append(Sign(name, float(tau[place]), (float(low), float(high)), p, of_kinds))
    return tuple(found)


def _two_sided(tau: float, by_chance: FloatArray) -> float:
    """Return how often chance gives a tau as far out, the tau itself counted in."""
    above, below = np.sum(by_chance >= tau), np.sum(by_chance <= tau)
    return min(1.0, 2.0 * float(1 + min(above, below)) / (1 + by_chance.size))


def _portions(total: int, steps: int) -> list[int]:
    """Return numbers of surrogates that are made at once, so that memory stays bounded."""
    most = max(1, BLOCK // steps)
    return [min(most, total - start) for start in range(0, total, most)]


def _enough(surrogates: int) -> None:
    if surrogates < SURROGATES_LEAST:
        what = f"{surrogates} surrogates say too little of chance"
        raise InputError(what, "surrogates", f"use {SURROGATES_LEAST} or more")


def _checked(series: ArrayLike, name: str) -> FloatArray:
    """Return a series as numbers, or say what is wrong with it."""
    try:
        x = np.asarray(series, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name} is not a series of numbers", name, "give one number a step") from None
    if x.ndim != 1 or not STEPS_LEAST <= x.size <= STEPS_MAX:
        what = f"{name} has {x.size} steps" if x.ndim == 1 else f"{name} has {x.ndim} dimensions"
        raise InputError(what, name, f"give one value a step, {STEPS_LEAST} to {STEPS_MAX:,} of them")
    bad = np.flatnonzero(~np.isfinite(x))
    if bad.size:
        what = f"{name} has {x[bad[0]]} at step {bad[0]}"
        raise InputError(what, name, "give finite numbers, one a step, without gaps")
    if np.abs(x).max() > 1e100:
        raise InputError(f"{name} has values beyond 1e100", name, "give it in other units")
    if np.ptp(x) == 0:
        raise InputError(f"{name} is {x[0]:g} at every step", name, "signs of slowing are in the scatter")
    return x
