"""This module reads the files of a run directory lazily: events, tables of tasks and episodes, journal, manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agentsoc.errors import LogDamagedError
from agentsoc.events import Event
from agentsoc.log.inside import Inside
from agentsoc.log.journal import Attempt, read_journal
from agentsoc.log.manifest import Manifest, Totals, load_manifest
from agentsoc.log.names import EPISODES, EVENTS, JOURNAL, TASKS
from agentsoc.log.schema import COLUMNS, SCHEMA, from_table
from agentsoc.log.segments import REBUILD, Segment, chained, conform, read_all, segment_bytes

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

TASKS_MAX: Final = 96 << 20
"""How much memory a small table of tasks may take: several readers make copies of it (bytes)."""
SMALL_MAX: Final = 16 << 20
"""Tables up to this size are kept once they were read (bytes)."""


class StoredRun:
    """The object reads the files of a run directory, each compared with the manifest when read; it writes nothing."""

    def __init__(self, directory: Path | str) -> None:
        """Open `directory`.

        Raises:
            LogDamagedError: it holds no valid manifest.
        """
        self.directory = Path(directory)
        self.manifest: Manifest = load_manifest(self.directory)
        self._small: dict[str, pa.Table] = {}
        """Small tables that were read and found sound, by the name of their file."""

    def __repr__(self) -> str:
        """Return the run in one line: where it is, how far it got, and what came out."""
        manifest, totals = self.manifest, self.manifest.totals
        return (
            f"<{type(self).__name__} {_plain(self.directory)}: {_plain(manifest.name)}, seed {manifest.seed}, "
            f"{manifest.status}, {_score_text(totals)}, {totals.tokens:,} tokens, {totals.calls:,} calls "
            f"({totals.calls_failed:,} failed)>"
        )

    def __str__(self) -> str:
        """Return the run in a few lines, as `agentsoc run` ends."""
        manifest, totals = self.manifest, self.manifest.totals
        budget = "" if totals.budget is None else f"; budget {totals.budget:,}"
        facts = (
            ("run", f"{_plain(manifest.name)}, seed {manifest.seed}, {manifest.status}, in {_plain(self.directory)}"),
            ("score", _score_text(totals).removeprefix("score ")),
            ("tokens", f"{totals.tokens:,}: {totals.tokens_in:,} input, {totals.tokens_out:,} output{budget}"),
            ("calls", f"{totals.calls:,} calls, {totals.calls_failed:,} failed, {totals.calls_lost:,} lost"),
            ("events", f"{totals.events:,}"),
            ("digest", manifest.digest or "none: the run is not finished"),
        )
        return "\n".join(f"{name:<10}{text}" for name, text in facts)

    def _repr_html_(self) -> str:
        """Return the run for a notebook: pictures and tables where the analysis is installed, else its text."""
        from agentsoc.log.notebook import notebook_html

        return notebook_html("run", self, str(self))

    @cached_property
    def segments(self) -> list[Segment]:
        """Return the files of the event log, in order."""
        return [Segment(s.file, s.rows, s.digest, s.chain, s.sha256) for s in self.manifest.segments]

    @property
    def inside(self) -> Inside:
        """Return the files of the directory."""
        return Inside(self.directory)

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield the event log as tables in canonical order, each checked against the manifest.

        Tasks may go on from one table to the next.

        Args:
            columns: what to read, in the order wanted; None for everything.

        Raises:
            LogDamagedError: a segment is not what was written.
        """
        for table in read_all(self.directory / EVENTS, self.segments, columns):
            yield table if columns is None else table.select(list(columns))

    def events(self) -> Iterator[Event]:
        """Yield the events in canonical order; each segment is checked against the manifest first."""
        for table in self.tables():
            yield from from_table(table)

    def frame(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Return the event log as a polars frame with one row per event, segments checked.

        Args:
            columns: what to read; None for everything.
        """
        import polars as pl
        import pyarrow as pa

        schema = SCHEMA if columns is None else pa.schema([f for f in SCHEMA if f.name in set(columns)])
        tables = list(self.tables(columns))
        table = pa.concat_tables(tables).unify_dictionaries() if tables else schema.empty_table()
        frame = pl.from_arrow(table)
        assert isinstance(frame, pl.DataFrame)
        frame = frame.with_columns(pl.col(pl.Categorical).cast(pl.String))
        return frame if columns is None else frame.select(columns)

    def scan(self) -> pl.LazyFrame:
        """Return the event log as a lazy frame over the segments that the manifest lists.

        The bytes of the segments are compared with their hashes now; what is read later is not looked at again. With
        `pl.scan_parquet("RUN/events/*.parquet")` nothing is checked.

        Raises:
            LogDamagedError: a segment is not what was written.
        """
        import polars as pl

        from agentsoc.scenario.parquet_bounds import read_schema, require_size

        files = []
        for segment in chained(self.segments):
            path = self.directory / EVENTS / segment.file
            content = segment_bytes(path.parent, segment)
            require_size(content, str(path), rows=segment.rows, hint=REBUILD)
            conform(read_schema(content, str(path), hint=REBUILD).empty_table(), str(path), None)
            files.append(path)
        if not files:
            frame = pl.from_arrow(SCHEMA.empty_table())
            assert isinstance(frame, pl.DataFrame)
            return frame.lazy()
        return pl.scan_parquet(files, glob=False).select(COLUMNS)

    def tasks(self) -> pl.DataFrame:
        """Return the tasks of the run: task, id, question, truth, options, chance, difficulty.

        Raises:
            LogDamagedError: the table is missing or not what was written.
        """
        import polars as pl

        frame = pl.from_arrow(self.task_table())
        assert isinstance(frame, pl.DataFrame)
        return frame

    def task_table(self) -> pa.Table:
        """Return the tasks of the run as they are kept, one row for each task of its scenario; see `tasks`."""
        import pyarrow as pa

        from agentsoc.scenario.parquet_bounds import require_kind

        if TASKS in self._small:
            return self._small[TASKS]
        table = self.table(TASKS, self.manifest.tasks_file, "task table", most=TASKS_MAX)
        types = _task_types()
        try:
            if "task" not in table.column_names or len(set(table.column_names)) < table.num_columns:
                raise ValueError("its columns are others")
            for field in table.schema:
                if field.name not in types:
                    raise ValueError(f"the column {field.name[:60]!r} is one too many")
                require_kind(field, types[field.name])
            table = table.cast(pa.schema([(name, types[name]) for name in table.column_names]))
            count = self.manifest.scenario.get("tasks", {}).get("count", table.num_rows)
            if table.num_rows != count:
                raise ValueError(f"it has {table.num_rows:,} rows, and the scenario {count:,} tasks")
            if table["task"].to_pylist() != list(range(count)):  # `to_numpy` would load pandas, where it is installed
                raise ValueError("its rows are not those of the tasks, in their order")
        except (pa.ArrowException, ValueError, KeyError) as error:
            what = f"the task table holds something else ({error})"
            raise LogDamagedError(what, str(self.directory / TASKS), REBUILD) from None
        return self._keep(TASKS, table)

    def episodes(self) -> pl.DataFrame | None:
        """Return the table of episodes, one row per task, checked against the manifest; ended episodes only.

        None for a run that goes on or was killed, or that an earlier version made.

        Raises:
            LogDamagedError: the table is missing or not what was written.
        """
        import polars as pl

        from agentsoc.log.episodes import UNDER_WAY

        table = self.episode_rows()
        if table is None:
            return None
        frame = pl.from_arrow(table)
        assert isinstance(frame, pl.DataFrame)
        return frame.filter(pl.col("stop") != UNDER_WAY)

    def episode_rows(self) -> pa.Table | None:
        """Return all rows of episodes, those under way included, with the schema of this version; see `episodes`."""
        import pyarrow as pa

        from agentsoc.log.episodes import conform

        digest = self.manifest.episodes_file
        if digest is None:
            return None
        if EPISODES in self._small:
            return self._small[EPISODES]
        try:
            return self._keep(EPISODES, conform(self.table(EPISODES, digest, "table of episodes")))
        except (pa.ArrowException, ValueError, KeyError) as error:
            raise LogDamagedError(
                f"the table of episodes holds something else ({error})", str(self.directory / EPISODES), REBUILD
            ) from None

    def forget(self) -> None:
        """Read everything from the disk again the next time that it is asked for."""
        self._small.clear()

    def _keep(self, name: str, table: pa.Table) -> pa.Table:
        if table.nbytes <= SMALL_MAX:
            self._small[name] = table
        return table

    def journal(self, task: int | None = None) -> Iterator[Attempt]:
        """Yield the model attempts, all or of one task, in key order, each row checked."""
        return read_journal(self.directory / JOURNAL, task)

    def table(self, name: str, digest: str | None, what: str, *, most: int | None = None) -> pa.Table:
        """Return a small table of the run, compared with the hash of its bytes.

        Args:
            name: its file.
            digest: SHA-256 of its bytes; None where the manifest states none.
            what: what it is, for messages.
            most: what it may hold in memory, however small it is (bytes); None for the usual.

        Raises:
            LogDamagedError: it is missing, not what was written, or unfolds to more than it may.
        """
        from agentsoc.scenario.parquet_bounds import read_parquet

        where = str(self.directory / name)
        return read_parquet(self.file(name, digest, what), where, hint=REBUILD, most=most)

    def file(self, name: str, digest: str | None, what: str) -> bytes:
        """Return the bytes of a file of the run, compared with their hash; see `table`."""
        where = str(self.directory / name)
        try:
            content = self.inside.read(name)
        except OSError as error:
            raise LogDamagedError(f"the {what} cannot be read: {error.strerror}", where, REBUILD) from None
        if digest is not None and hashlib.sha256(content).hexdigest() != digest:
            raise LogDamagedError(f"the {what} is not what was written", where, REBUILD)
        return content


def _task_types() -> dict[str, pa.DataType]:
    """Return the columns that a task table may have."""
    import pyarrow as pa

    return {
        "task": pa.int64(),
        "id": pa.string(),
        "question": pa.string(),
        "truth": pa.string(),
        "options": pa.list_(pa.string()),
        "chance": pa.float64(),
        "difficulty": pa.float64(),
        "metadata": pa.string(),
    }


def _plain(text: object) -> str:
    """Return a text safe for any terminal."""
    return ascii(str(text))[1:-1]


def _score_text(totals: Totals) -> str:
    """Return the score with Wilson's 95 % interval and the number of tasks."""
    if totals.score is None or totals.score_ci95 is None:
        return "no score: no episode has ended"
    low, high = totals.score_ci95
    tasks = "1 task" if totals.episodes == 1 else f"{totals.episodes:,} tasks"
    return f"score {totals.score:.3f} (95 % between {low:.3f} and {high:.3f}, {tasks})"
