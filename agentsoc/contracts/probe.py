"""A `Probe` asks some turns again with one shown claim left out, to measure influence instead of believing words."""

from __future__ import annotations

from pydantic import Field

from agentsoc.contracts.part import Part


class Probe(Part):
    """For a share of the turns that state an answer and were shown claims, the model is asked twice more.

    Once with one of the claims left out, drawn evenly, and once with all of them: what changes then changes anyway.
    Nobody in the society hears of it. Both calls are journaled under the society's id and charged to the study.
    """

    share: float = Field(gt=0, le=1)
    """Probability that such a turn is probed, drawn for each turn from the seed."""
