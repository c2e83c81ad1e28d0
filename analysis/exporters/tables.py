"""This module writes the tables of runs and imported logs as CSV or Parquet, for programs that read such files.

CSV has no lists: the ids of parents stand in one cell, separated by ``;``, as a claims table of ours has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Literal

import polars as pl

from agentsoc.errors import InputError
from agentsoc.log.files import write_whole
from agentsoc.log.imported import is_imported
from agentsoc.log.read import RunLog
from analysis.csv_cells import as_csv
from analysis.importers.store import load

Form = Literal["csv", "parquet"]
CALLS: Final = (
    "task", "round", "agent", "k", "attempt", "state", "model", "room", "reserved", "reply", "finish", "failure",
    "tokens_in", "tokens_cached", "tokens_out", "usage_known", "latency_ms",
)  # fmt: skip
"""Columns of the table of calls: those of the journal, but for hashes of requests."""


def to_csv(frame: pl.DataFrame, path: Path | str) -> None:
    """Write any table of the analysis as CSV: lists flattened as by `flat`, nulls empty, no formulas, UTF-8.

    Raises:
        OSError: the file cannot be written.
    """
    Path(path).write_bytes(as_csv(frame))


def tables_of(directory: Path) -> Mapping[str, pl.DataFrame]:
    """Return the tables of a run (events, episodes, tasks, calls) or of an imported log (events, executions), by name.

    Raises:
        InputError: there is neither.
        LogDamagedError: it is not what was written.
    """
    if is_imported(directory):
        table, _ = load(directory)
        return {"events": table.events, "executions": table.executions}
    log = RunLog(directory)
    found = {"events": log.frame(), "tasks": log.tasks(), "calls": _calls(log)}
    episodes = log.episodes()
    return found if episodes is None else {**found, "episodes": episodes}


def _calls(log: RunLog) -> pl.DataFrame:
    texts = {"state", "model", "reply", "finish", "failure"}
    schema = {name: pl.String() if name in texts else pl.Int64() for name in CALLS} | {"usage_known": pl.Boolean()}
    columns: dict[str, list[object]] = {name: [] for name in CALLS}
    if log.manifest.totals.calls or log.manifest.totals.calls_lost:
        for one in log.journal():
            for name, column in columns.items():
                column.append(getattr(one, name))
    return pl.DataFrame(columns, schema=schema)


def write_tables(directory: Path, out: Path, form: Form) -> Iterator[tuple[str, int]]:
    """Write the tables of a run or imported log into the new directory `out`; yield (file name, rows).

    Raises:
        InputError: `out` is there already, or there is nothing to export.
        LogDamagedError: the log is not what was written.
        OSError: a file cannot be written.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError("it exists and is not empty", str(out), "name a new directory with --out")
    tables = tables_of(directory)
    out.mkdir(parents=True, exist_ok=True)
    for name, frame in tables.items():
        path = out / f"{name}.{form}"
        if form == "csv":
            write_whole(path, as_csv(frame))
        else:
            frame.write_parquet(path, compression="zstd")
        yield path.name, frame.height
