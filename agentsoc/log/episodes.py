"""The episode table, ``episodes.parquet``, has one row per task: what its episode came to and what it cost.

It says nothing that scenario and journal do not: a replay computes it again. It is there so that experiments of
hundreds of runs are read without their events, and because some counts (turns, deliveries, what was charged) are in
no event. An interrupted or failed run has one as well, with a row for every episode that was under way. A run that goes
on or was killed has none, nor have runs of earlier versions, which is no fault.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from agentsoc.log.totals import EpisodeTotals
from agentsoc.scenario.parquet_bounds import require_kind

SCHEMA: Final = pa.schema(
    [
        pa.field("task", pa.int64(), nullable=False),
        pa.field("score", pa.float64(), nullable=False),
        pa.field("answer", pa.string()),
        pa.field("answered", pa.bool_(), nullable=False),
        pa.field("stop", pa.string(), nullable=False),
        pa.field("events", pa.int64(), nullable=False),
        pa.field("turns", pa.int64(), nullable=False),
        pa.field("rounds", pa.int64(), nullable=False),
        pa.field("calls", pa.int64(), nullable=False),
        pa.field("calls_failed", pa.int64(), nullable=False),
        pa.field("tokens_in", pa.int64(), nullable=False),
        pa.field("tokens_cached", pa.int64(), nullable=False),
        pa.field("tokens_out", pa.int64(), nullable=False),
        pa.field("broadcasts", pa.int64(), nullable=False),
        pa.field("deliveries", pa.int64(), nullable=False),
        pa.field("budget", pa.int64()),
        pa.field("charged", pa.int64(), nullable=False),
        pa.field("virtual_s", pa.float64(), nullable=False),
        pa.field("tokens_lost", pa.int64(), nullable=False),
        pa.field("calls_lost", pa.int64(), nullable=False),
        pa.field("tokens_overrun", pa.int64(), nullable=False),
        pa.field("cost", pa.decimal128(38, 0)),
        pa.field("cost_lost", pa.decimal128(38, 0)),
        pa.field("claims_due", pa.int64(), nullable=False),
        pa.field("claims_left_out", pa.int64(), nullable=False),
    ]
)
COLUMNS: Final = tuple(SCHEMA.names)
MEASURES: Final = COLUMNS[: COLUMNS.index("tokens_lost")]
"""Columns that every format has."""
UNDER_WAY: Final = "under_way"
"""The ``stop`` of an episode that has not ended."""

_ROWS: Final = 8192
"""Rows kept as objects before they become columns: a run may have a million episodes (rows)."""


class EpisodeRow(msgspec.Struct, gc=False):
    """A row says what one episode came to, filled while it goes on; its fields are the columns of the table."""

    task: int
    score: float = 0.0
    answer: str | None = None
    answered: bool = False
    stop: str = ""
    events: int = 0
    turns: int = 0
    rounds: int = 0
    calls: int = 0
    calls_failed: int = 0
    tokens_in: int = 0
    tokens_cached: int = 0
    tokens_out: int = 0
    broadcasts: int = 0
    deliveries: int = 0
    budget: int | None = None
    charged: int = 0
    virtual_s: float = 0.0
    tokens_lost: int = 0
    calls_lost: int = 0
    tokens_overrun: int = 0
    cost: int | None = None
    """What its calls cost by the scenario's prices (units of money); None without prices."""
    cost_lost: int | None = None
    claims_due: int = 0
    """Claims that prompts were to show (claims)."""
    claims_left_out: int = 0
    """Those of them for which there was no room (claims)."""


assert EpisodeRow.__struct_fields__ == COLUMNS


def committed_rounds(table: pa.Table) -> dict[int, int]:
    """Return the committed rounds of each task that has a row: those that events tell of."""
    return dict(zip(table["task"].to_pylist(), table["rounds"].to_pylist(), strict=True))


