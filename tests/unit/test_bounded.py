"""Parquet files within bounds: read as they state themselves, or refused by name before they fill the memory."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import agentsoc.scenario.parquet_bounds as bounded
from agentsoc.errors import LogDamagedError
from agentsoc.scenario.parquet_bounds import read_parquet, unfolded_bytes
from agentsoc.scenario.parquet_footer import read_footer

TABLE = pa.table(
    {
        "number": pa.array([1, 2, None], pa.int64()),
        "text": pa.array(["x", None, "grüß"], pa.string()),
        "large": pa.array(["x", "y", "z"], pa.large_string()),
        "raw": pa.array([b"x", b"\xff", None], pa.binary()),
        "word": pa.array(["x", "x", None]).dictionary_encode(),
        "list": pa.array([[1], [], [2, 3]], pa.list_(pa.int64())),
    }
)


def written(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def refused(content: bytes, **options: Any) -> str:
    with pytest.raises(LogDamagedError) as raised:
        read_parquet(content, "here.parquet", hint="do this", **options)
    assert (raised.value.problem.where, raised.value.problem.hint) == ("here.parquet", "do this")
    return raised.value.problem.what


def test_a_table_comes_back_with_the_types_that_the_file_states() -> None:
    found = read_parquet(written(TABLE), "")
    assert found.schema.equals(TABLE.schema)
    assert found.to_pylist() == TABLE.to_pylist()
    numbers = TABLE.select(["number"])  # no text in it
    assert read_parquet(written(numbers), "").equals(numbers)


@pytest.mark.parametrize("columns", [["text", "number"], ["list"], ["word", "unheard of"], []])
def test_only_the_columns_asked_for_are_read_in_the_order_of_the_file(columns: list[str]) -> None:
    for table in (TABLE, TABLE.slice(0, 0)):
        found = read_parquet(written(table), "", columns=columns)
        assert found.column_names == [name for name in TABLE.column_names if name in columns]
        assert found.schema.types == [TABLE.schema.field(name).type for name in found.column_names]


def test_texts_of_every_kind_are_read_as_dictionaries_in_which_copies_are_one() -> None:
    content = written(TABLE)
    stated, file = bounded._opened(content)
    with file:
        [batch] = file.iter_batches()
    assert stated.equals(TABLE.schema)
    shared = {field.name for field in batch.schema if pa.types.is_dictionary(field.type)}
    assert shared == {"text", "large", "raw", "word"}


def test_a_table_without_rows_has_its_columns() -> None:
    found = read_parquet(written(TABLE.slice(0, 0)), "")
    assert found.num_rows == 0
    assert found.schema.equals(TABLE.schema)


def test_a_table_is_read_in_several_batches_and_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "ROWS_AT_ONCE", 2)
    for size in (2, 3, 100):
        assert read_parquet(written(TABLE, row_group_size=size), "").to_pylist() == TABLE.to_pylist()


def test_other_rows_than_there_have_to_be_are_named() -> None:
    assert read_parquet(written(TABLE), "", rows=3).num_rows == 3
    for rows in (0, 2, 4):
        assert refused(written(TABLE), rows=rows) == f"this file has 3 rows, not {rows}"


def test_a_file_whose_footer_says_other_rows_than_it_holds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The footer is read by itself before the library; what it says is held against what came out."""
    said = read_footer(written(TABLE))._replace(rows=7)
    monkeypatch.setattr(bounded, "read_footer", lambda content: said)
    assert refused(written(TABLE), rows=7) == "this file has 3 rows, not 7"
    assert refused(written(TABLE), rows=3) == "this file has 7 rows, not 3"


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" * 4, written(TABLE)[:-9], b"PAR1" + b"\xff" * 90 + b"PAR1"])
def test_what_is_no_parquet_file_is_named(content: bytes) -> None:
    assert "this file cannot be read (" in refused(content)


def test_a_page_that_is_damaged_is_named() -> None:
    content = bytearray(written(TABLE))
    content[4:40] = b"\xff" * 36
    assert "this file cannot be read (" in refused(bytes(content))


def test_text_that_is_none_is_refused() -> None:
    """Bytes that are no UTF-8 in a column that says that it is text."""
    content = written(
        pa.table({"t": ["abcdefgh" * 4]}), use_dictionary=False, compression="none", write_statistics=False
    )
    assert read_parquet(content, "").num_rows == 1
    assert content.count(b"abcdefgh" * 4) == 1
    assert "this file cannot be read (" in refused(content.replace(b"abcdefgh", b"abcd\xff\xfe\xff\xff", 1))


