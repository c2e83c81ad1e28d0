"""This module keeps a copy of a run that is under way somewhere else: `Synced`, and `fetch`, which brings it back.

A run is on a local disk, because its journal is not safe on a network file system. The copy is made of what cannot
change any more (closed segments, copies of files), a consistent backup of the journal, and last the manifest: whenever
it is interrupted, what is there can be resumed. Any address of fsspec will do. Credentials are those that fsspec finds
by itself; neither they nor the address are written into the run.
"""

from __future__ import annotations

import contextlib
import posixpath
import re
import shutil
import sqlite3
import tempfile
import threading
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from agentsoc.backends.secrets import redact
from agentsoc.errors import AgentsocError, InputError, LogDamagedError, MissingExtraError, RunFailedError
from agentsoc.log.inside import READ_MAX, Inside, directory_mode
from agentsoc.log.journal_file import reading
from agentsoc.log.manifest import NAME, SEAL, Manifest, load_manifest, seal
from agentsoc.log.names import EPISODES, EVENTS, INPUTS, JOURNAL, TASKS
from agentsoc.log.parcel import CHUNK, Entry, listed, require_expected

EVERY_S: Final = 60.0
"""How often the copy follows the run (seconds)."""
_PART: Final = ".part"
"""What a file's name ends with until it is whole, where names can be changed in one step."""


class CopyPlace:
    """A place is an address of fsspec at which a copy is, or is to be."""

    def __init__(self, address: str) -> None:
        """Open the place.

        Raises:
            MissingExtraError: fsspec, or the package that this kind of address needs, is not installed.
            InputError: this is no address of fsspec's.
        """
        self.shown = shown(address)
        if find_spec("fsspec") is None:
            raise MissingExtraError("a copy of the run elsewhere", "fsspec", "sync")
        from fsspec.core import url_to_fs

        try:
            self._fs, self._base = url_to_fs(address)
        except ImportError as error:
            raise InputError(f"this address needs a package that is not installed: {error}", self.shown) from None
        except Exception as error:
            raise InputError(f"this is no address that fsspec knows: {_said(error)}", self.shown) from None
        protocol = self._fs.protocol
        self._renames = "file" in ((protocol,) if isinstance(protocol, str) else protocol)

    def _path(self, name: str) -> str:
        return posixpath.join(self._base, name)

    def put(self, source: Path, name: str) -> None:
        """Write a file whole: a reader sees the old one or the new one."""
        path = self._path(name)
        self._fs.makedirs(posixpath.dirname(path), exist_ok=True)
        if self._renames:
            self._fs.put_file(str(source), path + _PART)
            self._fs.mv(path + _PART, path)
        else:  # an object is there when all of it is
            self._fs.put_file(str(source), path)

    def get(self, name: str, target: Path, limit: int = READ_MAX) -> None:
        """Fetch a file of at most `limit` bytes.

        Raises:
            LogDamagedError: it is larger.
        """
        target.parent.mkdir(mode=directory_mode(), parents=True, exist_ok=True)
        with self._fs.open(self._path(name), "rb") as source, target.open("xb") as file:
            while piece := source.read(CHUNK):
                limit -= len(piece)
                if limit < 0:
                    raise LogDamagedError(f"{name} is larger than it said, or than it may be", self.shown)
                file.write(piece)

    def sizes(self) -> dict[str, int]:
        """Return names and sizes of the files there, as far as they are; none where there is nothing (bytes)."""
        self._fs.invalidate_cache()
        try:
            found: dict[str, Any] = self._fs.find(self._base, detail=True)
        except FileNotFoundError:
            return {}
        prefix = self._base.rstrip("/") + "/"
        return {
            path.removeprefix(prefix): int(about.get("size") or 0)
            for path, about in found.items()
            if path.startswith(prefix) and not path.endswith(_PART)
        }


def shown(address: str) -> str:
    """Return an address as it may be printed: without user, password and parameters."""
    return redact(re.sub(r"(?<=://)[^/@]*@", "", address).partition("?")[0])[:300]


def _said(error: BaseException) -> str:
    return redact(" ".join(str(error).split()) or type(error).__name__)[:300]


