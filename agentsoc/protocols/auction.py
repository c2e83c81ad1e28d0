"""`auction`: everybody bids with a short plan, a jury marks the plans, and whose plan scores lowest carries it out.

Strategy auctions (SALE, arXiv 2602.02751), for teams whose members differ in skill and price. The score of a plan is
its cost less its value (`agentsoc.theory.auction`): the price of its author's tokens times its length, and the jury's
mean mark. With a memory, those who are cheaper than the provisional winner read plans that lost and won in earlier
tasks like this one, write theirs again, and are marked again.

With n who bid and j jurors the calls are n + n j + 1, and with m who bid again m (1 + j) more; the rounds are 4 (the
first without a call), or 6 where somebody bids again; the deliveries are n j and m j, one for each plan that a juror
reads. All of it is paid from the society's budget. Everybody may be a juror, of the own plan as well, as in the paper.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Annotated, ClassVar, Final, Literal

import msgspec
from pydantic import Field

from agentsoc.contracts.board import Board, Watcher
from agentsoc.contracts.protocol import Act, Decision, Protocol, interpret_reply
from agentsoc.contracts.society import Society
from agentsoc.contracts.ties import tie_draw
from agentsoc.contracts.turns import SLOT_WIDTH, Reply, Turn
from agentsoc.errors import InputError
from agentsoc.events import MAX_K, SOCIETY, Event
from agentsoc.protocols.asking import refuse_inference, with_asks, work_asks, worked_text
from agentsoc.streams import uniform
from agentsoc.theory.auction import lowest, score

BID: Final = "Write a short plan of how you would find the answer. Do not carry it out."
MARK: Final = "Will the plan above lead to the right answer? Say only a whole number from 0 (no) to 5 (surely)."
AGAIN: Final = "Write your plan above again so that it would win. In earlier questions like this one:"
EXECUTE: Final = "Carry out your plan above and give the answer."
PLANS: Final = work_asks("Plans:")
"""What bidders and jurors are asked, where they answer in text."""
_MARK: Final = re.compile(r"(?<![\d.,/-])[0-5](?![\d]|[.,]\d)")
_CHARS_PER_TOKEN: Final = 4
_RECORD_CHARS: Final = 2_000
"""Length to which a question and each plan are kept for later auctions (characters)."""
_RECORDS_READ: Final = 200
"""Earlier auctions, the last ones, among which similar ones are looked for (auctions)."""
_WORD: Final = re.compile(r"\w+")
_JURORS_MAX: Final = MAX_K // SLOT_WIDTH - 1


class Auction(Protocol):
    """Bids, marks and one who works. Edges of the topology are not used; a hub bids like everybody."""

    concludes: ClassVar[bool] = True
    alone: ClassVar[str | None] = "its bids, marks and work follow each other"
    artefacts: ClassVar[bool] = True

    kind: Literal["auction"] = "auction"
    prices: tuple[Annotated[float, Field(ge=0, le=1e9)], ...] = ()
    """Price of a token of the agents of each group, in any unit; empty for 1 each."""
    cost_weight: float = Field(default=1.0, ge=0, le=1e9)
    """What a unit of cost weighs (w_c)."""
    jury_weight: float = Field(default=1.0, ge=0, le=1e9)
    """What a point of the jury's mean mark weighs (w_j)."""
    entropy_weight: float = Field(default=0.0, ge=0, le=1e9)
    """What the entropy of a plan's tokens weighs (w_h); 0, because no model here tells their probabilities."""
    jury: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Jurors, the first agents by number; None for everybody (agents)."""
    memory: Literal["none", "kept", "shuffled"] = "none"
    """Whether earlier auctions are remembered, with which plans lost and won; or, as a control, with lots drawn for
    which of the two lost. Needs `episodes: sequential`."""
    recalled: int = Field(default=2, ge=1, le=20)
    """Earlier auctions that a bidder is reminded of, the most similar ones (auctions)."""

    @property
    def rehearsable(self) -> bool:  # type: ignore[override]
        """Tell whether a rehearsal, which remembers no earlier auction, makes all calls."""
        return self.memory == "none"

    @property
    def remembers(self) -> bool:  # type: ignore[override]
        """Tell whether there is a memory."""
        return self.memory != "none"

    def check(self, society: Society) -> None:
        """Refuse prices that fit no groups, a weight of what is not known, and more plans than a juror can mark."""
        refuse_inference(society, self.kind)
        if self.entropy_weight:
            raise InputError(
                "the entropy of a plan is not known: no model here tells the probabilities of its tokens",
                "protocol.entropy_weight",
                "leave it out; it is 0",
            )
        if self.prices and len(self.prices) != len(society.groups):
            raise InputError(
                f"{len(self.prices)} prices for {len(society.groups)} groups of agents",
                "protocol.prices",
                "give one for each group",
            )
        if society.n < 2 or society.n > _JURORS_MAX:
            raise InputError(
                f"an auction is among 2 to {_JURORS_MAX} agents, not {society.n:,}", "agents.count", "change the number"
            )

    def price(self, society: Society, agent: int) -> float:
        """Return what a token of an agent costs."""
        return self.prices[society.group_index(agent)] if self.prices else 1.0

    def jurors(self, society: Society) -> range:
        """Return who marks plans."""
        return range(society.n if self.jury is None else min(self.jury, society.n))

    def watcher(self, society: Society) -> Watcher:
        """Return the fold that keeps bids and marks."""
        return Bids(self, society)

    def plan(self, society: Society, board: Board) -> Sequence[Turn]:
        """Return the turns of the step that is due."""
        bids = self._bids(board)
        if bids.step == "begin":
            return [Turn(agent, "plan", by_rule=True) for agent in range(society.n)]
        if bids.step == "bid":
            turns = [Turn(agent, "work", subtask=bids.work[agent], tools=False) for agent in range(society.n)]
            return [with_asks(society, board, turn, PLANS, "work") for turn in turns]
        if not bids.plans or bids.step == "over":
            return ()
        if bids.step == "again" and (again := self._again(society, board, bids)):
            return again
        if bids.step in ("mark", "mark again"):
            return self._marks(society, board, bids)
        return [self._work(society, board, bids)]

    def _marks(self, society: Society, board: Board, bids: Bids) -> list[Turn]:
        return [
            with_asks(
                society,
                board,
                Turn(
                    juror, "work", author, (bids.plans[author],), subtask=bids.marking[juror], fresh=True, tools=False
                ),
                PLANS,
                "work",
            )
            for juror in self.jurors(society)
            for author in bids.unmarked
        ]

    def _again(self, society: Society, board: Board, bids: Bids) -> list[Turn]:
        """Return the turns of those who are cheaper than the provisional winner and are reminded of something."""
        if self.memory == "none":
            return []
        first, turns = self.winner(society, board, bids)[0], []
        for agent in sorted(bids.plans):
            if self.price(society, agent) >= self.price(society, first):
                continue
            pairs = recalled(self, board, agent, society.seed)
            if pairs:
                said = [f"Lost: {lost}\nWon: {won}" for lost, won in pairs]
                asks, sees = "\n".join([AGAIN, *said]), (bids.plans[agent],)
                turn = Turn(agent, "work", 0, sees, asks, bids.work[agent], fresh=True, tools=False)
                turns.append(with_asks(society, board, turn, PLANS, "work"))
        return turns

    def _work(self, society: Society, board: Board, bids: Bids) -> Turn:
        winner = self.winner(society, board, bids)[0]
        iterations = society.group(winner).iterations
        return Turn(winner, "answer", 0, (bids.plans[winner],), EXECUTE, iterations=iterations, fresh=True)

    def scores(self, society: Society, board: Board, bids: Bids) -> dict[int, float]:
        """Return cost less value of each plan."""
        return {
            agent: score(
                self.price(society, agent),
                -(-len(board.claims[plan].text or "") // _CHARS_PER_TOKEN),
                bids.marks.get(plan, ()),
                cost_weight=self.cost_weight,
                jury_weight=self.jury_weight,
            )
            for agent, plan in bids.plans.items()
        }

    def winner(self, society: Society, board: Board, bids: Bids) -> tuple[int, float, bool]:
        """Return whose plan scores lowest, with its score and whether lots were drawn among equals."""
        scores = self.scores(society, board, bids)
        equal = lowest(scores)
        draw = tie_draw(society.seed, board.task, 0, SOCIETY) if len(equal) > 1 else 0.0
        chosen = equal[int(draw * len(equal))]
        return chosen, scores[chosen], len(equal) > 1

    def interpret(self, society: Society, board: Board, turn: Turn, reply: Reply) -> Sequence[Act]:
        """Read a plan as a claim without an answer, a mark as a vote, and the winner's answer as usual."""
        if turn.purpose == "plan":
            return [Act("delegate_subtask", text=text, target=turn.agent, mints_subtask=True) for text in (BID, MARK)]
        if turn.purpose != "work":
            acts = interpret_reply(society, board, turn, reply)
            return [msgspec.structs.replace(act, subtask=None) for act in acts]
        bids = self._bids(board)
        said = worked_text(reply)
        if turn.subtask == bids.work[turn.agent]:
            return [Act("revise_claim" if turn.sees else "propose_claim", None, said, turn.sees, subtask=turn.subtask)]
        mark = _mark(reply.answer) or _mark(said)
        return [Act("vote", mark, said, turn.sees, subtask=turn.subtask)]

    def flags(self, society: Society, board: Board, turns: Sequence[Turn], replies: Sequence[Reply]) -> dict[str, str]:
        """Note who won, and with which score, when the winner works."""
        bids = self._bids(board)
        if not any(turn.purpose == "answer" for turn in turns) or not bids.plans:
            return {}
        agent, found, drawn = self.winner(society, board, bids)
        return {"auction": f"agent {agent} scores {found:.6g}, the lowest of {len(bids.plans)}" + ", by lot" * drawn}

    def keeps(self, society: Society, board: Board) -> str | None:
        """Keep question, plans and winner for later auctions."""
        bids = self._bids(board)
        if self.memory == "none" or not bids.plans or board.problem is None:
            return None
        plans = {str(a): (board.claims[plan].text or "")[:_RECORD_CHARS] for a, plan in bids.plans.items()}
        winner = self.winner(society, board, bids)[0]
        return json.dumps({"question": board.problem.question[:_RECORD_CHARS], "plans": plans, "winner": str(winner)})

    def conclude(self, society: Society, board: Board) -> Turn | None:
        """Let whoever leads by now answer."""
        bids = self._bids(board)
        if bids.answer is not None or not board.standing:
            return None
        return self._work(society, board, bids) if bids.plans else Turn(next(iter(sorted(board.standing))), fresh=True)

    def decide(self, society: Society, board: Board) -> Decision:
        """Return what the winner said; plans are no answers."""
        answer = self._bids(board).answer
        return Decision(None) if answer is None else Decision(board.claims[answer].answer, answer)

    def deliveries(self, society: Society, board: Board, turn: Turn, acts: Sequence[Act]) -> int:
        """Count the plan that a juror was sent."""
        return sum(1 for act in acts if act.kind == "vote")

    def _bids(self, board: Board) -> Bids:
        found = [watcher for watcher in board.watchers if isinstance(watcher, Bids)]
        return next(bids for bids in found if bids.rules == self)


