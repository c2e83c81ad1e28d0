"""`debate`: rounds in which everybody sees the neighbours' claims and answers again, then a vote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from agentsoc.contracts.board import Board
from agentsoc.contracts.protocol import Decision, Protocol, Stage, Verdict
from agentsoc.contracts.router import Router
from agentsoc.contracts.society import Society
from agentsoc.contracts.turns import Turn
from agentsoc.errors import InputError
from agentsoc.protocols.aggregators import count, verdict_of
from agentsoc.society.attention import attend, standing_of


class Debate(Protocol):
    """Round 0 is independent; from then on each agent is shown the standing claims of those it hears."""

    kind: Literal["debate"] = "debate"
    rounds: int = Field(default=3, ge=1, le=1_000)
    """Rounds, the independent one included (rounds)."""
    until: Literal["rounds", "consensus"] = "rounds"
    """Go through all rounds, or stop as soon as enough agents agree."""
    threshold: float = Field(default=1.0, gt=0.5, le=1)
    """Share of the agents that makes a consensus."""
    order: Literal["together", "in-turn"] = "together"
    """In a round all speak at once; or one after the other, each hearing those before it, in a round of the engine
    each: `rounds` times the agents in all, none of which can be taken at the same time."""
    by: Literal["majority", "weighted", "union"] = "majority"
    """How the last answers become one: count heads, count stated confidence, or put all different ones side by side."""
    later: ClassVar[frozenset[str]] = frozenset({"order", "by"})
    follows_routes: ClassVar[bool] = True

    def plan(self, society: Society, board: Board) -> Sequence[Turn]:
        """Let everybody act in every round, all at once or one agent in each round of the engine."""
        if self.order == "in-turn":
            return self._next(society, board)
        if board.round >= self.rounds or (
            board.round > 0 and self.until == "consensus" and self._agreed(society, board)
        ):
            return ()
        if board.round == 0:
            return [Turn(agent, iterations=society.group(agent).iterations) for agent in range(society.n)]
        router = society.router(board)
        if router is not None:
            return self._routed(society, board, router)
        neighbours = society.neighbours
        iterations, group_index = [group.iterations for group in society.groups], society.group_index
        return [
            Turn(
                agent,
                sees=attend(society, board, agent, standing_of(board, neighbours[agent])),
                iterations=iterations[group_index(agent)],
            )
            for agent in range(society.n)
        ]

    def _routed(self, society: Society, board: Board, router: Router) -> Sequence[Turn]:
        """Return the turns of a round in which everybody who is left hears whom the topology chooses for it."""
        return [
            Turn(
                agent,
                sees=attend(society, board, agent, standing_of(board, router.hears(board, agent))),
                iterations=society.group(agent).iterations,
            )
            for agent in range(society.n)
            if agent not in router.dropped
        ]

    def check(self, society: Society) -> None:
        """Refuse agents who speak in turn where edges change from round to round."""
        if self.order == "in-turn" and society.wiring.live:
            raise InputError(
                f"the edges of {society.wiring.kind} change from round to round, and agents speak in turn",
                "protocol.order",
                "use order: together",
            )

    def _next(self, society: Society, board: Board) -> Sequence[Turn]:
        """Return the turn of whoever speaks next."""
        done, agent = divmod(board.round, society.n)
        if done >= self.rounds or (
            agent == 0 and done > 0 and self.until == "consensus" and self._agreed(society, board)
        ):
            return ()
        sees = attend(society, board, agent, standing_of(board, society.neighbours[agent]))
        return [Turn(agent, sees=sees, iterations=society.group(agent).iterations)]

    def decide(self, society: Society, board: Board) -> Decision:
        """Return what the standing claims amount to, one for each agent."""
        claims = [board.claims[board.standing[agent]] for agent in self._left(society, board)]
        return count(self.by, claims, society, board)

    def schedule(self, society: Society) -> Sequence[Stage] | None:
        """Return all rounds when none depends on what is said, else None."""
        if society.wiring.live or self.until != "rounds" or self.order != "together" or society.attention.kind != "all":
            return None
        everybody = tuple(range(society.n))
        return [Stage(everybody, () if round_ == 0 else society.neighbours) for round_ in range(self.rounds)]

    def verdict(self, society: Society) -> Verdict:
        """Return the count that decides at the end."""
        return verdict_of(self.by)

    def _left(self, society: Society, board: Board) -> list[int]:
        """Return who has taken a position and has not been dropped."""
        router = society.router(board)
        return sorted(board.standing if router is None else board.standing.keys() - router.dropped)

    def _agreed(self, society: Society, board: Board) -> bool:
        left = self._left(society, board)
        answers = Counter(board.claims[board.standing[agent]].answer for agent in left)
        answers.pop(None, None)
        return bool(answers) and max(answers.values()) >= self.threshold * len(left) - 1e-9
