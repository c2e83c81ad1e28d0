"""Where a claim's parents come from, and a `Probe`, which measures influence instead of believing words.

A probe asks some turns again with one shown claim left out, or with another answer in it.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from agentsoc.contracts.part import Part

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
