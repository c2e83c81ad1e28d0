"""`run`: from a scenario to a run directory. The same function resumes and forks; only the known attempts differ."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import shutil
import signal
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa

from agentsoc.backends.secrets import mask, redact, register_environment
from agentsoc.contracts.board import Board
from agentsoc.engine.calls import Caller
from agentsoc.engine.column_episodes import column_run, run_columns
from agentsoc.engine.columns import ColumnRun
from agentsoc.engine.consent import Consent, require_consent
from agentsoc.engine.directory import clear_temporaries, new_directory
from agentsoc.engine.inputs import RunTasks, input_files, parquet_bytes
from agentsoc.engine.loop import Engine
from agentsoc.engine.pool import LocalPool, Pool
from agentsoc.engine.progress import Progress
from agentsoc.engine.run_state import ScenarioEpoch
from agentsoc.engine.shared import Shared
from agentsoc.errors import AgentsocError, InputError, InterruptedRunError, RunFailedError
from agentsoc.log.files import RunLock
from agentsoc.log.inside import Inside, by_umask
from agentsoc.log.journal import Attempt, Journal, Key, load_journal, read_digest
from agentsoc.log.manifest import (
    NAME,
    RULES,
    Fork,
    Manifest,
    SegmentEntry,
    Status,
    Totals,
    machine,
    versions,
)
from agentsoc.log.names import EPISODES, EVENTS, INPUTS, JOURNAL, TASKS
from agentsoc.log.read import RunLog
from agentsoc.log.record import hash_json
from agentsoc.log.segments import Segment, SegmentWriter
from agentsoc.log.totals import ceilings, fold
from agentsoc.scenario.model import Scenario
from agentsoc.society.build import BuiltSociety, build_society

FLUSH_S = 5.0
"""How often events and manifest reach the disk while a run goes on (seconds)."""

FLUSHES = 200
"""A long run flushes less often, by this part of the time that it has gone on: each flush makes a file."""

GRACE_S = 4.0
"""How long calls in flight may go on after an interrupt (seconds)."""


class Run(RunLog):
    """A finished, interrupted or running run on disk."""

    def summary(self) -> dict[str, Any]:
        """Return what `agentsoc run --json` prints."""
        manifest, totals = self.manifest, self.manifest.totals
        return {
            "run_dir": str(self.directory),
            "name": manifest.name,
            "seed": manifest.seed,
            "status": manifest.status,
            "digest": manifest.digest,
            "n_events": totals.events,
            "n_episodes": totals.episodes,
            "score": totals.score,
            "tokens": totals.tokens_in + totals.tokens_out,
            "budget": totals.budget,
            "cost": totals.cost,
            "stop": max(totals.stops, key=lambda stop: totals.stops[stop]) if totals.stops else manifest.status,
            "totals": totals.model_dump(mode="json"),
            "not_reproducible": manifest.not_reproducible,
        }


@dataclass
class Plan:
    """What to run, on what, and what is known of it already."""

    scenario: Scenario
    directory: Path | None
    """None to compute without writing anything (replay)."""
    known: Mapping[Key, Attempt] = field(default_factory=dict)
    live: bool = True
    """Whether attempts that are not known may ask a model."""
    locked: bool = False
    """Whether the caller holds the lock of the directory."""
    code: Mapping[str, str] = field(default_factory=dict)
    code_paths: Sequence[Path] = ()
    fork: Fork | None = None
    progress: Progress = field(default_factory=Progress)
    society: BuiltSociety | None = None
    """The scenario's society, where it is built already."""
    tasks: RunTasks | None = None
    """Its tasks, where they are made already."""
    shared: Shared | None = None
    """Models that this run uses together with others of the process."""
    stop: asyncio.Event | None = None
    """Set by whoever wants the run to end in order; None for a run that listens to signals itself."""


@dataclass(frozen=True)
class Result:
    """What an execution gave."""

    digest: str
    totals: Totals
    n_events: int
    calls_live: int
    segments: list[Any]
    episodes: pa.Table
    """One row per episode; see `agentsoc.log.episodes`."""


_JOURNAL_FAULTS: Final = (OSError, sqlite3.Error, AgentsocError)


def run(
    scenario: Scenario,
    out: Path | str | None = None,
    *,
    code: Mapping[str, str] | None = None,
    code_paths: Sequence[Path] = (),
    progress: Progress | None = None,
    consent: Consent = False,
) -> Run:
    """Run a scenario once and return its log.

    Args:
        scenario: what to run.
        out: the run directory, which must not exist or be empty; None for a new one under ``runs/``.
        code: hashes of the loose code files that the scenario needs, for the manifest.
        code_paths: those files, for hosts in other processes.
        progress: filled while the run goes on.
        consent: True to let the scenario's models be called wherever they are, or the destinations that are agreed
            to; see `agentsoc.engine.consent`.

    Raises:
        ConsentNeededError: it would send something to an address that nobody has agreed to; nothing was sent.
        InputError: the scenario cannot be run, or `out` is taken.
        RunFailedError: it stopped because of a fault; it can be resumed.
        InterruptedRunError: it was asked to stop; it can be resumed.
    """
    return asyncio.run(run_async(scenario, out, code=code, code_paths=code_paths, progress=progress, consent=consent))


