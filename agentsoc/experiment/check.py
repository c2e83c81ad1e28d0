"""This module checks whether a comparison is what was written: its record against its request, its runs one by one.

The cells are made again from what was asked, as when the comparison is taken up again, and compared one by one with the
record. What is derived from the runs (the table of results, reports, figures) is not looked at; that is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agentsoc.engine.inputs import named_files, use_inputs
from agentsoc.errors import InputError, LogDamagedError, ScenarioError
from agentsoc.experiment.comparison import stored_comparison
from agentsoc.experiment.grid import Grid, make_grid
from agentsoc.log.comparison import FILE, RUNS, CellRecord, ComparisonRecord, load_comparison_record
from agentsoc.log.inside import Inside
from agentsoc.log.manifest import NAME
from agentsoc.log.read import RunLog
from agentsoc.scenario.code import check_recorded

_DERIVED: Final = ("results.parquet", "report.txt", "report.json", "figures")
_OF_CELL: Final = ("organisation", "n_agents", "count", "budget", "tasks", "seed")
_NAMED: Final = 3
"""Unknown names that are told one by one."""


@dataclass(frozen=True)
class CheckedComparison:
    """The result of a check lists what was found to be sound."""

    record: ComparisonRecord
    finished: int
    """Runs that are finished, all of them checked (runs)."""
    notes: tuple[str, ...]
    """What could not be checked, in sentences."""


def check_comparison(directory: Path, code: Sequence[Path] = ()) -> CheckedComparison:
    """Check the directory of a comparison; nothing of its loose code is run.

    Args:
        directory: where it is.
        code: files that are said to be its loose code; they are compared with the hashes that were recorded.

    Raises:
        LogDamagedError: names the first thing that is not what was written.
    """
    record = load_comparison_record(directory)
    check_recorded(code, record.code, "this comparison", directory)
    use_inputs(directory, record.inputs, "comparison")
    notes = list(_compare_record(directory, record))
    finished = 0
    for cell in record.cells:
        said = _check_cell(directory, cell)
        finished += said == ""
        notes += [said] if said else []
    states = {cell.status for cell in record.cells}
    if (record.status == "finished") != (states == {"finished"}):
        what = f"the comparison is {record.status}, but its runs are {', '.join(sorted(states)) or 'none'}"
        raise LogDamagedError(what, str(directory / FILE))
    notes += _unknown(directory, record)
    return CheckedComparison(record, finished, tuple(notes))


def _compare_record(directory: Path, record: ComparisonRecord) -> Iterator[str]:
    """Compare the record with the comparison that was asked for; yield what could not be compared."""
    where = str(directory / FILE)
    if record.code:
        yield "its runs were not derived again from what was asked: that would run its loose code"
        return
    try:
        grid = make_grid(stored_comparison(record.asked, where, record.text_hash), record.dials)
    except (ScenarioError, InputError) as error:
        first = str(error).splitlines()[0]
        hint = "if it needs a package that is not installed here, or another version of agentsoc, use that"
        raise LogDamagedError(f"what was asked makes no comparison: {first}", where, hint) from None
    for what, stated, asked in _facts(record, grid):
        if stated != asked:
            raise LogDamagedError(
                f"{what}: the record says {_short(stated)}, what was asked gives {_short(asked)}", where
            )


def _facts(record: ComparisonRecord, grid: Grid) -> Iterator[tuple[str, Any, Any]]:
    """Yield what the record says beside what it should say, each with its name."""
    yield "name", record.name, grid.name
    yield "description", record.description, grid.asked.comparison.description
    yield "organisations", record.organisations, grid.asked.organisations
    yield "baseline", record.baseline, grid.asked.baseline
    yield "matched", record.matched, grid.matched
    yield "runs", [cell.id for cell in record.cells], [cell.id for cell in grid.cells]
    for stated, asked in zip(record.cells, grid.cells, strict=True):
        of_record, of_grid = stated.model_dump(), vars(asked)
        for name in _OF_CELL:
            yield f"{name} of {asked.id}", of_record[name], of_grid[name]
        yield f"directory of {asked.id}", stated.run, f"{RUNS}/{asked.id}"
        yield f"scenario_hash of {asked.id}", stated.scenario_hash, asked.hash
    yield "dials", [dial.model_dump() for dial in record.dials], [one.dial.model_dump() for one in grid.levels]
    yield "hash", record.hash, grid.hash
    yield "inputs", sorted(record.inputs), sorted({name for cell in grid.cells for name in named_files(cell.scenario)})


def _check_cell(directory: Path, cell: CellRecord) -> str:
    """Check the run of a cell; return why the run counts as unfinished, or nothing."""
    inside, place = Inside(directory), directory / cell.run
    there = inside.has_directory(cell.run) and NAME in inside.names(cell.run)
    if not there:
        if cell.status == "finished":
            raise LogDamagedError("this run is finished, as the comparison says, and it is not here", str(place))
        return f"{cell.run} is {cell.status}: there is no run to check"
    log = RunLog(place)
    log.check()
    manifest = log.manifest
    of_another = manifest.scenario_hash != cell.scenario_hash or cell.digest not in (None, manifest.digest)
    if of_another or (cell.status == "finished" and (manifest.status != "finished" or cell.digest is None)):
        raise LogDamagedError("this run is not the one that the comparison has", str(place))
    if manifest.status == cell.status == "finished":
        return ""
    return f"{cell.run} is {cell.status} by the record and {manifest.status} by itself: it was checked as far as it is"


def _unknown(directory: Path, record: ComparisonRecord) -> Iterator[str]:
    """Yield the names of what is there and was not looked at."""
    inside = Inside(directory)
    derived = [name for name in inside.names() if name in _DERIVED]
    if derived:
        yield f"{', '.join(derived)}: derived from the runs, and not checked; agentsoc compare makes them again"
    known = {cell.run for cell in record.cells}
    others = [f"{RUNS}/{name}" for name in inside.names(RUNS) if f"{RUNS}/{name}" not in known]
    if others:
        more = f" and {len(others) - _NAMED:,} more" if len(others) > _NAMED else ""
        yield f"no run of this comparison, and not checked: {', '.join(others[:_NAMED])}{more}"


def _short(value: Any) -> str:
    return repr(value)[:100]
