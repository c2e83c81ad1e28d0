"""This module holds the Arrow schema of the event table; its columns are what a digest covers. It converts events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
import pyarrow as pa

from agentsoc.events import Event

_WORD = pa.dictionary(pa.int32(), pa.string())

SCHEMA: Final = pa.schema(
    [
        pa.field("task", pa.int64(), nullable=False),
        pa.field("round", pa.int32(), nullable=False),
        pa.field("agent", pa.int64(), nullable=False),
        pa.field("k", pa.int32(), nullable=False),
        pa.field("kind", _WORD, nullable=False),
        pa.field("claim", pa.int64()),
        pa.field("parents", pa.list_(pa.int64()), nullable=False),
        pa.field("target", pa.int64()),
        pa.field("subtask", pa.int64()),
        pa.field("subtask_parent", pa.int64()),
        pa.field("answer", _WORD),
        pa.field("correct", pa.float64()),
        pa.field("confidence", pa.float64()),
        pa.field("text", pa.string()),
        pa.field("calls", pa.int32(), nullable=False),
        pa.field("tokens_in", pa.int64(), nullable=False),
        pa.field("tokens_cached", pa.int64(), nullable=False),
        pa.field("tokens_out", pa.int64(), nullable=False),
        pa.field("label_source", _WORD, nullable=False),
    ]
)
COLUMNS: Final = tuple(SCHEMA.names)
REWARDS: Final = pa.field("rewards", pa.float64())
"""A column that runs in environments have besides; a digest covers it where there are values."""
RESERVED: Final = (REWARDS.name,)
"""Columns that a log may have besides."""


def to_table(events: Sequence[Event], *, rewards: bool = False) -> pa.Table:
    """Return the events as a table with `SCHEMA`, one row each, in the order given; with rewards where asked for."""
    if not events:
        table = SCHEMA.empty_table()
        return table.append_column(REWARDS, pa.array([], REWARDS.type)) if rewards else table
    columns = list(zip(*map(msgspec.structs.astuple, events), strict=True))
    arrays = [pa.array(column, type=kind) for column, (_, kind) in zip(columns, _PLAIN, strict=False)]
    table = pa.Table.from_arrays(arrays, schema=_PLAIN_SCHEMA).cast(SCHEMA)
    return table.append_column(REWARDS, pa.array(columns[_REWARDS], REWARDS.type)) if rewards else table


def from_table(table: pa.Table) -> Iterator[Event]:
    """Yield the rows of a table with `SCHEMA` as events."""
    rewarded = REWARDS.name in table.column_names
    for batch in table.cast(_PLAIN_SCHEMA.append(REWARDS) if rewarded else _PLAIN_SCHEMA).to_batches(
        max_chunksize=8192
    ):
        columns: list[Sequence[Any]] = [batch.column(i).to_pylist() for i in range(batch.num_columns)]
        columns[_PARENTS] = [tuple(parents) for parents in columns[_PARENTS]]
        for row in zip(*columns, strict=True):
            yield Event(*row)


def _plain(field_type: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_dictionary(field_type) else field_type


_PLAIN: Final = [(field.name, _plain(field.type)) for field in SCHEMA]
_PLAIN_SCHEMA: Final = pa.schema([pa.field(f.name, _plain(f.type), nullable=f.nullable) for f in SCHEMA])
_PARENTS: Final = COLUMNS.index("parents")
_REWARDS: Final = len(COLUMNS)
"""Place of the rewards in an event."""
assert Event.__struct_fields__ == (*COLUMNS, REWARDS.name)
