"""`aggregate`: answers flow towards the root, the hub or the end of the chain, and are merged on the way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from agentsoc.contracts.board import Board
from agentsoc.contracts.protocol import Act, Decision, Protocol, Stage, majority
from agentsoc.contracts.society import Society
from agentsoc.contracts.turns import Turn
from agentsoc.errors import InputError
from agentsoc.events import SOCIETY
from agentsoc.protocols.aggregators import comparison
from agentsoc.protocols.vote import MERGE
from agentsoc.society.attention import attend, standing_of


class Aggregate(Protocol):
    """Answers go level by level towards the agent in whom the organisation ends.

    Agents without anybody below them answer first. An agent with two or more below it merges their claims: by rule
    (majority or confidence-weighted vote, no tokens) or by a model call. In a chain everybody answers knowing the
    answer of the one before. Where peers of one level hear each other (hybrid), they see each other's answers once
    and answer again before the next level merges.
    """

    concludes: ClassVar[bool] = True

    kind: Literal["aggregate"] = "aggregate"
    by: Literal["majority", "weighted", "judge", "model"] = "majority"
    """How an agent merges the claims from below: it counts heads, or stated confidence; it compares them in one model
    call and passes the best one on; or it writes an answer of its own in one model call."""

    def check(self, society: Society) -> None:
        """Refuse an organisation that ends in nobody: there is no agent to aggregate towards."""
        if society.wiring.root is None:
            raise InputError(
                f"aggregate needs an organisation that ends in somebody; {society.wiring.kind} does not",
                "protocol",
                "use vote or debate, or a star, chain, tree or hybrid topology",
            )

    def weighs_claims(self) -> bool:
        """Return whether the rule is `weighted`."""
        return self.by == "weighted"

    def stages(self, society: Society) -> tuple[Stage, ...]:
        """Return the rounds: who acts, and whose claims each of them sees."""
        return _stages(society, self.by not in _ASKED)

    def plan(self, society: Society, board: Board) -> Sequence[Turn]:
        """Return the turns of the stage that is due."""
        stages = _cached_stages(society, self.by not in _ASKED)
        if board.round >= len(stages):
            return ()
        stage = stages[board.round]
        turns = []
        for agent, hears in zip(stage.agents, stage.hears, strict=True):
            merging = stage.purpose == "merge"
            if merging and self.by == "judge":
                turns.append(
                    comparison(society, board, agent, attend(society, board, agent, standing_of(board, hears)))
                )
                continue
            turns.append(
                Turn(
                    agent,
                    purpose="merge" if merging else "answer",
                    sees=attend(society, board, agent, standing_of(board, hears)),
                    instruction=MERGE if merging else "",
                    by_rule=stage.by_rule,
                    iterations=1 if merging else society.group(agent).iterations,
                )
            )
        return turns

    def decide(self, society: Society, board: Board) -> Decision:
        """Return the root's claim; before it has one, the majority of the claims highest up."""
        root = society.wiring.root
        own = board.position(root) if root is not None else None
        if own is not None:
            return Decision(own.answer, own.id)
        level = society.wiring.level
        reached = min((int(level[agent]) for agent in board.standing), default=0)
        claims = [board.claims[board.standing[a]] for a in sorted(board.standing) if level[a] == reached]
        return majority(claims, seed=society.seed, task=board.task, round_=board.round, agent=SOCIETY)

    def conclude(self, society: Society, board: Board) -> Turn | None:
        """Let the root merge the claims highest up or choose among them, if that is a model's work."""
        root = society.wiring.root
        if self.by not in _ASKED or root is None or root in board.standing or not board.standing:
            return None
        level = society.wiring.level
        reached = min(int(level[agent]) for agent in board.standing)
        sees = standing_of(board, [a for a in sorted(board.standing) if level[a] == reached])
        if self.by == "judge":
            return comparison(society, board, root, sees)
        return Turn(root, purpose="merge", sees=tuple(sees), instruction=MERGE)

    def schedule(self, society: Society) -> Sequence[Stage] | None:
        """Return all stages when merging is by rule and everything is shown, else None."""
        if self.by != "majority" or society.attention.kind != "all":
            return None
        return self.stages(society)

    def verdict(self, society: Society) -> int | None:
        """Return the root: its claim decides."""
        return society.wiring.root

    def deliveries(self, society: Society, board: Board, turn: Turn, acts: Sequence[Act]) -> int:
        """Count to whom a claim goes: to whoever is above, or first to the peers of its level."""
        if turn.agent == society.wiring.root:
            return 0
        _, above, peers = _directions(society, turn.agent)
        first = not turn.sees and turn.purpose == "answer"
        return len(acts) * (len(peers) if peers and first else len(above))

    def deliveries_each(
        self, society: Society, board: Board, agents: NDArray[np.int64], turn: Turn, acts: Sequence[Act]
    ) -> NDArray[np.int64]:
        """Return the same counts from the arrays of the wiring, in time linear in edges."""
        if type(self).deliveries is not Aggregate.deliveries:
            return super().deliveries_each(society, board, agents, turn, acts)
        peers, above = society.remember("aggregate above", lambda: _peers_and_above(society))
        each = above[agents]
        if not turn.sees and turn.purpose == "answer":
            each = np.where(peers[agents] > 0, peers[agents], each)
        return len(acts) * np.where(agents == society.wiring.root, 0, each)


