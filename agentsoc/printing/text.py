"""This module makes text safe for any terminal: lines, tables, and commands to go on with. It prints nothing.

Questions, answers, names and messages can hold what a model or a stranger wrote, so everything that is printed passes
through `safe`: nothing in a log can move the cursor, set a title or hide text.
"""

from __future__ import annotations

import shlex
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final


def safe(text: str) -> str:
    """Return `text` with every control, escape, direction and surrogate character shown as an escape sequence.

    Line feeds stay; use `line` where one line is wanted. Spaces of other scripts stay too.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c == "\n" or c.isprintable() or unicodedata.category(c) == "Zs" else _shown(c) for c in text)


def _shown(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def line(text: str, limit: int = 0) -> str:
    """Return `text` as one safe line, cut to `limit` characters (0 for no limit)."""
    flat = " ".join(text.split())
    if limit and len(flat) > limit:
        flat = flat[: max(limit - 3, 0)] + "..."
    return safe(flat)


def table(rows: Iterable[Sequence[str]], *, right: frozenset[int] = frozenset(), indent: str = "") -> str:
    """Return rows of cells as aligned lines.

    Args:
        rows: the cells, the head first.
        right: indices of the columns that are aligned to the right (numbers).
        indent: put before each line.
    """
    cells = [[safe(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)] if cells else []
    lines = []
    for row in cells:
        aligned = [
            cell.rjust(width) if at in right else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append((indent + "  ".join(aligned)).rstrip())
    return "\n".join(lines)


def command(*words: object) -> str:
    """Return a command line that a person can paste into a shell."""
    return shlex.join(["agentsoc", *map(str, words)])


WIDE: Final = 2
"""Prompts that reserve more than this times what they then have are said to be bounded widely."""


def prompt_bounds_text(counted: str, bound: int, used: int) -> str:
    """Return how prompts were bounded, and how far from what they then had.

    Args:
        counted: ``bytes``, ``exact``, or the tokenizer.
        bound: reserved for the prompts of all calls (tokens).
        used: what the provider counted (tokens).
    """
    how = {"bytes": "a token for each byte", "exact": "counted exactly"}.get(counted, f"by {counted}")
    text = f"prompts reserved {bound:,} tokens ({how}) and had {used:,}"
    if used and bound > WIDE * used:
        text += f": the bound was {bound / used:.1f} times what calls then used"
        text += ", and a tokenizer would narrow it" if counted == "bytes" else ""
    return text
