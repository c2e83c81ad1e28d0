"""This module keeps the directory of a comparison: it begins it, takes it up again, or adds cells that it did not have.

comparison.json      what was asked, its runs and how far they are
inputs/              copies of the files that the comparison names
runs/<cell id>/      ordinary run directories
pilots/<name>/       those by which dials were set, where there are several budgets
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from agentsoc.engine.directory import make_private
from agentsoc.engine.inputs import input_files, use_inputs
from agentsoc.engine.remake import reopen_run
from agentsoc.engine.run import refuse_secrets
from agentsoc.errors import InputError, LogDamagedError
from agentsoc.experiment.cell import require_same
from agentsoc.experiment.comparison import stored_comparison
from agentsoc.experiment.grid import Grid, load_grid, make_grid
from agentsoc.log.comparison import FILE, RUNS, CellRecord, ComparisonRecord, load_comparison_record
from agentsoc.log.files import HOLDER, LOCK
from agentsoc.log.inside import Inside
from agentsoc.log.manifest import NAME, load_manifest
from agentsoc.log.names import INPUTS
from agentsoc.scenario.code import load_codes, load_recorded

DEFAULT: Final = Path("comparisons")


def default_directory(grid: Grid) -> Path:
    """Return where a comparison goes if nobody names a place."""
    return DEFAULT / grid.name


def given_grid(
    grid: Grid | Path | str, out: Path | None, code: Mapping[str, str] | None, code_paths: Sequence[Path]
) -> tuple[Grid, Path, dict[str, str]]:
    """Return the comparison that the caller means, where it goes, and the hashes of its loose code.

    Args:
        grid: the comparison itself, the path of its file, or the directory of one that was begun.
        out: where it goes; None for the default.
        code: hashes of loose code files by name; None for those of `code_paths`, unless `grid` is no path.
        code_paths: those files.

    Raises:
        ScenarioError: the file is no comparison.
        InputError: a directory that was begun and another `out`; or as `reopen`.
        LogDamagedError: the directory's record is not what was written.
    """
    if isinstance(grid, Grid):
        place = default_directory(grid) if out is None else out
        return _with_known_dials(grid, place), place, dict(code or {})
    path = Path(grid)
    if path.is_dir():
        if out is not None and out != path:
            what = "a comparison that was begun goes on where it is"
            raise InputError(what, str(path), "give the comparison file to begin it in another directory")
        grid, recorded = reopen(path, code_paths)
        return grid, path, recorded
    known = load_codes(code_paths) if code is None else dict(code)
    grid = load_grid(path, allow_code=code_paths)
    place = default_directory(grid) if out is None else out
    return _with_known_dials(grid, place), place, known


def _with_known_dials(grid: Grid, directory: Path) -> Grid:
    """Return the comparison with the dials that pilots in its directory have set."""
    if not grid.unset or not (directory / FILE).exists():
        return grid
    return make_grid(grid.asked, load_comparison_record(directory).dials)


def require_room(directory: Path) -> None:
    """Make the directory of a comparison.

    Raises:
        InputError: it is no directory, cannot be made, or holds something that is no comparison.
    """
    if directory.exists() and (not directory.is_dir() or _holds_something_else(Inside(directory))):
        raise InputError(
            "this directory is not empty and holds no comparison", str(directory), "name another one with --out"
        )
    try:
        make_private(directory)
        Inside(directory).make(RUNS)
    except OSError as error:
        raise InputError(f"the directory cannot be made: {error.strerror}", str(directory)) from None


def _holds_something_else(inside: Inside) -> bool:
    """Return whether a directory has neither a comparison nor just what the start of one leaves that was killed."""
    names = set(inside.names())
    begun = names <= {LOCK, HOLDER, RUNS, INPUTS} and not inside.names(RUNS)
    return FILE not in names and not begun


def finished_cells(grid: Grid, directory: Path) -> dict[str, bool]:
    """Return for each cell whether its run is finished already; only manifests are read."""
    found = {}
    inside = Inside(directory)
    for cell in grid.cells:
        try:
            inside.has_directory(f"{RUNS}/{cell.id}")
            found[cell.id] = load_manifest(directory / RUNS / cell.id).status == "finished"
        except LogDamagedError:
            found[cell.id] = False
    return found


def reopen_failed(grid: Grid, directory: Path) -> list[str]:
    """Have failed turns of finished runs made again when the comparison goes on; return the names of these runs.

    Raises:
        RunLockedError: somebody is at one of them.
        LogDamagedError: one is not what was written.
    """
    done = finished_cells(grid, directory)
    return [cell.id for cell in grid.cells if done[cell.id] and reopen_run(directory / RUNS / cell.id)]


def begin(grid: Grid, directory: Path, code: Mapping[str, str], *, instead_of: str | None = None) -> ComparisonRecord:
    """Write down what is asked for and return it; runs that are there already are checked to be of it.

    To be called under the lock of the directory.

    Args:
        grid: the comparison.
        directory: where it goes.
        code: hashes of its loose code.
        instead_of: hash of the same comparison before its dials were set, which counts as no smaller one.

    Raises:
        InputError: a run or a file that is there belongs to another comparison, or a scenario holds a secret.
    """
    for cell in grid.cells:
        if cell.seed == grid.cells[0].seed:  # cells of other seeds say the same
            refuse_secrets(cell.scenario)
    inputs: dict[str, bytes] = {}
    for cell in grid.cells:
        inputs.update(input_files(cell.scenario))
    earlier: list[str] = []
    if (directory / FILE).exists():
        old = load_comparison_record(directory)
        same = old.hash in (grid.hash, instead_of)
        earlier = list(old.earlier) if same else [*old.earlier, old.hash]
        changed = [name for name, found in old.inputs.items() if name in inputs and _sha256(inputs[name]) != found]
        if changed:
            raise InputError(
                f"{changed[0]} is not what it was when this comparison began",
                str(directory),
                "name another directory with --out: its runs would not be on the same tasks",
            )
    inside = Inside(directory)
    for cell in grid.cells:
        if inside.has_directory(f"{RUNS}/{cell.id}") and (directory / RUNS / cell.id / NAME).exists():
            try:
                require_same(directory / RUNS / cell.id, cell.scenario)
            except LogDamagedError:  # told when its turn comes; it does not keep the others from being made
                continue
    for name, content in inputs.items():
        inside.write(f"{INPUTS}/{name}", content)
    record = _record(grid, inputs, code, earlier)
    record.save(directory)
    return record


def _record(grid: Grid, inputs: Mapping[str, bytes], code: Mapping[str, str], earlier: list[str]) -> ComparisonRecord:
    """Return what is written down of a comparison of which nothing has been carried out yet."""
    return ComparisonRecord(
        name=grid.name,
        description=grid.asked.comparison.description,
        asked=grid.asked.draft.data,
        text_hash=grid.asked.text_hash,
        hash=grid.hash,
        organisations=grid.asked.organisations,
        baseline=grid.asked.baseline,
        matched=grid.matched,
        inputs={name: _sha256(content) for name, content in inputs.items()},
        code=dict(code),
        earlier=earlier,
        dials=[one.dial for one in grid.levels],
        cells=[
            CellRecord(
                id=cell.id,
                organisation=cell.organisation,
                n_agents=cell.n_agents,
                count=cell.count,
                budget=cell.budget,
                tasks=cell.tasks,
                seed=cell.seed,
                run=f"{RUNS}/{cell.id}",
                scenario_hash=cell.hash,
            )
            for cell in grid.cells
        ],
    )


def reopen(directory: Path, code_paths: Sequence[Path] = ()) -> tuple[Grid, dict[str, str]]:
    """Return the grid of a comparison that was begun and the hashes of its loose code.

    Files that it names are found in its copies. Nothing of the code runs before it is known to be what was recorded.

    Raises:
        LogDamagedError: the record or a copy is not what was written.
        InputError: it needs loose code that was not given, or this version makes other runs of it.
    """
    record = load_comparison_record(directory)
    code = load_recorded(code_paths, record.code, "this comparison", directory)
    use_inputs(directory, record.inputs, "comparison")
    grid = make_grid(stored_comparison(record.asked, str(directory / FILE), record.text_hash), record.dials)
    if grid.hash != record.hash:
        raise InputError(
            "this version of agentsoc makes other runs of this comparison than the one that began it",
            str(directory),
            "use the version that began it: see versions in the manifests of its runs",
        )
    return grid, code


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
