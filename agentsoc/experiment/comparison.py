"""This module reads a comparison file into a checked `ComparisonSpec`: which organisations, tasks, seeds and budget.

The file is read as strictly as a scenario, with the same messages::

    name: five-architectures
    base:                                # keys of a scenario that all have in common
      tasks: {kind: sentiment, count: 20}
      agents: {model: local}
      budget: {tokens_per_task: 3000}
    organisations:                       # label -> keys of a scenario, laid over the base
      single: {topology: single, protocol: vote}
      chain:  {topology: chain, protocol: aggregate}
    agents: [3, 9]                       # numbers of agents, for organisations that do not fix their own
    tasks: {easy: {signal: 0.8}, hard: {signal: 0.2}}
    seeds: 5                             # or a list
    baseline: single
    budgets: [1k, 2k, 5k]                # ceilings of a task, instead of one in base.budget

The cells of the grid that it stands for are made by `agentsoc.experiment.grid`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field, StringConstraints, ValidationError

from agentsoc.contracts.group import MAX_AGENTS
from agentsoc.contracts.part import Part, nearest
from agentsoc.errors import Problem, ScenarioError
from agentsoc.experiment.fill import KEY, Level, fill_of
from agentsoc.scenario.budget_total import BudgetTotal
from agentsoc.scenario.code import load_code
from agentsoc.scenario.draft import Draft, Overrides, Setting, as_arguments, read_argument
from agentsoc.scenario.environment import with_addresses
from agentsoc.scenario.explain import problems_of, show
from agentsoc.scenario.files import BASE_DIR
from agentsoc.scenario.model import MAX_SEED, NAME
from agentsoc.scenario.source import decode, printable, read_bytes
from agentsoc.scenario.strict import Document, Position, parse

MAX_ORGANISATIONS: Final = 256
MARK: Final = "organisations"
"""The key by which a file is known as a comparison."""

Label = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$")]
Count = Annotated[int, Field(ge=1, le=MAX_AGENTS)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Keys = dict[str, Any]


class ComparisonSpec(Part):
    """Organisations of agents on the same tasks, seeds and budget."""

    name: Annotated[str, Field(pattern=NAME)]
    """Names the result directory: letters, digits, dot, dash and underscore, at most 80 characters."""
    description: Annotated[str, Field(max_length=4_000)] = ""
    """What the comparison is for, in words; changes nothing."""
    base: Keys
    """Keys of a scenario that all organisations have in common."""
    organisations: Annotated[dict[Label, Keys], Field(min_length=2, max_length=MAX_ORGANISATIONS)]
    """Label of each organisation (letters, digits, dot, dash, underscore; at most 32) and the keys of a scenario that
    make it: laid over the base."""
    agents: Annotated[tuple[Count, ...], Field(max_length=64)] = ()
    """Numbers of agents (agents), whole society; an organisation that fixes its own number keeps that."""
    tasks: Annotated[dict[Label, Any], Field(max_length=256)] = {}  # noqa: RUF012
    """Label of each set of tasks and its task block, laid over that of the base."""
    seeds: Annotated[int, Field(ge=1, le=10_000)] | Annotated[tuple[Seed, ...], Field(min_length=1)] = 1
    """How many seeds, counted up from the base's; or the list of them."""
    models: dict[str, Any] = {}  # noqa: RUF012
    """Models by name, for `model: NAME` in any group of agents; those of the base or an organisation win."""
    baseline: str | None = None
    """Organisation that the others are compared with; None for the first."""
    unequal_budgets: bool = False
    """Allows organisations with budgets of their own; then the comparison is not a matched one."""
    margin: Annotated[float, Field(gt=0, le=1)] | None = None
    """Largest difference of scores that does not matter: the report says who is equivalent to the baseline within it,
    and who is not worse by more. None for no such test. Choose it before the results are seen."""
    looks: Annotated[int, Field(ge=1, le=50)] | None = None
    """How often the results are looked at in all while seeds are added; each look then tests at a level of its own, so
    that all of them together keep 5 %. None where nobody looks before the end."""
    budget_total: BudgetTotal | None = None
    """Ceiling over all runs together, split evenly over the tasks of all of them before the first one starts; with
    `budgets` it has to pay for all of their ceilings, and money is split in proportion to them."""
    budgets: Annotated[tuple[Level, ...], Field(max_length=32)] = ()
    """Ceilings of a task (tokens; also 5k, 2M): every organisation is run at each of them, on the same tasks, and the
    report says at how many tokens one overtakes the other. An organisation's `fill` names what it turns up to use
    them."""
    pilot_tasks: Annotated[int, Field(ge=1, le=1_000)] = 4
    """Tasks of each pilot by which a dial is set, where usage is not known beforehand; they are not scored (tasks)."""


