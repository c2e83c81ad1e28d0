"""This module draws laws: the share of values at least x with the fits above xmin, and growth of the largest with N."""

from __future__ import annotations

import math
from typing import Final

from analysis.scales import CHAR, scale
from analysis.viewer.charts.svg import DASHES, Chart, FigureTable, SvgDrawing, colour, figure
from analysis.viewer.pages.laws import LawLine

WIDTH: Final = 520
HEIGHT: Final = 330
_LEFT: Final = 64
_BOTTOM: Final = HEIGHT - 48


def tail_chart(law: LawLine) -> Chart | None:
    """Return the tail of an observable on two logarithmic axes; None without at least two distinct positive values."""
    tail = law.tail
    if tail is None:
        return None
    points = [(x, y) for x, y in zip(tail.x, tail.share, strict=True) if x is not None and y is not None and x > 0 < y]
    if len(points) < 2:
        return None
    least = min(y for _, y in points)
    curves = {
        name: [
            (x, y)
            for x, y in zip(tail.fit_x, curve, strict=True)
            if x is not None and y is not None and y >= least / 1.15 and x > 0
        ]
        for name, curve in tail.fits.items()
    }
    drawing = SvgDrawing(WIDTH, HEIGHT + 18 * (len(curves) // 2 + 1))
    across = scale([x for x, _ in points], _LEFT, WIDTH - 16, log=True)
    up = scale([y for _, y in points], _BOTTOM, 12, log=True)
    drawing.x_axis(across, _BOTTOM, 12, f"{law.name} ({law.unit})")
    drawing.y_axis(up, _LEFT, WIDTH - 16, "share of values at least x")
    for x, y in points:
        drawing.dot(across(x), up(y), "ink", radius=2.2)
    for at, (name, curve) in enumerate(curves.items()):
        drawing.path([(across(x), up(y)) for x, y in curve], colour(at), dash=DASHES[at % len(DASHES)], width=2)
        place = (_LEFT + (at % 2) * 225, HEIGHT + 4 + 18 * (at // 2))
        drawing.line((place[0], place[1] - 4), (place[0] + 30, place[1] - 4), colour(at), dash=DASHES[at % 8], width=2)
        drawing.text(place[0] + 36, place[1], name.replace("_", " "))
    if tail.xmin is not None and across.low <= tail.xmin <= across.high:
        at_xmin, words = across(tail.xmin), f"xmin {figure(tail.xmin)}"
        drawing.line((at_xmin, _BOTTOM), (at_xmin, 12), "muted", dash="4 3")
        # Shares fall with x, so below the data on the left there is room; none is beside an xmin at the least value.
        room = at_xmin - len(words) * CHAR - 4 > _LEFT
        side = (-4, "end") if room else (4, "start")
        drawing.text(at_xmin + side[0], _BOTTOM - 6, words, anchor=side[1], kind="muted")
    fits = f" Models above xmin = {figure(tail.xmin)}: {', '.join(curves)}." if curves else " No model was fitted."
    head = ("x", "share of values at least x")
    rows = tuple((figure(x), figure(y)) for x, y in points)
    return drawing.chart(f"Tail of {law.name}: {law.verdict}", f"Dots are the data.{fits}", FigureTable(head, rows))


def growth_chart(law: LawLine) -> Chart | None:
    """Return the mean largest value against the number of agents; None with fewer than two numbers of agents."""
    growth = law.growth
    if growth is None or growth.gamma is None or growth.gamma.value is None:
        return None
    points = [
        (n, m) for n, m in zip(growth.n, growth.mean, strict=True) if n is not None and m is not None and m > 0 < n
    ]
    if len({n for n, _ in points}) < 2:
        return None
    drawing = SvgDrawing(WIDTH, HEIGHT)
    across = scale([n for n, _ in points], _LEFT, WIDTH - 16, log=True)
    slope = growth.gamma.value
    middle_n, middle = (math.fsum(math.log(point[axis]) for point in points) / len(points) for axis in (0, 1))
    line = [(n, math.exp(middle + slope * (math.log(n) - middle_n))) for n in sorted({n for n, _ in points})]
    up = scale([m for _, m in (*points, *line)], _BOTTOM, 12, log=True)
    drawing.x_axis(across, _BOTTOM, 12, "agents N")
    drawing.y_axis(up, _LEFT, WIDTH - 16, f"mean largest {law.unit}")
    drawing.path([(across(n), up(m)) for n, m in line], "c2", dash="6 3")
    for n, m in points:
        drawing.dot(across(n), up(m), "c1")
    said = f"{figure(slope)} [{figure(growth.gamma.low)}, {figure(growth.gamma.high)}]"
    rows = tuple((figure(n), figure(m)) for n, m in points)
    return drawing.chart(
        f"Growth of the largest {law.name} with N", f"The dashed line is N to the power of {said}.",
        FigureTable(("agents N", f"mean largest ({law.unit})"), rows),
    )  # fmt: skip
