"""`refine`: answer, hear what is wrong, answer again: self-refinement with a critic or without one.

After "Self-Refine: Iterative Refinement with Self-Feedback" (arXiv 2303.17651). With r rounds an author makes 1 + 2 r
calls where somebody checks each draft, and 1 + r where it just looks again.

Where a wrong draft is recognised with probability d, a right one is taken for wrong with probability f, and a new
answer is right with probability p, drafts are a chain of two states: a right one stays right with probability
(1 - f) + f p, a wrong one becomes right with probability d p. So the share that is right tends to
d p / (d p + f (1 - p)): .600, .696, .759, ... .882 with p = .6, d = .5, f = .1. A critic who cannot tell them apart
(d = f) gains nothing. Where the first accepted draft is final (``until: accepted``) the share tends to
p (1 - f) / (p (1 - f) + (1 - p) (1 - d)) instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final, Literal

from pydantic import Field

from agentsoc.contracts.board import Board, Watcher
from agentsoc.contracts.protocol import Act, Decision, Protocol, majority
from agentsoc.contracts.society import Society
from agentsoc.contracts.turns import Reply, Turn
from agentsoc.errors import InputError
from agentsoc.events import COORDINATION, SOCIETY, Event
from agentsoc.protocols.asking import answer_asks, refuse_inference, sourced, with_asks

CHECK: Final = "Go through the answer above step by step. Is it right? If it is wrong, say what is wrong with it."
AGAIN: Final = "Look again at what you said before. Correct it if it is wrong, and give your answer."
FIX: Final = "The answer above was checked and found wrong, for the reason given there. Give the right answer."

REDO: Final = answer_asks("An answer, and what is wrong with it:")
"""What an author is asked whose draft was rejected."""


class Refine(Protocol):
    """Drafts are checked and written again.

    With a critic of its own kind (`other`) there is one author: who ends the organisation, else agent 0; the others
    check its drafts in turn. Otherwise everybody is an author, checks its own drafts, and hears nobody: more than one
    of them are isolated self-correction, and the majority of their last drafts is the society's answer.
    """

    alone: ClassVar[str | None] = "its drafts and checks follow each other"

    kind: Literal["refine"] = "refine"
    rounds: int = Field(default=2, ge=1, le=1_000)
    """Times that a draft may be written again (rounds)."""
    critic: Literal["self", "other", "none"] = "self"
    """Who checks a draft in a call of its own: its author, another agent, or nobody: the author just looks again."""
    critic_form: Literal["json", "short", "text"] | None = None
    """Form of a critic's reply; None for that of the agent. JSON has a reason with the verdict, a short form none."""
    until: Literal["accepted", "rounds"] = "accepted"
    """End with the first draft that is accepted (without a critic: that its author keeps), or go through all rounds."""

    @property
    def rehearsable(self) -> bool:  # type: ignore[override]
        """Tell whether a rehearsal, in which authors repeat themselves, goes through all rounds."""
        return self.critic != "none" or self.until == "rounds"

    def check(self, society: Society) -> None:
        """Refuse another agent as critic where there is none, and parents that drafts do not show."""
        refuse_inference(society, self.kind)
        if self.critic == "other" and society.n < 2:
            raise InputError(
                "critic: other needs a second agent", "protocol.critic", "set agents.count, or critic: self"
            )

    def authors(self, society: Society) -> Sequence[int]:
        """Return who writes drafts."""
        return (society.wiring.root or 0,) if self.critic == "other" else range(society.n)

    def critic_of(self, society: Society, author: int, drafts: int) -> int:
        """Return who checks the draft of an author that has written so many."""
        if self.critic != "other":
            return author
        place = (drafts - 1) % (society.n - 1)
        return place + (place >= author)

    def watcher(self, society: Society) -> Watcher:
        """Return the fold that follows each draft."""
        return Drafts(self, society)

    def plan(self, society: Society, board: Board) -> Sequence[Turn]:
        """Return, for each author who goes on, the check of its draft or the next draft."""
        drafts = self._drafts(board)
        turns = [drafts.due(author, board) for author in self.authors(society)]
        return [turn for turn in turns if turn is not None]

    def decide(self, society: Society, board: Board) -> Decision:
        """Return the last draft; of several authors, the majority of theirs."""
        drafts = self._drafts(board)
        last = [board.claims[drafts.draft[author]] for author in self.authors(society) if author in drafts.draft]
        if len(last) == 1:
            return Decision(last[0].answer, last[0].id)
        return majority(last, seed=society.seed, task=board.task, round_=board.round, agent=SOCIETY)

    def interpret(self, society: Society, board: Board, turn: Turn, reply: Reply) -> Sequence[Act]:
        """Read a reply as usual; a draft that is written again rests on the one before and on what is wrong with it."""
        return super().interpret(society, board, turn, sourced(turn, reply))

    def deliveries(self, society: Society, board: Board, turn: Turn, acts: Sequence[Act]) -> int:
        """Count a draft that another agent will check, and its verdict; who checks itself sends nothing."""
        if self.critic != "other" or not acts:
            return 0
        if turn.purpose == "check":
            return 1
        return 1 if self._drafts(board).taken.get(turn.agent, 0) < self.rounds else 0

    def _drafts(self, board: Board) -> Drafts:
        found = [watcher for watcher in board.watchers if isinstance(watcher, Drafts)]
        return next(drafts for drafts in found if drafts.rules == self)


