"""This module writes files whole or not at all, and locks a run directory so that one process is its writer.

What is inside a run directory is written through `agentsoc.log.inside`; `write_whole` is for files that a person names.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final

from agentsoc.errors import LogDamagedError, RunFailedError, RunLockedError
from agentsoc.log.inside import Inside, temporary_name
from agentsoc.log.machines import machine

if TYPE_CHECKING:
    from filelock import BaseFileLock

LOCK: Final = "run.lock"
HOLDER: Final = ".holder.json"

_NAMED_S: Final = 0.3
"""How long a refused process waits until the holder has written who it is (seconds)."""


def sync_directory(path: Path) -> None:
    """Make a rename or a new file in `path` survive a power loss."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_whole(path: Path, data: bytes | Iterable[bytes]) -> None:
    """Write `data` to `path` so that a reader, a crash or a full disk sees the old content or the new, never a mix.

    A link at `path` is replaced, not followed; the file has the rights that the umask leaves. What comes in pieces is
    never held as a whole.
    """
    temporary = path.with_name(temporary_name(path.name))
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(temporary, flags, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            handle.writelines([data] if isinstance(data, bytes) else data)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
        sync_directory(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


class RunLock:
    """The lock gives the right to write a run directory to one holder; the system lets it go when the holder dies."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._inside = Inside(directory)
        self._lock: BaseFileLock | None = None

    def __enter__(self) -> RunLock:
        from filelock import FileLock, Timeout  # brings asyncio with it, and most commands only read

        try:
            self._inside.create(LOCK)  # the library would follow a link
            self._inside.look(HOLDER)
            made = self._inside.look(LOCK)
            lock = FileLock(self._directory / LOCK, mode=0o600 if made is None else stat.S_IMODE(made.st_mode))
            lock.acquire(timeout=0)
        except Timeout:
            raise RunLockedError(
                f"this run is being written by {self._holder_text()}",
                str(self._directory),
                "wait for it to end, or interrupt it; then call resume again",
            ) from None
        except OSError as error:
            raise RunFailedError(f"the run directory cannot be locked: {error}", str(self._directory)) from None
        self._lock = lock
        with contextlib.suppress(OSError):  # the name only helps a process that is refused
            holder = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "machine": machine()})
            self._inside.write(HOLDER, holder.encode(), durable=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._inside.remove(HOLDER)
        if self._lock is not None:
            self._lock.release()

    def _holder_text(self) -> str:
        """Return who holds the lock, but not the name that a killed holder left before the next could write its own."""
        give_up = time.monotonic() + _NAMED_S
        while True:
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError, LogDamagedError):
                holder = json.loads(self._inside.read(HOLDER, limit=10_000))
                pid, host = int(holder["pid"]), str(holder["host"])[:100]
                # earlier versions wrote no machine
                here = holder["machine"] == machine() if "machine" in holder else host == socket.gethostname()
                if pid > 0 and (not here or _alive(pid)):
                    return f"process {pid} on {host}"
            if time.monotonic() > give_up:
                return "another process"
            time.sleep(0.01)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:  # somebody else's process
        return True
    except (OSError, OverflowError):
        return False
    return True
