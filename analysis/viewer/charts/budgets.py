"""This module draws budget curves: score against tokens spent, a curve an organisation, with front and crossovers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from analysis.scales import CHAR, AxisScale, apart, scale
from analysis.viewer.charts.svg import DASHES, Chart, FigureTable, SvgDrawing, colour, figure, short
from analysis.viewer.pages.compare import ComparePage, CrossoverLine, CurveLine
from analysis.viewer.pages.plain import Span

WIDTH: Final = 680
_HEIGHT: Final = 400
_LEFT: Final = 60
_TOP: Final = 30
_BOTTOM: Final = 350
_LABEL_MAX: Final = 28
MARKED: Final = 6
"""Crossovers that are marked in the picture; the table has all."""
CURVES: Final = "Score against tokens spent"
_HEAD: Final = ("organisation", "ceiling", "tokens", "low", "high", "score", "low", "high", "on the front")


@dataclass(frozen=True)
class _Point:
    """A point of a curve whose place is known."""

    budget: float | None
    tokens: Span
    score: Span
    on_front: bool

    @property
    def at(self) -> tuple[float, float]:
        """Tokens of a task and mean score."""
        return self.tokens.value or 0.0, self.score.value or 0.0


def curves_chart(page: ComparePage) -> Chart | None:
    """Return the curves of a comparison with several budgets; None for one without.

    Each point has both intervals; filled ones are on the front, which a dashed line joins. A crossover is a dotted line
    in the band of its interval.
    """
    on_front = {one.label for one in page.organisations if one.on_front}
    curves = [(curve.organisation, points) for curve in page.curves if (points := _points(curve, on_front))]
    if not curves:
        return None
    every = [point for _, points in curves for point in points]
    right = WIDTH - 26 - CHAR * max(min(len(name), _LABEL_MAX) for name, _ in curves)
    spent = _ends([point.tokens for point in every])
    wide = min(spent) > 0 and max(spent) > 10 * min(spent)
    across = scale(spent, _LEFT, right, log=wide)
    up = scale(_ends([point.score for point in every]), _BOTTOM, _TOP)
    drawing = SvgDrawing(WIDTH, _HEIGHT)
    drawing.x_axis(across, _BOTTOM, _TOP, "tokens spent on a task" + (" (each step a factor)" if wide else ""))
    drawing.y_axis(up, _LEFT, right, "mean score")
    marked = _crossings(drawing, page.crossovers, across)
    front = sorted(point.at for point in every if point.on_front)
    drawing.path([(across(x), up(y)) for x, y in front], "muted", dash="5 4")
    last = [max(points, key=lambda point: point.at) for _, points in curves]
    places = apart([up(point.at[1]) + 4 for point in last], 14, _TOP, _BOTTOM)
    for at, ((name, points), end, place) in enumerate(zip(curves, last, places, strict=True)):
        _curve(drawing, (across, up), (name, points), at)
        drawing.line((across(end.at[0]) + 6, up(end.at[1])), (right + 6, place - 4), "grid")
        drawing.text(right + 9, place, short(name, _LABEL_MAX), kind=colour(at))
    return drawing.chart(CURVES, _described(curves, marked), _table(page, curves))


def _points(curve: CurveLine, on_front: set[str]) -> list[_Point]:
    """Return the points of a curve that have both values, by increasing spending."""
    found = [
        _Point(budget, tokens, score, f"{curve.organisation} at {figure(budget)}" in on_front)
        for budget, tokens, score in zip(curve.budgets, curve.tokens, curve.scores, strict=True)
        if tokens is not None and score is not None and tokens.value is not None and score.value is not None
    ]
    return sorted(found, key=lambda point: point.at)


def _ends(spans: list[Span]) -> list[float]:
    return [end for span in spans for end in (span.value, span.low, span.high) if end is not None]


def _curve(drawing: SvgDrawing, scales: tuple[AxisScale, AxisScale], whose: tuple[str, list[_Point]], at: int) -> None:
    """Draw one curve: its line, and its points with their intervals."""
    (across, up), (name, points) = scales, whose
    kind = colour(at)
    places = [(across(point.at[0]), up(point.at[1])) for point in points]
    drawing.path(places, kind, dash=DASHES[at % len(DASHES)])
    for point, (x, y) in zip(points, places, strict=True):
        if point.tokens.low is not None and point.tokens.high is not None:
            drawing.line((across(point.tokens.low), y), (across(point.tokens.high), y), kind)
        if point.score.low is not None and point.score.high is not None:
            drawing.line((x, up(point.score.low)), (x, up(point.score.high)), kind)
        words = f"{name}: score {figure(point.score.value)}, {figure(point.tokens.value)} tokens"
        drawing.dot(x, y, kind, radius=4.5, hollow=not point.on_front, note=words)


def _crossings(drawing: SvgDrawing, crossovers: list[CrossoverLine], across: AxisScale) -> int:
    """Mark the first crossovers that lie within the picture, and return how many there are."""
    within = [one for one in crossovers if one.at.value is not None and across.low <= one.at.value <= across.high]
    for one in within[:MARKED]:
        x = across(one.at.value or 0.0)
        if one.at.low is not None and one.at.high is not None:
            low, high = across(one.at.low), across(one.at.high)
            drawing.box((low, _TOP), (high - low, _BOTTOM - _TOP), "muted", opacity=0.1)
        drawing.line((x, _TOP), (x, _BOTTOM), "muted", dash="2 3")
    edge = -1e9
    for x, words in sorted((across(one.at.value or 0.0), figure(one.at.value)) for one in within[:MARKED]):
        if x - 24 > edge:
            drawing.text(x, _TOP - 8, words, anchor="middle", kind="muted")
            edge = x + 24
    return len(within)


def _described(curves: list[tuple[str, list[_Point]]], marked: int) -> str:
    named = [f"{name} at {figure(point.budget)}" for name, points in curves for point in points if point.on_front]
    told = f"Nobody scores more for fewer tokens than: {', '.join(named)} (filled, joined by the dashed line)."
    if marked > MARKED:
        return f"{told} Dotted lines are the first {MARKED} of {marked} crossovers, in their intervals."
    return f"{told} Dotted lines are crossovers, in their intervals." if marked else told


def _table(page: ComparePage, curves: list[tuple[str, list[_Point]]]) -> FigureTable:
    rows = [
        (name, figure(point.budget),
         *(figure(end) for span in (point.tokens, point.score) for end in (span.value, span.low, span.high)),
         "yes" if point.on_front else "no")
        for name, points in curves
        for point in points
    ]  # fmt: skip
    for one in page.crossovers:
        if one.at.value is not None:
            ends = (figure(end) for end in (one.at.value, one.at.low, one.at.high))
            rows.append((f"crossover of {one.one} and {one.other}", "", *ends, "", "", "", ""))
    return FigureTable(_HEAD, tuple(rows))
