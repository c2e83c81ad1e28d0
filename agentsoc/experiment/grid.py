"""This module makes the grid of a comparison: organisation x number of agents x task block x seed, a scenario each.

All organisations get the same tasks, the same seeds and the same budget: that is what makes their results pairs. What
would break it is an error here, before anything is started.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Any, Final

from agentsoc.contracts.part import MAX_PROBLEMS
from agentsoc.errors import Problem, ScenarioError
from agentsoc.experiment.comparison import MARK, ComparisonRequest, load_comparison
from agentsoc.experiment.levels import AtLevel, Dials, at_levels, dial_key, pilot_bound
from agentsoc.experiment.organise import NAME_LENGTH, CellPlace, organised
from agentsoc.log.comparison import DialRecord
from agentsoc.log.record import hash_json
from agentsoc.scenario.block import block
from agentsoc.scenario.budget_total import under_total, under_total_of_levels
from agentsoc.scenario.draft import Overrides
from agentsoc.scenario.explain import show
from agentsoc.scenario.model import MAX_SEED, Budget, Scenario
from agentsoc.scenario.strict import Path

MAX_CELLS: Final = 10_000
"""Largest number of runs that one comparison may stand for."""
LIMITS: Final = ("tokens", "tokens_per_task", "calls", "calls_per_task", "money", "money_per_task")
"""Keys of a budget that are ceilings; how a budget is split and shown is a matter of the organisation."""


@dataclass(frozen=True)
class Cell:
    """A cell is one run of a comparison, and its place in the grid."""

    id: str
    """Names the run directory: ``<organisation>-n<agents>-<tasks>-s<seed>``, with several budgets
    ``<organisation>-b<tokens>-<tasks>-s<seed>``."""
    organisation: str
    n_agents: int
    """Agents in the society, whatever they do in it."""
    count: int | None
    """The number on the ``agents`` axis; None without one, and where an organisation fixes its own."""
    tasks: str
    seed: int
    """Seed of the design: cells of one seed and task block are pairs. That of the run is `run_seed`."""
    scenario: Scenario
    budget: int | None = None
    """Ceiling of a task (tokens), where the comparison has several."""

    @property
    def hash(self) -> str:
        """SHA-256 of what in the scenario can change a result, as in the manifest of its run."""
        return hash_json(self.scenario.result_part())


@dataclass(frozen=True)
class Grid:
    """A grid holds a comparison and all its cells, in a fixed order: task block, budget, agents, organisation, seed."""

    asked: ComparisonRequest
    """The comparison as its file says it."""
    cells: tuple[Cell, ...]
    """Every run that belongs to it."""
    levels: tuple[AtLevel, ...] = ()
    """With several budgets, what each organisation does at each of them."""

    @property
    def name(self) -> str:
        """The comparison's name."""
        return self.asked.comparison.name

    @property
    def matched(self) -> bool:
        """Whether all cells of a task block have the same ceiling, and there is one."""
        limits: dict[tuple[str, int | None], set[Any]] = {}
        for cell in self.cells:
            limits.setdefault((cell.tasks, cell.budget), set()).add(_ceiling(cell.scenario.budget))
        return all(len(found) == 1 and None not in found for found in limits.values())

    @property
    def unset(self) -> tuple[AtLevel, ...]:
        """Dials that pilots have to set before the runs are what they are to be."""
        return tuple(one for one in self.levels if one.dial.how == "unset")

    @property
    def by_umask(self) -> bool:
        """Whether files get the rights that the umask leaves: of one of the runs that is asked for."""
        return any(cell.scenario.engine.umask for cell in self.cells)

    @property
    def hash(self) -> str:
        """SHA-256 of the cells and the baseline: equal for files that ask for the same."""
        return hash_json([self.asked.baseline, sorted((cell.id, cell.hash) for cell in self.cells)])


def load_grid(
    path: str | FilePath,
    overrides: Overrides = (),
    *,
    seeds: int | None = None,
    allow_code: Sequence[str | FilePath] = (),
) -> Grid:
    """Return the cells that a comparison file stands for: every run that belongs to it.

    Args:
        path: the YAML file. Its directory becomes the one that files named in it are looked up in.
        overrides: values by dotted path, or ``path=value`` each, with paths as in the file: ``base.tasks.count=5``.
        seeds: number of seeds; takes the place of the file's.
        allow_code: Python files whose parts the comparison may name.

    Raises:
        ScenarioError: the file is no comparison, or one of its cells is no scenario.
    """
    return make_grid(load_comparison(path, overrides, seeds=seeds, allow_code=allow_code))


