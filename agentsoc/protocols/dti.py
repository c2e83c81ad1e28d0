"""`dti`: any protocol, with merges called for when a cascade has grown much and integrated little.

Deficit-triggered integration as an intervention: after every round a monitor looks at each cascade (all claims that
grew out of one root). Where the pressure a t^beta of t events exceeds the M merges by more than delta, the next round
is an inserted one: an agent is shown the branch heads and consolidates them. In the round after it everybody is shown
the merged claims. The protocol inside goes on where it was; it does not count inserted rounds.

The monitor is that of `agentsoc.society.deficit`, so ``analysis.claims.dti`` says beforehand what it would do on a log,
and estimates its parameters from logs. The published monitor has none of the brakes and shows its merge to nobody.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal

import msgspec
from pydantic import Field

from agentsoc.contracts.board import Board, Watcher
from agentsoc.contracts.part import Part, Slot
from agentsoc.contracts.protocol import Act, Decision, Protocol, interpret_reply
from agentsoc.contracts.society import Society
from agentsoc.contracts.turns import SLOT_WIDTH, Reply, Turn
from agentsoc.errors import InputError
from agentsoc.events import COORDINATION, SOCIETY, Event
from agentsoc.society.deficit import BETA, Brakes, Monitor, Parameters, Trigger

if TYPE_CHECKING:
    Inner = Protocol
else:  # at run time the slot is filled by whatever class is registered for the kind
    Inner = Annotated[Part, Slot("agentsoc.protocols", "protocol")]

FLAG: Final = "dti"
"""Inserted rounds carry a ``flag`` of the society with this name and a number for each trigger."""
_TRIGGERS_MAX: Final = 400
"""Triggers served in one round; an agent can make that many turns at once (turns)."""


class DeficitIntegration(Protocol):
    """Deficit-triggered integration adds merges to another protocol, with brakes and a broadcast."""

    rehearsable: ClassVar[bool] = False

    kind: Literal["dti"] = "dti"
    protocol: Inner
    """The protocol that rules all other rounds."""
    scale: float = Field(default=1.0, gt=0, le=1_000)
    """a: pressure of one event (merges)."""
    threshold: float = Field(default=2.0, ge=0, le=1_000_000)
    """delta: a merge is called for when a t^beta - M exceeds it (merges)."""
    beta: float = Field(default=BETA, gt=0, le=2)
    """Exponent of the pressure; it has no estimator, so it is an assumption."""
    min_branches: int = Field(default=2, ge=1, le=10_000)
    """Distinct claims that a merge needs (claims)."""
    min_events: int = Field(default=3, ge=0, le=1_000_000)
    """Events that a cascade must have had beyond its root (events)."""
    cooldown: int = Field(default=1, ge=0, le=1_000_000)
    """Events of the cascade that must pass after a trigger (events)."""
    triggers_max: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Triggers per cascade at most (triggers); None for any number."""
    tokens_max: Annotated[int, Field(ge=1, le=10**15)] | None = None
    """Once the merges of an episode have used this many tokens, none is called for any more; None for no limit."""
    by: Annotated[int, Field(ge=0)] | Literal["root"] = "root"
    """Which agent merges: the root of the topology (agent 0 where there is none), or an agent by its number."""
    broadcast: Literal["next", "always", "no"] = "next"
    """Who is shown merged claims: everybody in the round after, everybody from then on (the last merge of each
    cascade), or only who hears the agent that merged."""
    instruction: str = Field(default="Consolidate these claims into one answer.", min_length=1, max_length=2_000)
    """What the merging agent is asked besides the question."""

    @property
    def concludes(self) -> bool:  # type: ignore[override]
        """Tell whether the protocol inside concludes."""
        return self.protocol.concludes

    def check(self, society: Society) -> None:
        """Refuse a merging agent that does not exist, and a wrapper inside another one."""
        if isinstance(self.protocol, DeficitIntegration):
            raise InputError("dti cannot wrap itself", "protocol.protocol", "name the protocol that rules the rounds")
        if self.protocol.alone is not None:
            inner = self.protocol.kind
            raise InputError(
                f"{inner} cannot be led by {self.kind}: {self.protocol.alone}",
                "protocol.protocol",
                f"use {inner} alone",
            )
        if self.by != "root" and self.by >= society.n:
            raise InputError(
                f"agent {self.by} is to merge, and the society has {society.n} agents",
                "protocol.by",
                f"use root, or a number below {society.n}",
            )
        self.protocol.check(society)

    def weighs_claims(self) -> bool:
        """Tell whether the protocol inside weighs claims."""
        return self.protocol.weighs_claims()

    def watcher(self, society: Society) -> Watcher:
        """Return the monitor of an episode."""
        return DeficitWatch(self)

    def plan(self, society: Society, board: Board) -> Sequence[Turn]:
        """Return the merges that are due, otherwise the turns of the protocol inside, shown what was merged."""
        watch = self._watch(board)
        due = self._due(society, board, watch)
        if due:
            return due
        turns = self.protocol.plan(society, watch.seen_by_inner(board))
        shown = {"next": watch.fresh, "always": watch.merged, "no": {}}[self.broadcast]
        merged = [claim for claim in shown.values() if claim in board.claims]
        if not merged:
            return turns
        return [turn if turn.by_rule else _shown(turn, merged, board) for turn in turns]

    def _due(self, society: Society, board: Board, watch: DeficitWatch) -> list[Turn]:
        agent = self._agent(society)
        turns = []
        for slot, trigger in enumerate(watch.pending[:_TRIGGERS_MAX]):
            heads = tuple(dict.fromkeys(head for head in trigger.heads if head in board.claims))
            if len(heads) >= self.min_branches:
                turns.append(Turn(agent, "merge", slot, heads, self.instruction))
        return turns

    def _agent(self, society: Society) -> int:
        return self.by if self.by != "root" else society.wiring.root or 0

    def _watch(self, board: Board) -> DeficitWatch:
        return next(
            watcher for watcher in board.watchers if isinstance(watcher, DeficitWatch) and watcher.rules == self
        )

    def _inserted(self, society: Society, turns: Sequence[Turn]) -> bool:
        """Return whether these are merges of ours: those of the protocol inside ask something else of their agent."""
        agent = self._agent(society)
        return bool(turns) and all(
            turn.agent == agent and turn.purpose == "merge" and turn.instruction == self.instruction for turn in turns
        )

    def decide(self, society: Society, board: Board) -> Decision:
        """Return what the protocol inside decides; the merging agent stands by its last merge."""
        return self.protocol.decide(society, self._watch(board).seen_by_inner(board))

    def conclude(self, society: Society, board: Board) -> Turn | None:
        """Return the concluding turn of the protocol inside."""
        return self.protocol.conclude(society, self._watch(board).seen_by_inner(board))

    def interpret(self, society: Society, board: Board, turn: Turn, reply: Reply) -> Sequence[Act]:
        """Read an inserted turn as any merge, and leave all others to the protocol inside."""
        if self._inserted(society, [turn]):
            return interpret_reply(society, board, turn, reply)
        return self.protocol.interpret(society, self._watch(board).seen_by_inner(board), turn, reply)

    def deliveries(self, society: Society, board: Board, turn: Turn, acts: Sequence[Act]) -> int:
        """Count who gets a merged claim: everybody else when it is broadcast, otherwise whoever hears its author."""
        if not self._inserted(society, [turn]):
            return self.protocol.deliveries(society, self._watch(board).seen_by_inner(board), turn, acts)
        reached = society.n - 1 if self.broadcast != "no" else society.reach[turn.agent]
        return len(acts) * reached

    def flags(self, society: Society, board: Board, turns: Sequence[Turn], replies: Sequence[Reply]) -> dict[str, str]:
        """Note every trigger of an inserted round with what the monitor saw."""
        watch = self._watch(board)
        if not self._inserted(society, turns):
            return self.protocol.flags(society, watch.seen_by_inner(board), turns, replies)
        return {f"{FLAG}:{turn.slot}": _text(watch.pending[turn.slot]) for turn in turns}


