"""This module reads and writes inside a run directory, relative to a handle of it and never through a link.

A run directory may come from a stranger. A symbolic link, a hard link, a pipe or a device in place of one of our files
would let it point at anything on this machine, so none of them is followed, read, written or removed through: each is
refused by name. The directory itself is what a person named, and may well be reached through a link.

Nothing here looks twice at a path: every step opens the next component with a handle of the one before.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Final

from agentsoc.errors import LogDamagedError

COPY: Final = "copy the directory with its files (cp -rL --no-preserve=links), not with links to them"
"""The advice for a run directory in which a link stands in place of a file."""
READ_MAX: Final = 1 << 28
"""Largest file that is read as a whole: a segment is closed long before, files of a scenario are smaller (bytes)."""

TEMPORARY: Final = re.compile(r"\..{1,100}\.[0-9a-f]{8}\.tmp", re.DOTALL)
"""Names that files have until they are whole: no reader takes one for a Parquet file, as none ends like one."""

BY_UMASK: ContextVar[bool] = ContextVar("by_umask", default=False)
"""Whether new files and directories get the rights that the umask leaves; else only their owner may open them."""

_KINDS: Final = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@contextlib.contextmanager
def by_umask(wanted: bool) -> Iterator[None]:
    """Let the umask decide the rights of what is made meanwhile, if `wanted`."""
    token = BY_UMASK.set(wanted or BY_UMASK.get())
    try:
        yield
    finally:
        BY_UMASK.reset(token)


def file_mode() -> int:
    """Return the rights of a new file."""
    return 0o666 if BY_UMASK.get() else 0o600


def directory_mode() -> int:
    """Return the rights of a new directory."""
    return 0o777 if BY_UMASK.get() else 0o700


def is_inside(name: str) -> bool:
    """Return whether a name says of itself that it stays inside: relative, without ``..``, ``.`` or empty parts."""
    parts = name.split("/")
    return "\x00" not in name and not any(part in ("", ".", "..") for part in parts)


def temporary_name(name: str) -> str:
    """Return a name that matches `TEMPORARY`, for what is to become the file `name`."""
    return f".{name[:100]}.{secrets.token_hex(4)}.tmp"


class Inside:
    """The object reaches the files in one directory by their relative names, such as ``events/part-00000.parquet``."""

    def __init__(self, base: Path) -> None:
        self.base = base

    # Handles

    @contextlib.contextmanager
    def _parent(self, name: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
        """Yield a handle of the directory that holds `name`, and the last part of the name.

        Raises:
            LogDamagedError: the name leads out, or something that is no directory stands in the way.
            FileNotFoundError: a directory on the way is missing, and `make` is not set.
        """
        if not is_inside(name):
            raise LogDamagedError("this name leads out of the directory", f"{self.base}: {name[:200]!r}")
        *above, last = name.split("/")
        handle = os.open(self.base, _DIRECTORY)
        try:
            for depth, part in enumerate(above):
                below = self._step(handle, part, "/".join(above[: depth + 1]), make=make)
                os.close(handle)
                handle = below
            yield handle, last
        finally:
            os.close(handle)

    def _step(self, handle: int, part: str, name: str, *, make: bool) -> int:
        """Return a handle of a directory in the one of `handle`."""
        if make:
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, directory_mode(), dir_fd=handle)
        try:
            return os.open(part, _DIRECTORY | os.O_NOFOLLOW, dir_fd=handle)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK):
                found = os.stat(part, dir_fd=handle, follow_symlinks=False)
                raise self._refused(name, found, "directory") from None
            raise

    def _refused(self, name: str, found: os.stat_result, wanted: str = "file") -> LogDamagedError:
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "a file" if wanted == "directory" else "no ordinary file")
        if stat.S_ISREG(found.st_mode) and wanted == "file":
            kind = f"a file with {found.st_nlink} names (hard links)"
        return LogDamagedError(f"this is {kind}, not a {wanted} of the run's own", str(self.base / name), COPY)

    def _require_own(self, name: str, found: os.stat_result) -> None:
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
            raise self._refused(name, found)

    # Looking

    def look(self, name: str) -> os.stat_result | None:
        """Return what is known of an ordinary file of the directory's own; None where there is nothing.

        Raises:
            LogDamagedError: it is anything else.
        """
        try:
            with self._parent(name) as (handle, last):
                found = os.stat(last, dir_fd=handle, follow_symlinks=False)
        except FileNotFoundError:
            return None
        self._require_own(name, found)
        return found

    def require_plain(self, name: str) -> None:
        """Refuse what is neither an ordinary file of the directory's own, nor a directory, nor nothing.

        Raises:
            LogDamagedError: it is a link, a pipe, a device, or a file with several names.
        """
        try:
            with self._parent(name) as (handle, last):
                found = os.stat(last, dir_fd=handle, follow_symlinks=False)
        except FileNotFoundError:
            return
        if not stat.S_ISDIR(found.st_mode):
            self._require_own(name, found)

    def has_directory(self, name: str) -> bool:
        """Return whether there is a directory of this name.

        Raises:
            LogDamagedError: it is anything else.
        """
        try:
            with self._parent(f"{name}/x"):
                return True
        except FileNotFoundError:
            return False

    def names(self, directory: str = "") -> list[str]:
        """Return the names of all that is in a directory, sorted; none where it is missing."""
        try:
            with self._parent(f"{directory}/x" if directory else "x") as (handle, _):
                return sorted(os.listdir(handle))  # noqa: PTH208 - paths know no handles
        except FileNotFoundError:
            return []

    # Reading

    def read(self, name: str, *, limit: int = READ_MAX) -> bytes:
        """Return the content of an ordinary file of the directory's own.

        Args:
            name: the file.
            limit: largest file that is read (bytes).

        Raises:
            LogDamagedError: it is no such file, or larger than `limit`.
            OSError: there is none, or the system refuses.
        """
        with self.opened(name) as file:
            found = os.fstat(file.fileno())
            if found.st_size > limit:
                what = f"this file is too large: {found.st_size:,} bytes, of {limit:,} at most"
                raise LogDamagedError(what, str(self.base / name))
            content = file.read(found.st_size + 1)  # a buffer of the limit would be made anew for every small file
            if len(content) > found.st_size:  # it grew, or hides its size
                content += file.read(limit + 1 - len(content))
        if len(content) > limit:
            raise LogDamagedError(f"this file is too large: more than {limit:,} bytes", str(self.base / name))
        return content

    def sha256(self, name: str, *, limit: int | None = None) -> str:
        """Return the SHA-256 of a file of the directory's own; see `read`. Without a limit whatever its size."""
        with self.opened(name) as file:
            found = os.fstat(file.fileno()).st_size
            if limit is not None and found > limit:
                raise LogDamagedError(f"this file has {found:,} bytes, of {limit:,} at most", str(self.base / name))
            return hashlib.file_digest(file, "sha256").hexdigest()

    @contextlib.contextmanager
    def opened(self, name: str) -> Iterator[io.BufferedReader]:
        """Open an ordinary file of the directory's own for reading; see `read`."""
        with self._parent(name) as (handle, last):
            self._require_own(name, os.stat(last, dir_fd=handle, follow_symlinks=False))
            # not blocking matters only if the file was exchanged since it was looked at
            descriptor = os.open(last, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=handle)
        try:
            self._require_own(name, os.fstat(descriptor))
            file = os.fdopen(descriptor, "rb")
        except BaseException:
            os.close(descriptor)
            raise
        with file:
            yield file

    # Writing

    def make(self, directory: str) -> None:
        """Make a directory and those above it, unless they are there."""
        with self._parent(f"{directory}/x", make=True):
            pass

    def write(self, name: str, data: bytes | memoryview, *, durable: bool = True) -> None:
        """Write a file so that a reader, a crash or a full disk sees the old content or the new, never a mix.

        Args:
            name: the file; directories on the way are made.
            data: its content.
            durable: whether it has to survive a power loss.
        """
        self.write_pieces(name, (data,), durable=durable)

    def write_pieces(self, name: str, pieces: Iterable[bytes | memoryview], *, durable: bool = True) -> None:
        """Write a file whose content comes in pieces; see `write`."""
        with self._parent(name, make=True) as (handle, last):
            with contextlib.suppress(FileNotFoundError):
                self._require_own(name, os.stat(last, dir_fd=handle, follow_symlinks=False))
            temporary = temporary_name(last)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(temporary, flags, file_mode(), dir_fd=handle)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    for piece in pieces:
                        file.write(piece)
                    file.flush()
                    if durable:
                        os.fsync(file.fileno())
                os.rename(temporary, last, src_dir_fd=handle, dst_dir_fd=handle)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(temporary, dir_fd=handle)
                raise
            if durable:
                os.fsync(handle)

    def create(self, name: str) -> bool:
        """Make an empty file; return False where an ordinary one is there already."""
        with self._parent(name, make=True) as (handle, last):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
            try:
                os.close(os.open(last, flags, file_mode(), dir_fd=handle))
            except FileExistsError:
                self._require_own(name, os.stat(last, dir_fd=handle, follow_symlinks=False))
                return False
            return True

    def remove(self, name: str) -> None:
        """Remove a file or a link itself, never what it leads to; nothing where there is none."""
        with contextlib.suppress(FileNotFoundError), self._parent(name) as (handle, last):
            os.unlink(last, dir_fd=handle)

    def remove_tree(self, name: str) -> None:
        """Remove a directory with all that is in it; links in it are removed, not followed."""
        with self._parent(name) as (handle, last):
            _remove_tree(handle, last)

    def rename(self, name: str, to: str) -> None:
        """Give something another name inside the directory."""
        with self._parent(name) as (source, old), self._parent(to) as (target, new):
            os.rename(old, new, src_dir_fd=source, dst_dir_fd=target)

    def sync(self, directory: str = "") -> None:
        """Make new names and removals in a directory survive a power loss."""
        with self._parent(f"{directory}/x" if directory else "x") as (handle, _):
            os.fsync(handle)


def _remove_tree(parent: int, name: str) -> None:
    handle = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    try:
        for entry in os.listdir(handle):  # noqa: PTH208
            found = os.stat(entry, dir_fd=handle, follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode):
                _remove_tree(handle, entry)
            else:
                os.unlink(entry, dir_fd=handle)
    finally:
        os.close(handle)
    os.rmdir(name, dir_fd=parent)
