"""Where a claim's parents come from, and a `Probe`, which measures influence instead of believing words.

A probe asks some turns again with one shown claim left out, or with another answer in it.
"""

from __future__ import annotations

from typing import ClassVar, Final, Literal

from pydantic import Field

from agentsoc.contracts.part import Part
from agentsoc.contracts.turns import SLOT_WIDTH, Turn
from agentsoc.events import MAX_AGENTS, MAX_K

FIRST_K: Final = MAX_K
"""Numbers of the society's calls from here on are those of probes."""
_SLOTS: Final = MAX_K // SLOT_WIDTH
_FIRST_SWAPPED: Final = FIRST_K + MAX_AGENTS * _SLOTS * 2 * SLOT_WIDTH
"""From here on those of probes with a swapped answer."""

ParentSource = Literal["cited", "visible", "inferred"]
"""Where a claim's parents come from: what its author said, everything it was shown, or what its answers show."""


class Probe(Part):
    """For a share of the turns that state an answer and were shown claims, the model is asked twice more.

    Once with one of the claims left out, drawn evenly, and once with all of them: what changes then changes anyway.
    Nobody in the society hears of it. Both calls are journaled under the society's id and charged to the study.
    """

    later: ClassVar[frozenset[str]] = frozenset({"swap"})

    share: float = Field(gt=0, le=1)
    """Probability that such a turn is probed, drawn for each turn from the seed."""
    swap: bool = False
    """Ask a third time, with another answer in the place of that of the claim that was left out: another option, or for
    free answers that of another shown claim. A turn for which there is none is not asked so."""

    @property
    def calls(self) -> int:
        """Count the calls of a turn that is probed, at most."""
        return 3 if self.swap else 2


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
