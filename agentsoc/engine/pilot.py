"""This module makes a pilot: a run of the first few tasks of a scenario, and what it lets expect of all of them.

A bound is what a run can take at most: every reply at its full length, every byte a token. What it does take is often a
fraction of that, and a few tasks show it. A pilot is a run like any other, kept in a directory of its own.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agentsoc.engine.consent import Consent
from agentsoc.engine.progress import Progress
from agentsoc.engine.run import Run, run
from agentsoc.errors import InputError
from agentsoc.log.study import Study
from agentsoc.scenario.code import CodeFiles
from agentsoc.scenario.model import Scenario
from agentsoc.scenario.prices import UNIT, money, money_text

_SUFFIX: Final = "-pilot"
_NAME_LENGTH: Final = 80


@dataclass(frozen=True)
class PilotStudy:
    """The object holds what the calls of the study took in a pilot, and what that lets expect of all tasks."""

    study: Study
    """Of the pilot."""
    times: float
    """Tasks of the scenario for each task of the pilot."""

    @property
    def tokens(self) -> int:
        """Input, output and lost tokens of the pilot's (tokens)."""
        return self.study.tokens_in + self.study.tokens_out + self.study.tokens_lost

    @property
    def calls_expected(self) -> int:
        """Calls of all tasks (calls)."""
        return round(self.study.calls * self.times)

    @property
    def tokens_expected(self) -> int:
        """Tokens of all tasks (tokens)."""
        return round(self.tokens * self.times)

    @property
    def cost_expected(self) -> int | None:
        """Cost of all tasks (units of money); None where a price is missing."""
        return None if self.study.cost is None else round(self.study.cost * UNIT * self.times)

    def text(self) -> str:
        """Return it in words."""
        cost = self.cost_expected
        money_too = "" if cost is None else f" and {money_text(cost)} in money"
        return (
            f"{self.study.calls:,} calls, {self.tokens:,} tokens on an account of their own (probes, judge); "
            f"about {self.calls_expected:,} calls, {self.tokens_expected:,} tokens{money_too} for all tasks"
        )

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "calls": self.study.calls,
            "calls_expected": self.calls_expected,
            "tokens": self.tokens,
            "tokens_expected": self.tokens_expected,
            "cost": self.study.cost,
            "cost_expected": None if self.cost_expected is None else money(self.cost_expected),
        }


@dataclass(frozen=True)
class Pilot:
    """A pilot holds what the tasks of a small run took each."""

    run: Run
    n_tasks: int
    """Tasks of the scenario that it stands for (tasks)."""
    tokens: tuple[int, ...]
    """Input, output and lost tokens of the agents in each task of the pilot (tokens)."""
    costs: tuple[int, ...]
    """What each of its tasks cost (units of money); empty without prices."""
    seconds: float
    """Time from its start to its end, models loaded (seconds)."""

    @property
    def tokens_expected(self) -> int:
        """Tokens of all tasks if they take what those of the pilot took on average (tokens)."""
        return round(sum(self.tokens) / len(self.tokens) * self.n_tasks)

    @property
    def cost_expected(self) -> int | None:
        """Cost of all tasks by the same rule (units of money); None without prices."""
        return round(sum(self.costs) / len(self.costs) * self.n_tasks) if self.costs else None

    @property
    def seconds_expected(self) -> float:
        """Time of all tasks if as many go on at once as in the pilot (seconds)."""
        return self.seconds / len(self.tokens) * self.n_tasks

    @property
    def study(self) -> PilotStudy | None:
        """What the calls of the study took, which are in none of the other figures; None where there were none."""
        study = self.run.manifest.study
        return None if study is None else PilotStudy(study, self.n_tasks / len(self.tokens))

    def lines(self) -> list[tuple[str, str]]:
        """Return what was found, as pairs of a name and a text."""
        totals, n = self.run.manifest.totals, len(self.tokens)
        failed = f", {totals.calls_failed:,} of them failed" if totals.calls_failed else ""
        made = f"the first {n} of {self.n_tasks:,} tasks, {totals.calls:,} calls{failed}, in {self.run.directory}"
        each = f"{sum(self.tokens) / n:,.0f} a task ({min(self.tokens):,} to {max(self.tokens):,})"
        found = [("pilot", made), ("tokens", f"{each}, about {self.tokens_expected:,} for all tasks")]
        if self.cost_expected is not None:
            cost = f"{money_text(round(sum(self.costs) / n))} a task"
            found.append(("money", f"{cost}, about {money_text(self.cost_expected)} for all tasks"))
        if self.study is not None:
            found.append(("study", self.study.text()))
        at_once = f"with {n} tasks at a time" if n > 1 else "with one task at a time"
        pace = f"about {time_text(self.seconds_expected)} for all tasks {at_once}"
        return [*found, ("time", f"{self.seconds:,.1f} s for the pilot, {pace}")]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "run_dir": str(self.run.directory),
            "n_tasks": len(self.tokens),
            "tokens": list(self.tokens),
            "tokens_expected": self.tokens_expected,
            "cost": [money(cost) for cost in self.costs] or None,
            "cost_expected": None if self.cost_expected is None else money(self.cost_expected),
            "study": None if self.study is None else self.study.as_dict(),
            "seconds": round(self.seconds, 3),
            "seconds_expected": round(self.seconds_expected, 3),
            "calls_failed": self.run.manifest.totals.calls_failed,
        }


