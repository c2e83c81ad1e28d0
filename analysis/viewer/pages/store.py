"""This module opens a run or an imported log for looking: its events in parts, of which blocks of rows are kept.

A part is a segment of the log. It is read with pyarrow, within bounds and compared with the manifest, before polars
sees any of it, and block by block, so that a segment never stands in memory as a whole. Where the rows of a task are
is known from one column. A run that is being written has parts that its manifest does not list yet: they are whole
once they have their name, and are read as well. What stands in no part yet a `Teller` works out from the journal.
"""

from __future__ import annotations

import contextlib
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl
import pyarrow as pa

from agentsoc.errors import AgentsocError, InputError, LogDamagedError
from agentsoc.events import Event, unpack_id
from agentsoc.log.below import is_run
from agentsoc.log.imported import Imported, is_imported
from agentsoc.log.manifest import Manifest
from agentsoc.log.names import EVENTS, JOURNAL
from agentsoc.log.read import RunLog
from agentsoc.log.schema import COLUMNS, REWARDS, SCHEMA, to_table
from agentsoc.log.segments import Segment, chained, conform, iter_segment
from agentsoc.printing.imported import is_packed
from agentsoc.scenario.parquet_bounds import iter_parquet
from agentsoc.scenario.parquet_footer import read_footer
from analysis.importers import store as imports
from analysis.tables import EventTable

CACHE_BYTES: Final = 48 << 20
"""Memory that blocks of one log may take once they were read (bytes)."""
BLOCK: Final = 1 << 16
"""Rows that are kept together (events)."""
LIVE_BYTES: Final = 32 << 20
"""Largest journal from which events that are in no part yet are worked out (bytes)."""
_PART: Final = re.compile(r"part-\d{5,}\.parquet")
ALL: Final = (*COLUMNS, REWARDS.name)
"""Columns of the events as pages see them; a log without rewards has nulls there."""

Reader = Callable[[Sequence[str] | None], Iterator[pl.DataFrame]]
"""Yields the rows of a part in their order, some at a time: those columns, or all of them for None."""
Teller = Callable[[Path, int], Sequence[Event]]
"""Gives the events so far of a task of a run that goes on; see `agentsoc.engine.transcript.events_so_far`."""


@dataclass(frozen=True)
class LogPart:
    """A part of the events of a log, read when it is asked for."""

    rows: int
    read: Reader


