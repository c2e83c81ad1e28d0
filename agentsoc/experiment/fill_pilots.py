"""This module sets dials by pilots: how far an organisation can be turned up before a ceiling cuts its episodes.

A pilot is a small run under the ceiling itself, on tasks that are not scored, kept in ``pilots/`` and taken up again
like any other run. What it takes is told apart from the runs. The largest value of the dial at which nothing was
refused is taken; the search ends when nine tenths of the ceiling are used, for within a tenth is what is called matched
spending, and when turning the dial up takes no more tokens: then the larger value holds, which may use them elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agentsoc.engine.interrupt import first_signal
from agentsoc.engine.progress import Progress
from agentsoc.engine.ready import ready_society
from agentsoc.engine.run import Run
from agentsoc.errors import InputError, RunFailedError, ScenarioError
from agentsoc.experiment.cell import CellOptions, carry_out
from agentsoc.experiment.fill import Fill
from agentsoc.experiment.grid import Grid
from agentsoc.experiment.levels import TRIALS_MAX, AtLevel
from agentsoc.experiment.organise import NAME_LENGTH, organised
from agentsoc.log.comparison import PILOTS, DialRecord
from agentsoc.log.failures import broken_by
from agentsoc.log.inside import Inside
from agentsoc.scenario.model import MAX_SEED, Scenario

ENOUGH: Final = 0.9
"""Share of a ceiling from which on a dial is not turned further."""
GROWS: Final = 1.01
"""Factor of tokens below which a larger value counts as taking no more."""
LEAP: Final = 8
"""Factor by which a value grows at most from one pilot to the next."""
SEEDS_TRIED: Final = 100
TASKS_COMPARED: Final = 2_000
"""Scored tasks of a seed with which those of a pilot are compared (tasks)."""


@dataclass(frozen=True)
class Trial:
    """A trial is one pilot: what it took at one value of the dial."""

    place: int
    """Place of the value in the range of the dial."""
    run: str
    tokens: float
    """Mean over its tasks (tokens)."""
    total: int
    """Of all its tasks (tokens)."""
    cut: bool
    """Whether the ceiling refused anything."""


async def set_dials(grid: Grid, directory: Path, means: CellOptions, progress: Progress) -> list[DialRecord]:
    """Make the pilots that a comparison needs, and return its dials, all of them set.

    Args:
        grid: the comparison; its unset dials are those that are set here.
        directory: that of the comparison.
        means: how runs are carried out.
        progress: told what goes on.

    Raises:
        InputError: there are no tasks for a pilot but those that are scored.
        RunFailedError: a pilot stopped because of a fault, or too many of its turns failed by the infrastructure.
        InterruptedRunError: it was asked to stop; pilots that are made are kept.
    """
    Inside(directory).make(PILOTS)
    found: list[DialRecord] = []
    reached: dict[tuple[str, str], int] = {}
    assert means.stop is not None
    with first_signal(means.stop.set):
        for one in grid.levels:
            if one.dial.how != "unset":
                found.append(one.dial)
                continue
            key = one.dial.organisation, one.dial.tasks
            search = _Search(grid, one, directory, means)
            dial = await search.run(reached.get(key, 0))
            reached[key] = 0 if dial.value is None else search.fill.place(dial.value)
            found.append(dial)
            progress.notices.append(f"{_name(one)}: {_told(dial)}")
    return found


def _told(dial: DialRecord) -> str:
    if dial.value is None:
        return "the smallest value does not fit"
    return f"{dial.dial} = {dial.value:,} by {len(dial.pilots)} pilots"


def _name(one: AtLevel) -> str:
    return f"{one.dial.organisation}-b{one.dial.budget}-{one.dial.tasks}"


class _Search:
    """The search looks for the largest value of one dial at one ceiling that nothing is refused at."""

    def __init__(self, grid: Grid, one: AtLevel, directory: Path, means: CellOptions) -> None:
        assert one.place.fill is not None
        self.fill: Fill = one.place.fill
        self._grid, self._one, self._directory, self._means = grid, one, directory, means
        self._trials: dict[int, Trial] = {}
        self._seed = _unscored_seed(grid, one)
        self._refusal = ""

    async def run(self, begin: int) -> DialRecord:
        """Search from a place on: that of the next lower ceiling, which was found to pay for it."""
        budget = self._one.dial.budget
        low = await self._try(begin)
        if begin and (low is None or low.cut):
            low = await self._try(0)
        if low is None or low.cut:
            return self._dial(None, low, self._refusal)
        high, why = self.fill.n_values, ""
        while len(self._trials) < TRIALS_MAX and high - low.place > 1:
            if low.tokens >= ENOUGH * budget:
                break
            trial = await self._try(self._next(low, high))
            if trial is None or trial.cut:
                high = self._next(low, high)
            elif trial.tokens < GROWS * low.tokens:
                low, why = trial, "it takes no more tokens when it is turned up"
                break
            else:
                low = trial
        return self._dial(low, self._trials.get(0), why)

    def _next(self, low: Trial, high: int) -> int:
        """Return the place to be tried next: where tokens in proportion to the value would fill the ceiling."""
        value = self.fill.value(low.place)
        wanted = self.fill.place(value * min(self._one.dial.budget / max(low.tokens, 1.0), LEAP))
        if high < self.fill.n_values and wanted >= high:
            wanted = (low.place + high) // 2
        return min(max(wanted, low.place + 1), high - 1)

    async def _try(self, place: int) -> Trial | None:
        """Make the pilot at a value, once; None where there can be no such society."""
        if place in self._trials:
            return self._trials[place]
        value = self.fill.value(place)
        try:
            made = organised(self._grid.asked, self._one.place.at(value)).scenario
            scenario = self._scenario(made, value)
            ready_society(scenario)
        except ScenarioError:  # beyond what the dial can be turned to
            return None
        except InputError as error:  # the same, or the ceiling pays for no call
            self._refusal = error.problem.what
            return None
        run = await carry_out(self._directory / PILOTS / scenario.name, scenario, self._means)
        self._trials[place] = trial = _trial(place, run)
        return trial

    def _scenario(self, scenario: Scenario, value: int) -> Scenario:
        """Return the scenario of a pilot: few tasks, drawn by another seed."""
        tasks = scenario.tasks.model_copy(update={"count": self._grid.asked.comparison.pilot_tasks, "seed": self._seed})
        name = f"{_name(self._one)}-d{value}"
        if len(name) > NAME_LENGTH:
            name = f"{hashlib.sha256(name.encode()).hexdigest()[:16]}-d{value}"
        return scenario.model_copy(update={"name": name, "tasks": tasks})

    def _dial(self, found: Trial | None, least: Trial | None, why: str) -> DialRecord:
        trials = [self._trials[place] for place in sorted(self._trials)]
        return self._one.dial.model_copy(
            update={
                "how": "pilot",
                "value": None if found is None else self.fill.value(found.place),
                "tokens": None if found is None else found.tokens,
                "least_tokens": None if least is None else least.tokens,
                "reason": why,
                "pilots": [trial.run for trial in trials],
                "pilot_tokens": sum(trial.total for trial in trials),
            }
        )


def _trial(place: int, run: Run) -> Trial:
    """Return what a pilot took.

    Raises:
        RunFailedError: too many of its turns failed by the infrastructure: they took nothing, and the dial would be set
            too high.
    """
    if (why := broken_by(run)) is not None:
        again = f"agentsoc resume {run.directory} --retry-failed, and then this comparison again"
        raise RunFailedError(f"a pilot cannot tell what its organisation takes: {why}", str(run.directory), again)
    rows = run.episode_rows()
    assert rows is not None
    kinds = [rows[name].to_pylist() for name in ("tokens_in", "tokens_out", "tokens_lost")]
    tokens = [sum(task) for task in zip(*kinds, strict=True)]
    cut = bool(run.manifest.totals.events_by_kind.get("budget_exhausted", 0))
    return Trial(place, f"{PILOTS}/{run.directory.name}", sum(tokens) / max(len(tokens), 1), sum(tokens), cut)


def _unscored_seed(grid: Grid, one: AtLevel) -> int:
    """Return a seed of tasks that are not among those that are scored.

    Raises:
        InputError: there is none: the tasks are the same whatever the seed.
    """
    cells = [cell for cell in grid.cells if cell.tasks == one.dial.tasks]
    families = {cell.scenario.tasks_seed: cell.scenario for cell in cells}
    scored = {text for scenario in families.values() for text in _texts(scenario, scenario.tasks_seed, TASKS_COMPARED)}
    first = next(iter(families.values()))
    n = grid.asked.comparison.pilot_tasks
    empty = len({text[0] for text in scored}) == 1  # questions without content differ by their draws alone
    for at in range(SEEDS_TRIED):
        mark = hashlib.sha256(f"pilot {at} of {one.dial.tasks} {first.tasks_seed}".encode()).digest()
        seed = int.from_bytes(mark[:8], "big") % MAX_SEED
        if seed not in families and (empty or not scored & set(_texts(first, seed, n))):
            return seed
    what = f"pilots of {one.dial.organisation} have no tasks but those that are scored: the seed does not change them"
    hint = (
        f"write the values that {one.dial.dial} takes: fill: {{dial: {one.dial.dial}, values: [...]}}, or fewer tasks"
    )
    raise InputError(what, grid.asked.draft.place(("budgets",)), hint)


def _texts(scenario: Scenario, seed: int, n: int) -> Iterator[tuple[str, str]]:
    for index in range(min(n, scenario.tasks.count)):
        task = scenario.tasks.make(seed, index)
        yield task.question, str(task.truth)
