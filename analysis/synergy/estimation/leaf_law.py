"""This module fits the leaf law: a and beta of mu(x) = min(a x^beta, mu_max) by binomial maximum likelihood [X].

The law is in docs/phase-theory.md, "The objects"; docs/phase-estimation.md says how well it is found.

The signal is mu = (p - 1/K) / (1 - 1/K), never the accuracy p. Counts at or below chance are data like others; a
straight line through ln(2p - 1) would drop them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from agentsoc.errors import InputError
from analysis.synergy.estimation.binomial_fit import (
    BinomialFits,
    Law,
    ParameterBounds,
    deviance_p,
    fit_binomial,
    profile_interval,
)
from analysis.synergy.estimation.interval import Estimate, from_draws
from analysis.synergy.estimation.resample import TaskIndex, sums_by_task, task_weights
from analysis.synergy.estimation.votes import LEAF_COLUMNS, demand_columns
from analysis.synergy.theory.arrays import FloatArray
from analysis.synergy.theory.chance import share_of, signal_of
from analysis.synergy.theory.costs import LeafLaw

MIN_LEVELS: Final = 4
"""Fewest levels of compute that a power law is read from."""
MIN_SPREAD: Final = 16.0
"""Smallest ratio of the largest to the smallest compute."""
WIDEST: Final = 0.3
"""Widest interval of beta that still says something."""
_BOX: Final = ParameterBounds.of((-25.0, 5.0), (-4.0, 4.0))  # (ln signal at the middle of the levels, beta)


@dataclass(frozen=True)
class LeafCounts:
    """The object counts right answers of single agents by task and compute."""

    x: FloatArray
    """Levels of compute (tokens), ascending, shape (n_levels,)."""
    n: FloatArray
    """Trials, shape (n_tasks, n_levels)."""
    k: FloatArray
    """Right answers, same shape."""
    chance: float
    """Accuracy of a guess, 1/K."""


@dataclass(frozen=True)
class LeafFit:
    """The object holds a fitted leaf law, or the reasons why there is none."""

    a: Estimate | None
    """Signal of one token; None when refused."""
    beta: Estimate | None
    """Compute exponent of the signal; None when refused."""
    x: tuple[float, ...]
    """Levels of compute (tokens)."""
    signals: tuple[float, ...]
    """Observed signal at each level; may be negative."""
    n_trials: tuple[int, ...]
    n_tasks: int
    mu_max: float
    misfit_p: float
    """Probability of a worse misfit if the power law holds; NaN when tasks are reused or levels are too few."""
    refusals: tuple[str, ...]
    unsure: tuple[Estimate, Estimate] | None = None
    """a and beta that were refused for their width: never a result, but what a plan carries as its doubt."""

    def law(self) -> LeafLaw:
        """Return the law for the designer.

        Raises:
            InputError: the fit was refused, or beta is negative.
        """
        if self.a is None or self.beta is None:
            raise InputError("the leaf law was not identified: " + "; ".join(self.refusals))
        return LeafLaw(self.a.value, self.beta.value, self.mu_max)

    def summary(self) -> str:
        """Return the fit as text."""
        levels = ", ".join(f"{x:g}: {mu:.3g}" for x, mu in zip(self.x, self.signals, strict=True))
        lines = [f"leaf signal by tokens ({self.n_tasks} tasks): {levels}"]
        if self.a is None or self.beta is None:
            lines += [f"leaf law refused: {reason}" for reason in self.refusals]
        else:
            lines.append(f"leaf law mu = a x^beta: a = {self.a}, beta = {self.beta}")
        return "\n".join(lines)


def count_leaves(trials: pl.DataFrame, index: TaskIndex | None = None) -> LeafCounts:
    """Return the counts of a table of leaf trials with columns task, x, correct and k (answers to choose from)."""
    demand_columns(trials, LEAF_COLUMNS, "leaf trials")
    x = np.unique(trials["x"].to_numpy().astype(np.float64))
    if x[0] <= 0:
        raise InputError(f"leaf trials need x > 0 tokens, found {x[0]:g}")
    answers = trials["k"].unique().to_list()
    if len(answers) != 1:
        raise InputError(f"one leaf law needs one number of answers, found {sorted(answers)}", "", "fit each apart")
    names = trials["task"].to_list()
    index = index or TaskIndex([names])
    task = index.codes(names)
    level = np.searchsorted(x, trials["x"].to_numpy().astype(np.float64))
    right = trials["correct"].to_numpy().astype(np.float64)
    n = sums_by_task(len(index), task, level, x.size, np.ones(right.size))
    return LeafCounts(x, n, sums_by_task(len(index), task, level, x.size, right), 1 / answers[0])


def fit_leaf_law(trials: pl.DataFrame, *, mu_max: float = 1.0, n_draws: int = 400, seed: int = 0) -> LeafFit:
    """Return a and beta with 95 % intervals: by profile likelihood, by task bootstrap when a task occurs twice.

    Refused (None, with reasons) for fewer than 4 levels, a spread below 16, or an interval of beta wider than 0.3.

    Args:
        trials: columns task, x (tokens), correct (0 or 1), k (answers to choose from); see `votes.leaf_table`.
        mu_max: ceiling of the signal, known beforehand.
        n_draws: bootstrap samples.
        seed: root of the bootstrap's randomness.
    """
    counts = count_leaves(trials)
    total_n, total_k = counts.n.sum(axis=0), counts.k.sum(axis=0)
    n_tasks = counts.n.shape[0]
    reused = bool(np.any(counts.n.sum(axis=1) > 1))
    refusals = spread_refusals(counts.x)
    a = beta = unsure = None
    misfit = float("nan")
    if not refusals:
        law = leaf_probability(counts.x, counts.chance, mu_max)
        rows_n, rows_k = total_n[None], total_k[None]
        fits = fit_leaf(counts.x, rows_n, rows_k, counts.chance, mu_max)
        factor, power = _parameters(fits, counts.x)
        if reused:
            weights = task_weights(n_draws, np.zeros(n_tasks, dtype=np.int64), seed=seed)
            drawn = fit_leaf(counts.x, weights @ counts.n, weights @ counts.k, counts.chance, mu_max, fits.theta)
            factors, powers = _parameters(drawn, counts.x)
            a, beta = from_draws(float(factor[0]), factors), from_draws(float(power[0]), powers)
        else:
            misfit = float(deviance_p(law, rows_n, rows_k, fits)[0])
            low, high = profile_interval(law, rows_n, rows_k, fits, 1, _BOX)
            beta = Estimate(float(power[0]), float(low[0]), float(high[0]), method="profile", se=float(fits.se[0, 1]))
            a = _profile_a(counts, rows_n, rows_k, fits, mu_max)
        if beta.width > WIDEST:
            refusals = (
                f"the interval of beta, [{beta.low:.2g}, {beta.high:.2g}], is wider than {WIDEST}; "
                "measure more tasks or a wider range of tokens",
            )
            unsure = (a, beta)
            a = beta = None
    share = np.divide(total_k, total_n)
    return LeafFit(
        a=a,
        beta=beta,
        x=tuple(counts.x.tolist()),
        signals=tuple(signal_of(share, counts.chance).tolist()),
        n_trials=tuple(int(n) for n in total_n),
        n_tasks=n_tasks,
        mu_max=mu_max,
        misfit_p=misfit,
        refusals=refusals,
        unsure=unsure,
    )


def spread_refusals(x: FloatArray) -> tuple[str, ...]:
    """Return why these levels of compute cannot identify an exponent; nothing when they can."""
    found = []
    if x.size < MIN_LEVELS:
        found.append(f"{x.size} levels of compute; an exponent needs at least {MIN_LEVELS}")
    if x[-1] / x[0] < MIN_SPREAD:
        found.append(f"compute spans a factor of {x[-1] / x[0]:.3g}; an exponent needs at least {MIN_SPREAD:g}")
    return tuple(found)


def leaf_probability(x: FloatArray, chance: float, mu_max: float, centre: float | None = None) -> Law:
    """Return p(x) = 1/K + (1 - 1/K) min(exp(l + beta (ln x - centre)), mu_max) as a law in (l, beta).

    `centre` is the mean of ln x by default, which makes l and beta nearly independent; 0 makes l = ln a.
    """
    ln_x = np.log(x) - (np.log(x).mean() if centre is None else centre)

    def law(theta: FloatArray) -> FloatArray:
        mu = np.minimum(np.exp(np.minimum(theta[:, :1] + theta[:, 1:] * ln_x, 1.0)), mu_max)
        return share_of(mu, chance)

    return law


def fit_leaf(
    x: FloatArray, n: FloatArray, k: FloatArray, chance: float, mu_max: float = 1.0, start: FloatArray | None = None
) -> BinomialFits:
    """Return the fits of (l, beta) to rows of counts, shape (n_rows, n_levels); see `leaf_probability` for l."""
    signal = signal_of(np.divide(k, n, out=np.full(k.shape, chance), where=n > 0), chance)
    floor = 0.5 / np.sqrt(np.maximum(n, 1.0))
    height, at = np.log(np.maximum(signal, floor)), np.log(x) - np.log(x).mean()
    mu = np.clip(signal, floor, 0.999)
    weight = n * mu**2 / (1 - mu**2) + 1e-9
    at_mean = (weight * at).sum(axis=1, keepdims=True) / weight.sum(axis=1, keepdims=True)
    moment = (weight * (at - at_mean) ** 2).sum(axis=1)
    slope = (weight * (at - at_mean) * height).sum(axis=1) / np.where(moment > 0, moment, 1.0)
    level = (weight * height).sum(axis=1) / weight.sum(axis=1) - slope * at_mean[:, 0]
    starts = [np.stack([level, slope], axis=1)] if start is None else [start]
    return fit_binomial(leaf_probability(x, chance, mu_max), n, k, starts, _BOX)


def leaf_draws(
    counts: LeafCounts, weights: FloatArray, mu_max: float, start: FloatArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """Return a and beta of each resample, shape (n_draws,) each, for weights of shape (n_draws, n_tasks)."""
    fits = fit_leaf(counts.x, weights @ counts.n, weights @ counts.k, counts.chance, mu_max, start)
    return _parameters(fits, counts.x)


def profile_beta(
    x: FloatArray, n: FloatArray, k: FloatArray, chance: float = 0.5, mu_max: float = 1.0
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return beta and the ends of its profile interval for rows of counts, shape (n_rows,) each; never refuses."""
    fits = fit_leaf(x, n, k, chance, mu_max)
    low, high = profile_interval(leaf_probability(x, chance, mu_max), n, k, fits, 1, _BOX)
    return fits.theta[:, 1], low, high


def _parameters(fits: BinomialFits, x: FloatArray) -> tuple[FloatArray, FloatArray]:
    beta = fits.theta[:, 1]
    return np.exp(fits.theta[:, 0] - beta * np.log(x).mean()), beta


def _profile_a(counts: LeafCounts, n: FloatArray, k: FloatArray, fits: BinomialFits, mu_max: float) -> Estimate:
    """Return a with its profile interval: the same law with l = ln a."""
    law = leaf_probability(counts.x, counts.chance, mu_max, 0.0)
    box = ParameterBounds.of((-60.0, 20.0), (-4.0, 4.0))
    factor, beta = _parameters(fits, counts.x)
    again = fit_binomial(law, n, k, [np.stack([np.log(factor), beta], axis=1)], box)
    low, high = profile_interval(law, n, k, again, 0, box)
    se = float(factor[0] * again.se[0, 0])
    return Estimate(float(factor[0]), float(np.exp(low[0])), float(np.exp(high[0])), method="profile", se=se)
