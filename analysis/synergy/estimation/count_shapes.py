"""This module tests which form shared errors have, the lock or the beta-binomial law, and measures a node's slope [X].

It asks after assumption A4 in docs/phase-theory.md.

Pairwise rho does not fix what a majority makes of correlated votes: the lock, the model of the theory, is the
optimistic end. Two checks: the likelihood of the vote counts under both laws (they differ at counts 0 and n), and the
majority of random b-subsets of the votes of larger groups, which estimates the map of a node as it is.

Difficulty looks like correlation. With replicates the mixture of signals is fitted along; without, the test is
confounded and says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from scipy import optimize, special, stats

from agentsoc.errors import InputError
from analysis.synergy.estimation.difficulty import (
    CountShape,
    VoteCounts,
    count_votes,
    log_count_law,
    mixture_weights,
    task_loglik,
)
from analysis.synergy.estimation.interval import Estimate, from_draws
from analysis.synergy.estimation.resample import TaskIndex, sums_by_task, task_weights
from analysis.synergy.estimation.sibling_correlation import estimate_rho
from analysis.synergy.theory.arrays import FloatArray, IntArray
from analysis.synergy.theory.recursion import alpha, organization_exponent
from analysis.synergy.theory.shapes import correlated_majority_map

DECISIVE: Final = 9.2
"""Difference of AIC from which one law is preferred: a likelihood ratio of 100.

