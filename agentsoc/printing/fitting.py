"""This module fits tables and lines into the width of a terminal, and colours words there; it prints nothing.

The rule for tables: columns are dropped in the order that the caller gives until the rest fits; what is still too wide
is shortened, the widest text column first, and marked with three dots. Columns that matter more than whole names are
dropped after that. Nothing is dropped silently: `Fitted.dropped` names the columns.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from agentsoc.printing.text import line

Tone = Literal["good", "busy", "bad", ""]
"""What a colour says of a word; nothing for no colour."""

WIDTH: Final = 80
"""Width where nothing says how wide the output is (columns)."""
NARROWEST: Final = 8
"""Width down to which a column is shortened (columns)."""
_GAP: Final = 2
_COLOURS: Final[Mapping[Tone, str]] = {"good": "32", "busy": "33", "bad": "31"}


def width() -> int:
    """Return how wide the output may be: by the variable COLUMNS, else the terminal's, else 80 columns."""
    return max(shutil.get_terminal_size((WIDTH, 24)).columns, 40)


def is_folded() -> bool:
    """Tell whether long lines are to be folded: on a terminal; what is piped keeps one line a fact."""
    return sys.stdout.isatty()


def is_coloured() -> bool:
    """Tell whether words are coloured: on a terminal only, and not where NO_COLOR is set or the terminal is dumb."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "") not in ("", "dumb")


def coloured(text: str, tone: Tone) -> str:
    """Return a safe text in the colour of its tone, as a terminal has it; to be printed as it is."""
    return f"\x1b[{_COLOURS[tone]}m{text}\x1b[0m" if tone else text


def folded(fact: str, columns: int, indent: int) -> str:
    """Return a line as several that fit, all but the first indented; a word longer than a line stands alone."""
    lines = [fact[:indent]]
    for word in fact[indent:].split():
        if len(lines[-1]) > indent:
            if len(lines[-1]) + 1 + len(word) <= columns:
                lines[-1] += f" {word}"
                continue
            lines.append(" " * indent)
        lines[-1] += word
    return "\n".join(lines)


@dataclass(frozen=True)
class Fitted:
    """A table that fits: its lines, safe to print, and the columns that there was no room for."""

    lines: tuple[str, ...]
    dropped: tuple[str, ...] = ()


def fit(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    columns: int,
    *,
    right: Collection[str] = (),
    drop: Sequence[str] = (),
    drop_last: Sequence[str] = (),
    tails: Collection[str] = (),
    tone: Callable[[str, str], Tone] | None = None,
) -> Fitted:
    """Return a table in at most `columns` columns.

    Args:
        head: names of the columns, all different.
        rows: their cells.
        columns: width of the output.
        right: columns aligned to the right, which are never shortened (numbers).
        drop: columns that may be left out, the first one first.
        drop_last: columns that may be left out where even shortening is not enough.
        tails: columns of which the end is kept when they are shortened, instead of the beginning.
        tone: the tone of a cell by column and text; None for no colours.
    """
    cells = {name: [line(row[at]) for row in rows] for at, name in enumerate(head)}
    widths = {name: max(map(len, (name, *cells[name]))) for name in head}
    dropped = []
    for name in drop:
        if _total(widths) <= columns:
            break
        if name in widths:
            del widths[name]
            dropped.append(name)
    full, widths = widths, _shortened(widths, columns, right)
    for name in drop_last:
        if _total(widths) <= columns:
            break
        if name in full:
            del full[name]
            dropped.append(name)
            widths = _shortened(full, columns, right)
    lines = [_joined([_cell(name, widths[name], name in right, False) for name in widths])]
    for at in range(len(rows)):
        parts = []
        for name, room in widths.items():
            text = cells[name][at]
            part = _cell(text, room, name in right, name in tails)
            kind: Tone = tone(name, text) if tone is not None else ""
            parts.append(part.replace(part.strip(), coloured(part.strip(), kind), 1) if kind else part)
        lines.append(_joined(parts))
    return Fitted(tuple(lines), tuple(dropped))


def _shortened(widths: Mapping[str, int], columns: int, right: Collection[str]) -> dict[str, int]:
    """Return the widths with text columns made narrower, the widest first, as far as it is needed and possible."""
    found = dict(widths)
    while _total(found) > columns:
        widest = max((name for name in found if name not in right), key=lambda name: found[name], default=None)
        if widest is None or found[widest] <= NARROWEST:
            break
        found[widest] -= 1
    return found


def _total(widths: Mapping[str, int]) -> int:
    return sum(widths.values()) + _GAP * (len(widths) - 1)


def _cell(text: str, room: int, right: bool, tail: bool) -> str:
    if len(text) > room:
        text = "..." + text[len(text) - room + 3 :] if tail else text[: room - 3] + "..."
    return text.rjust(room) if right else text.ljust(room)


def _joined(parts: Sequence[str]) -> str:
    return (" " * _GAP).join(parts).rstrip()
