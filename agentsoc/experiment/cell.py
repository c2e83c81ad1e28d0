"""This module carries out one cell of a comparison: it starts, resumes or keeps the run, as its directory says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from agentsoc.contracts.model import Model
from agentsoc.contracts.part import LOOSE_MODULE, Slot
from agentsoc.contracts.protocol import Protocol
from agentsoc.contracts.task import TaskFamily
from agentsoc.contracts.topology import Topology
from agentsoc.engine.consent import Consent
from agentsoc.engine.directory import take_over
from agentsoc.engine.resume import resume_async
from agentsoc.engine.run import Progress, Run, run_async
from agentsoc.engine.shared import Shared
from agentsoc.errors import InputError, RunLockedError
from agentsoc.log.inside import Inside
from agentsoc.log.manifest import NAME, load_manifest
from agentsoc.log.record import hash_json
from agentsoc.scenario.code import CodeFiles
from agentsoc.scenario.model import Scenario

LOCK_WAIT_S: Final = 10.0
"""How long a cell waits for a process that was killed to let go of it (seconds)."""


@dataclass(frozen=True)
class CellOptions:
    """The options hold what all cells of one command have in common."""

    concurrency: int | None = None
    """Calls in flight for each model; None for what the comparison says."""
    code: Mapping[str, str] = field(default_factory=dict)
    """Hashes of the loose code files that the runs may use."""
    code_paths: Sequence[Path] = ()
    shared: Shared | None = None
    stop: asyncio.Event | None = None
    consent: Consent = False
    """What was agreed to for all of them; what a run's own directory says besides is not."""


async def carry_out(directory: Path, scenario: Scenario, means: CellOptions, progress: Progress | None = None) -> Run:
    """Return the finished run of a cell: the one that is there, the rest of one that was begun, or a new one.

    Raises:
        InputError: another run is there, or the scenario cannot be run.
        RunFailedError: it stopped because of a fault.
        InterruptedRunError: it was asked to stop.
        LogDamagedError: what is there is not what was written.
    """
    give_up = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            return await _carry_out(directory, scenario, means, progress)
        except RunLockedError:  # a worker of a process that was killed ends a moment later
            if time.monotonic() > give_up:
                raise
            await asyncio.sleep(0.1)


async def _carry_out(directory: Path, scenario: Scenario, means: CellOptions, progress: Progress | None) -> Run:
    Inside(directory.parents[1]).has_directory(f"{directory.parent.name}/{directory.name}")  # a link is never followed
    if _has_manifest(directory):
        require_same(directory, scenario)
        return await resume_async(
            directory,
            engine={"address": scenario.engine.address}
            | ({} if means.concurrency is None else {"concurrency": means.concurrency}),
            allow_code=means.code_paths,
            progress=progress,
            shared=means.shared,
            stop=means.stop,
            consent=means.consent,
        )
    require_unused(directory)
    if means.concurrency is not None:
        engine = scenario.engine.model_copy(update={"concurrency": means.concurrency})
        scenario = scenario.model_copy(update={"engine": engine})
    return await run_async(
        scenario,
        directory,
        code_paths=CodeFiles(means.code_paths, means.code),
        progress=progress,
        shared=means.shared,
        stop=means.stop,
        consent=means.consent,
    )


def _has_manifest(directory: Path) -> bool:
    """Return whether there is anything of that name; a link that leads nowhere counts as something."""
    return directory.is_dir() and NAME in Inside(directory).names()


def require_unused(directory: Path) -> None:
    """Take over what a start left that was killed before it had asked anything.

    Raises:
        InputError: there is something else: replies that were paid for, or files of somebody's.
        RunLockedError: that start is still under way.
    """
    if directory.exists() and (not directory.is_dir() or not take_over(directory)):
        raise InputError(
            "there is no manifest here, but more than a start leaves that was killed before it had asked anything",
            str(directory),
            "look at what is in it, and move it away to have this run made again",
        )


def require_same(directory: Path, scenario: Scenario) -> None:
    """Raise `InputError` when the run in `directory` was not made from `scenario`: its seed and budget included."""
    manifest = load_manifest(directory)
    wanted = scenario.name, scenario.seed, hash_json(scenario.result_part())
    if (manifest.name, manifest.seed, manifest.scenario_hash) != wanted:
        raise InputError(
            "the run that is here was made from another scenario",
            str(directory),
            "name another directory with --out, or remove this one to make it again",
        )


def is_pure(scenario: Scenario) -> bool:
    """Return whether a run asks no model: all its agents are functions of the seed, and no judge grades."""
    computed = all(_computed(group.model, scenario.seed) for group in scenario.agents)
    return computed and scenario.tasks.judged_by() is None


def _computed(model: Model, seed: int) -> bool:
    from agentsoc.society.coded import CodedAgent

    return not isinstance(model, CodedAgent) and not model.open(seed=seed).journaled


def is_portable(scenario: Scenario) -> bool:
    """Return whether another process knows all parts of a scenario: installed ones, and those of loose code files."""
    models = [group.model for group in scenario.agents]
    parts: list[TaskFamily | Topology | Protocol | Model] = [
        scenario.tasks,
        scenario.topology,
        scenario.protocol,
        *models,
    ]
    for part in parts:
        cls = type(part)
        if part.kind in Slot.loose(part.slot) and not cls.__module__.startswith(LOOSE_MODULE):
            return False
    return True
