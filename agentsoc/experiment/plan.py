"""This module works out what a comparison would run and can cost at most, before anything is started."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentsoc.engine.bounds import Bound, NoBound, total
from agentsoc.engine.ceiling import forecast_ceiling
from agentsoc.engine.consent import BOUNDED_MAX
from agentsoc.engine.forecast import bound, ceiling
from agentsoc.engine.ready import ready_society
from agentsoc.errors import InputError
from agentsoc.experiment.cell import is_pure
from agentsoc.experiment.grid import Cell, Grid
from agentsoc.experiment.levels import dial_key
from agentsoc.log.comparison import DialRecord
from agentsoc.society.build import BuiltSociety, build_society


@dataclass(frozen=True)
class Kind:
    """A kind stands for the cells that differ in nothing but their seed."""

    cells: tuple[Cell, ...]
    pure: bool
    most: Bound | NoBound
    """The most that all its runs can cost together; None when that takes too long to work out."""
    about: bool
    """Whether one seed stands for all, though other seeds may have longer tasks."""
    ceiling: int | None
    """Budget of all its runs (tokens)."""
    answered: int
    """Runs that are finished already."""
    dial: DialRecord | None = None
    """What is turned up to fill the budget, where the comparison has several."""
    cut: tuple[str, ...] = ()
    """What the ceiling of a task makes of its rounds, in words; see `agentsoc.engine.ceiling`."""


def build_kinds(cells: Sequence[Cell]) -> list[tuple[Cell, BuiltSociety]]:
    """Build one society for each organisation, number of agents and task block, with the first cell of each.

    Raises:
        InputError: a society cannot be built, tasks cannot be made, or a budget pays for no call; names the run.
    """
    first: dict[tuple[str, int, str, int | None], Cell] = {}
    for cell in cells:
        first.setdefault((cell.organisation, cell.n_agents, cell.tasks, cell.budget), cell)
    found = []
    for cell in first.values():
        try:
            found.append((cell, ready_society(cell.scenario)))
        except InputError as error:
            problem = error.problem
            raise InputError(f"{problem.what} (run {cell.id})", problem.where, problem.hint) from error
    return found


def plan_kinds(grid: Grid, built: Sequence[tuple[Cell, BuiltSociety]], finished: Mapping[str, bool]) -> list[Kind]:
    """Return what is to be run of each kind of cells, and what it can cost.

    Args:
        grid: the comparison.
        built: the first cell of each kind with its society, of `build_kinds`.
        finished: whether a cell has been run already, by its id.
    """
    found = []
    each = len(grid.cells) <= BOUNDED_MAX
    dials = {dial_key(one.dial): one.dial for one in grid.levels}
    for first, society in built:
        cells = tuple(cell for cell in grid.cells if _same_kind(cell, first))
        due = [cell for cell in cells if not finished.get(cell.id)]
        pure = is_pure(first.scenario)
        most: Bound | NoBound = Bound()
        if not pure and due:
            if each:
                most = total([bound(build_society(cell.scenario)) for cell in due])
            else:
                most = total([bound(society)] * len(due))
        per_run = ceiling(first.scenario)
        all_runs = None if per_run is None else per_run * len(due)
        cut = forecast_ceiling(society)
        said = () if cut is None else tuple(cut.text())
        dial = dials.get((first.organisation, first.tasks, first.budget or 0))
        found.append(Kind(cells, pure, most, not each, all_runs, len(cells) - len(due), dial, said))
    return found


def _same_kind(one: Cell, other: Cell) -> bool:
    same = (one.organisation, one.n_agents, one.tasks) == (other.organisation, other.n_agents, other.tasks)
    return same and one.budget == other.budget
