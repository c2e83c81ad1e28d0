"""This module draws comparisons: paired differences as a forest, and score against tokens with the front.

Those with several budgets have curves instead of single points (`analysis.viewer.charts.budgets`).
"""

from __future__ import annotations

from typing import Final

from analysis.scales import CHAR, AxisScale, apart, scale
from analysis.viewer.charts.budgets import curves_chart
from analysis.viewer.charts.svg import Chart, FigureTable, SvgDrawing, colour, figure, short
from analysis.viewer.pages.compare import ComparePage, Organisation
from analysis.viewer.pages.plain import Span

WIDTH: Final = 680
_ROW: Final = 26
_LABEL_MAX: Final = 28
_LEVEL: Final = 0.95
"""Level of the intervals where a report does not say it."""
FOREST: Final = "Score minus that of the baseline"
COST: Final = "Score against what it took"


def forest_chart(page: ComparePage) -> Chart | None:
    """Return the paired differences with their intervals, a row each; None without any."""
    rows = [(one, one.difference) for one in page.organisations if one.difference is not None]
    known = [(one, found) for one, found in rows if found.value is not None]
    if not known:
        return None
    left = 24 + CHAR * max(min(len(one.label), _LABEL_MAX) for one, _ in known)
    height = 30 + _ROW * len(known) + 46
    drawing = SvgDrawing(WIDTH, height)
    bottom = height - 44
    ends = [end for _, found in known for end in (found.value, found.low, found.high) if end is not None]
    across = scale(ends, left, WIDTH - 20, around=(0.0,))
    drawing.x_axis(across, bottom, 16, "difference of the mean score, with its interval")
    drawing.line((across(0.0), bottom), (across(0.0), 16), "ink", width=1.5)
    for at, (one, found) in enumerate(known):
        y = 16 + _ROW * (at + 0.6)
        drawing.text(left - 10, y + 4, short(one.label, _LABEL_MAX), anchor="end")
        _whiskers(drawing, across, found, y)
        sure = _excludes_zero(found)
        words = f"{one.label}: {figure(found.value)} [{figure(found.low)}, {figure(found.high)}]"
        drawing.dot(across(found.value or 0.0), y, "c1", radius=5, hollow=not sure, note=words)
    sure_of = [one for one, found in known if _excludes_zero(found)]
    told = ", ".join(one.label for one in sure_of) or "none"
    description = f"One row an organisation. The interval leaves 0 out for: {told} (filled dots)."
    alpha = 1 - (page.level or _LEVEL)
    if chance := ", ".join(one.label for one in sure_of if one.p_holm is not None and one.p_holm > alpha):
        description += f" By p (Holm) these are not told from 0: {chance}."
    head = ("organisation", "against", "difference", "low", "high", "p (Holm)", "won/tied/lost")
    table = tuple(
        (one.label, one.against or "", figure(found.value), figure(found.low), figure(found.high), figure(one.p_holm),
         f"{one.won:,}/{one.tied:,}/{one.lost:,}")
        for one, found in known
    )  # fmt: skip
    return drawing.chart(FOREST, description, FigureTable(head, table))


def _excludes_zero(found: Span) -> bool:
    return found.low is not None and found.high is not None and (found.low > 0 or found.high < 0)


def _whiskers(drawing: SvgDrawing, across: AxisScale, found: Span, y: float) -> None:
    if found.low is None or found.high is None:
        return
    low, high = across(found.low), across(found.high)
    drawing.line((low, y), (high, y), "c1", width=2)
    for x in (low, high):
        drawing.line((x, y - 4), (x, y + 4), "c1", width=2)


def cost_chart(page: ComparePage) -> Chart | None:
    """Return the mean score against tokens of a task with both intervals and the front; curves where there are any."""
    if (curves := curves_chart(page)) is not None:
        return curves
    known = [
        (one, one.tokens, one.score)
        for one in page.organisations
        if one.tokens is not None and one.score is not None and None not in (one.tokens.value, one.score.value)
    ]
    if not known:
        return None
    right = WIDTH - 26 - CHAR * max(min(len(one.label), _LABEL_MAX) for one, _, _ in known)
    height, bottom, left = 380, 330, 60
    drawing = SvgDrawing(WIDTH, height)
    tokens = [end for _, spent, _ in known for end in (spent.value, spent.low, spent.high) if end is not None]
    scores = [end for _, _, found in known for end in (found.value, found.low, found.high) if end is not None]
    wide = min(tokens) > 0 and max(tokens) > 10 * min(tokens)
    across = scale(tokens, left, right, log=wide)
    up = scale(scores, bottom, 14)
    drawing.x_axis(across, bottom, 14, "tokens of a task" + (" (each step a factor)" if wide else ""))
    drawing.y_axis(up, left, right, "mean score")
    front = sorted((spent.value or 0.0, found.value or 0.0) for one, spent, found in known if one.on_front)
    drawing.path([(across(x), up(y)) for x, y in front], "muted", dash="5 4")
    places = apart([up(found.value or 0.0) + 4 for _, _, found in known], 14, 20, bottom)
    for at, ((one, spent, found), place) in enumerate(zip(known, places, strict=True)):
        _point(drawing, (across, up), (spent, found), (one, at))
        x, y = across(spent.value or 0.0), up(found.value or 0.0)
        if abs(place - 4 - y) > 3 or x < right - 8:
            drawing.line((x + 6, y), (right + 6, place - 4), "grid")
        drawing.text(right + 9, place, short(one.label, _LABEL_MAX))
    named = ", ".join(one.label for one, _, _ in known if one.on_front)
    description = f"Nobody scores more for fewer tokens than: {named} (filled, joined by the dashed line)."
    return drawing.chart(COST, description, _cost_table(known))


def _point(
    drawing: SvgDrawing, scales: tuple[AxisScale, AxisScale], spans: tuple[Span, Span], whose: tuple[Organisation, int]
) -> None:
    (across, up), (spent, found), (one, at) = scales, spans, whose
    x, y, kind = across(spent.value or 0.0), up(found.value or 0.0), colour(at)
    if spent.low is not None and spent.high is not None:
        drawing.line((across(spent.low), y), (across(spent.high), y), kind)
    if found.low is not None and found.high is not None:
        drawing.line((x, up(found.low)), (x, up(found.high)), kind)
    words = f"{one.label}: score {figure(found.value)}, {figure(spent.value)} tokens"
    drawing.dot(x, y, kind, radius=5, hollow=not one.on_front, note=words)


def _cost_table(known: list[tuple[Organisation, Span, Span]]) -> FigureTable:
    head = ("organisation", "tokens", "low", "high", "score", "low", "high", "on the front")
    rows = [
        (one.label, *(figure(end) for span in (spent, found) for end in (span.value, span.low, span.high)),
         "yes" if one.on_front else "no")
        for one, spent, found in known
    ]  # fmt: skip
    return FigureTable(head, tuple(rows))
