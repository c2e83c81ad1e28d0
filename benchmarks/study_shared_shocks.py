"""This study asks how often what votes share is called by the wrong name: difficulty, or a shock of their run.

Usage: python -m benchmarks.study_shared_shocks [--replicates 1000] (about a minute of one core). 80 tasks with signal
0.3, two runs each of four nodes with five siblings; what is planted moves the signal of a task, or of a run, by 0.2 or
0.3 up or down, or has siblings say the same with probability 0.3. Every test is one at 1 %. The second table is of
transcripts in which nobody, some or all are said to answer somebody. Tables are in docs/verdict-studies.md.
"""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Final

import numpy as np
import polars as pl
from scipy.stats import beta

from agentsoc.events import Event
from analysis.claims.cascades import claim_graph
from analysis.claims.faults import trace_faults
from analysis.synergy.estimation.assumptions import check_difficulty, check_runs
from analysis.synergy.estimation.sibling_correlation import RhoFit, estimate_rho
from analysis.tables import EventTable, concat, from_events

PLANTED: Final[dict[str, dict[str, float]]] = {
    "nothing": {},
    "difficulty, 0.2": {"task": 0.2},
    "difficulty, 0.3": {"task": 0.3},
    "shock of the run, 0.2": {"run": 0.2},
    "shock of the run, 0.3": {"run": 0.3},
    "errors of siblings, 0.3": {"rho": 0.3},
    "difficulty and shock, 0.3 each": {"task": 0.3, "run": 0.3},
}
NAMES: Final = ("difficulty", "shock of the run", "either")


def votes(seed: int, *, task: float = 0.0, run: float = 0.0, rho: float = 0.0, runs: int = 2) -> pl.DataFrame:
    """Return votes of five siblings a node, four nodes a run, 80 tasks."""
    rng = np.random.default_rng([seed, runs, round(100 * task), round(100 * run), round(100 * rho)])
    shape = (80, runs, 4, 5)
    mu = 0.3 + task * rng.choice([-1, 1], (80, 1, 1, 1)) + run * rng.choice([-1, 1], (80, runs, 1, 1))
    right = rng.random(shape) < (1 + mu) / 2
    right = np.where(rng.random((*shape[:3], 1)) < rho, right[..., :1], right)
    t, r, n, a = (index.reshape(-1) for index in np.indices(shape))
    return pl.DataFrame({"task": t, "run": r, "node": n, "agent": a, "correct": right.reshape(-1).astype(float)})


def called(fit: RhoFit) -> set[str]:
    """Return what is said to be shared."""
    tasks, runs = check_difficulty(fit), check_runs(fit)
    found = set()
    if tasks.status == "violated":
        found.add("either" if "each task was run once" in tasks.text else "difficulty")
    if runs is not None and runs.status == "violated":
        found.add("shock of the run")
    return found


def row(name: str, runs: int, replicates: int) -> str:
    """Return one row of the table."""
    said = Counter(
        word for seed in range(replicates) for word in called(estimate_rho(votes(seed, runs=runs, **PLANTED[name])))
    )
    planted = {part for part in ("task", "run") if part in PLANTED[name]}
    right = {"difficulty": {"task"}, "shock of the run": {"run"}, "either": {"task", "run"}}
    false = sum(said[word] for word, parts in right.items() if not parts & planted)
    cells = [name, str(runs), *(f"{said[word] / replicates:.1%}" for word in NAMES)]
    return f"| {' | '.join([*cells, f'{false} of {replicates}'])} |"


def transcript(seed: int, addressed: float) -> EventTable:
    """Return ten messages of three agents, the second one faulty, each said to answer another with a probability."""
    rng = np.random.default_rng([seed, round(100 * addressed)])
    acts = [Event(0, 0, 0, 0, "propose_claim", 1)]
    for at in range(1, 10):
        parents = (int(rng.integers(1, at + 1)),) if rng.random() < addressed else ()
        acts.append(Event(0, at, at % 3, 0, "revise_claim" if parents else "propose_claim", at + 1, parents))
    acts.insert(2, Event(0, 1, 1, 1, "fault", target=2))
    return from_events([*acts, Event(0, 10, -1, 0, "stop")], run=str(seed), n_agents=3)


def vacuous(addressed: float, replicates: int) -> tuple[int, int]:
    """Return in how many transcripts nobody is said to answer anybody, and of how many nothing is told of the fault."""
    tables = [transcript(seed, addressed) for seed in range(replicates)]
    bare = sum(not any(table.events["parents"].list.len() > 0) for table in tables)
    table = concat(tables)
    found = trace_faults(table, claim_graph(table)).table
    return bare, found.filter(~pl.col("linked")).height


def upper(hits: int, n: int) -> float:
    """Return the one-sided upper 95 % bound of a rate."""
    return float(beta.ppf(0.95, hits + 1, n - hits)) if hits < n else 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=1000)
    replicates = parser.parse_args().replicates
    print(f"| planted | runs | {' | '.join(NAMES)} | wrong names |\n| --- | --- | --- | --- | --- | --- |")
    for runs in (2, 1):
        for name in PLANTED:
            print(row(name, runs, replicates), flush=True)
    print(
        "\n| said to answer somebody | transcripts | without a link | nothing is told of |\n| --- | --- | --- | --- |"
    )
    for addressed in (0.0, 0.1, 0.5, 1.0):
        bare, silent = vacuous(addressed, replicates)
        print(f"| {addressed:.0%} of the messages | {replicates} | {bare} | {silent} |", flush=True)
    print(f"<!-- a rate of 0 of {replicates} is below {upper(0, replicates):.1%} -->")


if __name__ == "__main__":
    main()
