"""The sizes in a Parquet footer: those that pyarrow finds in a sound file, a `ValueError` in any other, and no more."""

from __future__ import annotations

import contextlib
import datetime
import io
import random
import struct
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import agentsoc.scenario.parquet_footer as footer_module
from agentsoc.scenario.parquet_footer import Footer, read_footer

# What is written by hand here is Thrift's compact protocol: a field is (step of its number << 4 | type), a number is a
# zigzag varint, a structure ends with 0.
STRUCT, LIST, I32, I64, TEXT = 12, 9, 5, 6, 8
OPEN_END = b"\x00"


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def number(value: int) -> bytes:
    return varint(value << 1 if value >= 0 else (-value << 1) - 1)


def field(step: int, kind: int, content: bytes) -> bytes:
    return bytes([step << 4 | kind]) + content


def struct_list(*items: bytes) -> bytes:
    return bytes([len(items) << 4 | STRUCT]) + b"".join(items)


def chunk(kind: int, values: int, stored: int, *, before: bytes = b"") -> bytes:
    """Return a ColumnChunk: field 3 is its ColumnMetaData, of which 1 is the type, 5 the values, 6 the bytes."""
    meta = field(1, I32, number(kind)) + field(4, I64, number(values)) + field(1, I64, number(stored)) + OPEN_END
    return field(2, I64, number(4)) + field(1, STRUCT, before + meta) + OPEN_END


def group(*chunks: bytes) -> bytes:
    return field(1, LIST, struct_list(*chunks)) + OPEN_END


def file(*groups: bytes, rows: int = 5, before: bytes = b"") -> bytes:
    """Return a file of this footer; `before` are fields 1 and 2, by default only the version."""
    head = before or field(1, I32, number(2)) + field(1, LIST, struct_list())
    return raw(head + field(1, I64, number(rows)) + field(1, LIST, struct_list(*groups)) + OPEN_END)


def raw(footer: bytes) -> bytes:
    return b"PAR1" + footer + struct.pack("<I", len(footer)) + b"PAR1"


