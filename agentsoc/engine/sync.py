"""This module keeps a copy of a run that is under way somewhere else: `Synced`, and `fetch`, which brings it back.

A run is on a local disk, because its journal is not safe on a network file system. The copy is made of what cannot
change any more (closed segments, copies of files), a consistent backup of the journal, and last the manifest: whenever
it is interrupted, what is there can be resumed, if the place replaces a file whole (`copy_place.py` says which do). Any
address of fsspec will do. Credentials are those that fsspec finds by itself; neither they nor the address are written
into the run.

One command writes a copy. Each puts a word of its own there when it begins, and looks for it before each copy and again
before the manifest: of two, the one that began last goes on, and the other one is told.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final

from agentsoc.engine.copy_place import CopyPlace, get, in_words, place_at, require_apart
from agentsoc.errors import AgentsocError, InputError, LogDamagedError, RunFailedError
from agentsoc.log.inside import Inside, by_umask, directory_mode
from agentsoc.log.journal import read_journal
from agentsoc.log.journal_file import reading
from agentsoc.log.manifest import NAME, SEAL, Manifest, load_manifest, seal
from agentsoc.log.names import EPISODES, EVENTS, INPUTS, JOURNAL, TASKS
from agentsoc.log.parcel import Entry, listed, require_expected
from agentsoc.log.record import SIZE_MAX

EVERY_S: Final = 60.0
"""How often the copy follows the run (seconds)."""
WRITER: Final = "writer"
"""Name of the word of the command that writes the copy; it is no file of the run."""
_WORD_MAX: Final = 100
"""Size up to which that word is read (bytes)."""


class TakenError(Exception):
    """Another command writes the copy now."""


class Synced:
    """The copy follows the run from `with` to its end, in a thread of its own; the run never waits for it."""

    _what: ClassVar[str] = "run"
    """What is copied, in a word."""
    _go_on: ClassVar[str] = "resume"
    """The verb that copies it again."""

    def __init__(
        self,
        directory: Path,
        address: str | CopyPlace,
        notices: list[str],
        *,
        every_s: float = EVERY_S,
        umask: bool = False,
    ) -> None:
        """Prepare, and see that nothing else is at the address.

        Args:
            directory: the run directory, of a run that is to begin or to go on.
            address: where the copy is to be; or the place itself.
            notices: told when a copy fails; the next one is tried all the same.
            every_s: time between two copies (seconds).
            umask: whether the umask decides who may open the copy, as the scenario says; else its owner alone. A run
                that has begun says it itself.

        Raises:
            InputError: another run is there, or the place cannot be reached.
            MissingExtraError: a package is missing.
        """
        self._directory, self._notices, self._every_s = directory, notices, every_s
        self._umask = umask or self._has_umask()
        self._place = place_at(address) if isinstance(address, str) else address
        require_apart(self._place, directory)
        self._word = secrets.token_hex(16).encode()
        self._taken = ""
        """What was said when another command had begun to write there."""
        self._there: dict[str, object] = {}
        """What has been copied: name -> what says that it is the same."""
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True, name="sync")
        try:
            with tempfile.TemporaryDirectory() as scratch, by_umask(self._umask):
                self._require_own(Path(scratch))
                (Path(scratch) / WRITER).write_bytes(self._word)
                self._place.put(Path(scratch) / WRITER, WRITER)
        except (InputError, RunFailedError):
            raise
        except (OSError, AgentsocError) as error:
            raise InputError(f"the copy cannot be kept there: {in_words(error)}", self._place.shown) from None
        except Exception as error:  # fsspec passes on what its libraries raise
            raise InputError(f"the place cannot be reached: {in_words(error)}", self._place.shown) from None

    @property
    def shown(self) -> str:
        """Where the copy is, as it may be printed."""
        return self._place.shown

    def _has_umask(self) -> bool:
        """Return whether a run that has begun has files with the rights that the umask leaves."""
        return (self._directory / NAME).exists() and _is_by_umask(load_manifest(self._directory))

    def _require_own(self, scratch: Path) -> None:
        """Refuse a place where anything is but a copy of this run, or one that has what this run has not."""
        require_own_run(self._place, self._place.sizes(), self._directory, scratch)

    def _require_mine(self) -> None:
        """Raise `TakenError` unless the word at the place is the one of this command."""
        with tempfile.TemporaryDirectory() as scratch:
            get(self._place, WRITER, Path(scratch), _WORD_MAX)
            if (Path(scratch) / WRITER).read_bytes() != self._word:
                raise TakenError

    def __enter__(self) -> Synced:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        failed = self._try()
        if failed and error is None:
            raise RunFailedError(
                f"the {self._what} is whole in {self._directory}, and its copy at {self._place.shown} is not: {failed}",
                str(self._directory),
                f"to copy it: agentsoc {self._go_on} {self._directory} --sync {self._place.shown}",
            )

    def _follow(self) -> None:
        while not self._done.wait(self._every_s):
            self._try()

    def _try(self) -> str:
        """Bring the copy up to date; return what went wrong, after saying it."""
        if self._taken:
            return self._taken
        try:
            self.copy()
        except TakenError:
            self._taken = "another command has begun to write there"
            self._notices.append(f"no more copies are made at {self._place.shown}: {self._taken}")
            return self._taken
        except Exception as error:  # whatever a library of fsspec's raises, the run goes on
            said = in_words(error)
            self._notices.append(f"the copy at {self._place.shown} failed and is tried again: {said}")
            return said
        return ""

    def copy(self) -> None:
        """Bring the copy up to date: first what a manifest names, then the manifest."""
        inside = Inside(self._directory)
        if inside.look(NAME) is None:  # the run has not begun
            return
        content = inside.read(NAME)
        with tempfile.TemporaryDirectory() as path:
            scratch = Path(path)
            self._require_mine()
            snapshot = scratch / NAME
            snapshot.write_bytes(content)
            (scratch / SEAL).write_bytes(seal(content))
            manifest = load_manifest(scratch)
            with by_umask(self._umask):
                self._copy_fixed(manifest)
                self._copy_journal(manifest, scratch / JOURNAL)
                if manifest.episodes_file is not None:
                    self._put(self._directory / EPISODES, EPISODES, manifest.episodes_file)
                if self._there.get(NAME) != content:
                    self._require_mine()  # what was copied before may have taken long
                    # the seal of a manifest that is not there yet makes no copy: that has the one before as well
                    self._place.put(scratch / SEAL, SEAL)
                    self._place.put(snapshot, NAME)
                    self._there[NAME] = content

    def _copy_fixed(self, manifest: Manifest) -> None:
        self._put(self._directory / TASKS, TASKS, manifest.tasks_file)
        for name, digest in manifest.inputs.items():
            self._put(self._directory / INPUTS / name, f"{INPUTS}/{name}", digest)
        for segment in manifest.segments:
            self._put(self._directory / EVENTS / segment.file, f"{EVENTS}/{segment.file}", segment.digest)

    def _copy_journal(self, manifest: Manifest, scratch: Path) -> None:
        """Copy the journal as it is now, which is never behind the events of the manifest."""
        path = self._directory / JOURNAL
        if Inside(self._directory).look(JOURNAL) is None:
            return
        if manifest.status != "running" and manifest.journal_file is not None:
            self._put(path, JOURNAL, manifest.journal_file)  # nobody writes it any more, and its bytes are pinned
            return
        with reading(path) as source, contextlib.closing(sqlite3.connect(scratch)) as target:
            source.backup(target)
        self._place.put(scratch, JOURNAL)
        self._there.pop(JOURNAL, None)

    def _put(self, source: Path, name: str, mark: object) -> None:
        Inside(self._directory).look(name)  # no link is followed
        if self._there.get(name) != mark or mark is None:
            self._place.put(source, name)
            self._there[name] = mark


def _is_by_umask(manifest: Manifest) -> bool:
    return manifest.scenario.get("engine", {}).get("umask") is True


def require_own_run(place: CopyPlace, sizes: Mapping[str, int], directory: Path, scratch: Path) -> None:
    """Refuse a place where anything is but a copy of a run, or one that has what the run has not.

    Args:
        place: where the copy is.
        sizes: of the files there (bytes).
        directory: the run.
        scratch: an empty directory.

    Raises:
        InputError: there is.
    """
    there = {name: size for name, size in sizes.items() if name != WRITER}
    if not there:
        return
    elsewhere = "name another place with --sync"
    if not (directory / NAME).exists():
        what = "there is a run already" if NAME in there else f"something is there already: {min(there)[:100]}"
        raise InputError(what, place.shown, elsewhere)
    own = load_manifest(directory)
    try:
        require_expected([Entry(*one) for one in there.items()], own.inputs, place.shown)
    except LogDamagedError as error:
        raise InputError(f"something else is there already: {error}", place.shown, elsewhere) from None
    if NAME not in there:  # the first copy was cut off
        return
    get_record(place, NAME, scratch, there[NAME])
    other = load_manifest(scratch)
    if (own.scenario_hash, own.seed) != (other.scenario_hash, other.seed):
        raise InputError("another run is there", place.shown, elsewhere)
    if JOURNAL in there:
        get(place, JOURNAL, scratch, there[JOURNAL])
        if n := _missing(scratch / JOURNAL, directory):
            what = f"the copy there has {n:,} replies that the run here has not"
            raise InputError(what, place.shown, f"--from there goes on with them in a new directory, or {elsewhere}")


def _missing(journal: Path, directory: Path) -> int:
    """Return how many replies of a journal are not in that of a run."""
    answered = {row.key: row.reply for row in read_journal(journal) if row.state in ("done", "superseded")}
    if Inside(directory).look(JOURNAL) is None:
        return len(answered)
    for row in read_journal(directory / JOURNAL):
        if row.state != "started" and answered.get(row.key, row) == row.reply:
            del answered[row.key]
    return len(answered)


def fetch(address: str, directory: Path) -> None:
    """Bring a copy of a run into a directory that is not there yet, to be resumed, replayed or read.

    Args:
        address: where the copy is.
        directory: where the run goes.

    Raises:
        InputError: there is no copy at the address, or something is at `directory`.
        LogDamagedError: what is there is no run, or more than a run may be.
        MissingExtraError: a package is missing.
    """
    with arriving(address, directory) as (place, sizes, staging):
        if NAME not in sizes:
            raise InputError("there is no copy of a run", place.shown)
        take_run(place, sizes, staging)


@contextlib.contextmanager
def arriving(address: str, directory: Path) -> Iterator[tuple[CopyPlace, dict[str, int], Path]]:
    """Yield a place, the sizes of its files, and a new directory, which becomes `directory` when all went well.

    Raises:
        InputError: something is at `directory`, or the place cannot be reached.
        MissingExtraError: a package is missing.
    """
    if directory.exists():
        raise InputError("something is there already", str(directory), "name a directory that is not there yet")
    place = place_at(address)
    staging = directory.with_name(f".{directory.name[:100]}.{secrets.token_hex(4)}.incoming")
    try:
        sizes = place.sizes()
        directory.parent.mkdir(parents=True, exist_ok=True)
        staging.mkdir(mode=directory_mode())
        yield place, sizes, staging
        staging.rename(directory)
    except AgentsocError:
        raise
    except Exception as error:  # fsspec passes on what its libraries raise
        raise InputError(f"the copy cannot be fetched: {in_words(error)}", place.shown) from None
    finally:
        if staging.is_dir():
            shutil.rmtree(staging)


def get_record(place: CopyPlace, name: str, directory: Path, size: int) -> None:
    """Fetch a manifest, or another record, whose `size` the place says (bytes).

    Raises:
        LogDamagedError: it is larger than it said, or than a record may be: then nothing is fetched.
    """
    if size > SIZE_MAX:
        raise LogDamagedError(f"{name} has {size:,} bytes, of {SIZE_MAX:,} at most", place.shown)
    get(place, name, directory, size)


def take_run(place: CopyPlace, sizes: Mapping[str, int], staging: Path, below: str = "") -> None:
    """Fetch the files of a run.

    Args:
        place: where they are.
        sizes: of all files there (bytes).
        staging: a directory that was made for them; they go to the same names in it.
        below: what their names begin with there: nothing, or a directory with its slash.

    Raises:
        LogDamagedError: there are others, or they are larger than those of a run may be.
    """
    get_record(place, below + NAME, staging, sizes[below + NAME])
    inputs = load_manifest(staging / below).inputs
    found = ((name[len(below) :], size) for name, size in sizes.items() if name.startswith(below))
    entries = [Entry(name, size) for name, size in found if name != WRITER]
    require_expected(entries, inputs, place.shown)
    for name, size in entries:
        if name != NAME:
            get(place, below + name, staging, size)
    listed(staging / below, inputs)
