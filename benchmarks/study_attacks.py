"""This study tries to bring reports to a false word: equal organisations, one task that outweighs all, trees at random.

Usage: python -m benchmarks.study_attacks [--part equals weight tokens trees margins ends choices] [--replicates 1000]
(some minutes of one core a part). Each part plants that nothing is so, and counts the samples of which something is
said. The tables are in docs/comparison-studies.md and docs/verdict-studies.md.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import beta

from analysis.cascade_laws.switched import MEASURES, against_switched
from analysis.claims.cascades import claim_graph
from analysis.measures.episodes import run_metrics
from analysis.measures.uneven import uneven_tokens
from analysis.stats.looks import look_levels
from analysis.stats.margins import within_margin
from analysis.stats.paired import paired_sums
from analysis.stats.permutation import holm, sign_flip_p
from benchmarks.planted_cascades import table_of
from benchmarks.study_attachment import World, called, examined

F64 = NDArray[np.float64]
LEVEL: Final = 0.05
SWAPS: Final = 1000


def upper(hits: int, n: int) -> float:
    """Return the one-sided upper 95 % bound of a rate."""
    return float(beta.ppf(0.95, hits + 1, n - hits)) if hits < n else 1.0


def counted(hits: int, n: int) -> str:
    """Return a rate with the bound that it leaves open."""
    return f"{hits / n:.1%} (below {upper(hits, n):.1%})"


# Equal organisations


def answers(rng: np.random.Generator, n_tasks: int, seeds: int, n: int) -> F64:
    """Right or wrong answers of equal organisations to tasks of unequal difficulty, shape (tasks, seeds, n)."""
    return (rng.random((n_tasks, seeds, n)) < rng.beta(1, 1, (n_tasks, 1, 1))).astype(np.float64)


def grades(rng: np.random.Generator, n_tasks: int, seeds: int, n: int) -> F64:
    """Scores in [0, 1] of equal organisations, each with ups and downs of its own on every task."""
    own = rng.normal(0, 0.1, (n_tasks, 1, n)) + rng.normal(0, 0.1, (n_tasks, seeds, n))
    return np.clip(rng.beta(2, 2, (n_tasks, 1, 1)) + own, 0, 1)


DRAWN: Final[dict[str, Callable[[np.random.Generator, int, int, int], F64]]] = {"answers": answers, "scores": grades}


def differ(scores: F64) -> bool:
    """Return whether any organisation is said to differ from the first one, at 5 % over all of them."""
    n_tasks, seeds, n = scores.shape
    matrix, task = scores.reshape(-1, n), np.repeat(np.arange(n_tasks), seeds)
    sums = paired_sums(matrix, task, 0, list(range(1, n)))
    return bool(holm(np.array([sign_flip_p(one.total, replicates=SWAPS)[0] for one in sums.versus])).min() <= LEVEL)


def equals(replicates: int) -> None:
    """Print how often one of three organisations is said to differ from a fourth that is as good."""
    print("| scores | tasks x seeds | samples | said to be better or worse |\n| --- | --- | --- | --- |")
    for name, draw in DRAWN.items():
        for n_tasks, seeds in ((10, 1), (20, 1), (20, 5), (100, 1)):
            rng = np.random.default_rng([n_tasks, seeds, len(name)])
            hits = sum(differ(draw(rng, n_tasks, seeds, 4)) for _ in range(replicates))
            print(f"| {name} | {n_tasks} x {seeds} | {replicates} | {counted(hits, replicates)} |", flush=True)


def margins(replicates: int) -> None:
    """Print how often one of three organisations that are worse by the margin is said not to be worse by more."""
    print("| tasks | margin | samples | said to be not worse, or equivalent |\n| --- | --- | --- | --- |")
    for n_tasks, margin in ((50, 0.1), (200, 0.1), (200, 0.05)):
        rng = np.random.default_rng([n_tasks, round(1000 * margin)])
        hits = sum(not_worse(rng, n_tasks, margin) for _ in range(replicates))
        print(f"| {n_tasks} | {margin:g} | {replicates} | {counted(hits, replicates)} |", flush=True)


def not_worse(rng: np.random.Generator, n_tasks: int, margin: float) -> bool:
    """Return whether any of three that are truly worse by the margin is said not to be."""
    ease = rng.uniform(margin, 1, n_tasks)
    frames = [
        pl.DataFrame(
            {"organisation": f"o{at}", "tasks": "t", "task": range(n_tasks), "seed": 0,
             "score": (rng.random(n_tasks) < ease - (margin if at else 0.0)).astype(float)}
        )
        for at in range(4)
    ]  # fmt: skip
    return any(one.verdict != "undecided" for one in within_margin(pl.concat(frames), margin, baseline="o0"))


# One task that outweighs all others


def weighted(rng: np.random.Generator, n_tasks: int, rows: int, spread: float) -> tuple[bool, bool]:
    """Return what is said of two equal organisations, by tasks and by rows as if those were independent.

    The first task has `rows` rows, each other one a single row; on each task one of both is better by `spread`, by
    chance.
    """
    task = np.concatenate([np.zeros(rows, dtype=np.int64), np.arange(1, n_tasks)])
    lead = rng.choice([-spread, spread], n_tasks)[task] + rng.normal(0, 0.05, task.size)
    matrix = np.column_stack([np.zeros(task.size), lead])
    by_task, by_row = (paired_sums(matrix, one, 0, [1]).versus[0].total for one in (task, np.arange(task.size)))
    return tuple(bool(sign_flip_p(one, replicates=SWAPS)[0] <= LEVEL) for one in (by_task, by_row))  # type: ignore[return-value]


def weight(replicates: int) -> None:
    """Print how often two equal organisations are said to differ where one task has most of the rows."""
    print(
        "| tasks | rows of the first | samples | said to differ | if rows were tasks |\n| --- | --- | --- | --- | --- |"
    )
    for n_tasks, rows in ((10, 50), (20, 200), (50, 1000)):
        rng = np.random.default_rng([n_tasks, rows])
        found = np.array([weighted(rng, n_tasks, rows, 0.2) for _ in range(replicates)])
        own, other = (counted(int(part.sum()), replicates) for part in found.T)
        print(f"| {n_tasks} | {rows} | {replicates} | {own} | {other} |", flush=True)


# Tokens with heavy tails


TOKENS: Final[dict[str, tuple[Callable[[np.random.Generator, int], F64], float]]] = {
    "exponential": (lambda rng, n: rng.exponential(400, n), 400.0),
    "lognormal, sigma 0.5": (lambda rng, n: np.exp(rng.normal(6, 0.5, n)), float(np.exp(6 + 0.125))),
    "lognormal, sigma 1": (lambda rng, n: np.exp(rng.normal(6, 1, n)), float(np.exp(6.5))),
    "lognormal, sigma 2": (lambda rng, n: np.exp(rng.normal(6, 2, n)), float(np.exp(8))),
    "Pareto, alpha 2.5": (lambda rng, n: 100 * (1 - rng.random(n)) ** (-1 / 1.5), 300.0),
    "Pareto, alpha 2.1": (lambda rng, n: 100 * (1 - rng.random(n)) ** (-1 / 1.1), 1100.0),
}
"""Tokens of a task, and their mean; alpha is the exponent of the density."""


def tokens(replicates: int) -> None:
    """Print how often the intervals of tokens a task and of score per 1,000 tokens hold, and are doubted."""
    print("| tokens of a task | tasks | samples | tokens held | score/1k tokens held | doubted | of the others, held |")
    print("| --- " * 7 + "|")
    for name, (draw, mean) in TOKENS.items():
        for n in (20, 100, 500):
            rng = np.random.default_rng([n, len(name)])
            held = np.array([holds(rng, draw, mean, n) for _ in range(replicates)])
            cells = [f"{share:.1%}" for share in held.mean(axis=0)]
            others = held[~held[:, 2].astype(bool), 0]
            cells.append(f"{others.mean():.1%} of {others.size}" if others.size else "-")
            print(f"| {name} | {n} | {replicates} | {' | '.join(cells)} |", flush=True)


def holds(rng: np.random.Generator, draw: Callable[[np.random.Generator, int], F64], mean: float, n: int) -> list[bool]:
    """Return whether both intervals hold their truth in one sample, and are doubted; half the answers are right."""
    table = pl.DataFrame({"task": range(n), "score": rng.integers(2, size=n).astype(float), "tokens": draw(rng, n)})
    found = run_metrics(table, draws=1000)
    one, ratio = found["tokens"], found["success_per_1k_tokens"]
    assert one is not None
    assert ratio is not None
    return [one.covers(mean), ratio.covers(1000 * 0.5 / mean), bool(uneven_tokens(table))]


# Trees at random


def tree(rng: np.random.Generator, form: str, claims: int, roots: int) -> list[list[int]]:
    """Return the parents of each claim of one execution: random trees, none of which prefers deep or wide cascades."""
    parents: list[list[int]] = [[] for _ in range(roots)]
    built = np.zeros(claims)
    for t in range(roots, claims):
        weight = built[:t] + 1 if form == "preferential" else np.ones(t)
        n = 2 if form == "merges" and rng.random() < 0.3 else 1
        own = rng.choice(t, size=n, replace=False, p=weight / weight.sum())
        built[own] += 1
        parents.append([int(one) for one in own])
    return parents


def words_of(seed: int, form: str, *, executions: int = 6, wirings: int = 139) -> list[str]:
    """Return the measures of random trees that are said to be more or less than by chance."""
    rng = np.random.default_rng([seed, len(form)])
    parts = [tree(rng, form, 40, 4) for _ in range(executions)]
    flat = [None if not own else e * 40 + own[0] for e, part in enumerate(parts) for own in part]
    where = np.repeat(np.arange(executions), 40).tolist()
    table = table_of(flat, where, np.arange(len(flat)) % 10, one_seed=False, n_agents=10)
    every = pl.Series("parents", [own for part in parts for own in part], dtype=pl.List(pl.Int64()))
    table = type(table)(table.events.with_columns(every), table.executions)
    found = against_switched(table, claim_graph(table), replicates=wirings, seed=seed).measures
    return [one.name for one in found if one.p_holm <= LEVEL]


def trees(replicates: int) -> None:
    """Print how often random trees are said to be more or less than by chance, over the measures of a report."""
    print(f"| trees | samples | any | {' | '.join(MEASURES)} |\n| --- | --- | --- | --- | --- | --- |")
    for form in ("uniform", "preferential", "merges"):
        said = [words_of(seed, form) for seed in range(replicates)]
        each = Counter(name for one in said for name in one)
        cells = " | ".join(f"{each[name] / replicates:.1%}" for name in MEASURES)
        print(f"| {form} | {replicates} | {counted(sum(map(bool, said)), replicates)} | {cells} |", flush=True)


# Early looks, and both ends of lost runs


def looked(rng: np.random.Generator, planned: int, tasks: int, *, by_look: bool) -> bool:
    """Return whether the end of lost runs that is truly without a difference is said to differ at any look.

    Args:
        rng: what to draw from.
        planned: looks, each with as many more tasks.
        tasks: tasks of a look.
        by_look: whether an end is tested at the level of the look, as it is, or at 5 % each time.
    """
    levels = look_levels([float(tasks * (at + 1)) for at in range(planned)], planned)
    lead = rng.choice([-1.0, 0.0, 1.0], tasks * planned, p=[0.2, 0.6, 0.2])
    return any(
        sign_flip_p(lead[: tasks * (at + 1)], replicates=SWAPS)[0] <= (level if by_look else LEVEL)
        for at, level in enumerate(levels)
    )


def ends(replicates: int) -> None:
    """Print how often an end without a difference is said to differ at one of several looks."""
    print(
        "| looks | tasks of each | samples | at the level of the look | at 5 % each |\n| --- | --- | --- | --- | --- |"
    )
    for planned, tasks in ((3, 50), (5, 50)):
        shares = []
        for by_look in (True, False):
            rng = np.random.default_rng([planned, tasks])
            hits = sum(looked(rng, planned, tasks, by_look=by_look) for _ in range(replicates))
            shares.append(counted(hits, replicates))
        print(f"| {planned} | {tasks} | {replicates} | {' | '.join(shares)} |", flush=True)


# Choices by recency and authors


def choices(replicates: int) -> None:
    """Print how often choices by the age and the author of claims alone are called reinforcement."""
    print("| world | samples | reinforcement | looks like it | no reinforcement |\n| --- | --- | --- | --- | --- |")
    worlds = {
        "1 / age and authors, sd 1": World(recency=-1, authors=1),
        "the last five, and authors": World(window=5, authors=1),
    }
    for name, world in worlds.items():
        said = called([examined(world, seed) for seed in range(replicates)])
        like = sum(n for word, n in said.items() if word.startswith("looks like"))
        cells = [counted(said["reinforcement"], replicates), f"{like / replicates:.1%}"]
        cells.append(f"{said['no reinforcement'] / replicates:.1%}")
        print(f"| {name} | {replicates} | {' | '.join(cells)} |", flush=True)


PARTS: Final = {
    "equals": equals, "margins": margins, "weight": weight, "tokens": tokens, "trees": trees, "ends": ends,
    "choices": choices,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", nargs="*", choices=tuple(PARTS), default=list(PARTS))
    parser.add_argument("--replicates", type=int, default=1000)
    asked = parser.parse_args()
    for name in asked.part:
        PARTS[name](asked.replicates)
        print(flush=True)


if __name__ == "__main__":
    main()
