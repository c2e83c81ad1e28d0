"""Are the totals of a run those of its log, whatever the load, the size and the way of execution?

Run: ``python -m benchmarks.study_totals [--part load] [--part ways] [--repeats 5]`` (prints tables in Markdown, exits
with 1 when anything differs).

``load``: a tree of 40 simulated agents on 100,000 to 400,000 tasks, by the command, on a machine left alone and with a
busy loop on every core beside it. The totals that it prints are compared with those that plain polars finds in the
files. ``ways``: 50 societies as columns where they apply, turn by turn, and on two Ray hosts; all totals are compared
field by field, the table of episodes byte by byte, and the digests.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import HealthCheck, Phase, given, seed, settings

from agentsoc.engine import execute as execute_module
from agentsoc.engine import ray_cluster
from agentsoc.engine.columns import episodes as column_episodes
from agentsoc.engine.run import Run, run
from agentsoc.log.manifest import Totals
from agentsoc.log.names import EPISODES
from agentsoc.scenario.load import load_scenarios
from agentsoc.scenario.model import Scenario
from tests.strategies import scenario, societies

ROOT = Path(__file__).parent.parent
TREE = ROOT / "scenarios" / "topology-tree.yaml"
LOOSE = ROOT / "tests" / "data" / "loose_code.py"
SIZES = (100_000, 200_000, 400_000)
SOCIETIES = 50
TASKS = 12
"""Tasks of each society that is executed in every way."""
OF_EVENTS = ("calls", "tokens_in", "tokens_cached", "tokens_out")
OF_ROWS = ("rounds", "turns", "broadcasts", "deliveries", "tokens_lost", "calls_lost", "tokens_overrun")


def of_files(directory: Path) -> dict[str, Any]:
    """Return what the files of a run without prices and budget add up to, by polars alone."""
    events = pl.scan_parquet(directory / "events" / "*.parquet")
    rows = pl.read_parquet(directory / EPISODES)
    text = pl.col("kind", "answer").cast(pl.String)
    society = events.filter(pl.col("agent") == -1).select(text, "correct").collect()
    answers, stops = (society.filter(pl.col("kind") == kind) for kind in ("answer", "stop"))
    kinds = events.select(pl.col("kind").cast(pl.String).value_counts()).collect().unnest("kind")
    sums = events.select(pl.len(), pl.col(OF_EVENTS).sum()).collect().row(0, named=True)
    exact = sum((Fraction(value) for value in answers["correct"].to_list()), Fraction())
    by_kind = dict(sorted(kinds.iter_rows()))
    return {
        "episodes": stops.height,
        "events": sums.pop("len"),
        "events_by_kind": by_kind,
        **sums,
        "calls_failed": by_kind.get("call_failed", 0),
        **{name: rows[name].sum() for name in OF_ROWS},
        "budget": None,
        "budget_calls": None,
        "budget_cost": None,
        "cost": None,
        "cost_lost": None,
        "score": float(exact / answers.height),
        "answered": answers.height - answers["answer"].null_count(),
        "stops": dict(sorted(stops["answer"].value_counts().iter_rows())),
        "virtual_s": math.fsum(rows["virtual_s"].to_list()),
    }


BUSY = "import os; parent = os.getppid()\nwhile os.getppid() == parent: pass"
"""Does nothing with all its might, until whoever started it is gone."""


@contextmanager
def busy(loops: int) -> Iterator[None]:
    """Keep that many cores busy."""
    children = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(loops)]
    try:
        yield
    finally:
        for child in children:
            child.kill()
        for child in children:
            child.wait()


@dataclass
class Tally:
    """Runs of one kind, and what was found to be wrong."""

    runs: int
    seconds: list[float]
    segments: set[int]
    digests: set[str]
    wrong: list[str]


def under_load(n: int, repeats: int, loops: int, home: Path) -> Tally:
    """Run the tree on `n` tasks and compare what is printed with the files."""
    tally = Tally(0, [], set(), set(), [])
    with busy(loops):
        for number in range(repeats):
            out = home / f"{n}-{loops}-{number}"
            words = ["run", TREE, "--set", f"tasks.count={n}", "--out", out, "--json", "--quiet"]
            began = time.monotonic()
            told = subprocess.run(
                [sys.executable, "-m", "agentsoc.cli.main", *map(str, words)],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                timeout=600,
                check=True,
            )
            tally.seconds.append(time.monotonic() - began)
            said = json.loads(told.stdout)
            expected = of_files(out)
            assert set(expected) == set(said["totals"]), set(expected) ^ set(said["totals"])
            for name, value in expected.items():
                if said["totals"][name] != value:
                    tally.wrong.append(f"{out.name}: totals.{name} is {said['totals'][name]}, files give {value}")
            tally.runs += 1
            tally.segments.add(len(list((out / "events").iterdir())))
            tally.digests.add(said["digest"])
            shutil.rmtree(out)
    return tally


def load_study(repeats: int, home: Path) -> bool:
    """Print the table of loads; return whether all was right."""
    cores = os.cpu_count() or 1
    print("| tasks | busy loops | runs | seconds | segments | digests | totals wrong |\n|---|---|---|---|---|---|---|")
    good = True
    for n in SIZES:
        digests: set[str] = set()
        for loops in (0, cores):
            tally = under_load(n, repeats, loops, home)
            digests |= tally.digests
            good &= not tally.wrong and len(digests) == 1
            seconds = f"{min(tally.seconds):.1f} to {max(tally.seconds):.1f}"
            segments = f"{min(tally.segments)} to {max(tally.segments)}"
            print(f"| {n:,} | {loops} | {tally.runs} | {seconds} | {segments} | {len(digests)} | {len(tally.wrong)} |")
            print("\n".join(tally.wrong), end="", flush=True)
    return good


def drawn(n: int, seed_: int) -> list[tuple[str, Scenario]]:
    """Return societies from the strategy of the tests, the same ones for the same seed."""
    found: list[tuple[str, Scenario]] = []

    @seed(seed_)
    @settings(
        max_examples=3 * n + 10,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        deadline=None,
    )
    @given(parts=societies())
    def draw(parts: dict[str, Any]) -> None:
        found.append((f"drawn {len(found)}", scenario(**{"tasks": {"kind": "coin", "count": TASKS}, **parts})))

    draw()
    return random.Random(seed_).sample(found[5:], n)  # the first examples are the simplest ones


def from_files(seed_: int) -> list[tuple[str, Scenario]]:
    """Return one variant of each scenario file that needs no real model."""
    rng = random.Random(seed_)
    found = []
    for path in sorted((ROOT / "scenarios").glob("*.yaml")):
        built = rng.choice(load_scenarios(path))
        if not {group.model.kind for group in built.agents} & {"local", "litellm"}:
            count = min(TASKS, built.tasks.count)
            tasks = built.tasks.model_copy(update={"count": count})
            found.append((path.stem, Scenario.model_validate({**built.model_dump(), "tasks": tasks.model_dump()})))
    return found


def executed(built: Scenario, out: Path, **engine: Any) -> Run:
    changed = built.engine.model_copy(update={"hosts": 1, "address": None, **engine})
    return run(built.model_copy(update={"engine": changed}), out, code_paths=[LOOSE])


def differences(one: Run, other: Run) -> list[str]:
    """Return in what two executions of a society differ."""
    found = [
        f"totals.{name}: {getattr(one.manifest.totals, name)} and {getattr(other.manifest.totals, name)}"
        for name in Totals.model_fields
        if getattr(one.manifest.totals, name) != getattr(other.manifest.totals, name)
    ]
    if (one.directory / EPISODES).read_bytes() != (other.directory / EPISODES).read_bytes():
        found.append("episodes.parquet")
    if one.manifest.digest != other.manifest.digest:
        found.append("digest")
    return found


def ways_study(n: int, seed_: int, home: Path) -> bool:
    """Execute societies in every way, print what differs; return whether nothing does."""
    files = from_files(seed_)
    chosen = (files + drawn(max(n - len(files), 0), seed_))[:n]
    columns, wrong, began = 0, 0, time.monotonic()
    plain = column_episodes.column_run

    def counted(*told: Any) -> Any:
        nonlocal columns
        made = plain(*told)
        columns += made is not None
        return made

    execute_module.column_run = counted  # type: ignore[attr-defined,assignment]
    for number, (name, built) in enumerate(chosen):
        out = home / str(number)
        runs = {
            "turn by turn": executed(built, out / "turns", vectorise=False),
            "columns where they apply": executed(built, out / "columns", vectorise=True),
            "two hosts, turn by turn": executed(built, out / "hosts", hosts=2, address="local", vectorise=False),
            "two hosts": executed(built, out / "both", hosts=2, address="local", vectorise=True),
        }
        first = runs.pop("turn by turn")
        for way, other in runs.items():
            other.check()
            if found := differences(first, other):
                wrong += 1
                print(f"{number} {name}, {way}: {'; '.join(found)}", flush=True)
        first.check()
        shutil.rmtree(out)
        if number % 10 == 9:
            print(f"{number + 1} of {len(chosen)}, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    print(
        "| societies | of these from scenarios/ | in 4 ways | of these as columns | differing |\n|---|---|---|---|---|"
    )
    print(f"| {len(chosen)} | {len(files)} | {4 * len(chosen)} runs | {columns} runs | {wrong} |")
    with warnings.catch_warnings():  # Ray leaves the log files of its processes open
        warnings.simplefilter("ignore", ResourceWarning)
        ray_cluster.disconnect()
    return not wrong


def main() -> int:
    """Carry out what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--part", action="append", default=[], choices=["load", "ways"])
    parser.add_argument("--repeats", type=int, default=5, help="runs of each size, with and without busy loops")
    parser.add_argument("--societies", type=int, default=SOCIETIES)
    parser.add_argument("--seed", type=int, default=1)
    told = parser.parse_args()
    good = True
    with tempfile.TemporaryDirectory(prefix="totals") as home:
        if not told.part or "load" in told.part:
            good &= load_study(told.repeats, Path(home))
        if not told.part or "ways" in told.part:
            good &= ways_study(told.societies, told.seed, Path(home))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
