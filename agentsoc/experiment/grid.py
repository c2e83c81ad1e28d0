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

from pydantic import ValidationError

from agentsoc.contracts.part import MAX_PROBLEMS
from agentsoc.contracts.topology import TOPOLOGIES
from agentsoc.errors import InputError, Problem, ScenarioError, TopologyError
from agentsoc.experiment.comparison import MARK, ComparisonRequest, load_comparison
from agentsoc.experiment.overlay import lay
from agentsoc.log.record import hash_json
from agentsoc.scenario.block import block
from agentsoc.scenario.budget_total import under_total
from agentsoc.scenario.draft import Draft, Overrides, Setting
from agentsoc.scenario.explain import problems_of, show
from agentsoc.scenario.model import MAX_SEED, Budget, Scenario
from agentsoc.scenario.models import BLOCK, with_models
from agentsoc.scenario.preset import PRESETS, expand, takes_count
from agentsoc.scenario.strict import Document, Path, Position

MAX_CELLS: Final = 10_000
"""Largest number of runs that one comparison may stand for."""
LIMITS: Final = ("tokens", "tokens_per_task", "calls", "calls_per_task", "money", "money_per_task")
"""Keys of a budget that are ceilings; how a budget is split and shown is a matter of the organisation."""
NAME_LENGTH: Final = 80


@dataclass(frozen=True)
class Cell:
    """A cell is one run of a comparison, and its place in the grid."""

    id: str
    """Names the run directory: ``<organisation>-n<agents>-<tasks>-s<seed>``."""
    organisation: str
    n_agents: int
    """Agents in the society, whatever they do in it."""
    count: int | None
    """The number on the ``agents`` axis; None without one, and where an organisation fixes its own."""
    tasks: str
    seed: int
    """Seed of the design: cells of one seed and task block are pairs. That of the run is `run_seed`."""
    scenario: Scenario

    @property
    def hash(self) -> str:
        """SHA-256 of what in the scenario can change a result, as in the manifest of its run."""
        return hash_json(self.scenario.result_part())


@dataclass(frozen=True)
class Grid:
    """A grid holds a comparison and all its cells, in a fixed order: task block, agents, seed, organisation."""

    asked: ComparisonRequest
    cells: tuple[Cell, ...]

    @property
    def name(self) -> str:
        """The comparison's name."""
        return self.asked.comparison.name

    @property
    def matched(self) -> bool:
        """Whether all cells of a task block have the same ceiling, and there is one."""
        limits: dict[str, set[Any]] = {}
        for cell in self.cells:
            limits.setdefault(cell.tasks, set()).add(_ceiling(cell.scenario.budget))
        return all(len(found) == 1 and None not in found for found in limits.values())

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
    """Return the cells that a comparison file stands for; see `load_comparison` for the arguments.

    Raises:
        ScenarioError: the file is no comparison, or one of its cells is no scenario.
    """
    return make_grid(load_comparison(path, overrides, seeds=seeds, allow_code=allow_code))


def make_grid(asked: ComparisonRequest) -> Grid:
    """Return the cells that a comparison stands for.

    Raises:
        ScenarioError: a cell is no valid scenario, budgets differ, two cells have one name, or there are too many.
        InputError: a ceiling over all runs gives each task nothing.
    """
    comparison = asked.comparison
    base = block(asked.draft, ("base",))
    seeds = _seeds(asked, base.data.get("seed", 0))
    labels = list(comparison.tasks) or [_tasks_label(base.data)]
    _require_bounded(asked, len(labels), len(seeds))
    problems: dict[tuple[str, str], Problem] = {}
    kinds: list[Cell] = []
    for label in labels:
        for organisation in comparison.organisations:
            sizes: set[int] = set()
            for count in comparison.agents or (None,):
                if len(problems) >= MAX_PROBLEMS:
                    break
                try:
                    draft, fixed = _draft(asked, organisation, count, label, seeds[0])
                    scenario = Scenario.model_validate(expand(draft.data))
                    n = _size(scenario)
                except ValidationError as error:
                    found = problems_of(error, draft)
                except ScenarioError as error:
                    found = list(error.problems)
                except InputError as error:
                    found = [_placed(error, asked, organisation)]
                else:
                    if n not in sizes:  # an organisation that fixes its number of agents is there once
                        sizes.add(n)
                        kinds.append(Cell("", organisation, n, None if fixed else count, label, seeds[0], scenario))
                    continue
                problems.update({(problem.where, problem.what): problem for problem in found})
    if problems:
        raise ScenarioError(list(problems.values()))
    _require_equal_budgets(asked, kinds)
    cells = list(_ordered(kinds, seeds, labels, list(comparison.organisations)))
    if comparison.budget_total is not None:
        parts = under_total(
            [cell.scenario for cell in cells], comparison.budget_total, asked.draft.place(("budget_total",))
        )
        cells = [replace(cell, scenario=scenario) for cell, scenario in zip(cells, parts, strict=True)]
    grid = Grid(asked, tuple(cells))
    _require_distinct(grid)
    return grid


