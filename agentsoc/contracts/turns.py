"""A protocol plans a `Turn` (whose move, what it may see); the agent gets a `View` of it and gives a `Reply`.

Agents are never told event labels. They reply with content and with the claims that they used or dispute; which act
that was is decided by the protocol's `interpret`.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from agentsoc.contracts.board import Claim
from agentsoc.contracts.sight import Sight

Purpose = Literal["answer", "merge", "plan", "guide", "work", "judge", "vote", "choose", "check", "act", "talk"]
"""Why an agent is asked: its own answer; one answer out of several claims; a plan of subtasks; guidance for the next
round; a subtask; whether to stop; a ballot over claims; which of the shown claims is best; whether the one that is
shown is right; a move in an environment;
something to say before moves are made."""


NONE: Final = "none"
"""What a reply says in place of a handle when it rests on no shown claim."""
SLOT_WIDTH: Final = 64
"""Calls and acts that one turn may have; ``k`` of a call or event is ``slot * SLOT_WIDTH`` plus its number."""


class Turn(msgspec.Struct, frozen=True, gc=False):
    """One agent's move in a round, as the protocol plans it. (agent, slot) is unique in a round."""

    agent: int
    """Whose turn it is."""
    purpose: Purpose = "answer"
    """What the agent is asked for."""
    slot: int = 0
    """Number of the turn among the agent's turns of this round: a lead may write to many workers in one round."""
    sees: tuple[int, ...] = ()
    """Ids of the claims that are shown, in that order; one that several neighbours stand by occurs once for each."""
    instruction: str = ""
    """What is asked besides the question, in words."""
    subtask: int | None = None
    """The subtask that the turn works on; its text replaces the question."""
    targets: tuple[int, ...] = ()
    """Agents to whom the turn may delegate."""
    iterations: int = 1
    """Model calls that the turn makes one after the other, each continuing the last."""
    by_rule: bool = False
    """The turn tallies what it sees; no model is asked (a simulated agent still reads through its noisy channel)."""
    concluding: bool = False
    """The turn is the one that the budget keeps tokens aside for."""
    fresh: bool = False
    """The agent answers as if it had said nothing before: one of several independent samples."""
    strict: bool = False
    """A reply that breaks its format or is cut off is discarded, not sent back for repair."""
    tokens_max: int | None = None
    """A longer reply is discarded (tokens)."""
    temperature: float | None = None
    """Sampling temperature of the turn; None for that of the agent."""
    state: str | None = None
    """State in which the turn is taken, of a task that goes through states (`agentsoc.contracts.world`)."""
    asks: str = ""
    """A prompt template that takes the place of that of the purpose, with the same values (docs/prompts.md): what a
    role or a stage of the protocol asks. Check it with `agentsoc.contracts.prompts.check_asks` when the society is
    built."""
    form: Literal["json", "short", "text"] | None = None
    """Form of the reply to this turn; None for that of the agent."""
    tools: bool | None = None
    """Whether the reply may call tools instead of stating anything; None for whether it is a turn that answers, works
    or acts, of an agent that has tools."""
    step: int = 0
    """Number of the turn's step: how often it has called tools. The engine counts."""
    sight: Sight | None = None
    """What is seen of an environment, in a turn that acts."""
    played: str | None = None
    """The action of a scripted policy; then nobody is asked."""
    instead: tuple[Claim, ...] = ()
    """What is shown in place of the claims of `sees`, one for each of them and under its id; the engine fills it in for
    a protocol that shows what was said elsewhere."""


class Delegation(msgspec.Struct, frozen=True, gc=False):
    """A delegation hands work to another agent."""

    to: int
    """The agent that takes the work."""
    text: str
    """What it is to do."""


class ToolCall(msgspec.Struct, frozen=True, gc=False):
    """A tool call is what an agent says instead of an answer."""

    tool: str
    """Name of the tool."""
    arguments: str
    """The arguments as JSON text; whatever the agent wrote where that is no JSON object."""


class StepTaken(msgspec.Struct, frozen=True, gc=False):
    """What an agent said in an earlier step of its turn, and what the tools gave that it called."""

    said: str
    """The reply as it came, without reasoning."""
    results: tuple[str, ...]
    """What each call gave, in the order of the calls, as the agent is told of it."""


class View(msgspec.Struct, frozen=True, gc=False):
    """What one agent sees in one turn: nothing else of the run reaches it."""

    task: int
    """Index of the task."""
    round: int
    """Round of the episode, from 0."""
    agent: int
    """The agent itself."""
    question: str
    """What is asked: the task's question, or the text of the subtask."""
    options: tuple[str, ...]
    """The answer space where it is finite and small; empty for free answers."""
    turn: Turn
    """The turn as the protocol planned it."""
    claims: tuple[Claim, ...] = ()
    """The claims of `turn.sees`, each once; in prompts they carry the handles #1, #2, ... in this order."""
    own: Claim | None = None
    """The claim that the agent stands by."""
    tokens_left: int | None = None
    """What the agent is told of the budget, when the scenario shows it: its own share, else the team's."""
    seed: int = 0
    """The run's seed, for agents that draw: `agentsoc.streams.uniform` with it, the task, the round and the agent."""
    team_tokens_left: int | None = None
    """What the agent is told of the whole team's budget, when the scenario shows that."""
    note: str = ""
    """What the agent's prompt says of the budget, in the scenario's words."""
    steps: tuple[StepTaken, ...] = ()
    """The steps of this turn that were taken before, in which the agent called tools."""


class Reply(msgspec.Struct, frozen=True, gc=False):
    """What an agent says: content, and the claims (by id) that it used or disputes."""

    answer: str | None = None
    """The answer in canonical form; None for none."""
    text: str | None = None
    """The agent's words, which others may read."""
    uses: tuple[int, ...] = ()
    """Ids of the shown claims that it builds on."""
    disputes: tuple[int, ...] = ()
    """Ids of the shown claims that it disputes."""
    confidence: float | None = None
    """Confidence that it states, in [0, 1]."""
    delegations: tuple[Delegation, ...] = ()
    """Work that it hands out."""
    stop: bool | None = None
    """A lead's decision: True to stop, False to go on, None when it was not asked."""
    failed: str | None = None
    """Why there is no reply: the last failure of its calls. Then everything else is empty."""
    chosen: int | None = None
    """The shown claim (by id) that is best, in a turn that chooses."""
    accepts: bool | None = None
    """Whether the shown claim is right, in a turn that checks."""
    discarded: str | None = None
    """Why the reply is not used: it broke the format or was too long, and the turn was strict."""
    latency_s: float = 0.0
    """Simulated time of the turn (seconds); never in an event."""
    said: str | None = None
    """The reply as it came from a model, without its reasoning; None for agents that ask none."""
    tool_calls: tuple[ToolCall, ...] = ()
    """What the agent calls; then it says nothing else, and is asked again with what the calls gave."""
    due: int = 0
    """Claims that the turn of a model was to read (claims)."""
    shown: int = 0
    """Those of them for which its prompt had room (claims)."""
    calls: int = 0
    """Model attempts behind it that had an outcome."""
    tokens_in: int = 0
    """Their prompt tokens, cached ones included."""
    tokens_cached: int = 0
    """Those of them that a provider's cache served."""
    tokens_out: int = 0
    """Their output tokens, reasoning included."""
