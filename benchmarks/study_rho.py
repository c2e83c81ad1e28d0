"""This study asks how often the interval of rho holds, and what would come of telling rho only where it is narrow.

Usage: python -m benchmarks.study_rho [--replicates 1000] (some minutes of one core). Votes have the lock form.
Replicates are received votes of five siblings, two runs a task, of equal tasks or of signals from -0.2 to 0.8; merges
are nodes that read five votes of signal 0.2 through a channel of fidelity 0.8. The table is in docs/verdict-studies.md.
"""

from __future__ import annotations

import argparse
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from analysis.synergy.estimation.interval import WIDEST, Estimate
from analysis.synergy.estimation.node_response import fit_response
from analysis.synergy.estimation.sibling_correlation import estimate_rho

RHOS: Final = (0.0, 0.2)
SIBLINGS: Final = 5
GAMMA: Final = 0.8
TASKS: Final = (12, 30, 100)
MERGES: Final = (40,)


def replicated(rng: np.random.Generator, n_tasks: int, rho: float, *, differ: bool) -> Estimate | None:
    """Return rho of tasks that were run twice; None where all votes are equal."""
    mu = rng.uniform(-0.2, 0.8, n_tasks) if differ else np.full(n_tasks, 0.3)
    right = rng.random((n_tasks, 2, SIBLINGS)) < (1 + mu[:, None, None]) / 2
    right = np.where(rng.random((n_tasks, 2, 1)) < rho, right[..., :1], right)
    task, run, agent = (index.reshape(-1) for index in np.indices(right.shape))
    columns = {"task": task, "run": run, "node": 0 * run, "agent": agent, "correct": right.reshape(-1).astype(float)}
    return estimate_rho(pl.DataFrame(columns)).within


def merged(rng: np.random.Generator, n: int, rho: float, gamma: float = GAMMA) -> Estimate | None:
    """Return rho of merges, each of a task of its own."""
    sent = rng.random((n, SIBLINGS)) < 0.6
    read: NDArray[np.bool_] = sent ^ (rng.random((n, SIBLINGS)) < (1 - gamma) / 2)
    out = np.where(rng.random(n) < rho, read[:, 0], read.sum(axis=1) * 2 > SIBLINGS)
    columns = {"task": np.arange(n), "b": SIBLINGS, "right": sent.sum(axis=1), "first": sent[:, 0].astype(int)}
    return fit_response(pl.DataFrame({**columns, "out": out.astype(int), "k": 2})).rho


def row(name: str, rho: float, found: list[Estimate | None]) -> str:
    """Return one row of the table."""
    told = [one for one in found if one is not None]
    narrow = [one.value for one in told if one.width <= WIDEST]
    cells = [name, f"{rho:g}", f"{len(found) - len(told)}", f"{np.mean([one.value for one in told]):.3f}"]
    cells.append(f"{np.mean([one.covers(rho) for one in told]):.1%}")
    cells.append(f"{np.median([one.width for one in told]):.2f}")
    cells += [f"{1 - len(narrow) / len(told):.1%}", f"{np.mean(narrow):.3f}" if narrow else "-"]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=1000)
    parser.add_argument("--merges", type=int, nargs="*", help="merges alone, in these numbers")
    asked = parser.parse_args()
    replicates, merges = asked.replicates, asked.merges
    print("| measured | rho | none | mean | held | width | wider than .5 | mean of the narrow ones |")
    print("| --- " * 8 + "|")
    for rho in RHOS:
        for n in TASKS if merges is None else ():
            for differ in (False, True):
                rng = np.random.default_rng([n, int(100 * rho), int(differ)])
                name = f"{n} tasks twice, {'unequal' if differ else 'equal'}"
                print(row(name, rho, [replicated(rng, n, rho, differ=differ) for _ in range(replicates)]), flush=True)
        for n in MERGES if merges is None else merges:
            rng = np.random.default_rng([n, int(100 * rho)])
            print(row(f"{n} merges of 5", rho, [merged(rng, n, rho) for _ in range(replicates)]), flush=True)


if __name__ == "__main__":
    main()
