"""Reasoning is kept apart from the reply: however a provider sends it, journaled, and never read or passed on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from agentsoc.backends.reasoning import REASONING_CHARS, apart, with_reasoning
from agentsoc.contracts.model import Completion, Usage
from agentsoc.engine.replay import replay
from agentsoc.engine.run import run_async
from agentsoc.scenario.model import Scenario

USAGE = Usage(5, 0, 7)


@pytest.mark.parametrize(
    ("text", "said", "reasoning"),
    [
        ("heads", "heads", None),
        ("<think>It is tails. No.</think>\n\nheads", "heads", "It is tails. No."),
        ("  <Think>\na\n</Think><think>b</think> heads", "heads", "a\n\nb"),
        ("<think>cut off: tails", "", "cut off: tails"),
        ("It falls so.\n</think>\nheads", "heads", "It falls so."),
        ("heads <think>tails</think>", "heads <think>tails</think>", None),
        ("a < b, so </thinking> is no mark", "a < b, so </thinking> is no mark", None),
    ],
)
def test_reasoning_at_the_beginning_is_taken_out_of_the_text(text: str, said: str, reasoning: str | None) -> None:
    found = apart(Completion(text, USAGE))
    assert (found.text, found.reasoning) == (said, reasoning)


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_in_a_field_of_its_own_is_taken_from_there(field: str) -> None:
    assert with_reasoning(Completion("heads", USAGE), {field: "It is so.", "content": "heads"}).reasoning == "It is so."
    for nothing in ({field: None}, {field: "  "}, {field: ["x"]}, {}):
        assert with_reasoning(Completion("heads", USAGE), nothing).reasoning is None
    long = with_reasoning(Completion("heads", USAGE), {field: "x" * (REASONING_CHARS + 9)})
    assert len(long.reasoning or "") == REASONING_CHARS


@asynccontextmanager
async def server(message: dict[str, Any]) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    seen: list[dict[str, Any]] = []

    async def answer(asked: web.Request) -> web.Response:
        seen.append(await asked.json())
        usage = {"prompt_tokens": 50, "completion_tokens": 9, "total_tokens": 59}
        return web.json_response({"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage})

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}/v1", seen
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    "message",
    [
        {"content": "42 none", "reasoning_content": "SECRET thought of 43"},
        {"content": "<think>SECRET thought of 43</think>42 none"},
    ],
)
def test_no_agent_ever_sees_what_another_thought(tmp_path: Path, message: dict[str, Any]) -> None:
    async def go() -> list[dict[str, Any]]:
        async with server({"role": "assistant", **message}) as (address, seen):
            one = Scenario.model_validate(
                {
                    "name": "thinkers",
                    "tasks": {"kind": "arithmetic", "count": 1},
                    "agents": {
                        "count": 3,
                        "model": {"kind": "litellm", "name": "openai/m", "base_url": address, "structured": "none"},
                        "reply": "text",
                        "history": "all",
                    },
                    "topology": "decentralized",
                    "protocol": {"kind": "debate", "rounds": 3},
                }
            )
            done = await run_async(one, tmp_path / "run", consent=True)
            rows = list(done.journal())
            assert {row.reasoning for row in rows} == {"SECRET thought of 43"}
            assert {row.reply for row in rows} == {"42 none"}
            assert not any("SECRET" in (event.text or "") for event in done.events())
            return seen

    seen = asyncio.run(go())
    assert len(seen) == 9
    assert not any("SECRET" in str(body) for body in seen)
    assert replay(tmp_path / "run").model_calls == 0
