"""The lean client uses a connection again, but not one that its server may be about to end."""

from __future__ import annotations

import asyncio
from importlib.util import find_spec

import pytest

from agentsoc.backends import openai_http

pytestmark = pytest.mark.skipif(find_spec("aiohttp") is None, reason="needs the extra litellm")
BODY = {"choices": [{"message": {"content": "red"}, "finish_reason": "stop"}]}


@pytest.mark.parametrize(("idle_s", "connections"), [(60.0, 1), (0.01, 3)])
def test_a_connection_is_used_again_unless_it_was_idle_for_long(
    idle_s: float, connections: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aiohttp import web

    monkeypatch.setattr(openai_http, "IDLE_S", idle_s)
    seen: set[int] = set()

    async def answer(request: web.Request) -> web.Response:
        assert request.transport is not None
        seen.add(request.transport.get_extra_info("peername")[1])
        return web.json_response(BODY)

    async def ask() -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        client = openai_http.OpenAIClient(f"http://127.0.0.1:{runner.addresses[0][1]}/v1", None, 10.0)
        try:
            for _ in range(3):
                assert (await client.complete({"messages": []}, ())).text == "red"
                await asyncio.sleep(0.1)
        finally:
            await client.close()
            await runner.cleanup()

    asyncio.run(ask())
    assert len(seen) == connections
