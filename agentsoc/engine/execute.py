"""This module carries out a plan: it prepares, opens, drives and finishes a run under the lock of its directory."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from agentsoc.contracts.board import Board
from agentsoc.contracts.environments import ForeignEnvironment, environment_of
from agentsoc.contracts.model import AUTHORS
from agentsoc.contracts.rules import NEWEST, Rules
from agentsoc.contracts.tools import ToolSpec
from agentsoc.engine.calls import Caller
from agentsoc.engine.columns.compute import ColumnRun
from agentsoc.engine.columns.episodes import column_run, run_columns
from agentsoc.engine.directory import clear_temporaries
from agentsoc.engine.foreign_desk import ForeignDesk
from agentsoc.engine.inputs import RunTasks, input_files
from agentsoc.engine.interrupt import ended_by_event, ended_by_signals
from agentsoc.engine.judging import EpisodeJudge
from agentsoc.engine.loop import RunEngine
from agentsoc.engine.pool import LocalPool, Pool
from agentsoc.engine.progress import Progress
from agentsoc.engine.ready import require_own_cache
from agentsoc.engine.run_files import RunFiles, new_manifest
from agentsoc.engine.run_state import ScenarioEpoch
from agentsoc.engine.shared import Shared
from agentsoc.engine.tool_desk import ToolDesk
from agentsoc.engine.toolsets import plain, specs_of, with_toolsets
from agentsoc.engine.waiting import STOP
from agentsoc.errors import AgentsocError, EnvironmentFailedError, InputError, InterruptedRunError, RunFailedError
from agentsoc.log.files import RunLock
from agentsoc.log.inside import by_umask
from agentsoc.log.journal import Attempt, Journal, Key, load_journal
from agentsoc.log.manifest import (
    NAME,
    Fork,
    PromptBounds,
    Totals,
)
from agentsoc.log.names import EVENTS, JOURNAL
from agentsoc.log.segments import SegmentWriter
from agentsoc.scenario.model import Scenario
from agentsoc.society.build import BuiltSociety, build_society

FLUSH_S = 5.0
"""How often events and manifest reach the disk while a run goes on (seconds)."""
FLUSHES = 200
"""A long run flushes less often, by this part of the time that it has gone on: each flush makes a file."""


@dataclass
class Plan:
    """A plan says what to run, on what, and what is known of it already."""

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
    rules: Rules = NEWEST
    """By which the run is made; those of a stored run stand in its manifest."""
    progress: Progress = field(default_factory=Progress)
    society: BuiltSociety | None = None
    """The scenario's society, where it is built already."""
    tasks: RunTasks | None = None
    """Its tasks, where they are made already."""
    shared: Shared | None = None
    """Models that this run uses together with others of the process."""
    stop: asyncio.Event | None = None
    """Set by whoever wants the run to end in order; None for a run that listens to signals itself."""
    models: Sequence[Mapping[str, Any]] = ()
    """What was recorded of the models when the run was under way before."""
    toolsets: Sequence[Sequence[ToolSpec]] = ()
    """What was recorded of the tools of each group when the run began."""


@dataclass(frozen=True)
class Result:
    """A result holds what the execution of a plan gave."""

    digest: str
    totals: Totals
    n_events: int
    calls_live: int
    segments: list[Any]
    episodes: pa.Table
    """One row per episode; see `agentsoc.log.episodes`."""
    read: Set[Key] = frozenset()
    """Rows of tools and environments that a replay asked the journal for."""


async def execute(plan: Plan) -> Result:
    """Carry out a plan under the lock of its directory."""
    if plan.directory is None:
        return await _Execution(plan, None).result()
    try:
        with (
            by_umask(plan.scenario.engine.umask),
            contextlib.nullcontext() if plan.locked else RunLock(plan.directory),
        ):
            clear_temporaries(plan.directory)
            journal = Journal(plan.directory / JOURNAL)
            try:
                return await _Execution(plan, journal).result()
            finally:
                journal.close()
    except (OSError, sqlite3.Error, RunFailedError) as error:
        raise _stopped(error, plan.directory) from error


def _stopped(error: OSError | sqlite3.Error | RunFailedError, directory: Path) -> RunFailedError:
    """Return what to tell of a run that a fault stopped: what happened, and whether there is anything to resume."""
    what = error.what if isinstance(error, RunFailedError) else f"the disk refused: {error}"
    if isinstance(error, EnvironmentFailedError):
        return EnvironmentFailedError(what, str(directory), f"what was done is safe; then: agentsoc resume {directory}")
    if (directory / NAME).exists():
        return RunFailedError(what, str(directory))
    return RunFailedError(what, str(directory), "no model has been asked yet: start again, here if you like")


