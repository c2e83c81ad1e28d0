"""`ToolUse`: how the agents of a group may use tools, and which turns may."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydantic import Field

from agentsoc.contracts.part import Part

if TYPE_CHECKING:
    from agentsoc.contracts.turns import Turn  # it loads numpy, which reading a scenario does without

CALLS_MAX: Final = 8
"""Calls that one reply may make at most (calls); the journal has so many places after a model call."""
STEPS_MAX: Final = 32
CALLING: Final = ("answer", "work", "act")
"""Purposes of turns that may call tools unless a protocol says otherwise."""


class ToolUse(Part):
    """The ``tool_use`` of a group of agents: how often its agents may call tools, and what of the results they see."""

    calls: int = Field(default=2, ge=1, le=CALLS_MAX)
    """Calls that one reply may make (calls); further ones fail with `limit`."""
    steps: int = Field(default=4, ge=2, le=STEPS_MAX)
    """Model calls of one turn, the last of which has to answer (calls)."""
    result_tokens: int = Field(default=256, ge=16, le=8_192)
    """Length to which a result is cut, in its middle (tokens)."""
    timeout_s: float = Field(default=30.0, gt=0, le=3_600)
    """Time limit of one call of a tool (seconds)."""


def may_call(turn: Turn, use: ToolUse) -> bool:
    """Return whether the reply to a turn of an agent that has tools may call them: not in its last step."""
    if turn.by_rule or turn.concluding or turn.iterations > 1 or turn.played is not None or turn.step >= use.steps - 1:
        return False
    return turn.purpose in CALLING if turn.tools is None else turn.tools