def pilot_scenario(scenario: Scenario, n: int) -> Scenario:
    """Return the scenario with its first `n` tasks, each with the budget that it has in the whole run.

    Raises:
        InputError: it has no more tasks than that.
    """
    count = scenario.tasks.count
    if n >= count:
        what = f"a pilot of {n} tasks is no smaller than the run, which has {count}"
        raise InputError(what, "--pilot", "take fewer tasks, or run the scenario")
    budget = scenario.budget
    if budget is not None:
        each = budget.limits(count)
        limits = {
            **dict.fromkeys(("tokens", "calls", "money")),
            "tokens_per_task": each.tokens,
            "calls_per_task": each.calls,
            "money_per_task": None if each.money is None else money(each.money),
        }
        budget = budget.model_copy(update=limits)
    changes = {
        "name": scenario.name[: _NAME_LENGTH - len(_SUFFIX)] + _SUFFIX,
        "tasks": scenario.tasks.model_copy(update={"count": n}),
        "budget": budget,
    }
    return scenario.model_copy(update=changes)


def run_pilot(
    scenario: Scenario,
    n: int,
    out: Path | None = None,
    *,
    code_paths: Sequence[Path] | CodeFiles = (),
    progress: Progress | None = None,
    consent: Consent = False,
) -> Pilot:
    """Run the first `n` tasks of a scenario and return what they took.

    Args:
        scenario: what is to be run as a whole later.
        n: tasks, fewer than it has.
        out: the run directory of the pilot; None for a new one under ``runs/``.
        code_paths: as in `agentsoc.run`.
        progress: filled while the run goes on.
        consent: as in `agentsoc.run`.

    Raises:
        InputError: it has no more tasks than that, or as `agentsoc.run`.
        RunFailedError: as `agentsoc.run`; so do the errors for an interrupt.
    """
    began = time.monotonic()
    done = run(pilot_scenario(scenario, n), out, code_paths=code_paths, progress=progress, consent=consent)
    seconds = time.monotonic() - began
    rows = done.episode_rows()
    assert rows is not None  # a run that has ended has them
    kinds = [rows[name].to_pylist() for name in ("tokens_in", "tokens_out", "tokens_lost")]
    costs = [rows[name].to_pylist() for name in ("cost", "cost_lost")]
    known = all(value is not None for column in costs for value in column) and bool(scenario.prices)
    return Pilot(
        done,
        scenario.tasks.count,
        tuple(sum(task) for task in zip(*kinds, strict=True)),
        tuple(int(sum(task)) for task in zip(*costs, strict=True)) if known else (),
        seconds,
    )


def time_text(seconds: float) -> str:
    """Return a time in the unit that is easily read."""
    if seconds < 100:
        return f"{seconds:,.0f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 6_000 else f"{seconds / 3_600:,.1f} h"
