"""This module keeps what the agents of an episode were asked and said before, for those who are shown it again.

The driver keeps it and sends it along with a turn: it goes through all rounds of an episode on resume, on replay and in
a fork as well, so the same is there whatever became of a host.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from agentsoc.contracts.society import Society
from agentsoc.contracts.turns import Reply, StepTaken, Turn
from agentsoc.engine.attempts import EarlierTurn, PlannedTurn

ROUNDS_MAX = 256
"""Earlier turns of an agent that are kept (turns); no window holds more."""


class EarlierTurns:
    """The object keeps the turns of an episode's agents that a model took: all of them, or the last of each."""

    def __init__(self) -> None:
        self._turns: dict[int, list[EarlierTurn]] = {}

    def note(
        self,
        society: Society,
        round_: int,
        turns: Sequence[Turn],
        replies: Sequence[Reply | None],
        steps: Sequence[tuple[StepTaken, ...]] = (),
    ) -> None:
        """Take in the replies of a stage, and the steps that led to them where tools were called."""
        if society.rules.prompts == 1:
            return
        for place, (turn, reply) in enumerate(zip(turns, replies, strict=True)):
            if reply is None or reply.said is None or turn.purpose not in _REMEMBERED:
                continue
            kept = self._turns.setdefault(turn.agent, [])
            most = 1 if society.group(turn.agent).history in ("none", "last") else ROUNDS_MAX
            taken = steps[place] if steps and society.group(turn.agent).history in ("own", "all") else ()
            kept.append(EarlierTurn(round_, turn, reply.said, taken))
            del kept[:-most]

    def told(self, planned: PlannedTurn) -> PlannedTurn:
        """Return a turn with what its agent was asked and said before."""
        kept = self._turns.get(planned.turn.agent)
        if not kept or planned.turn.fresh:
            return planned
        return msgspec.structs.replace(planned, earlier=tuple(kept))


_REMEMBERED = ("answer", "work", "merge", "vote", "act", "talk")
"""Purposes of the turns in which an agent states something of its own."""
