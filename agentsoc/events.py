"""The vocabulary of the log: one row per atomic act, one literal tag each, ids that are computed and never drawn.

An event carries no clock and no uuid, so equal runs give equal logs. Its place in the log is (task, round, agent, k).
Ids of claims and subtasks are that place packed into 63 bits: unique within an episode and larger than the ids of
everything the agent could have seen, because agents only see earlier rounds.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, get_args

import msgspec

Stop = Literal["finished", "budget_exhausted", "max_rounds"]
"""Why an episode ended: the answer of its ``stop``."""

Kind = Literal[
    "propose_claim",
    "revise_claim",
    "contradict_claim",
    "endorse_claim",
    "merge_claims",
    "delegate_subtask",
    "answer",
    "vote",
    "flag",
    "fault",
    "budget_exhausted",
    "call_failed",
    "stop",
    "tool_call",
    "action",
]
"""What an event is: first the acts of coordination, then what says how an episode went and ended."""


class EventKind(NamedTuple):
    """What is true of all events of one kind, as far as whoever reads a log has to know it."""

    name: Kind
    coordination: bool = False
    """Whether it is an act of coordination: something that one agent does with what others said or shall do."""
    mints_claim: bool = False
    """Whether it makes a claim. An endorsement supports an existing claim and mints none."""
    scored: bool = False
    """Whether the verifier is asked what its answer is worth."""
    acting: bool = False
    """Whether it is something that an agent does to the world: a call of a tool, a move in an environment."""


EVENT_KINDS: Final[tuple[EventKind, ...]] = (
    EventKind("propose_claim", coordination=True, mints_claim=True, scored=True),
    EventKind("revise_claim", coordination=True, mints_claim=True, scored=True),
    EventKind("contradict_claim", coordination=True, mints_claim=True, scored=True),
    EventKind("endorse_claim", coordination=True, scored=True),
    EventKind("merge_claims", coordination=True, mints_claim=True, scored=True),
    EventKind("delegate_subtask", coordination=True),
    EventKind("answer"),
    EventKind("vote"),
    EventKind("flag"),
    EventKind("fault"),
    EventKind("budget_exhausted"),
    EventKind("call_failed"),
    EventKind("stop"),
    EventKind("tool_call", acting=True),
    EventKind("action", acting=True),
)
"""All kinds, in an order that never changes: the index of a kind is its code in columns. New ones come last."""

KINDS: Final[tuple[Kind, ...]] = tuple(kind.name for kind in EVENT_KINDS)
"""All tags, in the order of their codes."""
ACTING: Final[frozenset[str]] = frozenset(kind.name for kind in EVENT_KINDS if kind.acting)
COORDINATION: Final[frozenset[str]] = frozenset(kind.name for kind in EVENT_KINDS if kind.coordination)
"""Tags of the acts of coordination, which the laws are about."""
CLAIMING: Final[frozenset[str]] = frozenset(kind.name for kind in EVENT_KINDS if kind.mints_claim)
"""Tags of the acts that make a claim, with an id of its own."""
SCORED: Final[frozenset[str]] = frozenset(kind.name for kind in EVENT_KINDS if kind.scored)
"""Tags of the events whose answer has a score, where the task has a reference answer."""

LabelSource = Literal["rule", "logged", "judge", "inferred"]
"""How the kind and the parents of an act were decided; new ones come last."""
LABEL_SOURCES: Final[tuple[LabelSource, ...]] = get_args(LabelSource)

SOCIETY: Final = -1
"""The ``agent`` of events that no single agent caused: the answer of the society, the stop of an episode."""

_K_BITS: Final = 15
_AGENT_BITS: Final = 32
_ROUND_BITS: Final = 16
MAX_ROUNDS: Final = 1 << _ROUND_BITS
MAX_AGENTS: Final = 1 << _AGENT_BITS
REWARD_MAX: Final = 1e100
"""Largest reward, without its sign: sums of as many as a log can hold are numbers."""
MAX_K: Final = 1 << _K_BITS
"""Acts that one agent may have in one round; `k` of an event is below it."""


class Place(NamedTuple):
    """Where an id was minted."""

    round: int
    """Round of the episode, from 0."""
    agent: int
    """The agent."""
    k: int
    """Number of the act among the agent's acts of the round."""


def pack_id(round_: int, agent: int, k: int) -> int:
    """Return the id minted at a place: 16 + 32 + 15 bits, positive, increasing in the order round, agent, k.

    Args:
        round_: round of the log, from 0, below 65,536.
        agent: the agent, from 0, below 2^32.
        k: number of the act among the agent's acts of the round, from 0, below `MAX_K`.
    """
    return (round_ << (_AGENT_BITS + _K_BITS)) | (agent << _K_BITS) | k


def unpack_id(packed: int) -> Place:
    """Return the place where `packed` was minted; the inverse of `pack_id`."""
    return Place(packed >> (_AGENT_BITS + _K_BITS), (packed >> _K_BITS) & (MAX_AGENTS - 1), packed & (MAX_K - 1))


class Event(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One row of the event log.

    Meaning of ``target``: the agent addressed (``delegate_subtask``), the claim supported (``endorse_claim``), the
    claim disputed first (``contradict_claim``); otherwise null. A ``tool_call`` has the call as its ``answer`` and what
    it gave as its ``text``; an ``action`` has the action as its ``answer``. ``parents`` are claim ids that the act
    builds on; for an endorsement it holds the supported claim. ``subtask`` is the subtask that the act belongs to (null
    for the episode's own question) and, on ``delegate_subtask``, the new subtask; ``subtask_parent`` is the one above
    it.
    Tokens and ``calls`` are those of all model attempts behind the act, failed ones included.
    """

    task: int
    """Index of the task: which episode."""
    round: int
    """Round of the episode, from 0."""
    agent: int
    """Who acted; -1 is the society."""
    k: int
    """Number of the act among the agent's acts of the round: 64 times the turn's slot, plus its number."""
    kind: Kind
    """What it is."""
    claim: int | None = None
    """Id of the claim that the act made; null where it made none."""
    parents: tuple[int, ...] = ()
    """Ids of the claims that it builds on."""
    target: int | None = None
    """Agent or claim that it is about, by kind; see above."""
    subtask: int | None = None
    """The subtask that it belongs to."""
    subtask_parent: int | None = None
    """On ``delegate_subtask``, the subtask above the new one."""
    answer: str | None = None
    """The answer in canonical form; for ``flag`` the flag's name, for ``stop`` the reason."""
    correct: float | None = None
    """Verifier's score of `answer` in [0, 1]; null where there is no answer to score."""
    confidence: float | None = None
    """Confidence that the agent stated, in [0, 1]."""
    text: str | None = None
    """The agent's words, cut to `message_tokens`; a failure's message; how a tie was broken."""
    calls: int = 0
    """Model attempts behind the turn that had an outcome."""
    tokens_in: int = 0
    """Their prompt tokens, cached ones included."""
    tokens_cached: int = 0
    """Those of them that a provider's cache served (tokens)."""
    tokens_out: int = 0
    """Their output tokens, reasoning included."""
    label_source: LabelSource = "rule"
    """How `kind` and `parents` were decided."""
    rewards: float | None = None
    """Reward of an ``action`` in an environment; null elsewhere."""

    @property
    def place(self) -> tuple[int, int, int, int]:
        """Its position in the canonical order of the log."""
        return (self.task, self.round, self.agent, self.k)