class _Execution:
    """An execution is one pass over a plan; `result` shows its steps."""

    def __init__(self, plan: Plan, journal: Journal | None) -> None:
        """Prepare: build what is missing and write down what the run is made from."""
        self.plan = plan
        self.journal = journal
        scenario = plan.scenario
        if plan.society is None:
            self.society = build_society(scenario, stored=True, rules=plan.rules)
        else:
            self.society = plan.society
        self.boards: dict[int, Board] = {}
        self.pools: list[Pool] = []
        self.desks: list[ToolDesk | ForeignDesk] = []
        self.read: set[Key] | None = None if plan.live else set()
        """Rows of tools and environments that a replay asked for."""
        self.engine: RunEngine | None = None
        self.columns: ColumnRun | None = None
        # given away when the run begins: they may be many
        self._tasks, plan.tasks = plan.tasks or RunTasks(scenario), None
        acts = environment_of(scenario.tasks) is not None
        self.writer = SegmentWriter((plan.directory or Path()) / EVENTS, keep=plan.directory is not None, rewards=acts)
        manifest = new_manifest(scenario, self._tasks.hash, plan.code, plan.fork, self.society.rules)
        self.files = RunFiles(plan.directory, manifest, journal, self.writer)
        self.files.begin(scenario, self._tasks)
        plan.progress.n_tasks = scenario.tasks.count
        plan.progress.hosts = scenario.engine.hosts

    async def result(self) -> Result:
        """Run all episodes and return what they gave; a run that cannot be finished is written down as far as it is."""
        try:
            engine = await self._open()
            await self._drive(engine)
            if not engine.stopping:
                engine.epochs[-1].caller.require_answers()
            if engine.stopping and engine.pace.episodes < self.plan.scenario.tasks.count:  # not when the last has ended
                if self.plan.directory is not None:
                    self.files.end(engine, "interrupted")
                raise InterruptedRunError(str(self.plan.directory))
        except BaseException as error:
            error = _plain(error)
            self._note_models()
            if not isinstance(error, InterruptedRunError):
                self.files.fail(self.engine, error)
            self.writer.abandon()
            raise error from None
        finally:
            for pool in self.pools:
                await pool.close()
            for desk in self.desks:
                await desk.close()
        return self._finish(engine)

    async def _open(self) -> RunEngine:
        """Start the hosts and make the engine that drives them."""
        plan = self.plan
        one_epoch = plan.fork is None or not plan.fork.before
        judge = plan.scenario.tasks.judged_by()
        if plan.scenario.engine.vectorise and one_epoch and judge is None:
            self.columns = column_run(self.society, self._tasks)
        del self._tasks
        epochs = await self._start_hosts()
        self.files.manifest.models = epochs[-1].pool.identities()
        engine = self.engine = RunEngine(epochs, self.writer, self.boards)
        if (last := epochs[-1].judge) is not None:
            [self.files.manifest.judge] = last.desk.identities()
        engine.steps = self._foreign()
        plan.progress.pace, plan.progress.flight = engine.pace, epochs[-1].caller.flight
        plan.progress.ledgers = engine.ledgers
        return engine

    async def _start_hosts(self) -> list[ScenarioEpoch]:
        """Start the hosts of the run's own epoch and, for a fork, those that replay what it shares with its origin."""
        plan, pools = self.plan, self.pools
        scenario = plan.scenario
        epochs = []
        for before in plan.fork.before if plan.fork is not None else ():
            old = build_society(Scenario.model_validate(before.scenario), stored=True, rules=plan.rules)
            old = with_toolsets(old, specs_of(before.toolsets))
            pool: Pool = LocalPool(old, self.boards, live=False)
            pools.append(pool)
            await pool.start()
            graded_by = EpisodeJudge.of(old.scenario, None, plan.known, rules=plan.rules)
            if graded_by is not None:
                pools.append(graded_by.desk)
            caller = Caller(pool, None, plan.known, old.scenario.calls, 64)
            desk = ToolDesk(old, None, plan.known, live=False, read=self.read) if any(old.toolsets) else None
            epochs.append(ScenarioEpoch(before.start, old, pool, caller, graded_by, desk))
        journal = self.journal if plan.live else None
        desk = await self._open_tools(journal)
        pool = make_pool(self.society, self.boards, plan)
        pools.append(pool)
        await pool.start()
        gates = (plan.shared or Shared()).gates(scenario, pool.parallel()) if plan.live else None
        caller = Caller(pool, journal, plan.known, scenario.calls, scenario.engine.concurrency, gates)
        start = (0, 0) if plan.fork is None else (plan.fork.task, plan.fork.round)
        judge = EpisodeJudge.of(scenario, journal, plan.known, plan.shared, plan.rules)
        if judge is not None:
            pools.insert(0, judge.desk)
            await judge.desk.start()
        return [*epochs, ScenarioEpoch(start, self.society, pool, caller, judge, desk)]

    def _foreign(self) -> ForeignDesk | None:
        """Return what leads the episodes of an environment that has a program of its own; None for any other."""
        environment = environment_of(self.plan.scenario.tasks)
        if not isinstance(environment, ForeignEnvironment):
            return None
        live = self.plan.live
        desk = ForeignDesk(environment, self.journal if live else None, self.plan.known, live=live, read=self.read)
        self.desks.append(desk)
        return desk

    async def _open_tools(self, journal: Journal | None) -> ToolDesk | None:
        """Open the tools of the society, which are then known to it and written into the manifest."""
        plan = self.plan
        if not any(group.tools for group in self.society.groups):
            return None
        desk = ToolDesk(self.society, journal, plan.known, live=plan.live, read=self.read)
        self.desks.append(desk)
        await desk.start(plan.toolsets)
        self.society = with_toolsets(self.society, desk.toolsets)
        self.files.manifest.toolsets = [plain(specs) for specs in desk.toolsets]
        return desk

    async def _drive(self, engine: RunEngine) -> None:
        """Run all episodes, with the log near behind, until they have ended or the run is asked to stop."""
        plan = self.plan
        notices, stop = plan.progress.notices, plan.stop or STOP.get()
        with ended_by_signals(engine, notices) if stop is None else ended_by_event(engine, stop):
            episodes = engine.run() if self.columns is None else run_columns(self.columns, engine, self.writer)
            work = asyncio.create_task(episodes)
            flusher = asyncio.create_task(self._flush_now_and_then())
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

    async def _flush_now_and_then(self) -> None:
        """Let log and manifest follow the run, a few hundred times at most in the life of a long one."""
        began = time.monotonic()
        while self.plan.directory is not None:
            await asyncio.sleep(max(FLUSH_S, (time.monotonic() - began) / FLUSHES))
            self.files.save_so_far()

    def _note_models(self) -> None:
        """Record what was learned of the models, and tell when other versions answered than when the run began."""
        if self.engine is None or not self.plan.live:
            return
        found = [dict(model) for model in self.pools[-1].identities()]
        for number, (before, now) in enumerate(zip(self.plan.models, found, strict=False)):
            old, new = list(before.get(AUTHORS, ())), list(now.get(AUTHORS, ()))
            others = [author for author in new if author not in old]
            if old and others:
                what = f"answers came from {old[0]} when the run began and now come from {others[-1]}"
                self.plan.progress.notices.append(f"model of group {number}: {what}: another version answers")
            if old or new:
                now[AUTHORS] = [*old, *others]
        self.files.manifest.models = found

    def _finish(self, engine: RunEngine) -> Result:
        """Close the log, write down what the run amounts to, and return it."""
        self._note_models()
        digest = self.writer.finish()
        self.files.manifest.prompt_bounds = prompt_bounds(engine.epochs[-1])
        episodes = engine.episodes.table()
        totals = self.files.finish(digest, engine.episodes.totals, episodes)
        calls_live = sum(epoch.caller.flight.live for epoch in engine.epochs)
        calls_live += sum(epoch.judge.caller.flight.live for epoch in engine.epochs if epoch.judge is not None)
        read: Set[Key] = self.read or frozenset()
        return Result(digest, totals, self.writer.digest.rows, calls_live, self.writer.segments, episodes, read)


def prompt_bounds(epoch: ScenarioEpoch) -> list[PromptBounds]:
    """Return what was reserved for the prompts of each group, and what they had; nothing where no model was asked."""
    tallies = epoch.caller.prompts
    if not any(tally.calls for tally in tallies):
        return []
    groups = zip(epoch.society.scenario.agents, tallies, strict=True)
    return [PromptBounds(counted=group.model.counting(), **msgspec.structs.asdict(tally)) for group, tally in groups]


def _plain(error: BaseException) -> BaseException:
    """Return the one error that a task group wrapped; the first one that is ours when there are several."""
    while isinstance(error, BaseExceptionGroup):
        error = next((e for e in error.exceptions if isinstance(e, AgentsocError)), error.exceptions[0])
    return error


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
    require_own_cache(scenario)
    from agentsoc.engine.ray_host import RayPool

    return RayPool(
        society,
        boards,
        code_paths=plan.code_paths,
        inputs=input_files(scenario),
        notices=plan.progress.notices,
    )


def load_known(directory: Path) -> dict[Key, Attempt]:
    """Return all attempts of a run by key."""
    return load_journal(directory / JOURNAL)[0]
