"""This module writes tables as CSV in which no cell of text is taken for a formula by a spreadsheet.

What agents, models and strangers said stands in such tables. A spreadsheet runs a cell that begins like a formula, so
an apostrophe is put before it, by which spreadsheets know text; a text that is a number stays as it is.
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

    Texts, and names of columns, are made harmless.

    Args:
        frame: any table.
    """
    columns = []
    for name, kind in frame.schema.items():
        column = pl.col(name)
        if isinstance(kind, pl.List):
            column = column.cast(pl.List(pl.String)).list.join(";")
            column = column if kind.inner.is_numeric() else harmless(column)
        elif isinstance(kind, pl.Struct):
            column = column.struct.json_encode()
        elif isinstance(kind, pl.String | pl.Enum | pl.Categorical):
            column = harmless(column.cast(pl.String))
        columns.append(column.alias(name))
    names = pl.Series(frame.columns, dtype=pl.String).to_frame("name").select(harmless(pl.col("name")))
    return frame.select(columns).rename(dict(zip(frame.columns, names["name"], strict=True)))


def as_csv(frame: pl.DataFrame) -> bytes:
    """Return any table as CSV: flat, harmless, nulls empty, UTF-8."""
    return flat(frame).write_csv().encode("utf-8", "replace")
