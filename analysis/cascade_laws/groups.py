"""This module divides executions into groups that share topology, size, seed, benchmark or run."""

from __future__ import annotations

from typing import Final

import polars as pl

from agentsoc.errors import InputError
from analysis.cascade_laws.long_table import LongTable
from analysis.tables import EventTable

GROUP_KEYS: Final = {"benchmark": "benchmark", "topology": "topology", "n": "n_agents", "seed": "seed", "run": "run"}
"""What executions can be grouped by, and the column behind it."""

Table = EventTable | LongTable


def groups(table: Table, keys: tuple[str, ...]) -> list[tuple[dict[str, str | int | None], Table]]:
    """Return the parts of `table` that share the values of `keys`, in order of these values.

    Raises:
        InputError: a key is none of `GROUP_KEYS`.
    """
    unknown = [key for key in keys if key not in GROUP_KEYS]
    if unknown:
        raise InputError(f"executions cannot be grouped by {unknown[0]!r}", "--by", f"use {', '.join(GROUP_KEYS)}")
    columns = [GROUP_KEYS[key] for key in keys]
    parts = []
    for values in table.executions.select(columns).unique().sort(columns, nulls_last=True).iter_rows():
        same = [pl.col(column).eq_missing(pl.lit(value)) for column, value in zip(columns, values, strict=True)]
        parts.append((dict(zip(keys, values, strict=True)), table.where(pl.all_horizontal(same))))
    return parts
