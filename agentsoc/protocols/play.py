"""`play`: agents observe an environment, talk about it if they are to, and act; the environment says what follows.

Whose move it is, the environment says: all at once, or one after the other. The moves of a stage take effect together;
an agent that gives none takes the environment's default.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from agentsoc.contracts.board import Board, Surroundings
from agentsoc.contracts.environments import environment_of
from agentsoc.contracts.protocol import Decision, Protocol
from agentsoc.contracts.society import Society
from agentsoc.contracts.turns import Purpose, Turn
from agentsoc.errors import InputError
from agentsoc.events import MAX_ROUNDS
from agentsoc.society.attention import attend


class Play(Protocol):
    """Observe, talk if they are to, act, until the environment is over."""

    rehearsable: ClassVar[bool] = False
    plays: ClassVar[bool] = True

    kind: Literal["play"] = "play"
    talk: int = Field(default=0, ge=0, le=16)
    """Times that those who may act speak, each time on what they hear, before they act (times)."""
    asks: Annotated[str, StringConstraints(max_length=8_000)] = ""
    """What is asked of agents before they act, besides what they see; in words."""
    asks_talk: Annotated[str, StringConstraints(max_length=8_000)] = ""
    """What is asked of agents before they speak, besides what they see; in words."""

    def check(self, society: Society) -> None:
        """Refuse an episode that could reach the largest number of rounds."""
        environment = environment_of(society.tasks)
        if environment is None:
            return
        steps = max(group.tool_use.steps for group in society.groups) if any(society.toolsets) else 1
        rounds = environment.horizon() * (self.talk + 1) * steps
        if rounds + 2 >= MAX_ROUNDS:
            raise InputError(
                f"an episode could have {rounds:,} rounds ({environment.horizon():,} stages, each with {self.talk} "
                f"rounds of talk and up to {steps} steps); the limit is {MAX_ROUNDS - 3:,}",
                "protocol",
                "shorten the environment, talk less, or lower tool_use.steps",
            )

    def plan(self, society: Society, board: Board) -> Sequence[Turn]:
        """Return the talk or the moves of those whose move it is; none when the episode is over."""
        world = board.world
        if world is None or world.over() is not None:
            return ()
        if world.spoken < self.talk and (turns := self._turns(society, board, world, "talk")):
            return turns
        return self._turns(society, board, world, "act")

    def _turns(self, society: Society, board: Board, world: Surroundings, purpose: Purpose) -> list[Turn]:
        acts = purpose == "act"
        asks = self.asks if acts else self.asks_talk
        first = board.round - world.spoken
        turns = []
        for agent, sight in world.sights().items():
            played = world.played(agent) if acts else world.says(agent)
            if played is not None:  # a scripted policy reads nothing, and has nothing to say where it says nothing
                if played:
                    turns.append(Turn(agent, purpose, played=played))
                continue
            heard = _heard(society, board, agent, first) if world.spoken else ()
            turns.append(Turn(agent, purpose, sees=heard, instruction=asks, sight=sight))
        return turns

    def decide(self, society: Society, board: Board) -> Decision:
        """Return how the episode stands."""
        return Decision(None if board.world is None else board.world.outcome())


def _heard(society: Society, board: Board, agent: int, first: int) -> tuple[int, ...]:
    """Return the claims that `agent` is shown of what was said from stage `first` on."""
    said = (board.position(other) for other in society.neighbours[agent])
    return tuple(
        attend(society, board, agent, [claim.id for claim in said if claim is not None and claim.round >= first])
    )
