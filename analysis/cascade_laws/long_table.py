"""This module holds logs that are larger than memory: their executions, and a way to read their events in parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import polars as pl

from analysis.tables import EventTable, Executions


@dataclass(frozen=True)
class LongTable(Executions):
    """Executions with events that are read again, part by part, whenever something is asked of them."""

    executions: pl.DataFrame
    """A row for each society on one task, as in `EventTable`."""
    read: Callable[[], Iterator[EventTable]]
    """Reads the events as tables of whole executions, which together are all of `executions`, in order."""
    caveats: tuple[str, ...] = ()
    """What a reader must know of the logs as a whole; `where` leaves them out, because they may not hold for a part."""

    @property
    def n_events(self) -> int:
        """Number of events."""
        return int(self.executions["n_events"].sum())

    def parts(self) -> Iterator[tuple[int, EventTable]]:
        """Read the events; see `Executions.parts`."""
        first = 0
        for part in self.read():
            yield first, part
            first += part.n_executions

    def where(self, condition: pl.Expr) -> LongTable:
        """Return the table of those executions for which `condition`, on columns of `executions`, holds."""
        kept = self.executions.filter(condition)

        def read() -> Iterator[EventTable]:
            for part in self.read():
                some = part.executions.filter(condition).height
                if some:
                    yield part if some == part.n_executions else part.where(condition)

        return LongTable(kept.with_columns(execution=pl.int_range(pl.len(), dtype=pl.Int64)), read)
