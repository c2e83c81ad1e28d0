"""This module fits the tail of an observable and takes its dependence and its design into account.

Values of one execution depend on each other, and executions of one design cell (topology, N, seed) may be replicas. So
the evidence is weighed at three levels: values, executions, cells; the verdict rests on the coarsest.
"""

from __future__ import annotations

from analysis.observables.audit import CELL, cells_of, design_of
from analysis.observables.base import Sample
from analysis.tables import EventTable
from analysis.tails.fit import NO_RESAMPLING, Resampling, TailFit, fit_tail


def fit_observable(
    sample: Sample,
    table: EventTable,
    *,
    discrete: bool = True,
    resampling: Resampling = NO_RESAMPLING,
) -> TailFit:
    """Return the examination of the tail of `sample`, which came from `table`.

    Args:
        sample: an observable of `table`.
        table: the events, for the design cells of the executions.
        discrete: whether the observable counts; tokens do.
        resampling: replicates of the goodness-of-fit test and of the bootstraps.
    """
    cells = cells_of(table, CELL)[sample.execution]
    return fit_tail(
        sample.values,
        name=sample.name,
        unit=sample.unit,
        discrete=discrete,
        clusters={"execution": sample.execution, "design cell": cells},
        resampling=resampling,
        design=design_of(sample, table),
    )
