"""Where a claim's parents come from, and a `Probe`, which measures influence instead of believing words.

A probe asks some turns again with one shown claim left out.
"""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from agentsoc.contracts.part import Part
from agentsoc.contracts.turns import SLOT_WIDTH, Turn
from agentsoc.events import MAX_K

FIRST_K: Final = MAX_K
"""Numbers of the society's calls from here on are those of probes."""
_SLOTS: Final = MAX_K // SLOT_WIDTH

ParentSource = Literal["cited", "visible", "inferred"]
"""Where a claim's parents come from: what its author said, everything it was shown, or what its answers show."""


class Probe(Part):
    """For a share of the turns that state an answer and were shown claims, the model is asked twice more.

    Once with one of the claims left out, drawn evenly, and once with all of them: what changes then changes anyway.
    Nobody in the society hears of it. Both calls are journaled under the society's id and charged to the study.
    """

    share: float = Field(gt=0, le=1)
    """Probability that such a turn is probed, drawn for each turn from the seed."""


def probe_k(turn: Turn, *, control: bool) -> int:
    """Return the number in the journal, under the society's id, of the first call of a probe of a turn."""
    return FIRST_K + ((turn.agent * _SLOTS + turn.slot) * 2 + control) * SLOT_WIDTH


def probed_agent(k: int) -> int | None:
    """Return whose turn a call of the society probes, by its number; None for a call that is no probe."""
    return None if k < FIRST_K else (k - FIRST_K) // SLOT_WIDTH // 2 // _SLOTS
