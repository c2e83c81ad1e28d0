"""One workload in this process: `python -m benchmarks.work NAME [N]` prints one line of JSON.

Every workload runs through the public `run`, so its time holds what a user waits for: building the society, the
rounds, the event log on disk, the manifest. Its check looks at the log. Imports are not in the time, nor are those
that wait for a first use: networkx for graphs that are drawn, pandas (where it is installed) for pyarrow.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx  # noqa: F401 - see above
import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

import agentsoc.log.check  # noqa: F401 - a replay imports it
from agentsoc.engine.replay import replay
from agentsoc.engine.run import Run, run
from agentsoc.log.schema import SCHEMA
from agentsoc.log.segments import SegmentWriter
from agentsoc.scenario.code import load_code
from agentsoc.scenario.model import Scenario
from benchmarks import bench_phase
from benchmarks.peak import peak_mb

pa.array([0])  # pyarrow looks for pandas as it converts something for the first time
PARTS = Path(__file__).with_name("parts.py")
ROUNDS_W1, ROUNDS_W2 = 3, 10


def scenario(**blocks: Any) -> Scenario:
    """Return a scenario named "bench"."""
    load_code(PARTS)
    return Scenario.model_validate({"name": "bench", "seed": 7, **blocks})


def timed(built: Scenario, units: Callable[[Run], int], check: Callable[[Run], bool]) -> dict[str, Any]:
    """Run a scenario; return rates, size of the log and whether the check passed."""
    with tempfile.TemporaryDirectory() as scratch:
        wall, cpu = time.perf_counter(), time.process_time()
        done = run(built, Path(scratch) / "run", code_paths=[PARTS])
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        size = sum(part.stat().st_size for part in (done.directory / "events").glob("*.parquet"))
        events = done.manifest.totals.events
        return {
            "units": units(done),
            "seconds": wall,
            "cpu_s": cpu,
            "events": events,
            "bytes_per_event": size / events,
            "check": check(done),
        }


def game(n: int, model: str, games: int = 1, **engine: Any) -> Scenario:
    """W1 with `n` participants."""
    return scenario(
        tasks={"kind": "two-thirds", "count": games},
        agents={"count": n + 1, "model": model},
        topology="star",
        protocol={"kind": "announce", "rounds": ROUNDS_W1},
        engine=engine,
    )


def games(n: int, model: str, count: int, **engine: Any) -> dict[str, Any]:
    """Time W1; the moderator has to have aggregated every participant's answer in every round."""

    def check(done: Run) -> bool:
        log = done.frame()
        merges = log.filter(pl.col("agent") == 0)
        numbers = log.filter(pl.col("agent") > 0).with_columns(pl.col("answer").cast(pl.Int64))
        means = numbers.group_by("task", "round").agg(pl.col("answer").sum(), pl.len()).sort("task", "round")
        told = merges.sort("task", "round")["answer"].cast(pl.Int64).to_list()
        return means["len"].to_list() == [n] * (count * ROUNDS_W1) and told == [
            2 * total // (3 * n) for total in means["answer"].to_list()
        ]

    return timed(game(n, model, count, **engine), lambda _: n * ROUNDS_W1 * count, check)


def ballots(n: int, tasks: int, **engine: Any) -> dict[str, Any]:
    """Time a vote of simulated voters; every vote is an event, and the counts give the answers in the log."""
    built = scenario(
        tasks={"kind": "signal", "count": tasks},
        agents={"count": n, "model": {"kind": "simulated", "signal": 0.1}},
        topology="independent",
        protocol="vote",
        engine=engine,
    )

    def check(done: Run) -> bool:
        log = done.frame()
        votes = log.filter(pl.col("kind") == "propose_claim")
        right = votes.group_by("task").agg(pl.col("correct").mean()).sort("task")["correct"]
        said = log.filter(pl.col("kind") == "answer").sort("task")["correct"]
        return votes.height == n * tasks and bool(((right > 0.5) == (said == 1)).filter(right != 0.5).all())

    return timed(built, lambda _: n * tasks, check)


def talk(n: int, model: str) -> dict[str, Any]:
    """Time W2; the unit is a message that its receiver has read."""
    built = scenario(
        tasks={"kind": "chatter", "count": 1},
        agents={"count": n, "model": {"kind": "simulated", "signal": 0.0} if model == "simulated" else model},
        topology={"kind": "decentralized", "degree": 4, "shape": "regular"},
        protocol={"kind": "debate", "rounds": ROUNDS_W2 + 1},  # what is said in the last round nobody hears any more
    )

    def check(done: Run) -> bool:
        log = done.frame()
        heard = log.filter(pl.col("round").is_between(1, ROUNDS_W2)).select(pl.col("parents").list.len().sum()).item()
        if model == "simulated":
            # claims that others stand by too are cited once, so in this society of merges nothing is shared
            return bool(heard == 4 * n * ROUNDS_W2)
        last = log.filter((pl.col("round") == ROUNDS_W2) & (pl.col("agent") >= 0))["text"].str.slice(0, 12)
        return bool(heard == 4 * n * ROUNDS_W2 and (last.cast(pl.Int64) == 4 * ROUNDS_W2).all())

    return timed(built, lambda _: 4 * n * ROUNDS_W2, check)


