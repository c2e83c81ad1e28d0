"""This module holds what a page of results consists of: paragraphs, tables, pictures with their tables, lists.

A page is written once, as blocks; `document.parts` makes HTML of them, and the server of `agentsoc view` JSON.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from analysis.viewer.charts.svg import Chart


class Paragraph(msgspec.Struct, frozen=True, tag="paragraph", tag_field="block"):
    """Words; `style` is a class of the style sheet."""

    words: str
    style: str = ""


class Heading(msgspec.Struct, frozen=True, tag="heading", tag_field="block"):
    """A heading within a page."""

    words: str


class TableBlock(msgspec.Struct, frozen=True, tag="table", tag_field="block"):
    """A table; cells are any values, written as text."""

    head: Sequence[object]
    rows: Sequence[Sequence[object]]


class FigureBlock(msgspec.Struct, frozen=True, tag="figure", tag_field="block"):
    """A picture with what it says and the table of its figures."""

    chart: Chart


class Listed(msgspec.Struct, frozen=True, tag="list", tag_field="block"):
    """Items below each other."""

    items: Sequence[object]


class Verbatim(msgspec.Struct, frozen=True, tag="verbatim", tag_field="block"):
    """A text as it is, line by line."""

    words: str


class FoldedBlocks(msgspec.Struct, frozen=True, tag="folded", tag_field="block"):
    """Blocks that are unfolded by a click or a key."""

    words: str
    blocks: Sequence[Block]


Block = Paragraph | Heading | TableBlock | FigureBlock | Listed | Verbatim | FoldedBlocks


def paragraph(words: object, style: str = "") -> list[Block]:
    """Return a paragraph."""
    return [Paragraph(str(words), style)]


def heading(words: object) -> list[Block]:
    """Return a heading."""
    return [Heading(str(words))]


def table_of(head: Sequence[object], rows: Sequence[Sequence[object]]) -> list[Block]:
    """Return a table."""
    return [TableBlock(head, rows)]


def figure_of(chart: Chart | None) -> list[Block]:
    """Return a picture; nothing for none."""
    return [] if chart is None else [FigureBlock(chart)]


def listed(items: Sequence[object]) -> list[Block]:
    """Return a list; nothing for none."""
    return [Listed(items)] if items else []


def folded(words: object, blocks: Sequence[Block]) -> list[Block]:
    """Return blocks folded away."""
    return [FoldedBlocks(str(words), blocks)]


def verbatim(words: object) -> list[Block]:
    """Return a text as it is."""
    return [Verbatim(str(words))]
