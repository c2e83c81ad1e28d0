"""The deficit monitor: counts of events and merges since the last integration, and when a merge is called for.

Every cascade has a segment with t events and M merges since its start. Expansion builds pressure a t^beta; when the
deficit a t^beta - M exceeds delta, the branch heads (each agent's latest act in the cascade) are to be merged, and the
segment starts anew with t = 0 and M = 1. The monitor is the same for a log and for a society under way.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

BETA: Final = 0.6
"""Exponent of the pressure; it has no estimator, so it is an assumption."""


SYNTHESIZER: Final = -1
"""The agent whose branch head is the merge that a trigger led to."""


@dataclass(frozen=True)
class Parameters:
    """Pressure a t^beta and threshold delta of one class of conditions."""

    scale: float = 1.0
    threshold: float = 2.0
    beta: float = BETA

    def deficit(self, events: int, merges: int) -> float:
        """Return a t^beta - M for t events and M merges."""
        return self.scale * math.pow(events, self.beta) - merges


@dataclass(frozen=True)
class Brakes:
    """What keeps a monitor from firing for nothing; the defaults are those of a live one."""

    min_branches: int = 2
    """Different branch heads that a merge needs."""
    min_tce: int = 3
    """Events that the cascade must have had beyond its root."""
    cooldown_events: int = 1
    """Events of the cascade that must pass after a trigger."""
    max_triggers: int | None = None
    """Triggers per cascade; None for any number."""
    affordable: Callable[[int], bool] | None = field(default=None, compare=False)
    """Called with the number of branch heads; a trigger that it refuses does not happen."""


NO_BRAKES: Final = Brakes(min_branches=1, min_tce=0, cooldown_events=0)
"""The published monitor."""


@dataclass(frozen=True)
class Trigger:
    """One call for a merge."""

    root: int
    heads: tuple[int, ...]
    """Rows to be merged: each agent's latest in the cascade, in the order in which the agents joined; -1 stands for
    the merge of the trigger before, where nobody said which it was."""
    deficit: float
    events: int
    """t before the restart."""
    merges: int
    """M before the restart."""
    number: int
    """How many triggers this cascade has had, this one included."""


@dataclass
class _Segment:
    events: int = 0
    merges: int = 0
    total: int = 0
    triggers: int = 0
    since_trigger: int = 0
    heads: dict[int, int] = field(default_factory=dict)


class Monitor:
    """Watches one execution event by event, in constant time each; memory grows with the number of cascades."""

    def __init__(self, parameters: Parameters, brakes: Brakes = NO_BRAKES) -> None:
        self.parameters, self.brakes = parameters, brakes
        self._segments: dict[int, _Segment] = {}

    def observe(self, root: int, agent: int, row: int, *, merge: bool) -> Trigger | None:
        """Take in one act of coordination and return the trigger that it sets off, if any.

        Args:
            root: root claim of its cascade, or its own claim.
            agent: who acted.
            row: name of the act, for the branch heads.
            merge: whether it is a merge.
        """
        segment = self._segments.setdefault(root, _Segment())
        segment.heads.pop(agent, None)
        segment.heads[agent] = row
        segment.events += 1
        segment.total += 1
        segment.since_trigger += 1
        segment.merges += merge
        deficit = self.parameters.deficit(segment.events, segment.merges)
        if deficit <= self.parameters.threshold or not self._allowed(segment):
            return None
        segment.triggers += 1
        found = Trigger(root, tuple(segment.heads.values()), deficit, segment.events, segment.merges, segment.triggers)
        segment.events, segment.merges, segment.since_trigger = 0, 1, 0
        segment.heads = {SYNTHESIZER: -1}
        return found

    def integrated(self, root: int, row: int) -> None:
        """Note the merge that a trigger led to: it is the one branch head of the segment that begins with it."""
        segment = self._segments.get(root)
        if segment is not None and SYNTHESIZER in segment.heads:
            segment.heads[SYNTHESIZER] = row

    def _allowed(self, segment: _Segment) -> bool:
        """Return whether the brakes let the cascade trigger now."""
        b = self.brakes
        if len(set(segment.heads.values())) < b.min_branches or segment.total - 1 < b.min_tce:
            return False
        if segment.triggers and segment.since_trigger <= b.cooldown_events:
            return False
        if b.max_triggers is not None and segment.triggers >= b.max_triggers:
            return False
        return b.affordable is None or b.affordable(len(segment.heads))
