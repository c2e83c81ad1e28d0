"""This module says what deficit-triggered integration would have done to logs: parameters by topology, and a replay.

Three monitors are replayed, none of which changes anything: ``published`` (the published estimator of delta, no
brakes), ``corrected`` (one deficit in estimator and monitor, no brakes) and ``braked`` (corrected, with the brakes of a
live one). See `analysis.claims.dti`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from agentsoc.society.deficit import NO_BRAKES, Brakes
from analysis.claims.cascades import Cascades, ClaimGraph
from analysis.claims.dti import DeficitRule, FittedDeficits, MonitorReplay, cascade_rows, estimate, replay
from analysis.tables import EventTable

MONITORS: Final[dict[str, tuple[DeficitRule, Brakes]]] = {
    "published": ("published", NO_BRAKES),
    "corrected": ("corrected", NO_BRAKES),
    "braked": ("corrected", Brakes()),
}


@dataclass(frozen=True)
class Deficits:
    """The object holds the monitors of one topology: estimates and replays by name of the monitor."""

    estimates: dict[str, FittedDeficits]
    replays: dict[str, MonitorReplay]

    def summary(self) -> str:
        """Return one line: the corrected parameters and what every monitor would have done."""
        done = ", ".join(f"{name} {found.triggers.height}" for name, found in self.replays.items())
        hit = self.replays["corrected"].cascades_hit
        return f"{self.estimates['corrected'].summary()}; triggers: {done} (corrected: in {hit} cascades)"


def deficits(table: EventTable, graph: ClaimGraph, found: Cascades) -> dict[str, Deficits]:
    """Return the monitors of each topology of `table`; topologies without an act of coordination are left out.

    Args:
        table: the events.
        graph: their claim graph, used where the log names no roots.
        found: their cascades, used in the same case.
    """
    rows = cascade_rows(table, graph, found)
    names = table.executions["topology"].fill_null("unknown").to_numpy()
    result = {}
    for name in sorted({str(name) for name in names}):
        own = rows.filter(pl.col("execution").is_in(np.flatnonzero(names == name)))
        if not own.height:
            continue
        estimates = {key: estimate(own, rule=rule) for key, (rule, _) in MONITORS.items()}
        replays = {key: replay(own, estimates[key].parameters, brakes) for key, (_, brakes) in MONITORS.items()}
        result[name] = Deficits(estimates, replays)
    return result
