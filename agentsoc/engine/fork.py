"""This module makes a fork: it resumes a run up to a round, then runs the changed scenario live, as a new run."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agentsoc.contracts.rules import recorded_rules
from agentsoc.contracts.tools import ToolSpec
from agentsoc.engine.consent import Consent, require_consent
from agentsoc.engine.directory import new_directory
from agentsoc.engine.execute import Plan, Result, execute
from agentsoc.engine.inputs import RunTasks
from agentsoc.engine.remake import counts_at
from agentsoc.engine.run import Progress, Run, refuse_secrets
from agentsoc.engine.stored_scenario import stored_scenario
from agentsoc.engine.toolsets import specs_of
from agentsoc.engine.waiting import wait_for
from agentsoc.errors import InputError
from agentsoc.log.journal import Attempt, Journal, Key
from agentsoc.log.manifest import Before, Fork
from agentsoc.log.names import JOURNAL
from agentsoc.log.read import RunLog
from agentsoc.scenario.files import base_dir_kept
from agentsoc.scenario.model import Scenario
from agentsoc.society.build import build_society


def fork(
    directory: Path | str,
    task: int,
    round_: int,
    scenario: Scenario,
    out: Path | str | None = None,
    *,
    code_paths: Sequence[Path] = (),
    progress: Progress | None = None,
    consent: Consent = False,
) -> Run:
    """Start a new run that shares everything before (task, round) with an old one and goes on live from there.

    Earlier tasks, and the rounds of `task` before `round_`, are computed with the old scenario from the old journal;
    from there on the changed scenario acts, later tasks included. The new run has its own journal and replays alone.

    Args:
        directory: the old run.
        task: index of the task in which it branches off.
        round_: the first round of that task that is new.
        scenario: the changed scenario; its tasks and agents are those of the old run.
        out: the new run directory, which must not exist or be empty; None for a new one.
        code_paths: the loose code files of the old run, and those that the changed scenario needs besides.
        progress: filled while the run goes on.
        consent: what may be called, as of `run`.

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
    code_paths: Sequence[Path] = (),
    progress: Progress | None = None,
    consent: Consent = False,
) -> Run:
    """Start a fork from inside an event loop; arguments and errors are those of `fork`.

    In the main thread it listens to SIGINT and SIGTERM while it goes on.
    """
    with base_dir_kept():
        log = RunLog(directory)
        old, code = stored_scenario(log, code_paths, more_code=True)
        if not 0 <= task < scenario.tasks.count or round_ < 0:
            raise InputError(
                f"there is no task {task}, round {round_}; the run has {scenario.tasks.count} tasks", "--at"
            )
        rules = recorded_rules(log.manifest.rules, str(directory))  # what both runs share was made by them
        society = build_society(scenario, rules=rules)
        if society.n != (n := build_society(old, stored=True).n):
            raise InputError(f"a fork keeps its agents: the run has {n}, the changed scenario {society.n}", "agents")
        if RunTasks(scenario).hash != log.manifest.tasks_hash or scenario.seed != old.seed:
            raise InputError(
                "a fork keeps the tasks and the seed of its run", "tasks", "start a new run to change them"
            )
        start = (task, round_)
        if old.protocol.elsewhere and (0, 1) < start < (2, 0):
            raise InputError(
                f"what comes before task {task}, round {round_} shows what is said after it: {old.protocol.kind} shows "
                "task 0 what is said in task 1",
                "--at",
                "fork at 0:0, 0:1, or in task 2 or a later one",
            )
        known: dict[Key, Attempt] = {attempt.key: attempt for attempt in log.journal() if counts_at(attempt) < start}
        earlier = log.manifest.fork
        before = [] if earlier is None else [b for b in earlier.before if b.start < start]
        own_start = (0, 0) if earlier is None else (earlier.task, earlier.round)
        if own_start < start:
            before.append(Before(start=own_start, scenario=log.manifest.scenario, toolsets=log.manifest.toolsets))
        refuse_secrets(scenario)
        require_consent([scenario], consent)
        target = new_directory(scenario, out)
        plan = Plan(
            scenario,
            target,
            known=known,
            code=code,
            code_paths=code_paths,
            progress=progress or Progress(),
            rules=rules,
            toolsets=_same_tools(old, scenario, log.manifest.toolsets),
            fork=Fork(run=log.directory.name, digest=log.manifest.digest, task=task, round=round_, before=before),
        )
        await _with_journal(plan, list(known.values()))
        return Run(target)


def _same_tools(old: Scenario, new: Scenario, recorded: list[list[dict[str, Any]]]) -> list[list[ToolSpec]]:
    """Return the tools that the fork has to find as they were; nothing where its scenario names others."""
    same = [group.tools for group in old.agents] == [group.tools for group in new.agents]
    return specs_of(recorded) if same else []


async def _with_journal(plan: Plan, attempts: Sequence[Attempt]) -> Result:
    """Carry the shared attempts over into the new run's journal, then run it: the new run replays on its own."""
    assert plan.directory is not None
    journal = Journal(plan.directory / JOURNAL)
    try:
        await asyncio.gather(*(journal.write(attempt) for attempt in attempts))
    finally:
        journal.close()
    return await execute(plan)
