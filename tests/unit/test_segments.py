"""The event log on disk: whatever happens to a part, reading it gives what was written or names the part."""

from __future__ import annotations

import gc
import os
import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import agentsoc.log.segments as segments_module
from agentsoc.errors import LogDamagedError
from agentsoc.events import ACTING, KINDS, Event
from agentsoc.log.digest import digest_of
from agentsoc.log.journal import Journal, journal_digest
from agentsoc.log.manifest import Manifest, SegmentEntry
from agentsoc.log.names import EVENTS, JOURNAL
from agentsoc.log.read import RunLog
from agentsoc.log.record import hash_json
from agentsoc.log.schema import to_table
from agentsoc.log.segments import Segment, SegmentWriter, chain, read_all, read_segment
from agentsoc.log.totals import EpisodeTotals, EventTotals, fold

TOLD = [kind for kind in KINDS if kind not in ACTING]
"""Kinds of events that need no row in the journal."""


def events(n: int, salt: int = 0, first: int = 0) -> list[Event]:
    return [
        Event(
            first + i // 10,
            i % 10,
            i % 7,
            salt,
            TOLD[i % len(TOLD)],
            claim=i if i % 3 else None,
            parents=tuple(range(i % 4)),
            answer=("heads", "tails", None)[i % 3],
            text=f"grüß {i}" if i % 5 else None,
            correct=i / 7 if i % 2 else None,
            tokens_in=3 * i,
        )
        for i in range(n)
    ]


def written(directory: Path, *parts: list[Event]) -> list[Segment]:
    """Write each list as one segment."""
    writer = SegmentWriter(directory)
    for part in parts:
        writer.add(part)
        writer.flush()
    writer.finish()
    return writer.segments


def outcome(read: Callable[[], Any]) -> Any:
    """Return what `read` gives, or the place that its complaint names; anything else it raises is a bug."""
    try:
        return read()
    except LogDamagedError as error:
        return error.problem.where


@pytest.fixture
def log(tmp_path: Path) -> RunLog:
    """A finished run of three segments and an empty journal, made by hand."""
    (tmp_path / "run").mkdir()
    return make_run(tmp_path / "run")


def make_run(directory: Path, salt: int = 0) -> RunLog:
    parts = written(directory / EVENTS, events(20, salt), events(5, salt, 2), events(8, salt, 3))
    journal = Journal(directory / JOURNAL)
    n, digest = journal_digest(journal.rows())
    journal.close()
    sums = EventTotals()
    for table in read_all(directory / EVENTS, parts):
        sums.add(table)
    Manifest(
        format=1,
        status="finished",
        name="by-hand",
        seed=0,
        scenario={"name": "by-hand", "seed": 0},
        scenario_hash=hash_json({"seed": 0}),
        tasks_hash="",
        segments=[SegmentEntry(**msgspec.structs.asdict(part)) for part in parts],
        totals=fold(sums, EpisodeTotals(), {}),
        journal_rows=n,
        journal_digest=digest,
    ).save(directory)
    return RunLog(directory)


def test_the_running_digest_is_that_of_all_rows(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path / "events")
    writer.add(events(10))
    writer.flush()
    writer.add_table(to_table(events(4)))
    writer.add(events(3))
    assert writer.rows == 17
    assert writer.finish() == digest_of(to_table([*events(10), *events(4), *events(3)]))
    assert [segment.rows for segment in writer.segments] == [10, 7]
    stored = pa.concat_tables(read_all(tmp_path / "events", writer.segments))
    assert digest_of(stored) == writer.digest.hexdigest()


def test_a_writer_that_keeps_nothing_gives_the_same_digest(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path / "events", keep=False)
    writer.add(events(10))
    assert writer.finish() == digest_of(to_table(events(10)))
    assert not (tmp_path / "events").exists()


def test_segments_close_by_themselves_when_they_are_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments_module, "ROWS_MAX", 100)
    writer = SegmentWriter(tmp_path / "events")
    for _ in range(25):
        writer.add_table(to_table(events(10)))
    writer.finish()
    assert [segment.rows for segment in writer.segments] == [100, 100, 50]


def test_the_log_can_be_scanned_while_it_is_written(tmp_path: Path) -> None:
    directory = tmp_path / "events"
    writer = SegmentWriter(directory)
    writer.add(events(10))
    writer.flush()
    while not writer.durable()[0]:
        pass
    (directory / ".part-00001.parquet.tmp").write_bytes(b"half a file")
    assert pl.scan_parquet(directory / "*.parquet").select(pl.len()).collect().item() == 10
    writer.abandon()


def test_parts_of_an_earlier_attempt_are_never_mixed_with_new_ones(tmp_path: Path) -> None:
    directory = tmp_path / "events"
    written(directory, events(10), events(10), events(10))
    writer = SegmentWriter(directory)
    assert len(list(directory.iterdir())) == 3
    writer.add(events(3))
    writer.flush()
    while not writer.durable()[0]:
        pass
    assert [part.name for part in directory.iterdir()] == ["part-00000.parquet"]
    writer.finish()
    writer = SegmentWriter(directory)
    writer.finish()
    assert list(directory.iterdir()) == []


