"""Which organisation gains from which side of difficulty? The five dials of `axes`, one at a time.

Run: ``python -m benchmarks.study_axes [--tasks 200]`` (about 3 minutes; prints a table in Markdown, exits with 1 when
the lead of the organisation that is named for a dial does not go up with it, with an interval that excludes 0).

Agents are of kind `solver` with one weakness, that which the dial meets: it slips in steps, forgets results that lie
far back, tires, or believes hearsay. Organisations: one solver; five who vote; a lead who deals the sheets to five. A
lead is the mean difference to the one solver on the same tasks, with its normal 95 % interval.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, variance
from typing import Any, Final

from agentsoc.engine.execute import Plan, execute
from agentsoc.log.read import RunLog
from agentsoc.scenario.model import Scenario

ORGANISATIONS: Final[dict[str, tuple[Any, Any, int]]] = {
    "single": ("single", "vote", 1),
    "votes": ("independent", "vote", 5),
    "parts": (
        "star",
        {"kind": "orchestrate", "rounds": 1, "plan_by": "parts", "decision": "rounds", "synthesis": "parts"},
        6,
    ),
}
Z95: Final = 1.96


@dataclass(frozen=True)
class Dial:
    """One dial, what it meets, and who should gain."""

    name: str
    settings: tuple[int, ...]
    weakness: dict[str, Any]
    others: dict[str, int]
    right: str
    """The organisation whose lead should go up."""


DIALS: Final = (
    Dial("depth", (1, 6, 16), {"slip": 0.03}, {"breadth": 1}, "votes"),
    Dial("horizon", (1, 2, 4), {"span": 1, "forget": 0.03}, {"depth": 10, "breadth": 1}, "votes"),
    Dial("breadth", (1, 3, 6), {"stamina": 8, "tired": 0.03}, {"parallel": 4, "depth": 2}, "parts"),
    Dial("parallel", (1, 2, 4), {"stamina": 8, "tired": 0.03}, {"breadth": 4, "depth": 4}, "parts"),
    Dial("robustness", (0, 4, 10), {"gullible": 0.06}, {"breadth": 10, "depth": 2}, "votes"),
)
CONTROLS: Final = (
    Dial("depth, mistakes shared by all", (1, 6, 16), {"slip": 0.03, "shared": 1.0}, {"breadth": 1}, "nobody"),
    Dial("depth, for who does not tire", (1, 6, 16), {"slip": 0.03}, {"breadth": 1, "parallel": 2}, "nobody"),
)
"""Settings in which an organisation has nothing to gain: votes in the first, a lead in the second."""


def scores(organisation: str, model: dict[str, Any], tasks: int, dials: dict[str, int]) -> list[float]:
    """Return the score of each task."""
    topology, protocol, agents = ORGANISATIONS[organisation]
    blocks = {
        "tasks": {"kind": "axes", "count": tasks, **dials},
        "agents": {"count": agents, "model": {"kind": "solver", **model}, "max_tokens": 400},
        "topology": topology,
        "protocol": protocol,
    }
    scenario = Scenario.model_validate({"name": "study", "seed": 23, **blocks})
    with tempfile.TemporaryDirectory() as scratch:
        asyncio.run(execute(Plan(scenario, Path(scratch))))
        return [float(event.correct or 0.0) for event in RunLog(scratch).events() if event.kind == "answer"]


@dataclass(frozen=True)
class Lead:
    """A mean difference to the single solver, with its variance."""

    mean: float
    variance: float

    def __str__(self) -> str:
        reach = Z95 * self.variance**0.5
        return f"{self.mean:+.3f} [{self.mean - reach:+.3f}, {self.mean + reach:+.3f}]"


def lead(mine: list[float], single: list[float]) -> Lead:
    """Return the lead over the single solver, task by task."""
    gains = [a - b for a, b in zip(mine, single, strict=True)]
    return Lead(fmean(gains), variance(gains) / len(gains))


def moved(leads: list[Lead]) -> Lead:
    """Return the lead at the last setting minus that at the first."""
    return Lead(leads[-1].mean - leads[0].mean, leads[-1].variance + leads[0].variance)


def main() -> int:
    """Print the table; return 1 when a dial does not move the lead that it is named for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=200, help="tasks of a cell")
    tasks = parser.parse_args().tasks
    print("| dial | setting | single | votes of five, lead | sheets dealt out, lead |\n| --- | --- | --- | --- | --- |")
    failed = False
    for dial in (*DIALS, *CONTROLS):
        leads: dict[str, list[Lead]] = {"votes": [], "parts": []}
        for setting in dial.settings:
            dials = {**dial.others, dial.name.split(",")[0]: setting}
            found = {name: scores(name, dial.weakness, tasks, dials) for name in ORGANISATIONS}
            for name, each in leads.items():
                each.append(lead(found[name], found["single"]))
            shown = " | ".join(str(each[-1]) for each in leads.values())
            print(f"| {dial.name} | {setting} | {fmean(found['single']):.3f} | {shown} |", flush=True)
        change = {name: moved(each) for name, each in leads.items()}
        print(f"| {dial.name} | last minus first | | {change['votes']} | {change['parts']} |", flush=True)
        if dial.right in change:
            failed |= change[dial.right].mean <= Z95 * change[dial.right].variance ** 0.5
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
