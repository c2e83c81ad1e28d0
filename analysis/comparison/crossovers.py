"""This module finds the crossover B*: from how many tokens on one organisation overtakes another.

Two curves of score against tokens *spent* are compared where both have spending, read between their points in
proportion to the logarithm of the tokens. D is their difference.

* Which of the two is ahead at a point is told where a one-sided test of size 5 % / (number of points) says so, so that
  at most one pair in twenty has any wrong sign. A crossover is told where the sign changes: both signs are shown.
* Its interval holds the budgets at which D = 0 is not rejected at the level of the interval. Of these tests only the
  one at the true B* has to hold for the interval to cover it, so nothing has to be corrected.
* No crossover is told where D has the same sign at every point, each tested at that level.
* Otherwise it cannot be told.

Errors of D come from a bootstrap over tasks that draws scores and spending of both together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from analysis.comparison.curve_draws import Draws
from analysis.interval import FloatArray, Interval

ALARMS: Final = 0.05
"""Chance of any wrong sign in a pair."""
SAME: Final = 1.02
"""Factor of spending up to which two points of a curve count as one."""
OVERLAP: Final = 1.05
"""Factor that the common range of spending has to span."""
FINE: Final = 257
"""Budgets between two signs at which D = 0 is tested."""
FEWEST: Final = 5
"""Tasks below which nothing is told."""
METHOD: Final = "budgets at which no difference is not rejected; bootstrap over tasks"

Verdict = Literal["crossover", "none", "open"]


@dataclass(frozen=True)
class Crossing:
    """A crossing is one change of who is ahead."""

    budget: Interval
    """B*, in tokens spent on a task."""
    ahead_below: str
    ahead_above: str

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {**self.budget.as_dict(), "ahead_below": self.ahead_below, "ahead_above": self.ahead_above}


@dataclass(frozen=True)
class Crossover:
    """The object says whether and where one organisation overtakes another."""

    one: str
    other: str
    verdict: Verdict
    crossings: tuple[Crossing, ...] = ()
    ahead: str = ""
    """Who is ahead in the whole range, where there is no crossover."""
    low: float | None = None
    """From where on both have spending (tokens)."""
    high: float | None = None
    reason: str = ""
    """Why nothing can be told."""
    shown: tuple[tuple[str, float, float], ...] = ()
    """Where somebody is shown to be ahead: who, and from which to which spending (tokens)."""
    predicted: float | None = None
    """B* by the theory of phases, where it has parameters for both (tokens)."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        found = [one.as_dict() for one in self.crossings]
        first = found[0] if found else {"value": None, "low": None, "high": None}
        interval = {name: first[name] for name in ("value", "low", "high")}
        return {
            "organisations": [self.one, self.other], "verdict": self.verdict, **interval, "crossings": found,
            "ahead": self.ahead, "range": [self.low, self.high], "reason": self.reason,
            "shown": [{"ahead": who, "from": low, "to": high} for who, low, high in self.shown],
            "predicted": self.predicted,
        }  # fmt: skip


@dataclass(frozen=True)
class _Curve:
    """A curve with its bootstrap samples: log tokens and scores, shape (1 + replicates, points)."""

    log_tokens: FloatArray
    score: FloatArray

    def at(self, grid: FloatArray) -> FloatArray:
        """Return the scores of all samples at log tokens `grid`, shape (1 + replicates, len(grid))."""
        fixed = bool((np.ptp(self.log_tokens, axis=0) < 1e-12).all())
        if fixed:  # the same weights of the points in every sample
            return np.asarray(self.score @ _weights(self.log_tokens[0], grid))
        rows = zip(self.log_tokens, self.score, strict=True)
        return np.stack([np.interp(grid, tokens, score) for tokens, score in rows])


def _weights(knots: FloatArray, grid: FloatArray) -> FloatArray:
    """Return how much each knot counts at each place of a grid, shape (knots, grid)."""
    return np.stack([np.interp(grid, knots, unit) for unit in np.eye(len(knots))])


def curve_of(draws: Draws) -> _Curve:
    """Return the curve of one organisation: points of equal spending are one point, their mean."""
    order = np.argsort(draws.tokens[0], kind="stable")
    tokens, score = draws.tokens[:, order], draws.score[:, order]
    groups: list[list[int]] = []
    for at in range(len(order)):
        if groups and tokens[0, at] <= SAME * tokens[0, groups[-1][0]]:
            groups[-1].append(at)
        else:
            groups.append([at])
    log_tokens = np.log(np.maximum(np.stack([tokens[:, one].mean(axis=1) for one in groups], axis=1), 1e-9))
    means = np.stack([score[:, one].mean(axis=1) for one in groups], axis=1)
    return _Curve(np.maximum.accumulate(log_tokens, axis=1), means)