def test_a_segment_cut_at_any_byte_is_named(tmp_path: Path) -> None:
    [segment] = written(tmp_path, events(6))
    path = tmp_path / segment.file
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(LogDamagedError) as raised:
            read_segment(tmp_path, segment)
        assert raised.value.problem.where == str(path)
    path.write_bytes(whole)
    assert read_segment(tmp_path, segment).equals(to_table(events(6)))


def test_a_flipped_bit_is_named_or_harmless(tmp_path: Path) -> None:
    """2,000 random flips: reading gives the equal table, or says which file is not what was written."""
    [segment] = written(tmp_path, events(60))
    path = tmp_path / segment.file
    whole, table = path.read_bytes(), to_table(events(60))
    named = 0
    rng = random.Random(1)
    for _ in range(2_000):
        damaged = bytearray(whole)
        damaged[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        found = outcome(lambda: read_segment(tmp_path, segment))
        assert found == str(path) or found.equals(table)
        named += found == str(path)
    assert named > 1_000


@pytest.mark.parametrize(
    "content", [b"", b"PAR1", b"PAR1" * 3, b"\x80\x04]\x94.", b"\x00" * 4096, b"PAR1" + b"\xff" * 400 + b"PAR1"]
)
def test_a_file_of_something_else_is_named(tmp_path: Path, content: bytes) -> None:
    [segment] = written(tmp_path, events(6))
    (tmp_path / segment.file).write_bytes(content)
    with pytest.raises(LogDamagedError, match=segment.file):
        read_segment(tmp_path, segment)


def test_a_parquet_file_of_something_else_is_named(tmp_path: Path) -> None:
    [segment] = written(tmp_path, events(6))
    for table in (
        pa.table({"a": [1] * 6}),
        to_table(events(6)).drop_columns(["text"]),
        to_table(events(7)),
        to_table(events(6, salt=1)),
    ):
        pq.write_table(table, tmp_path / segment.file)
        with pytest.raises(LogDamagedError, match=segment.file):
            read_segment(tmp_path, segment)


def first(run: Path) -> Path:
    return run / EVENTS / "part-00000.parquet"


def second(run: Path) -> Path:
    return run / EVENTS / "part-00001.parquet"


def lose(run: Path) -> None:
    second(run).unlink()


def swap(run: Path) -> None:
    first(run).rename(run / "aside")
    second(run).rename(first(run))
    (run / "aside").rename(second(run))


def double(run: Path) -> None:
    shutil.copy(first(run), second(run))


def stray(run: Path) -> None:
    shutil.copy(first(run), run / EVENTS / "part-00003.parquet")


def foreign(run: Path) -> None:
    other = run.parent / "other"
    other.mkdir()
    make_run(other, salt=1)
    shutil.copy(second(other), second(run))


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        (lose, "part-00001"),
        (swap, "part-00000"),
        (double, "part-00001"),
        (stray, "part-00003"),
        (foreign, "part-00001"),
    ],
)
def test_a_part_that_is_not_in_its_place_is_named(log: RunLog, damage: Callable[[Path], None], name: str) -> None:
    log.check()
    damage(log.directory)
    with pytest.raises(LogDamagedError, match=name):
        log.check()


@pytest.mark.parametrize(
    "order", [(0, 1), (0, 2), (1, 2), (0, 2, 1), (0, 1, 1, 2), (0, 1, 2, 2), (2, 1, 0)], ids=lambda order: str(order)
)
def test_a_list_of_parts_that_was_altered_is_seen(log: RunLog, order: tuple[int, ...]) -> None:
    """Also by somebody who gives the manifest a new checksum, as long as the digests stay."""
    manifest = log.manifest
    manifest.segments = [manifest.segments[i] for i in order]
    manifest.save(log.directory)
    with pytest.raises(LogDamagedError):
        RunLog(log.directory).check()


def test_the_chain_holds_every_digest_at_its_place() -> None:
    digests = ["a" * 64, "b" * 64, "c" * 64]

    def last(order: list[str]) -> str:
        link = ""
        for digest in order:
            link = chain(link, digest)
        return link

    links = {last(order) for order in (digests, digests[:2], digests[1:], [digests[1], digests[0], digests[2]])}
    assert len(links) == 4


def test_a_part_that_cannot_be_written_is_not_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "events"
    writer = SegmentWriter(directory)
    writer.add(events(5))
    writer.flush()
    while not writer.durable()[0]:
        pass

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", refuse)
        writer.add(events(4))
        with pytest.raises(OSError, match="No space"):
            writer.finish()
    assert [segment.rows for segment in writer.durable()[0]] == [5]
    with pytest.raises(OSError, match="No space"):  # space that comes later does not fill the gap
        writer.finish()
    assert [part.name for part in directory.iterdir()] == ["part-00000.parquet"]
    read_segment(directory, writer.durable()[0][0])


def test_what_a_failed_write_leaves_behind_is_freed_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From Python 3.13 on a buffer complains when it is freed in a circle with a view of it."""
    said: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: said.append(unraisable.exc_value))
    gc.collect()
    said.clear()

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    def fail() -> None:
        writer = SegmentWriter(tmp_path / "events")
        writer.add(events(5))
        with pytest.raises(OSError, match="No space") as caught:
            writer.finish()
        caught.value.__dict__["writer"] = writer  # the circle

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", refuse)
        fail()
    gc.collect()
    assert said == []
