"""Event segments: immutable Parquet files that together are the event log of a run.

The writer takes tables in canonical order and never looks at files again. A segment is written to a temporary name,
synced and renamed, so `pl.scan_parquet("events/*.parquet")` works while the run goes on.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from agentsoc.errors import LogDamagedError
from agentsoc.events import Event
from agentsoc.log.digest import Digest, digest_of
from agentsoc.log.files import sync_directory
from agentsoc.log.schema import SCHEMA, to_table

REBUILD: Final = "it can be computed again from the journal: agentsoc resume on the run directory"
"""The way on where anything but the journal and the manifest is damaged."""
ROWS_MAX: Final = 1 << 18
"""Rows after which a segment is closed (events)."""


class Segment(msgspec.Struct, frozen=True):
    """One file of the event log, as the manifest lists it."""

    file: str
    rows: int
    digest: str
    """Digest of the segment's rows."""
    chain: str
    """Hash of the chain before and this digest: no segment can be dropped, doubled or moved unseen."""


def chain(previous: str, digest: str) -> str:
    """Return the next link of the digest chain."""
    return hashlib.sha256(f"{previous}:{digest}".encode()).hexdigest()


class SegmentWriter:
    """Writes the event log; `digest` runs along over everything that was added."""

    def __init__(self, directory: Path, *, keep: bool = True) -> None:
        """Open a writer.

        Args:
            directory: where the parts go; made when missing. Parts that are there are replaced one by one.
            keep: False to compute the digest only and write nothing (replay).
        """
        self._directory = directory
        self._keep = keep
        self._events: list[Event] = []
        self._tables: list[pa.Table] = []
        self._rows_waiting = 0
        self.digest = Digest()
        self.segments: list[Segment] = []
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="segments")
        self._writes: list[Future[None]] = []
        """One for each segment, in their order."""
        self._checked = 0
        if keep:
            directory.mkdir(exist_ok=True)

    @property
    def rows(self) -> int:
        """Events added so far."""
        return self.digest.rows + len(self._events)

    def add(self, events: Sequence[Event]) -> None:
        """Append events that follow everything added before in canonical order."""
        self._events.extend(events)
        if len(self._events) >= 8192:
            self._to_table()

    def add_table(self, table: pa.Table) -> None:
        """Append a table with the event schema."""
        self._to_table()
        self._take(table)

    def _to_table(self) -> None:
        if self._events:
            events, self._events = self._events, []
            self._take(to_table(events))

    def _take(self, table: pa.Table) -> None:
        self.digest.update(table)
        if not self._keep:
            return
        self._tables.append(table)
        self._rows_waiting += table.num_rows
        if self._rows_waiting >= ROWS_MAX:
            self._close_segment()

    def flush(self) -> None:
        """Make everything added so far a segment on disk (written in the background)."""
        self._to_table()
        if self._tables:
            self._close_segment()
        self._raise_failed()

    def _close_segment(self) -> None:
        table = pa.concat_tables(self._tables).unify_dictionaries()
        self._tables, self._rows_waiting = [], 0
        digest = digest_of(table)
        previous = self.segments[-1].chain if self.segments else ""
        name = f"part-{len(self.segments):05d}.parquet"
        self.segments.append(Segment(name, table.num_rows, digest, chain(previous, digest)))
        if len(self.segments) == 1:  # parts of an earlier attempt may be cut elsewhere: nobody must see both
            self._writes.append(self._pool.submit(_write_first, table, self._directory / name))
        else:
            self._writes.append(self._pool.submit(_write, table, self._directory / name))
        self._raise_failed()

    def _raise_failed(self) -> None:
        while self._checked < len(self._writes) and self._writes[self._checked].done():
            self._writes[self._checked].result()  # a failed one is not passed: every later call fails as well
            self._checked += 1

    def finish(self) -> str:
        """Write what is left, remove parts that a longer earlier attempt left behind, return the digest."""
        try:
            self.flush()
        finally:
            self._pool.shutdown(wait=True)
        self._raise_failed()
        if self._keep:
            names = {segment.file for segment in self.segments}
            for stale in self._directory.iterdir():
                if stale.name not in names:
                    stale.unlink()
            sync_directory(self._directory)
        return self.digest.hexdigest()

    def abandon(self) -> None:
        """Stop writing without flushing; what is on disk stays valid."""
        self._pool.shutdown(wait=True, cancel_futures=False)

    def durable(self) -> list[Segment]:
        """Return the segments that are certainly on disk, up to the first that is not; never raises."""
        with contextlib.suppress(OSError, pa.ArrowException):
            self._raise_failed()
        return self.segments[: self._checked]


def _write_first(table: pa.Table, path: Path) -> None:
    for stale in path.parent.iterdir():
        stale.unlink()
    _write(table, path)


def _write(table: pa.Table, path: Path) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as handle:
            pq.write_table(table, handle, compression="zstd", compression_level=1, write_statistics=True)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
        sync_directory(path.parent)  # before the manifest says that it is there
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def read_segment(directory: Path, segment: Segment) -> pa.Table:
    """Return a segment's rows, checked against what the manifest says of them.

    Raises:
        LogDamagedError: the file is missing, cut, altered or another run's.
    """
    path = directory / segment.file
    try:
        # ParquetFile, not read_table: a directory of parts must not be merged by a guess of the library
        with pq.ParquetFile(path) as file:
            rows = file.metadata.num_rows
            if rows != segment.rows:  # before anything is unpacked
                raise LogDamagedError(f"this segment has {rows} rows, not {segment.rows}", str(path), REBUILD)
            table = file.read().cast(SCHEMA)
    except FileNotFoundError:
        raise LogDamagedError("this segment is missing", str(path), REBUILD) from None
    except (OSError, pa.ArrowException, ValueError, KeyError) as error:
        raise LogDamagedError(f"this segment cannot be read ({type(error).__name__})", str(path), REBUILD) from None
    if table.num_rows != segment.rows:
        raise LogDamagedError(f"this segment has {table.num_rows} rows, not {segment.rows}", str(path), REBUILD)
    try:
        found = digest_of(table)
    except (pa.ArrowException, ValueError, IndexError) as error:
        raise LogDamagedError(
            f"this segment holds invalid values ({type(error).__name__})", str(path), REBUILD
        ) from None
    if found != segment.digest:
        raise LogDamagedError("this segment is not what was written: its digest differs", str(path), REBUILD)
    return table


def read_all(directory: Path, segments: Sequence[Segment]) -> Iterator[pa.Table]:
    """Yield all segments' tables in order, each checked, and the chain with them."""
    previous = ""
    for segment in segments:
        previous = chain(previous, segment.digest)
        if previous != segment.chain:
            raise LogDamagedError("the chain of digests is broken here", segment.file, "the manifest was altered")
        yield read_segment(directory, segment)
