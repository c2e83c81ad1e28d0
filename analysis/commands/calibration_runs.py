"""This module carries out a calibration: its runs one after the other, under one wall of tokens, resumable anywhere.

`OUT/calibration.json` says what is being done; each run is a directory of its own below `OUT/runs`. A run that is
finished is read, one that was interrupted is resumed, one that left nothing behind is started again. How many tasks a
run has depends on what the runs before it were charged, which their manifests hold: so a calibration that was
interrupted goes on as if it had not been.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agentsoc.engine.bounds import NoBound
from agentsoc.engine.consent import Consent
from agentsoc.engine.directory import make_private
from agentsoc.engine.execute import Plan, execute
from agentsoc.engine.forecast import bound
from agentsoc.engine.resume import resume
from agentsoc.engine.run import Progress, run
from agentsoc.errors import InputError, InterruptedRunError
from agentsoc.experiment.cell import is_pure, require_same, require_unused
from agentsoc.log.files import RunLock
from agentsoc.log.inside import Inside, by_umask
from agentsoc.log.manifest import NAME
from agentsoc.log.names import CALIBRATION
from agentsoc.log.read import RunLog
from agentsoc.log.record import hash_json
from agentsoc.scenario.code import CodeFiles
from agentsoc.scenario.files import BASE_DIR
from agentsoc.scenario.model import Scenario
from agentsoc.society.build import build_society
from agentsoc.society.calls import REPAIR_TOKENS
from analysis.measures.failures import require_unbroken
from analysis.synergy.estimation.run_roles import Roles, spent
from analysis.synergy.planning.calibration_plan import (
    FEWEST_TASKS,
    CalibrationStep,
    Settings,
    batch,
    completed,
    steps,
    tallies,
    wanted_tasks,
)

STATE: Final = CALIBRATION
RUNS: Final = "runs"
_STATE_BYTES: Final = 4 << 20
_BATCHES: Final = 40
_TASKS_LOOKED_AT: Final = 2_000
_BATCH_MIN: Final = 3  # fewest tasks for which a batch is started

Watcher = Callable[[Progress, str, int], AbstractContextManager[Any]]
"""Shows the progress of a run: its progress, its title, its wall (tokens)."""


class InterruptedCalibrationError(InterruptedRunError):
    """The calibration was asked to stop; the same command goes on with it."""

    def __str__(self) -> str:
        return "interrupted; everything received is safe\n    the same command goes on where it stopped"


@dataclass(frozen=True)
class Planned:
    """The object says what a run is expected to be."""

    step: CalibrationStep
    n_tasks: int
    tokens: int
    """Expected tokens of the run."""


@dataclass(frozen=True)
class Done:
    """The object holds all runs of a calibration."""

    runs: tuple[tuple[CalibrationStep, RunLog], ...]

    def of(self, *purposes: str) -> tuple[RunLog, ...]:
        """Return the logs of some purposes, in order."""
        return tuple(log for step, log in self.runs if step.run.purpose in purposes)

    def roles(self) -> Roles:
        """Return the runs by what they tell; told by the plan, not guessed from the logs."""
        relays, together = self.of("relay"), self.of("merge", "replicate")
        counted = tallies(self.runs[0][1].manifest.scenario)
        return Roles(
            leaves=self.of("leaf"),
            relays=relays,
            merges=() if counted else together,
            votes=together if counted else (),
        )

    @property
    def tokens(self) -> int:
        """Tokens that were charged for all runs."""
        return sum(spent(log) for _, log in self.runs)

    def cut_short(self) -> list[str]:
        """Return what the wall cut off: tasks without an answer count as wrong."""
        found = []
        for step, log in self.runs:
            stops = log.manifest.totals.stops
            n = sum(count for stop, count in stops.items() if "budget" in stop)
            if n:
                found.append(f"{step.name}: the budget ended {n} of {log.manifest.totals.episodes} tasks early")
        return found


class Calibration:
    """The object carries out the calibration of one scenario in one directory."""

    def __init__(self, scenario: Scenario, settings: Settings, code: Mapping[str, str], code_paths: list[Path]) -> None:
        self.base: dict[str, Any] = scenario.model_dump(mode="json")
        require_measurable(scenario, reads=not tallies(self.base))
        self.base["budget"] = None
        self.settings = completed(settings, self.base)
        self.steps = steps(self.base, self.settings)
        self.code, self.code_paths = dict(code), code_paths
        self.engine = scenario.engine
        self.directory_of_files = BASE_DIR.get()
        self.file_tasks = scenario.tasks.count if scenario.tasks.files() else None
        self.consent: Consent = False
        """What was agreed to for all runs; what a directory of one says besides is not."""
        self._costs: dict[str, tuple[float, float]] = {}

    def planned(self) -> list[Planned]:
        """Return what would be run if every task cost what is expected; nothing is started.

        Raises:
            InputError: the budget does not pay for it.
        """
        found: list[Planned] = []
        left = self.settings.budget
        for place, step in enumerate(self.steps):
            n = self._wanted(place, left, 1.0, {one.step.name: one.n_tasks for one in found})
            tokens = min(round(n * self._cost(step)[0]), left)
            found.append(Planned(step, n, tokens))
            left -= tokens
        return found

    def run(self, out: Path, watch: Watcher) -> Done:
        """Carry out what is not done yet and return all runs.

        Raises:
            InputError: the directory holds another calibration, or something else.
            InterruptedCalibrationError: it was asked to stop; called again it goes on.
        """
        self.planned()  # a budget that is too small is refused before anything is paid for
        with by_umask(self.engine.umask):
            self._take(out)
            with RunLock(out):
                done: list[tuple[CalibrationStep, RunLog]] = []
                try:
                    for place in range(len(self.steps)):
                        self._step(place, out / RUNS, done, watch)
                except InterruptedRunError:  # how to go on with one of its runs is not how to go on with all
                    raise InterruptedCalibrationError(str(out)) from None
                return Done(tuple(done))

    def _step(self, place: int, runs: Path, done: list[tuple[CalibrationStep, RunLog]], watch: Watcher) -> None:
        """Carry out a step in as many batches as the wall makes necessary.

        A task is started only when all that it may cost is left, which is far more than it will cost: so a step takes
        as many tasks as are sure to be paid for, and with what these leave over the next ones.
        """
        step = self.steps[place]
        counts: dict[str, int] = {}
        for one, log in done:
            counts[one.name] = counts.get(one.name, 0) + log.manifest.totals.episodes
        wanted = self._wanted(place, self._left(done), self._ratio(done), counts)
        most = 1 if step.same_tasks_as else _BATCHES
        for number in range(most):
            left = self._left(done)
            n = min(wanted, int(left // max(self._cost(step)[1], 1e-9)))
            directory = runs / (step.name if number == 0 else f"{step.name}.{number}")
            if n < min(_BATCH_MIN, wanted) and not directory.exists():
                return
            BASE_DIR.set(self.directory_of_files)
            title = f"{place + 1}/{len(self.steps)} {directory.name}, {n:,} tasks, {left:,} tokens left"
            log = self._one(step, number, directory, n, left, watch, title)
            require_unbroken([log], accept=False)  # what comes after it would be paid for in vain
            done.append((step, log))
            wanted -= log.manifest.totals.episodes
            if wanted <= 0:
                return

    def _one(
        self, step: CalibrationStep, number: int, directory: Path, n: int, left: int, watch: Watcher, title: str
    ) -> RunLog:
        """Return the log of one batch, run, resumed or read.

        Raises:
            InputError: what is there is no run of this batch: another scenario's, or with another wall.
            LogDamagedError: it is not what was written, so what it was charged is not known.
        """
        if n < 1:
            what = "nothing is left of the budget for this run, so it is not one of this calibration"
            raise InputError(what, str(directory), "name a new directory with --out")
        progress = Progress()
        scenario = Scenario.model_validate(batch(step, number, n, left, self.file_tasks))
        Inside(directory.parents[1]).has_directory(f"{RUNS}/{directory.name}")  # a link is never followed
        if directory.is_dir() and NAME in Inside(directory).names():  # a link that leads nowhere counts as something
            log = RunLog(directory)
            require_same(directory, scenario)  # its budget, all that was left, is compared as well
            if log.manifest.status == "finished":
                log.check()
                return log
            self._none_ahead(directory)
            with watch(progress, title, left):
                return resume(
                    directory,
                    engine=self.engine.model_dump(exclude={"vectorise"}),
                    allow_code=self.code_paths,
                    progress=progress,
                    consent=self.consent,
                )
        self._none_ahead(directory)
        require_unused(directory)
        with watch(progress, title, left):
            return run(
                scenario,
                directory,
                code_paths=CodeFiles(self.code_paths, self.code),
                progress=progress,
                consent=self.consent,
            )

    def _none_ahead(self, directory: Path) -> None:
        """Refuse to go on while a run of a later step is there already: it cannot be this calibration's.

        Raises:
            InputError: names the first that is there.
        """
        here = self._place(directory.name)
        for name in Inside(directory.parents[1]).names(RUNS):
            if self._place(name) > here:
                raise InputError(
                    f"this run is here before {directory.name} is finished, so it is not one of this calibration",
                    str(directory.parent / name),
                    "name a new directory with --out",
                )

    def _place(self, name: str) -> tuple[int, int]:
        """Return the number of the step and of the batch that a run of this name is of; (-1, 0) for another name."""
        names = [step.name for step in self.steps]
        if name in names:
            return names.index(name), 0
        step, _, number = name.rpartition(".")
        return (names.index(step), int(number)) if step in names and number.isdecimal() else (-1, 0)

    def _left(self, done: list[tuple[CalibrationStep, RunLog]]) -> int:
        return self.settings.budget - sum(spent(log) for _, log in done)

    def _wanted(self, place: int, left: int, ratio: float, counts: Mapping[str, int]) -> int:
        """Return the tasks of a step; a replicate has those of the run that it repeats."""
        step = self.steps[place]
        if step.same_tasks_as:
            return counts[step.same_tasks_as]
        shares = sum(one.share for one in self.steps[place:])
        return wanted_tasks(step, self._cost(step)[0] * ratio, left, shares)

    def _ratio(self, done: list[tuple[CalibrationStep, RunLog]]) -> float:
        """Return what tasks took over what was expected of them, so far."""
        expected = sum(self._cost(step)[0] * log.manifest.totals.episodes for step, log in done)
        return sum(spent(log) for _, log in done) / expected if expected > 0 else 1.0

    def _cost(self, step: CalibrationStep) -> tuple[float, float]:
        """Return the expected tokens of a task and the most that is reserved for one."""
        if step.name not in self._costs:
            self._costs[step.name] = _cost_of(step, self.file_tasks)
        return self._costs[step.name]

    def _take(self, out: Path) -> None:
        """Make the directory this calibration's, or see that it is."""
        what = {
            "kind": "agentsoc-calibration",
            "settings": self.settings.as_dict(),
            "scenario": hash_json({name: value for name, value in self.base.items() if name != "engine"}),
        }
        if out.is_dir() and STATE in Inside(out).names():
            if _state(out) != what:
                raise InputError(
                    "this directory holds another calibration", str(out), "name a new directory with --out"
                )
            return
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise InputError("this directory is not empty", str(out), "name a new directory with --out")
        try:
            make_private(out)
            Inside(out).make(RUNS)
        except OSError as error:
            raise InputError(f"the directory cannot be made: {error.strerror}", str(out)) from None
        Inside(out).write(STATE, json.dumps(what, indent=1).encode())


