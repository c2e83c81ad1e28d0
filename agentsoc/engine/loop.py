"""This module runs the episodes of a scenario side by side and writes their events in the order of the tasks.

An episode is one task on its own board. Episodes run side by side, and nothing that one does can change another, but
where a protocol shows what was said elsewhere (`elsewhere.py`): then one waits for stages of another. Their events
reach the log in the order of the tasks: the log never shows who was faster.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Final

from agentsoc.contracts.board import Board
from agentsoc.engine.episode import Episode
from agentsoc.engine.run_state import RunState, ScenarioEpoch
from agentsoc.log.segments import SegmentWriter

_YOUNG_MAX = 50_000
"""New objects between two looks of the garbage collector while a run goes on."""


class RunEngine(RunState):
    """The engine runs the episodes of a scenario; after a fork, the first ones in the old scenario's epoch."""

    def __init__(self, epochs: Sequence[ScenarioEpoch], writer: SegmentWriter, boards: dict[int, Board]) -> None:
        super().__init__(epochs, writer, boards)
        self._task: asyncio.Task[Any] | None = None

    async def run(self) -> None:
        """Run all episodes, unless the run is asked to stop."""
        self._task = asyncio.current_task()
        with fewer_collections():
            await self._run()

    async def _run(self) -> None:
        scenario = self.society.scenario
        n = scenario.tasks.count
        if scenario.episodes == "sequential":
            for index in range(n):
                if self.stopping:
                    break
                await Episode(self, index).run()
            return
        # enough episodes at once to keep every call slot busy, not so many that their boards fill the memory
        slots = asyncio.Semaphore(max(2 * scenario.engine.concurrency, 32))

        async def one(index: int) -> None:
            try:
                await Episode(self, index).run()
            finally:
                slots.release()

        async with asyncio.TaskGroup() as group:
            for index in range(n):
                await slots.acquire()
                if self.stopping:
                    break
                group.create_task(one(index))

    async def wind_down(self, grace_s: float) -> None:
        """End the run in order: no new call, those in flight may finish for a while, then everything is let go.

        What is cut off stays `started` in the journal and is made again on resume.
        """
        self.stopping = True
        callers = [epoch.caller for epoch in self.epochs]
        callers += [epoch.judge.caller for epoch in self.epochs if epoch.judge is not None]
        for caller in callers:
            caller.hold()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await asyncio.gather(*(caller.idle() for caller in callers))
        await asyncio.sleep(0.05)  # replies that have just come are on their way to the journal
        if self._task is not None:
            self._task.cancel()

    def close(self) -> None:
        """Hand everything that was committed to the log, because the run ends here, whatever was under way."""
        rows = [row_so_far() for row_so_far in self.open.values()]
        self.order.close([row for row in rows if row.events])
        self.open.clear()


class _Collections:
    """The garbage collector looks less often while any run goes on; runs overlap and end in any order."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs = 0
        self._before = gc.get_threshold()

    def begin(self) -> None:
        """Let the collector look less often."""
        with self._lock:
            self._runs += 1
            if self._runs == 1:
                self._before = gc.get_threshold()
                if self._before[0]:
                    gc.set_threshold(max(self._before[0], _YOUNG_MAX), *self._before[1:])

    def end(self) -> None:
        """Put back what was set before, when no other run goes on."""
        with self._lock:
            self._runs -= 1
            if not self._runs:
                gc.set_threshold(*self._before)


_COLLECTIONS: Final = _Collections()


@contextlib.contextmanager
def fewer_collections() -> Iterator[None]:
    """Let the garbage collector look less often: what a run makes is kept by boards and logs, and has no cycles."""
    _COLLECTIONS.begin()
    try:
        yield
    finally:
        _COLLECTIONS.end()
