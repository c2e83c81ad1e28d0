"""The two workloads as parts of a scenario: a loose code file, as a user would bring one with `--allow-code`.

W1 is "guess two thirds of the average": in each round everybody is told the moderator's last announcement and answers
a number, and the moderator aggregates. W2 is gossip: in each round everybody sends 100 bytes to each neighbour.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentsoc.backends.simulated import Simulated, SimulatedBackend
from agentsoc.contracts.board import Board
from agentsoc.contracts.model import Hint
from agentsoc.contracts.protocol import Decision, Protocol, Stage
from agentsoc.contracts.society import Society
from agentsoc.contracts.task import Task, TaskFamily
from agentsoc.contracts.turns import Reply, Turn, View
from agentsoc.society.attention import standing_of
from agentsoc.society.coded import CodedAgent
from agentsoc.streams import uniform, uniforms

MODERATOR = 0
TOP = 100
MESSAGE_BYTES = 100
_NUMBERS = tuple(str(number) for number in range(TOP + 1))
_MESSAGES = tuple(f"{number:02d} ".ljust(MESSAGE_BYTES, "x") for number in range(16))


class TwoThirds(TaskFamily):
    """Name a number; the nearest to two thirds of the average wins. Reason ends at 0."""

    kind: Literal["two-thirds"] = "two-thirds"

    def make(self, seed: int, index: int) -> Task:
        question = f"Name a number from 0 to {TOP}; the nearest to two thirds of the average wins."
        return Task(index, f"game-{index}", question, "0", _NUMBERS, 1 / len(_NUMBERS))


class Chatter(TaskFamily):
    """Nothing to find out: the answers are sixteen messages of 100 bytes."""

    kind: Literal["chatter"] = "chatter"

    def make(self, seed: int, index: int) -> Task:
        return Task(index, f"chatter-{index}", "Pass it on.", _MESSAGES[0], _MESSAGES, 1 / len(_MESSAGES))


class Announce(Protocol):
    """Participants answer, the moderator aggregates and announces; then again. For a star."""

    kind: Literal["announce"] = "announce"
    rounds: int = Field(default=3, ge=1)

    def plan(self, society: Society, board: Board) -> Sequence[Turn]:
        if board.round >= 2 * self.rounds:
            return ()
        if board.round % 2:
            return [
                Turn(MODERATOR, "merge", sees=tuple(standing_of(board, society.neighbours[MODERATOR])), by_rule=True)
            ]
        told = board.standing.get(MODERATOR)
        sees = () if told is None else (told,)
        return [Turn(agent, sees=sees) for agent in range(1, society.n)]

    def decide(self, society: Society, board: Board) -> Decision:
        claim = board.position(MODERATOR)
        return Decision(None) if claim is None else Decision(claim.answer, claim.id)

    def schedule(self, society: Society) -> Sequence[Stage]:
        players = tuple(range(1, society.n))
        moderation = Stage((MODERATOR,), (players,), "merge", by_rule=True)
        told = ((MODERATOR,),) * len(players)
        answers = [Stage(players), *[Stage(players, told)] * (self.rounds - 1)]
        return [stage for answer in answers for stage in (answer, moderation)]

    def verdict(self, society: Society) -> int:
        return MODERATOR


class Crowd(Simulated):
    """Participants of W1 as a simulated population: a guess up to the announcement; the moderator takes 2/3 of all."""

    kind: Literal["crowd"] = "crowd"  # type: ignore[assignment]
    signal: Any = 0.0

    def open(self, *, seed: int, share: int = 1) -> CrowdBackend:
        return CrowdBackend(self, seed)


class CrowdBackend(SimulatedBackend):
    """The same numbers for one participant and for a column of them."""

    def _combine(self, hint: Hint, heard: Sequence[int], own: int | None) -> int:
        if own is None:
            return 2 * sum(heard) // (3 * len(heard))
        return int(uniform(self.seed, "guess", hint.task, hint.round, hint.agent) * (heard[0] + 1))

    def combine(
        self,
        task: NDArray[np.int64],
        round_: int,
        agent: NDArray[np.int64],
        heard: NDArray[np.int64],
        own: NDArray[np.int64] | None,
        k: int,
    ) -> NDArray[np.int64]:
        if own is None:
            two_thirds: NDArray[np.int64] = 2 * heard.sum(axis=1) // (3 * heard.shape[1])
            return two_thirds
        return (uniforms(self.seed, "guess", task, round_, agent)[:, 0] * (heard[:, 0] + 1)).astype(np.int64)


class Player(CodedAgent):
    """A participant or the moderator of W1 as a coroutine."""

    kind: Literal["player"] = "player"

    async def act(self, view: View) -> Reply:
        claims = view.claims
        if view.agent == MODERATOR:
            number = {claim.id: int(claim.answer or 0) for claim in claims}
            sees = view.turn.sees  # a claim that several stand by occurs once for each
            told = 2 * sum([number[claim] for claim in sees]) // (3 * len(sees))
            return Reply(answer=_NUMBERS[told], uses=view.turn.sees)
        told = int(claims[0].answer or 0) if claims else TOP
        return Reply(answer=_NUMBERS[(view.agent * 7919 + view.round) % (told + 1)], uses=view.turn.sees)


class Gossip(CodedAgent):
    """Reads what its neighbours sent and sends 100 bytes that begin with the number of messages it has had so far."""

    kind: Literal["gossip"] = "gossip"

    async def act(self, view: View) -> Reply:
        before = int(view.own.text[:12]) if view.own is not None and view.own.text else 0
        return Reply(text=str(before + len(view.claims)).zfill(12).ljust(MESSAGE_BYTES, "x"), uses=view.turn.sees)
