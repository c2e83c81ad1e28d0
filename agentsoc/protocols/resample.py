"""`resample`: ask the same question again until a rule decides. Sequential sampling, one question at a time.

Three rules. **ahead-by-k** (MAKER, arXiv 2511.09030): until one answer has k votes more than every other. Against one
rival, with each sample right with probability p, it is right with probability 1 / (1 + ((1 - p) / p)^k) after
k (2 p_sub - 1) / (2 p - 1) samples on average: a gambler's ruin. **first-to-k**: until one answer has k votes, a
different rule. **verifier**: until a verifier accepts a sample; with completeness c and false positives f the accepted
answer is right with probability p c / (p c + (1 - p) f), however many samples are drawn (arXiv 2411.17501).

Samples are independent: nobody is shown anything, nor reminded of what they said. A round takes as many samples as
are needed at least, so a question is decided by exactly the samples that one-at-a-time drawing would take. On a task
of many steps (`agentsoc.contracts.world`) each step is decided in this way, and the next one starts from the state
after it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from agentsoc.contracts.board import Board, Watcher
from agentsoc.contracts.part import Part
from agentsoc.contracts.protocol import DISCARDED, Act, Decision, Protocol
from agentsoc.contracts.society import Society
from agentsoc.contracts.ties import tie_draw
from agentsoc.contracts.turns import SLOT_WIDTH, Reply, Turn
from agentsoc.contracts.world import WORLD, World
from agentsoc.events import MAX_K, SOCIETY, Event

CHECK: Final = "Is the answer above right?"
_SLOTS: Final = MAX_K // SLOT_WIDTH
"""Turns that one agent can take in a round."""


class RedFlags(Part):
    """Signs that an answer is not to be trusted: it is discarded, not repaired, and counts as a sample but no vote."""

    format: bool = True
    """Discard a reply that is not in the form asked for, or that its output cap cut off."""
    max_tokens: Annotated[int, Field(ge=1, le=65_536)] | None = None
    """Discard a longer reply (tokens); None for any length."""


class Resample(Protocol):
    """Independent samples of one question until a rule decides, or none may be taken any more."""

    worlds: ClassVar[bool] = True

    alone: ClassVar[str | None] = "its samples hear nobody"

    kind: Literal["resample"] = "resample"
    until: Literal["ahead-by-k", "first-to-k", "verifier"] = "ahead-by-k"
    """One answer leads every other by k votes; one answer has k votes; or a verifier accepts a sample."""
    k: int = Field(default=3, ge=1, le=10_000)
    """Votes to lead by, or to have (votes); of no use to a verifier."""
    max_samples: int = Field(default=100, ge=1, le=1_000_000)
    """Samples of one question at most, discarded and failed ones included (samples)."""
    exhausted: Literal["plurality", "abstain"] | None = None
    """When no sample may be taken any more: the answer with most votes (a tie is broken by a seeded draw), or none;
    left out, plurality for votes and none for a verifier."""
    first_temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """Temperature of the first sample of a question; None for that of its agent, as for all later ones."""
    red_flags: RedFlags | None = None
    """What makes a reply be discarded; None to repair and count as usual."""

    def watcher(self, society: Society) -> Watcher:
        """Return the count of the question under way."""
        return SampleTally(self, society)

    def verifier(self, society: Society) -> int | None:
        """Return who checks: the root of the topology, else agent 0, who then answers as well."""
        return (society.wiring.root or 0) if self.until == "verifier" else None

    def _samplers(self, society: Society) -> Sequence[int]:
        """Return who answers: everybody, but for a verifier who is the root of the others."""
        apart = society.wiring.root if self.until == "verifier" and society.n > 1 else None
        return society.remember(
            ("resample", apart), lambda: tuple(agent for agent in range(society.n) if agent != apart)
        )

    def plan(self, society: Society, board: Board) -> Sequence[Turn]:
        """Return the samples that are needed at least, or the check of one."""
        tally = self._tally(board)
        due = self._due(society, board, tally)
        if due is None:
            return ()
        taken, state, needed = due
        if not needed:
            verifier = self.verifier(society)
            assert verifier is not None
            assert tally.unchecked is not None
            return [Turn(verifier, "check", sees=(tally.unchecked,), instruction=CHECK, fresh=True, state=state)]
        samplers = self._samplers(society)
        flags = self.red_flags
        turns = []
        for number in range(needed):
            place, slot = (taken + number) % len(samplers), number // len(samplers)
            agent = samplers[place]
            turns.append(
                Turn(
                    agent,
                    slot=slot,
                    iterations=society.group(agent).iterations,
                    fresh=True,
                    strict=flags is not None and flags.format,
                    tokens_max=None if flags is None else flags.max_tokens,
                    temperature=self.first_temperature if taken + number == 0 else None,
                    state=state,
                )
            )
        if needed > 1 and len(samplers) > 1:
            turns.sort(key=_place)
        return turns

    def _due(self, society: Society, board: Board, tally: SampleTally) -> tuple[int, str | None, int] | None:
        """Return samples taken of the question, its state, and how many to take now (0: a check); None when over."""
        family, task = society.tasks, board.problem
        state = tally.state
        if isinstance(family, World) and task is not None:
            if state is None:
                state = family.opening(task)
            elif tally.over:
                state = family.after(task, state, tally.answer)
            elif tally.unchecked is not None:
                return tally.taken, state, 0
            else:
                return tally.taken, state, self._needed(society, *tally.leading(), tally.taken)
            if family.at(task, state) is None:
                return None
            return 0, state, self._needed(society, 0, 0, 0)
        if tally.over:
            return None
        return (
            tally.taken,
            None,
            0 if tally.unchecked is not None else self._needed(society, *tally.leading(), tally.taken),
        )

    def _needed(self, society: Society, first: int, second: int, taken: int) -> int:
        """Return how many further votes a decision takes at least: fewer cannot decide, so they are asked together."""
        if self.until == "verifier":
            return 1
        needed = self.k - first + (second if self.until == "ahead-by-k" else 0)
        return max(1, min(needed, self.max_samples - taken, _SLOTS * len(self._samplers(society))))

    def interpret(self, society: Society, board: Board, turn: Turn, reply: Reply) -> Sequence[Act]:
        """Take a sample for a proposal, whatever its author said before; read a check as usual."""
        if turn.purpose == "check":
            return super().interpret(society, board, turn, reply)
        return (Act("propose_claim", reply.answer, reply.text, (), None, reply.confidence),)

    def flags(self, society: Society, board: Board, turns: Sequence[Turn], replies: Sequence[Reply]) -> dict[str, str]:
        """Note the state that the samples of this round are about, when it is a new one."""
        state = turns[0].state if turns else None
        tally = self._tally(board)
        return {WORLD: state} if state is not None and (tally.over or state != tally.state) else {}

    def decide(self, society: Society, board: Board) -> Decision:
        """Return what the rule decided, or what the exhausted samples amount to; for steps, where they led."""
        tally = self._tally(board)
        family, task = society.tasks, board.problem
        if isinstance(family, World) and task is not None:
            state = tally.state
            if state is not None and tally.over:
                state = family.after(task, state, tally.answer)
            return Decision(None if state is None else family.outcome(task, state))
        if tally.over:
            return tally.decision
        return tally.exhausted(board.round)

    def deliveries(self, society: Society, board: Board, turn: Turn, acts: Sequence[Act]) -> int:
        """Return one delivery for each sample, to whoever counts or checks; somebody alone sends nothing."""
        return 0 if society.n == 1 or turn.purpose == "check" else len(acts)

    def _tally(self, board: Board) -> SampleTally:
        found = [watcher for watcher in board.watchers if isinstance(watcher, SampleTally)]
        return next(tally for tally in found if tally.rules == self)


def _place(turn: Turn) -> tuple[int, int]:
    return turn.agent, turn.slot


class SampleTally:
    """The tally counts the votes on the question under way: it folds the episode's events."""

    __slots__ = (
        "_round",
        "_task",
        "answer",
        "decision",
        "over",
        "rules",
        "society",
        "state",
        "taken",
        "unchecked",
        "verifier",
        "votes",
    )

    def __init__(self, rules: Resample, society: Society) -> None:
        self.rules, self.society = rules, society
        self.verifier = rules.verifier(society)
        self.state: str | None = None
        """State that the question is about, of a task of many steps."""
        self._task = self._round = 0
        self._begin()

    def _begin(self) -> None:
        self.votes: Counter[str] = Counter()
        self.taken = 0
        """Samples of the question, those included that gave no vote."""
        self.unchecked: int | None = None
        """Sample that the verifier has to look at."""
        self.over = False
        self.answer: str | None = None
        self.decision = Decision(None)

    def fold(self, events: Sequence[Event]) -> None:
        """Count the votes of a round; note when they decide."""
        for event in events:
            kind = event.kind
            self._task, self._round = event.task, event.round
            if kind == "propose_claim":
                self.taken += 1
                if event.answer is not None:
                    self.votes[event.answer] += 1
                    if self.verifier is not None:
                        self.unchecked = event.claim
            elif kind == "flag" and event.agent == SOCIETY:
                if event.answer == WORLD:
                    self._begin()
                    self.state = event.text
            elif kind in ("endorse_claim", "contradict_claim", "call_failed", "flag"):
                self._checked(event) if self.unchecked is not None else self._wasted(event)
        if not self.over:
            self._settle()

    def _wasted(self, event: Event) -> None:
        """Count a call that failed or was discarded as a sample without a vote."""
        self.taken += event.kind == "call_failed" or (event.kind == "flag" and event.answer == DISCARDED)

    def _checked(self, event: Event) -> None:
        """Note what the verifier says of a sample; one that it cannot judge is not accepted."""
        if event.kind == "endorse_claim" and event.target == self.unchecked:
            self._end(Decision(event.answer, self.unchecked))
        self.unchecked = None

    def leading(self) -> tuple[int, int]:
        """Return the votes of the leading answer and of the one behind it."""
        if len(self.votes) < 2:
            return next(iter(self.votes.values()), 0), 0
        first, second = sorted(self.votes.values())[-1:-3:-1]
        return first, second

    def _settle(self) -> None:
        if self.verifier is None:
            first, second = self.leading()
            if first - (second if self.rules.until == "ahead-by-k" else 0) >= self.rules.k:
                self._end(Decision(max(self.votes, key=lambda answer: self.votes[answer])))
                return
        if self.taken >= self.rules.max_samples and self.unchecked is None:
            self._end(self.exhausted(self._round + 1))

    def _end(self, decision: Decision) -> None:
        self.over, self.decision, self.answer = True, decision, decision.answer

    def exhausted(self, round_: int) -> Decision:
        """Return the answer when no further sample is taken."""
        how = self.rules.exhausted or ("abstain" if self.verifier is not None else "plurality")
        why = f"not decided by {self.taken} samples: "
        if how == "abstain" or not self.votes:
            return Decision(None, note=why + "no answer")
        best = max(self.votes.values())
        tied = sorted(answer for answer, count in self.votes.items() if count == best)
        draw = tie_draw(self.society.seed, self._task, round_, SOCIETY) if len(tied) > 1 else 0.0
        return Decision(tied[int(draw * len(tied))], tied=tuple(tied) if len(tied) > 1 else (), note=why + "plurality")
