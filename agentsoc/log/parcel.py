"""This module sends a run directory as bytes from where the run was made, and takes it in where it belongs.

What a host sends is not trusted: names are those that a run has and no others, sizes are bounded, and what arrives is
written into a directory of its own, through no link, before anybody takes it for a run. Whether it is the run that was
asked for is for whoever takes it in to check.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from agentsoc.errors import LogDamagedError
from agentsoc.log.inside import READ_MAX, Inside, directory_mode, file_mode, is_inside
from agentsoc.log.manifest import SEAL
from agentsoc.log.names import EPISODES, EVENTS, INPUTS, JOURNAL, MANIFEST, TASKS

PARCEL_MAX: Final = 8 << 30
"""Largest run directory that is sent (bytes)."""
FILES_MAX: Final = 20_000
"""Most files of a run that is sent."""
CHUNK: Final = 8 << 20
"""How much goes in one message (bytes)."""
_PLAIN: Final = (MANIFEST, SEAL, JOURNAL, TASKS, EPISODES)
_SEGMENT: Final = re.compile(rf"{EVENTS}/part-[0-9]{{5,9}}\.parquet", re.ASCII)


class Entry(NamedTuple):
    """An entry names a file of a parcel and its size (bytes)."""

    name: str
    size: int


def listed(directory: Path, inputs: Collection[str] = ()) -> list[Entry]:
    """Return the files of a run that nobody writes any more, as they are sent.

    Args:
        directory: the run directory.
        inputs: names of the copies of files that its scenario names.

    Raises:
        LogDamagedError: something in the directory is no ordinary file.
    """
    inside = Inside(directory)
    names = [*_PLAIN, *(f"{INPUTS}/{name}" for name in inputs)]
    names += [f"{EVENTS}/{name}" for name in inside.names(EVENTS) if _SEGMENT.fullmatch(f"{EVENTS}/{name}")]
    found = ((name, inside.look(name)) for name in names)
    return [Entry(name, about.st_size) for name, about in found if about is not None]


def contents(directory: Path, entries: Sequence[Entry]) -> Iterator[bytes]:
    """Yield what is in the files, one after the other, in pieces of `CHUNK` and a last one that is smaller.

    Raises:
        LogDamagedError: a file has another size now than in `entries`.
    """
    waiting = bytearray()
    for entry in entries:
        with Inside(directory).opened(entry.name) as file:
            left = entry.size
            while left:
                piece = file.read(min(left, CHUNK - len(waiting)))
                if not piece:
                    raise LogDamagedError("this file is shorter than it was", str(directory / entry.name))
                left -= len(piece)
                waiting += piece
                if len(waiting) == CHUNK:
                    yield bytes(waiting)
                    waiting.clear()
    yield bytes(waiting)


def require_expected(entries: Sequence[Entry], inputs: Collection[str], sender: str) -> int:
    """Return the size of a parcel after checking what it says of itself (bytes).

    Args:
        entries: what the sender says it holds.
        inputs: names of the copies of files that the run may have.
        sender: who sends it, for messages.

    Raises:
        LogDamagedError: it names a file that no run has, or one twice, or is larger than it may be.
    """
    if len(entries) > FILES_MAX:
        raise LogDamagedError(f"this run has {len(entries):,} files, of {FILES_MAX:,} at most", sender)
    allowed = {*_PLAIN, *(f"{INPUTS}/{name}" for name in inputs if is_inside(name))}
    seen = set()
    for name, size in entries:
        if name not in allowed and not _SEGMENT.fullmatch(name):
            raise LogDamagedError(f"no run has a file of this name: {name[:200]!r}", sender)
        if name in seen:
            raise LogDamagedError(f"this file is sent twice: {name[:200]!r}", sender)
        if size < 0 or (name != JOURNAL and size > READ_MAX):
            raise LogDamagedError(f"{name} has {size:,} bytes, of {READ_MAX:,} at most", sender)
        seen.add(name)
    total = sum(size for _, size in entries)
    if total > PARCEL_MAX:
        raise LogDamagedError(f"this run has {total:,} bytes, of {PARCEL_MAX:,} at most", sender)
    return total


class Unpacker:
    """The object writes the files of a parcel that is checked already, as the pieces of their contents arrive."""

    def __init__(self, directory: Path, entries: Sequence[Entry]) -> None:
        """Prepare.

        Args:
            directory: where the files go: just made, empty, and nobody else's.
            entries: what is to come.
        """
        self._directory, self._due = directory, list(entries)
        self._left = 0
        self._file: BinaryIO | None = None
        self._go_on()

    def take(self, piece: bytes) -> None:
        """Write the next piece.

        Raises:
            LogDamagedError: it is more than was announced.
        """
        at = 0
        while at < len(piece):
            if self._file is None:
                raise LogDamagedError("more was sent than was announced", str(self._directory))
            n = min(self._left, len(piece) - at)
            self._file.write(piece[at : at + n])
            self._left, at = self._left - n, at + n
            self._go_on()

    def _go_on(self) -> None:
        """Close the file that is whole, and open the next one that has anything in it."""
        while self._left == 0:
            self.close()
            if not self._due:
                return
            entry = self._due.pop(0)
            self._file, self._left = new_file(self._directory, entry.name), entry.size

    def close(self) -> None:
        """Close what is open; what was written survives a power loss."""
        file, self._file = self._file, None
        if file is not None:
            file.flush()
            os.fsync(file.fileno())
            file.close()

    def require_whole(self) -> None:
        """Check that nothing is missing.

        Raises:
            LogDamagedError: something is.
        """
        if self._file is not None or self._due:
            raise LogDamagedError("less was sent than was announced", str(self._directory))


def new_file(directory: Path, name: str) -> BinaryIO:
    """Open a file for writing that is not there yet, in a directory that was just made for a run that arrives."""
    path = directory
    for part in name.split("/")[:-1]:
        path = path / part
        path.mkdir(mode=directory_mode(), exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    return os.fdopen(os.open(directory / name, flags, file_mode()), "wb")
