"""This module watches a host: it names, within seconds, an agent that blocks the event loop or never comes back."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

BLOCKED_S = 2.0
"""A loop that does not turn for this long is blocked (seconds)."""
WAITING_S = 5.0
"""A coded agent that has not answered after this long is reported (seconds)."""
_BEAT_S = 0.25
_WAITS_IN = "selectors.py"
"""Module in which an event loop waits when it has nothing to do."""


class Watchdog:
    """The watchdog watches the event loop that it was started on from a thread, which a blocked loop cannot stop."""

    def __init__(self, notice: Callable[[str], None], whose: Callable[[], str]) -> None:
        """Prepare.

        Args:
            notice: takes a line of text; called from the watching thread.
            whose: says what the host is doing, e.g. "agent 3 (task 0, round 1)".
        """
        self._notice = notice
        self._whose = whose
        self._last = time.monotonic()
        self._stop = threading.Event()
        self._beat: asyncio.Task[None] | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to watch the running loop."""
        loop_thread = threading.get_ident()
        self._last = time.monotonic()
        self._beat = asyncio.get_running_loop().create_task(self._beats())
        self._thread = threading.Thread(target=self._watch, args=(loop_thread,), daemon=True, name="watchdog")
        self._thread.start()

    def stop(self) -> None:
        """Stop watching."""
        self._stop.set()
        if self._beat is not None:
            self._beat.cancel()

    async def _beats(self) -> None:
        while True:
            self._last = time.monotonic()
            await asyncio.sleep(_BEAT_S)

    def _watch(self, loop_thread: int) -> None:
        blocked, seen = BlockedTime(), 0.0
        reported = 0.0
        while not self._stop.wait(_BEAT_S):
            blocked.tick(time.monotonic(), time.process_time())
            last = self._last
            if last != seen:
                seen = last
                blocked.begin()
            if last == reported or blocked.seconds < BLOCKED_S:
                continue
            frame = sys._current_frames().get(loop_thread)
            inner = None if frame is None else traceback.extract_stack(frame)[-1]
            if inner is not None and Path(inner.filename).name == _WAITS_IN:
                continue  # the loop waits for its turn on the processor, and nobody holds it up
            reported = last
            where = (
                "an unknown place" if inner is None else f"{inner.name} ({Path(inner.filename).name}:{inner.lineno})"
            )
            self._notice(f"{self._whose()} has blocked its host for {blocked.seconds:.1f} s in {where}")


class BlockedTime:
    """The time for which a loop has not turned, without the time in which this whole process could not run.

    On a machine that stalls, the watching thread is late as well. Of the time by which it is late, only that counts
    in which the process had the processor: somebody may have held the interpreter.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._now = time.monotonic()
        self._used = time.process_time()

    def begin(self) -> None:
        """Count from now on: the loop has turned."""
        self.seconds = 0.0

    def tick(self, now: float, used: float) -> None:
        """Take in a look at the clocks.

        Args:
            now: the time (seconds).
            used: what the process had of the processor (seconds).
        """
        passed, worked = now - self._now, used - self._used
        self._now, self._used = now, used
        in_time = min(passed, 2 * _BEAT_S)
        self.seconds += in_time + min(max(passed - in_time, 0.0), max(worked - in_time, 0.0))
