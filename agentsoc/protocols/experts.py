"""`experts`: knowledge is split, a lead asks whoever has it, one question after the other, and gives the answer.

Each worker holds a part of what is known (a shelf), and nobody else is shown it; the lead is told who holds what. A
task brings its shelves in ``data["shelves"]``, a text each, with ``data["titles"]`` in the same order; they are dealt
round to the workers. Tasks without shelves are asked as they are, of experts by persona or by model.

With n agents and a questions the calls are 2 a + 1 and the deliveries 2 a where one is asked at a time, a n + 1 and
2 a (n - 1) where everybody is asked each time. With ``decision: lead`` there are a - 1 calls more, and fewer where
the lead knows enough before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final, Literal, NamedTuple

from pydantic import Field

from agentsoc.contracts.board import Board
from agentsoc.contracts.protocol import Act, Decision, Protocol, interpret_reply
from agentsoc.contracts.society import Society
from agentsoc.contracts.turns import Reply, Turn
from agentsoc.errors import InputError
from agentsoc.protocols.asking import refuse_inference
from agentsoc.puzzles.shelves import dealt
from agentsoc.society.attention import attend

ASK: Final = (
    "You lead the team and have no documents. Ask one of the others for the next thing that you need to know, in one "
    "short question that can be answered without the rest."
)
JUDGE: Final = "You lead the team. Is what the others found enough to answer the question?"
ANSWER: Final = "You lead the team. Give the answer that follows from what the others found."
WORK: Final = "Your lead asks you for your part alone. Answer it from what you have, or say that it is not there."
_FLAG: Final = "experts"
"""Name of the ``flag`` that says which step was taken: ask, work, judge or answer, its number, and the round."""

_ENOUGH: Final = "experts-enough"
"""Name of the ``flag`` in which the lead says whether it knows enough: yes or no."""


class _Step(NamedTuple):
    """A step of an episode."""

    name: Literal["ask", "work", "judge", "answer"]
    number: int
    round: int


class Experts(Protocol):
    """A lead asks the workers who hold the facts, one question after the other, then answers."""

    concludes: ClassVar[bool] = True
    alone: ClassVar[str | None] = "its questions follow each other"
    artefacts: ClassVar[bool] = True

    kind: Literal["experts"] = "experts"
    asks: int = Field(default=3, ge=1, le=100)
    """Questions that the lead may ask (questions)."""
    route: Literal["one", "all"] = "one"
    """Whether a question goes to the one whom the lead names, or to everybody."""
    decision: Literal["asks", "lead"] = "asks"
    """When to stop asking: after `asks` questions, or when the lead says before that that it knows enough (a call)."""

    def check(self, society: Society) -> None:
        """Refuse an organisation without a lead, or whose lead has nobody to ask."""
        refuse_inference(society, self.kind)
        lead = society.wiring.root
        if lead is None or not society.addresses(lead):
            raise InputError(
                f"experts needs a lead who can address workers; {society.wiring.kind} has none",
                "protocol",
                "use topology star, hybrid or tree",
            )

    def _workers(self, society: Society) -> Sequence[int]:
        lead = society.wiring.root
        return () if lead is None else society.addresses(lead)

    def _hands(self, society: Society, board: Board) -> dict[int, list[int]]:
        """Return which shelves each worker holds."""
        workers = self._workers(society)
        shelves = _texts(board, "shelves")
        return dict(zip(workers, dealt(len(shelves), len(workers)), strict=True)) if shelves else {}

    def _due(self, society: Society, board: Board) -> _Step | None:
        """Return the step that is due; None when the lead has answered."""
        words = board.flags.get(_FLAG, "").split()
        if not words:
            return _Step("ask", 1, board.round)
        name, number, round_ = words[0], int(words[1]), int(words[2])
        if name == "answer":
            return None
        if name == "ask" and self._open(board, round_):
            return _Step("work", number, board.round)
        if name == "work" and number < self.asks:
            following: Literal["judge", "ask"] = "judge" if self.decision == "lead" else "ask"
            return _Step(following, number + (following == "ask"), board.round)
        if name == "judge" and board.flags.get(_ENOUGH) != "yes":
            return _Step("ask", number + 1, board.round)
        return _Step("answer", number, board.round)

    def _open(self, board: Board, asked: int) -> list[int]:
        """Return the questions that were asked in round `asked`."""
        return sorted(one.id for one in board.subtasks.values() if one.round == asked)

    def plan(self, society: Society, board: Board) -> Sequence[Turn]:
        """Return the turns of the step that is due."""
        due = self._due(society, board)
        if due is None:
            return ()
        if due.name == "answer":
            return [self._answer(society, board)]
        if due.name == "ask":
            return [self._question(society, board)]
        if due.name == "judge":
            return [Turn(self._lead(society), "judge", sees=self._found(society, board), instruction=JUDGE)]
        hands = self._hands(society, board)
        shelves = _texts(board, "shelves")
        asked = int(board.flags[_FLAG].split()[2])
        turns = []
        for slot, subtask in enumerate(self._open(board, asked)):
            taker = board.subtasks[subtask].taker
            held = "\n".join(shelves[shelf] for shelf in hands.get(taker, []))
            instruction = f"{WORK}\nYou have:\n{held}" if held else WORK
            iterations = society.group(taker).iterations
            turns.append(
                Turn(taker, "work", slot, subtask=subtask, instruction=instruction, iterations=iterations, fresh=True)
            )
        return turns

    def _question(self, society: Society, board: Board) -> Turn:
        """Return the turn in which the lead asks; it is told who holds what."""
        workers, titles = self._workers(society), _texts(board, "titles")
        held = [
            f"agent {worker} has {titles[shelf]}"
            for worker, shelves in self._hands(society, board).items()
            for shelf in shelves
            if shelf < len(titles)
        ]
        instruction = "\n".join([ASK, *held])
        return Turn(
            self._lead(society), "plan", sees=self._found(society, board), targets=tuple(workers),
            instruction=instruction,
        )  # fmt: skip

    def _answer(self, society: Society, board: Board) -> Turn:
        return Turn(self._lead(society), "merge", sees=self._found(society, board), instruction=ANSWER)

    def _lead(self, society: Society) -> int:
        lead = society.wiring.root
        assert lead is not None
        return lead

    def _found(self, society: Society, board: Board) -> tuple[int, ...]:
        """Return all findings, in their order: of an expert who was asked twice, both."""
        found = [claim.id for claim in board.claims.values() if claim.subtask is not None]
        return attend(society, board, self._lead(society), found)

    def interpret(self, society: Society, board: Board, turn: Turn, reply: Reply) -> Sequence[Act]:
        """Take the lead's first question, or put it to everybody; read everything else as usual."""
        if turn.purpose == "judge":
            return [Act("flag", answer=_ENOUGH, text="yes" if reply.stop else "no")]
        acts = interpret_reply(society, board, turn, reply)
        if turn.purpose != "plan":
            return acts
        asked = [act for act in acts if act.kind == "delegate_subtask" and act.target in turn.targets][:1]
        if not asked or self.route == "one":
            return asked
        return [
            Act("delegate_subtask", text=asked[0].text, target=worker, mints_subtask=True) for worker in turn.targets
        ]

    def flags(self, society: Society, board: Board, turns: Sequence[Turn], replies: Sequence[Reply]) -> dict[str, str]:
        """Note which step was taken."""
        due = self._due(society, board)
        if due is None or any(turn.concluding for turn in turns):
            return {}
        return {_FLAG: f"{due.name} {due.number} {due.round}"}

    def conclude(self, society: Society, board: Board) -> Turn | None:
        """Let the lead answer from what was found so far."""
        if self._lead(society) in board.standing or not board.standing:
            return None
        return self._answer(society, board)

    def decide(self, society: Society, board: Board) -> Decision:
        """Return what the lead said; findings are no answers."""
        own = board.position(self._lead(society))
        return Decision(None) if own is None else Decision(own.answer, own.id)

    def deliveries(self, society: Society, board: Board, turn: Turn, acts: Sequence[Act]) -> int:
        """Count one delivery for each question, and one for each finding."""
        return 0 if turn.purpose == "merge" else len([act for act in acts if act.kind != "flag"])


def _texts(board: Board, key: str) -> list[Any]:
    """Return a list of texts that the task brings; nothing where it brings none."""
    found = board.problem.data.get(key) if board.problem is not None else None
    return found if isinstance(found, list) else []
