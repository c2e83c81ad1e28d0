"""This module writes and reads event segments, immutable Parquet files that together are the event log of a run.

The writer takes tables in canonical order and never looks at files again. A segment is written to a temporary name,
synced and renamed, so `pl.scan_parquet("events/*.parquet")` works while the run goes on.
"""

from __future__ import annotations

import contextlib
import contextvars
import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from agentsoc.errors import LogDamagedError
from agentsoc.events import Event
from agentsoc.log.digest import Digest, digest_of, has_rewards, pieces_of
from agentsoc.log.inside import Inside
from agentsoc.log.schema import COLUMNS, RESERVED, REWARDS, SCHEMA, to_table
from agentsoc.log.totals import EpisodeTotals, EventTotals
from agentsoc.scenario.parquet_bounds import iter_parquet, read_parquet, require_kind, unfolded_bytes

REBUILD: Final = "it can be computed again from the journal: agentsoc resume on the run directory"
"""The advice for a run in which anything but the journal and the manifest is damaged."""
ROWS_MAX: Final = 1 << 18
"""Rows after which a segment is closed (events)."""
BYTES_MAX: Final = 64 << 20
"""Size in memory after which a segment is closed (bytes)."""

_RISING: Final = dict.fromkeys(("agent", "claim", "target", "parents.list.element"), "DELTA_BINARY_PACKED")
"""Columns of numbers that mostly rise and seldom come twice: their differences are small, a dictionary of them is not.

Keys are the paths of Parquet.
"""


class Segment(msgspec.Struct, frozen=True):
    """A segment is one file of the event log, as the manifest lists it."""

    file: str
    rows: int
    digest: str
    """Digest of the segment's rows."""
    chain: str
    """Hash of the chain before and this digest: no segment can be dropped, doubled or moved unseen."""
    sha256: str | None = None
    """SHA-256 of the file's bytes; None in logs of format 1."""


def chain(previous: str, digest: str) -> str:
    """Return the next link of the digest chain."""
    return hashlib.sha256(f"{previous}:{digest}".encode()).hexdigest()


