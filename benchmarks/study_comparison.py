"""This study asks how often what a comparison says of differences is right, of planted ones.

Usage: python -m benchmarks.study_comparison [--replicates 1000] [--part intervals d] (each part one to three minutes of
one core). Paired differences are those of `benchmarks.study_statistics_coverage`. The tables are in
docs/comparison-studies.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from analysis.interval import Interval
from analysis.stats.bootstrap import mean_intervals
from analysis.stats.clusters import TaskSums
from analysis.stats.effects import FEWEST_TASKS, FEWEST_UNUSUAL, paired_d
from analysis.stats.inversion import agreeing, score_interval
from analysis.stats.permutation import sign_flip_p
from benchmarks.study_statistics_coverage import REGIMES, Regime, summed, three_way

F64 = NDArray[np.float64]
LEVEL: Final = 0.95
DRAWS: Final = 1000
SIZES: Final = ((3, 1), (5, 1), (10, 1), (10, 3), (20, 1), (20, 3), (50, 1), (200, 1))
"""(tasks, seeds)."""


def intervals_of(regime: Regime, rows: F64) -> tuple[list[Interval], list[Interval], F64]:
    """Return the intervals over tasks alone, those that are given, and p, of experiments (n, tasks, seeds)."""
    sums = [summed(one) for one in rows]
    alone = mean_intervals(sums, [regime.bounds] * len(sums), replicates=DRAWS)
    p = np.array([sign_flip_p(one.total, replicates=DRAWS)[0] for one in sums])
    answers = bool(np.all(np.isin(rows, (-1.0, 0.0, 1.0)))) and rows.shape[2] == 1 and regime.bounds is not None
    given = []
    for one, step, interval, each in zip(sums, rows, alone, p, strict=True):
        won, lost = int(np.sum(step > 0)), int(np.sum(step < 0))
        own = score_interval(won, lost, one.n_tasks, level=LEVEL) if answers else interval
        given.append(agreeing(own, float(each)))
    return alone, given, p


def study_intervals(replicates: int) -> None:
    """Coverage, width, and how often interval and p are at odds about 0."""
    print("| differences | tasks x seeds | held | width | at odds with p | over tasks alone: held | at odds |")
    print("| --- " * 7 + "|")
    for regime in REGIMES:
        for n_tasks, seeds in SIZES:
            rng = np.random.default_rng([n_tasks, seeds, len(regime.name)])
            alone, given, p = intervals_of(regime, regime.draw(rng, replicates, n_tasks, seeds))
            cells = [regime.name, f"{n_tasks} x {seeds}", held(given, regime.truth)]
            cells.append(f"{np.median([one.width for one in given]):.3g}")
            cells += [at_odds(given, p), held(alone, regime.truth), at_odds(alone, p)]
            print(f"| {' | '.join(cells)} |", flush=True)


def held(found: list[Interval], truth: float) -> str:
    return f"{np.mean([one.covers(truth) for one in found]):.1%}"


def at_odds(found: list[Interval], p: F64) -> str:
    """Return how often an interval leaves 0 out although p exceeds 5 %, or the other way round."""
    apart = [(one.low > 0 or one.high < 0) != (each <= 1 - LEVEL) for one, each in zip(found, p, strict=True)]
    return f"{np.mean(apart):.1%}"


def _lognormal(rng: np.random.Generator, r: int, t: int, k: int) -> F64:
    return rng.lognormal(0, 1, (r, t, k)) - rng.lognormal(0, 0.5, (r, t, k))


_E: Final = float(np.exp(0.25))
SHAPES: Final[dict[str, tuple[Callable[[np.random.Generator, int, int, int], F64], float]]] = {
    "normal, d 0.3": (lambda rng, r, t, k: 0.3 + rng.standard_normal((r, t, k)), 0.3),
    "normal, d 1": (lambda rng, r, t, k: 1 + rng.standard_normal((r, t, k)), 1.0),
    "+.05, 85 % ties": (three_way(0.1, 0.05), 0.05 / np.sqrt(0.15 - 0.05**2)),
    "+.2, 60 % ties": (three_way(0.3, 0.1), 0.2 / np.sqrt(0.4 - 0.2**2)),
    "+.3, never worse": (three_way(0.3, 0.0), 0.3 / np.sqrt(0.3 - 0.3**2)),
    "+.8, never worse": (three_way(0.8, 0.0), 0.8 / np.sqrt(0.8 - 0.8**2)),
    "lognormal": (_lognormal, float((np.exp(0.5) - np.exp(0.125)) / np.sqrt((np.e - 1) * np.e + (_E - 1) * _E))),
}
D_SIZES: Final = (3, 5, 10, 20, 30, 50, 100, 200)


def study_d(replicates: int) -> None:
    """How often the interval of d holds, by tasks; where there is none because all tasks are alike, it misses."""
    print(f"| differences | {' | '.join(f'{n} tasks' for n in D_SIZES)} |")
    print("| --- " * (1 + len(D_SIZES)) + "|")
    for name, (draw, truth) in SHAPES.items():
        cells = []
        for n_tasks in D_SIZES:
            rows = draw(np.random.default_rng([n_tasks, 7]), replicates, n_tasks, 1)
            sums = [summed(one) for one in rows]
            kept = [one for one in sums if one.n_unusual >= FEWEST_UNUSUAL] if n_tasks >= FEWEST_TASKS else sums
            cells.append(f"{np.mean([holds_d(one, truth) for one in kept]):.1%}")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def holds_d(sums: TaskSums, truth: float) -> bool:
    """Return whether the interval of d, however few tasks there are, holds the truth."""
    found = paired_d(sums, LEVEL, fewest=(2, 1))
    return found is not None and found.covers(truth)


PARTS: Final[dict[str, Callable[[int], None]]] = {"intervals": study_intervals, "d": study_d}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=1000)
    parser.add_argument("--part", choices=sorted(PARTS), nargs="*", default=list(PARTS))
    chosen = parser.parse_args()
    for part in chosen.part:
        PARTS[part](chosen.replicates)
        print(flush=True)


if __name__ == "__main__":
    main()
