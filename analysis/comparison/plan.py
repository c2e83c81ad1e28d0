"""This module plans a comparison: how surely it would find a difference, from its own runs or before any is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from agentsoc.printing.text import line, table
from analysis.comparison.report import Report
from analysis.interval import shown
from analysis.stats import Alternatives, Discordant
from analysis.stats.paired import EFFECT, WANTED_POWER, pilots

LEVEL: Final = 0.05
DIFFERENCES: Final = (0.02, 0.05, 0.1, 0.2)
SIZES: Final = (20, 50, 100, 200, 500, 1000)
"""Tasks for which power is told beside those of the runs."""
RATES: Final = (0.0, 0.1, 0.2, 0.4)
"""Shares of tasks that would tell two equals apart, where no run says how many do."""


@dataclass(frozen=True)
class PlanRow:
    """A row says what so many tasks would find."""

    what: str
    """The organisation, or the share of the tasks that would tell two equals apart."""
    n_tasks: int
    power: tuple[float, ...]
    """Probability of finding each of the plan's differences."""
    detectable: float | None
    """Smallest difference that is found with probability 0.8; None where not even the largest possible one is."""
    tasks_needed: int | None
    """Tasks that the plan's effect needs for that; None above ten million, and where there is no such difference."""


@dataclass(frozen=True)
class PowerPlan:
    """The plan says how surely a comparison would find differences of the score."""

    name: str
    from_runs: bool
    """Whether the spread is that of runs which were made."""
    differences: tuple[float, ...]
    effect: float
    alpha: float
    """False-alarm rate of each comparison: 5 % over their number."""
    comparisons: int
    rows: tuple[PlanRow, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        rows = [
            {
                "what": row.what,
                "n_tasks": row.n_tasks,
                "power": dict(zip(map(str, self.differences), row.power, strict=True)),
                "detectable": row.detectable,
                "tasks_needed": row.tasks_needed,
            }
            for row in self.rows
        ]
        own = {"name": self.name, "from_runs": self.from_runs, "effect": self.effect, "alpha": self.alpha}
        return {**own, "comparisons": self.comparisons, "rows": rows}

    def summary(self) -> str:
        """Return the plan as a table with what it rests on."""
        what = "organisation" if self.from_runs else "told apart"
        head = [what, "tasks", *(f"finds {d:g}" for d in self.differences), "could find", f"tasks for {self.effect:g}"]
        cells = [head]
        for row in self.rows:
            least = "-" if row.detectable is None else shown(row.detectable)
            needed = "-" if row.tasks_needed is None else f"{row.tasks_needed:,}"
            cells.append([row.what, f"{row.n_tasks:,}", *(f"{p:.2f}" for p in row.power), least, needed])
        many = "1 comparison" if self.comparisons == 1 else f"{self.comparisons} comparisons"
        alarms = f"{LEVEL:.0%} false alarms over {many}"
        said = [
            f"{line(self.name)}: probability of finding a true difference of the score at {alarms}",
            table(cells, right=frozenset(range(1, len(head))), indent="  "),
            f'"could find" is the smallest true difference found in {round(5 * WANTED_POWER)} of 5 comparisons; '
            f"the last column is how many tasks a true difference of {self.effect:g} needs for that",
        ]
        if self.from_runs:
            said.append("tasks vary as in the runs that were made, and each has as many seeds")
        else:
            said.append(
                'no run says yet how much tasks vary: right-or-wrong answers are assumed, one row a task; "told apart" '
                "is the share of tasks that one organisation gets right and the other wrong though neither is better. "
                "Repeats of a task with other seeds are not counted as tasks"
            )
        if any(row.detectable is None for row in self.rows):
            said.append('"-" under "could find": so few tasks find not even the largest possible difference')
        return "\n".join(said)


def plan_from_report(report: Report, *, effect: float | None = None) -> PowerPlan:
    """Return what more tasks would find, from runs that were made.

    Args:
        report: the report on them.
        effect: difference for which tasks are told; None for 0.05.
    """
    alpha = LEVEL / max(report.n_tests, 1)
    rows = []
    wanted, differences = _asked(effect)
    for block in report.blocks:
        known = [one.organisation for one in block.rows]
        parts = [_rows_of(report, label) for label in known]
        found = pilots(pl.concat(parts), baseline=block.found.baseline.organisation, cluster=report.results.cluster)
        for label, (n_tasks, pilot) in found.items():
            if pilot is not None:
                sizes = sorted({n_tasks, *SIZES})
                rows += [_row(label, pilot, n, differences, wanted, alpha) for n in sizes]
    return PowerPlan(report.results.record.name, True, differences, wanted, alpha, report.n_tests, tuple(rows))


def _rows_of(report: Report, label: str) -> pl.DataFrame:
    own = report.results.table.filter(report.results.rows_of(label))
    if report.left_out:
        own = own.filter(pl.col("failed_infrastructure") == 0)
    return own.with_columns(organisation=pl.lit(label))


def plan_before(name: str, n_tasks: int, comparisons: int, *, effect: float | None = None) -> PowerPlan:
    """Return what a comparison would find of which no run is made, for several shares of tasks told apart.

    Args:
        name: its name.
        n_tasks: its tasks; repeats of a task with other seeds are not counted.
        comparisons: its comparisons with a baseline, at least 1.
        effect: difference for which tasks are told; None for 0.05.
    """
    wanted, differences = _asked(effect)
    alpha = LEVEL / comparisons
    rows = [
        _row(f"{rate:.0%}", Discordant.known(rate), n, differences, wanted, alpha)
        for rate in RATES
        for n in sorted({n_tasks, *SIZES})
    ]
    return PowerPlan(name, False, differences, wanted, alpha, comparisons, tuple(rows))


def _asked(effect: float | None) -> tuple[float, tuple[float, ...]]:
    wanted = EFFECT if effect is None else effect
    return wanted, tuple(sorted({*DIFFERENCES, wanted}))


def _row(
    what: str, pilot: Alternatives, n_tasks: int, differences: Sequence[float], effect: float, alpha: float
) -> PlanRow:
    return PlanRow(
        what, n_tasks, tuple(pilot.power(d, n_tasks, alpha=alpha) for d in differences),
        pilot.detectable(n_tasks, alpha=alpha, wanted=WANTED_POWER),
        pilot.tasks_needed(effect, alpha=alpha, wanted=WANTED_POWER),
    )  # fmt: skip
