"""A transcript is what was sent, byte for byte, as a server logged it: over all protocols, histories and repairs."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from agentsoc.backends.text import sendable
from agentsoc.contracts.protocol import PROTOCOLS
from agentsoc.engine.run import Run, run_async
from agentsoc.engine.transcript import TranscribedCall, transcript
from agentsoc.scenario.model import Scenario

BLOCKS: dict[str, dict[str, Any]] = {
    "vote": {"topology": "independent", "protocol": {"kind": "vote", "by": "judge"}},
    "aggregate": {
        "topology": {"kind": "tree", "fan_in": 2, "depth": 2}, "protocol": {"kind": "aggregate", "by": "model"},
    },
    "debate": {"topology": "decentralized", "protocol": {"kind": "debate", "rounds": 4}},
    "dag": {"topology": "decentralized", "protocol": {"kind": "dag"}},
    "tournament": {"topology": "decentralized", "protocol": {"kind": "tournament", "matches": 6, "at_once": 3}},
    "narrated-choice": {"topology": "decentralized", "protocol": {"kind": "narrated-choice"}},
    "auction": {
        "topology": "decentralized", "protocol": {"kind": "auction", "memory": "kept"}, "episodes": "sequential",
    },
    "placebo": {"topology": "decentralized", "protocol": {"kind": "placebo", "rounds": 3}},
    "orchestrate": {
        "topology": {"kind": "hybrid", "peers": 2},
        "protocol": {"kind": "orchestrate", "rounds": 2, "guidance": "each"},
        "tasks": {"kind": "parts", "count": 2},
    },
    "experts": {
        "topology": "star",
        "protocol": {"kind": "experts", "asks": 2, "decision": "lead"},
        "tasks": {"kind": "library", "count": 2},
    },
    "play": {
        "topology": "decentralized",
        "protocol": {"kind": "play", "talk": 1},
        "tasks": {"kind": "episodes", "count": 2, "environment": {"kind": "commons", "rounds": 2}},
    },
    "dti": {
        "topology": "decentralized",
        "protocol": {"kind": "dti", "protocol": {"kind": "debate", "rounds": 3}},
    },
    "resample": {"topology": "independent", "protocol": {"kind": "resample"}},
    "relay": {"topology": "chain", "protocol": {"kind": "relay"}},
    "moa": {"topology": "decentralized", "protocol": {"kind": "moa", "layers": 2}},
    "refine": {"topology": "chain", "protocol": {"kind": "refine", "rounds": 2, "critic": "other"}},
    "roles": {
        "topology": "chain",
        "protocol": {
            "kind": "roles",
            "stages": [
                {"name": "plan", "agent": 0, "asks": "Say what to do."},
                {"name": "work", "agent": 1, "asks": "Do it.", "reads": ["plan"]},
                {"name": "review", "agent": 2, "asks": "Is it right?", "checks": "work"},
                {"name": "answer", "agent": 1, "asks": "Give the result.", "reads": ["work"]},
            ],
        },
    },
}  # fmt: skip


@asynccontextmanager
async def logging_server() -> AsyncIterator[tuple[str, list[tuple[dict[str, Any], str]]]]:
    """Give the address of a server that logs what it is sent with what it says, which fits the form asked for."""
    log: list[tuple[dict[str, Any], str]] = []

    async def answer(asked: web.Request) -> web.Response:
        body = await asked.json()
        text = said(body, len(log))
        log.append((body, text))
        usage = {"prompt_tokens": 40 + len(log), "completion_tokens": 9, "total_tokens": 49 + len(log)}
        message = {"role": "assistant", "content": text, "reasoning_content": f"thought {len(log)}"}
        return web.json_response({"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage})

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}/v1", log
    finally:
        await runner.cleanup()


def said(body: dict[str, Any], number: int) -> str:
    """Return a reply in the form of the schema; now and then one that breaks it, so that there are repairs."""
    if number % 7 == 6:
        return "I would rather\n  not say."
    if "response_format" not in body:  # words to the others
        return f"Let us take\n  {number} at most."
    schema = body["response_format"]["json_schema"]["schema"]
    return json.dumps({name: value(name, part, number) for name, part in schema["properties"].items()})


def value(name: str, part: dict[str, Any], number: int) -> Any:
    if "enum" in part:
        return part["enum"][number % len(part["enum"])]
    kind = part["type"]
    if kind == "array":
        if name == "subtasks":
            return [{"to": agent, "task": "look\n  there"} for agent in range(8)]
        return [part["items"]["enum"][number % len(part["items"]["enum"])]]
    return {"boolean": number % 2 == 0, "integer": number, "number": 0.5}.get(kind, f"{number}")


def scenario(name: str, address: str, **group: Any) -> Scenario:
    model = {"kind": "litellm", "name": "openai/m", "base_url": address, "window": 6_000}
    blocks = {"tasks": {"kind": "multiple-choice", "count": 2}, **BLOCKS[name]}
    agents = {"model": model, "reply": "json", **group}
    if BLOCKS[name]["topology"] in ("independent", "decentralized", "chain", "star"):
        agents["count"] = 4
    elif name == "orchestrate":
        agents["count"] = 5
    return Scenario.model_validate({"name": name, "seed": 3, "agents": agents, "calls": {"backoff_s": 0}, **blocks})


def body_of(call: TranscribedCall) -> tuple[str, int, float, int]:
    request = call.request
    return json.dumps(sendable(request.messages)), request.max_tokens, request.temperature, request.seed


def test_every_protocol_has_its_row() -> None:
    # the server writes no lines of work; a transcript of `manager` is in unit/test_manager.py
    assert set(BLOCKS) == set(PROTOCOLS.entries(PROTOCOLS.group)) - {"manager"}


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("group", [{}, {"history": "all", "iterations": 2}], ids=["plain", "history"])
def test_a_transcript_is_what_the_server_was_sent(tmp_path: Path, name: str, group: dict[str, Any]) -> None:
    async def go() -> list[tuple[dict[str, Any], str]]:
        async with logging_server() as (address, log):
            await run_async(scenario(name, address, **group), tmp_path / "run", consent=True)
            return log

    log = asyncio.run(go())
    calls = [call for task in range(2) for call in Run(tmp_path / "run").transcript(task)]
    assert all(call.same for call in calls)
    sent = Counter(
        (json.dumps(body["messages"]), body["max_tokens"], body["temperature"], body["seed"], text)
        for body, text in log
    )
    assert Counter((*body_of(call), call.outcome.reply) for call in calls) == sent
    for call in calls:
        assert (call.outcome.reasoning or "").startswith("thought ")
        assert (call.reply is None) == (call.fault is not None)
        json.dumps(call.plain())
    assert any(call.fault for call in calls)


def test_a_transcript_may_be_of_one_agent(tmp_path: Path) -> None:
    async def go() -> None:
        async with logging_server() as (address, _):
            await run_async(scenario("debate", address), tmp_path / "run", consent=True)

    asyncio.run(go())
    whole = transcript(tmp_path / "run", 1)
    assert transcript(tmp_path / "run", 1, 2) == [call for call in whole if call.agent == 2] != []
