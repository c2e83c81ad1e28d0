"""`debate`: rounds in which everybody sees the neighbours' claims and answers again, then a vote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from agentsoc.events import SOCIETY
from agentsoc.protocols.base import Decision, Protocol, Stage, majority
from agentsoc.society.attention import attend, standing_of
from agentsoc.society.board import Board
from agentsoc.society.build import Society
from agentsoc.society.turns import Turn


class Debate(Protocol):
    """Round 0 is independent; from then on each agent is shown the standing claims of those it hears."""

    kind: Literal["debate"] = "debate"
    rounds: int = Field(default=3, ge=1, le=1_000)
    """Rounds, the independent one included (rounds)."""
    until: Literal["rounds", "consensus"] = "rounds"
    """Go through all rounds, or stop as soon as enough agents agree."""
    threshold: float = Field(default=1.0, gt=0.5, le=1)
    """Share of the agents that makes a consensus."""

    def plan(self, society: Society, board: Board) -> Sequence[Turn]:
        """Everybody acts in every round."""
        if board.round >= self.rounds or (board.round > 0 and self.until == "consensus" and self._agreed(board)):
            return ()
        if board.round == 0:
            return [Turn(agent, iterations=society.group(agent).iterations) for agent in range(society.n)]
        neighbours = society.neighbours
        return [
            Turn(
                agent,
                sees=attend(society, board, agent, standing_of(board, neighbours[agent])),
                iterations=society.group(agent).iterations,
            )
            for agent in range(society.n)
        ]

    def decide(self, society: Society, board: Board) -> Decision:
        """Return the majority of the standing claims, one vote an agent."""
        claims = [board.claims[board.standing[agent]] for agent in sorted(board.standing)]
        return majority(claims, seed=society.seed, task=board.task, round_=board.round, agent=SOCIETY)

    def schedule(self, society: Society) -> Sequence[Stage] | None:
        """All rounds, when none depends on what is said."""
        if self.until != "rounds" or society.scenario.attention.kind != "all":
            return None
        everybody = tuple(range(society.n))
        return [Stage(everybody, () if round_ == 0 else society.neighbours) for round_ in range(self.rounds)]

    def verdict(self, society: Society) -> Literal["majority"]:
        """The vote at the end decides."""
        return "majority"

    def _agreed(self, board: Board) -> bool:
        answers = Counter(board.claims[claim].answer for claim in board.standing.values())
        answers.pop(None, None)
        return bool(answers) and max(answers.values()) >= self.threshold * len(board.standing) - 1e-9
