"""This module lets calls that want the same reply at the same time wait for the first of them, which asks for all.

It goes with a cache of replies, from which the others take what the first one got. One that waits has no place of the
model's, so nobody is held up by it. Where the first one was refused, or given up, the next one asks; where it failed
in another way, or its reply could not be kept, each of the others asks for itself, at once: failures are not shared.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Asker:
    """An asker is the call that asks for all; the others wait until it ends."""

    def __init__(self, request: bytes, askers: dict[bytes, Asker]) -> None:
        self._request, self._askers = request, askers
        self._over = asyncio.Event()
        self.was_heard = False
        """Whether the model did its work, well or badly; not of a call that was refused or given up."""

    def end(self) -> None:
        """Ask for nobody any more; once it has ended, it stays so."""
        if not self._over.is_set():
            del self._askers[self._request]
            self._over.set()

    async def ended(self) -> bool:
        """Return, when the call is over, whether the model did its work."""
        await self._over.wait()
        return self.was_heard


class SameRequests:
    """The requests of a model that are under way."""

    def __init__(self) -> None:
        self._askers: dict[bytes, Asker] = {}

    def asker(self, request: bytes) -> Asker | None:
        """Return who asks for a request, named by its hash; None when nobody does."""
        return self._askers.get(request)

    @contextmanager
    def asking(self, request: bytes) -> Iterator[Asker]:
        """Ask for a request that nobody asks for."""
        asker = self._askers[request] = Asker(request, self._askers)
        try:
            yield asker
        finally:
            asker.end()