def written(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def test_the_sizes_are_those_that_the_file_states() -> None:
    rows = 1_000
    table = pa.table(
        {
            "flag": pa.array([True] * rows),
            "small": pa.array(range(rows), pa.int32()),
            "large": pa.array(range(rows), pa.int64()),
            "single": pa.array([0.5] * rows, pa.float32()),
            "double": pa.array([0.5] * rows, pa.float64()),
            "text": pa.array(["x" * 50] * rows),
            "fixed": pa.array([Decimal(1)] * rows, pa.decimal128(38, 0)),
            "list": pa.array([[1, 2, 3]] * rows, pa.list_(pa.int64())),
        }
    )
    for options in ({}, {"row_group_size": 300}, {"compression": "zstd"}):
        found = read_footer(written(table, **options))
        stated = pq.read_metadata(io.BytesIO(written(table, **options)))
        groups = [stated.row_group(i) for i in range(stated.num_row_groups)]
        assert found.rows == rows
        assert found.stored == sum(one.total_byte_size for one in groups)
        assert found.unfolded == rows * (1 + 4 + 8 + 4 + 8 + 4 + 8 + 3 * 8)


def test_a_timestamp_of_twelve_bytes_counts_as_many() -> None:
    stamps = pa.table({"at": pa.array([datetime.datetime(2020, 1, 1)] * 10, pa.timestamp("ns"))})
    assert read_footer(written(stamps, use_deprecated_int96_timestamps=True)).unfolded == 120


@pytest.mark.parametrize(("kind", "width"), list(enumerate((1, 4, 8, 12, 4, 8, 4, 8))))
def test_a_value_of_each_type_has_its_width(kind: int, width: int) -> None:
    assert read_footer(file(group(chunk(kind, 10, 77)))) == Footer(5, 77, 10 * width)


def test_all_chunks_of_all_groups_count() -> None:
    content = file(group(chunk(1, 1, 10), chunk(2, 1, 20)), group(chunk(1, 100, 1_000)), rows=3)
    assert read_footer(content) == Footer(3, 1_030, 4 + 8 + 400)


def test_a_negative_size_takes_nothing_off() -> None:
    assert read_footer(file(group(chunk(1, -50, -9), chunk(1, 3, 30)))) == Footer(5, 30, 12)


def test_what_is_not_said_counts_nothing() -> None:
    nothing = field(1, STRUCT, OPEN_END) + OPEN_END
    assert read_footer(raw(OPEN_END)) == Footer(0, 0, 0)
    assert read_footer(file(group(field(2, I64, number(4)) + OPEN_END))) == Footer(5, 0, 0)
    assert read_footer(file(OPEN_END)) == Footer(5, 0, 0)
    empty = field(3, STRUCT, OPEN_END) + OPEN_END
    assert read_footer(file(group(empty))) == Footer(5, 0, 0)
    assert read_footer(file(group(nothing))) == Footer(5, 0, 0)
    untyped = field(3, STRUCT, field(5, I64, number(10)) + OPEN_END) + OPEN_END
    assert read_footer(file(group(untyped))).unfolded == 80  # of no stated type: as many bytes as most have


OTHERS = {
    "true": field(1, 1, b""),
    "false": field(1, 2, b""),
    "byte": field(1, 3, b"\x07"),
    "short": field(1, 4, number(-300)),
    "double": field(1, 7, b"\x01" * 8),
    "text": field(1, TEXT, varint(200) + b"x" * 200),
    "set": field(1, 10, bytes([3 << 4 | I32]) + number(1) * 3),
    "list of fourteen": field(1, LIST, bytes([14 << 4 | I32]) + number(-33) * 14),
    "long list": field(1, LIST, bytes([15 << 4 | I32]) + varint(20) + number(-33) * 20),
    "flags": field(1, LIST, bytes([3 << 4 | 1]) + b"\x01\x02\x01"),
    "other flags": field(1, LIST, bytes([3 << 4 | 2]) + b"\x01\x02\x01"),
    "map": field(1, 11, varint(2) + bytes([TEXT << 4 | I32]) + 2 * (varint(3) + b"abc" + number(9))),
    "empty map": field(1, 11, b"\x00"),
    "structure": field(1, STRUCT, field(1, I32, number(1)) + OPEN_END),
    "far number": bytes([I32]) + number(1) + number(7),
    "far text": bytes([TEXT]) + number(1) + varint(3) + b"\xff\xff\xff",
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_whatever_stands_before_the_sizes_is_passed_over(other: bytes) -> None:
    content = file(group(chunk(1, 3, 30)), before=other + field(1, TEXT, varint(3) + b"\xff\xff\xff"))
    assert read_footer(content) == Footer(5, 30, 12)


def test_a_field_may_be_given_by_its_whole_number() -> None:
    long_form = bytes([I64]) + number(3) + number(12)
    assert read_footer(raw(long_form + OPEN_END)).rows == 12
    back = field(7, I64, number(1)) + bytes([I64]) + number(3) + number(12)
    assert read_footer(raw(back + OPEN_END)).rows == 12


def test_a_flag_in_place_of_a_number_counts_as_one_or_none() -> None:
    assert [read_footer(raw(field(3, kind, b"") + OPEN_END)).rows for kind in (1, 2)] == [1, 0]


def test_numbers_of_up_to_63_bits_are_read_whole() -> None:
    for value in (0, 63, 64, 127, 128, 300, 2**31, 2**40 + 17, 2**62):
        assert read_footer(file(rows=value)).rows == value
    assert read_footer(file(rows=-3)).rows == -3


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no Parquet file"),
        (b"PAR1" + b"\x00" * 7, "no Parquet file"),
        (b"\x00" * 7 + b"PAR1", "no Parquet file"),
        (b"PAR1" + b"\x00" * 40 + b"PARE", "no Parquet file"),
        (b"PAR1" + struct.pack("<I", 5) + b"PAR1", "longer than the file"),
        (b"\x00" * 8 + struct.pack("<I", 9) + b"PAR1", "longer than the file"),
        (raw(b""), "broken"),
        (raw(field(3, I64, b"")), "broken"),
        (raw(field(3, TEXT, varint(9) + b"x" * 8)), "cut"),
        (raw(field(3, 7, b"x" * 7)), "cut"),
        (raw(field(3, 7, b"x" * 8)), "broken"),
        (raw(field(3, 13, b"") + OPEN_END), "a type that there is none of"),
        (raw(field(3, 0, b"") + OPEN_END), "a type that there is none of"),
        (raw(field(3, I64, b"\xff" * 10 + b"\x01") + OPEN_END), "too long"),
        (raw(field(4, LIST, bytes([3 << 4 | 3]) + b"\x00\x00")), "longer than the footer"),
        (raw(field(4, 11, varint(3) + b"\x33")), "longer than the footer"),
        (raw(field(4, I32, number(1)) + OPEN_END), "broken"),
        (raw(field(4, LIST, bytes([1 << 4 | I32]) + number(1)) + OPEN_END), "broken"),
        (raw(field(3, TEXT, varint(1) + b"x") + OPEN_END), "invalid literal"),
        (file(group(chunk(8, 1, 1))), "broken"),
    ],
)
def test_what_is_no_footer_is_a_value_error(content: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_footer(content)


def test_the_smallest_file_that_can_be_one_is_read() -> None:
    assert len(raw(OPEN_END)) == 13
    assert read_footer(b"\x00" * 3 + OPEN_END + struct.pack("<I", 1) + b"PAR1") == Footer(0, 0, 0)
    whole = OPEN_END * 4 + struct.pack("<I", 4) + b"PAR1"  # nothing but a footer
    assert read_footer(whole) == Footer(0, 0, 0)


def test_lists_and_maps_as_long_as_what_is_left_are_read() -> None:
    assert (
        read_footer(raw(field(3, I64, number(7)) + field(5, LIST, bytes([1 << 4 | 3]) + b"\x00") + OPEN_END)).rows == 7
    )
    with pytest.raises(ValueError, match="broken"):  # of bytes as many as are left: then the end is missing
        read_footer(raw(field(4, LIST, bytes([2 << 4 | 3]) + b"\x00\x00")))
    with pytest.raises(ValueError, match="broken"):
        read_footer(raw(field(4, 11, varint(1) + b"\x33")))


def nested(depth: int) -> bytes:
    return raw(field(9, STRUCT, b"") * depth + OPEN_END * (depth + 1))


@pytest.mark.parametrize("depth", [0, 1, 31, 32])
def test_a_footer_as_deep_as_allowed_is_read(depth: int) -> None:
    assert read_footer(nested(depth)) == Footer(0, 0, 0)


@pytest.mark.parametrize("depth", [33, 100, 5_000])
def test_a_deeper_one_is_refused(depth: int) -> None:
    with pytest.raises(ValueError, match="too large"):
        read_footer(nested(depth))
    lists = raw(field(9, LIST, bytes([1 << 4 | LIST]) * depth + b"\x03"))
    with pytest.raises(ValueError, match="too large"):
        read_footer(lists)
    maps = raw(field(9, 11, (varint(1) + bytes([3 << 4 | 11]) + b"\x00") * depth + b"\x00" * 99))
    with pytest.raises(ValueError, match="too large"):
        read_footer(maps)


def test_lists_and_maps_as_deep_as_allowed_are_read() -> None:
    """The structure of the file is at 0, what is in its fields at 1; what is in 31 of them in each other at 32."""
    lists = field(9, LIST, bytes([1 << 4 | LIST]) * 30 + b"\x13\x00")
    values = field(9, 11, (varint(1) + bytes([3 << 4 | 11]) + b"\x00") * 30 + varint(1) + b"\x33\x00\x00")
    keys = field(9, 11, (varint(1) + bytes([11 << 4 | 3])) * 30 + varint(1) + b"\x33\x00\x00" + b"\x00" * 30)
    for content in (lists, values, keys):
        assert read_footer(raw(content + OPEN_END)) == Footer(0, 0, 0)


def test_a_map_of_maps_is_as_deep_as_its_keys() -> None:
    keys = raw(field(9, 11, (varint(1) + bytes([11 << 4 | 3])) * 40 + b"\x00" * 99))
    with pytest.raises(ValueError, match="too large"):
        read_footer(keys)


def test_a_footer_of_more_values_than_allowed_is_refused_and_one_of_as_many_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = raw(field(3, I64, number(7)) + field(5, LIST, bytes([4 << 4 | I32]) + number(1) * 4) + OPEN_END)
    monkeypatch.setattr(footer_module, "_NODES_MAX", 6)
    assert read_footer(content).rows == 7
    monkeypatch.setattr(footer_module, "_NODES_MAX", 5)
    with pytest.raises(ValueError, match="too large"):
        read_footer(content)


def test_a_damaged_footer_is_read_or_is_a_value_error() -> None:
    whole = bytearray(written(pa.table({"a": [1, 2, 3], "b": ["x", None, "z"]})))
    rng = random.Random(4)
    read = 0
    for _ in range(2_000):
        damaged = bytearray(whole)
        for _ in range(rng.randrange(1, 4)):
            damaged[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        with contextlib.suppress(ValueError):
            read += all(isinstance(size, int) for size in read_footer(bytes(damaged)))
    assert 0 < read < 2_000
