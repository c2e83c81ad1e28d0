"""This module reaches the place where a copy of a run is kept: `place_at`, for any address that fsspec knows.

A place is not trusted. A directory of this machine is read and written without following a link or waiting at a pipe,
and what is written there is for its owner alone, as runs are. Whatever else fsspec reaches may hang, lie about sizes or
pass on messages with passwords in them: each thing that is asked of it has a time limit, no more is read than was
announced, and errors are said without what looks like a secret.
"""

from __future__ import annotations

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
from agentsoc.log.inside import READ_MAX, TEMPORARY, Inside, directory_mode
from agentsoc.log.parcel import CHUNK, new_file

PATIENCE_S: Final = 60.0
"""Time in which a place answers what needs no data to be moved (seconds)."""
FILES_MAX: Final = 200_000
"""Most files at a place: those of a comparison of many thousand runs."""
SLOWEST: Final = 100_000
"""Speed that data have to move with beyond that (bytes/s)."""

_T = TypeVar("_T")


class CopyPlace(Protocol):
    """A place holds files by their names, whole or not at all."""

    shown: str
    """Its address as it may be printed."""

    def put(self, source: Path, name: str) -> None:
        """Write a file whole: a reader sees the old one or the new one."""

    def sizes(self) -> dict[str, int]:
        """Return names and sizes of the files there; none where there is nothing (bytes)."""

    def pieces(self, name: str) -> Iterator[bytes]:
        """Yield the content of a file, in pieces of at most `CHUNK` bytes."""


class DiskPlace:
    """The place is a directory of this machine."""

    def __init__(self, base: Path, shown: str) -> None:
        self.base, self.shown = base, shown

    def put(self, source: Path, name: str) -> None:
        """Write a file whole; through no link, and readable as files of runs are."""
        self.base.mkdir(mode=directory_mode(), parents=True, exist_ok=True)
        with Inside(source.parent).opened(source.name) as file:
            Inside(self.base).write_pieces(name, _read(file))

    def sizes(self) -> dict[str, int]:
        """Return names and sizes of all that is there and no directory (bytes)."""
        found: dict[str, int] = {}
        for above, _, names in os.walk(self.base, onerror=_raise_unless_missing):
            for name in names:
                if TEMPORARY.fullmatch(name) is None:
                    path = Path(above, name)
                    found[path.relative_to(self.base).as_posix()] = path.lstat().st_size
            require_few(found, self.shown)
        return found

    def pieces(self, name: str) -> Iterator[bytes]:
        """Yield the content of an ordinary file."""
        with Inside(self.base).opened(name) as file:
            yield from _read(file)


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _read(file: io.BufferedReader) -> Iterator[bytes]:
    while piece := file.read(CHUNK):
        yield piece


class StorePlace:
    """The place is whatever else fsspec reaches."""

    def __init__(self, files: Any, base: str, shown: str, patience_s: float = PATIENCE_S) -> None:
        self._files, self._base, self.shown, self._patience_s = files, base, shown, patience_s
        self._asking: threading.Thread | None = None

    def _path(self, name: str) -> str:
        return posixpath.join(self._base, name)

    def _ask(self, what: Callable[[], _T], n_bytes: int = 0) -> _T:
        """Return what the place answers.

        A library cannot be made to give up, so it is asked in a thread of its own, one at a time.

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

    def put(self, source: Path, name: str) -> None:
        """Write an object, which is there when all of it is."""
        path = self._path(name)

        def body() -> None:
            self._files.makedirs(posixpath.dirname(path), exist_ok=True)
            self._files.put_file(str(source), path)

        self._ask(body, source.stat().st_size)

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
        found = self._ask(body).items()
        sizes = {path[len(prefix) :]: int(about.get("size") or 0) for path, about in found if path.startswith(prefix)}
        require_few(sizes, self.shown)
        return sizes

    def pieces(self, name: str) -> Iterator[bytes]:
        """Yield the content of an object."""
        file = self._ask(lambda: self._files.open(self._path(name), "rb"))
        with file:
            while piece := self._ask(lambda: bytes(file.read(CHUNK)), CHUNK):
                yield piece


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
        InputError: this is no address of fsspec's, or the package that this kind of address needs is not installed.
    """
    said = shown(address)
    if find_spec("fsspec") is None:
        raise MissingExtraError("a copy of the run elsewhere", "fsspec", "sync")
    from fsspec.core import url_to_fs
    from fsspec.implementations.local import LocalFileSystem

    try:
        files, base = url_to_fs(address)
    except ImportError as error:
        raise InputError(f"this address needs a package that is not installed: {in_words(error)}", said) from None
    except Exception as error:
        raise InputError(f"this is no address that fsspec knows: {in_words(error)}", said) from None
    return DiskPlace(Path(base), said) if isinstance(files, LocalFileSystem) else StorePlace(files, base, said)


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