def _draft(asked: ComparisonRequest, organisation: str, count: int | None, tasks: str, seed: int) -> tuple[Draft, bool]:
    """Return the draft of a scenario, and whether the organisation fixes its own number of agents."""
    base = block(asked.draft, ("base",), (MARK, organisation))
    over = block(asked.draft, (MARK, organisation))
    below = dict(base.data)
    if "preset" in over.data:  # a preset says how to organise: what the base says of that is not laid over it
        for key in ("topology", "protocol"):
            below.pop(key, None)
    draft = Draft(below, base)
    if isinstance(groups := below.get("agents"), list) and len(groups) == 1:
        draft = draft.having(Setting(("agents",), groups[0], base, ("agents", 0)))
    for name, model in asked.comparison.models.items():
        if name not in (below.get(BLOCK) or ()):
            draft = draft.having(Setting((BLOCK, name), model, block(asked.draft, (BLOCK,)), (name,)))
    draft = lay(draft, over)
    if tasks in asked.comparison.tasks:
        draft = lay(draft, block(asked.draft, ("tasks",)), ("tasks",), (tasks,))
    here = Document(asked.draft.place(("name",)), None, Position(1, 1), lines=False)
    name = f"{organisation}-{tasks}-s{seed}"
    draft = draft.having(Setting(("name",), name[:NAME_LENGTH].rstrip("-."), here))
    draft = draft.having(
        Setting(("seed",), seed, Document(asked.draft.place(("seeds",)), None, Position(1, 1), lines=False))
    )
    if count is not None:
        where = Document(asked.draft.place(("agents",)), None, Position(1, 1), lines=False)
        draft = _counted(draft, count, where)
    return _fixed(with_models(draft), over.data, count is not None)


def _counted(draft: Draft, count: int, where: Document) -> Draft:
    """Return the draft with the number of agents of the axis."""
    groups = draft.data.get("agents")
    if isinstance(groups, list):
        what = f"a number of agents cannot be set: there are {len(groups)} groups of them"
        raise ScenarioError([Problem(draft.place(("agents",)), what, "use one group, or delete the agents axis")])
    return draft.having(Setting(("agents", "count"), count, where))


def _fixed(draft: Draft, own: Mapping[str, Any], from_axis: bool) -> tuple[Draft, bool]:
    """Drop a number of agents that was meant for all from an organisation that fixes its own; say whether it does."""
    groups, said = draft.data.get("agents"), own.get("agents")
    count = groups.get("count") if isinstance(groups, Mapping) else None
    if count is None or not isinstance(groups, Mapping):
        return draft, False
    if isinstance(said, Mapping) and "count" in said and not from_axis:
        return draft, False
    if not _fixes_its_own(draft.data):
        return draft, False
    kept = {key: value for key, value in groups.items() if key != "count"}
    placed = tuple((path, by) for path, by in draft.placed if path[:2] != ("agents", "count"))
    return Draft({**draft.data, "agents": kept}, draft.document, placed), True


def _fixes_its_own(data: Mapping[str, Any]) -> bool:
    """Return whether an organisation has a number of agents of its own, and the one that it is given is another."""
    preset = data.get("preset")
    if isinstance(preset, str) and preset in PRESETS and not takes_count(preset):
        return True
    try:
        whole = expand(data)
        topology = TOPOLOGIES.parse(whole.get("topology"))
    except (ValueError, InputError):  # its faults are told when the whole scenario is checked
        return False
    try:
        topology.size(whole["agents"].get("count"))
    except TopologyError:
        try:
            topology.size(None)
        except TopologyError:
            return False
        return True
    return False


def _size(scenario: Scenario) -> int:
    """Return the number of agents of a scenario."""
    counts = [group.count for group in scenario.agents]
    given = None if None in counts else sum(count for count in counts if count is not None)
    return scenario.topology.size(given)


def _placed(error: InputError, asked: ComparisonRequest, organisation: str) -> Problem:
    problem = error.problem
    where = asked.draft.place((MARK, organisation))
    return Problem(where, f"the organisation {organisation}: {problem.what}", problem.hint)


def _ordered(kinds: list[Cell], seeds: tuple[int, ...], labels: list[str], organisations: list[str]) -> Iterator[Cell]:
    """Yield the cells; those that are compared with each other follow each other."""
    order = {label: at for at, label in enumerate(labels)}
    place = {organisation: at for at, organisation in enumerate(organisations)}
    for kind in sorted(kinds, key=lambda cell: (order[cell.tasks], cell.n_agents, place[cell.organisation])):
        for seed in seeds:
            name = f"{kind.organisation}-n{kind.n_agents}-{kind.tasks}-s{seed}"
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
