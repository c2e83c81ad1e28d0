"""A run that is sent arrives as it was, and whatever else is sent is refused before it is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentsoc.engine.run import run
from agentsoc.errors import LogDamagedError
from agentsoc.log import parcel
from agentsoc.log.inside import READ_MAX
from agentsoc.log.parcel import Entry, Unpacker, contents, listed, require_expected
from agentsoc.log.read import RunLog
from tests.strategies import scenario


@pytest.mark.parametrize("chunk", [1_000, 8 << 20])
def test_a_run_that_is_sent_arrives_byte_for_byte(chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parcel, "CHUNK", chunk)
    source = run(scenario(tasks={"kind": "coin", "count": 6}), tmp_path / "source").directory
    entries = listed(source)
    total = require_expected(entries, (), "host 1")
    (tmp_path / "here").mkdir()
    unpacker = Unpacker(tmp_path / "here", entries)
    pieces = list(contents(source, entries))
    for piece in pieces:
        unpacker.take(piece)
    unpacker.require_whole()
    assert (sum(map(len, pieces)), max(map(len, pieces)) <= chunk) == (total, True)
    assert {entry.name: (tmp_path / "here" / entry.name).read_bytes() for entry in entries} == {
        entry.name: (source / entry.name).read_bytes() for entry in entries
    }
    assert RunLog(tmp_path / "here").check() == RunLog(source).check()


@settings(max_examples=60)
@given(sizes=st.lists(st.integers(0, 30), min_size=1, max_size=6), cut=st.integers(1, 40))
def test_files_of_any_size_arrive_whole_however_they_are_cut(
    sizes: list[int], cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("here")
    entries = [Entry(f"events/part-{at:05}.parquet", size) for at, size in enumerate(sizes)]
    whole = bytes(range(256))[: sum(sizes)]
    unpacker = Unpacker(directory, entries)
    for at in range(0, len(whole), cut):
        unpacker.take(whole[at : at + cut])
    unpacker.require_whole()
    assert b"".join((directory / name).read_bytes() for name, _ in entries) == whole


NAMES = [
    "../x", "/etc/passwd", "events/../../x", "events/part-00000.parquet/x", "events/part-0.parquet", "events/x",
    "inputs/other.txt", "inputs/../x", "run.lock", ".holder.json", "", ".", "journal.sqlite-wal", "manifest.json\0",
    "manifest.json\n", "EVENTS/part-00000.parquet", "events/part-00000.parquet\n",
    "events/part-\u0660\u0660\u0660\u0660\u0660.parquet",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_no_run_has_is_refused(name: str) -> None:
    with pytest.raises(LogDamagedError, match="no run has a file of this name"):
        require_expected([Entry("manifest.json", 3), Entry(name, 3)], ["mine.txt", "../x"], "host 1")


def test_files_that_the_scenario_names_are_expected() -> None:
    assert require_expected([Entry("inputs/mine.txt", 3), Entry("manifest.json", 4)], ["mine.txt"], "host 1") == 7


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([Entry("manifest.json", 1), Entry("manifest.json", 1)], "sent twice"),
        ([Entry("manifest.json", READ_MAX + 1)], "at most"),
        ([Entry("manifest.json", -1)], "at most"),
        ([Entry("journal.sqlite", parcel.PARCEL_MAX + 1)], "this run has"),
        ([Entry(f"events/part-{at:05}.parquet", READ_MAX) for at in range(33)], "this run has"),
        ([Entry(f"events/part-{at:05}.parquet", 0) for at in range(parcel.FILES_MAX + 1)], "files, of"),
    ],
)
def test_what_is_too_much_is_refused(entries: list[Entry], message: str) -> None:
    with pytest.raises(LogDamagedError, match=message):
        require_expected(entries, (), "host 1")


def test_more_and_less_than_was_announced_are_refused(tmp_path: Path) -> None:
    unpacker = Unpacker(tmp_path, [Entry("manifest.json", 3), Entry("tasks.parquet", 2)])
    unpacker.take(b"1234")
    with pytest.raises(LogDamagedError, match="less was sent"):
        unpacker.require_whole()
    with pytest.raises(LogDamagedError, match="more was sent"):
        unpacker.take(b"56")
    unpacker.require_whole()
    assert (tmp_path / "manifest.json").read_bytes() + (tmp_path / "tasks.parquet").read_bytes() == b"12345"


def test_a_link_in_a_hosts_directory_is_not_sent(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "manifest.json").symlink_to(tmp_path / "secret")
    with pytest.raises(LogDamagedError, match="symbolic link"):
        listed(tmp_path / "run")
