"""Speed of the laws: tail fits beside `powerlaw` and igraph, the bootstrap, cascades, `agentsoc laws` on real traces.

``python -m benchmarks.bench_laws`` runs every part in a process of its own and prints a section of docs/benchmarks.md;
``python -m benchmarks.bench_laws PART [N]`` runs one and prints a line of JSON. Peers fit the same samples in the same
process, taking turns; everything that compiles runs once before. Traces are read from ``--traces`` (a directory that
`agentsoc import mas-elites` takes); without it that part is left out, and says so.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from agentsoc.events import pack_id
from agentsoc.streams import stream
from analysis.cascade_laws.nulls import lognormal, pareto
from analysis.claims.cascades import cascades, claim_graph
from analysis.tables import EVENT_COLUMNS, EXECUTION_COLUMNS, EventTable, conform
from analysis.tails import fit_tail, goodness_of_fit, histogram, select_xmin
from benchmarks.peak import peak_mb

ROOT = Path(__file__).parent.parent
REPEATS = 5
RUN_S = 900
COMPETITORS = ("exponential", "truncated_power_law", "lognormal", "stretched_exponential")
SAMPLES: dict[str, Callable[[], NDArray[np.float64]]] = {
    "power law, alpha 1.5": lambda: np.minimum(pareto(1.5, 100_000, seed=1), 1e6),
    "lognormal, mu 5.5, sigma 1": lambda: lognormal(5.5, 1.0, 100_000, seed=1),
}
"""Discrete samples of 100,000 values with thousands of distinct ones; larger values than 1e6 are set to it."""


def medians(work: Callable[[], object], repeats: int = REPEATS) -> dict[str, float]:
    """Return the median wall time and CPU time of `work` (seconds)."""
    walls, cpus = [], []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return {"seconds": statistics.median(walls), "cpu_s": statistics.median(cpus)}


def fit(_: int) -> dict[str, Any]:
    """Scan for xmin and four comparisons, beside the same of `powerlaw` and the scan alone of igraph."""
    import igraph
    import powerlaw

    fit_tail(pareto(2.0, 1000))
    rows: dict[str, dict[str, Any]] = {}
    for name, make in SAMPLES.items():
        values = make()
        whole = [int(value) for value in values]
        found: dict[str, list[float]] = {"ours": [], "igraph": [], "powerlaw": []}
        ends: dict[str, tuple[float, float]] = {}

        def ours() -> tuple[float, float]:
            power = fit_tail(values).power  # noqa: B023 - called in this turn of the loop
            assert power is not None
            return power.alpha, power.xmin

        def theirs() -> tuple[float, float]:
            found = igraph.power_law_fit(whole, method="discrete", p_precision=0.5)  # noqa: B023
            return found.alpha, found.xmin

        def python() -> tuple[float, float]:
            found = powerlaw.Fit(values, discrete=True, verbose=False)  # noqa: B023
            for other in COMPETITORS:
                found.distribution_compare("power_law", other)
            return found.power_law.alpha, found.xmin

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for _ in range(REPEATS):
                for who, work in (("ours", ours), ("igraph", theirs), ("powerlaw", python)):
                    start = time.perf_counter()
                    ends[who] = work()
                    found[who].append(time.perf_counter() - start)
        times = {who: statistics.median(every) for who, every in found.items()}
        agree = abs(ends["ours"][0] / ends["igraph"][0] - 1) < 1e-5 and ends["ours"][1] == ends["igraph"][1]
        distinct = len(np.unique(values))
        rows[name] = {**times, "distinct": distinct, "ends": ends, "agrees_with_igraph": agree}
    fast = all(row["powerlaw"] >= 100 * row["ours"] and row["igraph"] > row["ours"] for row in rows.values())
    return {"rows": rows, "met": fast, "check": all(row["agrees_with_igraph"] for row in rows.values())}


def scan(n: int) -> dict[str, Any]:
    """Choose xmin on n values, from the values and from their histogram."""
    values = pareto(2.5, n, seed=1)
    sample = histogram(values)
    select_xmin(sample)
    found = select_xmin(sample)
    times = medians(lambda: select_xmin(histogram(values)))
    return {
        **times,
        "scan_alone": medians(lambda: select_xmin(histogram_again(sample)))["seconds"],
        "distinct": len(sample.values),
        "target": 0.02,
        "check": found is not None and abs(found.alpha - 2.5) < 0.05,
    }


def histogram_again(sample: Any) -> Any:
    """Return a copy whose logarithms are not computed yet."""
    return type(sample)(sample.values, sample.counts, sample.discrete)


def bootstrap(replicates: int) -> dict[str, Any]:
    """Goodness of fit with xmin chosen anew in each replicate, on the samples of `fit`."""
    rows: dict[str, dict[str, Any]] = {}
    for name, make in SAMPLES.items():
        sample = histogram(make())
        found = select_xmin(sample)
        assert found is not None
        goodness_of_fit(sample, found, replicates=2)
        rows[name] = medians(partial(goodness_of_fit, sample, found, replicates=replicates), 1)
    slowest = max(rows.values(), key=lambda row: row["seconds"])
    return {"rows": rows, **slowest, "target": 60.0, "check": True}


def grown(n: int) -> EventTable:
    """Return n acts of executions of 5,000 each, with the ids of our own logs; 100 agents act in each round.

    An eighth of the acts open claims, an eighth merge two, the others revise one. Half of the parents are recent, the
    others anywhere before.
    """
    each = 5_000
    execution, claim = np.divmod(np.arange(n, dtype=np.int64), each)
    rng = stream(1, "bench", "cascades")
    count = np.where(claim < 2, 0, np.array([0, 1, 1, 1, 1, 1, 1, 2])[rng.integers(8, size=n)])
    owner = np.repeat(claim, count)
    recent = rng.random(len(owner)) < 0.5
    span = np.where(recent, np.minimum(owner, 50), owner)
    parents = owner - 1 - (rng.random(len(owner)) * span).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(count)]).astype(np.int32)
    kinds = np.array(["propose_claim", "revise_claim", "merge_claims"])[count]
    in_round, by_agent = pack_id(1, 0, 0), pack_id(0, 1, 0)
    ids, parents = (x // 100 * in_round + x % 100 * by_agent for x in (claim, parents))
    lists = pl.Series(
        "parents", pa.ListArray.from_arrays(pa.array(offsets), pa.array(parents)).cast(pa.large_list(pa.int64()))
    )
    columns = {"execution": execution, "round": claim // 100, "agent": claim % 100, "claim": ids}
    events = pl.DataFrame(columns).with_columns(
        lists, pl.Series("kind", kinds), task=pl.col("execution"), k=pl.lit(0), calls=pl.lit(1), tokens_in=pl.lit(0),
        tokens_cached=pl.lit(0), tokens_out=pl.lit(0), label_source=pl.lit("logged"),
    )  # fmt: skip
    missing = [pl.lit(None).alias(name) for name in EVENT_COLUMNS if name not in events.columns]
    whole = conform(events.with_columns(missing).select(*EVENT_COLUMNS), "bench")
    rows = [(e, "bench", e, 0, "bench", str(e), "bench", 100, e, each, True) for e in range(int(execution[-1]) + 1)]
    return EventTable(whole, pl.DataFrame(rows, schema=EXECUTION_COLUMNS, orient="row"))


def cascade(n: int) -> dict[str, Any]:
    """Claim graph, roots, depths and sizes of n events; the events are in memory before."""
    small = grown(10_000)
    cascades(claim_graph(small))
    table = grown(n)
    before = peak_mb()
    found = cascades(claim_graph(table))
    times = medians(lambda: cascades(claim_graph(table)))
    peak = peak_mb()
    whole = int(found.size.sum()) == n and int((found.root == np.arange(n)).sum()) == len(found.roots)
    return {
        "events": n, **times, "peak_mb": peak, "mb_of_the_events": before, "target": 0.5,
        "check": whole and peak <= 2048,
    }  # fmt: skip


def traces(directory: Path) -> dict[str, Any]:
    """`agentsoc laws --fast` on imported traces: with everything compiled, and on a machine that never ran it."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "agentsoc.cli.main"]
        log = Path(scratch) / "log"
        subprocess.run(
            [*command, "import", "mas-elites", str(directory), "--out", str(log)], check=True, capture_output=True
        )
        cold = {**os.environ, "NUMBA_CACHE_DIR": str(Path(scratch) / "cache")}

        def run() -> None:
            subprocess.run([*command, "laws", str(log), "--fast"], check=True, capture_output=True, env=cold)

        first = children(run)
        warm = [children(run) for _ in range(3)]
        events = pl.read_parquet(log / "events.parquet", columns=["execution"]).height
    wall, cpu = (statistics.median(times) for times in zip(*warm, strict=True))
    return {"events": events, "seconds": wall, "cpu_s": cpu, "first_use": first, "target": 15.0, "check": True}


