"""Reading a run directory: lazily as events, as a polars frame, or only its manifest."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agentsoc.errors import LogDamagedError
from agentsoc.events import Event
from agentsoc.log.journal import Attempt, Key, journal_digest, load_journal, read_journal
from agentsoc.log.manifest import Manifest, load_manifest
from agentsoc.log.schema import from_table
from agentsoc.log.segments import REBUILD, Segment, read_all

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

EVENTS: Final = "events"
JOURNAL: Final = "journal.sqlite"
TASKS: Final = "tasks.parquet"
EPISODES: Final = "episodes.parquet"
INPUTS: Final = "inputs"


class RunLog:
    """A run directory opened for reading. Nothing is read before it is asked for, and nothing is written."""

    def __init__(self, directory: Path | str) -> None:
        """Open `directory`.

        Raises:
            LogDamagedError: it holds no valid manifest.
        """
        self.directory = Path(directory)
        self.manifest: Manifest = load_manifest(self.directory)

    @cached_property
    def segments(self) -> list[Segment]:
        """The files of the event log, in order."""
        return [Segment(s.file, s.rows, s.digest, s.chain) for s in self.manifest.segments]

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield the segments in order, each checked against the manifest first.

        Args:
            columns: which to yield; None for all. The check reads all of them.
        """
        for table in read_all(self.directory / EVENTS, self.segments):
            yield table if columns is None else table.select(list(columns))

    def events(self) -> Iterator[Event]:
        """Yield the events in canonical order; each segment is checked against the manifest first."""
        for table in read_all(self.directory / EVENTS, self.segments):
            yield from from_table(table)

    def frame(self) -> pl.DataFrame:
        """Return the event log as a polars frame with one row per event, segments checked."""
        import polars as pl
        import pyarrow as pa

        from agentsoc.log.schema import SCHEMA

        tables = list(read_all(self.directory / EVENTS, self.segments))
        table = pa.concat_tables(tables).unify_dictionaries() if tables else SCHEMA.empty_table()
        frame = pl.from_arrow(table)
        assert isinstance(frame, pl.DataFrame)
        return frame.with_columns(pl.col(pl.Categorical).cast(pl.String))

    def scan(self) -> pl.LazyFrame:
        """Return the event log as a lazy frame, unchecked; also while the run goes on."""
        import polars as pl

        return pl.scan_parquet(self.directory / EVENTS / "*.parquet")

    def tasks(self) -> pl.DataFrame:
        """Return the tasks of the run: task, id, question, truth, options, chance, difficulty."""
        import polars as pl

        path = self.directory / TASKS
        try:
            return pl.read_parquet(path)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise LogDamagedError(f"the task table cannot be read ({type(error).__name__})", str(path)) from None

    def episodes(self) -> pl.DataFrame | None:
        """Return the table of episodes, one row per task, checked against the manifest.

        None for a run that is not finished, or that an earlier version made.

        Raises:
            LogDamagedError: the table is missing or not what was written.
        """
        import polars as pl

        content = self._same_file(EPISODES, self.manifest.episodes_file, "table of episodes")
        return None if content is None else pl.read_parquet(io.BytesIO(content))

    def journal(self) -> Iterator[Attempt]:
        """Yield the model attempts in key order, each row checked."""
        return read_journal(self.directory / JOURNAL)

    def check(self) -> int:
        """Check every byte that counts: manifest, chain, segments, tables, journal; return the number of attempts.

        Raises:
            LogDamagedError: names the first thing that is not what was written.
        """
        self.check_events()
        found = journal_digest(self.journal())
        self._same_journal(found)
        return found[0]

    def checked(self) -> dict[Key, Attempt]:
        """Return all model attempts by key after the same check, in one pass over the journal.

        Raises:
            LogDamagedError: names the first thing that is not what was written.
        """
        self.check_events()
        known, found = load_journal(self.directory / JOURNAL)
        self._same_journal(found)
        return known

    def check_events(self) -> None:
        """Check events and tables, not the journal.

        Raises:
            LogDamagedError: names the first thing that is not what was written.
        """
        rows = sum(table.num_rows for table in read_all(self.directory / EVENTS, self.segments))
        if self.manifest.status == "finished" and rows != self.manifest.totals.events:
            raise LogDamagedError(
                f"the log has {rows} events, the manifest says {self.manifest.totals.events}", str(self.directory)
            )
        if self.manifest.status == "finished":
            self._no_strangers()
            self._same_file(TASKS, self.manifest.tasks_file, "task table")
            self._same_file(EPISODES, self.manifest.episodes_file, "table of episodes")

    def _same_journal(self, found: tuple[int, str]) -> None:
        n, digest = found
        if self.manifest.journal_rows is not None and (n, digest) != (
            self.manifest.journal_rows,
            self.manifest.journal_digest,
        ):
            raise LogDamagedError(
                f"the journal has {n} rows that are not the {self.manifest.journal_rows} of the finished run",
                str(self.directory / JOURNAL),
            )

    def _same_file(self, name: str, digest: str | None, what: str) -> bytes | None:
        """Return the bytes of a file whose SHA-256 the manifest states; None where it states none."""
        path = self.directory / name
        if digest is None:
            return None
        try:
            content = path.read_bytes()
        except OSError as error:
            raise LogDamagedError(f"the {what} cannot be read: {error.strerror}", str(path), REBUILD) from None
        if hashlib.sha256(content).hexdigest() != digest:
            raise LogDamagedError(f"the {what} is not what was written", str(path), REBUILD)
        return content

    def _no_strangers(self) -> None:
        """Raise when there is a part that the manifest does not list: `scan` would read it."""
        directory = self.directory / EVENTS
        known = {segment.file for segment in self.segments}
        strangers = sorted(part.name for part in directory.glob("*.parquet") if part.name not in known)
        if strangers:
            raise LogDamagedError("this segment is not one of the run's", str(directory / strangers[0]), REBUILD)