Data of one law favour another that much in at most one of 100 samples where both are known (Royall, Statistical
Evidence, 1997, section 1.4), which is what a regime and a stated P of .9 can bear. With 4 it may be one of 7.
"""
_LEAST_IN_CELL: Final = 10.0
_LEAST_TASKS: Final = 40
_GRID: Final = 31
_RHO_MAX: Final = 0.95


@dataclass(frozen=True)
class ShapeFit:
    """The object holds one law fitted to the counts."""

    shape: CountShape
    rho: float
    loglik: float
    mus: FloatArray
    weights: FloatArray
    """Mixture of task signals that was fitted along; one signal where tasks were taken as equal."""
    misfit: float = float("nan")
    """p of the counts under this law, see `_misfit`; NaN where there are too few."""


@dataclass(frozen=True)
class ShapeTest:
    """The test compares lock and beta-binomial law, and gives the exponent under each."""

    lock: ShapeFit
    beta_binomial: ShapeFit
    aic_difference: float
    """AIC of the beta-binomial law minus that of the lock; positive speaks for the lock."""
    preferred: CountShape | None
    """The better law where the difference is at least `DECISIVE`; None where the data cannot tell."""
    conditioned: bool
    """Whether task difficulty was fitted along; if not, difficulty passes for correlation."""
    n_groups: int
    n_tasks: int

    @property
    def misfit(self) -> float | None:
        """P value of the counts under the better law, or under the one that fits better where none is preferred.

        None where there are too few counts, or difficulty was not fitted along.
        """
        fits = [one for one in (self.lock, self.beta_binomial) if self.preferred in (None, one.shape)]
        known = [one.misfit for one in fits if np.isfinite(one.misfit)]
        return max(known) if known and self.conditioned else None

    def alphas(self, b: int, gamma: float) -> dict[CountShape, float]:
        """Return alpha under both laws, each with its own rho."""
        return {fit.shape: float(alpha(b, gamma, fit.rho, shape=fit.shape)) for fit in (self.lock, self.beta_binomial)}

    def exponents(self, b: int, gamma: float) -> dict[CountShape, float]:
        """Return s under both laws, each with its own rho."""
        fits = (self.lock, self.beta_binomial)
        return {fit.shape: float(organization_exponent(b, gamma, fit.rho, shape=fit.shape)) for fit in fits}

    def summary(self) -> str:
        """Return the verdict as text."""
        verdict = {
            "lock": "the lock describes the counts better",
            "beta_binomial": "the beta-binomial law describes the counts better; the lock would promise too much",
            None: "the data cannot tell the laws apart",
        }[self.preferred]
        text = (
            f"shape of correlation ({self.n_groups} groups, {self.n_tasks} tasks): AIC difference "
            f"{self.aic_difference:.3g}, {verdict}; rho {self.lock.rho:.3g} (lock), {self.beta_binomial.rho:.3g} "
            "(beta-binomial)"
        )
        return text if self.conditioned else f"{text}; difficulty not separated, because no task was run twice"


def compare_shapes(votes: pl.DataFrame) -> ShapeTest:
    """Return the comparison of both laws on the vote counts of groups with at least 3 votes.

    Where tasks have several groups, the mixture of their signals is fitted along; otherwise one signal is assumed for
    all, and `conditioned` is false.

    Args:
        votes: columns task, run, node, correct (received votes).

    Raises:
        InputError: no group has 3 votes; pairs look the same under both laws.
    """
    size = pl.len().over("task", "run", "node")
    large = votes.filter(size >= 3)
    if large.is_empty():
        raise InputError("no group has 3 votes or more: pairs look the same under both laws", "", "use more siblings")
    counts = count_votes(large)
    groups_of = np.bincount(counts.task, minlength=counts.n_tasks)
    conditioned = bool(np.mean(groups_of >= 2) >= 0.5)
    fits: dict[CountShape, ShapeFit] = {}
    for shape in ("lock", "beta_binomial"):
        fits[shape] = _fit_mixed(counts, shape) if conditioned else _fit_equal(counts, shape)
    difference = 2 * (fits["lock"].loglik - fits["beta_binomial"].loglik)
    preferred: CountShape | None = None
    if abs(difference) >= DECISIVE:
        preferred = "lock" if difference > 0 else "beta_binomial"
    return ShapeTest(
        fits["lock"], fits["beta_binomial"], difference, preferred, conditioned, counts.n.size, counts.n_tasks
    )


def _fit_mixed(counts: VoteCounts, shape: CountShape) -> ShapeFit:
    mus = np.linspace(-1, 1, _GRID)
    all_tasks = np.ones((1, counts.n_tasks))

    def loss(rho: float) -> float:
        return -float(mixture_weights(task_loglik(counts, mus, rho, shape), all_tasks, rounds=150)[1][0])

    found = optimize.minimize_scalar(loss, bounds=(0.0, _RHO_MAX), method="bounded", options={"xatol": 1e-3})
    rho = 0.0 if loss(0.0) <= float(found.fun) else float(found.x)
    weights, loglik = mixture_weights(task_loglik(counts, mus, rho, shape), all_tasks)
    return ShapeFit(shape, rho, float(loglik[0]), mus, weights[0], _misfit(counts, mus, weights[0], rho, shape))


def _misfit(counts: VoteCounts, mus: FloatArray, weights: FloatArray, rho: float, shape: CountShape) -> float:
    """Return p of how often each number of right votes occurs under a fitted law; NaN for too few tasks.

    Hotelling's test over tasks, as groups of a task are alike, for groups of the commonest size; rare numbers are taken
    with their neighbours. What was fitted brings the law nearer to the data, so p is too large rather than too small.
    """
    size = int(np.bincount(counts.n).argmax())
    kept = counts.n == size
    law = log_count_law(np.full(size + 1, size), np.arange(size + 1), mus, rho, shape)
    expected = np.exp(law) @ weights
    tasks, member = np.unique(counts.task[kept], return_inverse=True)
    groups = _cells(expected * tasks.size, _LEAST_IN_CELL)
    cell = groups[counts.right[kept]]
    n_cells = int(groups[-1]) + 1
    if n_cells < 2 or tasks.size < _LEAST_TASKS:
        return float("nan")
    shares = np.zeros((tasks.size, n_cells))
    np.add.at(shares, (member.reshape(-1), cell), 1.0)
    shares /= shares.sum(axis=1, keepdims=True)
    off = (shares - np.bincount(groups, weights=expected, minlength=n_cells))[:, :-1]  # shares sum to 1
    mean, spread, df = off.mean(axis=0), np.cov(off, rowvar=False).reshape(n_cells - 1, -1), n_cells - 1
    squared = tasks.size * float(mean @ np.linalg.pinv(spread, hermitian=True) @ mean)
    n = tasks.size
    return float(stats.f.sf((n - df) / (df * (n - 1)) * squared, df, n - df))


def _cells(expected: FloatArray, least: float) -> IntArray:
    """Return the cell of each number of right votes, from 0 on: neighbours together until `least` are expected."""
    found, cell, held = np.zeros(expected.size, dtype=np.int64), 0, 0.0
    for at, one in enumerate(expected):
        if held >= least:
            cell, held = cell + 1, 0.0
        found[at], held = cell, held + float(one)
    if held < least and cell:
        found[found == cell] = cell - 1
    return found


def _fit_equal(counts: VoteCounts, shape: CountShape) -> ShapeFit:
    def loss(theta: FloatArray) -> float:
        mu, rho = np.tanh(theta[0]), _RHO_MAX * special.expit(theta[1])
        return -float(task_loglik(counts, np.array([mu]), float(rho), shape).sum())

    start = np.arctanh(np.clip(2 * counts.right.sum() / counts.n.sum() - 1, -0.99, 0.99))
    found = min(
        (optimize.minimize(loss, np.array([start, lean]), method="Nelder-Mead") for lean in (-3.0, -1.0)),
        key=lambda result: float(result.fun),
    )
    mu, rho = float(np.tanh(found.x[0])), float(_RHO_MAX * special.expit(found.x[1]))
    return ShapeFit(shape, rho, -float(found.fun), np.array([mu]), np.ones(1))


@dataclass(frozen=True)
class NodeSlope:
    """The object says what the majority of b of the votes is, without any model, beside what the models say."""

    b: int
    signal: Estimate
    """Mean signal of one vote."""
    majority: Estimate
    """Signal of the majority of b votes of one group: the node map at the operating point, as it is."""
    rho: float
    """Correlation within runs, from which the models' figures are made."""
    lock: float
    """Signal of the majority that the lock predicts."""
    beta_binomial: float
    """Signal of the majority that the beta-binomial law predicts."""
    independent: float
    """Signal of the majority if votes were independent given the task."""

    def summary(self) -> str:
        """Return one line."""
        return (
            f"majority of {self.b}: {self.majority} from votes of {self.signal}; at rho = {self.rho:.3g} the lock says "
            f"{self.lock:.4g}, the beta-binomial law {self.beta_binomial:.4g}, independence {self.independent:.4g}"
        )


