"""Does `check` find every change of a run, or is the change one that no reader sees? Run by hand::

    python -m benchmarks.study_damage [--mutations 10000] [--seed 1] [--processes 2]

Four real runs (journaled turn by turn; simulated, of several segments; with files, prices and a budget; interrupted)
are changed in one place or a few, one mutation at a time, each drawn by the seed. For each: `RunLog.check` raises
`LogDamagedError` (found), or it says what it could not check, which it did not say of the original (told), or every
reader, with and without our checks, returns what the original returns (harmless).
Anything else is a miss: another value, an exception that is not ours, a process that ends. Prints how many of each.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import random
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from agentsoc.engine import execute as execute_module
from agentsoc.engine.run import run, run_async
from agentsoc.errors import AgentsocError, InterruptedRunError, LogDamagedError
from agentsoc.log.manifest import NAME, SEAL, seal
from agentsoc.log.read import RunLog
from agentsoc.log.record import record_bytes
from agentsoc.scenario.files import BASE_DIR
from agentsoc.scenario.model import Scenario

KINDS = ("journaled", "simulated", "with files", "interrupted")


def scenario(**changes: Any) -> Scenario:
    """Return a small scenario of installed parts."""
    parts: dict[str, Any] = {
        "name": "damage",
        "seed": 7,
        "tasks": {"kind": "comparison", "count": 6},
        "agents": {"count": 4, "model": {"kind": "scripted", "accuracy": 0.7}},
        "topology": "star",
        "protocol": {"kind": "debate", "rounds": 2},
        "engine": {"concurrency": 4},
    }
    return Scenario.model_validate({**parts, **changes})


def build(base: Path) -> dict[str, Path]:
    """Make the four runs in `base`."""
    runs = {kind: base / kind.replace(" ", "-") for kind in KINDS}
    run(scenario(), runs["journaled"])
    kept = execute_module.FLUSH_S
    execute_module.FLUSH_S = 0.0005
    try:
        simulated = {"kind": "simulated", "signal": 0.4, "fidelity": 0.9, "latency_s": 0.5}
        run(
            scenario(tasks={"kind": "signal", "count": 2000}, agents={"model": simulated},
                     topology={"kind": "tree", "fan_in": 3, "depth": 2}, protocol="aggregate"),
            runs["simulated"],
        )  # fmt: skip
    finally:
        execute_module.FLUSH_S = kept
    (base / "edges.csv").write_text("0,1\n0,2\n0,3\n1,0\n2,0\n3,0\n")
    token = BASE_DIR.set(base)
    run(
        scenario(topology={"kind": "custom", "file": "edges.csv"}, budget={"tokens_per_task": 1500},
                 prices={"scripted": {"input": 1, "output": 2}}),
        runs["with files"],
    )  # fmt: skip
    BASE_DIR.reset(token)
    asyncio.run(_interrupted(runs["interrupted"]))
    return runs


async def _interrupted(directory: Path) -> None:
    stop = asyncio.Event()
    slow = {"count": 4, "model": {"kind": "scripted", "latency_s": 0.02}}
    work = asyncio.create_task(
        run_async(scenario(agents=slow, tasks={"kind": "comparison", "count": 60}), directory, stop=stop)
    )
    await asyncio.sleep(0.6)
    stop.set()
    with contextlib.suppress(InterruptedRunError):
        await work
    assert RunLog(directory).manifest.status == "interrupted"


# What readers see


def _readers(directory: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
    log = RunLog(directory)
    yield "manifest", lambda: log.manifest.model_dump(mode="json")
    yield "events", lambda: list(log.events())
    yield "frame", lambda: log.frame().rows()
    yield "some columns", lambda: log.frame(["task", "agent", "correct"]).rows()
    yield "scan", lambda: log.scan().collect().rows()
    yield "tables", lambda: [row for table in log.tables() for row in table.to_pylist()]
    yield "tasks", lambda: log.tasks().rows()
    yield "episodes", lambda: None if (found := log.episodes()) is None else found.rows()
    yield "journal", lambda: list(log.journal())
    scan = pl.scan_parquet(f"{directory}/events/*.parquet")
    yield "polars", lambda: scan.collect().rows()
    yield (
        "polars, filtered",
        lambda: (
            scan.filter(pl.col("agent") >= 0)
            .group_by("task")
            .agg(pl.col("tokens_out").sum())
            .sort("task")
            .collect()
            .rows()
        ),
    )


def seen(directory: Path) -> dict[str, str]:
    """Return a hash of what each reader gives, or the name of the error of ours that it raises."""
    found = {}
    for name, read in _readers(directory):
        try:
            found[name] = hashlib.sha256(repr(read()).encode("utf-8", "backslashreplace")).hexdigest()
        except AgentsocError as error:
            found[name] = f"refused: {type(error).__name__}"
    return found


# Mutations: each changes a copy and says in a few words what it did


def _files(directory: Path) -> list[Path]:
    """Return the files that hold anything of a run; a lock means nothing when nobody writes."""
    return sorted(p for p in directory.rglob("*") if p.is_file() and p.name not in ("run.lock", ".holder.json"))


def _flip(at: Path, runs: dict[str, Path], draw: random.Random) -> None:
    raw = bytearray(at.read_bytes())
    for _ in range(draw.choice((1, 1, 1, 4, 32))):
        raw[draw.randrange(len(raw))] ^= 1 << draw.randrange(8)
    at.write_bytes(raw)


def _footer(at: Path, runs: dict[str, Path], draw: random.Random) -> None:
    raw = bytearray(at.read_bytes())
    raw[-1 - draw.randrange(min(len(raw), 2500))] ^= 1 << draw.randrange(8)
    at.write_bytes(raw)


def _cut(at: Path, runs: dict[str, Path], draw: random.Random) -> None:
    raw = at.read_bytes()
    at.write_bytes(raw[: draw.randrange(len(raw))])


def _grow(at: Path, runs: dict[str, Path], draw: random.Random) -> None:
    with at.open("ab") as file:
        file.write(draw.randbytes(draw.choice((1, 16, 5000))))


def _lose(at: Path, runs: dict[str, Path], draw: random.Random) -> None:
    at.unlink()


def _swap(at: Path, runs: dict[str, Path], draw: random.Random) -> None:
    others = [path for other in runs.values() for path in _files(other) if path.suffix == at.suffix]
    others = [path for path in others if path.read_bytes() != at.read_bytes()]
    if not others:
        raise _NothingError
    shutil.copy(draw.choice(others), at)


def _reencode(at: Path, runs: dict[str, Path], draw: random.Random) -> None:
    """Write a table again with one value changed, and other compression now and then."""
    table = pq.read_table(at)
    rows = table.to_pylist()
    row = draw.choice(rows)
    name = draw.choice([name for name in table.column_names if isinstance(row[name], str | int | float)])
    value = row[name]
    if isinstance(value, bool):
        row[name] = not value
    elif isinstance(value, str):
        row[name] = value + "x"
    else:
        row[name] = type(value)(value + 1)
    again = type(table).from_pylist(rows, table.schema)
    pq.write_table(again, at, compression=draw.choice(("zstd", "snappy", "none")))


def _row(at: Path, runs: dict[str, Path], draw: random.Random) -> None:
    """Change or delete a row of the journal with SQLite's own means."""
    with contextlib.closing(sqlite3.connect(at, isolation_level=None)) as db:
        keys = db.execute("SELECT task, round, agent, k, attempt FROM attempts").fetchall()
        if not keys:
            raise _NothingError
        where = "WHERE (task, round, agent, k, attempt) = (?, ?, ?, ?, ?)"
        change = draw.choice(
            ("DELETE FROM attempts", "UPDATE attempts SET reply = reply || 'x'",
             "UPDATE attempts SET tokens_in = 1 - tokens_in", "UPDATE attempts SET state = 'failed'",
             "UPDATE attempts SET latency_ms = latency_ms + 1")
        )  # fmt: skip
        db.execute(f"{change} {where}", draw.choice(keys))


