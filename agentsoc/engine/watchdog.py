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
        reported = 0.0
        while not self._stop.wait(_BEAT_S):
            last = self._last
            if last == reported or time.monotonic() - last < BLOCKED_S:
                continue
            reported = last
            frame = sys._current_frames().get(loop_thread)
            where = "an unknown place"
            if frame is not None:
                inner = traceback.extract_stack(frame)[-1]
                where = f"{inner.name} ({Path(inner.filename).name}:{inner.lineno})"
            self._notice(f"{self._whose()} has blocked its host for {time.monotonic() - last:.1f} s in {where}")