def node_slope(votes: pl.DataFrame, b: int, *, n_draws: int = 400, seed: int = 0) -> NodeSlope:
    """Return the b-subset majority of all groups with at least b votes, and the models' figures for it [X].

    A group with k right of n votes contributes sum_j C(k,j) C(n-k,b-j) sgn(2j-b) / C(n,b), unbiased for the signal of
    the majority of b of its votes. Tasks weigh alike; intervals by task bootstrap. The models get rho, mean and
    variance of the tasks' signals from pairs of votes, which assume no shape, and take two equally frequent signals
    with these moments.

    Raises:
        InputError: no group has b votes, or rho is refused (`estimate_rho`).
    """
    size = pl.len().over("task", "run", "node")
    large = votes.filter(size >= b)
    if large.is_empty():
        raise InputError(f"no group has {b} votes", "", "ask for a smaller b, or use more siblings")
    pairs = estimate_rho(large)
    if pairs.within is None or pairs.between_variance is None:
        raise InputError("the models need rho: " + "; ".join(pairs.refusals))
    names = large["task"].to_list()
    index = TaskIndex([names])
    counts = count_votes(large, index)
    value = subset_majority(counts.n, counts.right, b)
    cell = np.zeros(counts.n.size, dtype=np.intp)
    groups = np.bincount(counts.task, minlength=len(index))
    majority = sums_by_task(len(index), counts.task, cell, 1, value)[:, 0] / groups
    single = sums_by_task(len(index), counts.task, cell, 1, 2 * counts.right / counts.n - 1)[:, 0] / groups
    weights = task_weights(n_draws, np.zeros(len(index), dtype=np.int64), seed=seed) / len(index)
    spread = np.sqrt(max(pairs.between_variance.value, 0.0))
    mus = np.clip(single.mean() + spread * np.array([-1.0, 1.0]), -1, 1)
    rho = float(np.clip(pairs.within.value, 0, 1))

    def expected(shape: CountShape, correlation: float) -> float:
        return float(correlated_majority_map(mus, b, correlation, shape=shape).mean())

    return NodeSlope(
        b,
        from_draws(float(single.mean()), weights @ single),
        from_draws(float(majority.mean()), weights @ majority),
        rho,
        expected("lock", rho),
        expected("beta_binomial", rho),
        expected("lock", 0.0),
    )


def subset_majority(n: IntArray, right: IntArray, b: int) -> FloatArray:
    """Return the mean of sgn(majority) over all b-subsets of n votes of which `right` are right, shape of `n` [X]."""
    j = np.arange(b + 1)
    log_all = _log_choose(n, np.full(n.shape, b))
    ways = _log_choose(right[:, None], j[None]) + _log_choose((n - right)[:, None], b - j[None])
    return np.asarray(np.sum(np.exp(ways - log_all[:, None]) * np.sign(2 * j - b), axis=1), dtype=np.float64)


def _log_choose(n: IntArray, k: IntArray) -> FloatArray:
    """Return ln C(n, k), -inf where there are no such subsets."""
    valid = (k >= 0) & (k <= n)
    k_ = np.where(valid, k, 0)
    logs = special.gammaln(n + 1.0) - special.gammaln(k_ + 1.0) - special.gammaln(n - k_ + 1.0)
    return np.where(valid, logs, -np.inf)
