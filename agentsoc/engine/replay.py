"""This module replays a run: it computes the run again from its journal alone and compares the result with the log."""

from __future__ import annotations

import itertools
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agentsoc.contracts.rules import recorded_rules
from agentsoc.engine.execute import Plan, Result, execute
from agentsoc.engine.inputs import RunTasks
from agentsoc.engine.loop import fewer_collections
from agentsoc.engine.stored_scenario import stored_scenario
from agentsoc.engine.toolsets import specs_of
from agentsoc.engine.unread import require_all_read
from agentsoc.engine.waiting import wait_for
from agentsoc.errors import InputError, InterruptedRunError, ReplayMismatchError, RunFailedError
from agentsoc.events import Event
from agentsoc.log.episodes import COLUMNS as COLUMNS_OF_EPISODES
from agentsoc.log.episodes import MEASURES
from agentsoc.log.manifest import Totals
from agentsoc.log.read import RunLog
from agentsoc.log.schema import COLUMNS
from agentsoc.scenario.files import base_dir_kept
from agentsoc.scenario.model import Engine as EngineSettings


@dataclass(frozen=True)
class Replay:
    """What a replay compared. There is one only where the stored log and the computed one are the same."""

    digest: str
    """Digest of the log, stored and computed."""
    n_events: int
    """Events that were compared."""
    model_calls: int = 0
    """Calls of a model: none, or the replay would have failed."""


class InterruptedReplayError(InterruptedRunError):
    """The replay was asked to stop; it has changed nothing."""

    def __str__(self) -> str:
        return f"interrupted; a replay changes nothing\n    start again with: agentsoc replay {self.run_dir}"


def replay(directory: Path | str, *, allow_code: Sequence[Path] = ()) -> Replay:
    """Compute a run again from its journal alone and compare it with the stored log.

    No model is called and no network is used. Returns when both are the same.

    Args:
        directory: the run.
        allow_code: loose code files of the run, as they were.

    Raises:
        ReplayMismatchError: they differ; names the first event that does.
        LogDamagedError: the stored log is not what was written.
        InterruptedReplayError: it was asked to stop.
        KeyboardInterrupt: the same, where an event loop was running.
    """
    return wait_for(replay_async(directory, allow_code=allow_code))


async def replay_async(directory: Path | str, *, allow_code: Sequence[Path] = ()) -> Replay:
    """Replay a run from inside an event loop; arguments and errors are those of `replay`.

    It computes in long stretches, in which the loop does nothing else; ``asyncio.to_thread(replay, directory)`` keeps
    the loop free.
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
    scenario, code = stored_scenario(log, allow_code, calls_tools=False)
    scenario = scenario.model_copy(update={"engine": EngineSettings(concurrency=64)})
    tasks = RunTasks(scenario)
    if tasks.hash != log.manifest.tasks_hash:
        raise ReplayMismatchError(
            "the task family gives other questions than it did", "the tasks", log.manifest.tasks_hash[:12], "other"
        )
    _same_tasks(log, tasks)
    fork = log.manifest.fork
    rules = recorded_rules(log.manifest.rules, str(directory))
    plan = Plan(
        scenario, None, known, live=False, code=code, code_paths=allow_code, fork=fork, rules=rules, tasks=tasks,
        toolsets=specs_of(log.manifest.toolsets),
    )  # fmt: skip
    del tasks
    try:
        result = await execute(plan)
    except RunFailedError as failed:
        raise ReplayMismatchError("it cannot be computed again", str(directory), "it ended", str(failed)) from None
    if result.digest != log.manifest.digest:
        await _name_divergence(log, plan)
    require_all_read(known, result.read)
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
            if found != again and repr(found) != repr(again):  # nan, which files once could say, is not itself
                where = f"task {task}, column {name}"
                raise ReplayMismatchError("the table of tasks differs", where, repr(found)[:300], repr(again)[:300])


def _same_totals(log: RunLog, result: Result) -> None:
    """Compare what the run says that it amounts to, in all and task by task, with what was computed again.

    Raises:
        ReplayMismatchError: names the first total, or the first row of episodes, that differs.
    """
    manifest = log.manifest
    for name in Totals.model_fields:
        if name == "failures" and name not in manifest.totals.model_fields_set:
            continue
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
        if rows[name].equals(result.episodes[name]):
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
                first = min([event for event in (stored, computed) if event is not None], key=_place)
                raise ReplayMismatchError(
                    "this event differs",
                    f"task {first.task}, round {first.round}, agent {first.agent}, k {first.k}",
                    event_text(stored),
                    event_text(computed),
                )
    raise ReplayMismatchError("the digests differ although all events agree", "the end", str(log.manifest.digest), "")


def _place(event: Event) -> tuple[int, int, int, int]:
    return event.task, event.round, event.agent, event.k


def event_text(event: Event | None) -> str:
    """Return what an event says, for a message."""
    if event is None:
        return "(no such event)"
    shown = {name: getattr(event, name) for name in COLUMNS[4:]}
    return ", ".join(f"{name}={value!r}" for name, value in shown.items() if value not in (None, (), 0))[:300]
