"""This module turns a file into checked scenarios, or raises one `ScenarioError` with place and cure of each fault.

Nothing that a scenario holds is executed, and nothing but the file itself (and the files that its parts name, beside
it) is read. Neither Ray nor any model library is imported here, and of the parts only those that the scenario names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from agentsoc.contracts.part import MAX_PROBLEMS
from agentsoc.errors import InputError, Problem, ScenarioError
from agentsoc.scenario.budget_total import BudgetTotal, under_total
from agentsoc.scenario.code import load_code
from agentsoc.scenario.draft import Draft, Overrides, Setting, as_arguments, exists, read_argument
from agentsoc.scenario.environment import with_addresses
from agentsoc.scenario.explain import problems_of, show
from agentsoc.scenario.files import BASE_DIR
from agentsoc.scenario.model import Scenario
from agentsoc.scenario.models import with_models
from agentsoc.scenario.source import LIMIT_BYTES, decode, printable, read_bytes
from agentsoc.scenario.strict import Document, Position, parse
from agentsoc.scenario.sweep import Sweep, read_sweep


@dataclass(frozen=True)
class Variant:
    """One run of a sweep, and what distinguishes it from the others: per axis the label of its value."""

    scenario: Scenario
    labels: dict[str, str] = field(default_factory=dict)
    preset: str | None = None
    """The preset that the scenario was expanded from."""


def load_scenario(
    path: str | Path,
    overrides: Overrides = (),
    *,
    seed: int | None = None,
    allow_code: Sequence[str | Path] = (),
) -> Scenario:
    """Return the scenario in a file.

    Args:
        path: the YAML file. Its directory becomes the one that files named in the scenario are looked up in.
        overrides: values by dotted path, or ``path=value`` each, as ``--set`` takes them; they win over the file.
        seed: takes the place of the scenario's seed.
        allow_code: Python files whose parts the scenario may name (see `agentsoc.scenario.code`).

    Raises:
        ScenarioError: the file cannot be read, is not a valid scenario, or stands for several runs.
        InputError: a file of `allow_code` cannot be used.
    """
    return _one(_read(Path(path), overrides, None, seed, allow_code))


def load_one(path: str | Path, overrides: Overrides = (), allow_code: Sequence[str | Path] = ()) -> Scenario:
    """Return the scenario in a file, as `load_scenario` does, for callers from Python.

    Raises:
        ScenarioError: the file cannot be read or is not a valid scenario.
        InputError: it stands for several runs; names `load_scenarios`.
    """
    draft, sweep = _read(Path(path), overrides, None, None, allow_code)
    if sweep.runs > 1:
        raise InputError(
            f"this stands for {sweep.runs:,} runs, and one is wanted",
            draft.document.place(("sweep",), of_key=True),
            f"run each of those that load_scenarios(path) returns, or {_one_of(sweep)}",
        )
    return _checked(draft, sweep)[0].scenario


def load_scenarios(
    path: str | Path,
    overrides: Overrides = (),
    seeds: int | None = None,
    *,
    seed: int | None = None,
    allow_code: Sequence[str | Path] = (),
) -> list[Scenario]:
    """Return every run that a file stands for, in a fixed order; see `agentsoc.scenario.sweep`.

    Args:
        path: the YAML file.
        overrides: values by dotted path, or ``path=value`` each, where a comma list is an axis of the sweep.
        seeds: number of seeds, counted up from the scenario's; takes the place of ``sweep.seeds``.
        seed: takes the place of the scenario's seed.
        allow_code: as in `load_scenario`.

    Raises:
        ScenarioError: as `load_scenario`; or the sweep is not one, or has more than 10,000 runs.
        InputError: a file of `allow_code` cannot be used.
    """
    return [variant.scenario for variant in load_variants(path, overrides, seeds, seed=seed, allow_code=allow_code)]


def load_variants(
    path: str | Path,
    overrides: Overrides = (),
    seeds: int | None = None,
    *,
    seed: int | None = None,
    allow_code: Sequence[str | Path] = (),
) -> list[Variant]:
    """Return what `load_scenarios` returns, each with the labels of its place in the grid."""
    return _checked(*_read(Path(path), overrides, seeds, seed, allow_code))


def parse_scenario(text: str, where: str = "scenario", overrides: Overrides = ()) -> Scenario:
    """Return the scenario that a text holds.

    Args:
        text: YAML.
        where: what errors call it.
        overrides: values by dotted path, or ``path=value`` each, as ``--set`` takes them; they win over the text.

    Raises:
        ScenarioError: the text is not a valid scenario, or stands for several runs.
    """
    try:
        raw = text.encode("utf-8")
    except UnicodeEncodeError as error:
        problem = Problem(where, f"character {error.start + 1} is half of a surrogate pair", "replace the character")
        raise ScenarioError([problem]) from None
    if len(raw) > LIMIT_BYTES:
        raise ScenarioError([Problem(where, f"longer than {LIMIT_BYTES:,} bytes", "move large tables to a file")])
    return _one(_drafted(decode(raw, where), where, overrides, None, None))


def place_of(path: str | Path, key: str) -> str:
    """Return where a key stands in a scenario file, for faults that show only when the society is built.

    Args:
        path: the scenario file.
        key: as errors name it: ``topology.edges[3]``, or ``edges[3]`` within whatever block has such a key.

    Returns:
        ``file:line:column``, or just the file when it has no such key (it may have been set on the command line).
    """
    where = printable(str(path), 200)
    try:
        document = parse(decode(read_bytes(Path(path)), where), where)
    except ScenarioError:
        return where
    words = tuple(int(word) if word.isdecimal() else word for word in re.findall(r"[^.\[\]]+", key))
    blocks = document.data if isinstance(document.data, dict) else ()
    for start in ((), *((block,) for block in blocks)):
        if words and exists(document, (*start, *words)):
            return document.place((*start, *words))
    return where


def _read(
    path: Path,
    overrides: Overrides,
    seeds: int | None,
    seed: int | None,
    allow_code: Sequence[str | Path],
) -> tuple[Draft, Sweep]:
    for code in allow_code:
        load_code(code)
    where = printable(str(path), 200)
    text = decode(read_bytes(path), where)
    # It stays set: a part may read its files when the society is built.
    BASE_DIR.set(path.parent)
    return _drafted(text, where, overrides, seeds, seed)


def _drafted(text: str, where: str, overrides: Overrides, seeds: int | None, seed: int | None) -> tuple[Draft, Sweep]:
    """Return the unchecked data of a scenario and the grid that it stands for."""
    document = with_addresses(parse(text, where))
    if document.data is None:
        hint = "a scenario has the keys name, tasks, agents, topology and protocol"
        raise ScenarioError([*document.problems, Problem(document.at(1, 1), "the scenario is empty", hint)])
    if not isinstance(document.data, dict):
        what = f"a scenario is a mapping of keys to values, found {show(document.data)}"
        raise ScenarioError([*document.problems, Problem(document.at(1, 1), what, "write key: value, one a line")])
    data = dict(document.data)
    if "organisations" in data:
        what = "this file compares several organisations, and one scenario is wanted"
        hint = "run it with: agentsoc compare FILE"
        raise ScenarioError([Problem(document.place(("organisations",), of_key=True), what, hint)])
    block = data.pop("sweep", None)
    total = data.pop("budget_total", None)
    given: list[list[Setting]] = []
    problems: list[Problem] = []
    for argument in as_arguments(overrides):
        try:
            given.append(read_argument(argument))
        except ScenarioError as error:
            problems += error.problems
    if problems:
        raise ScenarioError([*document.problems, *problems])
    if seed is not None:
        place = Document(printable(f"--seed {seed}", 60), None, Position(1, 1), lines=False)
        given.append([Setting(("seed",), seed, place)])
    try:
        sweep = read_sweep(block, document, given, seeds)
    except ScenarioError as error:
        raise ScenarioError([*document.problems, *error.problems]) from None
    return Draft(data, document), replace(sweep, total=total)


def _one(read: tuple[Draft, Sweep]) -> Scenario:
    draft, sweep = read
    if sweep.runs > 1:
        names = [*_varied(sweep), *["seeds"] * ((sweep.seeds or 1) > 1)]
        what = f"this stands for {sweep.runs:,} runs ({', '.join(names)}), and one is wanted"
        hint = f"{_one_of(sweep)}; or run all of them as a sweep"
        raise ScenarioError([Problem(draft.document.place(("sweep",), of_key=True), what, hint)])
    return _checked(draft, sweep)[0].scenario


def _varied(sweep: Sweep) -> list[str]:
    return [axis.name for axis in sweep.axes if len(axis.options) > 1]


def _one_of(sweep: Sweep) -> str:
    """Return how one run of several is chosen."""
    names = _varied(sweep)
    values = f"one value for {', '.join(names)} with overrides (--set path=value)"
    seed = "one seed with load_scenarios(path, seeds=1) (--seeds 1)"
    return "choose " + " and ".join([values] * bool(names) + [seed] * ((sweep.seeds or 1) > 1))


def _checked(base: Draft, sweep: Sweep) -> list[Variant]:
    """Return all runs, or raise with the distinct faults of all of them."""
    problems = {(problem.where, problem.what): problem for problem in base.document.problems}
    places = {problem.where for problem in base.document.problems}
    variants: list[Variant] = []
    checker = _Checker()
    for unnamed, labels in _iterated(base, sweep, problems):
        try:
            draft = with_models(unnamed)
        except ScenarioError as error:
            problems.update({(problem.where, problem.what): problem for problem in error.problems})
            continue
        try:
            variants.append(Variant(checker.check(draft), labels, draft.data.get("preset")))
        except ValidationError as error:
            for problem in problems_of(error, draft):
                if problem.where not in places:  # a word that was refused already says no more
                    problems.setdefault((problem.where, problem.what), problem)
        if len(problems) >= MAX_PROBLEMS:
            break
    if problems:
        raise ScenarioError(sorted(problems.values(), key=_order))
    return variants if sweep.total is None else _under_total(variants, sweep.total, base.document)


def _under_total(variants: Sequence[Variant], total: Any, document: Document) -> list[Variant]:
    """Return the runs with their parts of the ceiling over all of them."""
    place = document.place(("budget_total",))
    try:
        limited = under_total([one.scenario for one in variants], BudgetTotal.model_validate(total), place)
    except ValidationError as error:
        raise ScenarioError([_in_total(fault, document) for fault in error.errors()[:MAX_PROBLEMS]]) from None
    return [replace(one, scenario=scenario) for one, scenario in zip(variants, limited, strict=True)]


def _in_total(fault: ErrorDetails, document: Document) -> Problem:
    """Return what is wrong with a ceiling over all runs, at the key that it is about."""
    path = ("budget_total", *fault["loc"])
    place = document.place(path if exists(document, path) else path[:1])
    return Problem(place, f"{'.'.join(map(str, path))}: {fault['msg']}", fault.get("ctx", {}).get("hint", ""))


def _order(problem: Problem) -> tuple[int, int]:
    """Return line and column, so that faults are told in the order of the file, after those of the command line."""
    place = re.search(r":(\d+):(\d+)$", problem.where)
    return (int(place[1]), int(place[2])) if place else (0, 0)


def _iterated(
    base: Draft, sweep: Sweep, problems: dict[tuple[str, str], Problem]
) -> Iterator[tuple[Draft, dict[str, str]]]:
    """Yield the runs' drafts; a path that leads nowhere is a fault of the first run that has it, and ends the sweep."""
    try:
        yield from sweep.drafts(base)
    except ScenarioError as error:
        problems.update({(problem.where, problem.what): problem for problem in error.problems})


class _Checker:
    """Checks the runs of a sweep one after the other; blocks that two runs share are checked and kept once."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[Any, Any]] = {}

    def check(self, draft: Draft) -> Scenario:
        keep = "preset" not in draft.data  # what it is laid over may differ from run to run
        data = {
            key: self.known[key][1] if keep and key in self.known and self.known[key][0] is value else value
            for key, value in draft.data.items()
        }
        try:
            scenario = Scenario.model_validate(data)
        except InputError as error:
            problem = error.problem
            raise ScenarioError([Problem(problem.where or draft.document.where, problem.what, problem.hint)]) from error
        for key, value in draft.data.items():
            if keep and isinstance(value, dict | list):
                self.known[key] = (value, getattr(scenario, key))
        return scenario
