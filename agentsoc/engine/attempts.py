"""This module defines what passes between driver and hosts: a planned turn, an attempt to make, and its result."""

from __future__ import annotations

import msgspec

from agentsoc.contracts.model import (
    Usage,
)
from agentsoc.contracts.turns import Reply, Turn
from agentsoc.log.journal import Attempt

NO_ROOM = "no room for any of the claims that the turn is to read"
"""Why a turn fails that would have been asked as if nobody had said anything."""


class EarlierTurn(msgspec.Struct, frozen=True, gc=False):
    """An earlier turn is one that the same agent took in the same episode."""

    round: int
    turn: Turn
    said: str
    """The reply as it came, without reasoning."""


class PlannedTurn(msgspec.Struct, frozen=True, gc=False):
    """A planned turn is on its way to the host of its agent."""

    task: int
    round: int
    turn: Turn
    room: int | None = None
    """Tokens that the prompt was allowed when the turn was first taken, from the journal."""
    left: int | None = None
    """What the agent is told of its own share (tokens)."""
    team_left: int | None = None
    """What the agent is told of the team's budget (tokens)."""
    note: str = ""
    """What its prompt says of the budget."""
    earlier: tuple[EarlierTurn, ...] = ()
    """Turns of the agent before this one, oldest first, as many as it may be shown."""
    cap: int | None = None
    """Granted output of a voter that decides itself what it spends (tokens); None for what it wants."""


class AttemptRequest(msgspec.Struct, frozen=True, gc=False):
    """A request asks for one attempt: it says which call of which turn, and what it may spend."""

    planned: PlannedTurn
    call: int
    attempt: int
    """Attempts of this call that had an outcome before."""
    tokens_in: int | None
    """Room for the prompt (tokens); None for no limit but the window."""
    tokens_out: int
    fault: str | None = None
    """What was wrong with the last reply, when this attempt is its repair."""
    draft: str | None = None
    """What the call before said, when a turn makes several."""
    known: Attempt | None = None
    """The journal's row for this attempt: it is read instead of calling the model."""


class AttemptResult(msgspec.Struct, frozen=True, gc=False):
    """A result says what came of an attempt."""

    request: bytes
    model: str
    text: str | None = None
    finish: str | None = None
    failure: str | None = None
    retryable: bool = False
    billed: bool = True
    retry_after_s: float | None = None
    usage: Usage | None = None
    latency_ms: int = 0
    reply: Reply | None = None
    fault: str | None = None
    shown: int = 0
    """Claims that the prompt showed, the first ones of the turn's view; a reply can name no others."""
    reasoning: str | None = None
    """What the model thought, apart from its reply."""
    mismatch: bool = False
    """The journal's row belongs to another request than the one that this turn makes now."""
