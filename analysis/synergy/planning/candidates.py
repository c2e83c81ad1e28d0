"""This module lists the stars and trees that fit a budget and a window, and picks those to look at closely."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from analysis.synergy.estimation.measured import Measured, MeasuredMessage
from analysis.synergy.planning.design import Design, Organisation
from analysis.synergy.theory.costs import leaf_tokens

_FAN_INS: Final = 48
_SHORTLIST: Final = 16
_MOST_LEAVES: Final = 1_000_000


def candidates(
    measured: Measured, budget: float, window: float, fan_ins: Sequence[int] | None, x_min: float
) -> Iterator[Design]:
    """Yield every star and tree of the measured messages whose leaves get x_min tokens at least."""
    for message in measured.messages:
        for b in _fan_ins(message, measured, budget, window, x_min, fan_ins):
            for depth in range(1, 64):
                n = b**depth
                if n > _MOST_LEAVES:
                    break
                x = float(leaf_tokens(budget, b, depth, message.cost / 2, measured.c_agg))
                if x < x_min * (1 - 1e-9):
                    break
                kind: Organisation = "star" if depth == 1 else "tree"
                # m stays as it was measured: lengths that were not tried are not guessed
                yield Design(kind, b, message.m, depth, n, x, message.gamma.value, 0.0)


def _fan_ins(
    message: MeasuredMessage,
    measured: Measured,
    budget: float,
    window: float,
    x_min: float,
    wanted: Sequence[int] | None,
) -> list[int]:
    """Return the odd fan-ins that fit window and budget."""
    widest = min(window / message.m if message.m > 0 else np.inf, budget / (x_min + message.cost), 20_001)
    if wanted is not None:
        return [b for b in wanted if b <= widest]
    top = int(widest)
    if top < 3:
        return []
    small = np.arange(3, min(top, 2 * (_FAN_INS // 2) + 1) + 1, 2)
    large = np.geomspace(small[-1], top, _FAN_INS // 2) if top > small[-1] else np.empty(0)
    odd = {int(b) for b in small} | {int(b) - (int(b) % 2 == 0) for b in large}
    return sorted(odd)


def most_promising(firsts: Sequence[tuple[float, Design]]) -> list[Design]:
    """Return the first designs of a list that is in order, each with its signal, and the first of each depth."""
    best_of: dict[tuple[str, int], Design] = {}
    for _, design in firsts:
        best_of.setdefault((design.organisation, design.depth), design)
    chosen = [design for _, design in firsts[:_SHORTLIST]]
    return chosen + [design for design in best_of.values() if design not in chosen]
