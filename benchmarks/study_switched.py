"""This study asks how often cascades wired at random are said not to be, and how often a planted preference is seen.

Usage: python -m benchmarks.study_switched [--replicates 1000] (about a minute of one core). Executions of 40 claims, of
which each builds on an earlier one at random, or with probability `even` on one of the smallest cascade.
There are 39 switched wirings. The table is in docs/verdict-studies.md.
"""

from __future__ import annotations

import argparse
from typing import Final

import numpy as np

from analysis.cascade_laws.switched import MEASURES, Switched, against_switched
from analysis.claims.cascades import claim_graph
from analysis.tables import EventTable
from benchmarks.planted_cascades import table_of

ACTS: Final = 40
WIRINGS: Final = 39


def wired(seed: int, *, even: float = 0.0, roots: int = 4, executions: int = 6, wirings: int = WIRINGS) -> Switched:
    """Return the comparison of the executions of `planted` with `wirings` switched ones."""
    table = planted(seed, even=even, roots=roots, executions=executions)
    return against_switched(table, claim_graph(table), replicates=wirings, seed=seed)


def planted(seed: int, *, even: float = 0.0, roots: int = 4, executions: int = 6) -> EventTable:
    """Return random executions.

    Args:
        seed: seed of everything.
        even: probability of building on a claim of the smallest cascade instead of any earlier one.
        roots: claims that build on none, the first ones.
        executions: how many.
    """
    rng = np.random.default_rng([seed, round(100 * even)])
    parents: list[int | None] = []
    for e in range(executions):
        root = list(range(roots))
        for t in range(roots, ACTS):
            among = np.arange(t)
            if rng.random() < even:
                among = np.flatnonzero(np.array(root) == int(np.argmin(np.bincount(root, minlength=roots))))
            place = int(rng.choice(among))
            root.append(root[place])
            parents += [None] * roots if t == roots else []
            parents.append(e * ACTS + place)
    where = np.repeat(np.arange(executions), ACTS).tolist()
    return table_of(parents, where, np.arange(len(parents)) % 10, one_seed=False, n_agents=10)


def row(even: float, executions: int, replicates: int) -> str:
    """Return one row of the table: how often each measure differs from chance at 5 %, not corrected."""
    found = [wired(seed, even=even, executions=executions).measures for seed in range(replicates)]
    shares = [np.mean([one[at].p <= 0.05 for one in found if one]) for at in range(len(MEASURES))]
    return f"| {even:g} | {executions} | {' | '.join(f'{share:.1%}' for share in shares)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=1000)
    replicates = parser.parse_args().replicates
    print(f"| builds on the smallest cascade | executions | {' | '.join(MEASURES)} |\n| --- | --- | --- | --- | --- |")
    for even, executions in ((0.0, 1), (0.0, 6), (0.3, 6), (1.0, 6)):
        print(row(even, executions, replicates), flush=True)


if __name__ == "__main__":
    main()
