"""This module draws phases: the plane of fidelity and correlation with the boundary, and the signal by depth."""

from __future__ import annotations

from typing import Final

from analysis.scales import AxisScale, scale
from analysis.viewer.charts.svg import Chart, FigureTable, SvgDrawing, figure
from analysis.viewer.pages.phase import PhasePage

WIDTH: Final = 560
_HEIGHT: Final = 400
_LEFT: Final = 60
_BOTTOM: Final = _HEIGHT - 48


def plane_chart(page: PhasePage) -> Chart:
    """Return the plane with the band of the boundary, the draws and the measured point."""
    plane = page.plane
    drawing = SvgDrawing(WIDTH, _HEIGHT + 24)
    across = AxisScale(*plane.gamma_span, _LEFT, WIDTH - 20)
    up = AxisScale(*plane.rho_span, _BOTTOM, 14)
    drawing.x_axis(across, _BOTTOM, 14, "fidelity of a message, gamma")
    drawing.y_axis(up, _LEFT, WIDTH - 20, "correlation of the votes that a node reads, rho")
    first, second = (
        [(across(gamma), up(rho)) for gamma, rho in zip(line, plane.rho, strict=True) if gamma <= 1.0]
        for line in (plane.lock, plane.beta_binomial)
    )
    if first and second:
        drawing.area([*first, *reversed(second)], "muted")
    drawing.path(first, "ink", width=2)
    drawing.path(second, "ink", width=2, dash="3 3")
    for gamma, rho in plane.cloud:
        drawing.dot(across(gamma), up(rho), "c2", radius=1.4)
    if plane.point is not None:
        drawing.dot(across(plane.point[0]), up(plane.point[1]), "c1", radius=6, note="measured")
    drawing.text(WIDTH - 28, _BOTTOM - 10, "amplifies", anchor="end", kind="muted")
    drawing.text(_LEFT + 10, 30, "loses", kind="muted")
    y = _HEIGHT + 14
    for x, dash, words in ((_LEFT, "", "boundary, lock"), (_LEFT + 170, "3 3", "boundary, beta-binomial")):
        drawing.line((x, y - 4), (x + 26, y - 4), "ink", width=2, dash=dash)
        drawing.text(x + 32, y, words)
    drawing.dot(_LEFT + 390, y - 4, "c1", radius=5)
    drawing.text(_LEFT + 402, y, "measured")
    where = "No point was measured." if plane.point is None else (
        f"Measured: gamma {figure(plane.point[0])}, rho {figure(plane.point[1])}; "
        f"gamma is {figure(plane.margin)} past the boundary."
    )  # fmt: skip
    if plane.cloud:
        where += " Small dots are draws of the bootstrap."
    rows = [
        (figure(rho), figure(lock) if lock <= 1 else "none", figure(other) if other <= 1 else "none")
        for rho, lock, other in zip(plane.rho, plane.lock, plane.beta_binomial, strict=True)
    ]
    if plane.point is not None:
        rows.insert(0, (figure(plane.point[1]), f"measured gamma: {figure(plane.point[0])}", ""))
    head = ("rho", "gamma at the boundary (lock)", "gamma at the boundary (beta-binomial)")
    title = f"Fidelity and correlation at fan-in {page.b}"
    return drawing.chart(title, where, FigureTable(head, tuple(rows)))


def depth_chart(page: PhasePage) -> Chart | None:
    """Return the signal of the answer by depth of the tree, between its bounds; None where it cannot be worked out."""
    depths = page.depths
    if depths is None or len(depths.levels) < 2:
        return None
    drawing = SvgDrawing(WIDTH, 330)
    bottom = 282.0
    across = AxisScale(-0.2, max(depths.levels) + 0.2, _LEFT, WIDTH - 20)
    lines = {"signal": depths.signal, "lower bound": depths.lower, "upper bound": depths.upper}
    known = [value for line in lines.values() for value in line if value is not None]
    up = scale(known, bottom, 14, around=(0.0,))
    drawing.x_axis(across, bottom, 14, "depth of the tree (levels)")
    drawing.y_axis(up, _LEFT, WIDTH - 20, "signal of the answer")
    for (_, line), kind, dash in zip(lines.items(), ("ink", "c1", "c2"), ("", "6 3", "2 3"), strict=True):
        points = [(across(x), up(y)) for x, y in zip(depths.levels, line, strict=True) if y is not None]
        drawing.path(points, kind, width=2, dash=dash)
    for x, y in zip(depths.levels, depths.signal, strict=True):
        if y is not None:
            drawing.dot(across(x), up(y), "ink", radius=3)
    rows = tuple(
        (str(x), *(figure(line[at]) for line in lines.values())) for at, x in enumerate(depths.levels)
    )  # fmt: skip
    return drawing.chart(
        "Signal by depth",
        "The line is the exact recursion from the strongest measured leaf, between proven bounds (dashed: the lower, "
        "dotted: the upper).",
        FigureTable(("levels", *lines), rows),
    )  # fmt: skip
