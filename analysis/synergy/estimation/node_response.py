"""This module estimates gamma and rho from merges: how often a node is right, given the votes that were sent to it [X].

For logs that hold what was sent to a node but not what it read.

A log holds the siblings' sent votes and the merged answer, not the readings in between. Given r right ones among b
sent votes, a node that reads through a channel of fidelity gamma and is locked with probability rho answers right
with probability

    after the channel:   rho (1 + gamma v) / 2       + (1 - rho) M(r, b; gamma)
    before the channel:  rho (1 + v f_b(gamma)) / 2  + (1 - rho) M(r, b; gamma)

where v is the vote that a locked node copies (that of the first child, or any child's: then its mean) and M the
probability that the majority of b noisy readings is right. Relays, nodes with one child, tell gamma alone. Together
they form one binomial likelihood in (gamma, rho). Two answers only: with more, wrong votes can differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import polars as pl
from numpy.polynomial import chebyshev
from scipy import stats

from agentsoc.errors import InputError
from analysis.stats.bootstrap import FEW_UNUSUAL
from analysis.synergy.estimation.binomial_fit import (
    BinomialFits,
    Law,
    ParameterBounds,
    deviance_p,
    fit_binomial,
    profile_interval,
)
from analysis.synergy.estimation.interval import NORMAL, Estimate, from_draws, hull
from analysis.synergy.estimation.resample import TaskIndex, sums_by_task, task_weights
from analysis.synergy.estimation.votes import demand_columns
from analysis.synergy.theory.arrays import FloatArray, IntArray
from analysis.synergy.theory.maps import majority_map
from analysis.synergy.theory.recursion import Lock

Copied = Literal["first", "any"]
"""Whose vote a locked node repeats: the first child's (simulated voters), or that of a child that is not known."""

_BOX: Final = ParameterBounds.of((-1.0, 1.0), (0.0, 1.0))
_FLAT: Final = 1.5  # times the width of the bootstrap's interval: a likelihood so much flatter tells that it is one
_STARTS: Final = (np.array([0.8, 0.1]), np.array([0.4, 0.4]), np.array([0.95, 0.6]))


@dataclass(frozen=True)
class ResponseCounts:
    """The object counts merges by task and by what was sent; relays are merges with b = 1."""

    b: IntArray
    """Number of children, shape (n_cells,)."""
    right: IntArray
    """Number of right votes among those sent, same shape."""
    first: IntArray
    """Whether the first child's vote was right, same shape."""
    n: FloatArray
    """Number of merges, shape (n_tasks, n_cells)."""
    k: FloatArray
    """Number of merges with a right outcome, same shape."""


@dataclass(frozen=True)
class ResponseFit:
    """The fit gives fidelity and correlation of the votes that nodes received."""

    gamma: Estimate | None
    rho: Estimate | None
    lock: Lock
    copied: Copied
    loglik: float
    misfit_p: float
    """Probability of a worse misfit under the lock model; NaN where cells do not outnumber parameters."""
    n_merges: int
    n_tasks: int
    refusals: tuple[str, ...]

    def summary(self) -> str:
        """Return the fit as text."""
        lines = [f"node response: {self.n_merges} merges on {self.n_tasks} tasks, lock {self.lock.replace('_', ' ')}"]
        lines += [
            f"{name} = {value}" for name, value in (("gamma", self.gamma), ("rho", self.rho)) if value is not None
        ]
        return "\n".join([*lines, *(f"refused: {reason}" for reason in self.refusals)])


def count_responses(merges: pl.DataFrame, index: TaskIndex | None = None) -> ResponseCounts:
    """Return the counts of a table with columns task, b, right, first (0 or 1), out (0 or 1) and k = 2."""
    demand_columns(merges, ("task", "b", "right", "first", "out", "k"), "merges")
    if (merges["k"] != 2).any():
        raise InputError("the response of nodes is fitted for two answers only", "", "use round trips and replicates")
    cells = merges.select("b", "right", "first").unique().sort("b", "right", "first").with_row_index("cell")
    joined = merges.join(cells, on=["b", "right", "first"], how="left", maintain_order="left")
    names = joined["task"].to_list()
    index = index or TaskIndex([names])
    task, cell = index.codes(names), joined["cell"].to_numpy().astype(np.intp)
    out = joined["out"].to_numpy().astype(np.float64)
    b, right, first = (cells[name].to_numpy().astype(np.int64) for name in ("b", "right", "first"))
    n = sums_by_task(len(index), task, cell, cells.height, np.ones(out.size))
    return ResponseCounts(b, right, first, n, sums_by_task(len(index), task, cell, cells.height, out))


