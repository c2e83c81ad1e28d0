"""Numbers in the journal of the calls that a probe makes, under the society's id.

Apart from what a scenario may name: turns need numpy, which a command that only reads a scenario does not load.
"""

from __future__ import annotations

from typing import Final

from agentsoc.contracts.turns import SLOT_WIDTH, Turn
from agentsoc.events import MAX_AGENTS, MAX_K

FIRST_K: Final = MAX_K
"""Numbers of the society's calls from here on are those of probes."""
_SLOTS: Final = MAX_K // SLOT_WIDTH
_FIRST_SWAPPED: Final = FIRST_K + MAX_AGENTS * _SLOTS * 2 * SLOT_WIDTH
"""From here on those of probes with a swapped answer."""


def probe_k(turn: Turn, *, control: bool = False, swapped: bool = False) -> int:
    """Return the number in the journal, under the society's id, of the first call of a probe of a turn."""
    if swapped:
        return _FIRST_SWAPPED + (turn.agent * _SLOTS + turn.slot) * 2 * SLOT_WIDTH
    return FIRST_K + ((turn.agent * _SLOTS + turn.slot) * 2 + control) * SLOT_WIDTH


def probed_agent(k: int) -> int | None:
    """Return whose turn a call of the society probes, by its number; None for a call that is no probe."""
    if k < FIRST_K:
        return None
    return (k - (_FIRST_SWAPPED if k >= _FIRST_SWAPPED else FIRST_K)) // SLOT_WIDTH // 2 // _SLOTS
