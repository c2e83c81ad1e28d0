"""This module reads a log in pieces that fit into memory: tables of whole tasks, in order, however segments are cut.

What is measured task by task is measured block by block: a run of millions of events needs no more room than its
largest block, and one of a thousand small segments is not read in a thousand steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import polars as pl
import pyarrow as pa

from agentsoc.errors import LogDamagedError
from agentsoc.log.read import RunLog
from agentsoc.log.schema import SCHEMA

BLOCK_ROWS: Final = 1 << 18
"""Events after which a block is closed: it has these, less its last task, and what their segment has (events)."""


def blocks(log: RunLog, *, rows: int | None = None, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Yield the events of a run, segments checked, as tables of whole tasks; tasks that follow each other stay whole.

    Args:
        log: the run.
        rows: events that are read before a block is given out; None for `BLOCK_ROWS`.
        columns: what to read, `task` among it; None for everything.

    Raises:
        LogDamagedError: a segment is not what was written, or the tasks are not in order.
    """
    rows = BLOCK_ROWS if rows is None else rows
    waiting: list[pa.Table] = []
    n = 0
    for table in log.tables(columns):
        waiting.append(table)
        n += table.num_rows
        if n < rows:
            continue
        joined = pa.concat_tables(waiting)
        task = joined.column("task").to_numpy()
        if (np.diff(task) < 0).any():
            raise LogDamagedError("the events are not in the order of their tasks", str(log.directory))
        cut = int(np.searchsorted(task, task[-1]))  # the last task may go on in the next segment
        if cut:
            yield joined.slice(0, cut)
            waiting = [joined.slice(cut)]
            n -= cut
    if n:
        yield pa.concat_tables(waiting)


def frame_of(block: pa.Table, columns: Sequence[str] = SCHEMA.names) -> pl.DataFrame:
    """Return columns of a block as a polars frame; words are text, as in `RunLog.frame`."""
    plain = block.select(list(columns))
    for place, field in enumerate(plain.schema):
        if pa.types.is_dictionary(field.type):  # not as categories: polars keeps those for as long as the process lives
            plain = plain.set_column(place, field.name, plain.column(place).cast(pa.large_string()))
    frame = pl.from_arrow(plain)
    assert isinstance(frame, pl.DataFrame)
    return frame.rechunk()
