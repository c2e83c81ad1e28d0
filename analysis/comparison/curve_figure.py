"""This module draws the curves of a comparison with several budgets, and gives the table of what is drawn.

Needs matplotlib (the `plot` extra); the table needs nothing. Score against tokens spent with both intervals, points of
the Pareto front filled and joined, crossovers as lines in the bands of their intervals.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import polars as pl

from agentsoc.errors import MissingExtraError
from analysis.comparison.curves import Curve, CurvePoint, Curves
from analysis.interval import Interval
from analysis.scales import apart

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS: Final = ("#0072b2", "#d55e00", "#007f5f", "#b3568f", "#8a6d00", "#3f7fa6", "#5b5b5b", "#9a3324")
_MARKS: Final = "osD^vP<X"
_WIDTH: Final = 8.0
_HEIGHT: Final = 5.0
_MARKED: Final = 6
"""Crossovers that are marked; the table has all."""
TABLE: Final = {
    "what": pl.String, "organisation": pl.String, "other": pl.String, "budget": pl.Int64, "tokens": pl.Float64,
    "tokens_low": pl.Float64, "tokens_high": pl.Float64, "score": pl.Float64, "score_low": pl.Float64,
    "score_high": pl.Float64, "on_front": pl.Boolean,
}  # fmt: skip
"""Columns of `curve_rows`; ``what`` is point or crossover, and what a row does not have is null."""


def curve_rows(found: Curves) -> pl.DataFrame:
    """Return what the figure shows, a row for each point and each crossover, with the columns `TABLE`."""
    front = _on_front(found)
    rows: list[tuple[object, ...]] = [
        ("point", curve.organisation, None, point.budget, *_ends(point.tokens), *_ends(point.score),
         point.label in front)
        for curve in found.curves
        for point in curve.points
    ]  # fmt: skip
    rows += [
        ("crossover", each.ahead_above, each.ahead_below, None, *_ends(each.budget), None, None, None, None)
        for pair in found.crossovers
        for each in pair.crossings
    ]
    return pl.DataFrame(rows, schema=TABLE, orient="row")


def draw_curves(found: Curves) -> Figure:
    """Return the figure; points whose spending is not known have no place in it.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise MissingExtraError("drawing", "matplotlib", "plot") from None
    figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
    axes = figure.add_subplot()
    front = _on_front(found)
    curves = [(curve.organisation, points) for curve in found.curves if (points := _placed(curve))]
    every = [point for _, points in curves for point in points]
    spent = [end for point in every for end in _ends(point.tokens)]
    if spent and min(spent) > 0 and max(spent) > 10 * min(spent):
        axes.set_xscale("log")
    for at, (_, points) in enumerate(curves):
        _draw_curve(axes, points, front, at)
    on = sorted((point.tokens.value, point.score.value) for point in every if point.label in front)
    axes.plot([x for x, _ in on], [y for _, y in on], color="0.4", lw=1.0, ls="--", zorder=1)
    _draw_crossovers(axes, found)
    _name_curves(axes, [(name, points[-1]) for name, points in curves])
    below = "tokens spent on a task (filled and dashed: the front; dotted: crossovers)"
    axes.set(xlabel=below, ylabel=f"mean score, {found.level:.0%} interval", title="Score against tokens spent")
    return figure


def _ends(one: Interval) -> tuple[float, float, float]:
    return one.value, one.low, one.high


def _on_front(found: Curves) -> set[str]:
    return {one.label for one in found.front if one.on_front}


def _placed(curve: Curve) -> list[CurvePoint]:
    """Return the points whose spending is known, by increasing spending."""
    known = [point for point in curve.points if math.isfinite(point.tokens.value)]
    return sorted(known, key=lambda point: point.tokens.value)


def _draw_curve(axes: Axes, points: list[CurvePoint], front: set[str], at: int) -> None:
    """Draw one curve: its line, and each point with both intervals."""
    colour, mark = _COLOURS[at % len(_COLOURS)], _MARKS[at % len(_MARKS)]
    axes.plot([point.tokens.value for point in points], [point.score.value for point in points], color=colour, lw=1.2)
    for point in points:
        (x, x_low, x_high), (y, y_low, y_high) = _ends(point.tokens), _ends(point.score)
        axes.errorbar(
            [x], [y], xerr=[[max(x - x_low, 0.0)], [max(x_high - x, 0.0)]],
            yerr=[[max(y - y_low, 0.0)], [max(y_high - y, 0.0)]], fmt=mark, ms=5.5, color=colour, capsize=2,
            mfc=colour if point.label in front else "white",
        )  # fmt: skip


def _draw_crossovers(axes: Axes, found: Curves) -> None:
    """Mark the first crossovers with their intervals."""
    crossings = [each.budget for pair in found.crossovers for each in pair.crossings]
    for budget in crossings[:_MARKED]:
        axes.axvspan(budget.low, budget.high, color="0.5", alpha=0.1, lw=0)
        axes.axvline(budget.value, color="0.4", lw=0.9, ls=":")


def _name_curves(axes: Axes, last: list[tuple[str, CurvePoint]]) -> None:
    """Write names at the right, each as near to the height of its last point as no other name is."""
    low, high = axes.get_ylim()
    axes.set_ylim(low, high)
    height = 55 * _HEIGHT  # points of type that the axes are about high
    places = apart([(point.score.value - low) / (high - low) * height for _, point in last], 10, 0, height)
    for at, ((name, point), place) in enumerate(zip(last, places, strict=True)):
        axes.annotate(
            name, (point.tokens.value, point.score.value), (1.02, place / height), textcoords="axes fraction",
            fontsize=8, va="center", color=_COLOURS[at % len(_COLOURS)],
            arrowprops={"arrowstyle": "-", "color": "0.8", "lw": 0.6},
        )  # fmt: skip
