"""A chat-completions server on loopback with the habits of real providers, one small handler for each.

The model's name chooses the habit. The server has a thread and an event loop of its own, so that commands and plain
functions can be tested against it; `OddServer.calls` has what was asked, and `OddServer.well` makes every habit of
refusing end, as when a provider recovers or somebody mends a key.
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from types import TracebackType
from typing import Any

from aiohttp import web

OBJECT = '{"answer": "B", "why": "it follows"}'
Answer = tuple[int, Any, dict[str, str]]
Habit = Callable[["OddServer", dict[str, Any]], Answer]
HABITS: dict[str, Habit] = {}


def habit(name: str) -> Callable[[Habit], Habit]:
    def keep(handler: Habit) -> Habit:
        HABITS[name] = handler
        return handler

    return keep


def said(content: Any, usage: dict[str, Any] | None = None, **more: Any) -> Answer:
    """Return a chat completion; `usage` None stands for 50 tokens in and 12 out."""
    counted = usage or {"prompt_tokens": 50, "completion_tokens": 12, "total_tokens": 62}
    message = {"role": "assistant", "content": content, **more}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    return 200, {"object": "chat.completion", "choices": [choice], "usage": counted}, {}


def refused(status: int, text: str, **headers: str) -> Answer:
    return status, {"error": {"message": text}}, {name.replace("_", "-"): value for name, value in headers.items()}


def _by_seed(body: dict[str, Any]) -> Answer:
    right = random.Random(int(body.get("seed", 0))).random() < 0.7
    return said(json.dumps({"answer": "B" if right else "A", "why": "a guess"}))


@habit("voter")
def _voter(server: OddServer, body: dict[str, Any]) -> Answer:
    """Right in 7 of 10, by the seed alone."""
    return _by_seed(body)


@habit("limited")
def _limited(server: OddServer, body: dict[str, Any]) -> Answer:
    """A voter of which `server.per_window` may be asked in `server.window_s`."""
    now = time.monotonic()
    while server.served and now - server.served[0] >= server.window_s:
        server.served.popleft()
    if len(server.served) >= server.per_window:
        return refused(429, "slow down", Retry_After=f"{server.window_s:g}")
    server.served.append(now)
    return _by_seed(body)


@habit("missing")
def _missing(server: OddServer, body: dict[str, Any]) -> Answer:
    return _by_seed(body) if server.well else refused(404, "there is no such model")


@habit("key")
def _key(server: OddServer, body: dict[str, Any]) -> Answer:
    return _by_seed(body) if server.well else refused(401, "this key is not known")


@habit("down")
def _down(server: OddServer, body: dict[str, Any]) -> Answer:
    return _by_seed(body) if server.well else refused(503, "maintenance")


@habit("outage")
def _outage(server: OddServer, body: dict[str, Any]) -> Answer:
    """Down for a while after the first `server.before` answers."""
    if len(server.calls) <= server.before:
        return _by_seed(body)
    if server.down_since is None:
        server.down_since = time.monotonic()
    if time.monotonic() - server.down_since < server.outage_s:
        return refused(503, "maintenance")
    return _by_seed(body)


@habit("revoked")
def _revoked(server: OddServer, body: dict[str, Any]) -> Answer:
    """Answers `server.before` times; then its key is no longer good."""
    return _by_seed(body) if server.well or len(server.calls) <= server.before else refused(403, "key revoked")


@habit("flaky")
def _flaky(server: OddServer, body: dict[str, Any]) -> Answer:
    """Breaks on every third seed, however often it is asked."""
    if int(body.get("seed", 0)) % 3 == 0 and not server.well:
        return refused(500, "internal error")
    return _by_seed(body)


@habit("caller")
def _caller(server: OddServer, body: dict[str, Any]) -> Answer:
    """Calls the first tool that it is told of, once, and then answers with the last thing it was told."""
    if "tools" not in body or len(body["messages"]) > 2:
        told = str(body["messages"][-1]["content"]).splitlines()[0]
        return said(json.dumps({"answer": told, "why": "I was told"}))
    function = {"name": body["tools"][0]["function"]["name"], "arguments": '{"expression": "6 * 7"}'}
    return said(None, tool_calls=[{"id": "call-1", "type": "function", "function": function}])


@habit("html")
def _html(server: OddServer, body: dict[str, Any]) -> Answer:
    return 502, "<html><head><title>oops</title></head><body>bad gateway</body></html>", {}


@habit("reasoner")
def _reasoner(server: OddServer, body: dict[str, Any]) -> Answer:
    for name, more in (("max_tokens", ", use 'max_completion_tokens' instead"), ("temperature", "")):
        if name in body:
            return refused(400, f"Unsupported parameter: '{name}' is not supported with this model{more}")
    return said(OBJECT)


@habit("noseed")
def _noseed(server: OddServer, body: dict[str, Any]) -> Answer:
    return refused(422, "seed: Extra inputs are not permitted") if "seed" in body else said(OBJECT)


@habit("noschema")
def _noschema(server: OddServer, body: dict[str, Any]) -> Answer:
    asked = body.get("response_format", {}).get("type")
    return refused(400, "This response_format type is unavailable now") if asked == "json_schema" else said(OBJECT)


@habit("noformat")
def _noformat(server: OddServer, body: dict[str, Any]) -> Answer:
    return refused(400, "unknown field: response_format") if "response_format" in body else said(OBJECT)


@habit("nocap")
def _nocap(server: OddServer, body: dict[str, Any]) -> Answer:
    """Knows the output cap by a name of its own only."""
    for name in ("max_tokens", "max_completion_tokens"):
        if name in body:
            return refused(400, f"unknown parameter {name}")
    return said(OBJECT)


@habit("error200")
def _error200(server: OddServer, body: dict[str, Any]) -> Answer:
    return 200, {"error": {"message": "overloaded", "code": 502}}, {}


@habit("prose")
def _prose(server: OddServer, body: dict[str, Any]) -> Answer:
    """Thinks aloud whatever form is asked for, and ends with the answer alone."""
    return said("Option A comes first, so it is not A. Therefore it is the other one.\n\nB")


@habit("version")
def _version(server: OddServer, body: dict[str, Any]) -> Answer:
    """Another version of the model answers from the third call on."""
    status, data, headers = said(OBJECT)
    return status, {**data, "model": "m-0301" if len(server.calls) < 3 else "m-0613"}, headers


FIXED: dict[str, Answer] = {
    "plain": said(OBJECT),
    "think": said("<think>\nThe form is {answer, why}.\n</think>\n\n" + OBJECT),
    "half-think": said("The form is {answer, why}.\n</think>\n\n" + OBJECT),
    "reasoning": said("", reasoning_content=OBJECT),
    "aloud": said(OBJECT, reasoning_content="Let me see. It must be B."),
    "parts": said([{"type": "text", "text": OBJECT[:10]}, {"type": "text", "text": OBJECT[10:]}]),
    "refusal": said(None, refusal="I cannot help with that."),
    "deepseek": said(
        OBJECT,
        {"prompt_tokens": 50, "completion_tokens": 12, "prompt_cache_hit_tokens": 40, "prompt_cache_miss_tokens": 10},
    ),
    "anthropic": said(OBJECT, {"input_tokens": 50, "output_tokens": 12}),
    "anthropic-cached": said(
        OBJECT,
        {"input_tokens": 10, "output_tokens": 12, "cache_read_input_tokens": 35, "cache_creation_input_tokens": 5},
    ),
    "floats": said(OBJECT, {"prompt_tokens": 50.0, "completion_tokens": 12.0, "total_tokens": 62.0}),
}
"""Habits that answer the same whatever is asked."""


class OddServer:
    """A context manager; `base_url` is where a client finds it."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.calls: list[dict[str, Any]] = []
        """Bodies of all requests to a path that exists, in the order of their coming."""
        self.statuses: Counter[int] = Counter()
        self.well = False
        self.served: deque[float] = deque()
        self.window_s, self.per_window = 1.0, 6
        self.before, self.outage_s = 0, 0.0
        self.down_since: float | None = None
        self.author: str | None = None
        """Name that answers give for the model that wrote them; None for none."""

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        return f"{self.root}/v1"

    async def _chat(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.calls.append(body)
        name = body["model"]
        status, data, headers = FIXED[name] if name in FIXED else HABITS[name](self, body)
        self.statuses[status] += 1
        if self.author is not None and status == 200:
            data = {**data, "model": self.author}
        if isinstance(data, str):
            return web.Response(status=status, text=data, content_type="text/html")
        return web.json_response(data, status=status, headers=headers)

    def _serve(self) -> None:
        self._loop = asyncio.new_event_loop()
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._chat)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        self._loop.run_until_complete(runner.setup())
        self._loop.run_until_complete(web.TCPSite(runner, "127.0.0.1", self.port).start())
        self.port = runner.addresses[0][1]
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    def __enter__(self) -> OddServer:
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
