"""Files that appear whole or not at all, and the lock that makes one process the writer of a run directory."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from agentsoc.errors import RunLockedError


def sync_directory(path: Path) -> None:
    """Make a rename or a new file in `path` survive a power loss."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_whole(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that a reader, a crash or a full disk sees the old content or the new, never a mix."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
        sync_directory(path.parent)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


class RunLock:
    """The right to write a run directory: one holder at a time, let go by the system when the holder dies."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = FileLock(directory / "run.lock")
        self._holder = directory / ".holder.json"

    def __enter__(self) -> RunLock:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise RunLockedError(
                f"this run is being written by {self._holder_text()}",
                str(self._directory),
                "wait for it to end, or interrupt it; then call resume again",
            ) from None
        self._holder.write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._holder.unlink(missing_ok=True)
        self._lock.release()

    def _holder_text(self) -> str:
        try:
            holder = json.loads(self._holder.read_text())
            return f"process {int(holder['pid'])} on {holder['host']!s}"
        except (OSError, ValueError, KeyError, TypeError):
            return "another process"
