"""This module waits for work written with `async` from code that is not, also inside a running event loop (a notebook).

Every verb is a coroutine function (`run_async`) and a plain function that waits for it here (`run`). Where no event
loop is running, the loop is made in the calling thread, and the work listens to SIGINT and SIGTERM itself. Where one is
running, the work goes to a thread of its own, and the caller tells it about a KeyboardInterrupt.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from contextvars import ContextVar
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")

STOP: ContextVar[asyncio.Event | None] = ContextVar("agentsoc_stop", default=None)
"""Asks the work of this context to end in order; None where it listens to signals itself."""

_PATIENCE: Final = 2
"""Interrupts that the work is told of: the first ends it in order, the second at once. The next one leaves it alone."""

_LOOK_S: Final = 0.2
"""How often the caller's task is looked at for a request to end (seconds)."""


def wait_for(work: Coroutine[Any, Any, T]) -> T:
    """Carry `work` out and return its result, whether an event loop is running in this thread or not.

    What it sets in context variables stays its own; it sees those of the caller.

    Raises:
        KeyboardInterrupt: it came while a loop was running here; the work has ended in order, and its text says how.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    return _Worker(work).wait()


class _Worker(Generic[T]):
    """The worker does its work in a thread of its own, with a copy of the caller's context variables."""

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        self._work = work
        self._outcome: Future[T] = Future()
        self._interrupts = 0
        self._stop = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[T] | None = None

    def wait(self) -> T:
        """Start the thread, wait for its end and return the result."""
        interrupt: KeyboardInterrupt | None = None
        caller = asyncio.current_task()  # asyncio.run answers Ctrl-C by asking this task to end, not by an exception
        seen = 0 if caller is None else caller.cancelling()
        # daemon: one that a third interrupt left alone does not keep the process from ending
        threading.Thread(
            target=contextvars.copy_context().run, args=(self._carry_out,), name="agentsoc", daemon=True
        ).start()
        while True:
            try:
                error = self._outcome.exception(_LOOK_S)
                break
            except TimeoutError:  # this wait timed out, not the work
                if caller is not None and caller.cancelling() > seen:
                    seen, interrupt = caller.cancelling(), KeyboardInterrupt()
                    self._tell()
            except KeyboardInterrupt as pressed:
                interrupt = pressed
                if self._interrupts == _PATIENCE:
                    raise
                self._tell()
        if interrupt is not None:
            raise KeyboardInterrupt(str(error) if error is not None else "it had ended all the same") from error
        return self._outcome.result()

    def _tell(self) -> None:
        """Let the work know of an interrupt; one that comes before it has begun waits for it."""
        self._interrupts += 1
        if self._loop is None or self._task is None:
            return
        with contextlib.suppress(RuntimeError):  # the work has just ended, and its loop is closed
            self._loop.call_soon_threadsafe(self._stop.set if self._interrupts == 1 else self._task.cancel)

    def _carry_out(self) -> None:
        STOP.set(self._stop)
        try:
            self._outcome.set_result(asyncio.run(self._begin()))
        except BaseException as error:
            self._outcome.set_exception(error)

    async def _begin(self) -> T:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        if self._interrupts:
            self._stop.set()
        return await self._work
