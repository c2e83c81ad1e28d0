"""One piece of the scale table in this process: `python -m benchmarks.scale_work NAME N [--sleep S]`, one line of JSON.

Societies of many simulated agents with edges, AgentScope's game of guesses in three variants, and raw Ray beside it.
As in `benchmarks.work`, the time of a run is all that a user waits for, and every run is checked by its own log.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import networkx  # noqa: F401 - its import is in no time
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from agentsoc.engine.run import run
from agentsoc.scenario.model import Scenario
from agentsoc.society.build import build_society
from benchmarks.peak import peak_mb
from benchmarks.work import PARTS, ballots, game, games, scenario

pa.array([0])
ROUNDS: Final = 5
"""Rounds of talk, the first of which hears nobody."""
TOKENS: Final = 2_000
"""Budget of a task in the third variant (tokens)."""
SHAPES: Final[dict[str, dict[str, Any]]] = {
    "ring": {"kind": "ring", "neighbours": 1},
    "small-world": {"kind": "small-world", "neighbours": 2, "rewire": 0.1},
    "regular": {"kind": "decentralized", "degree": 4, "shape": "regular"},
    "tree": {"kind": "tree", "fan_in": 10},
}


def society(shape: str, n: int, tasks: int = 1) -> Scenario:
    """Return simulated voters who debate along the edges of a shape; those of a tree answer upwards."""
    return scenario(
        tasks={"kind": "signal", "count": tasks},
        agents={"count": n, "model": {"kind": "simulated", "signal": 0.1}},
        topology=SHAPES[shape],
        protocol={"kind": "aggregate"} if shape == "tree" else {"kind": "debate", "rounds": ROUNDS},
    )


def talk(shape: str, n: int) -> dict[str, Any]:
    """Time a society with edges; its log has to hold a turn of everybody in every round."""
    built = society(shape, n)
    began = time.process_time()
    build_society(built)
    create = time.process_time() - began
    rounds = 1 if shape == "tree" else ROUNDS
    with tempfile.TemporaryDirectory() as scratch:
        wall, cpu = time.perf_counter(), time.process_time()
        done = run(built, Path(scratch) / "run")
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        totals = done.manifest.totals
        size = sum(part.stat().st_size for part in (done.directory / "events").glob("*.parquet"))
        kept = sum(pq.read_metadata(part).num_rows for part in (done.directory / "events").glob("*.parquet"))
    return {
        "units": totals.turns,
        "messages": totals.deliveries,
        "seconds": wall,
        "cpu_s": cpu,
        "create_cpu_s": create,
        "events": totals.events,
        "bytes_per_event": size / totals.events,
        "check": totals.turns == n * rounds and kept == totals.events == totals.turns + 2,
    }


def fan_out(n: int, sleep: float) -> dict[str, Any]:
    """Time one round of the game with `n` random agents who each take `sleep` seconds of virtual time on average."""
    model: dict[str, Any] = {"kind": "crowd", "latency_s": sleep}
    built = game(n, "crowd").model_dump(mode="json")
    built["agents"][0]["model"] = model
    built["protocol"] = {"kind": "announce", "rounds": 1}
    scene = Scenario.model_validate(built)
    with tempfile.TemporaryDirectory() as scratch:
        wall, cpu = time.perf_counter(), time.process_time()
        done = run(scene, Path(scratch) / "run", code_paths=[PARTS])
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        said = done.frame(["agent", "answer"]).filter(pl.col("agent") > 0)["answer"].cast(pl.Int64)
        virtual = done.manifest.totals.virtual_s
    far = abs(float(said.mean() or 0) - 50.0) / (29.15 / n**0.5)  # type: ignore[arg-type]
    return {
        "units": n,
        "seconds": wall,
        "cpu_s": cpu,
        "virtual_s": virtual,
        "standard_errors_from_50": far,
        "check": len(said) == n and far < 4.5,
    }


def budgeted(n: int) -> dict[str, Any]:
    """Time agents who ask a model of no latency under a budget; what was used and what lies idle is in the manifest."""
    built = scenario(
        tasks={"kind": "sentiment", "count": 2},
        agents={"count": n, "model": {"kind": "scripted", "accuracy": 0.7}},
        topology={"kind": "decentralized", "degree": 4, "shape": "regular"},
        protocol={"kind": "debate", "rounds": 2},
        budget={"tokens_per_task": TOKENS * n},
        engine={"concurrency": 256},
    )
    with tempfile.TemporaryDirectory() as scratch:
        wall, cpu = time.perf_counter(), time.process_time()
        done = run(built, Path(scratch) / "run")
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    totals = done.manifest.totals
    assert totals.budget is not None
    return {
        "units": totals.turns,
        "tokens": totals.tokens,
        "seconds": wall,
        "cpu_s": cpu,
        "idle": 1 - totals.tokens / totals.budget,
        "check": totals.tokens <= totals.budget and totals.calls == totals.turns > 0,
    }


def by_tasks(tasks: int) -> dict[str, Any]:
    """Time a hundred voters at ever more tasks."""
    built = scenario(
        tasks={"kind": "signal", "count": tasks},
        agents={"count": 100, "model": {"kind": "simulated", "signal": 0.1}},
        topology="independent",
        protocol="vote",
    )
    return counted(built, events=tasks * 102)


def by_events(rounds: int) -> dict[str, Any]:
    """Time a society of five thousand on a ring in ever more rounds: events grow, agents and tasks do not."""
    built = society("ring", 5_000).model_dump(mode="json")
    built["protocol"] = {"kind": "debate", "rounds": rounds}
    return counted(Scenario.model_validate(built), events=5_000 * rounds + 2)


def counted(built: Scenario, events: int) -> dict[str, Any]:
    """Time a run; its files have to hold as many events as are due. They are not read, which would take more memory."""
    with tempfile.TemporaryDirectory() as scratch:
        wall, cpu = time.perf_counter(), time.process_time()
        done = run(built, Path(scratch) / "run")
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        kept = sum(pq.read_metadata(part).num_rows for part in (done.directory / "events").glob("*.parquet"))
    return {"units": kept, "seconds": wall, "cpu_s": cpu, "check": kept == events == done.manifest.totals.events}


def raw_ray(n: int) -> dict[str, Any]:
    """Time W1 as bare Ray code: two actors with half of the agents each, a batched call an actor and round, no log."""
    import random

    import ray

    class Half:
        def __init__(self, size: int, seed: int) -> None:
            self._rng, self._size = random.Random(seed), size

        def answer(self, told: float) -> tuple[int, int]:
            draw = self._rng.random
            replies = [int(draw() * (told + 1)) for _ in range(self._size)]
            return sum(replies), len(replies)

        def cpu(self) -> float:
            return time.process_time()

    with tempfile.TemporaryDirectory() as scratch:
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, _temp_dir=scratch)
        try:
            halves: list[Any] = [ray.remote(Half).remote(n // 2, seed) for seed in (1, 2)]
            before = sum(ray.get([half.cpu.remote() for half in halves]))
            wall, cpu, told, got = time.perf_counter(), time.process_time(), 100.0, 0
            for _ in range(3):
                parts = ray.get([half.answer.remote(told) for half in halves])
                total, count = sum(part[0] for part in parts), sum(part[1] for part in parts)
                told, got = 2 / 3 * total / count, got + count
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            cpu += sum(ray.get([half.cpu.remote() for half in halves])) - before
        finally:
            ray.shutdown()
    return {"units": 3 * n, "seconds": wall, "cpu_s": cpu, "check": got == 3 * (n // 2 * 2)}


WORK: Final[dict[str, Callable[[int, float], dict[str, Any]]]] = {
    "vote": lambda n, _: ballots(n, 1),
    "w1": lambda n, _: games(n, "crowd", 1),
    **{shape: (lambda n, _, shape=shape: talk(shape, n)) for shape in SHAPES},  # type: ignore[misc]
    "tasks": lambda n, _: by_tasks(n),
    "rounds": lambda n, _: by_events(n),
    "fan-out": fan_out,
    "budgeted": lambda n, _: budgeted(n),
    "raw-ray": lambda n, _: raw_ray(n),
}


def main() -> None:
    """Run one piece and print what it came to."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("name", choices=sorted(WORK))
    parser.add_argument("n", type=int)
    parser.add_argument("--sleep", type=float, default=0.0, help="mean virtual latency of a reply (seconds)")
    args = parser.parse_args()
    out = WORK[args.name](args.n, args.sleep)
    print(json.dumps({**out, "peak_mb": peak_mb(), "load": os.getloadavg()[0]}))


if __name__ == "__main__":
    main()
