"""This module measures which way a channel of two answers errs, and how much of a message gets through."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from agentsoc.errors import InputError
from analysis.stats.bootstrap import FEW_UNUSUAL
from analysis.synergy.estimation.fidelity_fit import gamma_interval
from analysis.synergy.estimation.interval import Estimate, from_draws, hull
from analysis.synergy.estimation.resample import TaskIndex, sums_by_task, task_weights
from analysis.synergy.estimation.votes import demand_columns
from analysis.synergy.theory.arrays import FloatArray


@dataclass(frozen=True)
class ChannelErrors:
    """The object holds the error rates of a two-answer channel in both directions, and the fidelity they leave [X].

    They differ where assumption A3 in docs/phase-theory.md fails.
    """

    e1: float
    """Rate at which a right message leads to a wrong outcome, P(wrong out | right sent)."""
    e2: float
    """Rate at which a wrong message leads to a right outcome, P(right out | wrong sent)."""
    gamma: Estimate
    """1 - e1 - e2: how much the outcome follows the message, whatever the reader leans to."""
    se_difference: float
    """Standard error of e1 - e2, by task bootstrap; where hardly a task errs, or hardly one does not, no smaller than
    that of one trial a task, with one error and one right reading more."""

    @property
    def z(self) -> float:
        """(e1 - e2) in its standard errors."""
        return (self.e1 - self.e2) / self.se_difference if self.se_difference > 0 else 0.0


def channel_errors(trips: pl.DataFrame, *, n_draws: int = 400, seed: int = 0) -> ChannelErrors:
    """Return the error rates from a table with columns task, m (one length), sent_correct, read_correct (0 or 1) [X].

    Causal where the sent answer was planted at random; where it was an agent's own, tasks that are easy for both make
    the reader seem to listen. Where fewer than `FEW_UNUSUAL` tasks have an error, or none, the interval of gamma holds
    Wilson's of one trial a task as well.
    """
    demand_columns(trips, ("task", "m", "sent_correct", "read_correct"), "round trips")
    table = trips.drop_nulls(["sent_correct", "read_correct"])
    if table["m"].n_unique() > 1:
        raise InputError("error rates belong to one message length", "", "filter the table to one m")
    names = table["task"].to_list()
    index = TaskIndex([names])
    sent = table["sent_correct"].to_numpy().astype(np.float64)
    out = table["read_correct"].to_numpy().astype(np.float64)
    cell = (2 * (sent > 0.5) + (out > 0.5)).astype(np.intp)
    cells = sums_by_task(len(index), index.codes(names), cell, 4, np.ones(sent.size))
    total = cells.sum(axis=0)
    if total[0] + total[1] == 0 or total[2] + total[3] == 0:
        raise InputError(
            "both right and wrong messages are needed to see how the reader errs", "", "plant random messages"
        )
    weights = task_weights(n_draws, np.zeros(len(index), dtype=np.int64), seed=seed)
    drawn = weights @ cells

    def rates(c: FloatArray) -> tuple[FloatArray, FloatArray]:
        wrong, right = c[..., 0] + c[..., 1], c[..., 2] + c[..., 3]
        e1 = np.divide(c[..., 2], right, out=np.full(right.shape, np.nan), where=right > 0)
        return e1, np.divide(c[..., 1], wrong, out=np.full(wrong.shape, np.nan), where=wrong > 0)

    e1, e2 = rates(total)
    d1, d2 = rates(drawn)
    gamma = from_draws(float(1 - e1 - e2), 1 - d1 - d2)
    se = float(np.nanstd(d1 - d2, ddof=1))
    erring = int(np.sum(cells[:, 1] + cells[:, 2] > 0))
    if min(erring, len(index) - erring) < FEW_UNUSUAL:  # resamples of tasks that are nearly alike tell too little
        share = float(np.clip((1 + gamma.value) / 2, 0.0, 1.0))
        gamma = hull(gamma, gamma_interval(share * len(index), len(index), 0.5))
        tasks = [float(np.sum(cells[:, one] + cells[:, one + 1] > 0)) for one in (2, 0)]  # with right, wrong messages
        near = [(float(e) * n + 1) / (n + 2) for e, n in zip((e1, e2), tasks, strict=True)]
        se = max(se, float(np.sqrt(sum(p * (1 - p) / n for p, n in zip(near, tasks, strict=True)))))
    return ChannelErrors(float(e1), float(e2), gamma, se)