async def run_async(
    scenario: Scenario,
    out: Path | str | None = None,
    *,
    code: Mapping[str, str] | None = None,
    code_paths: Sequence[Path] = (),
    progress: Progress | None = None,
    fork: Fork | None = None,
    known: Mapping[Key, Attempt] | None = None,
    shared: Shared | None = None,
    stop: asyncio.Event | None = None,
    consent: Consent = False,
) -> Run:
    """Run a scenario from inside an event loop; see `run` and, for `shared` and `stop`, `Plan`."""
    society = build_society(scenario)  # whatever cannot be built is found before a directory is made
    refuse_secrets(scenario)
    require_consent([scenario], consent)
    directory = new_directory(scenario, out)
    plan = Plan(
        scenario,
        directory,
        known=known or {},
        code=code or {},
        code_paths=code_paths,
        progress=progress or Progress(),
        fork=fork,
        society=society,
        shared=shared,
        stop=stop,
    )
    try:
        await execute(plan)
    except InputError:  # a model that cannot start: nothing was asked, so nothing is left behind
        if not load_known(directory):
            shutil.rmtree(directory)  # ours: it was made above, and links in it are not followed
        raise
    return Run(directory)


def refuse_secrets(scenario: Scenario) -> None:
    """Raise `InputError` when the scenario holds a secret of the environment: the manifest would keep it for ever."""
    register_environment()
    text = scenario.model_dump_json()
    if mask(text) != text:
        raise InputError(
            "the scenario contains the value of a secret environment variable, which the run would write down",
            scenario.name,
            "name the variable instead of its value: api_key_env",
        )


async def execute(plan: Plan) -> Result:
    """Carry out a plan under the lock of its directory."""
    if plan.directory is None:
        return await _execute(plan, None)
    try:
        with (
            by_umask(plan.scenario.engine.umask),
            contextlib.nullcontext() if plan.locked else RunLock(plan.directory),
        ):
            clear_temporaries(plan.directory)
            journal = Journal(plan.directory / JOURNAL)
            try:
                return await _execute(plan, journal)
            finally:
                journal.close()
    except (OSError, sqlite3.Error, RunFailedError) as error:
        raise _stopped(error, plan.directory) from error


def _stopped(error: OSError | sqlite3.Error | RunFailedError, directory: Path) -> RunFailedError:
    """Return what to tell of a run that a fault stopped: what happened, and whether there is anything to resume."""
    what = error.what if isinstance(error, RunFailedError) else f"the disk refused: {error}"
    if (directory / NAME).exists():
        return RunFailedError(what, str(directory))
    return RunFailedError(what, str(directory), "no model has been asked yet: start again, here if you like")


async def _execute(plan: Plan, journal: Journal | None) -> Result:
    scenario = plan.scenario
    society = build_society(scenario, stored=True) if plan.society is None else plan.society
    tasks, plan.tasks = plan.tasks or RunTasks(scenario), None  # not kept while the run goes on: they may be many
    boards: dict[int, Board] = {}
    writer = SegmentWriter((plan.directory or Path()) / EVENTS, keep=plan.directory is not None)
    manifest = _manifest(plan, tasks.hash)
    _write_inputs(plan, manifest, tasks)
    plan.progress.n_tasks = scenario.tasks.count
    plan.progress.hosts = scenario.engine.hosts
    pools: list[Pool] = []
    engine: Engine | None = None
    try:
        one_epoch = plan.fork is None or not plan.fork.before
        columns = column_run(society, tasks) if scenario.engine.vectorise and one_epoch else None
        del tasks
        epochs = await _epochs(plan, society, journal, boards, pools)
        manifest.models = epochs[-1].pool.identities()
        engine = Engine(epochs, writer, boards)
        plan.progress.pace, plan.progress.flight = engine.pace, epochs[-1].caller.flight
        plan.progress.ledgers = engine.ledgers
        await _drive(plan, engine, columns, writer, manifest)
        if engine.stopping and engine.pace.episodes < scenario.tasks.count:  # not when the last one ended all the same
            _end(plan, journal, engine, writer, manifest, "interrupted")
            raise InterruptedRunError(str(plan.directory))
    except BaseException as error:
        error = _plain(error)
        if plan.directory is not None and not isinstance(error, InterruptedRunError):
            manifest.error = redact(f"{type(error).__name__}: {error}")[:2000]
            _fail(plan, journal, engine, writer, manifest)
        writer.abandon()
        raise error from None
    finally:
        for pool in pools:
            await pool.close()
    digest = writer.finish()
    result = Result(
        digest,
        fold(writer.totals, engine.episodes.totals, ceilings(manifest.scenario)),
        writer.digest.rows,
        sum(epoch.caller.flight.live for epoch in epochs),
        writer.segments,
        engine.episodes.table(),
    )
    if plan.directory is not None:
        manifest.digest = digest
        if journal is not None:
            _pin_journal(manifest, journal)
        _write_episodes(plan.directory, manifest, result.episodes)
        _save(plan.directory, manifest, writer.segments, "finished", result.totals)
    return result


