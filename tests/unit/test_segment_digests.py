"""The digest of a segment, kept while its rows arrive, is that of its file, whatever came before it."""

from pathlib import Path

import msgspec
import pyarrow as pa
import pytest

from agentsoc.events import Event
from agentsoc.log.digest import digest_of
from agentsoc.log.schema import to_table
from agentsoc.log.segments import SegmentWriter, read_segment


def some(first: int, n: int, *, rewarded: bool) -> list[Event]:
    plain = [Event(first + at, 0, at % 3, 0, "action", claim=at if at % 2 else None) for at in range(n)]
    if not rewarded:
        return plain
    return [msgspec.structs.replace(event, rewards=event.task / 7 if event.task % 3 else None) for event in plain]


@pytest.mark.parametrize("rewarded", [False, True])
def test_each_segment_has_the_digest_of_its_rows(tmp_path: Path, rewarded: bool) -> None:
    writer = SegmentWriter(tmp_path / "events", rewards=rewarded)
    tables = []
    for first, n in ((0, 5), (5, 1), (6, 40), (46, 7)):
        tables.append(to_table(some(first, n, rewarded=rewarded), rewards=rewarded))
        writer.add_table(tables[-1])
        if n != 1:  # the second segment is made of two tables
            writer.flush()
    whole = writer.finish()
    assert [segment.rows for segment in writer.segments] == [5, 41, 7]
    assert whole == digest_of(pa.concat_tables(tables))
    for segment in writer.segments:
        read_segment(tmp_path / "events", segment, digest=True)
