"""An address moves below ``/v1`` when a server is found there, and not because nothing can be learned of it."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from agentsoc.backends.body import ServerHabits
from agentsoc.backends.litellm import LiteLLM
from agentsoc.contracts.model import CallError, Request

ASK = Request.of("Be brief.", "A or B?", 60, 0.5, 11)
ANSWER = {
    "id": "1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "A"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6},
}


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        way = self.server.below if self.path.startswith("/v1/") else self.server.root
        if way == "late":
            time.sleep(2.5)
            return
        if way == "cut":
            self.close_connection = True
            self.connection.shutdown(2)
            return
        data = json.dumps(ANSWER if way == "200" else {"error": {"message": "no"}}).encode()
        self.send_response(int(way))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    root, below = "404", "200"
    """What is answered at the address itself, and below ``/v1``: a status, ``late`` or ``cut``."""


@pytest.fixture
def server() -> Iterator[_Server]:
    ServerHabits.forget()
    found = _Server(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield found
    found.shutdown()
    found.server_close()
    thread.join(5)
    ServerHabits.forget()


async def _asked(server: _Server, client: str, then: tuple[str, str]) -> tuple[CallError, list[str], str, list[str]]:
    """Ask twice, the second time when the server answers as `then` says; return failure, text and what was told."""
    address = f"http://127.0.0.1:{server.server_address[1]}"
    backend = LiteLLM(name="openai/m", base_url=address, client=client, timeout_s=1.0).open(seed=0)
    await backend.start()
    try:
        with pytest.raises(CallError) as caught:
            await backend.complete(ASK)
        told = backend.take_notices()
        server.root, server.below = then
        done = await backend.complete(ASK)
        return caught.value, told, done.text, backend.take_notices()
    finally:
        await backend.close()


@pytest.mark.parametrize("client", ["lean", "litellm"])
@pytest.mark.parametrize("way", ["late", "cut", "500", "503"])
def test_an_address_below_v1_that_is_dead_is_not_moved_to(server: _Server, way: str, client: str) -> None:
    server.below = way
    failure, told, text, later = asyncio.run(_asked(server, client, ("200", "404")))
    assert failure.retryable
    assert told == later == []
    assert text == "A"


@pytest.mark.parametrize("client", ["lean", "litellm"])
@pytest.mark.parametrize("way", ["late", "503"])
def test_it_is_moved_to_when_it_answers_later(server: _Server, way: str, client: str) -> None:
    server.below = way
    _, told, text, later = asyncio.run(_asked(server, client, ("404", "200")))
    assert (told, text) == ([], "A")
    assert len(later) == 1
    assert "answers below /v1 only" in later[0]
