"""This module makes directories that only their driver or host can look into; the next start removes abandoned ones.

Ray makes its own directories for everybody (0777), so they go below one of ours (0700). While its owner lives, the
directory holds a locked file; the lock ends with the owner, however it ends, and cannot outlive it as a process id can.
So a directory that has our file in it, and no lock on that file, has nobody left.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from agentsoc.errors import InputError
from agentsoc.log.machines import machine

PREFIX: Final = "asoc-"
LOCK: Final = "lock"
_MARK: Final = b"agentsoc keeps this file locked while it uses the directory\n"
# what Ray adds to the name of its directory for the longest socket: /r/session_<date>_<pid>/sockets/plasma_store
_ROOM: Final = len(f"/{PREFIX}12345678/r/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store.1")
_SOCKET_NAME_MAX: Final = 103 if sys.platform == "darwin" else 107


class Held:
    """A directory of mode 0700 is held until `remove` or the end of this process."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self.lock = lock
        """Descriptor of the locked file; a child process that inherits it holds the directory as well."""

    def remove(self) -> None:
        """Remove the directory with what is in it, and let it go."""
        _empty(self.path)
        os.close(self.lock)


class HostFiles:
    """The object is the working directory of a host: inside its driver's directory if that is on the same machine."""

    def __init__(self, driver: Path | None) -> None:
        """Make the directory.

        Args:
            driver: the driver's directory for hosts, if it runs on the same machine.
        """
        self._held: Held | None = None
        try:
            if driver is None:
                raise FileNotFoundError
            self.path = Path(tempfile.mkdtemp(prefix="host-", dir=driver))
        except OSError:  # the driver is on another machine or another user's
            self._held = hold()
            self.path = self._held.path

    def remove(self) -> None:
        """Remove the directory with what is in it."""
        if self._held is None:
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            self._held.remove()


def hold(base: Path | None = None) -> Held:
    """Make a directory of our own below `base`, after removing those that dead owners left there.

    Args:
        base: where to make it; the system's place for temporary files by default.
    """
    base = place() if base is None else base
    sweep(base)
    path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
    # locked before it has its name: a file of this name without a lock has lost its owner
    descriptor, name = tempfile.mkstemp(dir=path)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.write(descriptor, _MARK)
    Path(name).rename(path / LOCK)
    return Held(path, descriptor)


def place() -> Path:
    """Return where temporary files go; /tmp if names of Ray's sockets would become too long elsewhere."""
    chosen = Path(tempfile.gettempdir())
    return chosen if len(os.fsencode(chosen)) + _ROOM <= _SOCKET_NAME_MAX else Path("/tmp")


def sweep(base: Path) -> list[Path]:
    """Remove the directories below `base` that are ours and whose owner is dead; return them.

    Nothing is removed that belongs to another user, that others may write into, that is a symbolic link, or whose lock
    is held or missing. Two sweeps at once do not harm each other: each removes what it has locked.
    """
    removed = []
    try:
        found = [entry.name for entry in os.scandir(base) if entry.name.startswith(PREFIX)]
    except OSError:
        return []
    for name in sorted(found):
        with contextlib.suppress(OSError), _abandoned(base / name) as abandoned:
            if abandoned:
                _empty(base / name)
                removed.append(base / name)
    return removed


@contextlib.contextmanager
def _abandoned(path: Path) -> Iterator[bool]:
    """Hold the lock of a dead owner; give False if the owner lives or the directory may not be ours."""
    with contextlib.ExitStack() as opened:
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        opened.callback(os.close, directory)
        if not _private(os.fstat(directory)):
            yield False
            return
        lock = os.open(LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
        opened.callback(os.close, lock)
        status = os.fstat(lock)
        if not (_private(status) and stat.S_ISREG(status.st_mode)):
            yield False
            return
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield os.read(lock, len(_MARK) + 1) == _MARK and os.path.samestat(os.fstat(directory), os.lstat(path))


def _private(status: os.stat_result) -> bool:
    return status.st_uid == os.getuid() and not status.st_mode & 0o077


def _empty(path: Path) -> None:
    """Remove a directory; its lock last, so that what an interrupt leaves is found again."""
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(path)):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            elif entry.name != LOCK:
                with contextlib.suppress(OSError):
                    Path(entry.path).unlink()
    shutil.rmtree(path, ignore_errors=True)


def check_inside(name: str) -> None:
    """Refuse the name of a file that would not lie where it is put.

    Raises:
        InputError: `name` is empty or absolute, or leads through ``..``.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name:
        raise InputError(
            "hosts get copies of this file in a directory of their own, so its name may not be absolute or hold '..'",
            repr(name),
            "name it relative to the scenario's directory, without '..'",
        )


def write_inside(directory: Path, name: str, content: bytes) -> Path:
    """Write a file that only this user can read, and never outside `directory`; return its path.

    Raises:
        InputError: `name` leads elsewhere.
    """
    check_inside(name)
    path = directory / name
    for parent in reversed(path.relative_to(directory).parents[:-1]):
        (directory / parent).mkdir(mode=0o700, exist_ok=True)
    if not path.parent.resolve().is_relative_to(directory.resolve()):
        raise InputError("this file would lie outside the directory of its host", repr(name))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(content)
    return path


def die_with(driver: tuple[str, int, str]) -> None:
    """End this process when the driver's is gone: on its own machine, within a second instead of Ray's four."""
    where, pid, _ = driver
    if where != machine():
        return

    def watch() -> None:
        while True:
            time.sleep(0.5)
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                os._exit(1)
            except OSError:
                return

    threading.Thread(target=watch, daemon=True, name="driver-watch").start()