def make_grid(asked: ComparisonRequest, dials: Sequence[DialRecord] = ()) -> Grid:
    """Return the cells that a comparison stands for.

    Args:
        asked: the comparison.
        dials: those that pilots have set.

    Raises:
        ScenarioError: a cell is no valid scenario, budgets differ, two cells have one name, or there are too many.
        InputError: a ceiling over all runs gives each task nothing.
    """
    comparison = asked.comparison
    base = block(asked.draft, ("base",))
    seeds = _seeds(asked, base.data.get("seed", 0))
    labels = list(comparison.tasks) or [_tasks_label(base.data)]
    _require_bounded(asked, len(labels), len(seeds))
    levels: list[AtLevel] = []
    kinds = _kinds(asked, labels, seeds[0], {dial_key(dial): dial for dial in dials}, levels)
    _require_equal_budgets(asked, kinds)
    cells = list(_ordered(kinds, seeds, labels, list(comparison.organisations)))
    if comparison.budget_total is not None:
        scenarios, place = [cell.scenario for cell in cells], asked.draft.place(("budget_total",))
        if comparison.budgets:
            pilots = sum(pilot_bound(asked, one.dial) for one in levels)
            parts = under_total_of_levels(scenarios, comparison.budget_total, place, besides=pilots)
        else:
            parts = under_total(scenarios, comparison.budget_total, place)
        cells = [replace(cell, scenario=scenario) for cell, scenario in zip(cells, parts, strict=True)]
    grid = Grid(asked, tuple(cells), tuple(levels))
    _require_distinct(grid)
    return grid


def _kinds(
    asked: ComparisonRequest,
    labels: Sequence[str],
    seed: int,
    dials: Dials,
    levels: list[AtLevel],
) -> list[Cell]:
    """Return the first cell of each kind, and add to `levels` what each organisation does at each budget."""
    problems: dict[tuple[str, str], Problem] = {}
    kinds: list[Cell] = []
    for label in labels:
        for organisation in asked.comparison.organisations:
            if len(problems) >= MAX_PROBLEMS:
                break
            try:
                if asked.comparison.budgets:
                    found = list(at_levels(asked, organisation, label, seed, dials))
                    levels += found
                    kinds += [_at_level(one) for one in found if one.made is not None]
                else:
                    kinds += _at_counts(asked, organisation, label, seed)
            except ScenarioError as error:
                problems.update({(problem.where, problem.what): problem for problem in error.problems})
    if problems:
        raise ScenarioError(list(problems.values()))
    return kinds


def _at_level(one: AtLevel) -> Cell:
    made, place = one.made, one.place
    assert made is not None
    return Cell("", place.organisation, made.n_agents, None, place.tasks, place.seed, made.scenario, place.budget)


def _at_counts(asked: ComparisonRequest, organisation: str, label: str, seed: int) -> Iterator[Cell]:
    """Yield the first cell of an organisation for each number of agents; one that fixes its own is there once."""
    sizes: set[int] = set()
    problems: list[Problem] = []
    for count in asked.comparison.agents or (None,):
        try:
            made = organised(asked, CellPlace(organisation, label, seed, count))
        except ScenarioError as error:
            problems += error.problems
            continue
        if made.n_agents not in sizes:
            sizes.add(made.n_agents)
            own = None if made.fixed else count
            yield Cell("", organisation, made.n_agents, own, label, seed, made.scenario)
    if problems:
        raise ScenarioError(problems)


def _ordered(kinds: list[Cell], seeds: tuple[int, ...], labels: list[str], organisations: list[str]) -> Iterator[Cell]:
    """Yield the cells; those that are compared with each other follow each other."""
    order = {label: at for at, label in enumerate(labels)}
    place = {organisation: at for at, organisation in enumerate(organisations)}

    def rank(cell: Cell) -> tuple[int, ...]:
        of_all = (order[cell.tasks], cell.budget or 0)
        return (*of_all, cell.n_agents if cell.budget is None else 0, place[cell.organisation])

    for kind in sorted(kinds, key=rank):
        which = f"n{kind.n_agents}" if kind.budget is None else f"b{kind.budget}"
        for seed in seeds:
            name = f"{kind.organisation}-{which}-{kind.tasks}-s{seed}"
            own = run_seed(seed, kind.tasks if len(labels) > 1 else "")
            scenario = kind.scenario.model_copy(
                update={"seed": own, "name": name if len(name) <= NAME_LENGTH else _shortened(name)}
            )
            yield replace(kind, id=name, seed=seed, scenario=scenario)


def run_seed(seed: int, tasks: str = "") -> int:
    """Return the seed of a run: that of the design, moved by the label of the task block where there are several.

    Simulated voters draw by seed and number of the task. Were the seed the same, task 3 of every block would meet the
    same luck, and blocks would repeat each other instead of adding to what is known.
    """
    if not tasks:
        return seed
    return (seed + int.from_bytes(hashlib.sha256(tasks.encode()).digest()[:6], "big")) % 2**63


def _shortened(name: str) -> str:
    """Return a name of allowed length that is still one of its own."""
    mark = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: NAME_LENGTH - 9]}-{mark}"


