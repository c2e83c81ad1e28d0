"""This module draws plans: the signal that is expected of each design, with its interval."""

from __future__ import annotations

from typing import Final

from analysis.scales import CHAR, scale
from analysis.synergy.estimation.interval import sure
from analysis.viewer.charts.svg import Chart, FigureTable, SvgDrawing, figure, short
from analysis.viewer.pages.plan import PlanPage

WIDTH: Final = 720
_ROW: Final = 26
_NAME: Final = 44


def plan_chart(page: PlanPage) -> Chart | None:
    """Return the designs as rows, the best on top; None without any."""
    if not page.designs:
        return None
    left = 20 + CHAR * max(min(len(one.said), _NAME) for one in page.designs)
    height = 20 + _ROW * len(page.designs) + 46
    drawing = SvgDrawing(WIDTH, height)
    ends = [
        end for one in page.designs for end in (one.signal.value, one.signal.low, one.signal.high) if end is not None
    ]
    across = scale(ends, left, WIDTH - 20)
    drawing.x_axis(across, height - 44, 8, "expected signal of the answer")
    for at, one in enumerate(page.designs):
        y = 10 + _ROW * (at + 0.5)
        drawing.text(left - 8, y + 4, short(one.said, _NAME), anchor="end")
        if one.signal.low is not None and one.signal.high is not None:
            drawing.line((across(one.signal.low), y), (across(one.signal.high), y), "c1", width=2)
        if one.signal.value is not None:
            drawing.dot(across(one.signal.value), y, "c1", radius=5, hollow=at > 0, note=one.said)
    rows = tuple(
        (
            one.said,
            figure(one.signal.value),
            figure(one.signal.low),
            figure(one.signal.high),
            "-" if one.p is None else sure(one.p),
        )
        for one in page.designs
    )
    head = ("design", "signal", "low", "high", "P(beats one agent)")
    return drawing.chart("Designs", "The best comes first (filled).", FigureTable(head, rows))
