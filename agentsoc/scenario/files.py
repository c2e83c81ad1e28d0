"""This module finds the files that a scenario names beside it, reads them within limits and never leaves its directory.

A name is taken relative to `BASE_DIR`, the directory of the scenario file (the loader sets it; the working directory
until then). A scenario may come from somebody else, so a name can lead nowhere else: not by ``..``, not by an absolute
path, not by a symbolic link; and it must be an ordinary file of bounded size, so that no device or pipe is ever read.
"""

from __future__ import annotations

import errno
import hashlib
import os
import posixpath
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from pathlib import Path
from typing import BinaryIO, Final

from agentsoc.errors import InputError

BASE_DIR: ContextVar[Path | None] = ContextVar("agentsoc_base_dir", default=None)
"""Directory of the scenario being read; None for the working directory."""

_KEPT: ContextVar[Path | None] = ContextVar("agentsoc_kept_dir", default=None)
"""Directory of copies that was last looked into."""

LIMIT_BYTES: Final = 50_000_000
"""Largest file that is read unless the caller says otherwise (bytes)."""

_CHUNK: Final = 1 << 20
_FEWER: Final = "name a folder with less in it, or put the texts into a JSONL file"
_BESIDE: Final = "name a file that lies beside the scenario or in a directory below it"


@contextmanager
def base_dir_kept() -> Iterator[None]:
    """Let what is done meanwhile look files up where it likes; afterwards it is where it was."""
    token = BASE_DIR.set(BASE_DIR.get())
    try:
        yield
    finally:
        BASE_DIR.reset(token)


def use_kept(directory: Path) -> Token[Path | None]:
    """Look files up among the copies that a run or comparison keeps of what it was made from.

    Returns:
        What `BASE_DIR` is reset with.
    """
    _KEPT.set(directory)
    return BASE_DIR.set(directory)


def is_kept() -> bool:
    """Return whether files are looked up among such copies: a run replays for ever, whatever new ones must satisfy."""
    return BASE_DIR.get() is not None and BASE_DIR.get() == _KEPT.get()


def resolve(name: str) -> Path:
    """Return the real path of the ordinary file that a scenario calls `name`.

    Raises:
        InputError: there is no such file, it is not an ordinary file, or it lies outside the scenario's directory.
    """
    if not name:
        raise InputError("a file name is empty", "", _BESIDE)
    # a run keeps a copy under this name, in a directory of its own
    if name.startswith("/") or posixpath.normpath(name).split("/")[0] == "..":
        raise InputError("this file lies outside the directory of the scenario", name[:200], _BESIDE)
    try:
        base = (BASE_DIR.get() or Path()).resolve(strict=True)
        path = (base / posixpath.normpath(name)).resolve(strict=True)
        mode = path.stat().st_mode
    except ValueError as error:  # a NUL in the name
        raise InputError(f"not a file name: {error}", repr(name), _BESIDE) from error
    except RuntimeError as error:  # how Python before 3.13 reports a loop of symbolic links
        raise InputError("symbolic links that lead to each other", name, _BESIDE) from error
    except OSError as error:
        raise _refused(name, error) from error
    if not path.is_relative_to(base):
        raise InputError("this file lies outside the directory of the scenario", name, _BESIDE)
    _require_ordinary(name, mode)
    return path


FOLDER_MAX: Final = 10_000
"""Files that are taken from a folder (files)."""
_ENTRIES_MAX: Final = 4 * FOLDER_MAX
"""Files and folders that are looked at in one (entries)."""


