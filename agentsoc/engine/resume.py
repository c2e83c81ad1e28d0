"""This module resumes a run: the journal answers first, the model on a miss; what is damaged is computed again."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from agentsoc.contracts.rules import recorded_rules
from agentsoc.engine.consent import Consent, require_consent
from agentsoc.engine.directory import clear_temporaries
from agentsoc.engine.execute import Plan, execute
from agentsoc.engine.inputs import RunTasks
from agentsoc.engine.ready import with_engine
from agentsoc.engine.remake import failed_rounds, is_to_be_made_again, mark, rest_of_rounds, superseded_rows
from agentsoc.engine.replay import event_text
from agentsoc.engine.run import Progress, Run
from agentsoc.engine.shared import Shared
from agentsoc.engine.stored_scenario import may_be_mended, require_named_address, stored_scenario
from agentsoc.engine.toolsets import specs_of
from agentsoc.engine.waiting import wait_for
from agentsoc.errors import InputError, LogDamagedError, ReplayMismatchError, RoundChangedError
from agentsoc.events import Event
from agentsoc.log.files import RunLock
from agentsoc.log.journal import Attempt, Journal, Key, load_journal
from agentsoc.log.names import EPISODES, EVENTS, JOURNAL, TASKS
from agentsoc.log.read import RunLog
from agentsoc.log.schema import from_table
from agentsoc.scenario.files import base_dir_kept
from agentsoc.scenario.model import Engine as EngineSettings
from agentsoc.scenario.model import Scenario


def resume(
    directory: Path | str,
    *,
    engine: dict[str, Any] | None = None,
    allow_code: Sequence[Path] = (),
    progress: Progress | None = None,
    consent: Consent = False,
    retry_failed: bool = False,
) -> Run:
    """Finish an interrupted or failed run; a finished one is left as it is, or its events computed again if damaged.

    Of a run that ended because a model could not be used (no such model, a wrong key, an outage), the turns are made
    again that failed by the infrastructure, with everything that came after them in their episodes; see
    `agentsoc.engine.remake`. Of one that ended because its environment failed, loose code may be another version now;
    what it gives has to begin with what the run has.

    Args:
        directory: the run directory.
        engine: settings of the engine block to use now (hosts, address, concurrency); none of them changes a result.
        allow_code: loose code files of the run.
        progress: filled while the run goes on.
        consent: what may be called; see `agentsoc.engine.run.run`. That the directory names a model is no consent.
        retry_failed: whether failed turns are made again of any run, a finished one included.

    Raises:
        ConsentNeededError: it would send something to an address that nobody has agreed to; nothing was sent.
        ScenarioError, InputError: a setting of `engine` is none, or out of its range; or several hosts without Ray.
        RunLockedError: another process is writing the run.
        LogDamagedError: what is on disk is not what was written.
        InterruptedRunError: it was asked to stop; it can be resumed.
        KeyboardInterrupt: the same, where an event loop was running.
    """
    return wait_for(
        resume_async(
            directory, engine=engine, allow_code=allow_code, progress=progress, consent=consent,
            retry_failed=retry_failed,
        )
    )  # fmt: skip


async def resume_async(
    directory: Path | str,
    *,
    engine: dict[str, Any] | None = None,
    allow_code: Sequence[Path] = (),
    progress: Progress | None = None,
    shared: Shared | None = None,
    stop: asyncio.Event | None = None,
    consent: Consent = False,
    retry_failed: bool = False,
) -> Run:
    """Finish a run from inside an event loop.

    In the main thread it listens to SIGINT and SIGTERM while it goes on, unless `stop` is given.

    Args:
        directory: as of `resume`; so is everything that is not said here, and what is raised.
        engine: settings of the engine block to use now.
        allow_code: loose code files of the run.
        progress: filled while the run goes on.
        shared: models that it uses together with other runs of the process; None for its own.
        stop: set by whoever wants the run to end in order; None for a run that listens to signals.
        consent: what may be called.
        retry_failed: whether failed turns are made again of any run.
    """
    RunLog(directory)  # a lock is put into a run directory only
    # Everything is read under the lock: what another process has bought until now must not be bought again.
    with RunLock(Path(directory)), base_dir_kept():
        clear_temporaries(Path(directory))
        means = _Means(engine, allow_code, progress or Progress(), shared, stop, consent, retry_failed)
        return await _resume(RunLog(directory), means)


@dataclass(frozen=True)
class _Means:
    """What a caller gave for a run to go on with; see `resume`."""

    engine: dict[str, Any] | None
    allow_code: Sequence[Path]
    progress: Progress
    shared: Shared | None
    stop: asyncio.Event | None
    consent: Consent
    retry_failed: bool


async def _resume(log: RunLog, means: _Means) -> Run:
    directory = log.directory
    scenario, code = stored_scenario(log, means.allow_code, mended_code=may_be_mended(log.manifest))
    for name in (name for name, digest in code.items() if log.manifest.code.get(name, digest) != digest):
        means.progress.notices.append(f"{name} is another version than the run began with; it is taken as mended")
    known: dict[Key, Attempt] | None = None
    rounds: dict[int, int] = {}
    if means.retry_failed or is_to_be_made_again(log.manifest):
        ended = log.manifest.status == "finished"
        known = log.checked() if ended else _load_pinned(log)
        rounds = failed_rounds(known, scenario, lost=ended)
    if log.manifest.status == "finished" and not rounds:
        try:
            log.check()
        except LogDamagedError as damage:
            await _rebuild(log, scenario, damage)
        return Run(directory)
    require_named_address(scenario, means.engine or {}, directory)
    if means.engine:
        scenario = with_engine(scenario, means.engine)
    require_consent([scenario], means.consent)
    tasks = RunTasks(scenario)
    if tasks.hash != log.manifest.tasks_hash:
        raise InputError(
            "the task family gives other questions than when the run began",
            str(directory),
            "use the version of agentsoc (and of the task file) that began it: see manifest.json",
        )
    log.inside.has_directory(EVENTS)  # a link that leads out is refused, not computed again
    before: list[pa.Table] = []
    with contextlib.suppress(LogDamagedError):  # events that cannot be read are computed again, like all others
        before.extend(log.tables())
    if known is None:
        known = _load_pinned(log)
    if rounds:
        marked = superseded_rows(known, rounds, lost=log.manifest.status == "finished")
        mark(directory, log.manifest, marked)
        known |= {row.key: row for row in marked}
    plan = Plan(
        scenario,
        directory,
        known=known,
        locked=True,
        code=code,
        code_paths=means.allow_code,
        progress=means.progress,
        fork=log.manifest.fork,
        rules=recorded_rules(log.manifest.rules, str(directory)),
        shared=means.shared,
        stop=means.stop,
        tasks=tasks,
        models=log.manifest.models,
        toolsets=specs_of(log.manifest.toolsets),
    )
    del tasks, known
    await _execute(plan)
    run = Run(directory)
    _same_beginning(run, before, rounds)
    return run


async def _execute(plan: Plan) -> None:
    """Carry out a plan; what is kept of a round that is made again gives way where it would be asked otherwise now."""
    assert plan.directory is not None
    for times in itertools.count(1):
        try:
            await execute(plan)
            return
        except RoundChangedError as changed:
            known, _ = load_journal(plan.directory / JOURNAL)
            marked = rest_of_rounds(known, changed.task, changed.round, others=times > _ONE_BY_ONE)
            if not marked:
                raise
            mark(plan.directory, RunLog(plan.directory).manifest, marked)
            known |= {row.key: row for row in marked}
            plan = replace(plan, known=known, tasks=None, society=None)


_ONE_BY_ONE: Final = 8
"""Rounds of which the kept answers are given up one by one; beyond, those of all rounds that stand like them."""


def _load_pinned(log: RunLog) -> dict[Key, Attempt]:
    """Return the attempts of a run that is to go on; what it ended with is what must be there.

    Raises:
        LogDamagedError: rows were changed, lost or added since: they would be bought again, or never were.
    """
    manifest = log.manifest
    known, found = load_journal(log.directory / JOURNAL)
    if manifest.journal_rows is not None and found != (manifest.journal_rows, manifest.journal_digest):
        raise LogDamagedError(
            f"the journal has {found[0]} rows that are not the {manifest.journal_rows} it ended with",
            str(log.directory / JOURNAL),
            "put back the journal that the run ended with",
        )
    return known


async def _rebuild(log: RunLog, scenario: Scenario, damage: LogDamagedError) -> None:
    """Compute events and tasks of a finished run again from its whole journal; the damaged events are put aside.

    Raises:
        LogDamagedError: `damage`, because the journal is not that of the run either, or gives other events.
    """
    directory, manifest = log.directory, log.manifest
    known, found = load_journal(directory / JOURNAL)
    if found != (manifest.journal_rows, manifest.journal_digest):
        raise damage
    _require_own(log)
    scenario = scenario.model_copy(update={"engine": EngineSettings(concurrency=64, umask=scenario.engine.umask)})
    with tempfile.TemporaryDirectory(dir=directory, prefix=".rebuilt-") as scratch:
        rules = recorded_rules(manifest.rules, str(directory))
        plan = Plan(
            scenario, Path(scratch), known=known, live=False, fork=manifest.fork, rules=rules,
            toolsets=specs_of(manifest.toolsets),
        )  # fmt: skip
        result = await execute(plan)
        if result.digest != manifest.digest:
            raise damage
        inside, made = log.inside, Path(scratch).name
        names = (f"{EVENTS}.damaged-{number}" for number in itertools.count(1))
        there = set(inside.names())
        if EVENTS in there:  # unless an earlier attempt has already put it aside
            inside.rename(EVENTS, next(name for name in names if name not in there))
        for name in (EVENTS, TASKS, EPISODES):
            inside.rename(f"{made}/{name}", name)
        again = RunLog(scratch).manifest
        manifest.segments, manifest.totals, manifest.tasks_file = again.segments, again.totals, again.tasks_file
        manifest.episodes_file, manifest.format = again.episodes_file, again.format
        manifest.rules = manifest.rules or again.rules
        # rows of the journal that were the finished run's are written to its file, whole
        manifest.journal_file = Journal(directory / JOURNAL).seal()
    manifest.save(directory)


def _require_own(log: RunLog) -> None:
    """Refuse to put anything in the place of what is no file or directory of the run's own.

    Raises:
        LogDamagedError: names it.
    """
    log.inside.has_directory(EVENTS)
    for name in log.inside.names(EVENTS):
        log.inside.require_plain(f"{EVENTS}/{name}")
    for name in (TASKS, EPISODES):
        log.inside.look(name)


def _same_beginning(run: Run, before: Sequence[pa.Table], rounds: Mapping[int, int]) -> None:
    """Check that what was on disk of each task before is the beginning of what is there of it now.

    Args:
        run: as it is now.
        before: its events as they were.
        rounds: task -> round from which on its events were made again.

    Raises:
        ReplayMismatchError: names the first event that differs.
    """
    now = itertools.groupby(run.events(), key=_task)
    for task, stored in itertools.groupby(itertools.chain.from_iterable(map(from_table, before)), key=_task):
        computed: Iterator[Event] = next((events for number, events in now if number == task), iter(()))
        for event in stored:
            if event.round >= rounds.get(task, event.round + 1):
                break
            again = next(computed, None)
            if event != again:
                raise ReplayMismatchError(
                    "the resumed run does not begin with the events that were on disk",
                    f"task {event.task}, round {event.round}, agent {event.agent}, k {event.k}",
                    event_text(event),
                    event_text(again),
                )


def _task(event: Event) -> int:
    return event.task
