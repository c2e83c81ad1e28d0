"""One mechanism, three verbs. `resume`: the journal answers first, the model on a miss. `replay`: a miss is an error.

`fork`: as resume up to a round, then the changed scenario, live, into a new run.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import ValidationError

from agentsoc.engine.consent import Consent, require_consent
from agentsoc.engine.directory import clear_temporaries, new_directory
from agentsoc.engine.inputs import RunTasks, named_files, use_inputs
from agentsoc.engine.loop import fewer_collections
from agentsoc.engine.ready import with_engine
from agentsoc.engine.run import (
    Plan,
    Progress,
    Result,
    Run,
    execute,
    refuse_secrets,
)
from agentsoc.engine.shared import Shared
from agentsoc.engine.waiting import wait_for
from agentsoc.errors import InputError, InterruptedRunError, LogDamagedError, ReplayMismatchError
from agentsoc.events import Event
from agentsoc.log.episodes import COLUMNS as COLUMNS_OF_EPISODES
from agentsoc.log.episodes import MEASURES
from agentsoc.log.files import RunLock
from agentsoc.log.journal import Attempt, Journal, Key, load_journal
from agentsoc.log.manifest import Before, Fork, Totals
from agentsoc.log.names import EPISODES, EVENTS, JOURNAL, TASKS
from agentsoc.log.read import RunLog
from agentsoc.log.record import hash_json
from agentsoc.log.schema import COLUMNS, from_table
from agentsoc.scenario.code import load_recorded
from agentsoc.scenario.files import base_dir_kept
from agentsoc.scenario.model import Engine as EngineSettings
from agentsoc.scenario.model import Scenario
from agentsoc.society.build import build_society


@dataclass(frozen=True)
class Replay:
    """What a replay found: the stored log and the computed one are the same."""

    digest: str
    n_events: int
    model_calls: int = 0


class InterruptedReplayError(InterruptedRunError):
    """A replay that was asked to stop; it has changed nothing."""

    def __str__(self) -> str:
        return f"interrupted; a replay changes nothing\n    start again with: agentsoc replay {self.run_dir}"


def stored_scenario(
    log: RunLog, allow_code: Sequence[Path] = (), *, more_code: bool = False
) -> tuple[Scenario, dict[str, str]]:
    """Return the scenario of a run from its manifest, and the hashes of the loose code it uses.

    Args:
        log: the run.
        allow_code: files of loose code; none of them runs before all are known to be what the run was made with.
        more_code: whether there may be files among them that the run was made without.

    Raises:
        InputError: the run needs loose code that was not given, or another version of it.
        LogDamagedError: the manifest's scenario is not what its hash says.
    """
    manifest = log.manifest
    given = load_recorded(allow_code, manifest.code, "this run", log.directory, more=more_code)
    use_inputs(log.directory, manifest.inputs)
    earlier = [] if manifest.fork is None else [before.scenario for before in manifest.fork.before]
    try:
        scenarios = [Scenario.model_validate(one) for one in (manifest.scenario, *earlier)]
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise LogDamagedError(
            f"the manifest's scenario does not hold: {where}: {first['msg']}", str(log.directory)
        ) from None
    scenario = scenarios[0]
    if hash_json(scenario.result_part()) != manifest.scenario_hash:
        raise LogDamagedError("the manifest's scenario is not the one of its hash", str(log.directory))
    for name in (name for one in scenarios for name in named_files(one)):
        if name not in manifest.inputs:
            raise LogDamagedError(
                f"the scenario names the file {name[:200]!r}, of which the run keeps no copy", str(log.directory)
            )
    return scenario, given


def require_named_address(scenario: Scenario, engine: Mapping[str, Any], directory: Path) -> None:
    """Refuse to go to a cluster that only a stored run names: it may be a stranger's.

    Raises:
        InputError: `engine`, what was asked for now, names none.
    """
    address = scenario.engine.address
    if address not in (None, "local") and engine.get("address") is None:
        raise InputError(
            f"this run was carried out on the Ray cluster at {address}, which is not joined unless you name it",
            str(directory),
            f"add --address {address}, or --address local",
        )


def replay(directory: Path | str, *, allow_code: Sequence[Path] = ()) -> Replay:
    """Compute a run again from its journal alone and compare it with the stored log.

    No model is called and no network is used. Returns when both are the same.

    Raises:
        ReplayMismatchError: they differ; names the first event that does.
        LogDamagedError: the stored log is not what was written.
        InterruptedReplayError: it was asked to stop.
        KeyboardInterrupt: the same, where an event loop was running.
    """
    return wait_for(replay_async(directory, allow_code=allow_code))


async def replay_async(directory: Path | str, *, allow_code: Sequence[Path] = ()) -> Replay:
    """Replay a run from inside an event loop; see `replay`.

    It computes in long stretches, in which the loop does nothing else.
    """
    with fewer_collections(), base_dir_kept():
        try:
            return await _replay(RunLog(directory), allow_code)
        except InterruptedRunError:
            raise InterruptedReplayError(str(directory)) from None


async def _replay(log: RunLog, allow_code: Sequence[Path]) -> Replay:
    directory = log.directory
    if log.manifest.status == "running" or log.manifest.digest is None:
        raise InputError(
            f"this run is {log.manifest.status}, so there is no whole log to compare with",
            str(directory),
            f"finish it first: agentsoc resume {directory}",
        )
    known = log.checked()
    scenario, code = stored_scenario(log, allow_code)
    scenario = scenario.model_copy(update={"engine": EngineSettings(concurrency=64)})
    tasks = RunTasks(scenario)
    if tasks.hash != log.manifest.tasks_hash:
        raise ReplayMismatchError(
            "the task family gives other questions than it did", "the tasks", log.manifest.tasks_hash[:12], "other"
        )
    _same_tasks(log, tasks)
    fork = log.manifest.fork
    plan = Plan(scenario, None, known, live=False, code=code, code_paths=allow_code, fork=fork, tasks=tasks)
    del tasks
    result = await execute(plan)
    if result.digest != log.manifest.digest:
        await _name_divergence(log, plan)
    _same_totals(log, result)
    return Replay(result.digest, result.n_events, result.calls_live)


def _same_tasks(log: RunLog, tasks: RunTasks) -> None:
    """Compare the table of tasks with the tasks that the scenario gives: readers take questions and truths from it.

    Raises:
        ReplayMismatchError: names the first value that differs.
    """
    stored, computed = log.task_table(), tasks.table()
    if stored.column_names != computed.column_names:
        columns = [", ".join(table.column_names) for table in (stored, computed)]
        raise ReplayMismatchError("the table of tasks differs", "its columns", *columns)
    for name in stored.column_names:
        one, other = stored[name], computed[name].cast(stored[name].type)
        if one.equals(other):
            continue
        for task, (found, again) in enumerate(zip(one.to_pylist(), other.to_pylist(), strict=True)):
            if found != again:
                where = f"task {task}, column {name}"
                raise ReplayMismatchError("the table of tasks differs", where, repr(found)[:300], repr(again)[:300])


def _same_totals(log: RunLog, result: Result) -> None:
    """Compare what the run says that it amounts to, in all and task by task, with what was computed again.

    Raises:
        ReplayMismatchError: names the first total, or the first row of episodes, that differs.
    """
    manifest = log.manifest
    for name in Totals.model_fields:
        stored, computed = getattr(manifest.totals, name), getattr(result.totals, name)
        # format 1 added up floats in whatever order episodes ended
        rounded = manifest.format == 1 and isinstance(stored, float) and isinstance(computed, float)
        if stored != computed and not (rounded and math.isclose(stored, computed, rel_tol=1e-9)):
            raise ReplayMismatchError("a total of the manifest differs", f"totals.{name}", str(stored), str(computed))
    rows = log.episode_rows()
    if rows is None:
        return
    for name in COLUMNS_OF_EPISODES if manifest.format > 1 else MEASURES:
        if name == "virtual_s" and manifest.format == 1:
            continue
        stored, computed = rows[name].to_pylist(), result.episodes[name].to_pylist()
        for task, (one, other) in enumerate(itertools.zip_longest(stored, computed)):
            if one != other:
                raise ReplayMismatchError(
                    "the table of episodes differs", f"task {task}, column {name}", str(one), str(other)
                )


async def _name_divergence(log: RunLog, plan: Plan) -> None:
    """Run the plan again, this time keeping the events, and raise at the first one that differs."""
    with tempfile.TemporaryDirectory() as scratch:
        plan.directory = Path(scratch)
        plan.live = False
        await execute(plan)
        again = RunLog(scratch)
        for stored, computed in itertools.zip_longest(log.events(), again.events()):
            if stored != computed:
                first = stored or computed
                assert first is not None
                raise ReplayMismatchError(
                    "this event differs",
                    f"task {first.task}, round {first.round}, agent {first.agent}, k {first.k}",
                    _short(stored),
                    _short(computed),
                )
    raise ReplayMismatchError("the digests differ although all events agree", "the end", str(log.manifest.digest), "")


def _short(event: Event | None) -> str:
    if event is None:
        return "(no such event)"
    shown = {name: getattr(event, name) for name in COLUMNS[4:]}
    return ", ".join(f"{name}={value!r}" for name, value in shown.items() if value not in (None, (), 0))[:300]


def resume(
    directory: Path | str,
    *,
    engine: dict[str, Any] | None = None,
    allow_code: Sequence[Path] = (),
    progress: Progress | None = None,
    consent: Consent = False,
) -> Run:
    """Finish an interrupted or failed run; a finished one is left as it is, or its events computed again if damaged.

    Args:
        directory: the run directory.
        engine: settings of the engine block to use now (hosts, address, concurrency); none of them changes a result.
        allow_code: loose code files of the run.
        progress: filled while the run goes on.
        consent: what may be called; see `agentsoc.engine.run.run`. That the directory names a model is no consent.

    Raises:
        ConsentNeededError: it would send something to an address that nobody has agreed to; nothing was sent.
        ScenarioError, InputError: a setting of `engine` is none, or out of its range; or several hosts without Ray.
        RunLockedError: another process is writing the run.
        LogDamagedError: what is on disk is not what was written.
        InterruptedRunError: it was asked to stop; it can be resumed.
        KeyboardInterrupt: the same, where an event loop was running.
    """
    return wait_for(resume_async(directory, engine=engine, allow_code=allow_code, progress=progress, consent=consent))


async def resume_async(
    directory: Path | str,
    *,
    engine: dict[str, Any] | None = None,
    allow_code: Sequence[Path] = (),
    progress: Progress | None = None,
    shared: Shared | None = None,
    stop: asyncio.Event | None = None,
    consent: Consent = False,
) -> Run:
    """Finish a run from inside an event loop; see `resume` and, for `shared` and `stop`, `Plan`.

    In the main thread it listens to SIGINT and SIGTERM while it goes on, unless `stop` is given.
    """
    RunLog(directory)  # a lock is put into a run directory only
    # Everything is read under the lock: what another process has bought until now must not be bought again.
    with RunLock(Path(directory)), base_dir_kept():
        clear_temporaries(Path(directory))
        return await _resume(RunLog(directory), engine, allow_code, progress, shared, stop, consent)


async def _resume(
    log: RunLog,
    engine: dict[str, Any] | None,
    allow_code: Sequence[Path],
    progress: Progress | None,
    shared: Shared | None,
    stop: asyncio.Event | None,
    consent: Consent,
) -> Run:
    directory = log.directory
    scenario, code = stored_scenario(log, allow_code)
    if log.manifest.status == "finished":
        try:
            log.check()
        except LogDamagedError as damage:
            await _rebuild(log, scenario, damage)
        return Run(directory)
    require_named_address(scenario, engine or {}, directory)
    if engine:
        scenario = with_engine(scenario, engine)
    require_consent([scenario], consent)
    tasks = RunTasks(scenario)
    if tasks.hash != log.manifest.tasks_hash:
        raise InputError(
            "the task family gives other questions than when the run began",
            str(directory),
            "use the version of agentsoc (and of the task file) that began it: see manifest.json",
        )
    plan = Plan(
        scenario,
        directory,
        known=_load_pinned(log),
        locked=True,
        code=code,
        code_paths=allow_code,
        progress=progress or Progress(),
        fork=log.manifest.fork,
        shared=shared,
        stop=stop,
        tasks=tasks,
    )
    del tasks
    log.inside.has_directory(EVENTS)  # what leads elsewhere is refused, not computed again
    before: list[pa.Table] = []
    with contextlib.suppress(LogDamagedError):  # events that cannot be read are computed again, like all others
        before.extend(log.tables())
    await execute(plan)
    run = Run(directory)
    _same_beginning(run, before)
    return run


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
        plan = Plan(scenario, Path(scratch), known=known, live=False, fork=manifest.fork)
        result = await execute(plan)
        if result.digest != manifest.digest:
            raise damage
        inside, made = log.inside, Path(scratch).name
        names = (f"{EVENTS}.damaged-{number}" for number in itertools.count(1))
        there = set(inside.names())
        if EVENTS in there:  # unless an earlier attempt came as far as this
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


def _same_beginning(run: Run, before: Sequence[pa.Table]) -> None:
    """Check that what was on disk of each task before is the beginning of what is there of it now.

    Raises:
        ReplayMismatchError: names the first event that differs.
    """
    now = itertools.groupby(run.events(), key=_task)
    for task, stored in itertools.groupby(itertools.chain.from_iterable(map(from_table, before)), key=_task):
        computed: Iterator[Event] = next((events for number, events in now if number == task), iter(()))
        for event in stored:
            again = next(computed, None)
            if event != again:
                raise ReplayMismatchError(
                    "the resumed run does not begin with the events that were on disk",
                    f"task {event.task}, round {event.round}, agent {event.agent}, k {event.k}",
                    _short(event),
                    _short(again),
                )


def _task(event: Event) -> int:
    return event.task


def fork(
    directory: Path | str,
    task: int,
    round_: int,
    scenario: Scenario,
    out: Path | str | None = None,
    *,
    code: dict[str, str] | None = None,
    code_paths: Sequence[Path] = (),
    progress: Progress | None = None,
    consent: Consent = False,
) -> Run:
    """Start a new run that shares everything before (task, round) with an old one and goes on live from there.

    Earlier tasks, and the rounds of `task` before `round_`, are computed with the old scenario from the old journal;
    from there on the changed scenario acts, later tasks included. The new run has its own journal and replays alone.

    Raises:
        ConsentNeededError: it would send something to an address that nobody has agreed to with `consent` (see
            `agentsoc.engine.run.run`); nothing was sent.
        InputError: the place of the fork does not exist, or the changed scenario has other tasks or agents.
        RunFailedError, InterruptedRunError: the new run stopped; it can be resumed.
        KeyboardInterrupt: the same, where an event loop was running.
    """
    return wait_for(
        fork_async(
            directory,
            task,
            round_,
            scenario,
            out,
            code=code,
            code_paths=code_paths,
            progress=progress,
            consent=consent,
        )
    )


async def fork_async(
    directory: Path | str,
    task: int,
    round_: int,
    scenario: Scenario,
    out: Path | str | None = None,
    *,
    code: dict[str, str] | None = None,
    code_paths: Sequence[Path] = (),
    progress: Progress | None = None,
    consent: Consent = False,
) -> Run:
    """Start a fork from inside an event loop; see `fork`.

    In the main thread it listens to SIGINT and SIGTERM while it goes on.
    """
    with base_dir_kept():
        log = RunLog(directory)
        old, _ = stored_scenario(log, code_paths, more_code=True)
        if not 0 <= task < scenario.tasks.count or round_ < 0:
            raise InputError(
                f"there is no task {task}, round {round_}; the run has {scenario.tasks.count} tasks", "--at"
            )
        society = build_society(scenario)
        if society.n != (n := build_society(old, stored=True).n):
            raise InputError(f"a fork keeps its agents: the run has {n}, the changed scenario {society.n}", "agents")
        if RunTasks(scenario).hash != log.manifest.tasks_hash or scenario.seed != old.seed:
            raise InputError(
                "a fork keeps the tasks and the seed of its run", "tasks", "start a new run to change them"
            )
        start = (task, round_)
        known: dict[Key, Attempt] = {
            attempt.key: attempt for attempt in log.journal() if (attempt.task, attempt.round) < start
        }
        earlier = log.manifest.fork
        before = [] if earlier is None else [b for b in earlier.before if b.start < start]
        own_start = (0, 0) if earlier is None else (earlier.task, earlier.round)
        if own_start < start:
            before.append(Before(start=own_start, scenario=log.manifest.scenario))
        refuse_secrets(scenario)
        require_consent([scenario], consent)
        target = new_directory(scenario, out)
        plan = Plan(
            scenario,
            target,
            known=known,
            code=code or {},
            code_paths=code_paths,
            progress=progress or Progress(),
            fork=Fork(run=log.directory.name, digest=log.manifest.digest, task=task, round=round_, before=before),
        )
        await _with_journal(plan, list(known.values()))
        return Run(target)


async def _with_journal(plan: Plan, attempts: Sequence[Attempt]) -> Result:
    """Carry the shared attempts over into the new run's journal, then run it: the new run replays on its own."""
    assert plan.directory is not None
    journal = Journal(plan.directory / JOURNAL)
    try:
        await asyncio.gather(*(journal.write(attempt) for attempt in attempts))
    finally:
        journal.close()
    return await execute(plan)