class Drafts:
    """The fold follows the drafts of each author: the last one, how many were written, and what was said of it."""

    __slots__ = ("_verdict", "_why", "draft", "rules", "society", "taken")

    def __init__(self, rules: Refine, society: Society) -> None:
        self.rules, self.society = rules, society
        self.draft: dict[int, int] = {}
        """Author -> its last answer (a claim)."""
        self.taken: dict[int, int] = {}
        """Author -> times that it was asked for an answer, whether it gave one or not."""
        self._verdict: dict[int, Literal["unchecked", "accepted", "rejected", "silent"]] = {}
        self._why: dict[int, int] = {}
        """Author -> the claim that says what is wrong with the draft."""

    def fold(self, events: Sequence[Event]) -> None:
        """Take in the events of one round: an author's draft, or the verdict on it."""
        said = {event.agent: event for event in reversed(events) if event.kind in _SAID}
        for author in self.rules.authors(self.society):
            if self._verdict.get(author) == "unchecked":
                self._checked(author, said.get(self.rules.critic_of(self.society, author, self.taken[author])))
            elif author in said:
                self._written(author, said[author])

    def _written(self, author: int, event: Event) -> None:
        """Note a draft; without a critic, one that its author keeps is accepted."""
        self.taken[author] = self.taken.get(author, 0) + 1
        kept = event.kind == "endorse_claim"
        if event.claim is not None and event.answer is not None:
            self.draft[author] = event.claim
        elif kept and event.target is not None:
            self.draft[author] = event.target
        self._why.pop(author, None)
        if self.rules.critic == "none":
            self._verdict[author] = "accepted" if kept else "silent"
        elif author in self.draft:
            self._verdict[author] = "unchecked"

    def _checked(self, author: int, event: Event | None) -> None:
        """Note what was said of a draft; a critic who failed has said nothing."""
        if event is not None and event.kind == "endorse_claim":
            self._verdict[author] = "accepted"
        elif event is not None and event.kind == "contradict_claim" and event.claim is not None:
            self._verdict[author] = "rejected"
            self._why[author] = event.claim
        else:
            self._verdict[author] = "silent"

    def due(self, author: int, board: Board) -> Turn | None:
        """Return what comes next for an author: an answer, the check of its draft, or nothing any more."""
        rules, society, taken = self.rules, self.society, self.taken.get(author, 0)
        verdict = self._verdict.get(author)
        if taken > rules.rounds or (rules.until == "accepted" and verdict == "accepted"):
            return None
        if author not in self.draft:
            return Turn(author, iterations=society.group(author).iterations)
        if verdict == "unchecked":
            critic = rules.critic_of(society, author, taken)
            sees = (self.draft[author],)
            return Turn(critic, "check", sees=sees, instruction=CHECK, fresh=True, form=rules.critic_form)
        if verdict == "rejected":
            # the draft is shown beside what is wrong with it, and not as what the author stands by
            turn = Turn(author, sees=(self.draft[author], self._why[author]), instruction=FIX, fresh=True)
            return with_asks(society, board, turn, REDO, "revise")
        return Turn(author, instruction=AGAIN)


_SAID: Final = frozenset(COORDINATION) | {"call_failed", "budget_exhausted", "flag"}
"""Kinds of events that say what became of a turn; a planted error stands beside one of them."""
