"""What the whole engine costs on the way to a model: its calls a second against a bare client's with the same bodies.

Run: ``python -m benchmarks.bench_engine_path`` (about two minutes; loopback only). A society votes: every agent of one
round asks a model behind a local server, as many at once as `engine.concurrency` says. Prompts, budget, journal (synced
before and after each call), reading of replies and events are in the time. Then a bare aiohttp client posts the bodies
that the run had posted, as many at once, and decodes the answers. The two take turns.

Calls are counted from the first answer on, for both: before it an engine has no more than a few calls under way, to
find out at a small price whether there is a model at all. What a whole `run` takes, from its start to its manifest, is
given beside it. The latency of the server is chosen so that neither it nor the bare client limits the rate: the bare
client's share of what is possible (calls at once / latency) says whether that is so.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import msgspec

from agentsoc.backends.litellm import LiteLLMBackend
from agentsoc.backends.openai_http import OpenAIClient
from agentsoc.contracts.model import Completion, Request
from agentsoc.engine.model_gate import FIRST_CALLS
from agentsoc.engine.run import run
from agentsoc.scenario.model import Scenario

CASES = ((64, 0.2, 30), (512, 1.0, 10))
"""Calls at once, the server's latency (seconds), and calls of a run as a multiple of those at once."""
REPEATS = 3


class Rate(NamedTuple):
    """What one pass of calls came to."""

    per_second: float
    """Calls a second from the first answer on."""
    cpu_ms: float
    """CPU time of the process for a call (milliseconds)."""
    whole: float
    """Calls a second of the pass as a whole."""


def society(base_url: str, at_once: int, calls: int) -> Scenario:
    """Return a society of which every agent makes one call, all in one round."""
    return Scenario.model_validate(
        {
            "name": "path",
            "seed": 7,
            "tasks": {"kind": "sentiment", "count": 1},
            "agents": {
                "count": calls,
                "model": {"kind": "litellm", "name": "openai/m", "base_url": base_url, "client": "lean"},
                "max_tokens": 64,
                "personas": ["You are careful.", "You are quick."],
                "reply": "json",
            },
            "topology": "independent",
            "protocol": "vote",
            "budget": {"tokens_per_task": 10**9},
            "engine": {"concurrency": at_once},
        }
    )


def of_engine(base_url: str, at_once: int, calls: int) -> tuple[Rate, list[bytes]]:
    """Run a society; return its rate and the bodies that it posted, in their order."""
    bodies: list[bytes] = []
    answers: list[float] = []
    post, complete = OpenAIClient._post, LiteLLMBackend.complete

    async def noted_post(self: OpenAIClient, url: str, body: dict[str, Any]) -> tuple[int, bytes, str | None]:
        bodies.append(msgspec.json.encode(body))
        return await post(self, url, body)

    async def noted(self: LiteLLMBackend, request: Request) -> Completion:
        completion = await complete(self, request)
        answers.append(time.perf_counter())
        return completion

    OpenAIClient._post, LiteLLMBackend.complete = noted_post, noted  # type: ignore[method-assign]
    built = society(base_url, at_once, calls)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            began, cpu = time.perf_counter(), time.process_time()
            done = run(built, Path(scratch) / "run")
            took, cpu = time.perf_counter() - began, time.process_time() - cpu
    finally:
        OpenAIClient._post, LiteLLMBackend.complete = post, complete  # type: ignore[method-assign]
    totals = done.manifest.totals
    if not (totals.calls == totals.turns == len(answers) == calls and not totals.calls_failed):
        raise RuntimeError(f"{totals.calls} calls, {totals.calls_failed} failed, and {calls} were wanted")
    counted = calls - min(FIRST_CALLS, at_once)
    return Rate(counted / (answers[-1] - answers[0]), cpu / calls * 1e3, calls / took), bodies


async def of_bare(base_url: str, at_once: int, bodies: list[bytes]) -> Rate:
    """Post bodies with a bare client and decode the answers; return its rate."""
    url, due = f"{base_url}/chat/completions", iter(bodies)

    async def call(session: aiohttp.ClientSession, body: bytes) -> str:
        async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as response:
            said: str = msgspec.json.decode(await response.read())["choices"][0]["message"]["content"]
            return said

    async def worker(session: aiohttp.ClientSession) -> None:
        for body in due:
            await call(session, body)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        began = time.perf_counter()
        await call(session, next(due))
        first, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(worker(session) for _ in range(at_once)))
        ended, cpu = time.perf_counter(), time.process_time() - cpu
    calls = len(bodies) - 1
    return Rate(calls / (ended - first), cpu / calls * 1e3, len(bodies) / (ended - began))


def case(at_once: int, latency_s: float, times: int, repeats: int) -> None:
    """Measure engine and bare client in turns and print the table."""
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.bench_llm_path", "--serve", "--latency", str(latency_s)],
        stdout=subprocess.PIPE,
        text=True,
    )
    pairs: list[tuple[Rate, Rate]] = []
    load = os.getloadavg()[0]
    try:
        assert server.stdout is not None
        base_url = f"http://127.0.0.1:{int(server.stdout.readline())}/v1"
        for _ in range(repeats):
            engine, bodies = of_engine(base_url, at_once, at_once * times)
            pairs.append((asyncio.run(of_bare(base_url, at_once, bodies)), engine))
    finally:
        server.terminate()
        server.wait()
    most = at_once / latency_s
    print(f"\n{at_once} calls at once, {latency_s * 1e3:.0f} ms each: at most {most:.0f} calls/s; ", end="")
    print(f"{at_once * times} calls, medians of {repeats}, load {load:.1f} to {os.getloadavg()[0]:.1f}")
    print(f"{'':32}{'calls/s':>9}{'of most':>9}{'of bare':>9}{'CPU ms':>8}{'whole/s':>9}")
    for name, place in (("bare aiohttp, the same bodies", 0), ("agentsoc, whole engine", 1)):
        rates = [pair[place] for pair in pairs]
        share = statistics.median(pair[place].per_second / pair[0].per_second for pair in pairs)
        per_second, cpu, whole = (statistics.median(column) for column in zip(*rates, strict=True))
        print(f"{name:32}{per_second:9.0f}{per_second / most:9.1%}{share:9.1%}{cpu:8.2f}{whole:9.0f}")


def main() -> None:
    """Measure the cases and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--only", type=int, help="calls at once of the one case to measure")
    parser.add_argument("--slower", type=float, default=1.0, help="factor of the latencies, for a machine that is busy")
    args = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start")
    for at_once, latency_s, times in CASES:
        if args.only in (None, at_once):
            case(at_once, latency_s * args.slower, times, args.repeats)


if __name__ == "__main__":
    main()