def require_measurable(scenario: Scenario, *, reads: bool) -> None:
    """Check that the tasks have what votes are counted by: one number of answers, the same for all.

    Every estimate needs it, so it is found here, before anything is spent.

    Args:
        scenario: what is to be calibrated.
        reads: whether nodes read votes and may misread them, instead of counting by a rule.

    Raises:
        InputError: answers are free, tasks offer different numbers of them, or more than two where nodes read.
    """
    tasks, n = scenario.tasks, min(scenario.tasks.count, _TASKS_LOOKED_AT)
    found = Counter(len(tasks.make(scenario.tasks_seed, index).options) for index in range(n))
    if len(found) == 1 and min(found) > 1:
        if reads and min(found) > 2:
            what = f"nodes that read votes are measured for two answers, and these tasks offer {min(found)}"
            raise InputError(what, "tasks", "calibrate on a family with two answers (sentiment, comparison)")
        return
    free = found.get(0, 0)
    if free == n:
        what = "their answers are free"
    elif free:
        what = f"{free} of the first {n} have free answers"
    else:
        what = f"they offer {', '.join(map(str, sorted(found)))} answers"
    raise InputError(
        f"a calibration counts votes for one fixed number of answers (options), and of these tasks {what}",
        "tasks",
        "calibrate on a family with options (sentiment, comparison, multiple-choice), or give each task its options",
    )


