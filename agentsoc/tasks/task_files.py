"""This module reads the rows of task files in the forms that people have them: lines, arrays, tables.

The ending tells the form: ``.jsonl`` and ``.ndjson`` an object a line; ``.json`` a list of objects, or an object that
holds one under ``examples``, ``data``, ``questions``, ``tasks`` or ``rows``; ``.csv`` and ``.tsv`` a row a task below a
heading (commas, or semicolons where the heading has no comma); ``.parquet`` a table. Rows come with their place.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any, Final, NamedTuple

from agentsoc.errors import InputError, LogDamagedError
from agentsoc.scenario.files import is_kept, open_text, read_whole

LINE_CHARS_MAX: Final = 200_000
"""Longest line, cell or object of a file (characters)."""
ROWS_MAX: Final = 1_000_000
"""Rows of a file (rows)."""
COLUMNS_MAX: Final = 1_000
HOLDERS: Final = ("examples", "data", "questions", "tasks", "rows", "instances")
"""Keys under which a document holds its list of objects."""
_SHEETS: Final = (".xlsx", ".xls", ".ods", ".numbers")
FORMS: Final = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")


class TaskRow(NamedTuple):
    """A row of a task file with its place."""

    number: int
    """Line of a text, entry of a list (from 1) or row of a table (from 1, without its heading)."""
    where: str
    data: dict[str, Any]
    text: bool = False
    """Whether all values are texts, as those of CSV are."""


def read_rows(name: str, *, limit_bytes: int, heading: Sequence[str] = ()) -> Iterator[TaskRow]:
    """Yield the rows of the file that a scenario calls `name`.

    Args:
        name: path relative to the scenario's directory.
        limit_bytes: largest file (bytes).
        heading: columns of a CSV file that has no heading of its own; empty for one that has.

    Raises:
        InputError: the file cannot be read, its ending is none of `FORMS`, or a row is none; names the place.
    """
    form = PurePosixPath(name).suffix.lower()
    if form in _SHEETS and not is_kept():  # lines of JSON were read under any name
        raise InputError(f"a spreadsheet ({form}) is not read", name, "save its sheet as .csv")
    if form == ".parquet":
        yield from _of_parquet(read_whole(name, limit_bytes=limit_bytes), name)
        return
    text = open_text(name, limit_bytes=limit_bytes)
    if form in (".csv", ".tsv"):
        yield from _of_csv(text, name, "\t" if form == ".tsv" else "", heading)
    elif form == ".json":
        yield from _of_document(text, name)
    else:
        yield from lines_of(text, name)


def lines_of(text: str, name: str) -> Iterator[TaskRow]:
    """Yield the objects of a text with one a line; blank lines are passed over.

    Raises:
        InputError: a line is no object; names the line.
    """
    for number, line in enumerate(text.split("\n"), 1):  # not splitlines: JSON may hold other line separators as text
        if not line.strip(" \t\r"):
            continue
        where = f"{name}:{number}"
        if len(line) > LINE_CHARS_MAX:
            raise InputError(f"the line has {len(line):,} characters, the limit is {LINE_CHARS_MAX:,}", where)
        data = _decode(line, where, "one JSON object a line")
        if not isinstance(data, dict):
            raise InputError(f"a line has to be an object, this is {sort_of(data)}", where)
        yield TaskRow(number, where, data)


def _of_document(text: str, name: str) -> Iterator[TaskRow]:
    data = _decode(text, name, 'a list of objects: [{"question": "...", "answer": "..."}]')
    key = ""
    if isinstance(data, dict):
        key = next((one for one in HOLDERS if isinstance(data.get(one), list)), "")
        if not key:
            hint = f"put the list under {', '.join(HOLDERS[:4])}, or write one object a line and end the name in .jsonl"
            raise InputError("an object that holds no list of tasks", name, hint)
        data = data[key]
    if not isinstance(data, list):
        raise InputError(f"a file of tasks holds a list, this is {sort_of(data)}", name)
    for number, row in enumerate(data, 1):
        where = f"{name}: entry {number}" if not key else f"{name}: {key}, entry {number}"
        if not isinstance(row, dict):
            raise InputError(f"an entry has to be an object, this is {sort_of(row)}", where)
        yield TaskRow(number, where, row)


def _decode(text: str, where: str, hint: str) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise InputError(f"the key {shown(key)} occurs twice", where)
            found[key] = value
        return found

    def constant(word: str) -> Any:
        raise InputError(f"{word} is no number in JSON", where)

    try:
        return json.loads(text, object_pairs_hook=unique, parse_constant=constant, parse_float=Decimal)
    except json.JSONDecodeError as error:
        place = f"{where}:{error.colno}" if error.lineno == 1 else f"{where}:{error.lineno}:{error.colno}"
        raise InputError(f"not JSON: {error.msg}", place, hint) from error
    except (ValueError, ArithmeticError, RecursionError) as error:  # numbers of thousands of digits, deep nesting
        raise InputError(f"not usable as JSON: {type(error).__name__}", where) from error


def _of_csv(text: str, name: str, mark: str, heading: Sequence[str]) -> Iterator[TaskRow]:
    first = text.partition("\n")[0]
    mark = mark or (";" if ";" in first and "," not in first and not heading else ",")
    before = csv.field_size_limit(LINE_CHARS_MAX)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
        columns = list(heading) or [column.strip() for column in next(reader, [])]
        _require_columns(columns, name)
        number = 0
        for cells in reader:
            if not cells or not any(cell.strip() for cell in cells):
                continue
            number += 1
            where = f"{name}: row {number}"
            if number > ROWS_MAX:
                raise InputError(f"more than {ROWS_MAX:,} rows", name, "split the file")
            if len(cells) != len(columns):
                what = f"the row has {len(cells)} cells, the heading {len(columns)}"
                raise InputError(what, where, f"put cells that hold {'tabs' if mark == chr(9) else mark!r} into quotes")
            given = {column: cell for column, cell in zip(columns, cells, strict=True) if cell.strip()}
            yield TaskRow(number, where, given, text=True)
    except csv.Error as error:
        raise InputError(f"not CSV: {error}", f"{name}:{reader.line_num}", "is a quote left open?") from None
    finally:
        csv.field_size_limit(before)


def _require_columns(columns: Sequence[str], name: str) -> None:
    if not columns or not all(columns):
        raise InputError("a column of the heading has no name", f"{name}:1", "the first line names the columns")
    if len(columns) > COLUMNS_MAX:
        raise InputError(f"{len(columns):,} columns, the limit is {COLUMNS_MAX:,}", f"{name}:1")
    if len(set(columns)) < len(columns):
        twice = next(column for at, column in enumerate(columns) if column in columns[:at])
        raise InputError(f"two columns are called {shown(twice)}", f"{name}:1", "rename one")


def _of_parquet(raw: bytes, name: str) -> Iterator[TaskRow]:
    import pyarrow as pa

    from agentsoc.scenario.parquet_bounds import read_parquet

    try:
        table = read_parquet(raw, name)
    except LogDamagedError as error:
        raise InputError(error.problem.what, name, "write it again as Parquet, or as .jsonl") from None
    if table.num_rows > ROWS_MAX:
        raise InputError(f"more than {ROWS_MAX:,} rows", name, "split the file")
    _require_columns(table.column_names, name)
    number = 0
    for batch in table.to_batches(max_chunksize=4096):
        try:
            rows = batch.to_pylist()
        except (pa.ArrowException, ValueError, OverflowError) as error:
            raise InputError(f"a column cannot be read: {type(error).__name__}", name) from None
        for row in rows:
            number += 1
            where = f"{name}: row {number}"
            given = {key: _exact(value, where) for key, value in row.items() if value is not None}
            yield TaskRow(number, where, given)


def _exact(value: Any, where: str) -> Any:
    """Return a value with its floats as the decimal numbers that they were written as."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InputError(f"{value} is no number", where)
        return Decimal(repr(value))
    if isinstance(value, list):
        return [_exact(one, where) for one in value]
    if isinstance(value, dict):
        return {key: _exact(one, where) for key, one in value.items()}
    return value


def sort_of(value: Any) -> str:
    """Return what sort of JSON value it is, in words."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", type(None): "null"}
    return names.get(type(value), "a number")


def shown(text: str) -> str:
    """Return a text of a file as it is shown in a message."""
    return ascii(text if len(text) <= 60 else text[:57] + "...")