@dataclass(frozen=True)
class ComparisonRequest:
    """A request is a comparison as it was asked for: checked, and with the place of everything in its file."""

    comparison: ComparisonSpec
    draft: Draft
    text_hash: str
    """SHA-256 of the file (what the command line set is in the data)."""

    @property
    def organisations(self) -> list[str]:
        """Labels of the organisations in the order of the file."""
        return list(self.comparison.organisations)

    @property
    def baseline(self) -> str:
        """Organisation that the others are compared with."""
        return self.comparison.baseline or self.organisations[0]


def load_comparison(
    path: str | Path,
    overrides: Overrides = (),
    *,
    seeds: int | None = None,
    allow_code: Sequence[str | Path] = (),
) -> ComparisonRequest:
    """Return the comparison in a file.

    Args:
        path: the YAML file. Its directory becomes the one that files named in it are looked up in.
        overrides: values by dotted path, or ``path=value`` each, with paths as in the file: ``base.tasks.count=5``,
            ``baseline=chain``.
        seeds: number of seeds; takes the place of the file's.
        allow_code: Python files whose parts the comparison may name.

    Raises:
        ScenarioError: the file cannot be read or is not a comparison; names the place and cure of every fault.
        InputError: a file of `allow_code` cannot be used.
    """
    for code in allow_code:
        load_code(code)
    path = Path(path)
    where = printable(str(path), 200)
    text = decode(read_bytes(path), where)
    BASE_DIR.set(path.parent)  # it stays set: a part may read its files when the society is built
    return parse_comparison(text, where, overrides, seeds=seeds)


def parse_comparison(
    text: str, where: str = "comparison", overrides: Overrides = (), *, seeds: int | None = None
) -> ComparisonRequest:
    """Return the comparison that a text holds; see `load_comparison`."""
    document = with_addresses(parse(text, where))
    if not isinstance(document.data, Mapping):
        found = "empty" if document.data is None else f"no mapping but {show(document.data)}"
        hint = "a comparison has the keys name, base and organisations"
        raise ScenarioError([*document.problems, Problem(document.at(1, 1), f"the comparison is {found}", hint)])
    if MARK not in document.data and "topology" in document.data:
        hint = "run it with: agentsoc run FILE; a comparison has the keys name, base and organisations"
        raise ScenarioError([Problem(document.at(1, 1), "this is a scenario, and a comparison is wanted", hint)])
    draft = Draft(dict(document.data), document)
    settings: list[Setting] = []
    problems = list(document.problems)
    for argument in as_arguments(overrides):
        try:
            settings.append(_single(read_argument(argument), argument))
        except ScenarioError as error:
            problems += error.problems
    if seeds is not None:
        place = Document(printable(f"--seeds {seeds}", 60), None, Position(1, 1), lines=False)
        settings.append(Setting(("seeds",), seeds, place))
    for setting in settings:
        try:
            draft = draft.having(setting)
        except ScenarioError as error:
            problems += error.problems
    if problems:
        raise ScenarioError(problems)
    return checked(draft, hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest())


def stored_comparison(data: Any, where: str, text_hash: str) -> ComparisonRequest:
    """Return the comparison of a result directory from the plain data that it was stored as."""
    return checked(Draft(data, Document(where, data, Position(1, 1), lines=False)), text_hash)


def checked(draft: Draft, text_hash: str) -> ComparisonRequest:
    """Return the comparison that a draft describes.

    Raises:
        ScenarioError: it is none; names every fault that shows before the cells are made.
    """
    try:
        comparison = ComparisonSpec.model_validate(draft.data)
    except ValidationError as error:
        raise ScenarioError(problems_of(error, draft)) from None
    problems = [*_repeated(comparison, draft), *_forbidden(comparison, draft), *_of_budgets(comparison, draft)]
    if comparison.baseline is not None and comparison.baseline not in comparison.organisations:
        what = f"the baseline {show(comparison.baseline)} is none of the organisations"
        problems.append(Problem(draft.place(("baseline",)), what, nearest(comparison.baseline, draft.data[MARK])))
    if problems:
        raise ScenarioError(problems)
    return ComparisonRequest(comparison, draft, text_hash)


