"""This module opens a run or an imported log for looking: its events in parts, of which a bounded number is kept.

A part is a segment of the log. It is read with pyarrow, within bounds and compared with the manifest, before polars
sees any of it. Which tasks a part holds is known from one column, so one task costs one part. A run that is being
written has parts that its manifest does not list yet: they are whole once they have their name, and are read as well.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl
import pyarrow as pa

from agentsoc.errors import InputError, LogDamagedError
from agentsoc.events import unpack_id
from agentsoc.log.below import is_run
from agentsoc.log.imported import Imported, is_imported
from agentsoc.log.manifest import Manifest
from agentsoc.log.names import EVENTS
from agentsoc.log.read import RunLog
from agentsoc.log.schema import COLUMNS, REWARDS, SCHEMA
from agentsoc.log.segments import chained, conform, read_segment
from agentsoc.scenario.parquet_bounds import read_parquet
from analysis.importers import store as imports
from analysis.tables import EventTable

CACHE_BYTES: Final = 96 << 20
"""Memory that parts of one log may take once they were read (bytes)."""
_PART: Final = re.compile(r"part-\d{5,}\.parquet")
ALL: Final = (*COLUMNS, REWARDS.name)
"""Columns of the events as pages see them; a log without rewards has nulls there."""

Reader = Callable[[Sequence[str] | None], pl.DataFrame]
"""Reads a part: those columns, or all of them for None."""


@dataclass(frozen=True)
class LogPart:
    """A part of the events of a log, read when it is asked for."""

    rows: int
    read: Reader


class OpenLog:
    """An open log holds what pages ask for: events by task, by column or as parts; see `open_log`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.run: RunLog | None = None
        """The run; None for an imported log."""
        self.table: EventTable | None = None
        """The imported log; None for a run."""
        self.about: Imported | None = None
        self.parts: list[LogPart] = []
        self._kept: OrderedDict[int, pl.DataFrame] = OrderedDict()
        self._spans: list[tuple[int, int]] = []
        """First and last task of each part that was looked at."""
        self.counted: OrderedDict[object, int] = OrderedDict()
        """Totals of filters that were counted before; see `events`."""
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
        """Look again: a run that goes on may have more events. Parts that are as they were stay in memory."""
        before = self._state()
        if is_run(self.directory):
            self.run = RunLog(self.directory)
            parts = list(_listed(self.run))
            if self.run.manifest.status == "running":
                parts += _unlisted(self.run)
            self.parts = parts
        elif is_imported(self.directory):
            self.table, self.about = imports.load(self.directory)
            self.parts = [_of_table(self.table)]
        else:
            raise InputError("there is no run and no imported log here", str(self.directory), "agentsoc ls shows runs")
        if self._state() != before:
            self._kept.clear()
            self._spans.clear()
            self.counted.clear()

    def _state(self) -> object:
        run = self.run
        listed = () if run is None else tuple(segment.chain for segment in run.segments)
        return listed, tuple(part.rows for part in self.parts)

    # Events

    def part(self, at: int, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Return part `at`, whole or some columns; whole parts are kept, as far as there is room."""
        if (kept := self._kept.get(at)) is not None:
            self._kept.move_to_end(at)
            return kept if columns is None else kept.select(columns)
        if columns is not None:
            return self.parts[at].read(columns)
        frame = self.parts[at].read(None)
        pa.default_memory_pool().release_unused()  # what it took to read is several times what is kept
        self._kept[at] = frame
        while len(self._kept) > 1 and sum(one.estimated_size() for one in self._kept.values()) > CACHE_BYTES:
            self._kept.popitem(last=False)
        return frame

    def span(self, at: int) -> tuple[int, int]:
        """Return the first and the last task of part `at`; (0, -1) for an empty one."""
        while len(self._spans) <= at:
            tasks = self.part(len(self._spans), ["task"])["task"]
            low, high = tasks.min(), tasks.max()
            self._spans.append((low, high) if isinstance(low, int) and isinstance(high, int) else (0, -1))
        return self._spans[at]

    def columns(self, names: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Yield some columns of all events, a part at a time."""
        for at in range(len(self.parts)):
            yield self.part(at, names)

    def of_task(self, task: int) -> pl.DataFrame:
        """Return the events of one task, in their order; a task may go on from one part to the next."""
        found = [
            self.part(at).filter(pl.col("task") == task)
            for at in range(len(self.parts))
            if self.span(at)[0] <= task <= self.span(at)[1]
        ]
        return pl.concat(found) if found else pl.DataFrame(schema=_schema())

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
        if self.table is not None:
            return str(number)
        place = unpack_id(number)
        return f"{place.round}.{place.agent}.{place.k}"


def open_log(directory: Path | str) -> OpenLog:
    """Return the run or imported log in a directory, opened for looking; nothing is written.

    Raises:
        InputError: there is none.
        LogDamagedError: it is not what was written.
    """
    return OpenLog(Path(directory))


def is_log(directory: Path) -> bool:
    """Return whether there is a run or an imported log at a place, sound or not."""
    return is_run(directory) or is_imported(directory)


def _listed(run: RunLog) -> Iterator[LogPart]:
    """Yield the segments that the manifest lists."""
    for segment in chained(run.segments):

        def read(columns: Sequence[str] | None, segment: object = segment) -> pl.DataFrame:
            wanted = None if columns is None else [*columns]
            return _frame(read_segment(run.directory / EVENTS, segment, wanted), columns)  # type: ignore[arg-type]

        yield LogPart(segment.rows, read)


def _unlisted(run: RunLog) -> list[LogPart]:
    """Return the parts of a run that goes on that are whole and not in its manifest yet; nothing states their hash."""
    listed = {segment.file for segment in run.segments}
    found: list[LogPart] = []
    for name in run.inside.names(EVENTS):
        if not _PART.fullmatch(name) or name in listed:
            continue
        place = f"{EVENTS}/{name}"
        try:
            table = conform(read_parquet(run.inside.read(place), place), place, None)
        except (FileNotFoundError, LogDamagedError):
            continue  # an earlier attempt's, which its writer removes

        def read(columns: Sequence[str] | None, table: pa.Table = table) -> pl.DataFrame:
            return _frame(table, columns)

        found.append(LogPart(table.num_rows, read))
    return found


def _of_table(table: EventTable) -> LogPart:
    """Return an imported log as one part; its executions are the tasks."""
    events = table.events
    missing = [pl.lit(None, kind).alias(name) for name, kind in _schema().items() if name not in events.columns]
    whole = (
        events.with_columns(pl.col("execution").alias("task"), *missing)
        .with_columns(pl.col("kind", "label_source").cast(pl.String))
        .select(ALL)
    )

    def read(columns: Sequence[str] | None) -> pl.DataFrame:
        return whole if columns is None else whole.select(columns)

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
    """Return the columns of events with their types in polars."""
    empty = pl.from_arrow(SCHEMA.append(REWARDS).empty_table())
    assert isinstance(empty, pl.DataFrame)
    return {name: pl.String() if isinstance(kind, pl.Categorical) else kind for name, kind in empty.schema.items()}
