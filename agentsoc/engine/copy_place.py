"""This module reaches the place where a copy of a run is kept: `place_at`, for any address that fsspec knows.

A place is not trusted. A directory of this machine is read and written without following a link or waiting at a pipe,
and what is written there is for its owner alone, as runs are. Whatever else fsspec reaches may hang, lie about sizes or
pass on messages with passwords in them: each thing that is asked of it has a time limit, no more is read than was
announced, and errors are said without what looks like a secret.
"""

from __future__ import annotations

import contextlib
import io
import os
import posixpath
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from agentsoc.backends.secrets import redact
from agentsoc.errors import InputError, LogDamagedError, MissingExtraError
from agentsoc.log.inside import READ_MAX, TEMPORARY, Inside, directory_mode, temporary_name
from agentsoc.log.parcel import CHUNK, new_file

PATIENCE_S: Final = 60.0
"""Time in which a place answers what needs no data to be moved (seconds)."""
FILES_MAX: Final = 200_000
"""Most files at a place: those of a comparison of many thousand runs."""
SLOWEST: Final = 100_000
"""Speed that data have to move with beyond that (bytes/s)."""
_RENAMES: Final = frozenset({"sftp", "ssh"})
"""Kinds that write into the file that is there, and whose `mv` puts one file in the place of another in one step.

Object stores need it not: an object is there when all of it is. Of others (ftp, smb, webdav) it depends on the server.
"""

_T = TypeVar("_T")


class CopyPlace(Protocol):
    """A place holds files by their names."""

    shown: str
    """Its address as it may be printed."""

    def put(self, source: Path, name: str) -> None:
        """Write a file: a reader sees the old one or the new one, as far as the kind of place can promise it."""

    def sizes(self) -> dict[str, int]:
        """Return names and sizes of the files there; none where there is nothing (bytes)."""

    def pieces(self, name: str) -> Iterator[bytes]:
        """Yield the content of a file, in pieces of at most `CHUNK` bytes."""

    def below(self, name: str) -> CopyPlace:
        """Return the place in a directory of this one."""


class DiskPlace:
    """The place is a directory of this machine."""

    def __init__(self, base: Path, shown: str, within: str = "") -> None:
        self.base, self.shown = base, shown
        self._within = within
        """A directory in it with its slash, or nothing: no link on the way to it is followed either."""

    def put(self, source: Path, name: str) -> None:
        """Write a file whole; through no link, and readable as files of runs are."""
        self.base.mkdir(mode=directory_mode(), parents=True, exist_ok=True)
        with Inside(source.parent).opened(source.name) as file:
            Inside(self.base).write_pieces(self._within + name, _read(file))

    def sizes(self) -> dict[str, int]:
        """Return names and sizes of all that is there and no directory (bytes)."""
        found: dict[str, int] = {}
        if self._within and not Inside(self.base).has_directory(self._within.rstrip("/")):
            return found
        top = self.base / self._within
        for above, _, names in os.walk(top, onerror=_raise_unless_missing):
            for name in names:
                if TEMPORARY.fullmatch(name) is None:
                    path = Path(above, name)
                    found[path.relative_to(top).as_posix()] = path.lstat().st_size
            require_few(found, self.shown)
        return found

    def pieces(self, name: str) -> Iterator[bytes]:
        """Yield the content of an ordinary file."""
        with Inside(self.base).opened(self._within + name) as file:
            yield from _read(file)

    def below(self, name: str) -> DiskPlace:
        """Return the place in a directory of this one."""
        return DiskPlace(self.base, posixpath.join(self.shown, name), f"{self._within}{name}/")


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _read(file: io.BufferedReader) -> Iterator[bytes]:
    while piece := file.read(CHUNK):
        yield piece