def is_comparison(path: str | Path) -> bool:
    """Return whether a file is a comparison; False as well for one that cannot be read."""
    try:
        document = parse(decode(read_bytes(Path(path)), ""), "")
    except ScenarioError:
        return False
    return isinstance(document.data, Mapping) and MARK in document.data


def _single(settings: Sequence[Setting], argument: str) -> Setting:
    """Return the one setting of an argument: a comparison is no sweep."""
    if len(settings) == 1:
        return settings[0]
    path = ".".join(settings[0].words)
    raise ScenarioError(
        [
            Problem(
                printable(f"--set {argument}", 80),
                f"{len(settings)} values for one key, and a comparison is no sweep",
                f"write a list in brackets, {path}=[...]; what is to vary goes into organisations, agents or tasks",
            )
        ]
    )


_KEPT: Final = {
    "tasks": "every organisation gets the same tasks: write them in base.tasks or under tasks",
    "seed": "every organisation gets the same seeds: write them under seeds",
    "name": "runs are named after their cell: delete it",
    "engine": "how runs are carried out is the same for all: write it in base.engine",
}
"""Keys of a scenario that an organisation cannot set, and why."""


def _forbidden(comparison: ComparisonSpec, draft: Draft) -> list[Problem]:
    """Return what an organisation may not say for itself, or the base not for all."""
    found = []
    for label, keys in comparison.organisations.items():
        for key, why in _KEPT.items():
            if key in keys:
                place = draft.place((MARK, label, key), of_key=True)
                found.append(Problem(place, f"the organisation {label} cannot set {key}", why))
    for key in ("name", "sweep"):
        if key in comparison.base:
            hint = "runs are named after their cell" if key == "name" else "name the variants under organisations"
            found.append(Problem(draft.place(("base", key), of_key=True), f"the base cannot set {key}", hint))
    return found


def _repeated(comparison: ComparisonSpec, draft: Draft) -> list[Problem]:
    """Return the values of a list that stand there twice: the same run would be made and paid for twice."""
    found = []
    for key in ("agents", "seeds", "budgets"):
        values = getattr(comparison, key)
        if isinstance(values, tuple):
            for at, value in enumerate(values):
                if value in values[:at]:
                    place = draft.place((key, at))
                    found.append(Problem(place, f"{key} has {value} twice", "keep one of the two"))
    return found


def _of_budgets(comparison: ComparisonSpec, draft: Draft) -> list[Problem]:
    """Return what does not go with budgets, or only with them."""
    found = []
    several = bool(comparison.budgets)
    for label, keys in comparison.organisations.items():
        place = draft.place((MARK, label, KEY), of_key=KEY in keys)
        try:
            fill = fill_of(keys)
        except ValidationError as error:
            first = error.errors()[0]
            where = (MARK, label, KEY, *first["loc"]) if isinstance(keys[KEY], Mapping) else (MARK, label, KEY)
            hint = str(first.get("ctx", {}).get("hint", "for example fill: rounds"))
            found.append(Problem(draft.place(draft.path(where)), f"fill of {label}: {first['msg']}", hint))
            continue
        if fill is None:
            continue
        if not several:
            found.append(Problem(place, f"{label} has a fill, and the comparison no budgets", "add budgets: [1k, 2k]"))
        elif fill.values and len(fill.values) != len(comparison.budgets):
            what = f"fill of {label}: {len(fill.values)} values for {len(comparison.budgets)} budgets"
            found.append(Problem(place, what, "write one value for each budget, in their order"))
    if not several:
        return found
    if comparison.agents:
        hint = "numbers of agents are what fill turns up: fill: agents; or write an organisation for each number"
        found.append(Problem(draft.place(("agents",), of_key=True), "budgets and agents do not go together", hint))
    if comparison.unequal_budgets:
        hint = "delete unequal_budgets: each of the budgets is the same for all"
        found.append(Problem(draft.place(("unequal_budgets",), of_key=True), "budgets are the same for all", hint))
    places: list[tuple[tuple[str, ...], Any]] = [(("base",), comparison.base)]
    places += [((MARK, label), keys) for label, keys in comparison.organisations.items()]
    for path, keys in places:
        own = keys.get("budget")
        for key in ("tokens", "tokens_per_task"):
            if isinstance(own, Mapping) and own.get(key) is not None:
                hint = "delete it: budgets says what a task may take"
                what = f"budgets sets the tokens of a task, and so does {'.'.join((*path, 'budget', key))}"
                found.append(Problem(draft.place((*path, "budget", key), of_key=True), what, hint))
    return found
