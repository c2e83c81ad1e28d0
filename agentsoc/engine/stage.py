"""This module keeps a stage of an episode: the turns that a protocol planned, and what they have come to, step by step.

A turn ends with its answer. One that calls tools goes on in the next step, on what its agent saw as the stage began;
those who have answered wait for it, and nothing that they said reaches anybody before the stage ends.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from agentsoc.contracts.turns import Reply, StepTaken, Turn
from agentsoc.society.acting import next_step
from agentsoc.society.build import BuiltSociety


class StageUnderWay:
    """The object keeps the turns of a stage and their replies; without tools a stage has one step."""

    def __init__(self, society: BuiltSociety, turns: Sequence[Turn]) -> None:
        self.society = society
        self.turns = list(turns)
        self.replies: list[Reply | None] = [None] * len(turns)
        """What each turn ended with; None for one that the budget refused, and for those that go on."""
        self.steps: list[tuple[StepTaken, ...]] = [()] * len(turns)
        self.virtual_s = 0.0
        self.open: list[int] = []
        """Places of the turns that are to be taken in this step."""
        for place, turn in enumerate(turns):
            if turn.played is None:
                self.open.append(place)
            elif turn.purpose == "talk":
                self.replies[place] = Reply(text=turn.played)
            else:
                self.replies[place] = Reply(answer=turn.played)

    def take(self, replies: Sequence[Reply | None], virtual_s: float) -> list[tuple[int, Reply]]:
        """Take in the replies of the open turns; return those that call tools, with their places."""
        calling: list[tuple[int, Reply]] = []
        self.virtual_s += virtual_s
        for place, reply in zip(self.open, replies, strict=True):
            if reply is not None and reply.tool_calls and self.turns[place].tools:
                calling.append((place, reply))
            else:
                self.replies[place] = reply
        self.open = [place for place, _ in calling]
        return calling

    def go_on(self, place: int, said: str, results: Sequence[str]) -> None:
        """Let a turn go on with what its calls gave."""
        self.steps[place] = (*self.steps[place], StepTaken(said, tuple(results)))
        self.turns[place] = next_step(self.society, self.turns[place])

    def due(self) -> list[tuple[Turn, tuple[StepTaken, ...]]]:
        """Return the turns of the next step, each with the steps before it."""
        return [(self.turns[place], self.steps[place]) for place in self.open]

    def refused(self, shared: bool) -> bool:
        """Return whether the budget ends the episode: it refused a turn, or with shares all of them."""
        asked = [reply is None for reply, turn in zip(self.replies, self.turns, strict=True) if turn.played is None]
        return bool(asked) and (all(asked) if shared else any(asked))

    def ended(self) -> list[Turn]:
        """Return the turns as the protocol planned them."""
        return [msgspec.structs.replace(turn, step=0) if turn.step else turn for turn in self.turns]
