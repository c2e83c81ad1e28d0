"""`vote`: everybody answers alone; the majority is the society's answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentsoc.contracts.board import Board
from agentsoc.contracts.protocol import Act, Decision, Protocol, Stage, Verdict
from agentsoc.contracts.society import Society
from agentsoc.contracts.turns import Turn
from agentsoc.protocols.aggregators import Count, comparison, count, require_weights, verdict_of
from agentsoc.society.attention import standing_of


class Vote(Protocol):
    """Independent answers, then one count. Edges of the topology are not used: nobody hears anybody."""

    concludes: ClassVar[bool] = True
    later: ClassVar[frozenset[str]] = frozenset({"weights"})

    kind: Literal["vote"] = "vote"
    by: Literal["majority", "weighted", "union", "judge", "model"] = "majority"
    """Count heads; count weights; put all different answers side by side (right only if all are); let agent 0 compare
    all answers in one model call and choose one; or let agent 0 merge them in one model call."""
    weights: tuple[Annotated[float, Field(ge=0, le=1e9)], ...] = ()
    """For weighted: the weight of each agent's vote; empty for the confidence that it states."""

    def check(self, society: Society) -> None:
        """Refuse weights unless the count is weighted and every agent has one."""
        require_weights(self.by, self.weights, society)

    def plan(self, society: Society, board: Board) -> Sequence[Turn]:
        """Let all answer in round 0; in round 1, with ``by: model`` or ``judge``, let agent 0 merge or choose."""
        if board.round == 0:
            return [Turn(agent, iterations=society.group(agent).iterations) for agent in range(society.n)]
        if board.round == 1 and (last := self._last(society, board)) is not None:
            return [last]
        return ()

    def _last(self, society: Society, board: Board) -> Turn | None:
        """Return the call that decides, where one does."""
        if self.by == "model":
            return Turn(0, purpose="merge", sees=tuple(standing_of(board, range(society.n))), instruction=MERGE)
        if self.by == "judge" and board.standing:
            return comparison(society, board, 0, standing_of(board, range(society.n)))
        return None

    def decide(self, society: Society, board: Board) -> Decision:
        """Return the merged or chosen claim if there is one, else the count over all standing claims."""
        by: Count = "majority"
        if self.by == "judge":
            if board.round > 1 and board.engagement:  # nobody but the judge has seen a claim
                chosen = board.claims[next(iter(board.engagement))]
                return Decision(chosen.answer, chosen.id)
        elif self.by == "model":
            if board.round > 1 and (own := board.position(0)) is not None:
                return Decision(own.answer, own.id)
        else:
            by = self.by
        claims = [board.claims[board.standing[agent]] for agent in sorted(board.standing)]
        return count(by, claims, society, board, self.weights)

    def conclude(self, society: Society, board: Board) -> Turn | None:
        """Merge what there is or choose from it, if that is a model's work."""
        return self._last(society, board) if board.standing else None

    def schedule(self, society: Society) -> Sequence[Stage] | None:
        """Return one round of independent answers, or None when a model merges or chooses."""
        return None if self.by in ("model", "judge") else [Stage(tuple(range(society.n)))]

    def deliveries(self, society: Society, board: Board, turn: Turn, acts: Sequence[Act]) -> int:
        """Return one delivery for each answer, to whoever counts; somebody alone sends nothing."""
        return 0 if society.n == 1 or turn.purpose in ("merge", "choose") else len(acts)

    def deliveries_each(
        self, society: Society, board: Board, agents: NDArray[np.int64], turn: Turn, acts: Sequence[Act]
    ) -> NDArray[np.int64]:
        """Return the same number of deliveries for all agents."""
        return np.full(len(agents), self.deliveries(society, board, turn, acts), dtype=np.int64)

    def verdict(self, society: Society) -> Verdict | None:
        """Return the count that decides; None when a model decides."""
        return None if self.by == "model" or self.by == "judge" else verdict_of(self.by, self.weights)


MERGE = "Weigh the answers above and give the one that the team should give."