class Synced:
    """The copy follows the run from `with` to its end, in a thread of its own; the run never waits for it."""

    def __init__(self, directory: Path, address: str, notices: list[str], *, every_s: float = EVERY_S) -> None:
        """Prepare, and see that nothing else is at the address.

        Args:
            directory: the run directory, of a run that is to begin or to go on.
            address: where the copy is to be.
            notices: told when a copy fails; the next one is tried all the same.
            every_s: time between two copies (seconds).

        Raises:
            InputError: another run is there, or the place cannot be reached.
            MissingExtraError: a package is missing.
        """
        self._directory, self._notices, self._every_s = directory, notices, every_s
        self._place = CopyPlace(address)
        self._there: dict[str, object] = {}
        """What has been copied: name -> what says that it is the same."""
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True, name="sync")
        self._require_own()

    def _require_own(self) -> None:
        """Refuse a place where another run is: its files would be mixed with ours."""
        try:
            if NAME not in self._place.sizes():
                return
            with tempfile.TemporaryDirectory() as scratch:
                self._place.get(NAME, Path(scratch) / NAME)
                other = load_manifest(Path(scratch))
        except (OSError, AgentsocError) as error:
            raise InputError(f"the copy cannot be kept there: {_said(error)}", self._place.shown) from None
        except Exception as error:  # fsspec passes on what its libraries raise
            raise InputError(f"the place cannot be reached: {_said(error)}", self._place.shown) from None
        own = load_manifest(self._directory) if (self._directory / NAME).exists() else None
        if own is None or (own.scenario_hash, own.seed) != (other.scenario_hash, other.seed):
            what = "there is a run already" if own is None else "another run is there"
            raise InputError(what, self._place.shown, "name another place with --sync")

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
                f"the run is whole in {self._directory}, and its copy at {self._place.shown} is not: {failed}",
                str(self._directory),
                f"to copy it: agentsoc resume {self._directory} --sync {self._place.shown}",
            )

    def _follow(self) -> None:
        while not self._done.wait(self._every_s):
            self._try()

    def _try(self) -> str:
        """Bring the copy up to date; return what went wrong, after saying it."""
        try:
            self.copy()
        except Exception as error:  # whatever a library of fsspec's raises, the run goes on
            said = _said(error)
            self._notices.append(f"the copy at {self._place.shown} failed and is tried again: {said}")
            return said
        return ""

    def copy(self) -> None:
        """Bring the copy up to date: first what a manifest names, then the manifest."""
        inside = Inside(self._directory)
        if inside.look(NAME) is None:  # the run has not begun
            return
        content = inside.read(NAME)
        with tempfile.TemporaryDirectory() as scratch:
            snapshot = Path(scratch) / NAME
            snapshot.write_bytes(content)
            (Path(scratch) / SEAL).write_bytes(seal(content))
            manifest = load_manifest(Path(scratch))
            self._copy_fixed(manifest)
            self._copy_journal(manifest, Path(scratch) / JOURNAL)
            if manifest.episodes_file is not None:
                self._put(self._directory / EPISODES, EPISODES, manifest.episodes_file)
            if self._there.get(NAME) != content:
                # the seal of a manifest that is not there yet makes no copy: that has the one before as well
                self._place.put(Path(scratch) / SEAL, SEAL)
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
    if directory.exists():
        raise InputError("something is there already", str(directory), "name a directory that is not there yet")
    place = CopyPlace(address)
    staging = directory.with_name(f".{directory.name}.incoming")
    try:
        sizes = place.sizes()
        if NAME not in sizes:
            raise InputError("there is no copy of a run", place.shown)
        directory.parent.mkdir(parents=True, exist_ok=True)
        staging.mkdir(mode=directory_mode())
        place.get(NAME, staging / NAME)
        inputs = load_manifest(staging).inputs
        entries = [Entry(name, size) for name, size in sizes.items()]
        require_expected(entries, inputs, place.shown)
        for name, size in entries:
            if name != NAME:
                place.get(name, staging / name, size)
        listed(staging, inputs)
        staging.rename(directory)
    except AgentsocError:
        raise
    except Exception as error:  # fsspec passes on what its libraries raise
        raise InputError(f"the copy cannot be fetched: {_said(error)}", place.shown) from None
    finally:
        if staging.is_dir():
            shutil.rmtree(staging)
