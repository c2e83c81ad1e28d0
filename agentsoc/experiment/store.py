"""The directory of a comparison: begun, taken up again, or grown by cells that it did not have.

comparison.json      what was asked, its runs and how far they are
inputs/              copies of the files that the comparison names
runs/<cell id>/      ordinary run directories
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from agentsoc.engine.inputs import input_files
from agentsoc.engine.run import refuse_secrets
from agentsoc.errors import InputError, LogDamagedError
from agentsoc.experiment.cell import require_same
from agentsoc.experiment.comparison import stored_comparison
from agentsoc.experiment.grid import Grid, make_grid
from agentsoc.log.comparison import FILE, RUNS, CellRecord, ComparisonRecord, load_comparison_record
from agentsoc.log.files import write_whole
from agentsoc.log.manifest import NAME, load_manifest
from agentsoc.log.read import INPUTS
from agentsoc.scenario.code import load_recorded
from agentsoc.scenario.files import BASE_DIR

DEFAULT: Final = Path("comparisons")


def default_directory(grid: Grid) -> Path:
    """Return where a comparison goes unless it is told."""
    return DEFAULT / grid.name


def require_room(directory: Path) -> None:
    """Make the directory of a comparison.

    Raises:
        InputError: it is no directory, cannot be made, or holds something that is no comparison.
    """
    if directory.exists() and not (directory / FILE).exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise InputError(
            "this directory is not empty and holds no comparison", str(directory), "name another one with --out"
        )
    try:
        (directory / RUNS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"the directory cannot be made: {error.strerror}", str(directory)) from None


def finished_cells(grid: Grid, directory: Path) -> dict[str, bool]:
    """Return for each cell whether its run is finished already; only manifests are read."""
    found = {}
    for cell in grid.cells:
        try:
            found[cell.id] = load_manifest(directory / RUNS / cell.id).status == "finished"
        except LogDamagedError:
            found[cell.id] = False
    return found


def begin(grid: Grid, directory: Path, code: Mapping[str, str]) -> ComparisonRecord:
    """Write down what is asked for and return it; runs that are there already are checked to be of it.

    To be called under the lock of the directory.

    Raises:
        InputError: a run or a file that is there belongs to another comparison, or a scenario holds a secret.
    """
    for cell in grid.cells:
        if cell.seed == grid.cells[0].seed:  # the others say the same
            refuse_secrets(cell.scenario)
    inputs: dict[str, bytes] = {}
    for cell in grid.cells:
        inputs.update(input_files(cell.scenario))
    earlier: list[str] = []
    if (directory / FILE).exists():
        old = load_comparison_record(directory)
        earlier = [*old.earlier, old.hash] if old.hash != grid.hash else list(old.earlier)
        changed = [name for name, found in old.inputs.items() if name in inputs and _sha256(inputs[name]) != found]
        if changed:
            raise InputError(
                f"{changed[0]} is not what it was when this comparison began",
                str(directory),
                "name another directory with --out: its runs would not be on the same tasks",
            )
    for cell in grid.cells:
        if (directory / RUNS / cell.id / NAME).exists():
            try:
                require_same(directory / RUNS / cell.id, cell.scenario)
            except LogDamagedError:  # told when its turn comes; it does not keep the others from being made
                continue
    for name, content in inputs.items():
        (directory / INPUTS / name).parent.mkdir(parents=True, exist_ok=True)
        write_whole(directory / INPUTS / name, content)
    record = ComparisonRecord(
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
        cells=[
            CellRecord(
                id=cell.id,
                organisation=cell.organisation,
                n_agents=cell.n_agents,
                count=cell.count,
                tasks=cell.tasks,
                seed=cell.seed,
                run=f"{RUNS}/{cell.id}",
                scenario_hash=cell.hash,
            )
            for cell in grid.cells
        ],
    )
    record.save(directory)
    return record


def reopen(directory: Path, code_paths: Sequence[Path] = ()) -> tuple[Grid, dict[str, str]]:
    """Return the grid of a comparison that was begun and the hashes of its loose code.

    Files that it names are found in its copies. Nothing of the code runs before it is known to be what was recorded.

    Raises:
        LogDamagedError: the record or a copy is not what was written.
        InputError: it needs loose code that was not given, or this version makes other runs of it.
    """
    record = load_comparison_record(directory)
    code = load_recorded(code_paths, record.code, "this comparison", directory)
    for name, digest in record.inputs.items():
        path = directory / INPUTS / name
        try:
            found = _sha256(path.read_bytes())
        except OSError as error:
            raise LogDamagedError(f"a file of the comparison cannot be read: {error.strerror}", str(path)) from None
        if found != digest:
            raise LogDamagedError("a file of the comparison is not what it was", str(path))
    if record.inputs:
        BASE_DIR.set(directory / INPUTS)
    grid = make_grid(stored_comparison(record.asked, str(directory / FILE), record.text_hash))
    if grid.hash != record.hash:
        raise InputError(
            "this version of agentsoc makes other runs of this comparison than the one that began it",
            str(directory),
            "use the version that began it: see versions in the manifests of its runs",
        )
    return grid, code


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
