"""This module cuts calls off that take too long: one timer for all calls of a host, as all have the same limit.

`asyncio.timeout` sets up a timer of its own for each call, which costs more than most of what is done around one. Here
the calls under way stand in the order of their beginning, and only the first of them is watched.
"""

from __future__ import annotations

import asyncio
from types import TracebackType


class TimeLimit:
    """A limit on how long each of many calls may take: ``with limit.on_call():``, in the task that makes it."""

    def __init__(self, seconds: float) -> None:
        """Prepare.

        Args:
            seconds: the limit.
        """
        self.seconds = seconds
        self._under_way: dict[LimitedCall, None] = {}
        """In the order of their beginning."""
        self._loop: asyncio.AbstractEventLoop | None = None
        """The loop that the timer is set in; None for no timer."""

    def on_call(self) -> LimitedCall:
        """Return what holds one call to the limit."""
        return LimitedCall(self)

    def begin(self, call: LimitedCall, loop: asyncio.AbstractEventLoop) -> None:
        """Watch a call from now on."""
        call.until = loop.time() + self.seconds
        self._under_way[call] = None
        if self._loop is not loop:
            self._loop = loop
            loop.call_at(call.until, self._look, loop)

    def end(self, call: LimitedCall) -> None:
        """Watch a call no longer. The timer stays: it finds nothing then, or the next call that is due."""
        self._under_way.pop(call, None)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Cut off the calls whose time is up, and look again when that of the next one is."""
        now = loop.time()
        while self._under_way:
            call = next(iter(self._under_way))
            if call.until > now:
                loop.call_at(call.until, self._look, loop)
                return
            del self._under_way[call]
            call.cut_off()
        self._loop = None


class LimitedCall:
    """What is done within it raises `TimeoutError` when the limit has passed, as within `asyncio.timeout`."""

    __slots__ = ("_cancelled_before", "_expired", "_limit", "_task", "until")

    def __init__(self, limit: TimeLimit) -> None:
        self._limit = limit
        self._task: asyncio.Task[object] | None = None
        self._expired = False
        self._cancelled_before = 0
        self.until = 0.0
        """When it is cut off, by the clock of the loop (seconds)."""

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a time limit is for what is done in a task")
        self._task = task
        self._cancelled_before = task.cancelling()
        self._limit.begin(self, task.get_loop())

    def cut_off(self) -> None:
        """Cancel what is being done."""
        assert self._task is not None
        self._expired = True
        self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        if not self._expired:
            self._limit.end(self)
            return
        assert task is not None
        # a task that somebody else has cancelled as well stays cancelled
        if task.uncancel() <= self._cancelled_before and kind is asyncio.CancelledError:
            raise TimeoutError from error
