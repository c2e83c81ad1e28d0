"""This module keeps a copy of a comparison that is under way somewhere else, and brings it back.

Each of its runs has a copy of its own, which can be resumed at any moment; ``comparison.json`` and the files that the
comparison names stand beside them. Results and reports are not copied: the same command makes them again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from agentsoc.engine.copy_place import get
from agentsoc.engine.sync import EVERY_S, WRITER, Synced, TakenError, arriving, get_record, require_own_run, take_run
from agentsoc.errors import InputError, LogDamagedError, RunFailedError
from agentsoc.log.comparison import FILE, ComparisonRecord, load_comparison_record
from agentsoc.log.inside import READ_MAX, Inside, by_umask
from agentsoc.log.manifest import NAME, load_manifest
from agentsoc.log.names import INPUTS
from agentsoc.log.parcel import Entry, require_expected


class SyncedComparison(Synced):
    """The copy follows the comparison from `with` to its end, in a thread of its own, run by run."""

    _what: ClassVar[str] = "comparison"
    _go_on: ClassVar[str] = "compare"

    def __init__(
        self, directory: Path, address: str, notices: list[str], *, every_s: float = EVERY_S, umask: bool = False
    ) -> None:
        """Prepare; see `Synced`. `umask` is that of the comparison, also where it has begun."""
        self._runs: dict[str, Synced] = {}
        super().__init__(directory, address, notices, every_s=every_s, umask=umask)

    def _has_umask(self) -> bool:
        return False  # its record does not say it in one place

    def _require_own(self, scratch: Path) -> None:
        """Refuse a place where anything is but a copy of this comparison, or of a smaller one that it grew out of.

        It is refused as well where a run there has what that run has not here: it would be paid for again, and its copy
        would fail.
        """
        there = self._place.sizes()
        if not there.keys() - {WRITER}:
            return
        elsewhere = "name another place with --sync"
        if not (self._directory / FILE).exists():
            first = min(there.keys() - {WRITER})[:100]
            what = "there is a comparison already" if FILE in there else f"something is there already: {first}"
            raise InputError(what, self._place.shown, elsewhere)
        own = load_comparison_record(self._directory)
        records = [own]
        if FILE in there:  # else the first copy was cut off
            get_record(self._place, FILE, scratch, there[FILE])
            other = load_comparison_record(scratch)
            if other.hash not in (own.hash, *own.earlier):
                raise InputError("another comparison is there", self._place.shown, elsewhere)
            records.append(other)
        try:
            runs = files_of_runs(there, records, self._place.shown)
        except LogDamagedError as error:
            raise InputError(f"something is there already: {error}", self._place.shown, elsewhere) from None
        for name, files in runs.items():
            if files:
                self._require_own_run(name, files)

    def _require_own_run(self, name: str, files: dict[str, int]) -> None:
        """Refuse a place where a run is that is not here, or that has what the run here has not."""
        place, directory = self._place.below(name), self._directory / name
        elsewhere = "name another place with --sync"
        if (directory / NAME).exists():
            with tempfile.TemporaryDirectory() as scratch:
                require_own_run(place, files, directory, Path(scratch))
        elif NAME in files:
            what = "the copy there has a run that the comparison here has not"
            raise InputError(what, place.shown, f"--from there goes on with it in a new directory, or {elsewhere}")
        else:  # its first copy was cut off, and the run was lost: it is made again
            inputs = [one.removeprefix(f"{INPUTS}/") for one in files if one.startswith(f"{INPUTS}/")]
            try:
                require_expected([Entry(*one) for one in files.items() if one[0] != WRITER], inputs, place.shown)
            except LogDamagedError as error:
                raise InputError(f"something is there already: {error}", place.shown, elsewhere) from None

    def copy(self) -> None:
        """Bring the copy up to date; a run that cannot be copied keeps no other from it.

        Raises:
            Exception: what the first run that could not be copied gave, whatever a library raises.
        """
        self._require_mine()
        if Inside(self._directory).look(FILE) is None:  # it has not begun
            return
        content = Inside(self._directory).read(FILE)
        with tempfile.TemporaryDirectory() as path, by_umask(self._umask):
            (Path(path) / FILE).write_bytes(content)
            record = load_comparison_record(Path(path))
            for name, digest in record.inputs.items():
                self._put(self._directory / INPUTS / name, f"{INPUTS}/{name}", digest)
            if self._there.get(FILE) != content:
                self._require_mine()  # what was copied before may have taken long
                self._put(Path(path) / FILE, FILE, content)
        errors = [error for error in map(self._copied, runs_of(record)) if error is not None]
        if errors:
            raise errors[0]

    def _copied(self, name: str) -> Exception | None:
        """Bring the copy of a run up to date; return what went wrong.

        Raises:
            TakenError: another command writes the copy of the comparison now.
        """
        try:
            inside = Inside(self._directory)
            if inside.look(f"{name}/{NAME}") is None:
                return None
            content = inside.read(f"{name}/{NAME}")
            if self._there.get(name) == content:
                return None
            self._require_mine()
            if name not in self._runs:
                place = self._place.below(name)
                self._runs[name] = Synced(self._directory / name, place, [], umask=self._umask)
            self._copy_run(self._runs[name])
            if load_manifest(self._directory / name).status != "running":
                self._there[name] = content
                self._runs.pop(name)
        except TakenError:
            raise
        except Exception as error:  # whatever a library of fsspec's raises
            return error
        return None

    def _copy_run(self, run: Synced) -> None:
        try:
            run.copy()
        except TakenError:  # of this run alone
            raise RunFailedError("another command writes the copy of this run", run.shown) from None


def runs_of(record: ComparisonRecord) -> Iterator[str]:
    """Yield the directories of the runs and pilots of a comparison, relative to its own."""
    yield from (cell.run for cell in record.cells)
    yield from (name for dial in record.dials for name in dial.pilots)


def files_of_runs(
    sizes: Mapping[str, int], records: Sequence[ComparisonRecord], place: str
) -> dict[str, dict[str, int]]:
    """Return for each run and pilot the sizes of its files, by their names in its directory (bytes).

    Args:
        sizes: of all files at a place (bytes).
        records: what the comparison is, and what it was before.
        place: for messages.

    Raises:
        LogDamagedError: there is a file that no such comparison has.
    """
    runs: dict[str, dict[str, int]] = {name: {} for record in records for name in runs_of(record)}
    known = {FILE, WRITER, *(f"{INPUTS}/{name}" for record in records for name in record.inputs)}
    for name, size in sizes.items():
        above = (name[:at] for at, letter in enumerate(name) if letter == "/")
        run = next((one for one in above if one in runs), None)
        if run is not None:
            runs[run][name[len(run) + 1 :]] = size
        elif name not in known:
            raise LogDamagedError(f"no comparison has a file of this name: {name[:200]!r}", place)
    return runs


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
        get_record(place, FILE, staging, sizes[FILE])
        record = load_comparison_record(staging)
        runs = files_of_runs(sizes, [record], place.shown)
        for name in (f"{INPUTS}/{name}" for name in record.inputs):
            if name in sizes:
                get(place, name, staging, min(sizes[name], READ_MAX))
        for run, files in runs.items():
            if NAME in files:
                take_run(place, {f"{run}/{name}": size for name, size in files.items()}, staging, f"{run}/")
