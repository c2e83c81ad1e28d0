"""A `Router` says who hears whom in the stage that comes next, where that changes while an episode goes on.

It is a fold of the episode's events, kept with its board like any watcher, so that a replay goes the same ways.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from agentsoc.contracts.board import Board
from agentsoc.contracts.wiring import Wiring
from agentsoc.events import Event


class Router(ABC):
    """Base of the folds of topologies that change while they run."""

    def __init__(self, wiring: Wiring) -> None:
        self.wiring = wiring
        """Of the society whose edges it moves: after a fork, a board has a router for each society."""
        self.dropped: frozenset[int] = frozenset()
        """Agents who take no turn any more and are heard by nobody."""

    @abstractmethod
    def fold(self, events: Sequence[Event]) -> None:
        """Take in the events of one round, in canonical order; those of a step with calls of tools end no stage."""

    @abstractmethod
    def hears(self, board: Board, agent: int) -> tuple[int, ...]:
        """Return whom `agent` hears in the stage that comes next, in increasing order."""
