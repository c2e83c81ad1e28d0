"""Sheets worked out with a calculator: which expressions are due, and what the results so far come to.

The operations of a sheet are its beginning (the sum of its facts) and its steps; an expression is one operation. Those
that are put at once are operations of different sheets, because the steps of one sheet need each other's results.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from agentsoc.puzzles.worksheet import MODULUS, Mistake, Sheet, facts_as_read

_NUMBERS: Final = 3
"""Numbers that a step puts into its expression."""
_DIGITS: Final = 3
"""Longest result that is taken for one (digits)."""


def due_after(sheets: Sequence[Sheet], told: Sequence[Sequence[str]], most: int) -> tuple[list[int], list[list[int]]]:
    """Return the sheets whose next operation is due, and the results of each sheet so far.

    Args:
        sheets: what has to be worked out.
        told: what the calculator gave in each step before, one text for each expression that was put.
        most: expressions that may be put next.

    A sheet of which a result is missing, or is no number, goes no further.
    """
    known: list[list[int]] = [[] for _ in sheets]
    lost: set[int] = set()
    for texts in told:
        for number, text in zip(_due(sheets, known, lost, len(texts)), map(str.strip, texts), strict=False):
            if text.isascii() and text.isdigit() and len(text) <= _DIGITS:
                known[number].append(int(text) % MODULUS)
            else:
                lost.add(number)
    return _due(sheets, known, lost, most), known


def _due(sheets: Sequence[Sheet], known: Sequence[Sequence[int]], lost: set[int], most: int) -> list[int]:
    """Return the sheets that are least far, as many as may be put at once."""
    open_ = [n for n, sheet in enumerate(sheets) if n not in lost and len(known[n]) <= len(sheet.added)]
    least = min((len(known[number]) for number in open_), default=0)
    return [number for number in open_ if len(known[number]) == least][:most]


def expression(sheet: Sheet, results: Sequence[int], mistake: Mistake) -> str:
    """Return the expression of the operation that is due after `results`; each number in it may be misread."""
    if not results:
        numbers = facts_as_read(sheet, mistake)
    else:
        step = len(results) - 1
        other = results[max(step - sheet.back, 0)]
        read = (results[-1], mistake("recall", step, other, None) if sheet.back else other, sheet.added[step])
        first = len(sheet.facts) + _NUMBERS * step
        numbers = [mistake("fact", first + place, value, None) for place, value in enumerate(read)]
    return f"({' + '.join(map(str, numbers))}) % {MODULUS}"
