"""This module reads Parquet files within bounds: a stranger's small file may unfold to more than this machine holds.

Texts are read as dictionaries, as they are stored, so that a million copies of one text take the memory of one; how
large they would be in full is added up before anything is unfolded. A file is refused by name when that is more than
`UNFOLDED_MAX`, or `UNFOLDED_TIMES` its own size where that is more.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from agentsoc.errors import LogDamagedError
from agentsoc.scenario.parquet_footer import read_footer

UNFOLDED_MAX: Final = 256 << 20
"""How much memory any file may take, however small it is (bytes)."""
UNFOLDED_TIMES: Final = 16
"""How much memory a larger file may take, as a multiple of its own size."""
ROWS_AT_ONCE: Final = 1 << 16
_STRUCTURE_MAX: Final = 64 << 20
"""Largest footer, and most entries of one (bytes, entries)."""


def read_parquet(
    content: bytes,
    where: str,
    *,
    columns: Sequence[str] | None = None,
    rows: int | None = None,
    hint: str = "",
    most: int | None = None,
) -> pa.Table:
    """Return a table, or those of `columns` that it has, with the types that the file states.

    Args:
        content: the file.
        where: its name, for messages.
        columns: what to read; None for everything.
        rows: how many rows there have to be; None for any number.
        hint: how to go on when it is refused.
        most: what it may hold in memory, however small it is (bytes); None for the usual.

    Raises:
        LogDamagedError: it is no Parquet file, has other rows, or unfolds to more than it may.
    """
    most = max(UNFOLDED_MAX if most is None else most, UNFOLDED_TIMES * len(content))
    try:
        _require_size(content, where, rows, most, hint)
        stated, file = _opened(content)
        with file:
            wanted = None if columns is None else [name for name in stated.names if name in set(columns)]
            batches, total = [], 0
            for batch in file.iter_batches(ROWS_AT_ONCE, columns=wanted):
                total += sum(map(unfolded_bytes, batch.columns))
                if total > most:
                    raise _too_large(where, most, hint)
                batches.append(batch)
            table = pa.Table.from_batches(batches, None if batches else _schema(file.schema_arrow, wanted))
        table.validate(full=True)  # readers trust what they get from here
        table = table.cast(_schema(stated, wanted))
    except (OSError, pa.ArrowException, ValueError, KeyError, IndexError, OverflowError, MemoryError) as error:
        raise LogDamagedError(f"this file cannot be read ({type(error).__name__})", where, hint) from None
    if rows is not None and table.num_rows != rows:
        raise LogDamagedError(f"this file has {table.num_rows:,} rows, not {rows:,}", where, hint)
    return table


def iter_parquet(
    content: bytes, where: str, *, columns: Sequence[str] | None = None, rows: int | None = None, hint: str = ""
) -> Iterator[pa.Table]:
    """Yield what `read_parquet` returns in tables of at most `ROWS_AT_ONCE` rows, each held to the same rules.

    Whoever stops early has read no further; that the rows are as many as they have to be is known at the end only.

    Raises:
        LogDamagedError: as for `read_parquet`.
    """
    most, seen, total = max(UNFOLDED_MAX, UNFOLDED_TIMES * len(content)), 0, 0
    try:
        _require_size(content, where, rows, most, hint)
        stated, file = _opened(content)
        wanted = None if columns is None else [name for name in stated.names if name in set(columns)]
        with file:
            for batch in file.iter_batches(ROWS_AT_ONCE, columns=wanted):
                total += sum(map(unfolded_bytes, batch.columns))
                if total > most:
                    raise _too_large(where, most, hint)
                table = pa.Table.from_batches([batch])
                table.validate(full=True)
                seen += table.num_rows
                yield table.cast(_schema(stated, wanted))
    except (OSError, pa.ArrowException, ValueError, KeyError, IndexError, OverflowError, MemoryError) as error:
        raise LogDamagedError(f"this file cannot be read ({type(error).__name__})", where, hint) from None
    if rows is not None and seen != rows:
        raise LogDamagedError(f"this file has {seen:,} rows, not {rows:,}", where, hint)


def require_size(content: bytes, where: str, *, rows: int | None = None, hint: str = "") -> None:
    """Refuse a file by what it says of itself, for whoever reads it with other means; see `read_parquet`."""
    try:
        _require_size(content, where, rows, max(UNFOLDED_MAX, UNFOLDED_TIMES * len(content)), hint)
    except ValueError as error:
        raise LogDamagedError(f"this file cannot be read ({error})", where, hint) from None


def read_schema(content: bytes, where: str, *, hint: str = "") -> pa.Schema:
    """Return the columns that a file states; see `require_size`, which is to be called first."""
    try:
        schema, file = _opened(content)
        file.close()
    except (OSError, pa.ArrowException, ValueError, KeyError, IndexError, OverflowError, MemoryError) as error:
        raise LogDamagedError(f"this file cannot be read ({type(error).__name__})", where, hint) from None
    return schema


def require_kind(field: pa.Field, wanted: pa.DataType) -> None:
    """Refuse a column whose values are of another kind, though they could be made into the kind that is wanted.

    Widths of numbers, and whether texts are kept as a dictionary, say nothing about the values.

    Raises:
        ValueError: names the column.
    """
    if _kind(field.type) != _kind(wanted):
        raise ValueError(f"the column {field.name[:60]!r} holds {str(field.type)[:60]}, not {wanted}")


def _kind(found: pa.DataType) -> str:
    """Return what kind of value a type holds: "integer", "list of text"."""
    if pa.types.is_dictionary(found):
        return _kind(found.value_type)
    if pa.types.is_list(found) or pa.types.is_large_list(found):
        return f"list of {_kind(found.value_type)}"
    for is_it, kind in (
        (pa.types.is_integer, "integer"),
        (pa.types.is_floating, "float"),
        (pa.types.is_string, "text"),
        (pa.types.is_large_string, "text"),
        (pa.types.is_string_view, "text"),
    ):
        if is_it(found):
            return kind
    return str(found)


def _opened(content: bytes) -> tuple[pa.Schema, pq.ParquetFile]:
    """Return the schema that a file states, and the file opened with every column of text as a dictionary."""
    limits = {"thrift_string_size_limit": _STRUCTURE_MAX, "thrift_container_size_limit": _STRUCTURE_MAX}
    first = pq.ParquetFile(io.BytesIO(content), **limits)
    texts = [
        field.name
        for field in first.schema_arrow
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type) or pa.types.is_binary(field.type)
    ]
    if not texts:
        return first.schema_arrow, first
    return first.schema_arrow, pq.ParquetFile(
        io.BytesIO(content), read_dictionary=texts, metadata=first.metadata, **limits
    )


def _require_size(content: bytes, where: str, rows: int | None, most: int, hint: str) -> None:
    """Refuse a file by what it says of itself, before any of it is read."""
    footer = read_footer(content)
    if rows is not None and footer.rows != rows:
        raise LogDamagedError(f"this file has {footer.rows:,} rows, not {rows:,}", where, hint)
    if max(footer.unfolded, footer.stored, footer.rows) > most:
        raise _too_large(where, most, hint)


def unfolded_bytes(column: pa.Array) -> int:
    """Return what a column takes in memory once no value is shared (bytes)."""
    if not pa.types.is_dictionary(column.type):
        return int(column.nbytes)
    if not len(column.dictionary) or not len(column):
        return int(column.indices.nbytes)
    lengths = pc.binary_length(column.dictionary)  # null for null, which the sum passes over
    return int(column.indices.nbytes) + (pc.sum(lengths.take(column.indices)).as_py() or 0)


def _schema(schema: pa.Schema, wanted: Sequence[str] | None) -> pa.Schema:
    return schema if wanted is None else pa.schema([schema.field(name) for name in wanted])


def _too_large(where: str, most: int, hint: str) -> LogDamagedError:
    return LogDamagedError(f"this file unfolds to more than {most >> 20:,} MB, so it is not read", where, hint)
