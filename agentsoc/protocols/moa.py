"""`moa`: a mixture of agents. Layers of proposers, each of whom reads the layer before, and one who aggregates.

After "Mixture-of-Agents Enhances Large Language Model Capabilities" (arXiv 2406.04692). With n proposers and L layers
the calls are L n + 1 (times the iterations in the first layer) and the deliveries (L - 1) n^2 + n: every proposal of a
layer goes to all n of the next one, those of the last to the aggregator.

What an aggregator who writes can do depends on the model. One who chooses (`by: judge`) and prefers a right answer to a
wrong one with odds w is right with probability E[w R / (w R + n - R)], where R of the n answers are right: with
p = .4, n = 8 and w = 2 it is .549 after one layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final, Literal

from pydantic import Field

from agentsoc.contracts.board import Board
from agentsoc.contracts.protocol import Act, Decision, Protocol, majority
from agentsoc.contracts.society import Society
from agentsoc.contracts.turns import Turn
from agentsoc.events import SOCIETY
from agentsoc.protocols.aggregators import comparison
from agentsoc.society.attention import attend, standing_of

AGGREGATE: Final = (
    "Several answers are given above. Some may be wrong. Judge each of them, keep what holds, and give the best answer "
    "that you can make of them; do not just repeat one."
)


class MixtureOfAgents(Protocol):
    """Every layer answers anew from all answers of the layer before. Edges of the topology are not used.

    Who ends the organisation (a hub, a root) aggregates and proposes nothing; without such an agent, agent 0 does both.
    """

    concludes: ClassVar[bool] = True

    kind: Literal["moa"] = "moa"
    layers: int = Field(default=2, ge=1, le=100)
    """Layers of proposers; those of the first see nothing but the question (layers)."""
    by: Literal["model", "judge"] = "model"
    """What proposers of later layers and the aggregator do with the answers before them: write one of their own, or
    compare them and pass the best one on."""

    def plan(self, society: Society, board: Board) -> Sequence[Turn]:
        """Let all proposers of the layer that is due answer, and the aggregator after the last layer."""
        proposers = self._proposers(society)
        if board.round > self.layers:
            return ()
        if board.round == 0:
            return [Turn(agent, iterations=society.group(agent).iterations) for agent in proposers]
        if not board.standing:  # all of the layer before failed: there is nothing to make an answer of
            return ()
        if board.round == self.layers:
            return [self._reading(society, board, self._aggregator(society))]
        return [self._reading(society, board, agent) for agent in proposers]

    def _reading(self, society: Society, board: Board, agent: int) -> Turn:
        """Return the turn in which an agent makes one answer of those that the proposers stand by."""
        sees = attend(society, board, agent, standing_of(board, self._proposers(society)))
        if self.by == "judge":
            return comparison(society, board, agent, sees)
        return Turn(agent, "merge", sees=sees, instruction=AGGREGATE)

    def decide(self, society: Society, board: Board) -> Decision:
        """Return what the aggregator made; before it has spoken, the majority of what the proposers stand by."""
        own = board.position(self._aggregator(society))
        if own is not None and (board.round > self.layers or self._apart(society)):
            return Decision(own.answer, own.id)
        claims = [board.claims[board.standing[agent]] for agent in self._proposers(society) if agent in board.standing]
        return majority(claims, seed=society.seed, task=board.task, round_=board.round, agent=SOCIETY)

    def conclude(self, society: Society, board: Board) -> Turn | None:
        """Let the aggregator make an answer of what there is."""
        aggregator = self._aggregator(society)
        if not board.standing or (self._apart(society) and aggregator in board.standing):
            return None
        return self._reading(society, board, aggregator)

    def deliveries(self, society: Society, board: Board, turn: Turn, acts: Sequence[Act]) -> int:
        """Count the readers of a proposal: everybody of the next layer, or the aggregator after the last one."""
        if board.round >= self.layers or turn.concluding or society.n == 1:
            return 0
        return len(acts) * (1 if board.round == self.layers - 1 else len(self._proposers(society)))

    def _apart(self, society: Society) -> bool:
        """Return whether the aggregator is none of the proposers."""
        return society.wiring.root is not None and society.n > 1

    def _aggregator(self, society: Society) -> int:
        return society.wiring.root or 0

    def _proposers(self, society: Society) -> Sequence[int]:
        apart = self._aggregator(society) if self._apart(society) else None
        return society.remember(("moa", apart), lambda: tuple(agent for agent in range(society.n) if agent != apart))