def _state(out: Path) -> Any:
    """Return what a calibration's directory says of itself."""
    try:
        return json.loads(Inside(out).read(STATE, limit=_STATE_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"the state of the calibration cannot be read: {error}", str(out / STATE)) from None


def _cost_of(step: CalibrationStep, file_tasks: int | None) -> tuple[float, float]:
    """Return expected and most tokens of a task: what one takes that asks no model, from a rehearsal for others."""
    n = FEWEST_TASKS if file_tasks is None else min(FEWEST_TASKS, file_tasks)
    scenario = {**batch(step, 0, n, 1), "budget": None}
    if is_pure(Scenario.model_validate(scenario)):
        scenario["tasks"]["count"] = 1
        totals = asyncio.run(execute(Plan(Scenario.model_validate(scenario), None))).totals
        tokens = float(totals.tokens)
        return tokens, tokens
    once = {**scenario, "calls": {**scenario["calls"], "attempts": 1}}  # repeats are granted only from what is over
    found = bound(build_society(Scenario.model_validate(once)))
    if isinstance(found, NoBound):
        raise InputError(f"{step.name}: {found.text()}", "", "take a smaller --fan-in")
    iterations = max(int(group.get("iterations", 1)) for group in scenario["agents"])
    return found.tokens / n, found.tokens_max / n + (iterations - 1) * REPAIR_TOKENS