def _leaves(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    yield path
    for key, value in items:
        yield from _leaves(value, (*path, key))


def _value(at: Path, draw: random.Random, *, sealed: bool, null: bool) -> None:
    """Change a value of the manifest and make its checksum right."""
    data = json.loads(at.read_bytes())
    data.pop("checksum")
    paths = [path for path in _leaves(data) if path]
    if null:
        paths = [path for path in paths if str(path[-1]).endswith(("sha256", "digest", "_file", "chain", "_hash"))]
    if sealed:  # what contradicts something that is checked; who seals anew what nothing contradicts is not found out
        paths = [path for path in paths if path[0] in ("totals", "segments", "digest", "scenario", "tasks_file",
                 "episodes_file", "journal_digest", "journal_rows", "journal_file", "inputs", "name", "seed",
                 "scenario_hash") and path[-1] not in ("description",) and "engine" not in path]  # fmt: skip
    if not paths:
        raise _NothingError
    *above, last = draw.choice(paths)
    place = data
    for key in above:
        place = place[key]
    value = place[last]
    if null:
        place[last] = None
    elif isinstance(value, bool):
        place[last] = not value
    elif isinstance(value, int | float):
        place[last] = draw.choice((value + 1, -value - 1, value * 2 + 3))
    elif isinstance(value, str):
        place[last] = draw.choice((value + "0", value[::-1] + "1", "0" * max(len(value), 1)))
    elif draw.random() < 0.5 or not isinstance(place, dict):
        place[last] = draw.choice((None, 7, "x"))
    else:
        del place[last]
    content = record_bytes(data)
    at.write_bytes(content)
    if sealed and (at.parent / SEAL).exists():
        (at.parent / SEAL).write_bytes(seal(content))


class _NothingError(Exception):
    """The mutation has nothing to act on in this run."""


def mutate(directory: Path, runs: dict[str, Path], draw: random.Random) -> str:
    """Change something in `directory` and return the kind of the mutation and the file."""
    files = _files(directory)
    at = draw.choice(files)
    kinds: list[tuple[str, Callable[[Path, dict[str, Path], random.Random], None]]] = [
        ("bits flipped", _flip), ("cut", _cut), ("bytes added", _grow), ("lost", _lose), ("another run's", _swap),
    ]  # fmt: skip
    if at.suffix == ".parquet":
        kinds += [("footer changed", _footer), ("a value re-encoded", _reencode)]
    elif at.suffix == ".sqlite":
        kinds += [("a row changed", _row)] * 2
    elif at.name == NAME:
        kinds += [
            ("value, checksum right", lambda at, _, draw: _value(at, draw, sealed=False, null=False)),
            ("value, checksum and seal right", lambda at, _, draw: _value(at, draw, sealed=True, null=False)),
            ("hash null, checksum right", lambda at, _, draw: _value(at, draw, sealed=False, null=True)),
            ("hash null, checksum and seal right", lambda at, _, draw: _value(at, draw, sealed=True, null=True)),
        ] * 3
    kind, act = draw.choice(kinds)
    act(at, runs, draw)
    return f"{kind}: {at.relative_to(directory).parts[0]}"


def judge(base: Path, number: int, seed: int) -> tuple[str, str, str]:
    """Return kind of run and mutation, the verdict, and what is to be known of a miss."""
    draw = random.Random(f"{seed}-{number}")
    runs = {kind: base / kind.replace(" ", "-") for kind in KINDS}
    kind = KINDS[number % len(KINDS)]
    with tempfile.TemporaryDirectory(dir=base.parent) as scratch:
        directory = Path(shutil.copytree(runs[kind], Path(scratch) / "run"))
        try:
            what = mutate(directory, runs, draw)
        except _NothingError:
            return f"{kind} / nothing to do", "skipped", ""
        verdict, about = _verdict(directory, runs[kind])
    return f"{kind} / {what}", verdict, about


def _verdict(directory: Path, original: Path) -> tuple[str, str]:
    try:
        notes = RunLog(directory).check().notes
    except LogDamagedError:
        return _found(directory)
    except BaseException as error:
        return "MISSED", f"check raised {type(error).__name__}: {error}"
    try:
        now, before = seen(directory), seen(original)
    except BaseException as error:
        return "MISSED", f"a reader raised {type(error).__name__}: {error}"
    different = [name for name in before if now.get(name) != before[name]]
    if not different:
        return "harmless", ""
    if set(notes) - set(RunLog(original).check().notes):
        return "told", ""
    return "MISSED", f"other values: {different}"


def _found(directory: Path) -> tuple[str, str]:
    """Whatever `check` has found, our readers give errors of ours or values, and no other error."""
    with contextlib.suppress(AgentsocError):
        for name, read in _readers(directory):
            if name.startswith("polars"):
                continue  # promises nothing of files that are damaged
            try:
                read()
            except AgentsocError:
                continue
            except BaseException as error:
                return "MISSED", f"found, but {name} raised {type(error).__name__}: {error}"
    return "found", ""


def study(base: Path, numbers: range, seed: int, processes: int) -> Iterator[tuple[int, str, str, str]]:
    """Yield number, kind, verdict and details of each mutation; a process that ends is a miss."""
    with ProcessPoolExecutor(processes) as pool:
        waiting = {number: pool.submit(judge, base, number, seed) for number in numbers}
        for number, future in waiting.items():
            try:
                yield (number, *future.result())
            except BrokenProcessPool:
                yield number, KINDS[number % len(KINDS)], "MISSED", "the process ended"
                return


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutations", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    table: dict[str, Counter[str]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        base = Path(scratch) / "base"
        base.mkdir()
        build(base)
        numbers = range(asked.first, asked.first + asked.mutations)
        for number, kind, verdict, about in study(base, numbers, asked.seed, asked.processes):
            table.setdefault(kind.split(" / ")[-1], Counter())[verdict] += 1
            if verdict == "MISSED":
                print(f"MISSED {number} {kind}: {about[:300]}", flush=True)
    verdicts = ("found", "told", "harmless", "MISSED", "skipped")
    print(f"{'mutation':<56}" + "".join(f"{verdict:>10}" for verdict in verdicts))
    for kind, counts in sorted(table.items()):
        print(f"{kind:<56}" + "".join(f"{counts[verdict]:>10,}" for verdict in verdicts))
    whole = sum(table.values(), Counter())
    print(f"{'all':<56}" + "".join(f"{whole[verdict]:>10,}" for verdict in verdicts))


if __name__ == "__main__":
    main()