def _seeds(asked: ComparisonRequest, first: Any) -> tuple[int, ...]:
    """Return the seeds that are listed, or as many as are wanted from the base's on.

    The base's seed is checked here: no scenario is made with it that would show its fault.
    """
    seeds, at, hint = asked.comparison.seeds, ("base", "seed"), f"write a whole number from 0 to {MAX_SEED}"
    if isinstance(first, bool) or not isinstance(first, int) or not 0 <= first <= MAX_SEED:
        what = f"base.seed must be a whole number from 0 to {MAX_SEED}, found {show(first)}"
        raise ScenarioError([Problem(asked.draft.place(at), what, hint)])
    if isinstance(seeds, tuple):
        return seeds
    if first + seeds - 1 > MAX_SEED:
        what = f"{seeds:,} seeds from base.seed = {first} on go beyond the largest one, {MAX_SEED}"
        raise ScenarioError([Problem(asked.draft.place(at), what, "take a smaller seed, or list the seeds")])
    return tuple(range(first, first + seeds))


def _tasks_label(base: Mapping[str, Any]) -> str:
    tasks = base.get("tasks")
    kind = tasks.get("kind") if isinstance(tasks, Mapping) else tasks
    return kind if isinstance(kind, str) and kind.isascii() and kind else "tasks"


def _require_bounded(asked: ComparisonRequest, n_tasks: int, n_seeds: int) -> None:
    sizes = {
        "organisations": len(asked.organisations),
        "agents": len(asked.comparison.agents) or 1,
        "budgets": len(asked.comparison.budgets) or 1,
        "tasks": n_tasks,
        "seeds": n_seeds,
    }
    if math.prod(sizes.values()) > MAX_CELLS:
        grid = " x ".join(f"{name} {n}" for name, n in sizes.items() if n > 1)
        what = f"the comparison has {math.prod(sizes.values()):,} runs ({grid}), the limit is {MAX_CELLS:,}"
        place = asked.draft.place((MARK,), of_key=True)
        raise ScenarioError([Problem(place, what, "take fewer, or split it into several comparisons")])


def _ceiling(budget: Budget | None) -> Any:
    """Return what a budget allows: its ceilings by name."""
    if budget is None:
        return None
    data = budget.model_dump(mode="json", include={*LIMITS})
    return tuple(sorted((key, value) for key, value in data.items() if value is not None))


def _require_equal_budgets(asked: ComparisonRequest, cells: list[Cell]) -> None:
    """Raise unless every organisation may spend the same on the same tasks."""
    if asked.comparison.unequal_budgets:
        return
    if asked.comparison.budgets:
        _require_equal_limits(asked, cells)
        return
    problems: dict[str, Problem] = {}
    for cell in cells:
        of_all = next(one for one in cells if one.tasks == cell.tasks and one.organisation == asked.baseline)
        own, other = _ceiling(cell.scenario.budget), _ceiling(of_all.scenario.budget)
        if own != other and cell.organisation not in problems:
            where: Path = (MARK, cell.organisation, "budget")
            if asked.comparison.organisations[cell.organisation].get("budget") is None:
                where = (MARK, asked.baseline, "budget")
            problems[cell.organisation] = Problem(
                asked.draft.place(where),
                f"{cell.organisation} and {asked.baseline} have different budgets ({_said(own)}, {_said(other)})",
                "write one budget in base.budget; unequal_budgets: true allows it, and the result says so",
            )
    if problems:
        raise ScenarioError(list(problems.values()))


def _require_equal_limits(asked: ComparisonRequest, cells: Sequence[Cell]) -> None:
    """Raise unless what else than tokens limits a task is the same for all organisations at a budget."""
    limits: dict[tuple[str, int | None], Any] = {}
    for cell in cells:
        own = _ceiling(cell.scenario.budget)
        if limits.setdefault((cell.tasks, cell.budget), own) != own:
            other = _said(limits[cell.tasks, cell.budget])
            what = f"{cell.organisation} has limits of its own ({_said(own)}; another one has {other})"
            place = asked.draft.place((MARK, cell.organisation))
            raise ScenarioError([Problem(place, what, "write limits of calls or money in base.budget, for all")])


def _said(ceiling: Any) -> str:
    return "none" if ceiling is None else ", ".join(f"{key} {show(value)}" for key, value in ceiling)


def _require_distinct(grid: Grid) -> None:
    """Raise when two cells would share a directory; some file systems take a and A for the same."""
    seen: dict[str, Cell] = {}
    for cell in grid.cells:
        other = seen.setdefault(cell.id.lower(), cell)
        if other is not cell:
            place = grid.asked.draft.place((MARK,), of_key=True)
            what = f"two runs would be called {cell.id}: of {other.organisation} and of {cell.organisation}"
            raise ScenarioError([Problem(place, what, "rename an organisation or a task block")])
