"""This module ends what runs in order, at the first signal or when its owner asks; it is the one home of signals."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Final

from agentsoc.engine.loop import RunEngine

GRACE_S = 4.0
"""How long calls in flight may go on after an interrupt (seconds)."""


@dataclass(eq=False)
class _Listener:
    """A listener is work that wants to be told of the first signal, in its event loop."""

    loop: asyncio.AbstractEventLoop
    stop: Callable[[], None]
    told: bool = False
    left: bool = False

    def tell(self) -> None:
        """Have `stop` called in the loop, once."""
        self.told = True
        with contextlib.suppress(RuntimeError):  # the loop has just been closed
            self.loop.call_soon_threadsafe(self._stop)

    def _stop(self) -> None:
        if not self.left:
            self.stop()


@dataclass(eq=False)
class _Layer:
    """A layer is what stood before our handler was put in its place, and the work that came while ours stood there."""

    found: Any
    listeners: list[_Listener] = field(default_factory=list)


class _Signal:
    """One signal of the process, and all who listen to it; used in the main thread alone.

    Work overlaps and ends in any order, in one event loop or in several. So the handler is put in place by whoever
    comes first, and what stood there comes back when the last one leaves. Somebody else may put a handler of their own
    over ours for a while, as a notebook does for each cell: work that comes then begins a layer, and leaves theirs
    behind.

    Python's own `signal.signal` is used and not `add_signal_handler` of the loop, which belongs to one loop, forgets
    what its owner had set there, and cannot be put back.
    """

    def __init__(self, number: signal.Signals) -> None:
        self.number = number
        self._layers: list[_Layer] = []
        self._below: Any = signal.SIG_DFL
        """What stands below the first layer, also after it: somebody may put our handler back when all have left."""
        self._let_go = False
        """Whether all have been told, so that the next signal ends the process."""
        self._passing_on = False

    def enter(self, listener: _Listener) -> None:
        """Listen until `leave`."""
        found = signal.getsignal(self.number)
        if not self._is_ours(found):
            if found is None:  # it was set by other means than Python's, which cannot put it back
                found = signal.default_int_handler if self.number == signal.SIGINT else signal.SIG_DFL
            self._layers.append(_Layer(found))
        elif not self._layers:
            self._layers.append(_Layer(self._below))
        self._below = self._layers[0].found
        self._layers[-1].listeners.append(listener)
        self._stand()

    def leave(self, listener: _Listener) -> None:
        """Listen no more; the last one of a layer puts back what stood there before."""
        if not self._layers:  # its loop was closed before it left, and all others have left since
            return
        is_ours, top = self._is_ours(signal.getsignal(self.number)), self._layers[-1]
        for layer in self._layers:
            layer.listeners = [one for one in layer.listeners if one is not listener and not one.loop.is_closed()]
        self._layers = [layer for layer in self._layers if layer.listeners]
        if is_ours and top.listeners:
            self._stand()
            return
        self._let_go = self._all_told()
        if is_ours:
            self._put(top.found)

    def let_go(self) -> None:
        """Leave the next signal to the system if all have been told: it ends the process whatever that is doing."""
        if self._is_ours(signal.getsignal(self.number)):
            self._stand()

    def _stand(self) -> None:
        self._let_go = self._all_told()
        self._put(signal.SIG_DFL if self._let_go else self._caught)

    def _all_told(self) -> bool:
        return bool(self._layers) and all(one.told for layer in self._layers for one in layer.listeners)

    def _is_ours(self, handler: Any) -> bool:
        return handler == self._caught or (self._let_go and handler == signal.SIG_DFL)

    def _put(self, handler: Any) -> None:
        with contextlib.suppress(
            ValueError
        ):  # an interpreter, or the collector in a thread, that has no say in signals
            signal.signal(self.number, handler)

    def _caught(self, number: int, frame: FrameType | None) -> None:
        listeners = [one for layer in self._layers for one in layer.listeners]
        if self._passing_on or not any(one.loop.is_running() for one in listeners):
            self._pass_on(number, frame)
            return
        for one in listeners:
            if not one.told:
                one.tell()
        for each in _SIGNALS:
            each.let_go()

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        """Do what would have happened without us: nobody who listens is at work."""
        # a handler of somebody's that calls the one it found, ours, is not called a second time
        before = self._layers[-1].found if self._layers and not self._passing_on else self._below
        if callable(before):
            self._passing_on = True
            try:
                before(number, frame)
            finally:
                self._passing_on = False
        elif before == signal.SIG_DFL:
            self._put(before)
            signal.raise_signal(self.number)


_SIGNALS: Final = (_Signal(signal.SIGINT), _Signal(signal.SIGTERM))


@contextlib.contextmanager
def first_signal(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` in the event loop at the first SIGINT or SIGTERM; a second one is not caught.

    All work that listens at that time is told. When the last of it ends, the handlers are those that stood before.
    Outside the main thread nothing is changed: whoever runs there has a way of their own.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    listener = _Listener(asyncio.get_running_loop(), stop)
    with contextlib.ExitStack() as stack:
        stack.callback(setattr, listener, "left", True)
        for each in _SIGNALS:
            each.enter(listener)
            stack.callback(each.leave, listener)
        yield


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
