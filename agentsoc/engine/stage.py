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
    """The object keeps the turns of a stage and their replies; without tools a stage has one step.

    Most societies have neither tools nor scripted policies, and a hundred thousand turns: those are gone through once.
    """

    def __init__(self, society: BuiltSociety, turns: Sequence[Turn]) -> None:
        self.society = society
        self.turns = list(turns)
        self.replies: list[Reply | None] = [None] * len(turns)
        """What each turn ended with; None for one that the budget refused, and for those that go on."""
        self.steps: list[tuple[StepTaken, ...]] = []
        """What each turn has come to before it ends; empty as long as none has called a tool."""
        self.virtual_s = 0.0
        self.open: Sequence[int] = range(len(turns))
        """Places of the turns that are to be taken in this step."""
        self._asked: Sequence[int] = self.open
        """Places of the turns in which somebody is asked: no scripted policy plays them."""
        played = [turn.played is not None or turn.tools for turn in turns]
        self._plain = True not in played
        """Whether everybody is asked and nobody may go on: then each reply ends its turn."""
        if not self._plain:
            self._play()

    def _play(self) -> None:
        """Take what scripted policies do; the other turns are to be taken."""
        for place, turn in enumerate(self.turns):
            if turn.played is not None:
                talks = turn.purpose == "talk"
                self.replies[place] = Reply(text=turn.played) if talks else Reply(answer=turn.played)
        self.open = self._asked = [place for place, turn in enumerate(self.turns) if turn.played is None]

    def take(self, replies: Sequence[Reply | None], virtual_s: float) -> list[tuple[int, Reply]]:
        """Take in the replies of the open turns; return those that call tools, with their places."""
        calling: list[tuple[int, Reply]] = []
        self.virtual_s += virtual_s
        if self._plain:
            self.replies, self.open = list(replies), ()
            return calling
        for place, reply in zip(self.open, replies, strict=True):
            if reply is not None and reply.tool_calls and self.turns[place].tools:
                calling.append((place, reply))
            else:
                self.replies[place] = reply
        self.open = [place for place, _ in calling]
        return calling

    def go_on(self, place: int, said: str, results: Sequence[str]) -> None:
        """Let a turn go on with what its calls gave."""
        if not self.steps:
            self.steps = [()] * len(self.turns)
        self.steps[place] = (*self.steps[place], StepTaken(said, tuple(results)))
        self.turns[place] = next_step(self.society, self.turns[place])

    def due(self) -> tuple[Sequence[Turn], Sequence[tuple[StepTaken, ...]]]:
        """Return the turns of the next step, and the steps of each before it; no list of steps where none has any."""
        if len(self.open) == len(self.turns):
            return self.turns, self.steps
        steps = [self.steps[place] for place in self.open] if self.steps else []
        return [self.turns[place] for place in self.open], steps

    def refused(self, shared: bool) -> bool:
        """Return whether the budget ends the episode: it refused a turn, or with shares all of them."""
        whole = len(self._asked) == len(self.turns)
        replies = self.replies if whole else [self.replies[place] for place in self._asked]
        asked = [reply is None for reply in replies]
        return bool(asked) and (all(asked) if shared else any(asked))

    def ended(self) -> Sequence[Turn]:
        """Return the turns as the protocol planned them."""
        if not self.steps:
            return self.turns
        return [msgspec.structs.replace(turn, step=0) if turn.step else turn for turn in self.turns]
