"""This module audits repetition: how much of what repeats is chance, and how much is the design repeating itself?

`structure_audit` hashes who acted, in which order and on how many parents, per execution, and counts distinct hashes
per design cell (topology, N, seed). `replication` does the same for the values of an observable. Where executions of
a cell only repeat each other, values pooled over them are replicas: the sample size is the number of cells, not of
values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from analysis.observables.sampled import Sample
from analysis.tables import EventTable
from analysis.tails.verdict import SampleDesign

I64 = NDArray[np.int64]

CELL: Final = ("topology", "n_agents", "seed")


@dataclass(frozen=True)
class StructureAudit:
    """The audit counts distinct structures per design cell."""

    cells: pl.DataFrame
    """One row per cell: its keys, executions, complete executions, distinct structures, distinct complete ones."""
    hashes: list[str]
    """Structure of each execution."""

    @property
    def deterministic_cells(self) -> int:
        """Cells with at least two executions, all of the same structure."""
        return self.cells.filter((pl.col("executions") > 1) & (pl.col("structures") == 1)).height

    @property
    def repeated_cells(self) -> int:
        """Cells with at least two executions."""
        return self.cells.filter(pl.col("executions") > 1).height

    def summary(self) -> str:
        """Return one line: how many cells repeat themselves."""
        return (
            f"{self.deterministic_cells} of {self.repeated_cells} design cells with repeats have one structure; "
            f"{len(set(self.hashes))} structures in {len(self.hashes)} executions"
        )


def structure_audit(table: EventTable, keys: Sequence[str] = CELL) -> StructureAudit:
    """Return how many structures the executions of each design cell have.

    Args:
        table: the events.
        keys: columns of `executions` that make a cell.
    """
    agent = table.events["agent"].to_numpy().astype("<i8")
    parents = table.events["parents"].list.len().to_numpy().astype("<i8")
    pairs = np.stack([agent, parents], axis=1)
    starts = table.starts
    hashes = [
        blake2b(pairs[starts[e] : starts[e + 1]].tobytes(), digest_size=8).hexdigest()
        for e in range(table.n_executions)
    ]
    frame = table.executions.with_columns(structure=pl.Series(hashes, dtype=pl.String))
    whole = pl.col("complete").fill_null(value=True)
    cells = frame.group_by(*keys, maintain_order=True).agg(
        pl.len().cast(pl.Int64).alias("executions"),
        whole.sum().cast(pl.Int64).alias("complete"),
        pl.col("structure").n_unique().cast(pl.Int64).alias("structures"),
        pl.col("structure").filter(whole).n_unique().cast(pl.Int64).alias("complete_structures"),
    )
    return StructureAudit(cells.sort(*keys), hashes)


def cells_of(table: EventTable, keys: Sequence[str] = CELL) -> I64:
    """Return the design cell of each execution as a dense number, shape (n_executions,)."""
    return table.executions.select(pl.struct(*keys).rank("dense")).to_series().to_numpy().astype(np.int64) - 1


def replication(sample: Sample, cells: ArrayLike) -> float | None:
    """Return the share of repeated executions that only repeat the values of another execution of their cell.

    1 says that the design fixes the values, 0 that no two executions of a cell agree. None without repeats. Executions
    without a value count as having none, if their cell has some with values.

    Args:
        sample: the observable.
        cells: design cell of each execution, shape (n_executions,).
    """
    cell = np.asarray(cells, dtype=np.int64)
    order = np.lexsort((sample.values, sample.execution))
    values, execution = sample.values[order], sample.execution[order]
    first = np.searchsorted(execution, np.arange(len(cell) + 1))
    seen: dict[int, set[bytes]] = {}
    count: dict[int, int] = {}
    relevant = set(cell[execution].tolist())
    for e, c in enumerate(cell.tolist()):
        if c in relevant:
            seen.setdefault(c, set()).add(values[first[e] : first[e + 1]].tobytes())
            count[c] = count.get(c, 0) + 1
    repeats = sum(count.values()) - len(count)
    distinct = sum(len(found) for found in seen.values()) - len(seen)
    return 1.0 - distinct / repeats if repeats else None


def design_of(sample: Sample, table: EventTable) -> SampleDesign:
    """Return what the design says about `sample`: its caps, and how far repeats of a design repeat its values.

    Repeats are looked for within (topology, N, seed) and, for designs without chance, within (topology, N).
    """
    shares = [replication(sample, cells_of(table, keys)) for keys in (CELL, CELL[:2])]
    known = [share for share in shares if share is not None]
    return SampleDesign(sample.max_is_cap, sample.capped, max(known) if known else None)
