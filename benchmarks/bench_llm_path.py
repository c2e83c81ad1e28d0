"""What the way to a model costs: client overhead against a server that answers after 200 ms, and the embedded model.

Run: ``python -m benchmarks.bench_llm_path`` (about a minute; loopback only). The server is a process of its own on the
same machine, so on two busy cores the rates are lower bounds; the ratio to a bare aiohttp client in the same run is
the figure to look at. Clients take turns, so that a change of the machine's load meets all of them.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import aiohttp
from aiohttp import web

from agentsoc.backends.litellm import LiteLLM
from agentsoc.backends.local import Local
from agentsoc.contracts.model import Backend, Request

LATENCY_S = 0.2
CALLS_AT_ONCE = 64
CALLS = 960
REPEATS = 3
REQUEST = Request.of(
    "You are a careful agent.", "Others said: #1 positive, #2 negative. Is it positive or negative? " * 4, 16, 0.5, 7
)
REPLY = '{"answer": "positive", "why": "The guest was pleased with the room.", "confidence": 0.9}'
ANSWER = {
    "id": "x",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": REPLY}}],
    "usage": {"prompt_tokens": 90, "completion_tokens": 1, "total_tokens": 91},
}
BODY = json.dumps(ANSWER).encode()
Call = Callable[[], Awaitable[Any]]


def serve(latency_s: float) -> None:
    """Answer every chat completion after `latency_s`; print the port first."""

    async def chat(request: web.Request) -> web.Response:
        await request.read()
        await asyncio.sleep(latency_s)
        return web.Response(body=BODY, content_type="application/json")

    async def main() -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", chat)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=2048).start()
        print(runner.addresses[0][1], flush=True)
        await asyncio.sleep(600)  # ends by itself if nobody ends it

    asyncio.run(main())


async def rate(call: Call, at_once: int, calls: int) -> tuple[float, float]:
    """Return calls per second and this process's CPU time per call (ms), `at_once` in flight all the time."""
    left = calls
    await call()
    cpu, began = time.process_time(), time.perf_counter()

    async def worker() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await call()

    await asyncio.gather(*(worker() for _ in range(at_once)))
    return calls / (time.perf_counter() - began), (time.process_time() - cpu) / calls * 1e3


async def clients(base_url: str, repeats: int, calls: int) -> dict[str, list[tuple[float, float]]]:
    """Return (calls per second, CPU ms per call) of each client and repeat."""
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    body = {
        "model": "m",
        "messages": [{"role": "system", "content": REQUEST.system}, {"role": "user", "content": REQUEST.user}],
        "max_tokens": REQUEST.max_tokens,
        "temperature": REQUEST.temperature,
        "seed": REQUEST.seed,
    }

    async def bare() -> Any:
        async with session.post(f"{base_url}/chat/completions", json=body) as response:
            return json.loads(await response.read())["choices"][0]["message"]["content"]

    models = {
        "agentsoc, lean client": LiteLLM(name="openai/m", base_url=base_url, client="lean"),
        "agentsoc, litellm hosted_vllm/": LiteLLM(name="hosted_vllm/m", base_url=base_url, client="litellm"),
        "agentsoc, litellm openai/": LiteLLM(name="openai/m", base_url=base_url, client="litellm"),
    }
    backends: dict[str, Backend] = {name: model.open(seed=0) for name, model in models.items()}
    ways: dict[str, Call] = {"bare aiohttp": bare}
    try:
        for name, backend in backends.items():
            await backend.start()
            ways[name] = lambda backend=backend: backend.complete(REQUEST)  # type: ignore[misc]
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for _ in range(repeats):
            for name, way in ways.items():
                found[name].append(await rate(way, CALLS_AT_ONCE, calls))
        return found
    finally:
        await session.close()
        for backend in backends.values():
            await backend.close()


async def embedded(calls: int) -> list[tuple[str, float, float, int]]:
    """Return (mode, calls per second, CPU ms per call, calls at once) of the embedded model, answers of one word."""
    rows = []
    for mode in ("strict", "fast"):
        backend = Local(mode=mode).open(seed=0)
        await backend.start()
        try:
            numbers = itertools.count()

            def call(backend: Backend = backend, numbers: Iterator[int] = numbers) -> Awaitable[Any]:
                text = f"Review {next(numbers)}: the hotel was dreadful. Is it positive or negative?"
                return backend.complete(Request.of("Judge.", text, 8, 0.5, 7, ("positive", "negative")))

            at_once = backend.parallel or 1
            per_second, cpu = await rate(call, at_once, calls)
            rows.append((f"embedded model, {mode}", per_second, cpu, at_once))
            if mode == "strict":
                began = time.perf_counter()
                for i in range(2_000):
                    backend.count(Request.of(REQUEST.system, f"{REQUEST.user} {i}", 8, 0.5, 7))
                print(
                    f"counting a prompt of {backend.count(REQUEST)} tokens: "
                    f"{(time.perf_counter() - began) / 2_000 * 1e6:.0f} us"
                )
        finally:
            await backend.close()
    return rows


def main() -> None:
    """Run what the command line asks for and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--latency", type=float, default=LATENCY_S, help=argparse.SUPPRESS)
    parser.add_argument("--calls", type=int, default=CALLS)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--no-model", action="store_true", help="leave out the embedded model")
    args = parser.parse_args()
    if args.serve:
        serve(args.latency)
        return
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start")
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.bench_llm_path", "--serve"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        found = asyncio.run(clients(f"http://127.0.0.1:{port}/v1", args.repeats, args.calls))
    finally:
        server.terminate()
        server.wait()
    ideal = CALLS_AT_ONCE / LATENCY_S
    print(
        f"\n{CALLS_AT_ONCE} calls at once, {LATENCY_S * 1e3:.0f} ms each: at most {ideal:.0f} calls/s; "
        f"medians of {args.repeats}, load {os.getloadavg()[0]:.1f}"
    )
    print(f"{'client':32}{'calls/s':>9}{'of bare':>9}{'CPU ms':>8}")
    reference = found["bare aiohttp"]
    for name, runs in found.items():
        ratio = statistics.median(run[0] / base[0] for run, base in zip(runs, reference, strict=True))
        per_second, cpu = (statistics.median(column) for column in zip(*runs, strict=True))
        print(f"{name:32}{per_second:9.0f}{ratio:9.1%}{cpu:8.2f}")
    if not args.no_model:
        print()
        for name, per_second, cpu, at_once in asyncio.run(embedded(40)):
            print(
                f"{name:32}{per_second:9.1f} calls/s{cpu:8.0f} ms CPU each, {at_once} at once, "
                f"load {os.getloadavg()[0]:.1f}"
            )


if __name__ == "__main__":
    main()
