"""This study asks what a second host brings to runs that are spread over a cluster, and whether time grows with runs.

Usage: python -m benchmarks.study_spread [--pairs 5] [--runs 16] [--tasks 4000] (some minutes; two idle cores).

Runs of simulated agents, turn by turn, are carried out by one host and by two of one cluster on this machine, in turns
(the order changes from pair to pair), each run sent to the driver and checked there. Hosts are started, and have made
one run each, before the clock begins; what that took is told apart. Efficiency is the time of one host over twice the
time of two, in pairs. Growth is the time of two hosts for half, once and twice the runs, over what it would be in
proportion.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from pathlib import Path

from agentsoc.experiment.far_runs import FarRun, carry_out_all
from agentsoc.experiment.spread import Answer, CellPool, Spread, SpreadMeans
from agentsoc.scenario.load import parse_scenario
from agentsoc.scenario.model import Scenario

SCENARIO = """
name: spread
tasks: {{kind: sentiment, count: {tasks}}}
agents: {{count: 9, model: {{kind: simulated, signal: 0.3}}}}
topology: star
protocol: aggregate
engine: {{vectorise: false}}
"""


class _Count:
    """Hears how runs ended; a run that does not finish is an error here."""

    def begun(self, name: str) -> None:
        """A host was given a run."""

    def made(self, name: str, answer: Answer) -> None:
        """A run has ended."""
        if answer.status != "finished":
            raise RuntimeError(f"{name}: {answer.error}")

    def refused(self, name: str, error: str) -> None:
        """A run failed."""
        raise RuntimeError(f"{name}: {error}")

    def lost(self, name: str) -> None:
        """A run was lost with its host."""
        raise RuntimeError(f"{name} was lost")


async def _carry_out(pool: CellPool, scenario: Scenario, n: int) -> float:
    """Return how long a pool takes for `n` runs (seconds)."""
    with tempfile.TemporaryDirectory() as scratch:
        runs = [
            FarRun(str(seed), Path(scratch) / str(seed), scenario.model_copy(update={"seed": seed}))
            for seed in range(n)
        ]
        begun = time.monotonic()
        await carry_out_all(pool, runs, _Count(), asyncio.Event())
        return time.monotonic() - begun


async def measure(scenario: Scenario, pairs: int, n: int) -> str:
    """Return the report."""
    pools = {hosts: CellPool(SpreadMeans(Spread("local", hosts)), []) for hosts in (1, 2)}
    lines, times = [], dict[int, list[float]]({1: [], 2: []})
    try:
        for hosts, pool in pools.items():
            begun = time.monotonic()
            await pool.start()
            await _carry_out(pool, scenario, 2 * hosts)
            lines.append(f"{hosts} hosts: started and warm after {time.monotonic() - begun:.1f} s")
        for number in range(pairs):
            for hosts in (1, 2) if number % 2 else (2, 1):
                times[hosts].append(await _carry_out(pools[hosts], scenario, n))
        for one, two in zip(times[1], times[2], strict=True):
            lines.append(f"{n} runs: {one:.2f} s on one host, {two:.2f} s on two, efficiency {one / two / 2:.2f}")
        efficiency = [one / two / 2 for one, two in zip(times[1], times[2], strict=True)]
        low, high = min(efficiency), max(efficiency)
        lines.append(f"efficiency at 2 hosts: median {statistics.median(efficiency):.2f}, from {low:.2f} to {high:.2f}")
        for part in (n // 2, 2 * n):
            took = await _carry_out(pools[2], scenario, part)
            lines.append(
                f"{part} runs on two hosts: {took / (statistics.median(times[2]) * part / n):.2f} of proportion"
            )
    finally:
        for pool in pools.values():
            await pool.close()
    return "\n".join(lines)


def main() -> None:
    """Print the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--runs", type=int, default=16)
    parser.add_argument("--tasks", type=int, default=4_000)
    given = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    scenario = parse_scenario(SCENARIO.format(tasks=given.tasks))
    print(asyncio.run(measure(scenario, given.pairs, given.runs)))


if __name__ == "__main__":
    main()
