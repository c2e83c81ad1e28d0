"""This module makes plain data for a browser of what pages and charts are: every text visible, every list bounded.

A picture goes as a tree of elements with their attributes, not as markup: the browser's side builds what is on the
list below, and there is nothing in it that could run.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from analysis.viewer.blocks import Block, FigureBlock, FoldedBlocks, Heading, Listed, Paragraph, TableBlock, Verbatim
from analysis.viewer.charts.escape import visible, visible_data
from analysis.viewer.charts.svg import Chart

ROWS_MAX: Final = 200
"""Rows of one page of a table."""
TEXT_CHARS: Final = 64_000
"""Length to which any text is cut (characters)."""
ELEMENTS: Final = frozenset({"svg", "title", "desc", "line", "path", "circle", "rect", "text", "g"})
"""Elements of a picture."""


def plain(data: Any) -> Any:
    """Return a page as plain data for JSON with every text in it made visible."""
    return visible_data(msgspec.to_builtins(data), TEXT_CHARS)


def plain_blocks(blocks: Sequence[Block]) -> list[dict[str, Any]]:
    """Return blocks as plain data."""
    return [_plain(block) for block in blocks]


def _plain(block: Block) -> dict[str, Any]:
    match block:
        case Paragraph(words, style):
            return {"block": "paragraph", "words": visible(words), "style": style}
        case Heading(words):
            return {"block": "heading", "words": visible(words)}
        case TableBlock(head, rows):
            return {"block": "table", **plain_table(head, rows)}
        case FigureBlock(chart):
            return {"block": "figure", **plain_chart(chart)}
        case Listed(items):
            return {"block": "list", "items": [visible(item) for item in items[:ROWS_MAX]]}
        case Verbatim(words):
            return {"block": "verbatim", "words": visible(words, TEXT_CHARS)}
        case FoldedBlocks(words, inner):
            return {"block": "folded", "words": visible(words), "blocks": plain_blocks(inner)}


def plain_table(head: Sequence[object], rows: Sequence[Sequence[object]]) -> dict[str, Any]:
    """Return a table, with the number of rows that are left out."""
    return {
        "head": [visible(name) for name in head],
        "rows": [[visible(cell) for cell in row] for row in rows[:ROWS_MAX]],
        "more": max(len(rows) - ROWS_MAX, 0),
    }


def plain_chart(chart: Chart) -> dict[str, Any]:
    """Return a picture with its words and the table of its figures."""
    return {
        "title": visible(chart.title),
        "description": visible(chart.description),
        "picture": _tree(ET.fromstring(chart.svg)),
        "table": plain_table(chart.table.head, chart.table.rows),
    }


def _tree(element: ET.Element) -> list[Any]:
    """Return an element of a picture as its name, its attributes, and its text or its elements."""
    name = element.tag.rpartition("}")[2]
    if name not in ELEMENTS:
        raise ValueError(f"no picture has an element {name}")
    inside: list[Any] = [_tree(child) for child in element]
    return [name, dict(element.attrib), [element.text, *inside] if element.text else inside]
