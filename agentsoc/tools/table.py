"""`table`: look-ups in a file of rows beside the scenario (CSV, JSONL or Parquet)."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field, StringConstraints

from agentsoc.contracts.tools import Effect, Tool
from agentsoc.errors import InputError
from agentsoc.scenario.files import read_whole

ROWS_MAX: Final = 1_000_000
UNFOLDED_MAX: Final = 256 << 20
"""What a Parquet file may unfold to (bytes)."""
_COLUMNS_MAX: Final = 1_000


class Table(Tool):
    """Finds rows of a table by the values of their columns; nothing in the file changes."""

    effect: ClassVar[Effect] = "pure"

    kind: Literal["table"] = "table"
    file: Annotated[str, StringConstraints(min_length=1, max_length=300)]
    """Name of the file beside the scenario: .csv with a header, .jsonl with one object a line, or .parquet."""
    about: Annotated[str, StringConstraints(max_length=400)] = ""
    """What the table holds, for the agents."""
    rows: int = Field(default=10, ge=1, le=1_000)
    """Most rows that one call gives (rows)."""

    @cached_property
    def _loaded(self) -> tuple[Sequence[str], Sequence[Mapping[str, Any]]]:
        """Columns and rows, read once."""
        return _parsed(self.file, read_whole(self.file))

    def describe(self) -> str:
        """Return what it does, with the columns of the table."""
        columns = ", ".join(self._loaded[0])
        about = f" ({self.about})" if self.about else ""
        return (
            f"Looks rows up in a table{about} with the columns {columns}: those whose columns have the given values, "
            f"{self.rows} at most. Without columns to return, all of them."
        )

    def arguments(self) -> Mapping[str, Any]:
        """Return the schema: which values the columns have, and which columns to return."""
        columns = list(self._loaded[0])
        value = {"type": ["string", "number", "boolean", "null"]}
        return {
            "type": "object",
            "properties": {
                "where": {
                    "type": "object",
                    "properties": dict.fromkeys(columns, value),
                    "additionalProperties": False,
                },
                "columns": {"type": "array", "items": {"enum": columns}, "maxItems": len(columns)},
            },
            "required": ["where"],
            "additionalProperties": False,
        }

    def call(self, arguments: Mapping[str, Any]) -> str:
        """Return the rows found, one JSON object a line."""
        columns, rows = self._loaded
        where, wanted = arguments["where"], arguments.get("columns") or list(columns)
        found = [row for row in rows if all(_same(row.get(name), value) for name, value in where.items())]
        if not found:
            return "no row"
        lines = [json.dumps({name: row.get(name) for name in wanted}, ensure_ascii=False) for row in found[: self.rows]]
        more = len(found) - self.rows
        return "\n".join([*lines, *([f"and {more:,} more rows"] if more > 0 else [])])


def _same(stored: Any, asked: Any) -> bool:
    """Return whether a value is the one that is asked for: numbers by value, texts without regard to case."""
    if stored is None or asked is None or isinstance(stored, bool) or isinstance(asked, bool):
        return stored is asked or str(stored).casefold() == str(asked).casefold()
    try:
        return float(stored) == float(asked)
    except (TypeError, ValueError):
        return str(stored).strip().casefold() == str(asked).strip().casefold()


def _parsed(name: str, content: bytes) -> tuple[Sequence[str], Sequence[Mapping[str, Any]]]:
    """Return columns and rows of a table; of one that is too large no more is read than shows it."""
    most = ROWS_MAX + 1
    rows: list[Any]
    try:
        if name.endswith(".parquet"):
            rows = list(itertools.islice(_parquet(content), most))
        elif name.endswith(".jsonl"):
            lines = (line for line in content.decode("utf-8-sig").splitlines() if line.strip())
            rows = [json.loads(line) for line in itertools.islice(lines, most)]
        elif name.endswith(".csv"):
            text = io.StringIO(content.decode("utf-8-sig"), newline="")
            rows = list(itertools.islice(csv.DictReader(text, strict=True), most))
        else:
            raise InputError("a table is a file of .csv, .jsonl or .parquet", name)
    except (ValueError, RecursionError, csv.Error) as error:
        raise InputError(f"this table cannot be read: {' '.join(str(error).split())[:200]}", name) from None
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise InputError("a table needs rows, each with names and values", name)
    columns = list(dict.fromkeys(key for row in rows[:1000] for key in row))
    if len(rows) > ROWS_MAX or len(columns) > _COLUMNS_MAX or None in columns:
        raise InputError(f"a table has at most {ROWS_MAX:,} rows and {_COLUMNS_MAX:,} columns, each with a name", name)
    return columns, rows


def _parquet(content: bytes) -> Iterator[dict[str, Any]]:
    """Yield the rows of a Parquet file, a few at a time: a small file can unfold to any size."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    too_large = f"it unfolds to more than {UNFOLDED_MAX:,} bytes"
    try:
        file = pq.ParquetFile(io.BytesIO(content))
        groups = range(file.metadata.num_row_groups)
        packed = sum(file.metadata.row_group(group).total_byte_size for group in groups)
        if not 0 <= packed <= UNFOLDED_MAX:
            raise ValueError(too_large)
        if file.metadata.num_rows > ROWS_MAX:
            raise ValueError(f"it has {file.metadata.num_rows:,} rows; at most {ROWS_MAX:,}")
        at_once = min(4096, UNFOLDED_MAX // max(packed, 1))  # one value is at most all that is packed
        unfolded = 0
        for batch in file.iter_batches(batch_size=at_once):
            unfolded += batch.nbytes
            if unfolded > UNFOLDED_MAX:
                raise ValueError(too_large)
            for row in batch.to_pylist():
                yield json.loads(json.dumps(row, default=str))
    except (pa.ArrowException, OSError) as error:
        raise ValueError(str(error)) from None
