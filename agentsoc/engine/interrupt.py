"""This module ends what runs in order, at the first signal or when its owner asks; it is the one home of signals."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import Final

from agentsoc.engine.loop import RunEngine

GRACE_S = 4.0
"""How long calls in flight may go on after an interrupt (seconds)."""
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def first_signal(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` in the event loop at the first SIGINT or SIGTERM; a second one is not caught.

    Outside the main thread nothing is changed: whoever runs there has a way of their own.
    """
    loop = asyncio.get_running_loop()
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}

    def caught() -> None:
        stop()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    try:
        for number in _SIGNALS:
            loop.add_signal_handler(number, caught)
    except (ValueError, RuntimeError, NotImplementedError):  # not the main thread
        yield
        return
    try:
        yield
    finally:
        for number, handler in handlers.items():
            loop.remove_signal_handler(number)
            if handler is not None:
                signal.signal(number, handler)


@contextlib.contextmanager
def ended_by_signals(engine: RunEngine, notices: list[str]) -> Iterator[None]:
    """Let the first SIGINT or SIGTERM end the run in order, and say so in `notices`."""
    loop = asyncio.get_running_loop()
    ending: asyncio.Task[None] | None = None

    def stop() -> None:
        nonlocal ending
        notices.append("stopping: calls in flight may finish; interrupt again to end at once")
        ending = loop.create_task(engine.wind_down(GRACE_S))

    with first_signal(stop):
        try:
            yield
        finally:
            if ending is not None:
                ending.cancel()


@contextlib.contextmanager
def ended_by_event(engine: RunEngine, stop: asyncio.Event) -> Iterator[None]:
    """Let `stop` end the run in order; signals are its owner's business."""

    async def wind_down() -> None:
        await stop.wait()
        await engine.wind_down(GRACE_S)

    waiting = asyncio.get_running_loop().create_task(wind_down())
    try:
        yield
    finally:
        waiting.cancel()
