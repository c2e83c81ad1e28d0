"""This module corrects p values over all blocks of a report: differences, margins, and both at the ends of lost runs.

At each end of what lost episodes could have scored the report is a complete one, so its p values are corrected as those
of the report are: over every organisation of every block, those without lost episodes included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from analysis.comparison.block import BaselineBlock
from analysis.comparison.lost import LostBounds
from analysis.stats import PairedRow, holm
from analysis.stats.margins import WithinMargin, corrected


def corrected_together(blocks: Sequence[BaselineBlock]) -> tuple[list[BaselineBlock], int]:
    """Return the blocks with p values corrected for the comparisons of all of them, and their number."""
    rows = [row for block in blocks for row in block.found.rows]
    if len(blocks) < 2:
        return list(blocks), len(rows)
    adjusted = iter(holm(np.array([row.p for row in rows])).tolist())
    margins = iter(corrected([one for block in blocks for one in block.margins.values()]))
    lost = _ends(blocks)
    together = []
    for block in blocks:
        own = tuple(replace(row, p_holm=next(adjusted)) for row in block.found.rows)
        named = {name: next(margins) for name in block.margins}
        ends = {name: next(lost) for name in block.lost}
        together.append(replace(block, found=replace(block.found, rows=own), margins=named, lost=ends))
    return together, len(rows)


def _ends(blocks: Sequence[BaselineBlock]) -> Iterator[LostBounds]:
    """Yield what lost episodes could change, in order of blocks and names, corrected over all rows at each end."""
    low, high = (_differences(blocks, p) for p in (lambda one: one.p_low_alone, lambda one: one.p_high_alone))
    within = [_margins(blocks, end) for end in (0, 1)]
    for at, block in enumerate(blocks):
        for name, one in block.lost.items():
            margins = None if one.margins is None else (within[0][at, name], within[1][at, name])
            yield replace(one, p_low=low[at, name], p_high=high[at, name], margins=margins)


def _differences(blocks: Sequence[BaselineBlock], p: Callable[[LostBounds], float]) -> Mapping[tuple[int, str], float]:
    """Return the corrected p of each row at an end; `p` gives that of one with lost episodes."""

    def at_end(block: BaselineBlock, row: PairedRow) -> float:
        lost = block.lost.get(row.organisation)
        return row.p if lost is None else p(lost)

    raw = {(at, row.organisation): at_end(block, row) for at, block in enumerate(blocks) for row in block.found.rows}
    return dict(zip(raw, holm(np.array(list(raw.values()))).tolist(), strict=True))


def _margins(blocks: Sequence[BaselineBlock], end: int) -> Mapping[tuple[int, str], WithinMargin]:
    """Return the margin of each row at an end, with corrected p values."""
    raw = {}
    for at, block in enumerate(blocks):
        for name, one in block.margins.items():
            lost = block.lost.get(name)
            raw[at, name] = one if lost is None or lost.margins is None else lost.margins[end]
    return dict(zip(raw, corrected(list(raw.values())), strict=True))
