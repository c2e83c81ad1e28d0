"""`narrated-choice`: whole attempts are told as plain facts, step by step, and a judge compares what is told of them.

Behavior best-of-N (arXiv 2510.02250). Everybody attempts the task; a narrator says of each attempt, with the calls of
tools that it made, what was done and what came of it, without a judgement; a judge compares all narratives in one call,
in an order that is drawn for each task and logged.

With n who attempt it the calls are 2 n + 1 (attempts times their iterations), the rounds 3 and the deliveries 2 n: each
attempt goes to its narrator and each narrative to the judge. Where the judge prefers a right attempt to a wrong one
with odds w, the answer is right with probability E[w R / (w R + n - R)], R of n being right: .400, .549, .728 and .896
for w = 1, 2, 5 and 20 with p = .4 and n = 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final, Literal

import msgspec
from pydantic import Field

from agentsoc.contracts.board import Board, Watcher
from agentsoc.contracts.protocol import Act, Decision, Protocol, interpret_reply, majority
from agentsoc.contracts.society import Society
from agentsoc.contracts.turns import Reply, Turn
from agentsoc.errors import InputError
from agentsoc.events import CLAIMING, MAX_K, SOCIETY, Event
from agentsoc.protocols.aggregators import comparison
from agentsoc.protocols.asking import refuse_inference, with_asks, work_asks, worked_text

NARRATE: Final = (
    "Say what the attempt above did, step by step: what was known before each step, what was done, what came of it. "
    "State facts only, one sentence a step, and do not say whether it is right."
)
NARRATED: Final = work_asks("An attempt at the question:")
"""What a narrator is asked, where it answers in text."""
_PLACES: Final = MAX_K // 64
_STEP_CHARS: Final = 600
"""Length to which a call of a tool and what it gave are kept for the narrator (characters)."""


class NarratedChoice(Protocol):
    """Attempts, narratives of them, and one choice. Edges of the topology are not used.

    Who ends the organisation (a hub) narrates and judges and attempts nothing; without such an agent, agent 0 does both
    besides its own attempt.
    """

    concludes: ClassVar[bool] = True
    alone: ClassVar[str | None] = "its attempts, narratives and choice follow each other"
    artefacts: ClassVar[bool] = True

    kind: Literal["narrated-choice"] = "narrated-choice"
    narrator: Literal["judge", "peers"] = "judge"
    """Who says what an attempt did: the judge, in a call for each; or the next of those who attempted it."""
    asks: str = Field(default=NARRATE, min_length=1, max_length=4_000)
    """What a narrator is asked."""

    def check(self, society: Society) -> None:
        """Refuse a choice among less than two, or among more than one agent can narrate in a round."""
        refuse_inference(society, self.kind)
        n = len(self.attempting(society))
        if n < 2:
            raise InputError(f"{self.kind} needs two who attempt the task", "agents.count", "give it more agents")
        if n > _PLACES - 1:
            raise InputError(f"{n:,} attempts to narrate; at most {_PLACES - 1}", "agents.count", "give it fewer")

    def attempting(self, society: Society) -> Sequence[int]:
        """Return who attempts the task."""
        root = society.wiring.root
        return society.remember(("narrated", root), lambda: tuple(a for a in range(society.n) if a != root))

    def narrators(self, society: Society) -> list[int]:
        """Return who narrates, one for each who attempts the task, in the same order."""
        who = self.attempting(society)
        if self.narrator == "peers":
            return [*who[1:], who[0]]
        return [society.wiring.root or 0] * len(who)

    def watcher(self, society: Society) -> Watcher:
        """Return the fold that keeps attempts and narratives."""
        return Narratives(self, society)

    def plan(self, society: Society, board: Board) -> Sequence[Turn]:
        """Let all attempt the task while narrators take up their work; then let them narrate; then choose."""
        told = self._told(board)
        if not told.stage:
            attempts = [Turn(a, iterations=society.group(a).iterations) for a in self.attempting(society)]
            taken_up = [Turn(a, "plan", _PLACES - 1, by_rule=True) for a in sorted(set(self.narrators(society)))]
            return sorted([*attempts, *taken_up], key=lambda turn: (turn.agent, turn.slot))
        if len(told.attempts) < 2:
            return ()
        if told.stage == 1:
            turns = [self._narrate(society, board, place) for place in told.attempts]
            return sorted(turns, key=lambda turn: (turn.agent, turn.slot))
        return [self._choice(society, board)] if told.stage == 2 else ()

    def _narrate(self, society: Society, board: Board, place: int) -> Turn:
        """Return the turn in which an attempt is narrated; its slot is the attempt's place."""
        told = self._told(board)
        asks = "\n".join([self.asks, *told.steps.get(self.attempting(society)[place], ())])
        turn = Turn(
            self.narrators(society)[place], "work", place, (told.attempts[place],), asks,
            told.work[self.narrators(society)[place]], fresh=True, tools=False,
        )  # fmt: skip
        return with_asks(society, board, turn, NARRATED, "work")

    def _choice(self, society: Society, board: Board) -> Turn:
        """Return the turn in which the judge compares what is told of all attempts."""
        turn = comparison(society, board, society.wiring.root or 0, self._told(board).candidates())
        return msgspec.structs.replace(turn, fresh=True)

    def interpret(self, society: Society, board: Board, turn: Turn, reply: Reply) -> Sequence[Act]:
        """Read a narrative as one of the attempt, with the attempt's answer; everything else as usual."""
        if turn.purpose == "plan":
            return [Act("delegate_subtask", text=self.asks, target=turn.agent, mints_subtask=True)]
        if turn.purpose != "work":
            return interpret_reply(society, board, turn, reply)
        attempt = board.claims[turn.sees[0]]
        return [Act("revise_claim", attempt.answer, worked_text(reply), (attempt.id,), subtask=turn.subtask)]

    def decide(self, society: Society, board: Board) -> Decision:
        """Return the attempt that was chosen; before that, the majority of all."""
        told = self._told(board)
        if told.chosen is not None:
            return Decision(board.claims[told.chosen].answer, told.chosen)
        claims = [board.claims[claim] for claim in told.attempts.values()]
        return majority(claims, seed=society.seed, task=board.task, round_=board.round, agent=SOCIETY)

    def conclude(self, society: Society, board: Board) -> Turn | None:
        """Let the judge choose among what there is."""
        return None if self._told(board).chosen is not None or not board.standing else self._choice(society, board)

    def deliveries(self, society: Society, board: Board, turn: Turn, acts: Sequence[Act]) -> int:
        """Count an attempt that goes to its narrator, and a narrative that goes to the judge."""
        return len(acts) if turn.purpose in ("answer", "work") else 0

    def _told(self, board: Board) -> Narratives:
        found = [watcher for watcher in board.watchers if isinstance(watcher, Narratives)]
        return next(told for told in found if told.rules == self)


