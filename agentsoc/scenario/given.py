"""A scenario as whoever calls from Python gives it: one that is loaded, or a file, with values set from outside."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from agentsoc.errors import InputError, Problem, ScenarioError
from agentsoc.scenario.draft import Draft, Overrides, as_arguments, read_argument
from agentsoc.scenario.explain import problems_of
from agentsoc.scenario.files import base_dir_kept
from agentsoc.scenario.load import load_one, place_of
from agentsoc.scenario.model import Scenario
from agentsoc.scenario.models import with_models
from agentsoc.scenario.source import printable
from agentsoc.scenario.strict import Document, Position


@contextlib.contextmanager
def given_scenario(
    scenario: Scenario | str | Path, overrides: Overrides = (), allow_code: Sequence[str | Path] = ()
) -> Iterator[Scenario]:
    """Yield the one scenario that is meant, with `overrides` applied; files that it names are looked up beside its own.

    Args:
        scenario: a scenario, or the path of its file.
        overrides: values by dotted path, or ``path=value`` each, as ``--set`` takes them.
        allow_code: Python files whose parts the file may name.

    Raises:
        ScenarioError: the file or a value that was set is no part of a valid scenario.
        InputError: the file stands for several runs.
    """
    if isinstance(scenario, Scenario):
        yield with_overrides(scenario, overrides)
        return
    with base_dir_kept():
        yield load_one(scenario, overrides, allow_code)


def with_overrides(scenario: Scenario, overrides: Overrides, where: str = "scenario") -> Scenario:
    """Return a scenario that was checked already with values set from outside.

    Args:
        scenario: what to start from.
        overrides: as `given_scenario` takes them.
        where: what the scenario comes from, for messages.

    Raises:
        ScenarioError: a path leads nowhere, a value does not fit, or one argument has several values.
    """
    if not overrides:
        return scenario
    data = scenario.model_dump(mode="json")
    if len(data["agents"]) == 1:  # as people write it, so that agents.count is a path
        data["agents"] = data["agents"][0]
    draft = Draft(data, Document(where, data, Position(1, 1), lines=False))
    for argument in as_arguments(overrides):
        settings = read_argument(argument)
        if len(settings) > 1:
            place = printable(f"--set {argument}", 80)
            raise ScenarioError([Problem(place, f"{len(settings)} values, and this is one run", "give one value")])
        draft = draft.having(settings[0])
    draft = with_models(draft)
    try:
        return Scenario.model_validate(draft.data)
    except ValidationError as error:
        raise ScenarioError(problems_of(error, draft)) from None


@contextlib.contextmanager
def placed(file: Scenario | str | Path, run: str = "") -> Iterator[None]:
    """Let an `InputError` that names a key of the scenario name its place in `file` instead.

    Args:
        file: the scenario file; nothing is changed for a scenario that has none.
        run: which run of a sweep it is, in words.
    """
    if isinstance(file, Scenario):
        yield
        return
    try:
        yield
    except InputError as error:
        problem = error.problem
        where = place_of(file, problem.where) if problem.where else printable(str(file), 200)
        if problem.where and not re.search(r":\d+:\d+$", where):  # a file, or a key that was set from outside
            where += f": {problem.where}"
        what = f"{problem.what} (run {run})" if run else problem.what
        raise InputError(what, where, problem.hint) from error
