"""Does a viewer slow a run down? `python -m benchmarks.view_speed [--pairs N]`, on a quiet machine.

Runs the same society again and again, each in a process of its own, one of each pair with `agentsoc view` on it and a
reader that asks as an open page does: once a second whether the run has changed, and after each change for the run, the
episode and a transcript. The model waits as a provider does. Which of a pair is watched first alternates. Told are the
speed of watched runs over that of the others (geometric mean over pairs) with its 95 % interval, and whether all logs
have one digest. Writes ``benchmarks/results/view_speed.json``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Final

from scipy import stats

from agentsoc.log.manifest import load_manifest
from benchmarks.view_scale import Asker, served

RESULTS: Final = Path(__file__).parent / "results" / "view_speed.json"
LEAST: Final = 0.98
SCENARIO: Final = """
name: watched
seed: 11
tasks: {kind: multiple-choice, count: 60}
agents: {count: 6, model: {kind: scripted, accuracy: 0.7, latency_s: 0.03}}
topology: {kind: decentralized, degree: 3}
protocol: {kind: debate, rounds: 3}
engine: {concurrency: 8}
"""


def timed_run(scenario: Path, where: Path) -> tuple[float, str]:
    """Run once in a process of its own; return how long its calls took and its digest (seconds)."""
    code = (
        "import sys, time, agentsoc; began = time.perf_counter(); "
        "done = agentsoc.run(sys.argv[1], sys.argv[2]); print(time.perf_counter() - began, done.manifest.digest)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, str(scenario), str(where)], check=True, capture_output=True, text=True
    ).stdout.split()
    return float(said[0]), said[1]


def look(asker: Asker, place: str, end: threading.Event) -> int:
    """Ask as an open page does until the end; return how often the run had changed."""
    seen: object = None
    changes = 0
    while not end.wait(1.0):
        with contextlib.suppress(RuntimeError):  # the run has not begun yet
            found = asker.data("state", {"place": place})
            if found != seen:
                seen, changes = found, changes + 1
                for what, at in (("run", {}), ("episode", {"task": 0}), ("transcript", {"task": 0, "agent": 1})):
                    asker.data(what, {"place": place, **at})
    return changes


def pair(base: Path, number: int, address: str) -> tuple[float, float, set[str], int]:
    """Return the times of a run alone and of one that is watched, their digests, and how often it had changed."""
    times: dict[bool, float] = {}
    digests: set[str] = set()
    changes: list[int] = []
    for watched in (False, True) if number % 2 else (True, False):
        place = f"{number}-{'watched' if watched else 'alone'}"
        end, asker = threading.Event(), Asker(address)
        reader = threading.Thread(
            target=lambda place=place, end=end, asker=asker: changes.append(look(asker, place, end))
        )
        if watched:
            reader.start()
        try:
            times[watched], digest = timed_run(base / "scenario.yaml", base / "runs" / place)
        finally:
            end.set()
            if watched:
                reader.join(30)
        digests.add(digest)
        assert load_manifest(base / "runs" / place).digest == digest
    return times[False], times[True], digests, changes[0]


def measure(pairs: int) -> dict[str, Any]:
    """Return the ratio of speeds over pairs."""
    rows, digests, changes = [], set(), 0
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        base = Path(scratch)
        (base / "runs").mkdir()
        (base / "scenario.yaml").write_text(SCENARIO)
        with served(base / "runs") as (address, _):
            for number in range(pairs):
                alone, watched, found, changed = pair(base, number, address)
                digests |= found
                changes += changed
                rows.append([round(alone, 3), round(watched, 3)])
                print(
                    f"pair {number}: alone {alone:.3f} s, watched {watched:.3f} s, {changed} looks at a change",
                    flush=True,
                )
    logs = [math.log(alone / watched) for alone, watched in rows]
    half = stats.t.ppf(0.975, pairs - 1) * statistics.stdev(logs) / math.sqrt(pairs)
    mean = statistics.fmean(logs)
    return {
        "pairs_s": rows,
        "speed_ratio": round(math.exp(mean), 4),
        "ci95": [round(math.exp(mean - half), 4), round(math.exp(mean + half), 4)],
        "changes_seen": changes,
        "one_digest": len(digests) == 1,
        "load": round(os.getloadavg()[0], 2),
        "seconds": round(time.perf_counter() - began),
    }


def main() -> int:
    """Measure, print and write; the exit code is 1 where logs differ or the ratio is below the bound."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--no-write", action="store_true")
    asked = parser.parse_args()
    found = measure(max(asked.pairs, 3))
    low, high = found["ci95"]
    print(f"watched runs have {found['speed_ratio']} of the speed of others, 95 % between {low} and {high}; "
          f"one digest: {found['one_digest']}; load {found['load']}")  # fmt: skip
    if not asked.no_write:
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    return 0 if found["one_digest"] and found["speed_ratio"] >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main())
