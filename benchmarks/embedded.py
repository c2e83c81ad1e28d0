"""The embedded model: what a run asks of it, against the same requests put to its servers without the engine."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

from agentsoc.backends.local import LocalBackend
from agentsoc.contracts.model import Completion, Request
from agentsoc.engine.run import run
from agentsoc.scenario.model import Scenario

TASKS, AGENTS = 6, 8


def measure(turns_about: int = 3) -> dict[str, Any]:
    """Return seconds of the calls in a run, and of the bare server with the same requests, taking turns.

    Both count from the first request to the last answer: loading the model is in neither.
    """
    pairs = [_pair(seed) for seed in range(turns_about)]
    engine, bare = (sum(pair[i] for pair in pairs) for i in (0, 1))
    return {
        "units": TASKS * AGENTS * turns_about,
        "seconds": engine,
        "bare_seconds": bare,
        "share_of_bare": sorted(b / e for e, b, _ in pairs)[len(pairs) // 2],
        "cpu_s": time.process_time(),
        "check": all(same for *_, same in pairs),
    }


def _pair(seed: int) -> tuple[float, float, bool]:
    asked: list[tuple[Request, str]] = []
    times: list[float] = []
    complete = LocalBackend.complete

    async def noted(self: LocalBackend, request: Request) -> Completion:
        times.append(time.perf_counter())
        completion = await complete(self, request)
        times.append(time.perf_counter())
        asked.append((request, completion.text))
        return completion

    built = Scenario.model_validate(
        {
            "name": "embedded",
            "seed": seed,
            "tasks": {"kind": "sentiment", "count": TASKS},
            "agents": {"count": AGENTS, "model": "local", "max_tokens": 16},
            "topology": "independent",
            "protocol": "vote",
            "budget": {"tokens_per_task": 10_000},
        }
    )
    LocalBackend.complete = noted  # type: ignore[method-assign]
    try:
        with tempfile.TemporaryDirectory() as scratch:
            run(built, Path(scratch) / "run")
    finally:
        LocalBackend.complete = complete  # type: ignore[method-assign]
    engine = max(times) - min(times)
    bare, texts = asyncio.run(_bare(built, [request for request, _ in asked]))
    return engine, bare, texts == [text for _, text in asked]


async def _bare(built: Scenario, requests: list[Request]) -> tuple[float, list[str]]:
    backend = built.agents[0].model.open(seed=built.seed)
    await backend.start()
    texts = [""] * len(requests)
    due = iter(range(len(requests)))

    async def worker() -> None:
        for i in due:
            texts[i] = (await backend.complete(requests[i])).text

    try:
        began = time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(backend.parallel or 1)))
        return time.perf_counter() - began, texts
    finally:
        await backend.close()