class Narratives:
    """The fold keeps attempts, the calls of tools that they made, what is told of them, and which one was chosen."""

    __slots__ = ("attempts", "chosen", "judge", "narratives", "places", "rules", "stage", "steps", "work")

    def __init__(self, rules: NarratedChoice, society: Society) -> None:
        self.rules = rules
        self.places = {agent: place for place, agent in enumerate(rules.attempting(society))}
        self.judge = society.wiring.root or 0
        self.stage = 0
        self.attempts: dict[int, int] = {}
        """Place of whoever attempted it -> the claim."""
        self.steps: dict[int, list[str]] = {}
        """Agent -> the calls of tools that its attempt made, with what they gave."""
        self.narratives: dict[int, int] = {}
        """Attempt -> the claim that tells of it."""
        self.work: dict[int, int] = {}
        """Narrator -> its subtask."""
        self.chosen: int | None = None

    def candidates(self) -> tuple[int, ...]:
        """Return what the judge compares: the narrative of each attempt, or the attempt where nobody told of it."""
        return tuple([self.narratives.get(attempt, attempt) for attempt in self.attempts.values()])

    def fold(self, events: Sequence[Event]) -> None:
        """Take in the events of one round."""
        if any(event.kind == "tool_call" for event in events):
            for event in events:
                if event.kind == "tool_call" and not self.stage:
                    steps = self.steps.setdefault(event.agent, ["What it called, and what came of it:"])
                    called, gave = (event.answer or "")[:_STEP_CHARS], (event.text or "")[:_STEP_CHARS]
                    steps.append(f"{len(steps)}. {called}: {gave}")
            return
        for event in events:
            if event.kind == "delegate_subtask" and event.subtask is not None:
                self.work[event.agent] = event.subtask
            elif event.kind in CLAIMING and event.claim is not None:
                if event.subtask is not None and event.parents:
                    self.narratives[event.parents[0]] = event.claim
                elif not self.stage and event.answer is not None and event.agent in self.places:
                    self.attempts[self.places[event.agent]] = event.claim
            elif event.kind == "endorse_claim" and event.agent == self.judge and event.target in self.candidates():
                self.chosen = event.target
        self.attempts = dict(sorted(self.attempts.items()))
        self.stage += 1
