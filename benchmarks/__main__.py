"""`python -m benchmarks`: every workload in a fresh process, peers in between, medians, and docs/benchmarks.md.

A repetition runs all workloads once in a shuffled order, so that whatever else the machine does meets all of them. A
run whose own check fails is not counted. Rates are given per second of wall time and per second of CPU time: the
second hardly depends on who else uses the machine.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import math
import os
import platform
import random
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import bench_laws, bench_phase
from benchmarks.peers_env import PEERS, python_of

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "latest.json"
PAGE = ROOT / "docs" / "benchmarks.md"
TRACES = ROOT.parent / "shared" / "data" / "mas_elites"
"""Where the public traces are looked for; what needs them is left out where they are absent."""
RUN_S = 300

ROWS: tuple[tuple[str, str, str, float], ...] = (
    ("vote", "simulated population, vote, 100,000 agents, in-process", "agents*rounds/s", 1e6),
    ("w1", "simulated population, W1, 100,000 agents, in-process", "agents*rounds/s", 1e6),
    ("vote-ray", "simulated population, vote, 2 Ray hosts", "agents*rounds/s", 1e6),
    ("w1-ray", "simulated population, W1, 2 Ray hosts", "agents*rounds/s", 1e6),
    ("w1-coded", "coroutine agents, W1, 100,000 agents, full path", "turns/s", 1e5),
    ("llm", "LLM agents, model of no latency: prompt, JSON, journal, budget", "turns/s", 8e3),
    ("w2", "W2 gossip, simulated population, 50,000 agents", "messages/s", 4e5),
    ("w2-coded", "W2 gossip, coroutine agents, 10,000 agents", "messages/s", 4e5),
    ("log-write", "events to disk from columns, 200 characters of text each", "events/s", 5e5),
    ("log-query", "group-by over 5 M events on disk", "events/s", 5e6 / 0.3),
    ("replay-population", "replay of a simulated W1", "events/s", 1e5),
    ("replay-coded", "replay of a W1 of coroutine agents", "events/s", 1e5),
    ("replay-llm", "replay of LLM agents from the journal", "events/s", 1e5),
    ("cli-help", "`agentsoc --help`", "s", 0.3),
    ("cli-check", "`agentsoc check scenarios/quickstart.yaml`", "s", 0.5),
    ("cli-ls", "`agentsoc ls` in a folder of 1,000 runs", "s", 1.0),
    *bench_phase.ROWS,
)
SCALING = (
    ("vote-once", (1_000, 10_000, 100_000, 1_000_000)),
    ("w1-once", (1_000, 10_000, 100_000)),
    ("w1-coded", (1_000, 10_000, 100_000)),
)


def measured(words: Sequence[str | Path], where: Path = ROOT) -> dict[str, Any]:
    """Run one process that prints a line of JSON; return it, or what went wrong under ``error``."""
    try:
        done = subprocess.run([str(w) for w in words], capture_output=True, text=True, cwd=where, timeout=RUN_S)
        out: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    except subprocess.TimeoutExpired:
        return {"error": f"it took more than {RUN_S} s"}
    except (IndexError, ValueError):
        return {"error": (done.stderr.strip().splitlines() or ["it printed nothing"])[-1][:300]}
    return out if out.get("check") else {"error": "its check failed", **out}


def work(name: str, n: int | None = None) -> dict[str, Any]:
    """Run one of our workloads."""
    return measured([sys.executable, "-m", "benchmarks.work", name, *([] if n is None else [str(n)])])


def printed(name: str, *words: str) -> str:
    """Return what a benchmark of this package prints."""
    command = [sys.executable, "-m", f"benchmarks.{name}", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=RUN_S).stdout.strip()


def load() -> float:
    return os.getloadavg()[0]


def rate(run: dict[str, Any], per: str = "seconds") -> float:
    return float(run["units"] / max(run[per], 1e-9))


def spread(values: Sequence[float]) -> str:
    return f"{short(statistics.median(values))} ({short(min(values))} to {short(max(values))})"


def short(value: float) -> str:
    for size, letter in ((1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def repetitions(repeats: int, only: Sequence[str]) -> tuple[dict[str, list[dict[str, Any]]], dict[str, str]]:
    """Return the runs of every workload and peer, and the peers that were left out with the reason."""
    jobs: list[tuple[str, list[str | Path], Path]] = [
        (name, [sys.executable, "-m", "benchmarks.work", name], ROOT) for name, *_ in ROWS if not only or name in only
    ]
    skipped = {}
    for peer in PEERS if not only or "peers" in only else ():
        python = python_of(peer)
        if isinstance(python, str):
            skipped[peer.name] = python
            print(f"left out: {peer.name}: {python}", flush=True)
            continue
        for workload, n in (("w1", peer.n_w1), ("w2", peer.n_w2)):
            jobs.append((f"{peer.name} {workload}", [python, peer.script, workload, str(n)], ROOT / "benchmarks/peers"))
    runs: dict[str, list[dict[str, Any]]] = defaultdict(list)
    order = random.Random(1)
    for repeat in range(repeats):
        order.shuffle(jobs)
        for name, words, where in jobs:
            before = load()
            got = {**measured(words, where), "load_before": before, "load_after": load()}
            runs[name].append(got)
            said = got.get("error") or f"{short(rate(got))} per s, {short(rate(got, 'cpu_s'))} per CPU s"
            print(f"{repeat + 1}/{repeats} {name:20} {said}, load {before:.1f} to {got['load_after']:.1f}", flush=True)
    return runs, skipped


def table(runs: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Return the rows of the target table."""
    lines = ["| what | target | median (min to max) | per CPU s | met | load |", "|---|---|---|---|---|---|"]
    for name, what, unit, target in ROWS:
        good = [run for run in runs.get(name, ()) if "error" not in run]
        if not good:
            reason = runs[name][-1]["error"] if runs.get(name) else "not run"
            lines.append(f"| {what} | | {reason} | | | |")
            continue
        loads = [run["load_before"] for run in good]
        at = f"{min(loads):.1f} to {max(loads):.1f}"
        if unit == "s":
            times, cpus = [run["seconds"] for run in good], [run["cpu_s"] for run in good]
            met = verdict(statistics.median(times) <= target, statistics.median(cpus) <= target)
            lines.append(f"| {what} | <= {target:g} s | {spread(times)} s | {spread(cpus)} s of CPU | {met} | {at} |")
            continue
        walls, cpus = [rate(run) for run in good], [rate(run, "cpu_s") for run in good]
        met = verdict(
            statistics.median(walls) >= target, statistics.median(cpus) >= target and not name.endswith("ray")
        )
        note = ""
        if "bytes_per_event" in good[0]:
            note = f"; {statistics.median(run['bytes_per_event'] for run in good):.3g} B an event"
        per_cpu = "(driver only) " if name.endswith("ray") else ""
        lines.append(
            f"| {what} | >= {short(target)} {unit} | {spread(walls)}{note} | {per_cpu}{spread(cpus)} | {met} | {at} |"
        )
    return lines