_ASKED = ("judge", "model")
"""Ways of merging that are a model's work."""


def _directions(society: Society, agent: int) -> tuple[list[int], list[int], list[int]]:
    """Return whom `agent` hears from below, whom it reports to, and which peers of its level it hears."""
    level = society.wiring.level
    mine = int(level[agent])
    heard = society.neighbours[agent]
    below = [v for v in heard if level[v] == mine + 1]
    peers = [v for v in heard if level[v] == mine]
    above = [v for v in society.addresses(agent) if level[v] == mine - 1]
    return below, above, peers


def _peers_and_above(society: Society) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return, per agent, how many peers of its level it hears and how many it reports to, shape (n,) each."""
    wiring = society.wiring
    hearer = np.repeat(np.arange(wiring.n), wiring.fan_in)
    heard_level, own_level = wiring.level[wiring.hears], wiring.level[hearer]
    peers = np.bincount(hearer[heard_level == own_level], minlength=wiring.n)
    return peers, np.bincount(wiring.hears[own_level == heard_level - 1], minlength=wiring.n)


def _cached_stages(society: Society, by_rule: bool) -> tuple[Stage, ...]:
    return society.remember(("aggregate", by_rule), lambda: _stages(society, by_rule))


def _stages(society: Society, by_rule: bool) -> tuple[Stage, ...]:
    level = society.wiring.level.tolist()  # numbers of Python: looked up once an edge
    depth = society.wiring.depth
    below: dict[int, list[int]] = {}
    peers: dict[int, list[int]] = {}
    for agent in range(society.n):
        mine = level[agent]
        for heard in society.neighbours[agent]:
            if level[heard] == mine + 1:
                below.setdefault(agent, []).append(heard)
            elif level[heard] == mine:
                peers.setdefault(agent, []).append(heard)
    answering = [agent for agent in range(society.n) if agent not in below]
    stages = [Stage(tuple(answering), ((),) * len(answering))]
    exchanging = [agent for agent in answering if agent in peers]
    if exchanging:
        stages.append(Stage(tuple(exchanging), tuple(tuple(peers[agent]) for agent in exchanging)))
    for at in range(depth - 1, -1, -1):
        acting = [agent for agent in below if level[agent] == at]
        alone = [agent for agent in acting if len(below[agent]) == 1]
        merging = [agent for agent in acting if len(below[agent]) > 1]
        if alone:  # a link of a chain answers knowing the answer before it
            stages.append(Stage(tuple(sorted(alone)), tuple(tuple(below[a]) for a in sorted(alone))))
        if merging:
            stages.append(
                Stage(tuple(sorted(merging)), tuple(tuple(below[a]) for a in sorted(merging)), "merge", by_rule)
            )
    return tuple(stages)