class EpisodeTable:
    """The table collects rows of episodes and keeps their totals."""

    def __init__(self) -> None:
        self._rows: list[EpisodeRow] = []
        self._parts: list[bytes] = []
        """Tables of rows, packed: a run may have millions, and what it keeps of each is what a long one grows by."""
        self._totals = EpisodeTotals()

    @property
    def totals(self) -> EpisodeTotals:
        """Return what the rows add up to."""
        self._to_table()
        return self._totals

    def add(self, row: EpisodeRow) -> None:
        """Take the row of an episode that has ended, or of one under way when its run ends."""
        self._rows.append(row)
        if len(self._rows) >= _ROWS:
            self._to_table()

    def add_block(
        self,
        first: int,
        *,
        score: NDArray[np.float64],
        answer: NDArray[np.int64],
        options: tuple[str, ...],
        virtual_s: NDArray[np.float64],
        each: EpisodeRow,
    ) -> None:
        """Take the rows of consecutive episodes that differ in their answers and latencies only.

        Args:
            first: task of the first one.
            score: shape (n,).
            answer: index of each answer in `options`, shape (n,).
            options: the answers.
            virtual_s: shape (n,), in seconds.
            each: everything that is the same for all of them.
        """
        n = len(score)
        differ = {
            "task": pa.array(np.arange(first, first + n, dtype=np.int64)),
            "score": pa.array(np.asarray(score, dtype=np.float64)),
            "answer": pa.array(list(options), pa.string()).take(pa.array(answer)),
            "virtual_s": pa.array(virtual_s),
        }
        columns = [
            differ[field.name]
            if field.name in differ
            else pa.repeat(pa.scalar(_plain([getattr(each, field.name)], field.type)[0], field.type), n)
            for field in SCHEMA
        ]
        self._take(pa.Table.from_arrays(columns, schema=SCHEMA))

    def table(self) -> pa.Table:
        """Return all rows, by task."""
        self._to_table()
        if not self._parts:
            return SCHEMA.empty_table()
        whole = pa.concat_tables(map(_unpacked, self._parts)).combine_chunks()
        task = whole.column("task").to_numpy()
        return whole if (np.diff(task) > 0).all() else whole.take(pa.array(np.argsort(task)))

    def _to_table(self) -> None:
        if self._rows:
            rows, self._rows = self._rows, []
            columns = zip(*map(msgspec.structs.astuple, rows), strict=True)
            self._take(
                pa.Table.from_arrays(
                    [
                        pa.array(_plain(column, field.type), field.type)
                        for column, field in zip(columns, SCHEMA, strict=True)
                    ],
                    schema=SCHEMA,
                )
            )

    def _take(self, table: pa.Table) -> None:
        self._totals.add(table)
        self._parts.append(_packed(table))


def _packed(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, SCHEMA, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


def _unpacked(part: bytes) -> pa.Table:
    with pa.ipc.open_stream(part) as reader:
        return reader.read_all()


def _plain(values: Sequence[Any], kind: pa.DataType) -> Sequence[Any]:
    """Return values as Arrow takes them."""
    return [None if value is None else Decimal(value) for value in values] if pa.types.is_decimal(kind) else values


def conform(table: pa.Table) -> pa.Table:
    """Return a table of episodes of any format with all columns; what an earlier one did not write is null or 0.

    Raises:
        ValueError: a column holds another kind of value, or lacks some.
        KeyError: a name stands there twice.
    """
    rows = table.num_rows
    columns = []
    for field in SCHEMA:
        if field.name in table.column_names:
            require_kind(table.schema.field(field.name), field.type)
            columns.append(table[field.name].cast(field.type))
            if not field.nullable and columns[-1].null_count:
                raise ValueError(f"{field.name} is missing in a row")
        elif field.nullable:
            columns.append(pa.nulls(rows, field.type))
        else:
            columns.append(pa.repeat(pa.scalar(0, field.type), rows))
    return pa.Table.from_arrays(columns, schema=SCHEMA)
