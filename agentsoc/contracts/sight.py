"""`Sight`: what one agent sees of the state of an environment, and what it may do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class Sight(msgspec.Struct, frozen=True):
    """What one agent sees of a state, and what it may do."""

    text: str
    """What is shown, in words: everything that the agent needs to choose its action."""
    choices: tuple[str, ...] = ()
    """The actions, where they can be listed; when empty, `schema` says what an action is."""
    schema: Mapping[str, Any] | None = None
    """JSON Schema of the action (any type); for an action that is no choice."""
    may_act: bool = True
    """Whether it is the agent's move. If no agent may act and the episode is not over, that is an error."""