def fit_response(
    merges: pl.DataFrame,
    *,
    lock: Lock = "after_channel",
    copied: Copied = "first",
    n_draws: int = 300,
    seed: int = 0,
) -> ResponseFit:
    """Return gamma and rho from merges (and relays, rows with b = 1) by maximum likelihood.

    Intervals by profile likelihood, by task bootstrap where a task has several merges. A bootstrap cannot tell what its
    tasks do not show: where fewer than `FEW_UNUSUAL` tasks have an outcome that a perfect reader would not give (or one
    that it would), the interval holds that of one merge a task as well, and where the likelihood is much flatter than
    the resamples say, that of the likelihood. So they are wide where a deaf channel, or votes that are all equal, hide
    rho. rho is refused without merges of at least three children.

    Args:
        merges: columns task, b, right, first, out, k; see `votes.merge_table`.
        lock: place of the shared draw.
        copied: whose vote a locked node repeats. With ``any``, merges of three tell gamma and rho apart only weakly:
            add relays, which fix gamma.
        n_draws: bootstrap samples.
        seed: root of the bootstrap's randomness.
    """
    counts = count_responses(merges)
    total_n, total_k = counts.n.sum(axis=0)[None], counts.k.sum(axis=0)[None]
    law = response_law(counts, lock, copied)
    fits = fit_binomial(law, total_n, total_k, _STARTS, _BOX)
    if np.any(counts.n.sum(axis=1) > 1):
        weights = task_weights(n_draws, np.zeros(counts.n.shape[0], dtype=np.int64), seed=seed)
        drawn = response_draws(counts, weights, lock, copied, fits)
        gamma, rho = (_resampled(law, counts, fits, drawn, j) for j in (0, 1))
    else:
        gamma, rho = (_profile(law, total_n, total_k, fits, j) for j in (0, 1))
    refusals = []
    if not np.any(counts.b >= 3):
        refusals.append("no node merged three votes or more: rho is not identified")
    return ResponseFit(
        gamma=gamma,
        rho=None if refusals else rho,
        lock=lock,
        copied=copied,
        loglik=float(fits.loglik[0]),
        misfit_p=float(deviance_p(law, total_n, total_k, fits)[0]),
        n_merges=int(total_n.sum()),
        n_tasks=counts.n.shape[0],
        refusals=tuple(refusals),
    )


def response_law(counts: ResponseCounts, lock: Lock, copied: Copied) -> Law:
    """Return the probability of a right outcome of each cell as a law in (gamma, rho)."""
    vote = 2.0 * counts.first - 1 if copied == "first" else 2.0 * counts.right / counts.b - 1
    alone = counts.b == 1
    # P(majority right) is a polynomial in gamma of degree b: interpolated once, then cheap for any number of rows.
    free = np.zeros((int(counts.b.max()) + 1, counts.b.size))
    for cell, (b, right) in enumerate(zip(counts.b.tolist(), counts.right.tolist(), strict=True)):
        nodes = chebyshev.chebpts1(b + 1)
        free[: b + 1, cell] = chebyshev.chebfit(nodes, _majority_right(nodes, b, right), b)

    def law(theta: FloatArray) -> FloatArray:
        gamma, rho = theta[:, :1], theta[:, 1:]
        if lock == "before_channel":
            heard = majority_map(np.clip(gamma, -1, 1), counts.b[None, :])
        else:
            heard = gamma * np.ones(counts.b.size)
        shared = np.where(alone, 0.0, rho)
        apart = chebyshev.chebval(theta[:, 0], free).T
        return np.asarray(shared * (1 + heard * vote) / 2 + (1 - shared) * apart, dtype=np.float64)

    return law


def response_draws(
    counts: ResponseCounts, weights: FloatArray, lock: Lock, copied: Copied, fits: BinomialFits | None = None
) -> FloatArray:
    """Return (gamma, rho) of each resample, shape (n_draws, 2)."""
    starts = _STARTS if fits is None else (fits.theta,)
    law = response_law(counts, lock, copied)
    return fit_binomial(law, weights @ counts.n, weights @ counts.k, starts, _BOX).theta


def _majority_right(gamma: FloatArray, b: int, right: int) -> FloatArray:
    """Return P(majority of b readings is right | `right` of the sent votes are right), a tie being a fair coin."""
    kept = (1 + gamma[:, None]) / 2
    from_right = np.asarray(stats.binom.pmf(np.arange(right + 1), right, kept))
    from_wrong = np.asarray(stats.binom.pmf(np.arange(b - right + 1), b - right, 1 - kept))
    read = np.arange(right + 1)[:, None] + np.arange(b - right + 1)
    share = np.where(2 * read > b, 1.0, np.where(2 * read == b, 0.5, 0.0))
    return np.asarray(np.einsum("gi,ij,gj->g", from_right, share, from_wrong), dtype=np.float64)


def _profile(law: Law, n: FloatArray, k: FloatArray, fits: BinomialFits, which: int) -> Estimate:
    low, high = profile_interval(law, n, k, fits, which, _BOX)
    se = float(fits.se[0, which])
    return Estimate(float(fits.theta[0, which]), float(low[0]), float(high[0]), method="profile", se=se)


def _resampled(law: Law, counts: ResponseCounts, fits: BinomialFits, drawn: FloatArray, which: int) -> Estimate:
    """Return a parameter with the interval of its draws, and of what they cannot tell."""
    found = from_draws(float(fits.theta[0, which]), drawn[:, which])
    if 2 * NORMAL * float(fits.se[0, which]) > _FLAT * found.width:  # the profile takes longer than all resamples
        found = hull(found, _profile(law, counts.n.sum(axis=0)[None], counts.k.sum(axis=0)[None], fits, which))
    expected = np.sign(2 * counts.right - counts.b)  # of a perfect reader: right, wrong, or a coin's
    as_expected = np.where(expected > 0, counts.k, np.where(expected < 0, counts.n - counts.k, 0)).sum(axis=1)
    clear = np.where(expected != 0, counts.n, 0).sum(axis=1)
    if min(np.sum(as_expected < clear), np.sum(as_expected > 0)) < FEW_UNUSUAL:
        found = hull(found, _by_task(law, counts, which))
    return found


def _by_task(law: Law, counts: ResponseCounts, which: int) -> Estimate:
    """Return a parameter by a likelihood that counts each task as one merge, so that merges of a task tell no more."""
    merges = counts.n.sum(axis=1, keepdims=True)
    each = np.divide(1.0, merges, out=np.zeros_like(merges), where=merges > 0)
    n, k = (each * counts.n).sum(axis=0)[None], (each * counts.k).sum(axis=0)[None]
    return _profile(law, n, k, fit_binomial(law, n, k, _STARTS, _BOX), which)