def prompts(n: int) -> dict[str, Any]:
    """Time agents that ask a model which answers at once: prompt, JSON reply, journal, budget; two rounds of debate."""
    return timed(asked(n), lambda done: done.manifest.totals.turns, _all_asked)


def asked(n: int) -> Scenario:
    """Return a society whose agents all ask a model that answers at once."""
    return scenario(
        tasks={"kind": "sentiment", "count": 2},
        agents={"count": n, "model": {"kind": "scripted", "accuracy": 0.7}, "personas": ["careful", "quick"]},
        topology={"kind": "decentralized", "degree": 4, "shape": "regular"},
        protocol={"kind": "debate", "rounds": 2},
        budget={"tokens_per_task": 10**9},
        engine={"concurrency": 256},
    )


def _all_asked(done: Run) -> bool:
    totals = done.manifest.totals
    return totals.calls == totals.turns == sum(1 for a in done.journal() if a.state == "done") and not totals.calls_lost


def again(built: Scenario) -> dict[str, Any]:
    """Time the replay of a run that is made first."""
    with tempfile.TemporaryDirectory() as scratch:
        done = run(built, Path(scratch) / "run")
        wall, cpu = time.perf_counter(), time.process_time()
        seen = replay(done.directory)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        return {
            "units": seen.n_events,
            "seconds": wall,
            "cpu_s": cpu,
            "check": (seen.digest, seen.model_calls) == (done.manifest.digest, 0),
        }


def event_block(rows: int, first: int) -> pa.Table:
    """Return events as a busy society of talkers makes them: mixed kinds, parents, and 200 characters of text each."""
    rng = np.random.default_rng(first)
    words = np.array([f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in "nrstlm"])
    letters = rng.choice(words, size=(rows, 50))
    texts = [" ".join(line) for line in letters.tolist()]
    kinds = ["propose_claim", "revise_claim", "endorse_claim", "merge_claims", "contradict_claim"]
    n_parents = rng.integers(0, 4, rows)
    offsets = np.concatenate([[0], np.cumsum(n_parents)]).astype(np.int32)
    agent = np.arange(rows) % 1000
    round_ = (first + np.arange(rows)) // 1000 % 50
    claim = (round_.astype(np.int64) << 47) | (agent << 15)

    def coded(codes: NDArray[np.int64], names: list[str]) -> pa.DictionaryArray:
        return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(names))

    columns = {
        "task": (first + np.arange(rows)) // 50_000,
        "round": round_.astype(np.int32),
        "agent": agent,
        "k": np.zeros(rows, np.int32),
        "kind": coded(rng.integers(0, 5, rows), kinds),
        "claim": claim,
        "parents": pa.ListArray.from_arrays(pa.array(offsets), pa.array(rng.choice(claim, int(offsets[-1])))),
        "target": pa.array(rng.choice(claim, rows), mask=rng.random(rows) < 0.6),
        "subtask": pa.nulls(rows, pa.int64()),
        "subtask_parent": pa.nulls(rows, pa.int64()),
        "answer": coded(rng.integers(0, 4, rows), ["A", "B", "C", "D"]),
        "correct": rng.integers(0, 2, rows).astype(float),
        "confidence": np.round(rng.random(rows), 2),
        "text": pa.array(texts),
        "calls": np.ones(rows, np.int32),
        "tokens_in": rng.integers(200, 400, rows),
        "tokens_cached": np.zeros(rows, np.int64),
        "tokens_out": rng.integers(20, 80, rows),
        "label_source": coded(np.zeros(rows, np.int64), ["rule"]),
    }
    return pa.Table.from_arrays(
        [c if isinstance(c, pa.Array) else pa.array(c) for c in columns.values()], schema=SCHEMA
    )


def log_write(rows: int) -> dict[str, Any]:
    """Time events from columns to synced files, digests included."""
    block = min(rows, 1 << 18)
    tables = [event_block(block, start) for start in range(0, rows, block)]
    with tempfile.TemporaryDirectory() as scratch:
        writer = SegmentWriter(Path(scratch) / "events")
        wall, cpu = time.perf_counter(), time.process_time()
        for table in tables:
            writer.add_table(table)
        writer.finish()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        size = sum(part.stat().st_size for part in (Path(scratch) / "events").glob("*.parquet"))
        n = sum(table.num_rows for table in tables)
        read = pl.scan_parquet(Path(scratch) / "events" / "*.parquet").select(pl.len()).collect().item()
    return {"units": n, "seconds": wall, "cpu_s": cpu, "bytes_per_event": size / n, "check": read == n}


