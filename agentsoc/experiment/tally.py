"""This module adds up the progress of many runs as that of one, for whoever shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from agentsoc.engine.calls import CallsInFlight
from agentsoc.engine.progress import Pace
from agentsoc.engine.run import Progress
from agentsoc.log.manifest import Totals


class Tally:
    """The tally adds up the progress of the runs under way and of those that have ended."""

    EVERY_S: ClassVar[float] = 0.2
    """How often it is brought up to date (seconds)."""

    def __init__(self, whole: Progress, n_tasks: int) -> None:
        """Begin.

        Args:
            whole: what is shown; written here.
            n_tasks: tasks of all runs.
        """
        self.whole = whole
        whole.n_tasks = n_tasks
        self.ended = 0
        self._running: dict[str, Progress] = {}
        self._told: dict[str, int] = {}
        self._done = Pace()
        self._flown = CallsInFlight()

    def begin(self, name: str) -> Progress:
        """Return the progress that a run is to fill."""
        progress = self._running[name] = Progress()
        return progress

    def end(self, name: str, totals: Totals | None) -> None:
        """Note that a run has ended, with what it came to."""
        progress = self._running.pop(name)
        self._pass_on(name, progress)
        self._flown = _together([self._flown, progress.flight])
        self._done = _sum([self._done, progress.pace if totals is None else _pace(totals)])
        self.ended += 1
        self.refresh()

    def drop(self, name: str) -> None:
        """Note that a run was lost, to be made again; nothing of it counts."""
        self._running.pop(name, None)

    def say(self, text: str) -> None:
        """Add a notice for the person who watches."""
        self.whole.notices.append(text)

    def refresh(self) -> None:
        """Bring the progress of the whole up to date."""
        running = list(self._running.items())
        for name, progress in running:
            self._pass_on(name, progress)
        self.whole.pace = _sum([self._done, *(progress.pace for _, progress in running)])
        self.whole.flight = _together([self._flown, *(progress.flight for _, progress in running)])
        ledgers = [ledger for _, progress in running for ledger in list(progress.ledgers.values())]
        self.whole.ledgers = dict(enumerate(ledgers))

    def _pass_on(self, name: str, progress: Progress) -> None:
        told = self._told.get(name, 0)
        for text in progress.notices[told:]:
            self.say(f"{name}: {text}")
        self._told[name] = len(progress.notices)


def _sum(parts: Sequence[Pace]) -> Pace:
    return Pace(
        episodes=sum(part.episodes for part in parts),
        tokens=sum(part.tokens for part in parts),
        calls_lost=sum(part.calls_lost for part in parts),
    )


def _pace(totals: Totals) -> Pace:
    return Pace(episodes=totals.episodes, tokens=totals.tokens, calls_lost=totals.calls_lost)


def _together(parts: Sequence[CallsInFlight]) -> CallsInFlight:
    return CallsInFlight(
        running=sum(part.running for part in parts),
        done=sum(part.done for part in parts),
        failed=sum(part.failed for part in parts),
        live=sum(part.live for part in parts),
    )
