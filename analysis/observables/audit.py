"""This module audits repetition: how much of what repeats is chance, and how much is the design repeating itself?

`structure_audit` hashes who acted, in which order and on how many parents, per execution, and counts distinct hashes
per design cell (topology, N, seed). `replication` asks whether two executions of a cell have the same values of an
observable, and how often two of different cells do by chance. Where executions of a cell only repeat each other, values
pooled over them are replicas: the sample size is the number of cells, not of values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from analysis.observables.sampled import Sample
from analysis.tables import EventTable, Executions
from analysis.tails.verdict import DesignRepeats, SampleDesign

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
        repeat = f"{self.deterministic_cells} of {self.repeated_cells} design cells with repeats have one structure"
        found = f"{len(set(self.hashes))} structures in {len(self.hashes)} executions"
        return f"{repeat} (who acts, in which order, on how many claims); {found}"


def structure_audit(
    table: Executions, keys: Sequence[str] = CELL, *, hashes: list[str] | None = None
) -> StructureAudit:
    """Return how many structures the executions of each design cell have.

    Args:
        table: the events.
        keys: columns of `executions` that make a cell.
        hashes: structure of each execution, where it is known already.
    """
    hashes = structure_hashes(table) if hashes is None else hashes
    frame = _designs(table).with_columns(structure=pl.Series(hashes, dtype=pl.String))
    whole = pl.col("complete").fill_null(value=True)
    cells = frame.group_by(*keys, maintain_order=True).agg(
        pl.len().cast(pl.Int64).alias("executions"),
        whole.sum().cast(pl.Int64).alias("complete"),
        pl.col("structure").n_unique().cast(pl.Int64).alias("structures"),
        pl.col("structure").filter(whole).n_unique().cast(pl.Int64).alias("complete_structures"),
    )
    return StructureAudit(cells.sort(*keys), hashes)


def structure_hashes(table: Executions) -> list[str]:
    """Return the structure of each execution as a hash: who acted, in which order and on how many parents."""
    return [found for _, part in table.parts() for found in _hashes(part)]


def _hashes(table: EventTable) -> list[str]:
    agent = table.events["agent"].to_numpy().astype("<i8")
    parents = table.events["parents"].list.len().to_numpy().astype("<i8")
    pairs = np.stack([agent, parents], axis=1)
    starts = table.starts
    return [
        blake2b(pairs[starts[e] : starts[e + 1]].tobytes(), digest_size=8).hexdigest()
        for e in range(table.n_executions)
    ]


def cells_of(table: Executions, keys: Sequence[str] = CELL) -> I64:
    """Return the design cell of each execution as a dense number, shape (n_executions,)."""
    return _designs(table).select(pl.struct(*keys).rank("dense")).to_series().to_numpy().astype(np.int64) - 1


def _designs(table: Executions) -> pl.DataFrame:
    """Return the executions, N left out where it counts the agents that acted: an outcome is no part of a design."""
    seen = pl.Series("n_is_seen", table.n_is_seen)
    return table.executions.with_columns(n_agents=pl.when(seen).then(None).otherwise(pl.col("n_agents")))


@dataclass(frozen=True)
class PairAgreement:
    """The object says how often two executions are the same."""

    within: float
    """Share of the pairs of executions of one design that are the same; designs weigh as their executions."""
    between: float
    """The same for pairs of executions of different designs, which is chance; nan with one design."""
    repeats: int
    """Executions beyond the first of their design."""
    covered: float
    """Share of the executions whose design is repeated."""


def agreement(signatures: Sequence[bytes | str], cells: ArrayLike) -> PairAgreement | None:
    """Return how often executions of a design, and of different designs, are the same; None where none is repeated.

    A share of distinct values would not do: among many draws from any few whole numbers nearly all repeat one.

    Args:
        signatures: what is compared, one for each execution.
        cells: design of each execution, shape (n_executions,).
    """
    cell = np.asarray(cells, dtype=np.int64)
    _, code = np.unique(np.asarray(signatures, dtype=object).astype(str), return_inverse=True)
    n = np.bincount(np.unique(cell, return_inverse=True)[1]).astype(np.float64)
    pairs = np.unique(np.column_stack([np.unique(cell, return_inverse=True)[1], code]), axis=0, return_counts=True)
    same = np.bincount(pairs[0][:, 0], weights=pairs[1] * (pairs[1] - 1.0), minlength=len(n))
    again = n > 1
    if not again.any():
        return None
    within = float(np.sum(same[again] / (n[again] - 1)) / n[again].sum())
    everything = np.bincount(code).astype(np.float64)
    apart = n.sum() * (n.sum() - 1) - float(n @ (n - 1))
    alike = float(everything @ (everything - 1)) - float(same.sum())
    between = alike / apart if apart else math.nan
    return PairAgreement(within, between, int((n[again] - 1).sum()), float(n[again].sum() / n.sum()))


def replication(
    sample: Sample, table: Executions, keys: Sequence[str] = CELL, *, hashes: list[str] | None = None
) -> DesignRepeats | None:
    """Return how far repeats of a design repeat the values of `sample`, and the schedule; None without repeats.

    Executions that are known to be cut are no repeats, unless all are cut. One without a value counts as having none,
    if its cell has some with values.
    """
    cell = cells_of(table, keys)
    whole = table.executions["complete"].fill_null(value=True).to_numpy().astype(bool)
    counted = np.flatnonzero((whole if whole.any() else True) & np.isin(cell, cell[sample.execution]))
    order = np.lexsort((sample.values, sample.execution))
    values, execution = sample.values[order], sample.execution[order]
    first = np.searchsorted(execution, np.arange(len(cell) + 1))
    if sample.count is not None:
        values = np.column_stack([values, sample.count[order].astype(np.float64)])
    found = agreement([_digest(values[first[e] : first[e + 1]]) for e in counted], cell[counted])
    if found is None:
        return None
    schedules = structure_hashes(table) if hashes is None else hashes
    schedule = agreement([schedules[e] for e in counted], cell[counted])
    assert schedule is not None
    return DesignRepeats(found.within, found.between, schedule.within, found.repeats, found.covered)


def _digest(values: NDArray[np.float64]) -> str:
    return blake2b(values.tobytes(), digest_size=8).hexdigest()


def design_of(sample: Sample, table: Executions, *, hashes: list[str] | None = None) -> SampleDesign:
    """Return what the design says about `sample`: its caps, and how far repeats of a design repeat its values.

    Repeats share topology, N and seed; other seeds are no repeats. Only where no design is repeated under its seed are
    executions compared within (topology, N): what is the same whatever the seed is no chance either.
    """
    found = replication(sample, table, hashes=hashes)
    if found is None:
        across = replication(sample, table, CELL[:2], hashes=hashes)
        found = across if across is not None and across.by_design else None
    return SampleDesign(sample.max_is_cap, sample.capped, found)
