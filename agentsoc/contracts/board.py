"""The board holds the state of an episode: it folds committed events, and agents and protocols see nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from agentsoc.contracts.sight import Sight
from agentsoc.contracts.task import Task
from agentsoc.events import Event, Kind


class Claim(msgspec.Struct, frozen=True, gc=False):
    """A proposition on the board, as its author put it."""

    id: int
    """Its id, unique in the episode and larger than those of its parents."""
    agent: int
    """Its author."""
    round: int
    """Round in which it was made."""
    kind: Kind
    """The act that made it."""
    answer: str | None
    """The answer that it states, in canonical form; None for none."""
    text: str | None = None
    """The author's words."""
    confidence: float | None = None
    """Confidence that the author stated, in [0, 1]."""
    subtask: int | None = None
    """The subtask that it is about; None for the question itself."""


class Subtask(msgspec.Struct, frozen=True, gc=False):
    """A piece of work that one agent handed to another."""

    id: int
    """Its id."""
    parent: int | None
    """The subtask above it; None for the question itself."""
    giver: int
    """The agent that handed it out."""
    taker: int
    """The agent that works on it."""
    round: int
    """Round in which it was handed out."""
    text: str
    """What is to be done."""


class Watcher(Protocol):
    """A watcher folds an episode's events into what a protocol needs and the board does not hold."""

    def fold(self, events: Sequence[Event]) -> None:
        """Take in the events of one round, in canonical order."""


class Surroundings(Protocol):
    """What protocols see of the environment of an episode."""

    spoken: int
    """Stages without a move since the last move, or since the episode began."""

    def over(self) -> str | None:
        """Return why the episode is over; None while it goes on."""

    def sights(self) -> Mapping[int, Sight]:
        """Return what each agent sees whose move it is, in order of agents."""

    def played(self, agent: int) -> str | None:
        """Return the action of an agent that follows a scripted policy; None for one that is asked."""

    def says(self, agent: int) -> str | None:
        """Return what such an agent says before moves are made; None for one that is asked."""

    def outcome(self) -> str:
        """Return how the episode stands, in one line."""


class Board:
    """Claims, standing positions, engagement and subtasks of one episode after `round` rounds.

    A **standing** claim is the last claim that an agent made or endorsed: its position when votes are counted.
    **Engagement** of a claim is the number of acts that build on it, endorse it or dispute it.
    """

    __slots__ = (
        "_engaged",
        "_engagement",
        "budget_refused",
        "calls",
        "calls_failed",
        "claims",
        "events",
        "flags",
        "kept",
        "log_round",
        "own",
        "problem",
        "round",
        "standing",
        "stopped",
        "subtasks",
        "task",
        "tokens",
        "watchers",
        "world",
    )

    def __init__(self, task: int, problem: Task | None = None) -> None:
        self.task = task
        """Index of the task."""
        self.problem = problem
        """The task itself, for protocols that plan from its parts. Its reference answer is not theirs to use."""
        self.round = 0
        """The stage that comes next: plans count these."""
        self.log_round = 0
        """The same as the log counts it: a stage in which tools are called has a round for each step."""
        self.events = 0
        """Events so far."""
        self.claims: dict[int, Claim] = {}
        """Claims by id."""
        self.standing: dict[int, int] = {}
        """Agent -> id of the claim it stands by."""
        self.own: dict[int, int] = {}
        """Agent -> id of the last claim that it minted itself."""
        self._engagement: dict[int, int] = {}
        self._engaged: list[Sequence[int]] = []
        """Claims that acts built on and that are not counted yet."""
        self.subtasks: dict[int, Subtask] = {}
        """Subtasks by id."""
        self.flags: dict[str, str] = {}
        """What protocols noted for themselves through ``flag`` events: name -> text."""
        self.calls = 0
        """Model attempts that had an outcome."""
        self.tokens = 0
        """Their tokens, input and output."""
        self.calls_failed = 0
        """Turns that got no reply."""
        self.budget_refused = 0
        """Turns that the budget refused."""
        self.stopped: str | None = None
        """Why the episode ended; None while it goes on."""
        self.watchers: tuple[Watcher, ...] = ()
        """What protocols keep of the events beyond the board: further folds of the same log."""
        self.kept: Sequence[str] = ()
        """What the protocol kept of earlier tasks, oldest first, where these are taken one after the other."""
        self.world: Surroundings | None = None
        """The environment of the episode, where it has one."""

    def fold(self, events: Iterable[Event]) -> None:
        """Take in the events of one round, in canonical order, and step to the next one.

        A round with a ``tool_call`` ends no stage: whoever called is still to answer, and everybody else waits.
        """
        if self.watchers:
            events = list(events)
            for watcher in self.watchers:
                watcher.fold(events)
        claims, engage, standing, own = self.claims, self._engaged.append, self.standing, self.own
        n = calls = tokens = 0
        lag, ends = self.log_round - self.round, True
        for event in events:
            n += 1
            calls += event.calls
            tokens += event.tokens_in + event.tokens_out
            kind = event.kind
            claim = event.claim
            if claim is not None:
                agent = event.agent
                claims[claim] = Claim(
                    claim, agent, event.round - lag, kind, event.answer, event.text, event.confidence, event.subtask
                )
                standing[agent] = own[agent] = claim
                if event.parents:
                    engage(event.parents)
            elif kind == "endorse_claim":
                if event.target is not None:
                    standing[event.agent] = event.target
                    engage((event.target,))
            elif kind == "delegate_subtask":
                if event.subtask is not None and event.target is not None:
                    self.subtasks[event.subtask] = Subtask(
                        event.subtask,
                        event.subtask_parent,
                        event.agent,
                        event.target,
                        event.round - lag,
                        event.text or "",
                    )
            elif kind == "call_failed":
                self.calls_failed += 1
            elif kind == "budget_exhausted":
                self.budget_refused += 1
            elif kind == "tool_call":
                ends = False
            elif kind == "stop":
                self.stopped = event.answer
            elif kind == "flag":
                self.flags[event.answer or ""] = event.text or ""
        self.events += n
        self.calls += calls
        self.tokens += tokens
        self.log_round += 1
        if ends:
            self.round += 1

    @property
    def engagement(self) -> dict[int, int]:
        """Return claim -> acts that build on it, endorse it or dispute it.

        They are counted when somebody asks: few protocols do, and in a society of talkers to count was a tenth of all
        work, as each count lies somewhere else in memory.
        """
        counts = self._engagement
        for parents in self._engaged:
            for parent in parents:
                counts[parent] = counts.get(parent, 0) + 1
        self._engaged.clear()
        return counts

    def position(self, agent: int) -> Claim | None:
        """Return the claim that `agent` stands by, if it has taken a position."""
        claim = self.standing.get(agent)
        return None if claim is None else self.claims.get(claim)

    def since(self, round_: int) -> list[Claim]:
        """Return the claims of `round_` and later, by id."""
        return [claim for claim in self.claims.values() if claim.round >= round_]