def _write_inputs(plan: Plan, manifest: Manifest, tasks: RunTasks) -> None:
    """Write down what the run is made from, and the manifest that says so."""
    inputs = input_files(plan.scenario)
    manifest.inputs = {name: hashlib.sha256(content).hexdigest() for name, content in inputs}
    if plan.directory is None:
        return
    inside = Inside(plan.directory)
    for name, content in inputs:
        inside.write(f"{INPUTS}/{name}", content)
    parquet = parquet_bytes(tasks.table())
    manifest.tasks_file = hashlib.sha256(parquet).hexdigest()
    inside.write(TASKS, parquet)
    manifest.save(plan.directory)


async def _drive(
    plan: Plan, engine: Engine, columns: ColumnRun | None, writer: SegmentWriter, manifest: Manifest
) -> None:
    """Run all episodes, with the log near behind, until they have ended or the run is asked to stop."""
    with _interruptible(engine, plan.progress) if plan.stop is None else _stoppable(engine, plan.stop):
        work = asyncio.create_task(engine.run() if columns is None else run_columns(columns, engine, writer))
        flusher = asyncio.create_task(_flush_now_and_then(plan, engine, writer, manifest))
        flusher.add_done_callback(lambda done: done.cancelled() or done.exception() is None or work.cancel())
        try:
            await work
        except asyncio.CancelledError:
            if not engine.stopping:
                raise
        finally:
            flusher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await flusher


def _plain(error: BaseException) -> BaseException:
    """Return the one error that a task group wrapped; the first one that is ours when there are several."""
    while isinstance(error, BaseExceptionGroup):
        error = next((e for e in error.exceptions if isinstance(e, AgentsocError)), error.exceptions[0])
    return error


async def _epochs(
    plan: Plan, society: BuiltSociety, journal: Journal | None, boards: dict[int, Board], pools: list[Pool]
) -> list[ScenarioEpoch]:
    """Start the hosts of the run's own epoch and, for a fork, those that replay what it shares with its origin."""
    scenario = plan.scenario
    epochs = []
    for before in plan.fork.before if plan.fork is not None else ():
        old = build_society(Scenario.model_validate(before.scenario), stored=True)
        pool: Pool = LocalPool(old, boards, live=False)
        pools.append(pool)
        await pool.start()
        epochs.append(ScenarioEpoch(before.start, old, pool, Caller(pool, None, plan.known, old.scenario.calls, 64)))
    pool = make_pool(society, boards, plan)
    pools.append(pool)
    await pool.start()
    limit, limiters = scenario.engine.concurrency, None
    if plan.shared is not None:
        groups = zip(scenario.agents, pool.parallel(), strict=True)
        limiters = [plan.shared.limiter(group.model, limit, parallel) for group, parallel in groups]
    caller = Caller(pool, journal if plan.live else None, plan.known, scenario.calls, limit, limiters)
    start = (0, 0) if plan.fork is None else (plan.fork.task, plan.fork.round)
    return [*epochs, ScenarioEpoch(start, society, pool, caller)]


def make_pool(society: BuiltSociety, boards: dict[int, Board], plan: Plan) -> Pool:
    """Return the hosts that the scenario's engine block asks for."""
    scenario = society.scenario
    engine = scenario.engine
    if engine.address is None:
        if engine.hosts > 1:
            raise InputError(
                f"{engine.hosts} hosts need Ray",
                "engine.hosts",
                "add --address local to start one here, or --address HOST:PORT to join a cluster",
            )
        local = LocalPool(society, boards, live=plan.live, shared=plan.shared)
        local.host.notices = plan.progress.notices
        return local
    from agentsoc.engine.ray_host import RayPool

    return RayPool(
        society,
        boards,
        code_paths=plan.code_paths,
        inputs=input_files(scenario),
        notices=plan.progress.notices,
    )


