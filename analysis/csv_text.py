"""This module writes tables as CSV for people who open them in a spreadsheet."""

from __future__ import annotations

from typing import Final

import polars as pl

_FORMULA: Final = r"^([=+\-@\t\r])"


def as_csv(table: pl.DataFrame) -> bytes:
    """Return a table as CSV, in which no cell of text is taken for a formula by a spreadsheet."""
    texts = pl.col(pl.String).str.replace(_FORMULA, "'$1")
    return table.with_columns(texts).write_csv().encode("utf-8")