def folder_files(name: str, endings: tuple[str, ...] = ("",), *, limit_bytes: int = LIMIT_BYTES) -> list[str]:
    """Return the names of the ordinary files in a folder that a scenario names, and below it, in order.

    Args:
        name: path relative to the scenario's directory.
        endings: how the names of the files end that are taken.
        limit_bytes: largest size that they have together (bytes).

    Raises:
        InputError: there is no such folder, it lies outside the scenario's directory, or it holds too much.
    """
    if not name or name.startswith("/") or posixpath.normpath(name).split("/")[0] == "..":
        raise InputError("this folder lies outside the directory of the scenario", name[:200], _BESIDE)
    found: list[str] = []
    total = 0
    try:
        base = (BASE_DIR.get() or Path()).resolve(strict=True)
        top = (base / posixpath.normpath(name)).resolve(strict=True)
        if not top.is_relative_to(base) or not top.is_dir():
            raise InputError("this is no folder in the directory of the scenario", name[:200], _BESIDE)
        for number, entry in enumerate(_entries(top)):
            if number >= _ENTRIES_MAX:
                what = f"this folder holds more than {_ENTRIES_MAX:,} files and folders"
                raise InputError(what, name[:200], _FEWER)
            if not entry.name.startswith(".") and entry.name.endswith(endings) and entry.is_file():
                found.append(Path(entry.path).relative_to(base).as_posix())
                total += entry.stat().st_size
        if len(found) > FOLDER_MAX:
            what = f"this folder holds {len(found):,} files that would be read, the limit is {FOLDER_MAX:,}"
            raise InputError(what, name[:200], _FEWER)
        if total > limit_bytes:
            what = f"the files of this folder have {total:,} bytes together, the limit is {limit_bytes:,}"
            raise InputError(what, name[:200], _FEWER)
    except (ValueError, RuntimeError) as error:
        raise InputError(f"not a folder's name: {error}", repr(name)[:200], _BESIDE) from error
    except OSError as error:
        raise _refused(name, error) from error
    return sorted(found)


def _entries(top: Path) -> Iterator[os.DirEntry[str]]:
    """Yield what is in a folder and below it, one by one; links to folders are not followed."""
    waiting = [str(top)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                yield entry


def open_text(name: str, *, limit_bytes: int = LIMIT_BYTES) -> str:
    """Return the text of the file that a scenario calls `name`: UTF-8, a leading byte order mark dropped.

    Args:
        name: path relative to the scenario's directory.
        limit_bytes: largest size that is read (bytes).

    Raises:
        InputError: as `resolve`; or the file is larger than `limit_bytes`, unreadable or not UTF-8.
    """
    with _opened(name, limit_bytes) as file:
        raw = b"".join(_chunks(name, file, limit_bytes))
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        what = f"not UTF-8: byte 0x{raw[error.start]:02x} at offset {error.start}"
        raise InputError(what, f"{name}:{line}", "save the file as UTF-8") from error


def read_whole(name: str, *, limit_bytes: int = LIMIT_BYTES) -> bytes:
    """Return the bytes of the file that a scenario calls `name`; as `open_text`, except that any bytes will do."""
    with _opened(name, limit_bytes) as file:
        return b"".join(_chunks(name, file, limit_bytes))


def sha256_of(name: str, *, limit_bytes: int = LIMIT_BYTES) -> str:
    """Return the SHA-256 of the bytes of the file that a scenario calls `name`, 64 hexadecimal digits.

    Raises:
        InputError: as `open_text`, except that any bytes will do.
    """
    digest = hashlib.sha256()
    with _opened(name, limit_bytes) as file:
        for chunk in _chunks(name, file, limit_bytes):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def _opened(name: str, limit_bytes: int) -> Iterator[BinaryIO]:
    """Open the file behind `name` and check the opened one again: what a path means can change after `resolve`."""
    path = resolve(name)
    try:
        # Not following a link and not blocking matter only if the file was exchanged since `resolve` looked at it.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise _refused(name, error) from error
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        _require_ordinary(name, found.st_mode)
        if found.st_size > limit_bytes:
            raise _too_big(name, f"{found.st_size:,}", limit_bytes)
        yield file


def _chunks(name: str, file: BinaryIO, limit_bytes: int) -> Iterator[bytes]:
    """Yield the content; stop with an error past the limit, for a file that grows or whose size is not told."""
    total = 0
    try:
        while chunk := file.read(_CHUNK):
            total += len(chunk)
            if total > limit_bytes:
                raise _too_big(name, f"more than {limit_bytes:,}", limit_bytes)
            yield chunk
    except OSError as error:
        raise _refused(name, error) from error


def _require_ordinary(name: str, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kinds = {
            stat.S_IFDIR: "a directory",
            stat.S_IFIFO: "a pipe",
            stat.S_IFSOCK: "a socket",
            stat.S_IFCHR: "a device",
            stat.S_IFBLK: "a device",
        }
        raise InputError(f"this is {kinds.get(stat.S_IFMT(mode), 'no ordinary file')}, not a file", name, _BESIDE)


def _refused(name: str, error: OSError) -> InputError:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return InputError("there is no such file", name, _BESIDE)
    return InputError(f"cannot be read: {error.strerror or error}", name[:200])


def _too_big(name: str, size: str, limit_bytes: int) -> InputError:
    return InputError(f"the file has {size} bytes, the limit is {limit_bytes:,}", name, "split it or shorten it")