def children(work: Callable[[], object]) -> tuple[float, float]:
    """Return wall and CPU time of what `work` waits for."""
    wall, before = time.perf_counter(), os.times()
    work()
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - wall, cpu


PARTS: dict[str, tuple[Callable[[int], dict[str, Any]], int]] = {
    "fit": (fit, 0),
    "scan": (scan, 1_000_000),
    "bootstrap": (bootstrap, 1000),
    "cascades": (cascade, 5_000_000),
}


def apart(*words: str) -> dict[str, Any]:
    """Run a part in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.bench_laws", *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=RUN_S)
        found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    except (subprocess.TimeoutExpired, IndexError, ValueError) as error:
        return {"error": f"{type(error).__name__}: {str(error)[:200]}"}
    return found if found["check"] else {"error": "its check failed", **found}


def section(directory: Path | None) -> str:
    """Return the section of docs/benchmarks.md."""
    lines = [
        "## Laws of coordination",
        "",
        f"`benchmarks/bench_laws.py`; medians of {REPEATS} after compilation, load {os.getloadavg()[0]:.1f} at first. "
        "Peers fit the same samples in the same process, taking turns. The full fit holds the choice of xmin and four "
        "comparisons; igraph's time is that of its choice of xmin alone, without its p value.",
        "",
        "| fit of 100,000 values | distinct | ours | igraph, xmin alone | powerlaw | powerlaw / ours |",
        "|---|---|---|---|---|---|",
    ]
    found = apart("fit")
    for name, row in found.get("rows", {}).items():
        ours, theirs, python = row["ours"], row["igraph"], row["powerlaw"]
        times = f"{ours:.3f} s | {theirs:.2f} s | {python:.1f} s | {python / ours:.0f}"
        lines.append(f"| {name} | {row['distinct']:,} | {times} |")
    if "error" in found:
        lines.append(f"| {found['error']} | | | | | |")
    lines += ["", "| what | target | median | CPU | met |", "|---|---|---|---|---|"]
    one = apart("scan")
    lines.append(_line("choice of xmin on 1,000,000 values, with their histogram", one))
    one = apart("bootstrap")
    lines.append(_line("goodness of fit, 1,000 replicates with xmin anew, 100,000 values (the slower sample)", one))
    for n in (1_250_000, 2_500_000, 5_000_000):
        one = apart("cascades", str(n))
        memory = f"peak {one.get('peak_mb', 0):.0f} MB, the events alone {one.get('mb_of_the_events', 0):.0f} MB"
        lines.append(_line(f"roots, depths, sizes of {n:,} events ({memory})", one))
    if directory is None or not directory.exists():
        return "\n".join([*lines, "", "Left out: `agentsoc laws` on the public traces, which are not here.", ""])
    one = apart("traces", "--traces", str(directory))
    first = "first use on a machine {:.1f} s, {:.1f} s of CPU".format(*one.get("first_use", (0.0, 0.0)))
    lines.append(_line(f"`agentsoc laws --fast` on {one.get('events', 0):,} events ({first})", one))
    return "\n".join([*lines, ""])


def _line(what: str, found: dict[str, Any]) -> str:
    if "error" in found:
        return f"| {what} | | {found['error']} | | |"
    wall, cpu, target = found["seconds"], found["cpu_s"], found["target"]
    met = "yes" if wall <= target else "per CPU s only" if cpu <= target else "no"
    return f"| {what} | <= {target:g} s | {wall:.3g} s | {cpu:.3g} s | {met} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("part", nargs="?", choices=[*PARTS, "traces"])
    parser.add_argument("n", type=int, nargs="?")
    parser.add_argument("--traces", type=Path)
    args = parser.parse_args()
    if args.part is None:
        print(section(args.traces))
    elif args.part == "traces":
        print(json.dumps(traces(args.traces)))
    else:
        work, default = PARTS[args.part]
        print(json.dumps(work(args.n or default)))


if __name__ == "__main__":
    main()
