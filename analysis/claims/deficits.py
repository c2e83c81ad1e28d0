"""This module says what deficit-triggered integration would have done to logs: parameters by topology, and a replay.

Three monitors are replayed, none of which changes anything: ``published`` (the published estimator of delta, no
brakes), ``corrected`` (one deficit in estimator and monitor, no brakes) and ``braked`` (corrected, with the brakes of a
live one). See `analysis.claims.dti`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from agentsoc.society.deficit import NO_BRAKES, Brakes
from analysis.claims.cascades import Cascades, ClaimGraph
from analysis.claims.dti import (
    DeficitPoints,
    DeficitRule,
    FittedDeficits,
    cascade_rows,
    estimate_from,
    points_of,
    replay,
)
from analysis.tables import EventTable

MONITORS: Final[dict[str, tuple[DeficitRule, Brakes]]] = {
    "published": ("published", NO_BRAKES),
    "corrected": ("corrected", NO_BRAKES),
    "braked": ("corrected", Brakes()),
}


@dataclass(frozen=True)
class Replayed:
    """The object counts what a monitor would have done on logs; two of them add up."""

    triggers: int = 0
    cascades_hit: int = 0
    """Cascades with at least one trigger."""
    events: int = 0
    """Acts of coordination that were watched."""

    def __add__(self, other: Replayed) -> Replayed:
        """Return the counts over both logs."""
        return Replayed(
            self.triggers + other.triggers, self.cascades_hit + other.cascades_hit, self.events + other.events
        )


@dataclass(frozen=True)
class Deficits:
    """The object holds the monitors of one topology: estimates and replays by name of the monitor."""

    estimates: dict[str, FittedDeficits]
    replays: dict[str, Replayed]

    def summary(self) -> str:
        """Return one line: the corrected parameters and what every monitor would have done."""
        done = ", ".join(f"{name} {found.triggers}" for name, found in self.replays.items())
        hit = self.replays["corrected"].cascades_hit
        return f"{self.estimates['corrected'].summary()}; triggers: {done} (corrected: in {hit} cascades)"


Source = tuple[EventTable, ClaimGraph, Cascades]
"""Events with their claim graph and cascades, which are used where the log names no roots."""


def deficits(table: EventTable, graph: ClaimGraph, found: Cascades) -> dict[str, Deficits]:
    """Return the monitors of each topology of `table`; topologies without an act of coordination are left out."""
    points: dict[str, list[DeficitPoints]] = {}
    add_points(points, (table, graph, found))
    return replayed(points, [(table, graph, found)])


def add_points(points: dict[str, list[DeficitPoints]], source: Source) -> None:
    """Add to the points of each topology those of `source`."""
    for name, rows in _by_topology(source):
        points.setdefault(name, []).append(points_of(rows))


def replayed(points: Mapping[str, Sequence[DeficitPoints]], sources: Iterable[Source]) -> dict[str, Deficits]:
    """Return the monitors with parameters from `points`, replayed on all `sources`, which gave these points."""
    names = sorted(points)
    estimates = {
        name: {key: estimate_from(points[name], rule=rule) for key, (rule, _) in MONITORS.items()} for name in names
    }
    done = {name: dict.fromkeys(MONITORS, Replayed()) for name in names}
    for source in sources:
        for name, rows in _by_topology(source):
            for key, (_, brakes) in MONITORS.items():
                found = replay(rows, estimates[name][key].parameters, brakes)
                done[name][key] += Replayed(found.triggers.height, found.cascades_hit, found.events)
    return {name: Deficits(estimates[name], done[name]) for name in names}


def _by_topology(source: Source) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield the acts of coordination of each topology that has any."""
    table = source[0]
    rows = cascade_rows(*source)
    names = table.executions["topology"].fill_null("unknown").to_numpy()
    for name in sorted({str(name) for name in names}):
        own = rows.filter(pl.col("execution").is_in(np.flatnonzero(names == name)))
        if own.height:
            yield name, own