def verdict(wall: bool, cpu: bool) -> str:
    return "yes" if wall else "per CPU s only" if cpu else "no"


def peer_table(runs: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Return the rows that compare with peers: medians per CPU second and the ratios to ours in the same run."""
    lines = [
        "| peer | workload | agents | median per s (min to max) | per CPU s | population / peer | coroutines / peer |",
        "|---|---|---|---|---|---|---|",
    ]

    def median(name: str) -> float | None:
        good = [rate(run, "cpu_s") for run in runs.get(name, ()) if "error" not in run]
        return statistics.median(good) if good else None

    for peer in PEERS:
        for workload, n, label in (("w1", peer.n_w1, "W1, agents*rounds"), ("w2", peer.n_w2, "W2, messages")):
            name = f"{peer.name} {workload}"
            good = [run for run in runs.get(name, ()) if "error" not in run]
            if not good:
                if name in runs:
                    lines.append(f"| {peer.name} | {label} | {n:,} | {runs[name][-1]['error']} | | | |")
                continue
            theirs = median(name)
            assert theirs is not None
            ours = [median(workload), median(f"{workload}-coded")]
            ratios = " | ".join("" if value is None else f"{value / theirs:.3g}" for value in ours)
            shown = f"{good[0]['peer']} {good[0]['version']}"
            walls = spread([rate(run) for run in good])
            cpus = spread([rate(run, "cpu_s") for run in good])
            lines.append(f"| {shown} | {label} | {n:,} | {walls} | {cpus} | {ratios} |")
    return lines


def scaling() -> tuple[list[str], list[dict[str, Any]]]:
    """Return the table that shows whether time and memory grow in proportion to agents."""
    lines = [
        "| workload | agents | s | CPU s | CPU us an agent | peak MB | growth of CPU |",
        "|---|---|---|---|---|---|---|",
    ]
    found = []
    for name, sizes in SCALING:
        before: tuple[int, float] | None = None
        for n in sizes:
            run = work(name, n)
            found.append({"name": name, "n": n, **run})
            if "error" in run:
                lines.append(f"| {name} | {n:,} | {run['error']} | | | | |")
                continue
            cpu = run["cpu_s"]
            growth = "" if before is None else f"n^{math.log(cpu / before[1]) / math.log(n / before[0]):.2f}"
            before = (n, cpu)
            row = f"{run['seconds']:.2f} | {cpu:.2f} | {cpu / n * 1e6:.2f} | {run['peak_mb']:.0f} | {growth}"
            lines.append(f"| {name} | {n:,} | {row} |")
            print(f"scaling {name} {n}: {cpu:.2f} CPU s, {run['peak_mb']:.0f} MB", flush=True)
    return lines, found


def machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    packages = ("numpy", "pyarrow", "polars", "msgspec", "ray")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    kernel = f"{platform.system()} {platform.release().partition('-')[0]}"
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), {memory:.0f} GiB, {kernel}, "
        f"Python {platform.python_version()}, {versions}"
    )


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", action="append", default=[], help='a workload, or "peers"; writes no page')
    parser.add_argument("--no-model", action="store_true", help="leave out the embedded model and the HTTP clients")
    args = parser.parse_args()
    start = load()
    print(f"{machine()}; load {start:.2f} at the start", flush=True)
    runs, skipped = repetitions(args.repeats, args.only)
    if args.only:
        print("\n".join([*table(runs), "", *peer_table(runs)]))
        return
    grown, sizes = scaling()
    embedded, clients, engine = {}, "", ""
    if not args.no_model:
        embedded = work("embedded")
        clients = printed("bench_llm_path", "--no-model")
        engine = printed("bench_engine_path")
    laws = bench_laws.section(TRACES)
    end = load()
    page = written(runs, skipped, grown, embedded, (clients, engine), (start, end))
    page = f"{page}\n{laws}"
    PAGE.write_text(page)
    RESULTS.parent.mkdir(exist_ok=True)
    facts = {"machine": machine(), "load": [start, end], "runs": runs, "skipped": skipped, "scaling": sizes}
    RESULTS.write_text(json.dumps({**facts, "embedded": embedded}, indent=1))
    print(page)


def written(
    runs: dict[str, list[dict[str, Any]]],
    skipped: dict[str, str],
    grown: list[str],
    embedded: dict[str, Any],
    paths: tuple[str, str],
    loads: tuple[float, float],
) -> str:
    """Return docs/benchmarks.md.

    Args:
        runs: of every workload and peer.
        skipped: peers that were left out, with the reason.
        grown: the table of growth.
        embedded: what the embedded model came to.
        paths: what the benchmarks of clients and of the whole engine on the way to a server printed.
        loads: before and after.
    """
    (clients, engine), (start, end) = paths, loads
    share = "not run"
    if "share_of_bare" in embedded:
        share = (
            f"{embedded['share_of_bare']:.1%} of the bare servers' throughput with the same requests and texts "
            f"(median of 3 pairs; target 95 %); load {embedded['load']:.1f}"
        )
    elif embedded:
        share = embedded["error"]
    left_out = [f"Left out: {name}: {reason}." for name, reason in skipped.items()]
    return "\n".join(
        [
            "# Benchmarks",
            "",
            "`make bench` wrote this page; `benchmarks/` holds what it ran, `benchmarks/results/` each figure.",
            "",
            f"Machine: {machine()}. Load average {start:.2f} before and {end:.2f} after: other work shared the cores "
            "wherever a load is well above 2, and then the rate per CPU second is the better figure. Each run is a "
            "process of its own, workloads and peers take turns in a shuffled order, and a run counts only when its "
            "own check of the log (or of the peer's result) passes. Our times hold all that a user waits for in `run`: "
            "building the society, the rounds, events on disk with their digests, the manifest. Peers are timed over "
            "their rounds alone, after their agents exist, and write no log.",
            "",
            "## Targets",
            "",
            "*W1* is guess two thirds of the average: n participants and a moderator, three rounds, everybody is told "
            "the announcement and answers a number, the moderator aggregates; one event a reply. *W2* is gossip on a "
            "random 4-regular graph: ten rounds, 100 bytes to each neighbour; an event a speaker and round, which "
            "reaches four readers. In the population form of W2 a message is one of sixteen texts and travels as its "
            "code. On Ray the start of the cluster is not in the time, that of the hosts is.",
            "",
            *table(runs),
            "",
            "## Peers in the same run",
            "",
            *peer_table(runs),
            *(["", *left_out] if left_out else []),
            "",
            "Ratios are of medians per CPU second. The numbers of agents are what each peer does in a few seconds.",
            "",
            "## Growth with the number of agents",
            "",
            *grown,
            "",
            "## Ways to a model",
            "",
            f"Embedded model: the engine has {share}.",
            "",
            "Clients against a local server that answers after 200 ms (`benchmarks/bench_llm_path.py`):",
            "",
            "```",
            clients or "not run",
            "```",
            "",
            "The whole engine (prompts, budget, journal synced before and after each call, replies read, events) "
            "against a bare client that posts the same bodies (`benchmarks/bench_engine_path.py`). Rates are from the "
            "first answer on, as before it a run has five calls under way at most; *whole* is that of a run from its "
            "start to its manifest. The bare client's share of what is possible says whether the server kept up.",
            "",
            "```",
            engine or "not run",
            "```",
            "",
        ]
    )


if __name__ == "__main__":
    main()
