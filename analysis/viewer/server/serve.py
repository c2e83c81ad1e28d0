"""This module runs the server on the loopback address until it is asked to end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from agentsoc.errors import InputError
from analysis.viewer.server.app import make_app
from analysis.viewer.server.guard import Keys
from analysis.viewer.server.places import Means

LOOPBACK: Final = "127.0.0.1"
GRACE_S: Final = 3
"""Time that answers under way are given once the server is to end (seconds)."""
AT_ONCE: Final = 64
"""Connections that are served at once."""
HEAD_S: Final = 10.0
"""Time that a request may take to arrive whole (seconds); else few who never end theirs would shut out everybody."""


class _Prompt(H11Protocol):
    """A connection that is closed where a request has begun, or is awaited for the first time, and does not arrive."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_request()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._awaited():
            self._await_request()
        elif self._late is not None:
            self._late.cancel()
            self._late = None

    def _awaited(self) -> bool:
        return self.cycle is None or self.cycle.response_complete  # type: ignore[redundant-expr]  # None at first

    def _await_request(self) -> None:
        if self._late is None:
            self._late = self.loop.call_later(HEAD_S, self._end_if_late)

    def _end_if_late(self) -> None:
        self._late = None
        if self._awaited():
            self.transport.close()


class ViewServer:
    """The server has its port once it is made, and answers from `run` on."""

    def __init__(self, root: Path, means: Means, port: int = 0) -> None:
        """Take a port; 0 for any that is free.

        Raises:
            InputError: somebody else has it.
        """
        self._socket = _bound(port)
        self.port: int = self._socket.getsockname()[1]
        self.keys = Keys(self.port)
        hosts = frozenset({f"{LOOPBACK}:{self.port}", f"localhost:{self.port}"})
        app = make_app(root, means, self.keys, hosts)
        self._server = uvicorn.Server(
            uvicorn.Config(
                app, log_level="error", access_log=False, server_header=False, date_header=False, proxy_headers=False,
                lifespan="off", ws="none", http=_Prompt, loop="asyncio", limit_concurrency=AT_ONCE,
                timeout_graceful_shutdown=GRACE_S,
            )
        )  # fmt: skip

    def address(self, token: str) -> str:
        """Return the address that opens the viewer with a token."""
        return f"http://{LOOPBACK}:{self.port}/?token={token}"

    def run(self, begun: Callable[[], None] | None = None) -> None:
        """Answer until an interrupt, or until `stop` is called from another thread."""
        if begun is not None:
            begun()
        try:
            with contextlib.suppress(KeyboardInterrupt):
                self._server.run(sockets=[self._socket])
        finally:
            self._socket.close()

    def stop(self) -> None:
        """End the server."""
        self._server.should_exit = True


def _bound(port: int) -> socket.socket:
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # else replies wait 40 ms
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((LOOPBACK, port))
        found.listen(AT_ONCE)
    except (OSError, OverflowError) as error:
        found.close()
        what = error.strerror if isinstance(error, OSError) else "no such port"
        raise InputError(f"port {port} cannot be had: {what}", "--port", "leave it out for any that is free") from None
    return found
