"""Reading a run: what was written and nothing else, in order, or the name of what is wrong."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agentsoc.errors import LogDamagedError
from agentsoc.log.names import EPISODES, EVENTS, INPUTS, TASKS
from agentsoc.log.read import RunLog
from agentsoc.log.schema import COLUMNS, RESERVED, SCHEMA, to_table
from agentsoc.log.segments import REBUILD, Segment, chain, chained, read_all, read_segment, segment_bytes
from tests.forged import Forged, task_events, task_row


@pytest.fixture
def log(tmp_path: Path) -> RunLog:
    return Forged(tmp_path / "run", lost=1, inputs={"a.txt": b"one"}).write()


@pytest.fixture
def begun(tmp_path: Path) -> RunLog:
    rows = [task_row(0), task_row(1, None, stop="under_way", events=2)]
    return Forged(tmp_path / "run", parts=[task_events(0), task_events(1)[:2]], rows=rows, status="failed").write()


EVERYTHING = [*task_events(0), *task_events(1, "tails", 0.0), *task_events(2, None, None)]


def refused(step: Callable[[], Any], where: Path | str) -> str:
    with pytest.raises(LogDamagedError) as raised:
        step()
    assert raised.value.problem.where == str(where)
    return raised.value.problem.what


# Events


def test_events_come_back_in_order_as_events_tables_and_frames(log: RunLog) -> None:
    assert list(log.events()) == EVERYTHING
    assert [table.num_rows for table in log.tables()] == [4, 8]
    frame = log.frame()
    assert frame.columns == list(COLUMNS)
    assert frame["kind"].to_list() == [event.kind for event in EVERYTHING]
    assert frame["kind"].dtype == pl.String
    assert log.scan().collect().select("task", "text").equals(frame.select("task", "text"), null_equal=True)


def test_columns_come_in_the_order_asked_for(log: RunLog) -> None:
    wanted = ["kind", "task"]
    assert [table.column_names for table in log.tables(wanted)] == [wanted, wanted]
    assert log.frame(wanted).columns == wanted
    assert log.frame(wanted)["task"].to_list() == [event.task for event in EVERYTHING]


def test_a_run_without_events_has_empty_tables_with_all_columns(tmp_path: Path) -> None:
    log = Forged(tmp_path / "run", parts=[], rows=[]).write()
    assert list(log.events()) == []
    assert (log.frame().columns, log.frame().height) == (list(COLUMNS), 0)
    assert log.frame(["kind", "task"]).columns == ["kind", "task"]
    assert (log.scan().collect().columns, log.scan().collect().height) == (list(COLUMNS), 0)


def test_a_scan_compares_bytes_first(log: RunLog) -> None:
    path = log.directory / EVENTS / "part-00001.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert "its bytes differ" in refused(log.scan, path)


def test_a_name_that_looks_like_a_pattern_is_a_name(tmp_path: Path) -> None:
    Forged(tmp_path / "run-1", parts=[task_events(0)], rows=[task_row(0)]).write()
    log = Forged(tmp_path / "run-[1]*").write()
    assert log.scan().collect().height == 12


# Small tables


def test_tasks_and_episodes_come_back(log: RunLog) -> None:
    assert log.tasks()["task"].to_list() == [0, 1, 2]
    episodes = log.episodes()
    assert episodes is not None
    assert episodes["answer"].to_list() == ["heads", "tails", None]


def test_episodes_under_way_are_rows_and_not_ended_ones(begun: RunLog) -> None:
    rows, ended = begun.episode_rows(), begun.episodes()
    assert rows is not None
    assert ended is not None
    assert rows["task"].to_pylist() == [0, 1]
    assert ended["task"].to_list() == [0]


def test_a_run_without_a_table_of_episodes_has_none(tmp_path: Path) -> None:
    log = Forged(tmp_path / "run", rows=None, status="failed").write()
    assert log.episode_rows() is None
    assert log.episodes() is None


@pytest.mark.parametrize(("name", "what"), [(TASKS, "task table"), (EPISODES, "table of episodes")])
def test_a_small_table_that_is_not_the_runs_is_named(log: RunLog, name: str, what: str) -> None:
    read = log.tasks if name == TASKS else log.episodes
    path = log.directory / name
    path.write_bytes(path.read_bytes() + b"?")
    assert refused(read, path) == f"the {what} is not what was written"
    path.unlink()
    assert refused(read, path) == f"the {what} cannot be read: No such file or directory"


def test_a_file_of_the_run_is_compared_with_its_hash_where_there_is_one(log: RunLog) -> None:
    name = f"{INPUTS}/a.txt"
    right = hashlib.sha256(b"one").hexdigest()
    assert log.file(name, right, "copy") == log.file(name, None, "copy") == b"one"
    assert refused(lambda: log.file(name, "0" * 64, "copy"), log.directory / name) == "the copy is not what was written"


def test_attempts_come_back_in_the_order_of_their_keys(log: RunLog) -> None:
    assert [(attempt.agent, attempt.state) for attempt in log.journal()] == [(0, "done"), (1, "started")]
    assert list(log.checked()) == [(0, 0, 0, 0, 0), (0, 0, 1, 0, 0)]


# Segments


@pytest.fixture
def part(log: RunLog) -> tuple[Path, Segment]:
    return log.directory / EVENTS, log.segments[0]


def rewritten(directory: Path, segment: Segment, table: pa.Table, **fields: Any) -> Segment:
    """Put another table in the place of a segment, with the right hash of its bytes."""
    pq.write_table(table, directory / segment.file)
    found = hashlib.sha256((directory / segment.file).read_bytes()).hexdigest()
    return msgspec.structs.replace(segment, **{"sha256": found, "rows": table.num_rows, **fields})


def test_a_segment_comes_back_whole_or_by_columns(part: tuple[Path, Segment]) -> None:
    directory, segment = part
    whole = to_table(task_events(0))
    for digest in (None, True, False):
        assert read_segment(directory, segment, digest=digest).equals(whole)
        found = read_segment(directory, segment, ["text", "task"], digest=digest)
        assert found.equals(whole.select(["task", "text"]))  # in the order of the log
    old = msgspec.structs.replace(segment, sha256=None)
    assert read_segment(directory, old, ["text", "task"]).equals(whole.select(["task", "text"]))


def test_rows_are_compared_where_bytes_are_not_or_where_it_is_asked_for(part: tuple[Path, Segment]) -> None:
    directory, segment = part
    other = to_table([msgspec.structs.replace(event, text="other") for event in task_events(0)])
    forged = rewritten(directory, segment, other)
    assert read_segment(directory, forged).equals(other)  # the bytes are those that are pinned
    assert read_segment(directory, forged, ["task"]).num_rows == 4
    said = "this segment is not what was written: its digest differs"
    for columns in (None, ["task"]):
        assert refused(lambda: read_segment(directory, forged, columns, digest=True), directory / segment.file) == said  # noqa: B023
        old = msgspec.structs.replace(forged, sha256=None)
        assert refused(lambda: read_segment(directory, old, columns), directory / segment.file) == said  # noqa: B023
        assert read_segment(directory, old, columns, digest=False).num_rows == 4


def test_a_segment_of_other_rows_than_the_manifest_says_is_named(part: tuple[Path, Segment]) -> None:
    directory, segment = part
    for rows in (3, 5):
        wrong = msgspec.structs.replace(segment, rows=rows)
        assert refused(lambda: read_segment(directory, wrong), directory / segment.file) == (  # noqa: B023
            f"this file has 4 rows, not {rows}"
        )


@pytest.mark.parametrize("columns", [None, ["task", "kind"]])
def test_a_column_too_many_is_named_unless_it_is_a_reserved_one(part: tuple[Path, Segment], columns: Any) -> None:
    directory, segment = part
    table = to_table(task_events(0))
    reserved = table.append_column(RESERVED[0], pa.array([None] * 4, pa.float64()))
    forged = rewritten(directory, segment, reserved)
    assert read_segment(directory, forged, columns).column_names == (columns or [*COLUMNS, *RESERVED])
    two = table.append_column("zzz", pa.array([0] * 4)).append_column("x" * 99, pa.array([0] * 4))
    forged = rewritten(directory, segment, two)
    if columns is None:
        what = refused(lambda: read_segment(directory, forged, columns), directory / segment.file)
        assert what == f"this segment has a column {'x' * 60!r} too many"


@pytest.mark.parametrize("columns", [None, ["task", "text"]])
def test_a_column_that_is_missing_or_of_another_kind_is_named(part: tuple[Path, Segment], columns: Any) -> None:
    directory, segment = part
    table = to_table(task_events(0))
    at = table.column_names.index("text")
    words = table.set_column(1 - 1, "task", pa.array(["x"] * 4))
    for wrong in (table.drop_columns(["text"]), words, table.set_column(at, "Text", table["text"])):
        forged = rewritten(directory, segment, wrong)
        what = refused(lambda: read_segment(directory, forged, columns), directory / segment.file)  # noqa: B023
        assert what.startswith(("this segment cannot be read (", "this segment has a column 'Text' too many"))


def test_missing_values_where_there_have_to_be_some_are_named(part: tuple[Path, Segment]) -> None:
    directory, segment = part
    table = to_table(task_events(0)).cast(pa.schema([field.with_nullable(True) for field in SCHEMA]))
    at = table.column_names.index("parents")
    nothing = pa.nulls(4, SCHEMA.field(at).type)
    forged = rewritten(directory, segment, table.set_column(at, table.schema.field(at), nothing))
    for digest in (None, True):
        step = partial(read_segment, directory, forged, digest=digest)
        assert "this segment" in refused(step, directory / segment.file)


def test_values_of_which_no_digest_can_be_made_are_named(
    part: tuple[Path, Segment], monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, segment = part

    def refuse(table: pa.Table) -> str:
        raise pa.ArrowInvalid("no such value")

    monkeypatch.setattr("agentsoc.log.segments.digest_of", refuse)
    step = partial(read_segment, directory, segment, digest=True)
    assert refused(step, directory / segment.file) == "this segment holds invalid values (ArrowInvalid)"


def test_a_segment_that_is_missing_unreadable_or_another_is_named(
    part: tuple[Path, Segment], monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, segment = part
    path = directory / segment.file
    assert segment_bytes(directory, segment) == path.read_bytes()
    other = msgspec.structs.replace(segment, sha256="0" * 64)
    assert (
        refused(lambda: segment_bytes(directory, other), path)
        == "this segment is not what was written: its bytes differ"
    )
    unknown = msgspec.structs.replace(segment, sha256=None)
    assert segment_bytes(directory, unknown) == path.read_bytes()
    path.unlink()
    assert refused(lambda: segment_bytes(directory, segment), path) == "this segment is missing"
    shutil.rmtree(directory)
    assert refused(lambda: segment_bytes(directory, segment), path) == "this segment is missing"

    def refuse(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("agentsoc.log.inside.Inside.read", refuse)
    assert refused(lambda: segment_bytes(directory, segment), path) == "this segment cannot be read: Input/output error"


def test_a_chain_holds_up_to_the_first_link_that_does_not(log: RunLog) -> None:
    one, two = log.segments
    assert one.chain == chain("", one.digest)
    assert two.chain == chain(one.chain, two.digest)
    assert list(chained([one, two])) == [one, two]
    assert list(chained([])) == []
    for wrong in ([two], [one, one], [two, one], [one, msgspec.structs.replace(two, digest=one.digest)]):
        read: list[Segment] = []
        broken = wrong[-1 if wrong[0] == one else 0]
        what = refused(partial(read.extend, chained(wrong)), broken.file)
        assert what == "the chain of digests is broken here"
        assert read == ([one] if wrong[0] == one else [])
    with pytest.raises(LogDamagedError):
        list(read_all(log.directory / EVENTS, [two]))
    assert sum(table.num_rows for table in read_all(log.directory / EVENTS, [one, two], ["task"])) == 12
    assert REBUILD.endswith("agentsoc resume on the run directory")
