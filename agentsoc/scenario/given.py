"""A scenario as whoever calls from Python gives it: one that is loaded, or a file, with values set from outside."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from agentsoc.contracts.part import Part
from agentsoc.errors import InputError, Problem, ScenarioError
from agentsoc.scenario.draft import Draft, Overrides, Setting, as_arguments, read_argument
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


def with_overrides(
    scenario: Scenario, overrides: Overrides, where: str = "scenario", *, stored: bool = False
) -> Scenario:
    """Return a scenario that was checked already with values set from outside.

    What was never said of it is at its default, also where another kind of part has another default, as in a file.

    Args:
        scenario: what to start from.
        overrides: as `given_scenario` takes them.
        where: what the scenario comes from, for messages.
        stored: whether it comes from a run, where every default is written out: a part that gets another kind keeps
            only what differs from the defaults of the old one.

    Raises:
        InputError: `overrides` are neither values by path nor texts.
        ScenarioError: a path leads nowhere, a value does not fit, or one argument has several values.
    """
    arguments = as_arguments(overrides)
    if not arguments:
        return scenario
    data = said(scenario)
    if len(data["agents"]) == 1:  # as people write it, so that agents.count is a path
        data["agents"] = data["agents"][0]
    draft = Draft(data, Document(where, data, Position(1, 1), lines=False))
    for argument in arguments:
        settings = read_argument(argument)
        if len(settings) > 1:
            place = printable(f"--set {argument}", 80)
            raise ScenarioError([Problem(place, f"{len(settings)} values, and this is one run", "give one value")])
        [setting] = settings
        if stored and len(setting.words) > 1 and setting.words[-1] == "kind":
            draft = _of_another_kind(draft, scenario, setting)
        draft = draft.having(setting)
    draft = with_models(draft)
    try:
        return Scenario.model_validate(draft.data)
    except ValidationError as error:
        raise ScenarioError(problems_of(error, draft)) from None


def said(part: Part, *, differing: bool = False) -> dict[str, Any]:
    """Return what was said of a part when it was made, as a file would say it: no default, but always its kind.

    Args:
        part: a scenario, or any part of one.
        differing: to leave out as well what was said and is the default.
    """
    left_out = part.model_dump(mode="json", exclude_defaults=True) if differing else None
    found = {}
    for name, value in part.model_dump(mode="json").items():
        is_said = name in part.model_fields_set and (left_out is None or name in left_out)
        if is_said or name == "kind":
            found[name] = _said_of(getattr(part, name), value)
    return found


def _said_of(value: Any, dumped: Any) -> Any:
    """Return what was said of a value, from how it is dumped: of each part in it only that."""
    if isinstance(value, Part) and isinstance(dumped, dict):
        return said(value)
    if isinstance(value, tuple | list) and isinstance(dumped, list):
        return [_said_of(one, other) for one, other in zip(value, dumped, strict=True)]
    if isinstance(value, Mapping) and isinstance(dumped, dict):
        return {key: _said_of(value[key], other) if key in value else other for key, other in dumped.items()}
    return dumped


def _of_another_kind(draft: Draft, scenario: Scenario, setting: Setting) -> Draft:
    """Return the draft of a stored scenario with the part whose kind is set at what differs from its defaults."""
    part: Any = scenario
    for word in setting.words[:-1]:
        if isinstance(part, tuple | list) and word.isdecimal() and int(word) < len(part):
            part = part[int(word)]
        elif isinstance(part, tuple) and len(part) == 1:  # one group of agents stands for a list of one
            part = getattr(part[0], word, None)
        else:
            part = getattr(part, word, None)
    if not isinstance(part, Part) or dict(part).get("kind") == setting.value:
        return draft
    return draft.having(replace(setting, words=setting.words[:-1], value=said(part, differing=True), inside=()))


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
