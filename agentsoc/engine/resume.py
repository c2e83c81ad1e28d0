"""One mechanism, three verbs. `resume`: the journal answers first, the model on a miss. `replay`: a miss is an error.

`fork`: as resume up to a round, then the changed scenario, live, into a new run.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from agentsoc.engine.consent import Consent, require_consent
from agentsoc.engine.inputs import RunTasks, use_inputs
from agentsoc.engine.loop import fewer_collections
from agentsoc.engine.run import (
    Plan,
    Progress,
    Result,
    Run,
    execute,
    load_known,
    new_directory,
    refuse_secrets,
)
from agentsoc.engine.shared import Shared
from agentsoc.errors import InputError, LogDamagedError, ReplayMismatchError
from agentsoc.events import Event
from agentsoc.log.files import RunLock
from agentsoc.log.journal import Attempt, Journal, Key, load_journal
from agentsoc.log.manifest import Before, Fork, hash_json
from agentsoc.log.read import EPISODES, EVENTS, JOURNAL, TASKS, RunLog
from agentsoc.log.schema import COLUMNS, from_table
from agentsoc.log.segments import read_all
from agentsoc.scenario.code import load_recorded
from agentsoc.scenario.model import Engine as EngineSettings
from agentsoc.scenario.model import Scenario
from agentsoc.society.build import build_society


@dataclass(frozen=True)
class Replay:
    """What a replay found: the stored log and the computed one are the same."""

    digest: str
    n_events: int
    model_calls: int = 0


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
    use_inputs(log.directory, manifest)
    try:
        scenario = Scenario.model_validate(manifest.scenario)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise LogDamagedError(
            f"the manifest's scenario does not hold: {where}: {first['msg']}", str(log.directory)
        ) from None
    if hash_json(scenario.result_part()) != manifest.scenario_hash:
        raise LogDamagedError("the manifest's scenario is not the one of its hash", str(log.directory))
    return scenario, given


def replay(directory: Path | str, *, allow_code: Sequence[Path] = ()) -> Replay:
    """Compute a run again from its journal alone and compare it with the stored log.

    No model is called and no network is used. Returns when both are the same.

    Raises:
        ReplayMismatchError: they differ; names the first event that does.
        LogDamagedError: the stored log is not what was written.
    """
    with fewer_collections():
        return _replay(RunLog(directory), allow_code)


def _replay(log: RunLog, allow_code: Sequence[Path]) -> Replay:
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
    fork = log.manifest.fork
    plan = Plan(scenario, None, known, live=False, code=code, code_paths=allow_code, fork=fork, tasks=tasks)
    del tasks
    result = asyncio.run(execute(plan))
    if result.digest != log.manifest.digest:
        _name_divergence(log, plan)
    return Replay(result.digest, result.n_events, result.calls_live)


def _name_divergence(log: RunLog, plan: Plan) -> None:
    """Run the plan again, this time keeping the events, and raise at the first one that differs."""
    with tempfile.TemporaryDirectory() as scratch:
        plan.directory = Path(scratch)
        plan.live = False
        asyncio.run(execute(plan))
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
        RunLockedError: another process is writing the run.
        LogDamagedError: what is on disk is not what was written.
    """
    return asyncio.run(
        resume_async(directory, engine=engine, allow_code=allow_code, progress=progress, consent=consent)
    )


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
    """Finish a run from inside an event loop; see `resume` and, for `shared` and `stop`, `Plan`."""
    RunLog(directory)  # a lock is put into a run directory only
    # Everything is read under the lock: what another process has bought until now must not be bought again.
    with RunLock(Path(directory)):
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
    if engine:
        changed = {**scenario.engine.model_dump(), **engine}
        scenario = scenario.model_copy(update={"engine": EngineSettings.model_validate(changed)})
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
        known=load_known(directory),
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
    before: list[Any] = []
    with contextlib.suppress(LogDamagedError):  # events that cannot be read are computed again, like all others
        before.extend(read_all(directory / EVENTS, log.segments))
    await execute(plan)
    run = Run(directory)
    _same_beginning(run, before)
    return run


async def _rebuild(log: RunLog, scenario: Scenario, damage: LogDamagedError) -> None:
    """Compute events and tasks of a finished run again from its whole journal; the damaged events are put aside.

    Raises:
        LogDamagedError: `damage`, because the journal is not that of the run either, or gives other events.
    """
    directory, manifest = log.directory, log.manifest
    known, found = load_journal(directory / JOURNAL)
    if found != (manifest.journal_rows, manifest.journal_digest):
        raise damage
    scenario = scenario.model_copy(update={"engine": EngineSettings(concurrency=64)})
    with tempfile.TemporaryDirectory(dir=directory, prefix=".rebuilt-") as scratch:
        plan = Plan(scenario, Path(scratch), known=known, live=False, fork=manifest.fork)
        if (await execute(plan)).digest != manifest.digest:
            raise damage
        names = (directory / f"{EVENTS}.damaged-{number}" for number in itertools.count(1))
        with contextlib.suppress(FileNotFoundError):  # an earlier attempt came as far as this
            (directory / EVENTS).rename(next(name for name in names if not name.exists()))
        (Path(scratch) / EVENTS).rename(directory / EVENTS)
        (Path(scratch) / TASKS).replace(directory / TASKS)
        (Path(scratch) / EPISODES).replace(directory / EPISODES)
        again = RunLog(scratch).manifest
        manifest.segments, manifest.totals, manifest.tasks_file = again.segments, again.totals, again.tasks_file
        manifest.episodes_file = again.episodes_file
    manifest.save(directory)


def _same_beginning(run: Run, before: Sequence[Any]) -> None:
    """Check that the events which were on disk before are the beginning of what is there now."""
    now = run.events()
    for stored in itertools.chain.from_iterable(from_table(table) for table in before):
        computed = next(now, None)
        if stored != computed:
            raise ReplayMismatchError(
                "the resumed run does not begin with the events that were on disk",
                f"task {stored.task}, round {stored.round}, agent {stored.agent}, k {stored.k}",
                _short(stored),
                _short(computed),
            )


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
    """
    log = RunLog(directory)
    old, _ = stored_scenario(log, code_paths, more_code=True)
    if not 0 <= task < scenario.tasks.count or round_ < 0:
        raise InputError(f"there is no task {task}, round {round_}; the run has {scenario.tasks.count} tasks", "--at")
    society = build_society(scenario)
    if society.n != (n := build_society(old).n):
        raise InputError(f"a fork keeps its agents: the run has {n}, the changed scenario {society.n}", "agents")
    if RunTasks(scenario).hash != log.manifest.tasks_hash or scenario.seed != old.seed:
        raise InputError("a fork keeps the tasks and the seed of its run", "tasks", "start a new run to change them")
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
    asyncio.run(_with_journal(plan, list(known.values())))
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
