"""This module defines what passes between driver and hosts: a planned turn, an attempt to make, and its result.

`TurnUnderWay` stays with the driver: it is what a turn has come to, attempt by attempt.
"""

from __future__ import annotations

import msgspec

from agentsoc.budget.ledger import Need
from agentsoc.budget.spent import Spent
from agentsoc.contracts.model import Usage
from agentsoc.contracts.turns import SLOT_WIDTH, Reply, StepTaken, Turn
from agentsoc.log.journal import Attempt

NO_ROOM = "no room for any of the claims that the turn is to read"
"""Why a turn fails that would have been asked as if nobody had said anything."""


class EarlierTurn(msgspec.Struct, frozen=True, gc=False):
    """An earlier turn is one that the same agent took in the same episode."""

    round: int
    turn: Turn
    said: str
    """The reply as it came, without reasoning."""
    steps: tuple[StepTaken, ...] = ()
    """Its steps before, in which it called tools."""


class PlannedTurn(msgspec.Struct, frozen=True, gc=False):
    """A planned turn is on its way to the host of its agent."""

    task: int
    round: int
    """Round of the log: each step of a stage has one."""
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
    without: int | None = None
    """The claim that a probe of the turn leaves out of its prompt."""
    swapped: tuple[int, str] | None = None
    """The claim that states another answer in a probe of the turn, and that answer."""
    stage: int | None = None
    """The stage, as the protocol counts; None for the round."""
    steps: tuple[StepTaken, ...] = ()
    """Steps of the turn that were taken before."""
    cap: int | None = None
    """Granted output of a voter that decides itself what it spends (tokens); None for what it wants."""

    @property
    def seen_at(self) -> int:
        """Return the stage of the turn: what it sees, and every draw that belongs to it, are counted by stages."""
        return self.round if self.stage is None else self.stage


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
    rate_limited: bool = False
    """Whether the server refused it before any work, for getting too many or being down: it costs no attempt then.

    So it is until `deadline_s` of the scenario's calls has passed. It is a row of the journal and nothing else."""


class TurnUnderWay(msgspec.Struct):
    """A turn under way keeps what its calls came to, from one reservation to the next."""

    planned: PlannedTurn
    group: int
    """Group of its agent."""
    need: Need
    attempts: int
    """Attempts that each of its calls may make."""
    queued: bool = False
    """Whether a lost attempt is made again under another reservation, and uses up none of `attempts`."""
    call: int = 0
    """The call that is made now."""
    number: int = -1
    """Number of its last attempt in the journal."""
    had: int = 0
    """Attempts of it that had an outcome."""
    waits: int = 0
    """Times that it was refused for coming too often, at no cost."""
    free_until: float | None = None
    """Until when such a refusal costs nothing, by the clock of the process (seconds)."""
    rest_until: float = 0.0
    """When the next attempt may begin, by that clock (seconds)."""
    fault: str | None = None
    """What was wrong with the last reply, when the next attempt is its repair."""
    failure: str = "no attempt was left after a crash"
    draft: str | None = None
    """What the call before said."""
    reply: Reply | None = None
    """What was said last; it is the turn's reply when `ended`."""
    ended: bool = False
    total: Spent = msgspec.field(default_factory=Spent)
    under: tuple[int, int] | None = None
    """Agent and number of the first call under which its attempts are journaled, where these are not its own."""

    def go_on(self, reply: Reply, text: str | None) -> None:
        """Take the reply of a call and turn to the next one."""
        self.reply = reply
        if self.call == len(self.need.tokens_in) - 1:
            self.ended = True
            return
        self.draft = (text or "").strip()
        self.call, self.number, self.had, self.waits = self.call + 1, -1, self.first, 0
        self.fault, self.free_until = None, None
        self.failure = "no attempt was left after a crash"

    def end(self, reply: Reply) -> None:
        """End the turn with a reply."""
        self.reply, self.ended = reply, True

    def give_up(self, failure: str | None = None) -> None:
        """End the turn because no more attempts are made: it keeps the draft of an earlier call, else it failed."""
        self.ended = True
        if self.reply is None:
            self.reply = Reply(failed=self.failure if failure is None else failure)

    @property
    def first(self) -> int:
        """Return the attempts that its calls are taken to have had before: a probe is asked with another seed."""
        return 0 if self.under is None else 1

    @property
    def rows(self) -> tuple[int, int]:
        """Return agent and number in the journal of the call that is made now."""
        turn = self.planned.turn
        agent, k = self.under or (turn.agent, turn.slot * SLOT_WIDTH)
        return agent, k + self.call

    def room(self, call: int) -> int:
        """Return the room for the prompt of the next attempt of a call (tokens); a lost one is made again as it was."""
        return self.need.tokens_in[call] + (self.need.again if call == self.call and self.had > self.first else 0)

    def left(self) -> Need:
        """Return what the turn needs to go on: one attempt of each call that is left."""
        calls = tuple([self.room(call) for call in range(self.call, len(self.need.tokens_in))])
        return msgspec.structs.replace(self.need, tokens_in=calls)

    def result(self) -> Reply:
        """Return the reply of a turn that has ended, with what it cost."""
        assert self.reply is not None
        spent = self.total
        return msgspec.structs.replace(
            self.reply,
            calls=spent.calls,
            tokens_in=spent.tokens_in,
            tokens_cached=spent.tokens_cached,
            tokens_out=spent.tokens_out,
        )
