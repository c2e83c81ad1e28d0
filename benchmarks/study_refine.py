"""Are simulated drafts and pickers what the closed forms say? Longer runs than the tests make.

Run: ``python -m benchmarks.study_refine [--tasks 8000]`` (about 40 s; prints a table in Markdown, exits with 1
when a share is further than four standard errors from its closed form).

``refine``: drafts are a chain of two states, so after r rounds the share of right ones follows from p (an answer is
right), d (a wrong draft is found) and f (a right one is taken for wrong). ``moa`` by a judge: one of n answers, R of
them right, is picked with odds w.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, sqrt
from pathlib import Path
from typing import Any

from agentsoc.engine.execute import Plan, execute
from agentsoc.scenario.model import Scenario

SIGMAS = 4.0
"""Standard errors within which a share has to be; sixteen rows fail by chance once in a thousand."""
CRITICS = ((0.6, 0.5, 0.1), (0.6, 0.3, 0.3), (0.5, 0.9, 0.0))
"""(p, d, f): a critic who knows something, one who knows nothing, one who is nearly perfect."""


@dataclass(frozen=True)
class Row:
    """A row is a share that was found beside the one that the closed form gives."""

    what: str
    found: float
    expected: float
    tasks: int

    @property
    def sigmas(self) -> float:
        """Return how many standard errors lie between the two."""
        return (self.found - self.expected) / sqrt(self.expected * (1 - self.expected) / self.tasks)


def after(rounds: int, p: float, d: float, f: float) -> float:
    """Return the share of right drafts after `rounds` rounds that are all gone through."""
    right = p
    for _ in range(rounds):
        right = right * (1 - f + f * p) + (1 - right) * d * p
    return right


def picked(n: int, p: float, w: float) -> float:
    """Return how often one of n answers is right that is picked with odds w."""
    return sum(comb(n, r) * p**r * (1 - p) ** (n - r) * w * r / (w * r + n - r) for r in range(n + 1))


def score(blocks: dict[str, Any]) -> float:
    """Run a society and return its mean score."""
    scenario = Scenario.model_validate({"name": "study", "seed": 19, **blocks})
    with tempfile.TemporaryDirectory() as scratch:
        found = asyncio.run(execute(Plan(scenario, Path(scratch)))).totals.score
    assert found is not None
    return found


def refined(tasks: int) -> list[Row]:
    """Return the rows of `refine`."""
    rows = []
    for p, d, f in CRITICS:
        model = {"kind": "simulated", "signal": 2 * p - 1, "keep_own": 1.0, "accepts_right": 1 - f}
        model |= {"accepts_wrong": 1 - d, "compute": 20, "message": 5}
        for rounds in (1, 2, 4, 16):
            blocks = {
                "tasks": {"kind": "signal", "count": tasks if rounds < 16 else tasks // 4},
                "agents": {"count": 2, "model": model},
                "topology": "independent",
                "protocol": {"kind": "refine", "critic": "other", "rounds": rounds, "until": "rounds"},
            }
            what = f"refine, p = {p}, d = {d}, f = {f}, r = {rounds}"
            rows.append(Row(what, score(blocks), after(rounds, p, d, f), blocks["tasks"]["count"]))  # type: ignore[index]
    return rows


def mixed(tasks: int) -> list[Row]:
    """Return the rows of `moa`."""
    rows = []
    for w in (1.0, 2.0, 5.0, 20.0):
        blocks = {
            "tasks": {"kind": "signal", "count": tasks, "choices": 5},
            "agents": {"count": 9, "model": {"kind": "simulated", "signal": 0.25, "judge_odds": w}},
            "topology": "star",
            "protocol": {"kind": "moa", "layers": 1, "by": "judge"},
        }
        rows.append(Row(f"moa by judge, n = 8, p = .4, w = {w:g}", score(blocks), picked(8, 0.4, w), tasks))
    return rows


def told(rows: Sequence[Row]) -> int:
    """Print the table; return 1 when a share is too far off."""
    print("| society | right, found | closed form | standard errors apart |\n| --- | --- | --- | --- |")
    for row in rows:
        print(f"| {row.what} | {row.found:.3f} | {row.expected:.3f} | {row.sigmas:+.1f} |")
    return int(any(abs(row.sigmas) > SIGMAS for row in rows))


def main() -> int:
    """Print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=8_000, help="tasks of a row")
    tasks = parser.parse_args().tasks
    return told([*refined(tasks), *mixed(tasks)])


if __name__ == "__main__":
    sys.exit(main())
