"""This study asks how often N_eff, the law of team size and the collaboration gain hold, and how often a word is wrong.

Usage: python -m benchmarks.study_team_size [--replicates 400] [--part votes law gain] (half an hour of one core).
Votes have accuracy .65 and the lock form: with probability rho all agents of a task give the same draw, so that any two
votes have correlation rho; in the law rho = c N^-b, each N with tasks of its own, or all with the same tasks (smaller
teams are the first agents of larger ones). Gains are of scores of one agent and of a society that have shared luck.
The tables are in docs/comparison-studies.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from analysis.comparison.gain import gain_of
from analysis.interval import Interval
from analysis.measures.independence import IndependentVotes, independent_votes
from analysis.measures.standing import STANDING
from analysis.measures.team_size import SizedRun, TeamSize, team_size

ACCURACY: Final = 0.65
PILOT: Final = (2, 3, 4, 5)
WIDE: Final = (2, 4, 8, 16, 30)
TARGET: Final = 30
DRAWS: Final = 2000
"""Bootstrap samples behind a gain."""
DESIGNS: Final = (
    *((PILOT, tasks, False) for tasks in (100, 400, 2000)),
    *((sizes, 400, True) for sizes in (PILOT, WIDE)),
    *((WIDE, tasks, False) for tasks in (100, 400)),
)
"""N of the runs, tasks of each, and whether all have the same ones."""
TRUTHS: Final = ((0.1, 0.0), (0.3, 0.0), (0.6, 0.0), (0.6, 0.5), (0.8, 1.2))
"""c and b."""


def locked(rng: np.random.Generator, tasks: int, n: int, rho: float) -> NDArray[np.bool_]:
    """Return votes of which any two have correlation rho, shape (tasks, n)."""
    same = rng.random((tasks, 1)) < rho
    return np.where(same, rng.random((tasks, 1)) < ACCURACY, rng.random((tasks, n)) < ACCURACY)


def worth(right: NDArray[np.bool_]) -> IndependentVotes | str | None:
    """Return N_eff of votes."""
    tasks, n = right.shape
    known = {"task": np.arange(tasks), "voters": np.full(tasks, n), "right": right.sum(axis=1).astype(float)}
    return independent_votes(pl.DataFrame(known | dict.fromkeys(set(STANDING) - set(known)), schema=STANDING))


def votes(replicates: int) -> None:
    """Print how often the interval of N_eff holds."""
    print("| N | tasks | rho | none | held |")
    print("| --- " * 5 + "|")
    for n in (2, 5, 30):
        for tasks in (30, 100, 400):
            for rho in (0.0, 0.1, 0.4, 0.9, 1.0):
                rng = np.random.default_rng([n, tasks, int(100 * rho)])
                found = [worth(locked(rng, tasks, n, rho)) for _ in range(replicates)]
                known = [one for one in found if isinstance(one, IndependentVotes)]
                held = np.mean([one.votes.covers(n / (1 + (n - 1) * rho)) for one in known]) if known else np.nan
                print(f"| {n} | {tasks} | {rho:g} | {1 - len(known) / replicates:.1%} | {held:.1%} |", flush=True)


def drawn(
    rng: np.random.Generator, sizes: tuple[int, ...], tasks: int, c: float, b: float, *, one_set: bool
) -> TeamSize | None:
    """Return the law of drawn votes; None where a run tells no N_eff."""
    runs = []
    same, whole, own = (rng.random((tasks, k)) for k in (1, 1, max(sizes)))
    for n in sizes:
        if one_set:
            right = np.where(same < c * n**-b, whole < ACCURACY, own[:, :n] < ACCURACY)
        else:
            right = locked(rng, tasks, n, c * n**-b)
        found = worth(right)
        if not isinstance(found, IndependentVotes):
            return None
        runs.append(SizedRun(found, "x" if one_set else str(n)))
    return team_size(runs)


def law(replicates: int, designs: Sequence[int]) -> None:
    """Print how often the intervals of the law hold, and which words are said."""
    words = ("hard ceiling", "sublinear", "linear", "undecided")
    print(f"| N | tasks | c | b | b held | c held | N_eff of {TARGET} held | misfit | {' | '.join(words)} |")
    print("| --- " * (8 + len(words)) + "|")
    for sizes, tasks, one_set in [DESIGNS[at] for at in designs]:
        for c, b in TRUTHS:
            rng = np.random.default_rng([len(sizes), tasks, int(100 * c), int(10 * b), int(one_set)])
            made = [drawn(rng, sizes, tasks, c, b, one_set=one_set) for _ in range(replicates)]
            found = [one for one in made if one is not None]
            truth = TARGET / (1 + (TARGET - 1) * c * TARGET**-b)
            ahead = [one.predicted.covers(truth) for one in found if one.predicted is not None]
            cells = [f"{sizes[0]} to {sizes[-1]}{', same' if one_set else ''}", f"{tasks}", f"{c:g}", f"{b:g}"]
            cells += [f"{np.mean([one.b.covers(b) for one in found]):.1%}"]
            cells += [f"{np.mean([one.c.covers(c) for one in found]):.1%}"]
            cells += [f"{np.mean(ahead):.1%}" if ahead else "-"]
            cells += [f"{np.mean([(one.fit or 0) < 0.05 for one in found]):.1%}"]
            cells += [f"{np.mean([one.regime == word for one in found]):.1%}" for word in words]
            print(f"| {' | '.join(cells)} |", flush=True)


def gains(replicates: int) -> None:
    """Print how often the interval of the collaboration gain holds."""
    print("| tasks | one agent | society | none | held | below | above |")
    print("| --- " * 7 + "|")
    for tasks in (20, 50, 200):
        for single, society in ((0.5, 0.5), (0.5, 0.7), (0.1, 0.2), (0.9, 0.95), (0.05, 0.05), (0.98, 0.98)):
            rng = np.random.default_rng([tasks, int(100 * single), int(100 * society)])
            found: list[Interval] = []
            for _ in range(replicates):
                luck = rng.random(tasks)
                other = np.where(rng.random(tasks) < 0.5, luck, rng.random(tasks))
                scores = (other < society).astype(float), (luck < single).astype(float)
                one = gain_of(*scores, np.arange(tasks), replicates=DRAWS)
                if isinstance(one, Interval):
                    found.append(one)
            truth = society / single
            held = np.mean([one.covers(truth) for one in found])
            below, above = np.mean([one.high < truth for one in found]), np.mean([one.low > truth for one in found])
            cells = [f"{tasks}", f"{single:g}", f"{society:g}", f"{1 - len(found) / replicates:.1%}"]
            print(f"| {' | '.join([*cells, *(f'{share:.1%}' for share in (held, below, above))])} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=400)
    parser.add_argument("--part", nargs="*", choices=("votes", "law", "gain"), default=("votes", "law", "gain"))
    parser.add_argument("--designs", nargs="*", type=int, default=range(len(DESIGNS)), help="of the law, by number")
    asked = parser.parse_args()
    if "votes" in asked.part:
        votes(asked.replicates)
    if "law" in asked.part:
        law(asked.replicates, asked.designs)
    if "gain" in asked.part:
        gains(asked.replicates)


if __name__ == "__main__":
    main()
