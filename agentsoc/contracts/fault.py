"""`PlantedFault`: one entry of the ``faults`` block of a scenario, a wrong claim put into an agent's mouth."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from agentsoc.contracts.part import Part


class PlantedFault(Part):
    """A wrong answer replaces an agent's own before anybody reads it; the log has a fault event for each."""

    agent: Annotated[int, Field(ge=0)] | None = None
    """Agent whose claim is replaced; None for any."""
    round: Annotated[int, Field(ge=0)] | None = None
    """Round in which it is; None for any."""
    probability: float = Field(default=1.0, ge=0, le=1)
    """Probability, drawn for each claim."""
    answer: Annotated[str, StringConstraints(min_length=1, max_length=400)] | None = None
    """The wrong answer; None for another option of the task, drawn at random."""
