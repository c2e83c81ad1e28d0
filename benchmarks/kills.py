"""Runs that are to be killed, in a process, against a slow HTTP server and on Ray, and the moments of their kills."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from agentsoc.cli.main import main as agentsoc
from agentsoc.engine.replay import replay
from agentsoc.log.journal import Attempt
from agentsoc.log.read import RunLog
from tests.contract.fault_server import FAULTS, FaultServer, answer
from tests.e2e.test_crash import Life
from tests.e2e.victim import ENDS, STARTS, WHENS

ROOT = Path(__file__).parent.parent
CODE = ROOT / "tests" / "data" / "billed_model.py"
MARK = "AGENTSOC_TEST_RUN"
"""Variable of the environment by which the processes of a run on Ray are found."""


FLUSHED = {"FLUSH_S": 0.02, "FLUSHES": 10**9}
"""So that a run of half a second writes segments and manifest about as often as one of minutes."""

Kill = dict[str, Any]


class SlowServer(FaultServer):
    """Answers after 5 to 60 ms, as the request's hash says; some requests always fail and some get nonsense."""

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        text = json.dumps(body, sort_keys=True)
        drawn = random.Random(hashlib.sha256(text.encode()).digest())
        self.requests.append((request.path, {}, text))
        await asyncio.sleep(drawn.uniform(0.005, 0.06))
        if drawn.random() < 0.04:
            return await FAULTS["500"](request)
        schema = body["response_format"]["json_schema"]["schema"]["properties"]
        said: dict[str, Any] = {"answer": drawn.choice(schema["answer"]["enum"]), "confidence": 0.5, "why": "drawn"}
        if "uses" in schema:
            handles = [f"#{n}" for n in range(1, schema["uses"]["maxItems"] + 1)]
            said["uses"] = drawn.sample(handles, min(2, len(handles)))
        content = "nonsense" if drawn.random() < 0.08 else json.dumps(said)
        usage = {"prompt_tokens": len(text) // 4, "completion_tokens": len(content) // 4}
        return web.json_response(answer(content, {**usage, "total_tokens": sum(usage.values())}))


@contextlib.contextmanager
def slow_server() -> Iterator[SlowServer]:
    """Yield a server that runs in a thread of its own."""
    server, loop = SlowServer(), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(30)
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


class OneProcess(Life):
    """A run in one process."""

    def replayed(self) -> tuple[str | None, int]:
        """Return the digest that a replay finds, and the calls it made."""
        found = replay(self.directory)
        return found.digest, found.model_calls


class ServedLife(OneProcess):
    """A run whose calls are counted at a server, which does not know what they are for."""

    server: SlowServer
    first = 0
    """Requests that were made by others before."""

    def calls(self) -> list[tuple[int, ...]]:
        time.sleep(0.1)  # what a dead client sent may still be read
        return [(int.from_bytes(hashlib.sha256(text.encode()).digest()),) for _, _, text in self.requests()]

    def requests(self) -> list[tuple[str, dict[str, str], Any]]:
        return self.server.requests[self.first :]


DRIVER = """
import sys
from agentsoc.cli.main import main
from agentsoc.engine import run
run.FLUSH_S, run.FLUSHES = 0.2, 10**9
if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
"""


@dataclass
class Driver:
    """A driver in a process of its own, with the little of a multiprocessing child that is asked for here."""

    popen: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def exitcode(self) -> int | None:
        return self.popen.poll()

    def is_alive(self) -> bool:
        return self.popen.poll() is None

    def join(self, seconds: float) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.popen.wait(seconds)


class RayLife(Life):
    """A run on two hosts of Ray, started and resumed by the command."""

    engine: tuple[str, ...] = ("--address", "local", "--hosts", "2")

    def start(self, verb: str, **options: Any) -> Any:
        home = self.directory.parent
        source = home / "scenario.yaml"
        source.write_text(json.dumps(options["whole"]))
        words = ["run", source, "--out", self.directory] if verb == "run" else ["resume", self.directory]
        words += ["--allow-code", CODE, "--quiet", *self.engine]
        said = (home / "said").open("ab")
        popen = subprocess.Popen(
            [sys.executable, "-c", DRIVER, *map(str, words)],
            cwd=ROOT,
            env={**os.environ, MARK: str(home), "TMPDIR": str(home), "AGENTSOC_TEST_BILL": str(self.bill)},
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        said.close()
        return Driver(popen)

    def replayed(self) -> tuple[str | None, int]:
        """Return the same, found in a process of its own: this one knows another model of the same kind."""
        words = ["replay", str(self.directory), "--json", "--allow-code", str(CODE)]
        told = subprocess.run(
            [sys.executable, "-c", DRIVER, *words], cwd=ROOT, stdout=subprocess.PIPE, timeout=120, check=False
        )
        found = json.loads(told.stdout)
        return found.get("digest"), found.get("model_calls", -1)

    def calls(self) -> list[tuple[int, ...]]:
        lines = self.bill.read_text().splitlines() if self.bill.exists() else []
        return [tuple(map(int, line.split()[-5:])) for line in lines]

    def processes_of_it(self) -> dict[int, str]:
        """Return the processes whose environment names this life, with their command lines."""
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if f"{MARK}={self.directory.parent}\0".encode() in (entry / "environ").read_bytes() + b"\0":
                    words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    if words:  # a zombie has none
                        found[int(entry.name)] = words
        return found

    def leftovers(self) -> list[int]:
        """Return what is alive ten seconds later."""
        give_up = time.monotonic() + 10
        while (found := self.processes_of_it()) and time.monotonic() < give_up:
            time.sleep(0.2)
        return list(found)


AnyLife = OneProcess | RayLife


@dataclass
class Whole:
    """The run of a kind that nobody killed."""

    log: RunLog
    seconds: float
    rows: list[Attempt]
    calls: Counter[tuple[int, ...]]
    names: list[str]


def names(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


# How each kind is killed


def checked(directory: Path) -> tuple[int, str]:
    """Return the exit code of `agentsoc check`, and what it says."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = agentsoc(["check", str(directory)])
    return code, said.getvalue()


def some_place(rng: random.Random, whole: Whole, *, start: bool) -> Kill:
    """Return a kill at a moment that is worth it; only a first one may come before the manifest."""
    kind = rng.choices(["time", "commit", "flush", "start", "end"], [30, 25 if whole.rows else 0, 20, 10 * start, 15])[
        0
    ]
    if kind == "time":
        return {"after_s": rng.uniform(0, whole.seconds)}
    if kind == "commit":
        return {"die": (rng.randint(1, 2 * len(whole.rows)), rng.choice(["before", "after"]))}
    if kind == "flush":
        return {"place": (rng.choice(["events", "manifest.json"]), rng.randint(2, 9), rng.choice(WHENS))}
    return {"place": rng.choice(STARTS if kind == "start" else ENDS)}


def anywhere(rng: random.Random, whole: Whole) -> list[Kill]:
    """Return one kill, or for every third run two."""
    kills = [some_place(rng, whole, start=True)]
    if rng.random() < 1 / 3:
        kills.append(some_place(rng, whole, start="place" in kills[0] and kills[0]["place"] in STARTS))
    return kills


def driver_or_host(rng: random.Random, whole: Whole) -> list[Kill]:
    """Return a kill of the driver or of a host, at some call; sometimes of the driver during the start, or twice."""
    n = len(whole.rows)
    drawn = rng.random()
    if drawn < 0.35:
        return [{"host_after_calls": rng.randint(1, n - 1)}]
    if drawn < 0.5:
        return [{"after_s": rng.uniform(0.5, 12.0)}]
    first = rng.randint(1, n - 1)
    kills: list[Kill] = [{"after_calls": first}]
    if drawn > 0.85:
        kills.append({"after_calls": min(first + rng.randint(1, 60), n - 1)})
    return kills


VOTERS: dict[str, Any] = {
    "name": "kills",
    "seed": 7,
    "tasks": {"kind": "signal", "count": 4_000},
    "agents": {"count": 9, "model": {"kind": "simulated", "signal": 0.3, "fidelity": 0.9, "latency_s": 0.5}},
    "topology": {"kind": "decentralized", "degree": 3},
    "protocol": {"kind": "debate", "rounds": 3},
}
SERVED: dict[str, Any] = {
    "name": "kills",
    "seed": 7,
    "tasks": {"kind": "sentiment", "count": 4},
    "agents": {"count": 5, "max_tokens": 60},
    "topology": "hybrid",
    "protocol": {"kind": "debate", "rounds": 3},
    "calls": {"backoff_s": 0.0, "attempts": 3},
    "engine": {"concurrency": 6},
}
SPREAD: dict[str, Any] = {
    "name": "kills",
    "seed": 7,
    "tasks": {"kind": "sentiment", "count": 24},
    "agents": {
        "count": 5,
        "model": {"kind": "billed", "accuracy": 0.7, "latency_s": 0.05, "fail_rate": 0.1, "fail_kind": "timeout"},
    },
    "topology": "hybrid",
    "protocol": {"kind": "debate", "rounds": 3},
    "calls": {"backoff_s": 0.0, "attempts": 8},
    "engine": {"concurrency": 6},
}
RATIONED = {**SPREAD, "agents": {**SPREAD["agents"], "max_tokens": 30}, "budget": {"tokens_per_task": 1_500}}
PAID = {"budget": {"tokens_per_task": 1_500}, "agents": {"count": 5, "max_tokens": 30}}