def crossover(one: str, other: str, draws: Mapping[str, Draws], *, level: float = 0.95) -> Crossover:
    """Return whether and where one organisation overtakes another.

    Args:
        one: an organisation.
        other: another one.
        draws: of both, each of its points at all budgets; with the same samples of tasks.
        level: of intervals.
    """
    first, second = curve_of(draws[one]), curve_of(draws[other])
    n_tasks, bounded = draws[one].n_tasks, draws[one].bounded
    if n_tasks < FEWEST:
        return Crossover(one, other, "open", reason=f"both have only {n_tasks} tasks in common")
    ends = [(curve.log_tokens[0, 0], curve.log_tokens[0, -1]) for curve in (first, second)]
    low, high = max(begin for begin, _ in ends), min(end for _, end in ends)
    if high - low < np.log(OVERLAP):
        said = [f"{name} spends {_span(*end)}" for name, end in zip((one, other), ends, strict=True)]
        return Crossover(one, other, "open", reason=f"no spending in common: {' and '.join(said)} tokens a task")
    knots = np.concatenate([first.log_tokens[0], second.log_tokens[0]])
    knots = _apart(np.sort(np.concatenate([knots[(knots > low) & (knots < high)], [low, high]])))
    reach = _Reach(first, second, n_tasks, bounded)
    value, error = reach.difference(knots)
    sure = np.where(value > reach.t(1 - ALARMS / len(knots)) * error, 1, 0)
    sure = np.where(value < -reach.t(1 - ALARMS / len(knots)) * error, -1, sure)
    names = {1: other, -1: one}
    shown = tuple(_runs(sure, np.exp(knots), names))
    span = float(np.exp(low)), float(np.exp(high))
    if {-1, 1} <= set(sure.tolist()):
        at = [int(place) for place in np.flatnonzero(sure)]
        changes = [(a, b) for a, b in pairwise(at) if sure[a] != sure[b]]
        found = tuple(
            Crossing(reach.zero(knots[a], knots[b], level), names[int(sure[a])], names[int(sure[b])])
            for a, b in changes
        )
        return Crossover(one, other, "crossover", found, low=span[0], high=span[1], shown=shown)
    least = float(np.min(np.abs(value) - reach.t((1 + level) / 2) * error))
    if least > 0 and (np.all(value > 0) or np.all(value < 0)):
        return Crossover(
            one, other, "none", ahead=names[1 if value[0] > 0 else -1], low=span[0], high=span[1], shown=shown
        )
    return Crossover(one, other, "open", low=span[0], high=span[1], shown=shown)


class _Reach:
    """The reach of a difference is its error between the curves of two organisations."""

    def __init__(self, one: _Curve, other: _Curve, n_tasks: int, bounded: bool) -> None:
        self._one, self._other, self._n = one, other, n_tasks
        # a task that nobody met could have gone either way: what resampling the tasks that were met cannot know
        self._unseen = 1.0 / (n_tasks + 2) if bounded else 0.0

    def t(self, share: float) -> float:
        """Return the quantile of Student's t."""
        return float(stats.t.ppf(share, self._n - 1))

    def difference(self, grid: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return score of the other minus score of the one at log tokens `grid`, and its standard error."""
        both = self._other.at(grid) - self._one.at(grid)
        spread = both[1:].std(axis=0, ddof=1)
        return both[0], np.sqrt(self._n / (self._n - 1) * spread**2 + self._unseen**2)

    def zero(self, low: float, high: float, level: float) -> Interval:
        """Return where the difference is 0 between two log budgets at which it has different signs."""
        grid = np.linspace(low, high, FINE)
        value, error = self.difference(grid)
        turns = np.flatnonzero(np.sign(value[:-1]) * np.sign(value[1:]) <= 0)
        at = int(turns[len(turns) // 2])
        step = value[at + 1] - value[at]
        place = grid[at] + (grid[1] - grid[0]) * (0.5 if step == 0 else -value[at] / step)
        held = np.abs(value) <= self.t((1 + level) / 2) * error
        first, last = _ends(grid, np.abs(value) - self.t((1 + level) / 2) * error, held)
        ends = min(first, float(place)), max(last, float(place))
        return Interval(float(np.exp(place)), float(np.exp(ends[0])), float(np.exp(ends[1])), level, METHOD)


def _ends(grid: FloatArray, beyond: FloatArray, held: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the first and the last place that is held, between places of the grid in proportion to `beyond`."""
    at = np.flatnonzero(held)
    if not at.size:
        near = int(np.argmin(beyond))
        return float(grid[near]), float(grid[near])
    first, last, step = int(at[0]), int(at[-1]), grid[1] - grid[0]
    low, high = float(grid[first]), float(grid[last])
    if first > 0:
        low -= float(step * -beyond[first] / max(beyond[first - 1] - beyond[first], 1e-300))
    if last < len(grid) - 1:
        high += float(step * -beyond[last] / max(beyond[last + 1] - beyond[last], 1e-300))
    return low, high


def _apart(places: FloatArray) -> FloatArray:
    """Return log budgets without those that hardly differ from the one before; the ends are kept."""
    kept = [float(places[0])]
    for place in places[1:].tolist():
        if place - kept[-1] > np.log(SAME):
            kept.append(place)
    kept[-1] = float(places[-1])
    return np.array(kept)


def _runs(sign: NDArray[np.int64], tokens: FloatArray, names: Mapping[int, str]) -> list[tuple[str, float, float]]:
    """Return the runs of places at which the same one is ahead."""
    found: list[tuple[str, float, float]] = []
    for at, own in enumerate(sign.tolist()):
        if not own:
            continue
        if found and sign[at - 1] == own:
            found[-1] = (names[own], found[-1][1], float(tokens[at]))
        else:
            found.append((names[own], float(tokens[at]), float(tokens[at])))
    return found


def _span(low: float, high: float) -> str:
    first, last = f"{np.exp(low):,.0f}", f"{np.exp(high):,.0f}"
    return first if first == last else f"{first} to {last}"
