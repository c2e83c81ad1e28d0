"""The scale table: `python -m benchmarks.bench_scale [--repeats N]`, some minutes of one core a repetition.

Every piece runs in a process of its own (`benchmarks.scale_work`, `benchmarks.work`), in a shuffled order, with Mesa
and raw Ray in between; a piece counts only where its own check of the log holds. Figures are CPU seconds, which hardly
depend on who else uses the machine; ratios to peers are of medians of the same run. Writes the tables at the end of
docs/scale.md and ``benchmarks/results/scale.json``.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.__main__ import ROOT, load, machine, measured, short
from benchmarks.peers_env import PEERS, python_of

PAGE: Final = ROOT / "docs" / "scale.md"
MARK: Final = "## Figures"
"""The heading of the page below which all is written by this file."""
RESULTS: Final = Path(__file__).parent / "results" / "scale.json"
MILLION: Final = 1_000_000
DECADES: Final[dict[str, tuple[int, ...]]] = {
    "vote": (1_000, 10_000, 100_000, MILLION),
    "w1": (1_000, 10_000, 100_000, MILLION),
    "ring": (1_000, 10_000, 100_000, MILLION),
    "small-world": (1_000, 10_000, 100_000, MILLION),
    "tree": (1_000, 10_000, 100_000, MILLION),
    "tasks": (100, 1_000, 10_000, 100_000),
    "rounds": (1, 10, 100, 1_000),
}
"""Three decades of agents, of tasks (of a hundred agents), of events (rounds of five thousand agents)."""
SLEEPS: Final = (0.0, 0.01, 1.0)
Runs = dict[str, list[dict[str, Any]]]


def jobs() -> list[tuple[str, list[str], Path]]:
    """Return name, command and place of everything that is measured once a repetition."""
    piece = [sys.executable, "-m", "benchmarks.scale_work"]
    work = [sys.executable, "-m", "benchmarks.work"]
    found = [(f"{name} {n}", [*piece, name, str(n)], ROOT) for name, sizes in DECADES.items() for n in sizes]
    found += [
        (f"fan-out {n} {sleep:g}", [*piece, "fan-out", str(n), "--sleep", str(sleep)], ROOT)
        for n in (1_000, 10_000, 100_000, MILLION)
        for sleep in SLEEPS
    ]
    found += [(f"budgeted {n}", [*piece, "budgeted", str(n)], ROOT) for n in (100, 1_000)]
    found += [(name, [*work, name], ROOT) for name in ("w1", "w2", "replay-llm")]
    found.append(("cli-ls 10000", [*work, "cli-ls", "10000"], ROOT))
    found.append(("raw-ray 100000", [*piece, "raw-ray", "100000"], ROOT))
    mesa = PEERS[0]
    python = python_of(mesa)
    if isinstance(python, Path):
        for name, n in (("w1", mesa.n_w1), ("w2", mesa.n_w2)):
            found.append((f"mesa {name}", [str(python), mesa.script, name, str(n)], ROOT / "benchmarks/peers"))
    return found


def exponent(sizes: Sequence[float], costs: Sequence[float], base: float) -> float:
    """Return the growth of costs with size: the slope of log(cost - base) over log(size), by least squares.

    Args:
        sizes: shape (n,).
        costs: CPU seconds, shape (n,), each above `base`.
        base: what a run costs whatever its size (CPU seconds); 0 for the growth of the whole cost.
    """
    net = np.log(np.asarray(costs, dtype=float) - base)
    return float(np.polyfit(np.log(np.asarray(sizes, dtype=float)), net, 1)[0])


def last_decade(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Return the growth between the last two sizes, where a fixed cost matters least."""
    return float(np.log(costs[-1] / costs[-2]) / np.log(sizes[-1] / sizes[-2]))


def repetitions(repeats: int, only: str) -> Runs:
    """Return what every piece came to, in a shuffled order each time."""
    order = random.Random(1)
    runs: Runs = {}
    wanted = [job for job in jobs() if only in job[0]]
    for repeat in range(repeats):
        order.shuffle(wanted)
        for name, words, where in wanted:
            got = measured(words, where)
            runs.setdefault(name, []).append(got)
            said = got.get("error") or f"{got['cpu_s']:.2f} CPU s, {got.get('peak_mb', 0):.0f} MB"
            print(f"{repeat + 1}/{repeats} {name:24} {said}, load {load():.1f}", flush=True)
    return runs


def memory_again(runs: Runs, names: Sequence[str]) -> None:
    """Replace the peaks of memory of pieces, repetition by repetition, in place; their times stay as they are."""
    known = {name: (words, where) for name, words, where in jobs()}
    for name in names:
        for run in runs[name]:
            got = measured(*known[name])
            run["peak_mb"] = got["peak_mb"]
            print(f"{name:24} {got['peak_mb']:.0f} MB, load {load():.1f}", flush=True)


def median(runs: Runs, name: str, what: str = "cpu_s") -> float | None:
    """Return the median of one figure over the runs whose check held; None without any."""
    good = [float(run[what]) for run in runs.get(name, ()) if "error" not in run]
    return statistics.median(good) if good else None


def per_cpu_s(runs: Runs, name: str) -> float | None:
    """Return units per CPU second, of medians."""
    units, cpu = median(runs, name, "units"), median(runs, name)
    return None if units is None or cpu is None else units / cpu