class SegmentWriter:
    """The writer writes the event log and keeps `digest` and `totals` of everything that was added."""

    def __init__(self, directory: Path, *, keep: bool = True, rewards: bool = False) -> None:
        """Open a writer.

        Args:
            directory: where the parts go; made when missing. Parts that are there are replaced one by one.
            keep: False to compute digest and totals only and write nothing (replay).
            rewards: whether its events may have rewards, for which they then have a column.

        Raises:
            LogDamagedError: something that is no directory of the run's own stands there.
        """
        self._inside = Inside(directory.parent)
        self._name = directory.name
        self._keep = keep
        self._rewards = rewards
        self._events: list[Event] = []
        self._tables: list[pa.Table] = []
        self._rows_waiting = self._bytes_waiting = 0
        self.digest = Digest()
        self._segment = Digest()
        """The digest of the rows that wait for their segment; not kept for the first one."""
        self.totals = EventTotals()
        """The totals of all events that the digest covers."""
        self.segments: list[Segment] = []
        """The closed segments; each has the hash of its bytes once it is on disk."""
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="segments")
        self._writes: list[Future[str]] = []
        """The write of each segment, in order; its result is the SHA-256 of the file."""
        self.episodes: Callable[[], EpisodeTotals] = EpisodeTotals
        """What the rows of ended episodes add up to now: asked when a segment is closed, for `durable`."""
        self._closed: list[tuple[EventTotals, EpisodeTotals]] = []
        """What all segments up to this one amount to, for each one that is not known to be on disk."""
        self._durable = EventTotals(), EpisodeTotals()
        self._checked = 0
        if keep:
            self._inside.make(self._name)

    @property
    def rows(self) -> int:
        """Count the events added so far."""
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
            self._take(to_table(events, rewards=self._rewards))

    def _take(self, table: pa.Table) -> None:
        if not self._keep:
            self.digest.update(table)
            self.totals.add(table)
            return
        # a reader refuses what unfolds to far more than this, so no segment may grow to it
        rows = max(1, table.num_rows * BYTES_MAX // max(sum(map(_unfolded, table.columns)), 1))
        for first in range(0, table.num_rows, rows):
            part = table.slice(first, rows)
            self._add_to_digests(part)
            self.totals.add(part)
            self._tables.append(part)
            self._rows_waiting += part.num_rows
            self._bytes_waiting += sum(map(_unfolded, part.columns))
            if self._rows_waiting >= ROWS_MAX or self._bytes_waiting >= BYTES_MAX:
                self._close_segment()

    def _add_to_digests(self, part: pa.Table) -> None:
        """Take rows into the digest of the log and into that of the segment under way, which are one in the first."""
        pieces = pieces_of(part, self.digest.rows)
        self.digest.feed(pieces, part.num_rows)
        if not self.segments:
            return
        if has_rewards(pieces):
            pieces = pieces_of(part, self._segment.rows)
        self._segment.feed(pieces, part.num_rows)

    def flush(self) -> None:
        """Make everything added so far a segment on disk (written in the background)."""
        self._to_table()
        if self._tables:
            self._close_segment()
        self._raise_failed()

    def _close_segment(self) -> None:
        table = pa.concat_tables(self._tables).unify_dictionaries()
        self._tables, self._rows_waiting, self._bytes_waiting = [], 0, 0
        digest = (self._segment if self.segments else self.digest).hexdigest()
        self._segment = Digest()
        previous = self.segments[-1].chain if self.segments else ""
        name = f"part-{len(self.segments):05d}.parquet"
        # parts of an earlier attempt may be cut elsewhere: nobody must see both
        write = self._write if self.segments else self._write_first
        self.segments.append(Segment(name, table.num_rows, digest, chain(previous, digest)))
        self._closed.append((self.totals.copy(), self.episodes().copy()))
        self._writes.append(self._pool.submit(contextvars.copy_context().run, write, table, name))
        self._raise_failed()

    def _write_first(self, table: pa.Table, name: str) -> str:
        for stale in self._inside.names(self._name):
            self._inside.remove(f"{self._name}/{stale}")
        return self._write(table, name)

    def _write(self, table: pa.Table, name: str) -> str:
        sink = io.BytesIO()
        rising = {path.split(".")[0] for path in _RISING}
        as_words = [name for name in table.column_names if name not in rising]
        pq.write_table(
            table, sink, compression="zstd", compression_level=1, use_dictionary=as_words, column_encoding=_RISING
        )
        # released whatever happens: Python 3.13 complains of a buffer that is freed together with a view of it
        with sink.getbuffer() as content:
            self._inside.write(f"{self._name}/{name}", content)
            return hashlib.sha256(content).hexdigest()

    def _raise_failed(self) -> None:
        while self._checked < len(self._writes) and self._writes[self._checked].done():
            found = self._writes[self._checked].result()  # a failed write stays, so every later call fails as well
            self.segments[self._checked] = msgspec.structs.replace(self.segments[self._checked], sha256=found)
            self._durable = self._closed.pop(0)
            self._checked += 1

    def finish(self) -> str:
        """Write what is left, remove parts that a longer earlier attempt left behind, return the digest."""
        try:
            self.flush()
        finally:
            self._pool.shutdown(wait=True)
        self._raise_failed()
        if self._keep:
            self.remove_others(self.segments)
            self._inside.sync(self._name)
        return self.digest.hexdigest()

    def remove_others(self, segments: Sequence[Segment]) -> None:
        """Remove what an earlier attempt left and the manifest will not list; to be called when nothing is written."""
        names = {segment.file for segment in segments}
        for stale in self._inside.names(self._name):
            if stale not in names:
                self._inside.remove(f"{self._name}/{stale}")

    def abandon(self) -> None:
        """Stop writing without flushing; what is on disk stays valid."""
        self._pool.shutdown(wait=True, cancel_futures=False)

    def durable(self) -> tuple[list[Segment], EventTotals, EpisodeTotals]:
        """Return the segments that are certainly on disk, up to the first that is not, and what they amount to.

        The rows are those of the episodes that had ended when the last of them was closed. Never raises.
        """
        with contextlib.suppress(OSError, pa.ArrowException, LogDamagedError):
            self._raise_failed()
        return self.segments[: self._checked], *self._durable


def _unfolded(column: pa.ChunkedArray) -> int:
    return sum(map(unfolded_bytes, column.chunks))


def read_segment(
    directory: Path, segment: Segment, columns: Sequence[str] | None = None, *, digest: bool | None = None
) -> pa.Table:
    """Return a segment's rows, checked against what the manifest says of them.

    Args:
        directory: where the segments are.
        segment: which one.
        columns: what to return; None for everything.
        digest: whether to compare what the rows hold with its digest as well as the bytes with their hash; None where
            there is no hash, as in runs of format 1.

    Raises:
        LogDamagedError: the file is missing, cut, altered or another run's.
    """
    where = str(directory / segment.file)
    content = segment_bytes(directory, segment)
    by_rows = segment.sha256 is None if digest is None else digest
    table = conform(
        read_parquet(content, where, columns=None if by_rows else columns, rows=segment.rows, hint=REBUILD),
        where,
        None if by_rows else columns,
    )
    if not by_rows:
        return table
    try:
        found = digest_of(table)
    except (pa.ArrowException, ValueError, IndexError) as error:
        raise LogDamagedError(f"this segment holds invalid values ({type(error).__name__})", where, REBUILD) from None
    if found != segment.digest:
        raise LogDamagedError("this segment is not what was written: its digest differs", where, REBUILD)
    return table if columns is None else table.select([name for name in table.column_names if name in set(columns)])


def iter_segment(directory: Path, segment: Segment, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Yield a segment's rows in tables of bounded size, once its bytes have their hash; see `read_segment`."""
    if segment.sha256 is None:
        yield read_segment(directory, segment, columns)
        return
    where = str(directory / segment.file)
    content = segment_bytes(directory, segment)
    for table in iter_parquet(content, where, columns=columns, rows=segment.rows, hint=REBUILD):
        yield conform(table, where, columns)


def segment_bytes(directory: Path, segment: Segment) -> bytes:
    """Return the bytes of a segment, compared with their hash where there is one.

    Raises:
        LogDamagedError: the file is missing, no ordinary file, or not what was written.
    """
    where = str(directory / segment.file)
    try:
        content = Inside(directory.parent).read(f"{directory.name}/{segment.file}")
    except FileNotFoundError:
        raise LogDamagedError("this segment is missing", where, REBUILD) from None
    except OSError as error:
        raise LogDamagedError(f"this segment cannot be read: {error.strerror}", where, REBUILD) from None
    if segment.sha256 is not None and hashlib.sha256(content).hexdigest() != segment.sha256:
        raise LogDamagedError("this segment is not what was written: its bytes differ", where, REBUILD)
    return content


def conform(table: pa.Table, where: str, columns: Sequence[str] | None) -> pa.Table:
    """Return a table with the event schema, or those columns of it."""
    fields = [field for field in SCHEMA if columns is None or field.name in set(columns)]
    if REWARDS.name in table.column_names and (columns is None or REWARDS.name in set(columns)):
        fields.append(REWARDS)
    strangers = set(table.column_names) - set(COLUMNS) - set(RESERVED)
    if strangers:
        raise LogDamagedError(f"this segment has a column {min(strangers)[:60]!r} too many", where, REBUILD)
    try:
        table = table.select([field.name for field in fields])
        for field in fields:
            require_kind(table.schema.field(field.name), field.type)
        table = table.cast(pa.schema(fields))
    except (pa.ArrowException, ValueError, KeyError) as error:
        raise LogDamagedError(f"this segment cannot be read ({type(error).__name__})", where, REBUILD) from None
    empty = [field.name for field in fields if not field.nullable and table[field.name].null_count]
    if empty:
        raise LogDamagedError(f"this segment lacks values in its column {empty[0]}", where, REBUILD)
    return table


def read_all(directory: Path, segments: Sequence[Segment], columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Yield all segments' tables in order, each checked, and the chain with them."""
    for segment in chained(segments):
        yield read_segment(directory, segment, columns)


def chained(segments: Sequence[Segment]) -> Iterator[Segment]:
    """Yield segments in order as long as their chain of digests holds.

    Raises:
        LogDamagedError: it is broken.
    """
    previous = ""
    for segment in segments:
        previous = chain(previous, segment.digest)
        if previous != segment.chain:
            raise LogDamagedError("the chain of digests is broken here", segment.file, "the manifest was altered")
        yield segment
