"""This module makes a series of what a society does in each round, out of its log, to be watched for slowing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal

import numpy as np
import polars as pl

from agentsoc.errors import InputError
from agentsoc.events import COORDINATION
from analysis.interval import FloatArray
from analysis.slowing.monitor import SURROGATES_LEAST, EarlyWarning, watch_series
from analysis.tables import EventTable

Quantity = Literal["right", "agreement", "disputes", "acts"]

_SAID: Final = pl.col("answer").is_not_null()
_MEASURES: Final[Mapping[Quantity, Callable[[], pl.Expr]]] = {
    "right": lambda: pl.col("correct").filter(_SAID).mean(),
    "agreement": lambda: pl.col("answer").filter(_SAID).unique_counts().max() / pl.col("answer").filter(_SAID).len(),
    "disputes": lambda: (pl.col("kind") == "contradict_claim").mean(),
    "acts": lambda: pl.len().cast(pl.Float64),
}
"""What is measured of the acts of a round: the share of its answers that are right, the share that the commonest answer
has, the share of the acts that dispute, and the number of acts."""


def round_series(table: EventTable, quantity: Quantity) -> dict[int, FloatArray]:
    """Return a quantity in each round of each execution.

    Args:
        table: the events, as `analysis.read_tables` gives them.
        quantity: `right`, the share of the answers given in the round that are right; `agreement`, the share that the
            commonest of them has; `disputes`, the share of acts that contradict; `acts`, their number. Acts are those
            of coordination.

    Returns:
        By execution, one value a round, shape (rounds,). Rounds in which there is nothing to measure are left out.

    Raises:
        InputError: the quantity is unknown.
    """
    if quantity not in _MEASURES:
        raise InputError(f"there is no quantity {quantity!r}", "quantity", f"use {', '.join(_MEASURES)}")
    acts = table.events.filter(pl.col("kind").is_in(list(COORDINATION)))
    rounds = (
        acts.group_by("execution", "round").agg(value=_MEASURES[quantity]()).drop_nulls().sort("execution", "round")
    )
    return {
        int(part["execution"][0]): part["value"].cast(pl.Float64).to_numpy().astype(np.float64)
        for part in rounds.partition_by("execution", maintain_order=True)
    }


def watch_rounds(
    table: EventTable,
    quantity: Quantity = "agreement",
    *,
    execution: int = 0,
    window: int | None = None,
    bandwidth: float | None = None,
    surrogates: int = SURROGATES_LEAST,
    seed: int = 0,
) -> EarlyWarning:
    """Return the signs of slowing along the rounds of one society on one task.

    Args:
        table: the events, as `analysis.read_tables` gives them.
        quantity: what is watched, as for `round_series`.
        execution: which society and task, by its number in the table.
        window: rounds of a window; None for half of them.
        bandwidth: kernel of the trend (rounds); None for a tenth of them, 0 for no trend.
        surrogates: of each kind, 500 or more.
        seed: seed of the surrogates.

    Raises:
        InputError: the execution is not in the table or has too few rounds, or as for `watch_series`.
    """
    found = round_series(table, quantity)
    if execution not in found:
        what = f"execution {execution} has no round in which {quantity} can be measured"
        raise InputError(what, "execution", f"the table has {table.n_executions} executions, from 0")
    name = f"{quantity} by round"
    return watch_series(
        found[execution], window=window, bandwidth=bandwidth, surrogates=surrogates, name=name, seed=seed
    )