Step = Literal["begin", "bid", "mark", "again", "mark again", "work", "over"]


class Bids:
    """The fold keeps the plans, the marks that jurors gave them, and how far the auction is."""

    __slots__ = ("answer", "marking", "marks", "plans", "rules", "step", "unmarked", "work")

    def __init__(self, rules: Auction, society: Society) -> None:
        self.rules = rules
        self.step: Step = "begin"
        self.work: dict[int, int] = {}
        """Agent -> its subtask as a bidder."""
        self.marking: dict[int, int] = {}
        """Agent -> its subtask as a juror."""
        self.plans: dict[int, int] = {}
        """Agent -> the claim that is its plan."""
        self.marks: dict[int, list[float]] = {}
        """Plan -> its marks."""
        self.unmarked: list[int] = []
        """Agents whose plans are to be marked next."""
        self.answer: int | None = None

    def fold(self, events: Sequence[Event]) -> None:
        """Take in the events of one round."""
        if any(event.kind == "tool_call" for event in events):
            return
        bidding = self.step in ("bid", "again")
        for event in events:
            if event.kind == "delegate_subtask" and event.subtask is not None:
                (self.marking if event.agent in self.work else self.work)[event.agent] = event.subtask
            elif event.kind == "vote" and event.answer is not None and event.parents:
                self.marks.setdefault(event.parents[0], []).append(float(event.answer))
            elif event.claim is not None and event.subtask is not None and bidding:
                self.plans[event.agent] = event.claim
                self.unmarked.append(event.agent)
            elif event.subtask is None and event.answer is not None and event.agent != SOCIETY:
                self.answer = event.claim if event.claim is not None else event.target
        self._go_on()

    def _go_on(self) -> None:
        """Note which step follows."""
        if self.answer is not None:
            self.step = "over"
        elif self.step == "begin":
            self.step = "bid"
        elif self.step == "bid":
            self.step = "mark"
        elif self.step == "mark":
            self.step, self.unmarked = ("work" if self.rules.memory == "none" else "again"), []
        elif self.step == "again":  # nobody bid again: the winner has worked, without an answer
            self.step = "mark again" if self.unmarked else "over"
        elif self.step == "mark again":
            self.step, self.unmarked = "work", []
        else:
            self.step = "over"