def log_query(rows: int) -> dict[str, Any]:
    """Time a scan with group-by over the files of a log."""
    block = event_block(1 << 18, 0)
    with tempfile.TemporaryDirectory() as scratch:
        writer = SegmentWriter(Path(scratch) / "events")
        n = 0
        while n < rows:
            writer.add_table(block)
            n += block.num_rows
        writer.finish()
        wall, cpu = time.perf_counter(), time.process_time()
        found = (
            pl.scan_parquet(Path(scratch) / "events" / "*.parquet")
            .group_by("kind")
            .agg(pl.len(), pl.col("tokens_in", "tokens_out").sum(), pl.col("correct").mean())
            .collect()
        )
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"units": n, "seconds": wall, "cpu_s": cpu, "check": found["len"].sum() == n}


def command(*words: str) -> dict[str, Any]:
    """Time a command from start to end, as the second one of a user: Python keeps compiled modules after the first."""
    program = Path(sys.executable).with_name("agentsoc")
    with tempfile.TemporaryDirectory() as scratch:
        kept = {**os.environ, "PYTHONPYCACHEPREFIX": scratch, "PYTHONDONTWRITEBYTECODE": ""}
        subprocess.run([program, *words], capture_output=True, env=kept)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        wall = time.perf_counter()
        done = subprocess.run([program, *words], capture_output=True, text=True, env=kept)
        wall = time.perf_counter() - wall
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "units": 1,
        "seconds": wall,
        "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "check": done.returncode == 0 and (words[0] != "--help" or "agentsoc" in done.stdout),
    }


def listed(n: int) -> dict[str, Any]:
    """Time the list of a folder of runs; the unit is one command, however many the runs."""
    with tempfile.TemporaryDirectory() as scratch:
        runs = Path(scratch)
        built = scenario(
            tasks={"kind": "signal", "count": 1},
            agents={"count": 2, "model": {"kind": "simulated", "signal": 0.1}},
            topology="independent",
            protocol="vote",
        )
        run(built, runs / "0")
        manifest = (runs / "0" / "manifest.json").read_bytes()
        for number in range(1, n):
            (runs / str(number)).mkdir()
            (runs / str(number) / "manifest.json").write_bytes(manifest)
        return command("ls", scratch, "--json")


RAY = {"hosts": 2, "address": "local"}
WORK: dict[str, tuple[int, Callable[[int], dict[str, Any]]]] = {
    "vote": (100_000, lambda n: ballots(n, 10)),
    "vote-once": (100_000, lambda n: ballots(n, 1)),
    "vote-ray": (100_000, lambda n: on_ray(lambda: ballots(n, 40, **RAY))),
    "w1": (100_000, lambda n: games(n, "crowd", 4)),
    "w1-once": (100_000, lambda n: games(n, "crowd", 1)),
    "w1-ray": (100_000, lambda n: on_ray(lambda: games(n, "crowd", 16, **RAY))),
    "w1-coded": (100_000, lambda n: games(n, "player", 1)),
    "w2": (50_000, lambda n: talk(n, "simulated")),
    "w2-coded": (10_000, lambda n: talk(n, "gossip")),
    "llm": (1_000, prompts),
    "replay-population": (100_000, lambda n: again(game(n, "crowd", 2))),
    "replay-coded": (50_000, lambda n: again(game(n, "player"))),
    "replay-llm": (1_000, lambda n: again(asked(n))),
    "log-write": (1 << 20, log_write),
    "log-query": (5_000_000, log_query),
    "cli-help": (1, lambda _: command("--help")),
    "cli-check": (1, lambda _: command("check", "scenarios/quickstart.yaml")),
    "cli-ls": (1_000, listed),
    **bench_phase.WORK,
}


def on_ray(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Time a workload on two Ray hosts that are up: the cluster's start is not in the time, the hosts' is."""
    ballots(1_000, 1, **RAY)
    return work()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("name", choices=[*WORK, "embedded"])
    parser.add_argument("n", type=int, nargs="?")
    args = parser.parse_args()
    if args.name == "embedded":
        from benchmarks.embedded import measure

        out = measure()
    else:
        default, work = WORK[args.name]
        out = work(args.n or default)
    print(json.dumps({**out, "peak_mb": peak_mb(), "load": os.getloadavg()[0]}))


if __name__ == "__main__":
    main()
