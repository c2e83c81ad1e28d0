"""This study asks how often the interval of gamma holds, and how often a bend is seen or invented, of planted growth.

Usage: python -m benchmarks.study_growth [--replicates 1000] (about three minutes of one core). The largest value of an
execution is 3 N^gamma times a lognormal factor, N = 8 to 128; a bent one grows as N up to 32 and not beyond. Clustered
designs share a factor among the executions of a cell. The table is in docs/verdict-studies.md.
"""

from __future__ import annotations

import argparse
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentsoc.errors import InputError
from analysis.cascade_laws.extremes import Extremes, largest_growth
from analysis.observables.sampled import Sample

F64 = NDArray[np.float64]
GRID: Final = (8, 16, 32, 64, 128)
GAMMA: Final = 0.5
DESIGNS: Final[dict[str, tuple[int, ...]]] = {
    "1 for each N": (1, 1, 1, 1, 1),
    "2 for each N": (2, 2, 2, 2, 2),
    "5 for each N": (5, 5, 5, 5, 5),
    "20 for each N": (20, 20, 20, 20, 20),
    "20, one at the largest N": (20, 20, 20, 20, 1),
    "20, one at the smallest N": (1, 20, 20, 20, 20),
    "20 to 2": (20, 10, 5, 3, 2),
    "2 to 20": (2, 3, 5, 10, 20),
    "3 N, 2 each": (2, 2, 2, 0, 0),
    "2 N, 20 each": (20, 0, 0, 0, 20),
}


def grown(counts: tuple[int, ...], seed: int, *, spread: float = 0.5, bent: bool = False, of_cell: int = 1) -> Extremes:
    """Return what is said of planted growth.

    Args:
        counts: executions, or cells, at each N of `GRID`.
        seed: seed of the draws.
        spread: standard deviation of the logs.
        bent: whether nothing grows beyond N = 32.
        of_cell: executions of a cell; they share half of the variance.

    Raises:
        InputError: gamma is refused.
    """
    rng = np.random.default_rng([seed, *counts, of_cell, int(10 * spread)])
    n = np.repeat(GRID, counts)
    curve: F64 = np.minimum(n, 32.0) if bent else n**GAMMA
    own = rng.normal(0, spread / np.sqrt(2), (len(n), of_cell)) if of_cell > 1 else np.zeros((len(n), 1))
    shared = rng.normal(0, spread / (np.sqrt(2) if of_cell > 1 else 1), (len(n), 1))
    top = (3 * curve[:, None] * np.exp(shared + own)).ravel()
    where = np.arange(top.size)
    sample = Sample("size", top, where, np.full(top.size, np.inf), "claims")
    return largest_growth(sample, np.repeat(n, of_cell), clusters=where // of_cell, replicates=2)


def row(name: str, counts: tuple[int, ...], replicates: int, spread: float = 0.5, of_cell: int = 1) -> str:
    """Return one row of the table."""
    found: list[Extremes] = []
    refused = 0
    for seed in range(replicates):
        try:
            found.append(grown(counts, seed, spread=spread, of_cell=of_cell))
        except InputError:
            refused += 1
    cells = [f"{name}, sd {spread:g}", f"{refused / replicates:.1%}"]
    for slope in ("by_mean", "by_median"):
        slopes = [one.by_mean if slope == "by_mean" else one.by_median for one in found]
        held = [one.low <= GAMMA <= one.high for one in slopes if np.isfinite(one.low)]
        cells.append(f"{np.mean(held):.1%}" if held else "-")
    cells.append(f"{np.median([one.by_mean.high - one.by_mean.low for one in found]):.3g}" if found else "-")
    tested = [one.bend.bends for one in found if one.bend is not None]
    cells.append(f"{np.mean(tested):.1%}" if tested else "not tested")
    if min(counts) and of_cell == 1:
        bent = [grown(counts, seed, spread=spread, bent=True).bend for seed in range(replicates)]
        cells.append(f"{np.mean([one is not None and one.bends for one in bent]):.1%}")
    else:
        cells.append("")
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=1000)
    replicates = parser.parse_args().replicates
    print("| executions | refused | covered, means | covered, medians | width | bend invented | bend seen |")
    print("| --- " * 7 + "|")
    for name, counts in DESIGNS.items():
        for spread in (0.5, 1.0):
            print(row(name, counts, replicates, spread), flush=True)
    print(row("5 cells of 4 for each N", (5,) * 5, replicates, of_cell=4), flush=True)
    print(row("2 cells of 4 for each N", (2,) * 5, replicates, of_cell=4), flush=True)


if __name__ == "__main__":
    main()
