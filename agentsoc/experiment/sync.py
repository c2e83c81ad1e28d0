"""This module keeps a copy of a comparison that is under way somewhere else, and brings it back.

Each of its runs has a copy of its own, which can be resumed at any moment; ``comparison.json`` and the files that the
comparison names stand beside them. Results and reports are not copied: the same command makes them again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from agentsoc.engine.copy_place import get
from agentsoc.engine.sync import EVERY_S, WRITER, Synced, arriving, take_run
from agentsoc.errors import InputError, LogDamagedError
from agentsoc.log.comparison import FILE, ComparisonRecord, load_comparison_record
from agentsoc.log.inside import READ_MAX, Inside
from agentsoc.log.manifest import NAME, load_manifest
from agentsoc.log.names import INPUTS


class SyncedComparison(Synced):
    """The copy follows the comparison from `with` to its end, in a thread of its own, run by run."""

    _what: ClassVar[str] = "comparison"
    _go_on: ClassVar[str] = "compare"

    def __init__(self, directory: Path, address: str, notices: list[str], *, every_s: float = EVERY_S) -> None:
        """Prepare; see `Synced`."""
        self._runs: dict[str, Synced] = {}
        self._address = address.rstrip("/")
        super().__init__(directory, address, notices, every_s=every_s)

    def _require_own(self, scratch: Path) -> None:
        """Refuse a place where anything is but a copy of this comparison, or of a smaller one that it grew out of."""
        there = self._place.sizes()
        there.pop(WRITER, None)
        if not there:
            return
        elsewhere = "name another place with --sync"
        if FILE not in there or not (self._directory / FILE).exists():
            what = (
                "there is a comparison already" if FILE in there else f"something is there already: {min(there)[:100]}"
            )
            raise InputError(what, self._place.shown, elsewhere)
        get(self._place, FILE, scratch, there[FILE])
        own, other = load_comparison_record(self._directory), load_comparison_record(scratch)
        if other.hash not in (own.hash, *own.earlier):
            raise InputError("another comparison is there", self._place.shown, elsewhere)

    def copy(self) -> None:
        """Bring the copy up to date; a run that cannot be copied keeps no other from it.

        Raises:
            Exception: what the first run that could not be copied gave, whatever a library raises.
        """
        with tempfile.TemporaryDirectory() as path:
            self._require_mine(Path(path))
            if Inside(self._directory).look(FILE) is None:  # it has not begun
                return
            content = Inside(self._directory).read(FILE)
            (Path(path) / FILE).write_bytes(content)
            record = load_comparison_record(Path(path))
            for name, digest in record.inputs.items():
                self._put(self._directory / INPUTS / name, f"{INPUTS}/{name}", digest)
            self._put(Path(path) / FILE, FILE, content)
        errors = [error for error in map(self._copied, runs_of(record)) if error is not None]
        if errors:
            raise errors[0]

    def _copied(self, name: str) -> Exception | None:
        """Bring the copy of a run up to date; return what went wrong."""
        try:
            inside = Inside(self._directory)
            if inside.look(f"{name}/{NAME}") is None:
                return None
            content = inside.read(f"{name}/{NAME}")
            if self._there.get(name) == content:
                return None
            if name not in self._runs:
                self._runs[name] = Synced(self._directory / name, f"{self._address}/{name}", [])
            self._runs[name].copy()
            if load_manifest(self._directory / name).status != "running":
                self._there[name] = content
                self._runs.pop(name)
        except Exception as error:  # whatever a library of fsspec's raises
            return error
        return None


def runs_of(record: ComparisonRecord) -> Iterator[str]:
    """Yield the directories of the runs and pilots of a comparison, relative to its own."""
    yield from (cell.run for cell in record.cells)
    yield from (name for dial in record.dials for name in dial.pilots)


def fetch_comparison(address: str, directory: Path) -> None:
    """Bring a copy of a comparison into a directory that is not there yet; runs that are not in it will be made.

    Args:
        address: where the copy is.
        directory: where the comparison goes.

    Raises:
        InputError: there is no copy at the address, or something is at `directory`.
        LogDamagedError: what is there is no comparison, or more than one may be.
        MissingExtraError: a package is missing.
    """
    with arriving(address, directory) as (place, sizes, staging):
        if FILE not in sizes:
            raise InputError("there is no copy of a comparison", place.shown)
        get(place, FILE, staging, sizes[FILE])
        record = load_comparison_record(staging)
        runs: dict[str, dict[str, int]] = {f"{name}/": {} for name in runs_of(record)}
        inputs = [f"{INPUTS}/{name}" for name in record.inputs]
        known = {FILE, WRITER, *inputs}
        for name, size in sizes.items():
            above = (name[: at + 1] for at, letter in enumerate(name) if letter == "/")
            run = next((one for one in above if one in runs), None)
            if run is not None:
                runs[run][name] = size
            elif name not in known:
                raise LogDamagedError(f"no comparison has a file of this name: {name[:200]!r}", place.shown)
        for name in inputs:
            if name in sizes:
                get(place, name, staging, min(sizes[name], READ_MAX))
        for run, own in runs.items():
            if run + NAME in own:
                take_run(place, own, staging, run)
