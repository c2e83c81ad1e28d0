"""This module finds out whether a run can be started at all: it looks at engine, society, tasks and budget."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from agentsoc.contracts.model import Model
from agentsoc.engine.forecast import require_a_call
from agentsoc.errors import InputError, Problem, ScenarioError
from agentsoc.scenario.files import resolve
from agentsoc.scenario.model import Engine, Scenario
from agentsoc.society.build import BuiltSociety, build_society


def with_engine(scenario: Scenario, changes: Mapping[str, Any], *, named: str = "engine.") -> Scenario:
    """Return the scenario, carried out with other settings of its engine block; no result depends on them.

    Args:
        scenario: what is to be run.
        changes: settings of the engine block (hosts, address, concurrency) by name.
        named: what stands before the name of a setting where whoever calls can set it, for messages.

    Raises:
        ScenarioError: there is no such setting, or it is out of its range.
        InputError: several hosts without Ray.
    """
    try:
        engine = Engine.model_validate({**scenario.engine.model_dump(), **changes})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(map(str, first["loc"]))
        hint = "see --help" if named == "--" else "see engine in the scenario reference"
        raise ScenarioError([Problem(f"{named}{name} {changes.get(name)}", str(first["msg"]), hint)]) from None
    if engine.hosts > 1 and engine.address is None:
        raise InputError(
            f"{engine.hosts} hosts need Ray",
            f"{named}hosts",
            "add --address local to start it here, or --address HOST:PORT to join a cluster",
        )
    return scenario.model_copy(update={"engine": engine})


def ready_society(scenario: Scenario) -> BuiltSociety:
    """Return the society of a scenario, after checking that a run of it can be started.

    Raises:
        InputError: no such society can be built, the tasks cannot be made, or the budget pays for no call; names the
            key of the scenario.
    """
    require_own_cache(scenario)
    society = build_society(scenario)
    _require_tasks(scenario)
    _require_folders(scenario)
    require_a_call(society)
    return society


def require_own_cache(scenario: Scenario) -> None:
    """Check that whoever asks the models can use the cache of replies.

    Raises:
        InputError: hosts on Ray ask them, and the cache is a file of this process.
    """
    if scenario.calls.cache is not None and scenario.engine.address is not None:
        raise InputError(
            "hosts on Ray write and send their requests themselves, also on other machines, and the cache of replies "
            f"is a file of this one, {scenario.calls.cache}, that is looked at before a request is sent",
            "calls.cache",
            "run in this process, without --address (--concurrency says how many calls go on at once), or set "
            "calls.cache=null",
        )


def require_files(scenarios: Iterable[Scenario]) -> None:
    """Check that what models of agents and judges need is on this machine, such as files, each model once.

    Raises:
        InputError: one is missing or another one, as a run would find before its first call.
    """
    for model in _models(scenarios):
        model.require_files()


def require_senders(scenarios: Iterable[Scenario]) -> None:
    """Check the same of those models that send something somewhere: nobody need be asked about what cannot start.

    Raises:
        InputError: as `require_files`.
    """
    for model in _models(scenarios):
        if model.destinations():
            model.require_files()


def _models(scenarios: Iterable[Scenario]) -> Iterator[Model]:
    """Yield the models of agents and judges, each once."""
    seen: set[str] = set()
    for scenario in scenarios:
        judge = scenario.tasks.judged_by()
        for model in [group.model for group in scenario.agents] + ([] if judge is None else [judge.model]):
            if (settings := model.model_dump_json()) not in seen:
                seen.add(settings)
                yield model


def _require_folders(scenario: Scenario) -> None:
    """Check that the files that tools read are there and not too many."""
    try:
        for tool in (tool for group in scenario.agents for tool in group.tools):
            for name in tool.files():
                resolve(name)
    except InputError as error:
        problem = error.problem
        what = f"a tool cannot be used: {problem.where}: {problem.what}"
        raise InputError(what, "agents.tools", problem.hint) from error


def _require_tasks(scenario: Scenario) -> None:
    """Check that the first and the last task exist: a family may read them from a file."""
    family = scenario.tasks
    try:
        family.make(scenario.tasks_seed, 0)
        family.make(scenario.tasks_seed, family.count - 1)
    except InputError as error:
        problem = error.problem
        what = f"{problem.where}: {problem.what}" if problem.where else problem.what
        raise InputError(f"the tasks cannot be made: {what}", "tasks", problem.hint) from error