class DeficitWatch:
    """The monitor folds the events of one episode and keeps what the wrapper needs of them."""

    def __init__(self, rules: DeficitIntegration) -> None:
        self.rules = rules
        self.pending: tuple[Trigger, ...] = ()
        """Triggers of the round before, which the next round is to serve."""
        self.inserted = 0
        """Rounds that the protocol inside does not know of."""
        self.merged: dict[int, int] = {}
        """Root of a cascade -> the last claim that merged it."""
        self.fresh: dict[int, int] = {}
        """The same for the round before, if it was an inserted one."""
        self.tokens = 0
        """Used by inserted rounds (tokens)."""
        self._roots: dict[int, int] = {}
        self._monitor = Monitor(
            Parameters(rules.scale, rules.threshold, rules.beta),
            Brakes(rules.min_branches, rules.min_events, rules.cooldown, rules.triggers_max, self._affordable),
        )

    def _affordable(self, branches: int) -> bool:
        return self.rules.tokens_max is None or self.tokens < self.rules.tokens_max

    def fold(self, events: Sequence[Event]) -> None:
        """Take in the events of a round. An inserted one is known by its flag and is not fed back into the monitor."""
        inserted = any(
            event.agent == SOCIETY and event.kind == "flag" and (event.answer or "").startswith(f"{FLAG}:")
            for event in events
        )
        served, self.pending = self.pending, ()
        self.fresh = {}
        if inserted:
            self.inserted += 1
            self._take_merges(served, events)
            return
        found: list[Trigger] = []
        for event in events:
            root = self._root(event)
            if root is None or event.kind not in COORDINATION:
                continue
            head = event.claim if event.claim is not None else event.target
            assert head is not None
            hit = self._monitor.observe(root, event.agent, head, merge=event.kind == "merge_claims")
            if hit is not None:
                found.append(hit)
        self.pending = tuple(found)

    def _take_merges(self, served: Sequence[Trigger], events: Sequence[Event]) -> None:
        for event in events:
            self.tokens += event.tokens_in + event.tokens_out
            slot = event.k // SLOT_WIDTH
            if event.agent == SOCIETY or self._root(event) is None or slot >= len(served):
                continue
            claim = event.claim if event.claim is not None else event.target
            root = served[slot].root
            if claim is not None:
                self.merged[root] = self.fresh[root] = claim
                self._monitor.integrated(root, claim)

    def _root(self, event: Event) -> int | None:
        """Return the root of the cascade that an act belongs to: that of its earliest parent; None for other events."""
        if event.claim is None:
            return self._roots.get(event.target) if event.kind == "endorse_claim" and event.target is not None else None
        known = [parent for parent in event.parents if parent in self._roots]
        root = self._roots[min(known)] if known else event.claim
        self._roots[event.claim] = root
        return root

    def seen_by_inner(self, board: Board) -> Board:
        """Return the board as it would be numbered without inserted rounds."""
        if not self.inserted:
            return board
        seen = copy.copy(board)
        seen.round -= self.inserted
        return seen


def _shown(turn: Turn, merged: Sequence[int], board: Board) -> Turn:
    """Return the turn with the merged claims added to what it sees, unless they are there or the agent's own."""
    own = board.standing.get(turn.agent)
    new = tuple(claim for claim in merged if claim not in turn.sees and claim != own)
    return msgspec.structs.replace(turn, sees=(*turn.sees, *new)) if new else turn


def _text(trigger: Trigger) -> str:
    return (
        f"cascade {trigger.root}: deficit {trigger.deficit:.4g} after {trigger.events} events and "
        f"{trigger.merges} merges, {len(trigger.heads)} heads, trigger {trigger.number}"
    )
