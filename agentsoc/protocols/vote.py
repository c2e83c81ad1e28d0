"""`vote`: everybody answers alone; the majority is the society's answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from agentsoc.events import SOCIETY
from agentsoc.protocols.base import Act, Decision, Protocol, Stage, majority
from agentsoc.society.attention import standing_of
from agentsoc.society.board import Board
from agentsoc.society.build import Society
from agentsoc.society.turns import Turn


class Vote(Protocol):
    """Independent answers, then one count. Edges of the topology are not used: nobody hears anybody."""

    concludes: ClassVar[bool] = True

    kind: Literal["vote"] = "vote"
    by: Literal["majority", "weighted", "model"] = "majority"
    """Count heads, count confidence, or let agent 0 read all answers and merge them in one model call."""

    def plan(self, society: Society, board: Board) -> Sequence[Turn]:
        """Round 0: all answer. Round 1, with ``by: model``: agent 0 merges."""
        if board.round == 0:
            return [Turn(agent, iterations=society.group(agent).iterations) for agent in range(society.n)]
        if board.round == 1 and self.by == "model":
            return [_merge(society, board)]
        return ()

    def decide(self, society: Society, board: Board) -> Decision:
        """Return the merged claim if there is one, else the count over all standing claims."""
        if self.by == "model" and board.round > 1 and (own := board.position(0)) is not None:
            return Decision(own.answer, own.id)
        claims = [board.claims[c] for c in (board.standing[a] for a in sorted(board.standing))]
        weights = [c.confidence if c.confidence is not None else 0.5 for c in claims] if self.by == "weighted" else None
        return majority(claims, seed=society.seed, task=board.task, round_=board.round, agent=SOCIETY, weights=weights)

    def conclude(self, society: Society, board: Board) -> Turn | None:
        """Merge what there is, if merging is a model's work."""
        return _merge(society, board) if self.by == "model" and board.standing else None

    def schedule(self, society: Society) -> Sequence[Stage] | None:
        """One round of independent answers, unless a model merges."""
        return None if self.by == "model" else [Stage(tuple(range(society.n)))]

    def deliveries(self, society: Society, board: Board, turn: Turn, acts: Sequence[Act]) -> int:
        """Every answer goes to whoever counts; somebody alone sends nothing."""
        return 0 if society.n == 1 or turn.purpose == "merge" else len(acts)

    def deliveries_each(
        self, society: Society, board: Board, agents: NDArray[np.int64], turn: Turn, acts: Sequence[Act]
    ) -> NDArray[np.int64]:
        """The same for all."""
        return np.full(len(agents), self.deliveries(society, board, turn, acts), dtype=np.int64)

    def verdict(self, society: Society) -> Literal["majority"]:
        """The count decides."""
        return "majority"


def _merge(society: Society, board: Board) -> Turn:
    return Turn(0, purpose="merge", sees=tuple(standing_of(board, range(society.n))), instruction=MERGE)


MERGE = "Weigh the answers above and give the one that the team should give."