def _mark(text: str | None) -> str | None:
    """Return the first whole number from 0 to 5 in a text."""
    found = _MARK.search(text or "")
    return found[0] if found else None


def recalled(rules: Auction, board: Board, agent: int, seed: int) -> list[tuple[str, str]]:
    """Return plans that lost and that won in the most similar earlier auctions, one of each pair the agent's own.

    Questions are as similar as the share of their words that they have in common.
    """
    question = frozenset(_WORD.findall((board.problem.question if board.problem else "").lower()))
    found: list[tuple[float, int, str, str]] = []
    for number, record in enumerate(board.kept[-_RECORDS_READ:]):
        kept = json.loads(record)
        own, winner = str(agent), kept["winner"]
        others = [plan for other, plan in sorted(kept["plans"].items()) if other != winner]
        if own not in kept["plans"] or not others:
            continue
        lost, won = (others[0] if winner == own else kept["plans"][own]), kept["plans"][winner]
        words = frozenset(_WORD.findall(kept["question"].lower()))
        alike = len(words & question) / max(1, len(words | question))
        if rules.memory == "shuffled" and uniform(seed, "auction", board.task, number, agent) < 0.5:
            lost, won = won, lost
        found.append((-alike, -number, lost, won))
    return [(lost, won) for _, _, lost, won in sorted(found)[: rules.recalled]]
