"""This module writes blocks as the HTML of sections: tables, figures with their tables, lists; all text escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from analysis.viewer.blocks import Block, FigureBlock, FoldedBlocks, Heading, Listed, Paragraph, TableBlock, Verbatim
from analysis.viewer.charts.escape import escaped
from analysis.viewer.charts.svg import Chart

ROWS_MAX: Final = 500
"""Rows of one table; it says how many more there are."""
WORD_MAX: Final = 24
"""Longest word that a table gives a line of its own rather than break it (characters)."""
VERBATIM_MAX: Final = 60_000
"""Longest text that stands as it is (characters)."""
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
    blocks: Sequence[Block] = ()
    """What `html` was made of; empty where it has more in it than blocks."""


def table_html(head: Sequence[object], rows: Sequence[Sequence[object]], *, limit: int = ROWS_MAX) -> str:
    """Return a table; beyond `limit` rows it is cut and says so. Without any name in `head`, rows begin with theirs."""
    named = any(head)
    names = "".join(f'<th scope="col">{escaped(name)}</th>' if name else "<td></td>" for name in head)
    above = f"<thead><tr>{names}</tr></thead>" if named else ""
    body = "".join(
        f"<tr>{''.join(_cell(cell, row=at == 0 and not named) for at, cell in enumerate(row))}</tr>"
        for row in rows[:limit]
    )
    more = f'<p class="muted">... and {len(rows) - limit:,} more rows</p>' if len(rows) > limit else ""
    table = f"<table>{above}<tbody>{body}</tbody></table>"
    return f'<div class="wide" tabindex="0" role="group" aria-label="table">{table}</div>{more}'


def _cell(cell: object, *, row: bool = False) -> str:
    """Return a cell, or the heading of a row; one of short words alone is never broken within them, see the style."""
    if row:
        return f'<th scope="row">{escaped(cell)}</th>'
    words = str(cell)[:VERBATIM_MAX].split()
    kind = "long" if any(len(word) > WORD_MAX for word in words) else "word" if len(words) > 1 else "whole"
    return f'<td class="{kind}">{escaped(cell)}</td>'


def html_of(blocks: Sequence[Block]) -> str:
    """Return blocks as HTML."""
    return "".join(map(_html, blocks))


def _html(block: Block) -> str:
    match block:
        case Paragraph(words, style):
            return f'<p class="{style}">{escaped(words)}</p>' if style else f"<p>{escaped(words)}</p>"
        case Heading(words):
            return f"<h3>{escaped(words)}</h3>"
        case TableBlock(head, rows):
            return table_html(head, rows)
        case FigureBlock(chart):
            return _figure(chart)
        case Listed(items):
            return f"<ul>{''.join(f'<li>{escaped(item)}</li>' for item in items)}</ul>"
        case Verbatim(words):
            return f"<pre>{escaped(words, VERBATIM_MAX)}</pre>"
        case FoldedBlocks(words, inner):
            return _folded(words, html_of(inner))


def _figure(chart: Chart) -> str:
    table = _folded("the figures as a table", table_html(chart.table.head, chart.table.rows))
    said = f"<figcaption><b>{escaped(chart.title)}.</b> {escaped(chart.description)}</figcaption>"
    return f"<figure>{chart.svg}{said}{table}</figure>"


def _folded(words: str, html: str) -> str:
    return f"<details><summary>{escaped(words)}</summary>{html}</details>"


def counted(what: Mapping[str, int]) -> str:
    """Return counts in words: "3 finished, 1 budget_exhausted"."""
    return ", ".join(f"{n:,} {name}" for name, n in what.items()) or "none"
