"""Do societies by the protocols of docs/protocols.md come to what their closed forms say? Longer runs than the tests.

Run: ``python -m benchmarks.study_protocols [--tasks 4000]`` (a few minutes; prints a table in Markdown, exits with 1
when a share is further than four standard errors from its closed form).

``placebo``: readers who count votes about another question. ``dag``: a chain of authors and critics. ``tournament``:
two answers and one match, and a judge who draws lots. ``narrated-choice``: a judge with odds.
"""

from __future__ import annotations

import argparse
import sys
from math import comb
from typing import Any

from benchmarks.study_refine import Row, after, picked, score, told


def placebo_vote(n: int, p: float) -> float:
    """Return how often the majority of an odd n is right that count their own vote and those about another question.

    All hear nearly the same votes of another task, S of them for what is right here; an agent hears all but one. Given
    the votes of both tasks, everybody's answer is fixed, so the majority is worked out over both.
    """
    half, found = (n + 1) // 2, 0.0
    for q, weight in ((p, 0.5), (1 - p, 0.5)):
        for s in range(n + 1):
            for own in range(n + 1):
                chance = weight * comb(n, s) * q**s * (1 - q) ** (n - s) * comb(n, own) * p**own * (1 - p) ** (n - own)
                found += chance * _majority(n, s, own, half)
    return found


def _majority(n: int, s: int, own: int, half: int) -> float:
    """Return how often most of n are right where `s` of the votes shown and `own` of their own are for what is right.

    Of those whose own vote is right, k authored one of the s votes that are right elsewhere, and do not hear it.
    """
    total, found = comb(n, own), 0.0
    for k in range(max(0, own + s - n), min(own, s) + 1):
        ways = comb(s, k) * comb(n - s, own - k)
        right = 0
        for mine, theirs, count in ((1, 1, k), (1, 0, own - k), (0, 1, s - k), (0, 0, n - s - own + k)):
            right += count * (mine + s - theirs >= half)
        found += ways / total * (right >= half)
    return found


def placebos(tasks: int) -> list[Row]:
    """Return the rows of `placebo`: two rounds, odd n, two options."""
    rows = []
    for n, p in ((5, 0.7), (9, 0.6)):
        blocks = society("placebo", n, {"signal": 2 * p - 1}, tasks, topology="decentralized", rounds=2)
        rows.append(Row(f"placebo, n = {n}, p = {p}", score(blocks), placebo_vote(n, p), tasks))
    return rows


def society(kind: str, n: int, model: dict[str, Any], tasks: int, *, topology: Any, **rules: Any) -> dict[str, Any]:
    """Return the blocks of a scenario of simulated voters."""
    choices = rules.pop("choices", 2)
    return {
        "tasks": {"kind": "signal", "count": tasks, "choices": choices},
        "agents": {"count": n, "model": {"kind": "simulated", "compute": 20, "message": 5, **model}},
        "topology": topology,
        "protocol": {"kind": kind, **rules},
    }


def chains(tasks: int) -> list[Row]:
    """Return the rows of `dag`: chains whose rejected artefacts are left out."""
    rows = []
    for p, d, f in ((0.6, 0.5, 0.1), (0.6, 0.3, 0.3), (0.5, 0.9, 0.0)):
        model = {"signal": 2 * p - 1, "keep_own": 0.0, "accepts_right": 1 - f, "accepts_wrong": 1 - d}
        for edges in (1, 3, 7):
            blocks = society("dag", edges + 1, model, tasks, topology="chain", rejected="left-out")
            rows.append(
                Row(f"dag, p = {p}, d = {d}, f = {f}, {edges} edges", score(blocks), after(edges, p, d, f), tasks)
            )
    return rows


def judged(tasks: int) -> list[Row]:
    """Return the rows of `tournament` and `narrated-choice`, of answers that are right in 40 of 100 tasks."""
    p, rows = 0.4, []
    for w in (1.0, 2.0, 5.0, 20.0):
        model = {"signal": 0.25, "judge_odds": w}
        blocks = society("tournament", 3, model, tasks, topology="star", matches=1, choices=5)
        rows.append(Row(f"tournament of two, w = {w:g}", score(blocks), p**2 + 2 * p * (1 - p) * w / (1 + w), tasks))
        blocks = society("narrated-choice", 9, model, tasks // 2, topology="star", choices=5)
        rows.append(Row(f"narrated choice of eight, w = {w:g}", score(blocks), picked(8, p, w), tasks // 2))
    for by in ("elo", "bradley-terry"):
        blocks = society("tournament", 9, {"signal": 0.25}, tasks // 4, topology="star", matches=32, by=by, choices=5)
        rows.append(Row(f"tournament of eight, 32 matches by lot, {by}", score(blocks), p, tasks // 4))
    return rows


def main() -> int:
    """Print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=4_000, help="tasks of a row")
    tasks = parser.parse_args().tasks
    return told([*placebos(tasks), *chains(tasks), *judged(tasks)])


if __name__ == "__main__":
    sys.exit(main())