class OpenLog:
    """An open log holds what pages ask for: events by task, by column or as parts; see `open_log`."""

    def __init__(self, directory: Path, teller: Teller | None = None) -> None:
        self.directory = directory
        self.run: RunLog | None = None
        """The run; None for an imported log."""
        self.table: EventTable | None = None
        """The imported log; None for a run."""
        self.about: Imported | None = None
        self.parts: list[LogPart] = []
        self._teller = teller
        self._kept: OrderedDict[tuple[int, int], pl.DataFrame] = OrderedDict()
        """Blocks by part and place."""
        self._places: list[pl.DataFrame] = []
        """For each part that was looked at: task, its first row and its last."""
        self._told: dict[int, pl.DataFrame] = {}
        """Tasks that a teller was asked for, since the last look."""
        self.untold: dict[int, str] = {}
        """Why it told nothing of a task, of those that it was asked for since the last look."""
        self._unlisted: dict[object, LogPart] = {}
        self.changes = 0
        """How often the events, or what the manifest says of them, turned out to be others than before."""
        self.counted: OrderedDict[object, list[int]] = OrderedDict()
        """Events of each part that a filter lets through, for filters that were counted before; see `events`."""
        self.refresh()

    @property
    def name(self) -> str:
        """Name of the log: that of the scenario, or of what was imported."""
        return self.run.manifest.name if self.run is not None else self.directory.name

    @property
    def manifest(self) -> Manifest | None:
        """Manifest of the run; None for an imported log."""
        return None if self.run is None else self.run.manifest

    @property
    def rows(self) -> int:
        """Count the events."""
        return sum(part.rows for part in self.parts)

    def refresh(self) -> None:
        """Look again: a run that goes on may have more events. Blocks of parts that are as they were stay in memory."""
        before, told = self._state(), self._told_of_it()
        if is_run(self.directory):
            self.run = RunLog(self.directory)
            parts = list(_listed(self.run))
            if self.run.manifest.status == "running":
                parts += self._not_listed(self.run)
            self.parts = parts
        elif is_imported(self.directory):
            self.table, self.about = imports.load(self.directory)
            self.parts = [_of_table(self.table)]
        else:
            raise InputError("there is no run and no imported log here", str(self.directory), "agentsoc ls shows runs")
        self._told.clear()
        self.untold.clear()
        if self._state() != before:
            self._kept.clear()
            self._places.clear()
            self.counted.clear()
        if (self._state(), self._told_of_it()) != (before, told):
            self.changes += 1

    def _told_of_it(self) -> object:
        """Return what the manifest says of the run beside its events."""
        return None if self.run is None else (self.run.manifest.status, self.run.manifest.totals)

    def _state(self) -> object:
        run = self.run
        listed = () if run is None else tuple(segment.chain for segment in run.segments)
        return listed, tuple(part.rows for part in self.parts), tuple(self._unlisted)

    @property
    def live(self) -> bool:
        """Return whether the run was going on when it was last looked at."""
        return self.run is not None and self.run.manifest.status == "running"

    # Events

    def rows_of(self, at: int, start: int, stop: int) -> pl.DataFrame:
        """Return the rows `start` to `stop` of part `at`; their blocks are kept, as far as there is room."""
        stop = min(stop, self.parts[at].rows)
        if start >= stop:
            return pl.DataFrame(schema=_schema())
        wanted = range(start // BLOCK, (stop - 1) // BLOCK + 1)
        found = {number: frame for number in wanted if (frame := self._kept.get((at, number))) is not None}
        if len(found) < len(wanted):
            for number, frame in enumerate(_blocks(self.parts[at].read(None))):
                if number in wanted:
                    found[number] = frame
                if number >= wanted[-1]:
                    break
            pa.default_memory_pool().release_unused()  # what it took to read is several times what is kept
        for number in wanted:
            self._kept[at, number] = found[number]
            self._kept.move_to_end((at, number))
        while len(self._kept) > 1 and sum(one.estimated_size() for one in self._kept.values()) > CACHE_BYTES:
            self._kept.popitem(last=False)
        first = wanted[0] * BLOCK
        return pl.concat([found[number] for number in wanted]).slice(start - first, stop - start)

    def places(self, at: int) -> pl.DataFrame:
        """Return the tasks of part `at` with the first and the last row of each, by task."""
        while len(self._places) <= at:
            tasks = [frame["task"] for frame in self.parts[len(self._places)].read(["task"])]
            column = pl.concat(tasks) if tasks else pl.Series("task", [], pl.Int64)
            rows = pl.DataFrame({"task": column}).with_row_index("row")
            ends = (pl.col("row").min().alias("first"), pl.col("row").max().alias("last"))
            self._places.append(rows.group_by("task").agg(*ends).sort("task"))
        return self._places[at]

    def columns(self, names: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Yield some columns of all events, some rows at a time; a task may go on from one frame to the next."""
        for part in self.parts:
            yield from part.read(names)

    def whole_tasks(self, names: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Yield some columns of all events, `task` among them, each frame with whole tasks."""
        left: pl.DataFrame | None = None
        for frame in self.columns(names):
            whole = frame if left is None else pl.concat([left, frame])
            cut = pl.col("task") == whole["task"][-1] if whole.height else pl.lit(value=True)
            left = whole.filter(cut)
            if left.height < whole.height:
                yield whole.filter(~cut)
        if left is not None and left.height:
            yield left

    def of_task(self, task: int) -> pl.DataFrame:
        """Return the events of one task, in their order; a task may go on from one part to the next."""
        found = []
        for at in range(len(self.parts)):
            for first, last in self.places(at).filter(pl.col("task") == task).select("first", "last").iter_rows():
                found.append(self.rows_of(at, first, last + 1).filter(pl.col("task") == task))
        rows = pl.concat(found) if found else pl.DataFrame(schema=_schema())
        if self.live and "stop" not in rows["kind"]:
            told = self._from_journal(task)
            return told if told.height > rows.height else rows
        return rows

    def _from_journal(self, task: int) -> pl.DataFrame:
        """Return the events so far of a task that goes on; none where they cannot be worked out here."""
        if task not in self._told:
            events: Sequence[Event] = ()
            if self._teller is None:
                self.untold[task] = "this page only reads segments"
            elif self.journal_bytes() > LIVE_BYTES:
                self.untold[task] = f"the journal is larger than {LIVE_BYTES >> 20} MiB"
            else:
                try:
                    events = self._teller(self.directory, task)
                except (AgentsocError, ValueError, OSError) as error:
                    self.untold[task] = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
            self._told[task] = _frame(to_table(events, rewards=True), None)
        return self._told[task]

    def journal_bytes(self) -> int:
        """Return the size of the journal (bytes); 0 without one."""
        names = (JOURNAL, f"{JOURNAL}-wal")
        found = [] if self.run is None else [self.run.inside.look(name) for name in names]
        return sum(state.st_size for state in found if state is not None)

    def _not_listed(self, run: RunLog) -> list[LogPart]:
        """Return the parts that are whole and not in the manifest yet; nothing states their hash."""
        listed = {segment.file for segment in run.segments}
        names = [name for name in run.inside.names(EVENTS) if _PART.fullmatch(name) and name not in listed]
        before, self._unlisted = self._unlisted, {}
        for name in names:
            place = f"{EVENTS}/{name}"
            if (state := run.inside.look(place)) is None:
                continue
            key = (name, state.st_ino, state.st_size, state.st_mtime_ns)
            with contextlib.suppress(FileNotFoundError, LogDamagedError, ValueError):  # its writer removed or broke it
                self._unlisted[key] = before[key] if key in before else _unlisted_part(run, place)
        return list(self._unlisted.values())

    def tasks(self) -> int:
        """Return the number of tasks: of the scenario, or of what was imported."""
        if self.table is not None:
            return self.table.n_executions
        assert self.run is not None
        count = self.run.manifest.scenario.get("tasks", {}).get("count")
        return count if isinstance(count, int) else self.run.manifest.totals.episodes

    def claim(self, number: int | None) -> str | None:
        """Return the id of a claim as a text; see `analysis.viewer.pages`."""
        if number is None:
            return None
        if number < 0:
            return f"unseen.{-number}"
        if self.about is not None and not is_packed(self.about):
            return str(number)
        place = unpack_id(number)
        return f"{place.round}.{place.agent}.{place.k}"


def open_log(directory: Path | str, teller: Teller | None = None) -> OpenLog:
    """Return the run or imported log in a directory, opened for looking; nothing is written.

    Args:
        directory: where it is.
        teller: works out from the journal of a run that goes on what stands in no part yet; None for nobody.

    Raises:
        InputError: there is none.
        LogDamagedError: it is not what was written.
    """
    return OpenLog(Path(directory), teller)


def is_log(directory: Path) -> bool:
    """Return whether there is a run or an imported log at a place, sound or not."""
    return is_run(directory) or is_imported(directory)


def _listed(run: RunLog) -> Iterator[LogPart]:
    """Yield the segments that the manifest lists."""
    for segment in chained(run.segments):

        def read(columns: Sequence[str] | None, segment: Segment = segment) -> Iterator[pl.DataFrame]:
            wanted = None if columns is None else [*columns]
            for table in iter_segment(run.directory / EVENTS, segment, wanted):
                yield _frame(table, columns)

        yield LogPart(segment.rows, _remembering(read))


def _unlisted_part(run: RunLog, place: str) -> LogPart:
    """Return a part of which the manifest says nothing."""
    rows = read_footer(run.inside.read(place)).rows

    def read(columns: Sequence[str] | None) -> Iterator[pl.DataFrame]:
        wanted = None if columns is None else [*columns]
        for table in iter_parquet(run.inside.read(place), place, columns=wanted, rows=rows):
            yield _frame(conform(table, place, wanted), columns)

    return LogPart(rows, _remembering(read))


def _remembering(read: Reader) -> Reader:
    """Return a reader that refuses at once what it refused before: a part that is broken may take long to read."""
    found: list[LogDamagedError] = []

    def remembering(columns: Sequence[str] | None) -> Iterator[pl.DataFrame]:
        if found:
            raise LogDamagedError(*found[0].args)
        try:
            yield from read(columns)
        except LogDamagedError as error:
            found.append(error)
            raise

    return remembering


def _blocks(frames: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Yield frames anew in blocks of `BLOCK` rows; the last one may be shorter."""
    waiting: list[pl.DataFrame] = []
    n = 0
    for frame in frames:
        waiting.append(frame)
        n += frame.height
        if n >= BLOCK:
            whole = pl.concat(waiting)
            for first in range(0, n - n % BLOCK, BLOCK):
                yield whole.slice(first, BLOCK)
            waiting, n = [whole.slice(n - n % BLOCK)], n % BLOCK
    if n:
        yield pl.concat(waiting)


def _of_table(table: EventTable) -> LogPart:
    """Return an imported log as one part; its executions are the tasks."""
    events = table.events
    missing = [pl.lit(None, kind).alias(name) for name, kind in _schema().items() if name not in events.columns]
    whole = (
        events.with_columns(pl.col("execution").alias("task"), *missing)
        .with_columns(pl.col("kind", "label_source").cast(pl.String))
        .select(ALL)
    )

    def read(columns: Sequence[str] | None) -> Iterator[pl.DataFrame]:
        yield whole if columns is None else whole.select(columns)

    return LogPart(events.height, read)


def _frame(table: pa.Table, columns: Sequence[str] | None) -> pl.DataFrame:
    """Return a table of a run as polars has it: texts that repeat as categories, and a column for rewards."""
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    wanted = list(ALL if columns is None else columns)
    if REWARDS.name in wanted and REWARDS.name not in frame.columns:
        frame = frame.with_columns(pl.lit(None, pl.Float64).alias(REWARDS.name))
    frame = frame.select(wanted)
    texts = [name for name, kind in frame.schema.items() if isinstance(kind, pl.Categorical)]
    return frame.with_columns(pl.col(texts).cast(pl.String)) if texts else frame


def _schema() -> dict[str, pl.DataType]:
    """Return the columns of events with their types in polars; an empty table of pyarrow's would load pandas."""
    return {field.name: _kind(field.type) for field in (*SCHEMA, REWARDS)}


def _kind(kind: pa.DataType) -> pl.DataType:
    """Return the type that polars has for values of a column of events."""
    if pa.types.is_list(kind):
        return pl.List(_kind(kind.value_type))
    if pa.types.is_floating(kind):
        return pl.Float64()
    if pa.types.is_integer(kind):
        return pl.Int32() if kind.bit_width == 32 else pl.Int64()
    return pl.String()
