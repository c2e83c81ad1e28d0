"""This module waits for answers of actors as long as their cluster is there; Ray would let some of the waits hang."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from agentsoc.engine import ray_cluster
from agentsoc.errors import RunFailedError

WATCH_S = 2.0
"""How often the driver looks whether the cluster is still there (seconds)."""

T = TypeVar("T")


class Cluster:
    """The cluster that the driver has joined, watched from the making of this object, in an event loop, to `close`."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self._lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._watching = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while not self._lost.done():
            if what := await asyncio.to_thread(ray_cluster.lost):
                self._lost.set_result(what)
            await asyncio.sleep(WATCH_S)

    @property
    def gone(self) -> bool:
        """Whether the cluster is gone."""
        return self._lost.done()

    async def answer(self, reference: Awaitable[T]) -> T:
        """Await something of Ray for as long as the cluster is there.

        Raises:
            RunFailedError: it is gone.
        """
        answer = asyncio.ensure_future(reference)
        try:
            await asyncio.wait((answer, self._lost), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not answer.done():
                answer.cancel()
        if self._lost.done():
            if not answer.cancelled() and answer.done():
                answer.exception()  # heard; asyncio would print it
            raise RunFailedError(f"the Ray cluster is gone: {self._lost.result()}")
        return answer.result()

    def died(self, error: BaseException) -> bool:
        """Return whether an error says that an actor, or the node below it, died."""
        return isinstance(error, self._ray.exceptions.RayActorError | self._ray.exceptions.NodeDiedError)

    def close(self) -> None:
        """Watch no more."""
        self._watching.cancel()


def cause(error: Exception) -> str:
    """Return what went wrong, taken out of Ray's account of it."""
    inner = getattr(error, "cause", None) or error.__cause__
    if inner is not None:
        return str(inner)
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
