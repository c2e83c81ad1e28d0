"""This module writes tables as CSV in which no cell of text is taken for a formula by a spreadsheet.

What agents, models and strangers said stands in such tables. A spreadsheet runs a cell that begins like a formula, so
an apostrophe is put before it, by which spreadsheets know text; a text that is a number stays as it is. Cells are told
apart by commas: a program that is told to split at something else makes other cells, and of these no more is promised
than that entries of lists, which stand between semicolons, are harmless as well.
"""

from __future__ import annotations

from typing import Final

import polars as pl

_FORMULA: Final = r"^([=+\-@\t\r\n＝＋－＠])"
"""What a formula begins with; the wide forms of the signs are read like the narrow ones."""
_NUMBER: Final = r"^[+-]?(\d[\d.,_ ]*|\.\d+)(?:[eE][+-]?\d+)?\s*%?$"


def harmless(text: pl.Expr) -> pl.Expr:
    """Return a column of text with an apostrophe before what a spreadsheet would run."""
    return pl.when(text.str.contains(_NUMBER)).then(text).otherwise(text.str.replace(_FORMULA, "'$1"))


def flat(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a table without lists and objects, as CSV can hold it: entries separated by ``;``, objects as JSON.

    Texts, entries of lists, and names of columns are made harmless; a name that another column has then gets one more
    apostrophe.

    Args:
        frame: any table.
    """
    columns = []
    for name, kind in frame.schema.items():
        column = pl.col(name)
        if isinstance(kind, pl.List):
            column = column.cast(pl.List(pl.String))
            if kind.inner.is_numeric():
                column = column.list.join(";")
            else:
                column = harmless(column.list.eval(harmless(pl.element())).list.join(";"))
        elif isinstance(kind, pl.Struct):
            column = column.struct.json_encode()
        elif isinstance(kind, pl.String | pl.Enum | pl.Categorical):
            column = harmless(column.cast(pl.String))
        columns.append(column.alias(name))
    return frame.select(columns).rename(_names(frame.columns))


def _names(columns: list[str]) -> dict[str, str]:
    """Return a harmless name for each column, of which no two are the same."""
    names = pl.Series(columns, dtype=pl.String).to_frame("name").select(harmless(pl.col("name")))["name"]
    found, taken = {}, set(columns)
    for old, new in zip(columns, names, strict=True):
        while new != old and new in taken:
            new = f"'{new}"
        found[old] = new
        taken.add(new)
    return found


def as_csv(frame: pl.DataFrame) -> bytes:
    """Return any table as CSV: flat, harmless, nulls empty, UTF-8."""
    return flat(frame).write_csv().encode("utf-8", "replace")