def growth_table(runs: Runs) -> list[str]:
    """Return the growth of CPU time over three decades."""
    lines = [
        "| what grows | sizes | CPU s at each | exponent, whole | exponent, last decade | peak MB at the last |",
        "|---|---|---|---|---|---|",
    ]
    for name, sizes in DECADES.items():
        costs = [median(runs, f"{name} {n}") for n in sizes]
        if any(cost is None for cost in costs):
            continue
        known = [cost for cost in costs if cost is not None]
        peak = median(runs, f"{name} {sizes[-1]}", "peak_mb") or 0.0
        shown = ", ".join(f"{cost:.2f}" for cost in known)
        fitted = f"{exponent(sizes, known, 0.0):.2f} | {last_decade(sizes, known):.2f}"
        lines.append(f"| {name} | {sizes[0]:,} to {sizes[-1]:,} | {shown} | {fitted} | {peak:,.0f} |")
    return lines


def peer_lines(runs: Runs) -> list[str]:
    """Return ours against Mesa and raw Ray, per CPU second of the same run."""
    lines = ["| workload | ours per CPU s, log on | peer per CPU s, no log | ratio |", "|---|---|---|---|"]
    for ours, theirs in (("w1", "mesa w1"), ("w2", "mesa w2"), ("w1", "raw-ray 100000")):
        one, other = per_cpu_s(runs, ours), per_cpu_s(runs, theirs)
        if one is not None and other is not None:
            lines.append(f"| {ours}, {theirs.split()[0]} | {short(one)} | {short(other)} | {one / other:.2f} |")
    return lines


def variant_tables(runs: Runs) -> list[str]:
    """Return AgentScope's game in three variants."""
    lines = [
        "| fan-out: agents | latency (virtual s) | replies per s | CPU s | critical path (virtual s) | KB an agent |",
        "|---|---|---|---|---|---|",
    ]
    empty = median(runs, "fan-out 1000 0", "peak_mb") or 0.0
    for name in (name for name in runs if name.startswith("fan-out ")):
        _, n, sleep = name.split()
        wall, cpu, virtual = (median(runs, name, what) for what in ("seconds", "cpu_s", "virtual_s"))
        if wall is None or cpu is None or virtual is None:
            continue
        memory = ((median(runs, name, "peak_mb") or 0.0) - empty) * 1024 / int(n)
        kept = f"{memory:.2f}" if int(n) > 10_000 else "-"
        lines.append(f"| {int(n):,} | {sleep} | {short(int(n) / wall)} | {cpu:.2f} | {virtual:.2f} | {kept} |")
    lines[2:] = sorted(lines[2:], key=lambda line: (int(line.split("|")[1].replace(",", "")), line.split("|")[2]))
    lines += ["", "| coordination: edges | agents | messages per s | MB of log per s |", "|---|---|---|---|"]
    for shape in ("ring", "small-world", "tree"):
        for agents in DECADES[shape][-2:]:
            name = f"{shape} {agents}"
            wall, said = median(runs, name, "seconds"), median(runs, name, "messages")
            size, events = median(runs, name, "bytes_per_event"), median(runs, name, "events")
            if wall and said is not None and size is not None and events is not None:
                lines.append(f"| {shape} | {agents:,} | {short(said / wall)} | {size * events / wall / 1e6:.2f} |")
    lines += ["", "| budgeted: agents | calls per s | tokens per s | idle share of the budget |", "|---|---|---|---|"]
    for agents in (100, 1_000):
        name = f"budgeted {agents}"
        wall, calls = median(runs, name, "seconds"), median(runs, name, "units")
        tokens, idle = median(runs, name, "tokens"), median(runs, name, "idle")
        if wall and calls is not None and tokens is not None and idle is not None:
            lines.append(f"| {agents:,} | {short(calls / wall)} | {short(tokens / wall)} | {idle:.1%} |")
    return lines


def tables(found: dict[str, Any]) -> str:
    """Return the tables of what was measured, with the machine and what was left out."""
    runs: Runs = found["runs"]
    start, end = found["load"]
    counts = sorted({len(got) for got in runs.values()})
    times = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    about = f"{found['machine']}; load {start:.1f} before, {end:.1f} after; medians of {times} runs."
    broken = [f"Left out: {name}: {run['error']}" for name, got in runs.items() for run in got if "error" in run]
    parts = [growth_table(runs), peer_lines(runs), variant_tables(runs), broken]
    return "\n\n".join([about, *("\n".join(part) for part in parts if part)])


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", default="", help="pieces whose name holds this; writes nothing")
    parser.add_argument("--again", action="store_true", help="write the tables of the figures on file, measure nothing")
    parser.add_argument("--memory", nargs="+", metavar="NAME", help="measure the memory of these pieces on file anew")
    args = parser.parse_args()
    if args.again or args.memory:
        found = json.loads(RESULTS.read_text())
        memory_again(found["runs"], args.memory or ())
    else:
        start = load()
        runs = repetitions(args.repeats, args.only)
        found = {"machine": machine(), "load": [start, load()], "runs": runs}
    text = tables(found)
    print(text)
    if not args.only:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")
        PAGE.write_text(PAGE.read_text().split(MARK)[0] + f"{MARK}\n\n{text}\n")


if __name__ == "__main__":
    main()