def _manifest(plan: Plan, tasks_hash: str) -> Manifest:
    scenario = plan.scenario
    reasons = dict.fromkeys(reason for group in scenario.agents if (reason := group.model.not_reproducible()))
    dumped = scenario.model_dump(mode="json")
    return Manifest(
        name=scenario.name,
        seed=scenario.seed,
        scenario=dumped,
        scenario_hash=hash_json(scenario.result_part()),
        tasks_hash=tasks_hash,
        code=dict(plan.code),
        rules=dict(RULES),
        versions=versions(),
        machine=machine(),
        not_reproducible=list(reasons),
        totals=Totals(**ceilings(dumped)),
        fork=plan.fork,
    )


def _save(directory: Path, manifest: Manifest, segments: Sequence[Segment], status: Status, sums: Totals) -> None:
    manifest.status = status
    manifest.totals = sums
    manifest.segments = [SegmentEntry(**msgspec.structs.asdict(segment)) for segment in segments]
    manifest.save(directory)


def _write_episodes(directory: Path, manifest: Manifest, rows: pa.Table) -> None:
    parquet = parquet_bytes(rows)
    manifest.episodes_file = hashlib.sha256(parquet).hexdigest()
    Inside(directory).write(EPISODES, parquet)


def _pin_journal(manifest: Manifest, journal: Journal) -> None:
    """Close the journal and write down what it holds: nobody calls a model any more."""
    manifest.journal_file = journal.seal()
    (manifest.journal_rows, manifest.journal_digest), _ = read_digest(journal.path)


def _end(
    plan: Plan, journal: Journal | None, engine: Engine, writer: SegmentWriter, manifest: Manifest, status: Status
) -> None:
    """Write down all that was committed of a run that ends before its episodes have."""
    assert plan.directory is not None
    if journal is not None:  # first: what it cannot take of a run that is stopped makes this a failed one
        with contextlib.suppress(*_JOURNAL_FAULTS) if status == "failed" else contextlib.nullcontext():
            _pin_journal(manifest, journal)
    engine.close()
    writer.finish()
    _write_episodes(plan.directory, manifest, engine.episodes.table())
    sums = fold(writer.totals, engine.episodes.totals, ceilings(manifest.scenario))
    _save(plan.directory, manifest, writer.segments, status, sums)


def _fail(
    plan: Plan, journal: Journal | None, engine: Engine | None, writer: SegmentWriter, manifest: Manifest
) -> None:
    """Write down that the run failed: with all that was committed, or where the disk refuses with what is on it."""
    assert plan.directory is not None
    try:
        if engine is not None:
            _end(plan, journal, engine, writer, manifest, "failed")
            return
    except (OSError, pa.ArrowException, AgentsocError):
        manifest.episodes_file = None
    with contextlib.suppress(OSError, AgentsocError):
        segments, so_far, rows = writer.durable()
        _save(plan.directory, manifest, segments, "failed", fold(so_far, rows, ceilings(manifest.scenario)))


async def _flush_now_and_then(plan: Plan, engine: Engine, writer: SegmentWriter, manifest: Manifest) -> None:
    """Let log and manifest follow the run, a few hundred times at most in the life of a long one."""
    began = time.monotonic()
    while plan.directory is not None:
        await asyncio.sleep(max(FLUSH_S, (time.monotonic() - began) / FLUSHES))
        writer.flush()
        segments, so_far, rows = writer.durable()
        sums = fold(so_far, rows, ceilings(manifest.scenario))
        _save(plan.directory, manifest, segments, "running", sums)


@contextlib.contextmanager
def _interruptible(engine: Engine, progress: Progress) -> Iterator[None]:
    """Let the first SIGINT or SIGTERM end the run in order; a second one is not caught."""
    loop = asyncio.get_running_loop()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    ending: asyncio.Task[None] | None = None

    def stop() -> None:
        nonlocal ending
        progress.notices.append("stopping: calls in flight may finish; interrupt again to end at once")
        ending = loop.create_task(engine.wind_down(GRACE_S))
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)
    except (ValueError, RuntimeError, NotImplementedError):  # not the main thread: the caller has its own way
        yield
        return
    try:
        yield
    finally:
        if ending is not None:
            ending.cancel()
        for number, handler in handlers.items():
            loop.remove_signal_handler(number)
            if handler is not None:
                signal.signal(number, handler)


@contextlib.contextmanager
def _stoppable(engine: Engine, stop: asyncio.Event) -> Iterator[None]:
    """Let `stop` end the run in order; signals are its owner's business."""

    async def wind_down() -> None:
        await stop.wait()
        await engine.wind_down(GRACE_S)

    waiting = asyncio.get_running_loop().create_task(wind_down())
    try:
        yield
    finally:
        waiting.cancel()


def load_known(directory: Path) -> dict[Key, Attempt]:
    """Return all attempts of a run by key."""
    return load_journal(directory / JOURNAL)[0]


__all__ = ["Progress", "Run", "run", "run_async"]