class _Asker:
    """A library cannot be made to give up, so it is asked in a thread of its own, one thing at a time."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._asking: threading.Thread | None = None

    def ask(self, what: Callable[[], _T], n_bytes: int = 0) -> _T:
        """Return what the library answers.

        Raises:
            TimeoutError: it does not answer in time, or has not yet answered what it was asked before.
        """
        if self._asking is not None and self._asking.is_alive():
            raise TimeoutError("it has not answered what it was asked before")
        found: list[_T] = []
        failed: list[BaseException] = []

        def body() -> None:
            try:
                found.append(what())
            except BaseException as error:  # it is raised where it was asked
                failed.append(error)

        seconds = self._patience_s + n_bytes / SLOWEST
        self._asking = threading.Thread(target=body, daemon=True, name="copy-place")
        self._asking.start()
        self._asking.join(seconds)
        if failed:
            raise failed[0]
        if not found:
            raise TimeoutError(f"it did not answer within {seconds:.3g} s")
        return found[0]


class StorePlace:
    """The place is whatever else fsspec reaches."""

    def __init__(
        self, files: Any, base: str, shown: str, patience_s: float = PATIENCE_S, *, asker: _Asker | None = None
    ) -> None:
        self._files, self._base, self.shown = files, base, shown
        self._asker = asker or _Asker(patience_s)
        kinds = files.protocol  # one or several
        self._renames = not _RENAMES.isdisjoint((kinds,) if isinstance(kinds, str) else kinds)

    def _path(self, name: str) -> str:
        return posixpath.join(self._base, name)

    def below(self, name: str) -> StorePlace:
        """Return the place in a directory of this one; both have one connection, which is asked one thing at a time."""
        return StorePlace(self._files, self._path(name), posixpath.join(self.shown, name), asker=self._asker)

    def put(self, source: Path, name: str) -> None:
        """Write an object, which is there when all of it is; where that is not so, under another name at first."""
        path = self._path(name)

        def body() -> None:
            above, last = posixpath.split(path)
            self._files.makedirs(above, exist_ok=True)
            if self._renames:
                begun = posixpath.join(above, temporary_name(last))
                try:
                    self._files.put_file(str(source), begun)
                    self._files.mv(begun, path)
                except BaseException:
                    with contextlib.suppress(Exception):
                        self._files.rm_file(begun)
                    raise
            else:
                self._files.put_file(str(source), path)

        self._asker.ask(body, source.stat().st_size)

    def sizes(self) -> dict[str, int]:
        """Return names and sizes of the objects below the address, as far as they are told (bytes)."""

        def body() -> dict[str, Any]:
            self._files.invalidate_cache()
            try:
                found: dict[str, Any] = self._files.find(self._base, detail=True)
            except FileNotFoundError:
                return {}
            return found

        prefix = self._base.rstrip("/") + "/"
        found = self._asker.ask(body).items()
        sizes = {
            path[len(prefix) :]: int(about.get("size") or 0)
            for path, about in found
            if path.startswith(prefix) and TEMPORARY.fullmatch(posixpath.basename(path)) is None
        }
        require_few(sizes, self.shown)
        return sizes

    def pieces(self, name: str) -> Iterator[bytes]:
        """Yield the content of an object."""
        file = self._asker.ask(lambda: self._files.open(self._path(name), "rb"))
        try:
            while piece := self._asker.ask(lambda: bytes(file.read(CHUNK)), CHUNK):
                yield piece
        finally:
            with contextlib.suppress(Exception):  # what was read is read
                self._asker.ask(file.close)


def require_few(sizes: Mapping[str, int], place: str) -> None:
    """Refuse a place with more files than any copy has.

    Raises:
        LogDamagedError: it has.
    """
    if len(sizes) > FILES_MAX:
        raise LogDamagedError(f"more than {FILES_MAX:,} files are there", place)


def place_at(address: str) -> CopyPlace:
    """Return the place at an address.

    Raises:
        MissingExtraError: fsspec is not installed.
        InputError: this is no address of fsspec's, the package that this kind of address needs is not installed, or
            the place cannot be reached.
    """
    said = shown(address)
    if find_spec("fsspec") is None:
        raise MissingExtraError("a copy of the run elsewhere", "fsspec", "sync")
    from fsspec.core import url_to_fs
    from fsspec.implementations.local import LocalFileSystem

    asker = _Asker(PATIENCE_S)
    try:
        files, base = asker.ask(lambda: url_to_fs(address))  # some kinds connect here
    except ImportError as error:
        raise InputError(f"this address needs a package that is not installed: {in_words(error)}", said) from None
    except OSError as error:
        raise InputError(f"the place cannot be reached: {in_words(error)}", said) from None
    except Exception as error:
        raise InputError(f"this is no address that fsspec knows: {in_words(error)}", said) from None
    if isinstance(files, LocalFileSystem):
        return DiskPlace(Path(base), said)
    return StorePlace(files, base, said, asker=asker)


def get(place: CopyPlace, name: str, directory: Path, limit: int = READ_MAX) -> None:
    """Fetch a file of at most `limit` bytes into a directory where none of this name is.

    Raises:
        LogDamagedError: it is larger.
    """
    with new_file(directory, name) as file:
        for piece in place.pieces(name):
            limit -= len(piece)
            if limit < 0:
                raise LogDamagedError(f"{name} is larger than it said, or than it may be", place.shown)
            file.write(piece)


def require_apart(place: CopyPlace, directory: Path) -> None:
    """Refuse a place in the run directory, or around it: the copy would be written over the run.

    Raises:
        InputError: it is.
    """
    if not isinstance(place, DiskPlace):
        return
    run, copy = directory.resolve(), place.base.resolve()
    if run == copy or run in copy.parents or copy in run.parents:
        what = "a copy cannot be where the run is, nor in it or around it"
        raise InputError(what, place.shown, "name another directory with --sync")


def shown(address: str) -> str:
    """Return an address as it may be printed: without user, password and parameters."""
    return redact(re.sub(r"(?<=://)[^/]*@", "", address).partition("?")[0])[:300]


def in_words(error: BaseException) -> str:
    """Return what an error of a library says, as it may be printed."""
    text = " ".join(str(error).split()) or type(error).__name__
    return redact(re.sub(r"(?<=://)[^/\s]*@", "", text))[:300]
