"""This module writes SVG: shapes with classes for colours, escaped texts, and the table of a picture's figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final

from analysis.scales import CHAR, AxisScale
from analysis.viewer.charts.escape import escaped

COLOURS: Final = ("#0072b2", "#d55e00", "#007f5f", "#b3568f", "#8a6d00", "#3f7fa6", "#5b5b5b", "#9a3324")
"""The light colours of the classes c1 to c8; `style` has the dark ones."""
DASHES: Final = ("", "6 3", "2 3", "8 3 2 3", "1 2", "10 4", "4 2 1 2", "3 1")
_INK: Final = {"ink": "#1b1b1b", "muted": "#666666", "grid": "#dddddd", "paper": "#ffffff"}
_ids = count(1)
LABEL_CHARS: Final = 60


@dataclass(frozen=True)
class FigureTable:
    """The figures of a picture as text: the head, and a row for each mark."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Chart:
    """A picture with what it says, and its figures."""

    title: str
    description: str
    svg: str
    table: FigureTable


def colour(at: int) -> str:
    """Return the class of the colour number `at`, counted from 0; they repeat."""
    return f"c{at % len(COLOURS) + 1}"


class SvgDrawing:
    """A drawing takes shapes, and becomes an SVG with a title and a description."""

    def __init__(self, width: float, height: float) -> None:
        self.width = width
        self.height = height
        self._parts: list[str] = []

    def line(self, start: tuple[float, float], end: tuple[float, float], kind: str = "grid", *, width: float = 1.0,
             dash: str = "") -> None:  # fmt: skip
        """Draw a straight line."""
        (x1, y1), (x2, y2) = start, end
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self._parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="s {kind}" stroke="{_ink(kind)}" '
            f'stroke-width="{width:g}"{dashed}/>'
        )

    def path(self, points: Sequence[tuple[float, float]], kind: str, *, width: float = 1.5, dash: str = "") -> None:
        """Draw a line through points; one alone is no line."""
        if len(points) < 2:
            return
        steps = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self._parts.append(
            f'<path d="M{steps}" class="s {kind}" stroke="{_ink(kind)}" stroke-width="{width:g}"{dashed} fill="none"/>'
        )

    def area(self, points: Sequence[tuple[float, float]], kind: str, *, opacity: float = 0.2) -> None:
        """Fill what points go around."""
        steps = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        self._parts.append(
            f'<path d="M{steps}Z" class="f {kind}" fill="{_ink(kind)}" fill-opacity="{opacity:g}" stroke="none"/>'
        )

    def dot(self, x: float, y: float, kind: str, *, radius: float = 4.0, hollow: bool = False, note: str = "") -> None:
        """Draw a disc, or a ring; `note` is shown when a pointer rests on it."""
        ring = f'class="r {kind}" fill="{_INK["paper"]}" stroke="{_ink(kind)}" stroke-width="1.5"'
        disc = f'class="f {kind}" fill="{_ink(kind)}"'
        self._parts.append(
            _noted("circle", f'cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" {ring if hollow else disc}', note)
        )

    def box(self, corner: tuple[float, float], size: tuple[float, float], kind: str, *, opacity: float = 1.0,
            hollow: bool = False, note: str = "") -> None:  # fmt: skip
        """Draw a filled rectangle, or its outline."""
        (x, y), (width, height) = corner, size
        ring = f'class="r {kind}" fill="{_INK["paper"]}" stroke="{_ink(kind)}" stroke-width="1"'
        full = f'class="f {kind}" fill="{_ink(kind)}" fill-opacity="{opacity:.3g}"'
        place = f'x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{max(height, 0):.1f}"'
        self._parts.append(_noted("rect", f"{place} {ring if hollow else full}", note))

    def text(self, x: float, y: float, words: object, *, anchor: str = "start", kind: str = "ink", size: int = 11,
             turned: bool = False) -> None:  # fmt: skip
        """Write words, cut to `LABEL_CHARS`; `anchor` is start, middle or end."""
        turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else ""
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="f {kind}" fill="{_ink(kind)}" '
            f'font-size="{size}" font-family="system-ui, sans-serif"{turn}>{escaped(short(words))}</text>'
        )

    def x_axis(self, scale: AxisScale, y: float, top: float, name: str) -> None:
        """Draw a horizontal axis below with ticks, grid lines up to `top`, and its name; no label on another one."""
        self.line((scale.start, y), (scale.end, y), "muted")
        last = -1e9
        for value, words in scale.ticks(max(int((scale.end - scale.start) / 70), 2)):
            x = scale(value)
            self.line((x, y), (x, top), "grid")
            self.line((x, y), (x, y + 4), "muted")
            half = len(words) * CHAR / 2
            if x - half > last + 4:
                self.text(x, y + 16, words, anchor="middle", kind="muted")
                last = x + half
        self.text((scale.start + scale.end) / 2, y + 33, name, anchor="middle")

    def y_axis(self, scale: AxisScale, x: float, right: float, name: str) -> None:
        """Draw a vertical axis on the left with ticks, grid lines up to `right`, and its name."""
        self.line((x, scale.start), (x, scale.end), "muted")
        last = 1e9
        for value, words in scale.ticks(max(int(abs(scale.start - scale.end) / 45), 2)):
            y = scale(value)
            self.line((x, y), (right, y), "grid")
            self.line((x - 4, y), (x, y), "muted")
            if y < last - 13:
                self.text(x - 7, y + 4, words, anchor="end", kind="muted")
                last = y
        self.text(13, (scale.start + scale.end) / 2, name, anchor="middle", turned=True)

    def chart(self, title: str, description: str, table: FigureTable) -> Chart:
        """Return the picture with its title, description and figures."""
        number = next(_ids)
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width:g} {self.height:g}" '
            f'width="{self.width:g}" role="img" class="chart" aria-labelledby="t{number} d{number}">'
            f'<title id="t{number}">{escaped(title)}</title><desc id="d{number}">{escaped(description)}</desc>'
        )
        return Chart(title, description, head + "".join(self._parts) + "</svg>", table)


def short(words: object, most: int = LABEL_CHARS) -> str:
    """Return words as one line of bounded length."""
    flat = " ".join(str(words)[: 4 * most].split())
    return flat if len(flat) <= most else flat[: most - 3] + "..."


def figure(value: float | None, digits: int = 4) -> str:
    """Return a number for the table of a picture: as it is in the data, to so many digits."""
    if value is None or not math.isfinite(value):
        return "-"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:.{digits}g}" if abs(value) < 1000 else f"{value:,.1f}"


def _ink(kind: str) -> str:
    if kind in _INK:
        return _INK[kind]
    return COLOURS[int(kind[1:]) - 1]


def _noted(name: str, attributes: str, note: str) -> str:
    return (
        f"<{name} {attributes}><title>{escaped(short(note, 200))}</title></{name}>"
        if note
        else f"<{name} {attributes}/>"
    )
