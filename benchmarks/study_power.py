"""This study asks whether comparisons find what their pilots say they would find, over ties, seeds and graded scores.

Usage: python -m benchmarks.study_power [--pilots 200] [--experiments 1000] [--truth NAME ...] (about ten minutes of one
core). A pilot without a difference states the smallest difference that it would find in 4 of 5 comparisons, and the
tasks that a fixed difference needs. Experiments of that size with that difference are drawn from the truth and tested
by swapping names; their share of findings is the power that was had. The table is in docs/statistics.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from agentsoc.streams import stream
from analysis.stats import Alternatives, Discordant, alternatives
from analysis.stats.bootstrap import DIFFERENCE
from analysis.stats.clusters import sums_by_task

F64 = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int, int, float], F64]
"""(generator, experiments, tasks, true difference) -> sums of the differences of each task, (experiments, tasks)."""
SWAPS: Final = 1999
ALPHA: Final = 0.05
MOST: Final = 20_000
EASE: Final = 0.45
"""Mean score of the baseline where tasks are of all difficulties."""


@dataclass(frozen=True)
class Truth:
    """Paired differences as experiments may give them, for any true difference."""

    name: str
    draw: Draw
    effect: float
    """Difference that tasks are planned for."""
    seeds: int = 1
    right_or_wrong: bool = True
    bounded: bool = True
    base: float | None = None
    """Mean score of the baseline, where it limits the difference."""


def kept(rate: float) -> Draw:
    """As many tasks tell the two apart whatever the difference, or as many as it needs."""

    def draw(rng: np.random.Generator, r: int, t: int, d: float) -> F64:
        apart = max(rate, d)
        u = rng.random((r, t))
        return (u < (apart + d) / 2).astype(np.float64) - ((u >= (apart + d) / 2) & (u < apart))

    return draw


def added(rate: float) -> Draw:
    """The tasks lost stay, and wins are added."""

    def draw(rng: np.random.Generator, r: int, t: int, d: float) -> F64:
        u, lost = rng.random((r, t)), min(rate / 2, (1 - d) / 2)
        return (u < lost + d).astype(np.float64) - ((u >= lost + d) & (u < 2 * lost + d))

    return draw


def difficulties(seeds: int) -> Draw:
    """Tasks of all difficulties, a share of the wrong answers turned right; the same for all seeds of a task."""

    def draw(rng: np.random.Generator, r: int, t: int, d: float) -> F64:
        ease = 2 * EASE * rng.beta(1.5, 1.5, (r, t))
        better = ease + min(d / (1 - EASE), 1.0) * (1 - ease)
        return rng.binomial(seeds, better).astype(np.float64) - rng.binomial(seeds, ease)

    return draw


def graded(rng: np.random.Generator, r: int, t: int, d: float) -> F64:
    """Differences of graded scores around the true one."""
    return np.clip(rng.normal(d, 0.1, (r, t)), -1, 1)


def graded_ties(rng: np.random.Generator, r: int, t: int, d: float) -> F64:
    """Seven tasks in ten tie, fewer where the difference is large; the others are graded."""
    apart = max(0.3, min(2 * d, 1.0))
    return np.where(rng.random((r, t)) < apart, np.clip(rng.normal(d / apart, 0.2, (r, t)), -1, 1), 0.0)


def tokens(rng: np.random.Generator, r: int, t: int, d: float) -> F64:
    """Differences of lognormal tokens, in units of their median."""
    return np.exp(rng.normal(0, 0.7, (r, t))) - np.exp(rng.normal(0, 0.7, (r, t))) + d


TRUTHS: Final = (
    Truth("all tied but what the difference brings", kept(0.0), 0.1),
    Truth("4 % told apart, kept", kept(0.04), 0.1),
    Truth("4 % told apart, wins added", added(0.04), 0.1),
    Truth("15 % told apart, kept", kept(0.15), 0.1),
    Truth("15 % told apart, wins added", added(0.15), 0.1),
    Truth("40 % told apart, kept", kept(0.4), 0.1),
    Truth("tasks of all difficulties", difficulties(1), 0.1, base=EASE),
    Truth("the same, 4 seeds of a task", difficulties(4), 0.1, seeds=4, base=EASE),
    Truth("graded", graded, 0.05, right_or_wrong=False),
    Truth("graded, 70 % tied", graded_ties, 0.05, right_or_wrong=False),
    Truth("tokens, lognormal", tokens, 0.5, right_or_wrong=False, bounded=False),
)
TASKS: Final = (3, 10, 20, 50, 100, 500)
"""Of a pilot; 3 are shown for the first truth alone: none of them finds anything with so few."""


def found_share(totals: F64, seed: int = 0) -> float:
    """Return the share of experiments in which swapping names finds a difference, shape (experiments, tasks)."""
    n = totals.shape[1]
    seen = np.abs(totals.sum(axis=1))
    if np.all(np.abs(totals) <= 1) and np.all(totals == np.rint(totals)):
        moved = np.abs(totals).sum(axis=1)
        p = np.minimum(2 * stats.binom.sf((moved + seen) / 2 - 1, moved, 0.5), 1.0)
        return float(np.mean(p <= ALPHA))
    slack = 1e-9 * (1 + np.abs(totals).sum(axis=1))
    if n <= 10:
        signs = 1.0 - 2.0 * (np.arange(1 << n)[None, :] >> np.arange(n)[:, None] & 1)
        return float(np.mean(np.mean(np.abs(totals @ signs) >= (seen - slack)[:, None], axis=1) <= ALPHA))
    signs = stream(seed, "study", "swaps", n).choice(np.array([-1.0, 1.0], np.float32), (n, SWAPS))
    hits = np.sum(np.abs(totals.astype(np.float32) @ signs) >= (seen * (1 - 1e-5) - slack)[:, None], axis=1)
    return float(np.mean((1 + hits) / (1 + SWAPS) <= ALPHA))


def planned(truth: Truth, n_tasks: int, pilots: int) -> list[Alternatives]:
    """Return what pilots of that many tasks, without a difference, leave possible."""
    drawn = truth.draw(stream(5, "study", "pilots", truth.name, n_tasks), pilots, n_tasks, 0.0)
    task = np.repeat(np.arange(n_tasks), truth.seeds)
    change = DIFFERENCE if truth.bounded else None
    found = []
    for totals in drawn:
        rows = np.repeat(totals / truth.seeds, truth.seeds)
        found.append(
            alternatives(
                sums_by_task(rows, task, n_tasks), change, right_or_wrong=truth.right_or_wrong, base=truth.base
            )
        )
    return found


def true_power(truth: Truth, n_tasks: int, difference: float, experiments: int) -> float:
    """Return the share of experiments that find the difference."""
    rng = stream(6, "study", "experiments", truth.name, n_tasks, round(1e9 * difference))
    per = max(1, min(experiments, 4_000_000 // n_tasks))
    shares = [found_share(truth.draw(rng, per, n_tasks, difference)) for _ in range(-(-experiments // per))]
    return float(np.mean(shares))


@dataclass(frozen=True)
class Row:
    """What pilots of one size stated, and what was so."""

    none: float
    """Share of the pilots that state no detectable difference."""
    least: float
    """Median of the stated differences."""
    had: float
    """Mean power at the stated differences."""
    needed: float
    """Median of the tasks that are stated for the planned difference."""
    had_with: float
    """Mean power with so many tasks."""
    largest: float
    """Largest stated difference."""


def row(truth: Truth, n_tasks: int, pilots: int, experiments: int) -> Row:
    """Return one row: means over pilots of the true power, interpolated between 12 simulated points."""
    plans = planned(truth, n_tasks, pilots)
    known: dict[bytes, tuple[float, int]] = {}
    stated, tasks = [], []
    for plan in plans:
        key = plan.rates.tobytes() if isinstance(plan, Discordant) else str(id(plan)).encode()
        if key not in known:
            least = plan.detectable(n_tasks, alpha=ALPHA)
            known[key] = (np.nan if least is None else least, plan.tasks_needed(truth.effect, alpha=ALPHA) or MOST)
        stated.append(known[key][0])
        tasks.append(min(known[key][1], MOST))
    some = np.array([d for d in stated if np.isfinite(d)])
    had = np.nan
    if some.size:
        grid = np.unique(np.quantile(some, np.linspace(0, 1, 12)))
        had = float(np.interp(some, grid, [true_power(truth, n_tasks, float(d), experiments) for d in grid]).mean())
    sizes = np.unique(np.quantile(tasks, np.linspace(0, 1, 12)).astype(np.int64))
    powers = [true_power(truth, int(n), truth.effect, experiments) for n in sizes]
    return Row(
        none=1 - some.size / len(stated), least=float(np.median(some)) if some.size else np.nan, had=had,
        needed=float(np.median(tasks)), had_with=float(np.interp(tasks, sizes, powers).mean()),
        largest=float(some.max()) if some.size else np.nan,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pilots", type=int, default=200)
    parser.add_argument("--experiments", type=int, default=1000)
    parser.add_argument("--truth", nargs="*", choices=[truth.name for truth in TRUTHS])
    parser.add_argument("--tasks", type=int, nargs="*")
    asked = parser.parse_args()
    print("| truth | tasks | could find nothing | could find | power had | tasks for | needed | power had |")
    print("| --- " * 8 + "|")
    for truth in TRUTHS:
        if asked.truth and truth.name not in asked.truth:
            continue
        for n_tasks in asked.tasks or (TASKS if truth is TRUTHS[0] else TASKS[1:]):
            found = row(truth, n_tasks, asked.pilots, asked.experiments)
            least = "-" if np.isnan(found.least) else f"{found.least:.3f} | {found.had:.2f}"
            print(
                f"| {truth.name} | {n_tasks} | {found.none:.0%} | {least if found.none < 1 else '- | -'} | "
                f"{truth.effect:g} | {found.needed:,.0f} | {found.had_with:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
