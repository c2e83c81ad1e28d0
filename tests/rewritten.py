"""Run directories rewritten as a stranger would who computes every hash anew: other rows or events, a sound seal."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from agentsoc.events import Event
from agentsoc.log.journal import Attempt, Journal, journal_digest, load_journal
from agentsoc.log.manifest import SegmentEntry
from agentsoc.log.names import EPISODES, EVENTS, JOURNAL
from agentsoc.log.read import RunLog
from agentsoc.log.schema import REWARDS
from agentsoc.log.segments import SegmentWriter

Rows = Callable[[list[Attempt]], list[Attempt]]
Events = Callable[[list[Event]], list[Event]]


def rewritten(directory: Path, *, rows: Rows | None = None, events: Events | None = None) -> None:
    """Put other rows into a run's journal, or other events into its log, with every hash beside them right."""
    manifest = RunLog(directory).manifest
    if rows is not None:
        kept = rows(list(load_journal(directory / JOURNAL)[0].values()))
        for left in directory.glob(f"{JOURNAL}*"):
            left.unlink()
        journal = Journal(directory / JOURNAL, durability="os")
        journal._commit(sorted(kept, key=lambda row: row.key))
        manifest.journal_rows, manifest.journal_digest = journal_digest(journal.rows())
        manifest.journal_file = journal.seal()
    if events is not None:
        log = RunLog(directory)
        acts = any(REWARDS.name in table.column_names for table in log.tables())
        now = events(list(log.events()))
        for part in (directory / EVENTS).iterdir():
            part.unlink()
        writer = SegmentWriter(directory / EVENTS, rewards=acts)
        writer.add(now)
        manifest.digest = writer.finish()
        manifest.segments = [SegmentEntry(**msgspec.structs.asdict(one)) for one in writer.segments]
        sums = {"events": len(now), "events_by_kind": dict(sorted(Counter(event.kind for event in now).items()))}
        manifest.totals = manifest.totals.model_copy(update=sums)
        _count(directory, now)
        manifest.episodes_file = hashlib.sha256((directory / EPISODES).read_bytes()).hexdigest()
    manifest.save(directory)


def _count(directory: Path, events: list[Event]) -> None:
    """Let the table of episodes say how many events each has."""
    table = pq.read_table(directory / EPISODES)
    counts = [sum(event.task == task for event in events) for task in table["task"].to_pylist()]
    place = table.column_names.index("events")
    table = table.set_column(place, table.schema.field("events"), pa.array(counts, pa.int64()))
    assert pc.sum(table["events"]).as_py() == len(events)
    pq.write_table(table, directory / EPISODES)