@pytest.mark.parametrize(("said", "limit"), [("unfolded", 200), ("stored", 200), ("rows", 200)])
def test_a_file_that_says_of_itself_that_it_is_too_large_is_not_opened(
    monkeypatch: pytest.MonkeyPatch, said: str, limit: int
) -> None:
    content = written(TABLE)
    footer = read_footer(content)
    monkeypatch.setattr(bounded, "UNFOLDED_MAX", len(content) * 20)
    limit = len(content) * 20
    monkeypatch.setattr(bounded, "read_footer", lambda content: footer._replace(**{said: limit}))
    assert read_parquet(content, "").num_rows == 3  # as much as allowed
    monkeypatch.setattr(bounded, "read_footer", lambda content: footer._replace(**{said: limit + 1}))
    monkeypatch.setattr(bounded, "_opened", lambda content: pytest.fail("it was opened"))
    assert refused(content).startswith("this file unfolds to more than")


def test_copies_of_one_text_are_added_up_before_they_are_unfolded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file: a text of 10,000 letters, 5,000 times."""
    texts = pa.table({"t": ["x" * 10_000] * 5_000})
    content = written(texts)
    assert len(content) < 100_000
    full = 5_000 * 10_000 + 5_000 * 4
    monkeypatch.setattr(bounded, "UNFOLDED_MAX", full)
    assert read_parquet(content, "").nbytes > 50_000_000
    monkeypatch.setattr(bounded, "UNFOLDED_MAX", full - 1)
    assert refused(content) == f"this file unfolds to more than {full >> 20} MB, so it is not read"


def test_batches_are_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    content = written(pa.table({"t": ["x" * 1_000] * 100}))
    monkeypatch.setattr(bounded, "ROWS_AT_ONCE", 10)
    monkeypatch.setattr(bounded, "UNFOLDED_TIMES", 1)
    monkeypatch.setattr(bounded, "UNFOLDED_MAX", 100_000)
    assert refused(content).startswith("this file unfolds")
    monkeypatch.setattr(bounded, "UNFOLDED_MAX", 100_400)
    assert read_parquet(content, "").num_rows == 100


def test_a_larger_file_may_hold_a_multiple_of_its_own_size(monkeypatch: pytest.MonkeyPatch) -> None:
    content = written(pa.table({"t": ["x" * 1_000] * 100}))
    monkeypatch.setattr(bounded, "UNFOLDED_MAX", 0)
    times = 100_400 // len(content)
    monkeypatch.setattr(bounded, "UNFOLDED_TIMES", times + 1)
    assert read_parquet(content, "").num_rows == 100
    monkeypatch.setattr(bounded, "UNFOLDED_TIMES", times)
    assert refused(content).startswith("this file unfolds")


def test_the_bounds_are_those_that_the_documents_state() -> None:
    assert (bounded.UNFOLDED_MAX, bounded.UNFOLDED_TIMES) == (256 * 1024**2, 16)
    assert bounded._STRUCTURE_MAX == 64 * 1024**2
    assert bounded.ROWS_AT_ONCE == 65_536


def test_what_a_column_takes_is_counted_as_if_nothing_were_shared() -> None:
    assert unfolded_bytes(pa.array([1, 2, 3])) == 24
    words = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0, None], pa.int32()), pa.array(["ab", "cde"]))
    assert unfolded_bytes(words) == words.indices.nbytes + 2 + 3 + 2
    holes = pa.DictionaryArray.from_arrays(pa.array([0, 1, 1], pa.int32()), pa.array(["ab", None]))
    assert unfolded_bytes(holes) == 12 + 2
    none = pa.DictionaryArray.from_arrays(pa.array([None, None], pa.int32()), pa.array([], pa.string()))
    assert unfolded_bytes(none) == none.indices.nbytes
    unused = pa.DictionaryArray.from_arrays(pa.array([None, None], pa.int32()), pa.array(["ab"]))
    assert unfolded_bytes(unused) == unused.indices.nbytes
    nothing = pa.DictionaryArray.from_arrays(pa.array([], pa.int32()), pa.array(["ab"]))
    assert unfolded_bytes(nothing) == 0
