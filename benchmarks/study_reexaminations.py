"""This study repeats what docs/experiments says of three published claims, on many samples instead of one.

Usage: python -m benchmarks.study_reexaminations [--replicates 200] [--part pilot copying consensus] (two minutes of one
core). *pilot*: teams of 2 to 5 on two sets of 400 tasks, the same tasks for all sizes, predict teams of 30 (arXiv
2606.02646); votes have accuracy .65 and correlation c N^-b, and each agent keeps its own draw whatever the size.
*copying*: nine voters copy a random one, themselves included or not, or the majority of all nine (arXiv 2508.17536).
*consensus*: five conformists after one exchange (arXiv 2605.00914). The tables are in those pages.
"""

from __future__ import annotations

import argparse
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from analysis.measures.independence import IndependentVotes, independent_votes
from analysis.measures.standing import STANDING
from analysis.measures.team_size import SizedRun, TeamSize, team_size

Votes = NDArray[np.bool_]
"""Who is right, shape (tasks, agents)."""

SETS: Final = 2
TASKS: Final = 400
"""Tasks of each set."""
LARGE: Final = 30
TRUTHS: Final = ((0.3, 0.0), (0.6, 0.5))
"""c and b."""
COPIED: Final = 100_000
"""Tasks behind the shares of copying and of conformists."""
FOLLOW: Final = 0.8


def worth(right: Votes) -> IndependentVotes:
    """Return N_eff of votes."""
    tasks, n = right.shape
    known = {"task": np.arange(tasks), "voters": np.full(tasks, n), "right": right.sum(axis=1).astype(float)}
    found = independent_votes(pl.DataFrame(known | dict.fromkeys(set(STANDING) - set(known)), schema=STANDING))
    assert isinstance(found, IndependentVotes)
    return found


def teams(rng: np.random.Generator, sizes: tuple[int, ...], c: float, b: float) -> list[SizedRun]:
    """Return the runs of teams whose smaller ones are the first agents of the larger ones, on sets of tasks."""
    runs = []
    for at in range(SETS):
        locked, whole, own = (rng.random((TASKS, k)) for k in (1, 1, max(sizes)))
        for n in sizes:
            right = np.where(locked < c * float(n) ** -b, whole < 0.65, own[:, :n] < 0.65)
            runs.append(SizedRun(worth(right), str(at)))
    return runs


def pilot(replicates: int) -> None:
    """Print how often a pilot of five predicts thirty, and what is said with and without the thirty."""
    print("| c | b | runs | b held | N_eff of 30 held | half-width | hard ceiling | sublinear | undecided | misfit |")
    print("| --- " * 10 + "|")
    for c, b in TRUTHS:
        rng = np.random.default_rng([int(100 * c), int(10 * b)])
        whole = [teams(rng, (2, 3, 4, 5, LARGE), c, b) for _ in range(replicates)]
        few = [[run for run in runs if run.votes.n < LARGE] for runs in whole]
        for name, made in (("2 to 5", few), ("2 to 5 and 30", whole)):
            found = [law for law in map(team_size, made) if law is not None]
            print(_row(name, found, c, b), flush=True)


def _row(name: str, found: list[TeamSize], c: float, b: float) -> str:
    truth = LARGE / (1 + (LARGE - 1) * c * LARGE**-b)
    ahead = [law.predicted for law in found if law.predicted is not None]
    cells = [f"{c:g}", f"{b:g}", name, f"{np.mean([law.b.covers(b) for law in found]):.1%}"]
    cells.append(f"{np.mean([one.covers(truth) for one in ahead]):.1%}" if ahead else "-")
    cells.append(f"{np.median([one.width for one in ahead]) / 2 / truth:.0%}" if ahead else "-")
    cells += [f"{np.mean([law.regime == word for law in found]):.1%}" for word in ("hard ceiling", "sublinear")]
    cells.append(f"{np.mean([law.regime == 'undecided' for law in found]):.1%}")
    cells.append(f"{np.mean([(law.fit or 0.0) < 0.05 for law in found]):.1%}")
    return f"| {' | '.join(cells)} |"


def copy_round(right: Votes, rng: np.random.Generator, rule: str) -> Votes:
    """Return the votes after each has copied a random one of all or of the others, or the majority of all."""
    n = right.shape[1]
    if rule == "majority":
        return np.repeat(2 * right.sum(axis=1, keepdims=True) > n, n, axis=1)
    step = rng.integers(0 if rule == "all" else 1, n, right.shape)
    return np.take_along_axis(right, (np.arange(n) + step) % n, axis=1)


def copying() -> None:
    """Print mean accuracy and majority of nine who start at .6, round by round."""
    print("| rule | measure | at first | after 1 | 2 | 3 | 4 |")
    print("| --- " * 7 + "|")
    for rule in ("all", "others", "majority"):
        rng = np.random.default_rng(9)
        right = rng.random((COPIED, 9)) < 0.6
        rounds = [right]
        for _ in range(4):
            rounds.append(copy_round(rounds[-1], rng, rule))
        for name, values in (
            ("mean accuracy", [one.mean() for one in rounds]),
            ("majority", [(2 * one.sum(axis=1) > 9).mean() for one in rounds]),
        ):
            print(f"| {rule} | {name} | {' | '.join(f'{value:.3f}' for value in values)} |", flush=True)


def consensus() -> None:
    """Print what becomes of five conformists' answers in one exchange, over their accuracy."""
    print("| accuracy | majority, before and after | vulnerability | correction | oracle gap (points) |")
    print("| --- " * 5 + "|")
    for p in (0.4, 0.6, 0.8):
        rng = np.random.default_rng([5, int(10 * p)])
        right = rng.random((COPIED, 5)) < p
        others = right.sum(axis=1, keepdims=True) - right  # of four
        goes = rng.random(right.shape) < FOLLOW
        after = np.where(goes & (others > 2), True, np.where(goes & (others < 2), False, right))
        exposed = np.where(right, others < 4, others > 0)
        lost, won = ~after[exposed & right], after[exposed & ~right]
        major = [(2 * one.sum(axis=1) > 5) for one in (right, after)]
        gap = 100 * (right.any(axis=1) & ~major[1]).mean()
        shares = f"{major[0].mean():.3f}, {major[1].mean():.3f} | {lost.mean():.3f} | {won.mean():.3f}"
        print(f"| {p:g} | {shares} | {gap:.1f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=200)
    parser.add_argument(
        "--part", nargs="*", choices=("pilot", "copying", "consensus"), default=["pilot", "copying", "consensus"]
    )
    asked = parser.parse_args()
    if "pilot" in asked.part:
        pilot(asked.replicates)
    if "copying" in asked.part:
        copying()
    if "consensus" in asked.part:
        consensus()


if __name__ == "__main__":
    main()
