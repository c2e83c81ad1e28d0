"""This module says how many independent votes the final votes of a society are worth (Kish's design effect).

Of T tasks with N final votes each, x_t is the share that is right, p its mean and V its variance over tasks:

    deff = N V / (p (1 - p))    rho = (deff - 1) / (N - 1)    N_eff = N / deff = N / (1 + (N - 1) rho)

rho is the correlation of two votes on a task that is drawn like these. It holds all that makes votes alike: copying, a
common model, and tasks that are easy or hard for all. Kish, Survey Sampling (1965), section 8.2; arXiv 2606.02646.

A few tasks on which all err together may carry rho, and a sample may lack them. So the interval reaches as far as with
one such task more, as with the pseudo-observations of Agresti and Coull (The American Statistician 52, 1998).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from scipy import stats

from analysis.interval import FloatArray, IntArray, Interval
from analysis.stats.bootstrap import FEW_UNUSUAL

METHOD: Final = "delta method over tasks"
PSEUDO: Final = 2
"""Tasks with half of the votes right that are added for the interval where hardly any task has split votes."""


@dataclass(frozen=True)
class IndependentVotes:
    """The object holds N_eff of final votes, and what each task adds to the error of rho."""

    n: int
    """Final votes of a task, N."""
    n_tasks: int
    """Tasks with N votes, T."""
    left_out: int
    """Tasks with another number of votes."""
    votes: Interval
    """N_eff."""
    rho: Interval
    tasks: IntArray
    """Numbers of the tasks, shape (n_tasks,)."""
    pull: FloatArray
    """Change of rho for a task's weight (influence function), same shape."""

    def summary(self) -> str:
        """Return one line."""
        rest = f"; {self.left_out:,} tasks with other numbers of votes are left out" if self.left_out else ""
        return f"N_eff of final votes {self.votes} of {self.n}, correlation of two votes {self.rho}{rest}"

    def as_dict(self) -> dict[str, object]:
        """Return plain values for JSON."""
        sizes = {"n": self.n, "n_tasks": self.n_tasks, "left_out": self.left_out}
        return {**sizes, "n_eff": self.votes.as_dict(), "rho": self.rho.as_dict()}


def independent_votes(standing: pl.DataFrame) -> IndependentVotes | str | None:
    """Return N_eff of the final votes of a run, or why there is none; None where no task has two votes.

    Args:
        standing: rows of `analysis.measures.standing.standing_of`.
    """
    known = standing.filter(pl.col("voters") > 1).drop_nulls("right")
    if not known.height:
        return None
    sizes = known["voters"].value_counts(sort=True).sort(["count", "voters"], descending=True)
    n = int(sizes["voters"][0])
    rows = known.filter(pl.col("voters") == n)
    shares = rows["right"].to_numpy() / n
    _, often = np.unique(shares, return_counts=True)
    if shares.size - often.max() < FEW_UNUSUAL:
        return (
            f"N_eff of final votes: fewer than {FEW_UNUSUAL} tasks differ from the others in how many votes are right"
        )
    deff, pull = _design_effect(shares, n)
    reach = float(stats.t.ppf(0.975, shares.size - 1))
    unseen = [[], [0.0 if shares.mean() >= 0.5 else 1.0]]  # what the sample has, and one task that is off for all
    if np.sum((shares > 0) & (shares < 1)) < FEW_UNUSUAL:  # nearly all agree everywhere: the spread tells too little
        unseen.append([0.5] * PSEUDO)
    bounds = [_bounds(*_design_effect(np.append(shares, added), n), reach) for added in unseen]
    low, high = min(one[0] for one in bounds), min(max(one[1] for one in bounds), float(n))
    rho = Interval((deff - 1) / (n - 1), (low - 1) / (n - 1), (high - 1) / (n - 1), method=METHOD)
    votes = Interval(n / deff, n / high, n / low, method=METHOD)
    return IndependentVotes(
        n, shares.size, known.height - shares.size, votes, rho, rows["task"].to_numpy(), deff * pull / (n - 1)
    )


def _design_effect(shares: FloatArray, n: int) -> tuple[float, FloatArray]:
    """Return deff and what each task adds to its logarithm; V and p (1 - p) are without bias."""
    size = shares.size
    p, spread = float(shares.mean()), float(shares.var(ddof=1))
    within = p * (1 - p) + spread / size
    off = shares - p
    return n * spread / within, (off**2 - spread) / spread - (1 - 2 * p) * off / within


def _bounds(deff: float, pull: FloatArray, reach: float) -> tuple[float, float]:
    step = reach * float(pull.std(ddof=1)) / np.sqrt(pull.size)
    return deff * float(np.exp(-step)), deff * float(np.exp(step))
