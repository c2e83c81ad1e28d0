"""This module says which cells of a comparison hosts of a cluster carry out, and with what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from agentsoc.engine.consent import Consent
from agentsoc.engine.inputs import input_files
from agentsoc.experiment.cell import is_pure
from agentsoc.experiment.far_runs import FarRun
from agentsoc.experiment.grid import Cell, Grid
from agentsoc.experiment.spread import Spread, SpreadMeans, stays_here
from agentsoc.log.comparison import RUNS
from agentsoc.log.inside import Inside
from agentsoc.log.manifest import NAME


def far_cells(grid: Grid, directory: Path) -> tuple[list[FarRun], dict[str, int]]:
    """Return the cells that are sent to hosts, and how many that are due stay here, by the reason.

    A run that is here, finished or begun, stays: what it has was paid for.
    """
    found: list[FarRun] = []
    kept: dict[str, int] = {}
    one_wall = grid.asked.comparison.budget_total is not None
    for cell in grid.cells:
        place = directory / RUNS / cell.id
        if NAME in Inside(directory).names(f"{RUNS}/{cell.id}"):
            continue
        why = stays_here(cell.scenario, shares_a_wall=one_wall and not is_pure(cell.scenario))
        if why:
            kept[why] = kept.get(why, 0) + 1
        else:
            found.append(FarRun(cell.id, place, cell.scenario))
    return found, kept


def far_means(
    spread: Spread,
    cells: Sequence[Cell],
    code: Mapping[str, str],
    code_paths: Sequence[Path],
    consent: Consent,
    concurrency: int | None,
) -> SpreadMeans:
    """Return what the hosts are given; files are those that the cells name, as they are looked up now."""
    inputs: dict[str, bytes] = {}
    for cell in cells:
        inputs.update(input_files(cell.scenario))
    calls = concurrency or max((cell.scenario.engine.concurrency for cell in cells), default=None)
    umask = any(cell.scenario.engine.umask for cell in cells)
    return SpreadMeans(spread, inputs, code, code_paths, consent, calls, umask)
