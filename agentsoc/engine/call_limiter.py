"""This module limits how many calls are in flight at once: first come, first in, at the same cost however many wait."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import NoReturn


class CallLimiter:
    """A limit on calls in flight.

    As `asyncio.Semaphore`, but a place that is given back goes straight to the first who waits: the semaphore walks
    past all whom it has woken before, which with hundreds of calls in flight is most of what a call costs.
    """

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def __aenter__(self) -> None:
        if self._free:
            self._free -= 1
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():  # it was handed over in the same step
                self._give_back()
            raise

    async def __aexit__(self, *error: object) -> None:
        self._give_back()

    def _give_back(self) -> None:
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                return
        self._free += 1


async def until_cancelled() -> NoReturn:
    """Wait in a run that is ending, which cancels whoever waits; there is no place that this takes from others."""
    await asyncio.Event().wait()
    raise AssertionError("nobody sets it")
