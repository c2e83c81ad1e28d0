"""`Attention`: the ``attention`` block of a scenario, which of the visible claims an agent is shown."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from agentsoc.contracts.part import Part


class Attention(Part):
    """Which of the visible claims an agent is shown."""

    kind: Literal["all", "random", "reinforced"] = "all"
    """All of them, `k` at random, or `k` drawn with probability proportional to (engagement + 1)^beta."""
    k: Annotated[int, Field(ge=1, le=10_000)] = 3
    """Claims shown (claims); used by random and reinforced."""
    beta: float = Field(default=1.0, ge=0, le=10)
    """Exponent of reinforcement."""
