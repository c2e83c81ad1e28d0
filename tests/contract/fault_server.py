"""A chat-completions server on loopback that misbehaves as told: what a slow, broken or hostile provider may send.

It runs in the event loop of the test. `FaultServer.script` is a list of names of faults, taken one per request; when
it is used up the server answers well. `requests` keeps what was asked (path, headers, decoded body), so a test can
count attempts and look for what should not have been sent.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any

from aiohttp import web

CONTENT = "forty-two"
"""What a healthy answer says."""
BIG = 5_000_000
"""Size of the big reply (characters)."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def answer(
    content: str | None = CONTENT, usage: dict[str, Any] | str | None = "default", finish: str = "stop", **message: Any
) -> dict[str, Any]:
    """Return the body of a chat completion; `usage` None leaves it out."""
    body: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content, **message}}
        ],
    }
    if usage == "default":
        usage = {"prompt_tokens": 20, "completion_tokens": 3, "total_tokens": 23}
    if usage is not None:
        body["usage"] = usage
    return body


def error(message: str, code: str | None = None) -> dict[str, Any]:
    """Return the body of an error in the OpenAI format."""
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}


def _fixed(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status, headers=headers)

    return handle


def _raw(text: str, status: int = 200, kind: str = "application/json") -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        return web.Response(text=text, status=status, content_type=kind)

    return handle


async def _hang(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(30)
    return web.json_response(answer())


async def _half_body(request: web.Request) -> web.StreamResponse:
    body = json.dumps(answer()).encode()
    response = web.StreamResponse(headers={"Content-Length": str(len(body)), "Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    assert request.transport is not None
    request.transport.abort()
    return response


async def _no_answer(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def _endless(request: web.Request) -> web.StreamResponse:
    """A body without end: only a limit on what is read stops it."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    try:
        await response.write(b'{"choices": [{"message": {"content": "')
        for _ in range(400):
            await response.write(b"a" * 65_536)
    except (ConnectionError, RuntimeError):
        pass
    return response


async def _echo_secrets(request: web.Request) -> web.StreamResponse:
    """An error page that repeats the key it was sent, as some gateways do."""
    key = request.headers.get("Authorization", "")
    return web.json_response(error(f"key not accepted: {key}"), status=401, headers={"X-Echo": key})


FAULTS: dict[str, Handler] = {
    "ok": _fixed(answer()),
    "429": _fixed(error("slow down"), 429),
    "429-after-2": _fixed(error("slow down"), 429, {"Retry-After": "2"}),
    "429-after-date": _fixed(error("slow down"), 429, {"Retry-After": "Thu, 01 Jan 2099 00:00:00 GMT"}),
    "429-quota": _fixed(error("You exceeded your current quota", "insufficient_quota"), 429),
    "500": _fixed(error("boom"), 500),
    "503-after-1": _fixed(error("overloaded"), 503, {"Retry-After": "1"}),
    "400": _fixed(error("bad parameter"), 400),
    "400-context": _fixed(
        error(
            "This model's maximum context length is 100 tokens. However, your messages resulted in 200 tokens.",
            "context_length_exceeded",
        ),
        400,
    ),
    "401": _fixed(error("no such key"), 401),
    "401-echo": _echo_secrets,
    "403": _fixed(error("not for you"), 403),
    "404": _fixed(error("no such model"), 404),
    "422": _fixed(error("unprocessable"), 422),
    "hang": _hang,
    "half-body": _half_body,
    "no-answer": _no_answer,
    "html-200": _raw("<html><body>Welcome to the hotel network</body></html>", kind="text/html"),
    "html-502": _raw("<html><body>502 Bad Gateway</body></html>", 502, "text/html"),
    "empty-body": _raw(""),
    "invalid-json": _raw('{"choices": [{"message": {"content": "x"'),
    "json-list": _raw("[1, 2]"),
    "json-null": _raw("null"),
    "json-nested": _raw("[" * 100_000),
    "error-200": _fixed(error("failed inside")),
    "empty-choices": _fixed({**answer(), "choices": []}),
    "no-choices": _fixed({"id": "x", "object": "chat.completion"}),
    "null-message": _fixed({**answer(), "choices": [{"index": 0, "finish_reason": "stop", "message": None}]}),
    "null-content": _fixed(answer(None)),
    "empty-content": _fixed(answer("")),
    "number-content": _fixed(answer(42)),  # type: ignore[arg-type]
    "refusal": _fixed(answer(None, refusal="I would rather not.")),
    "length": _fixed(answer("cut", finish="length")),
    "filtered": _fixed(answer("part of", finish="content_filter")),
    "no-usage": _fixed(answer(usage=None)),
    "null-usage": _raw(json.dumps({**answer(), "usage": None})),
    "zero-usage": _fixed(answer(usage={"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0})),
    "negative-usage": _fixed(answer(usage={"prompt_tokens": -5, "completion_tokens": 3, "total_tokens": -2})),
    "absurd-usage": _fixed(answer(usage={"prompt_tokens": 10**15, "completion_tokens": 3, "total_tokens": 10**15 + 3})),
    "cached-usage": _fixed(
        answer(
            usage={
                "prompt_tokens": 20,
                "completion_tokens": 9,
                "total_tokens": 29,
                "prompt_tokens_details": {"cached_tokens": 16},
                "completion_tokens_details": {"reasoning_tokens": 6},
            }
        )
    ),
    "big": _fixed(answer("a" * BIG)),
    "endless": _endless,
    "surrogate": _raw(json.dumps(answer("a\ud800b"))),
    "control": _raw(json.dumps(answer("a\x00\x1b[31mb"))),
}


class FaultServer:
    """An async context manager; `base_url` is where a client finds it."""

    def __init__(self, *script: str, default: str = "ok") -> None:
        self.script, self.default = list(script), default
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.in_flight = 0
        self.base_url = ""

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.path, dict(request.headers), await request.json()))
        fault = self.script.pop(0) if self.script else self.default
        self.in_flight += 1
        try:
            return await FAULTS[fault](request)
        finally:
            self.in_flight -= 1

    async def __aenter__(self) -> FaultServer:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._chat)
        # requests are cancelled when their client goes away, so a hanging one does not outlive its test
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.base_url = f"http://{host}:{port}/v1"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()
