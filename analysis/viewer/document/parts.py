"""This module writes the pieces of sections: tables, figures with their tables, lists; all text escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from analysis.viewer.charts.escape import escaped
from analysis.viewer.charts.svg import Chart

ROWS_MAX: Final = 500
"""Rows of one table; it says how many more there are."""
_HERE: Final = Path(__file__).parent
STYLE: Final = (_HERE / "style.css").read_text(encoding="utf-8").strip()
SCRIPT: Final = (_HERE / "report.js").read_text(encoding="utf-8").strip()


@dataclass(frozen=True)
class DocumentSection:
    """A section of a document: its name for links, its title, its HTML, and the data that its script reads."""

    id: str
    title: str
    html: str
    data: bytes = b""
    """Gzipped JSON; empty for none."""
    notes: tuple[str, ...] = ()
    """What was left out, in words."""


def table_html(head: Sequence[object], rows: Sequence[Sequence[object]], *, limit: int = ROWS_MAX) -> str:
    """Return a table; beyond `limit` rows it is cut and says so."""
    names = "".join(f'<th scope="col">{escaped(name)}</th>' for name in head)
    body = "".join(f"<tr>{''.join(f'<td>{escaped(cell)}</td>' for cell in row)}</tr>" for row in rows[:limit])
    more = paragraph(f"... and {len(rows) - limit:,} more rows", "muted") if len(rows) > limit else ""
    return f'<div class="wide"><table><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table></div>{more}'


def figure_html(chart: Chart | None) -> str:
    """Return a picture with what it says and the table of its figures; nothing for none."""
    if chart is None:
        return ""
    table = folded("the figures as a table", table_html(chart.table.head, chart.table.rows))
    said = f"<figcaption><b>{escaped(chart.title)}.</b> {escaped(chart.description)}</figcaption>"
    return f"<figure>{chart.svg}{said}{table}</figure>"


def paragraph(words: object, kind: str = "") -> str:
    """Return a paragraph; `kind` is a class of the style."""
    return f'<p class="{kind}">{escaped(words)}</p>' if kind else f"<p>{escaped(words)}</p>"


def heading(words: object) -> str:
    """Return a heading within a section."""
    return f"<h3>{escaped(words)}</h3>"


def listed_html(items: Iterable[object]) -> str:
    """Return a list; nothing for none."""
    told = "".join(f"<li>{escaped(item)}</li>" for item in items)
    return f"<ul>{told}</ul>" if told else ""


def folded(words: object, html: str) -> str:
    """Return HTML that is unfolded by a click or a key."""
    return f"<details><summary>{escaped(words)}</summary>{html}</details>"


def verbatim(words: object) -> str:
    """Return a text as it is, line by line."""
    return f"<pre>{escaped(words, 60_000)}</pre>"


def counted(what: Mapping[str, int]) -> str:
    """Return counts in words: "3 finished, 1 budget_exhausted"."""
    return ", ".join(f"{n:,} {name}" for name, n in what.items()) or "none"
