"""A chat-completions server on loopback whose answers differ in how their bodies come: without end, slowly, or packed.

It runs in the event loop of the test, as `FaultServer` does.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import Callable
from functools import cache
from types import TracebackType

from aiohttp import web

from tests.contract.fault_server import answer
from tests.contract.odd_server import OBJECT

BODY = json.dumps(answer(OBJECT)).encode()
START = b'{"choices": [{"message": {"content": "'
UNFOLDED_MB = 300


@cache
def bomb() -> bytes:
    """Return a body that unfolds to so many megabytes, packed by gzip."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = b"a" * (1 << 20)
    return b"".join([packer.compress(START), *(packer.compress(block) for _ in range(UNFOLDED_MB)), packer.flush()])


def _raw_deflate() -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(BODY) + packer.flush()


PACKED: dict[str, Callable[[], tuple[str, bytes]]] = {
    "gzip": lambda: ("gzip", gzip.compress(BODY)),
    "deflate": lambda: ("deflate", zlib.compress(BODY)),
    "raw deflate": lambda: ("deflate", _raw_deflate()),
    "gzip, deflate": lambda: ("gzip, deflate", zlib.compress(gzip.compress(BODY))),
    "packed": lambda: ("gzip", bomb()),
}
"""Header and body of each way to pack one."""


class HoseServer:
    """An async context manager; `base_url` is where a client finds it."""

    def __init__(self, way: str) -> None:
        self.way = way
        self.base_url = ""

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        headers = {"Content-Type": "application/json"}
        if self.way in PACKED:
            headers["Content-Encoding"], body = PACKED[self.way]()
            return web.Response(body=body, headers=headers)
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        try:
            await response.write(START)
            while True:
                await response.write(b"a" if self.way == "drip" else b"a" * 65_536)
                await asyncio.sleep(0.1 if self.way == "drip" else 0)
        except (ConnectionError, RuntimeError):  # nobody reads any more
            return response

    async def __aenter__(self) -> HoseServer:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._chat)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.base_url = f"http://{host}:{port}/v1"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()
