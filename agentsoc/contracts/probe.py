"""Where a claim's parents come from, and a `Probe`, which measures influence instead of believing words.

A probe asks some turns again with one shown claim left out.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agentsoc.contracts.part import Part

ParentSource = Literal["cited", "visible", "inferred"]
"""Where a claim's parents come from: what its author said, everything it was shown, or what its answers show."""


class Probe(Part):
    """For a share of the turns that state an answer and were shown claims, the model is asked twice more.

    Once with one of the claims left out, drawn evenly, and once with all of them: what changes then changes anyway.
    Nobody in the society hears of it. Both calls are journaled under the society's id and charged to the study.
    """

    share: float = Field(gt=0, le=1)
    """Probability that such a turn is probed, drawn for each turn from the seed."""
