"""This module has closed-form moments that estimators build on: fidelity, sibling correlation, error bands.

Fitting from logs, bootstrap and likelihoods are elsewhere; here are the pure formulas. The delta-method band is [X];
the resampling unit of anything better is the task.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from agentsoc.errors import InputError
from agentsoc.theory.proportion import wilson
from analysis.interval import Interval
from analysis.synergy.theory.arrays import FloatArray, real
from analysis.synergy.theory.chance import signal_of
from analysis.synergy.theory.maps import majority_slope
from analysis.synergy.theory.recursion import alpha


@dataclass(frozen=True)
class SynergyBand:
    """The object is a first-order error band of s - beta, and says how likely a tree can pay."""

    alpha: float
    s: float
    var_alpha: float
    var_s: float
    z: float
    """Difference s - beta in its standard errors."""
    prob_synergy: float
    """Phi(z), the probability of s > beta."""


def synergy_band(
    b: int, gamma: float, var_gamma: float, rho: float, var_rho: float, beta: float, var_beta: float
) -> SynergyBand:
    """Return the delta-method band for independent estimates of gamma, rho and beta; lock after the channel [X].

    d alpha / d gamma = rho + (1 - rho) A_b, d alpha / d rho = -gamma (A_b - 1), Var s = Var alpha / (alpha ln b)^2.
    Correlated estimates (one task set for all) want the joint bootstrap instead.
    """
    if not (gamma > 0 and var_gamma >= 0 and var_rho >= 0 and var_beta >= 0 and b >= 2):
        raise InputError(f"a band needs gamma > 0, b >= 2 and variances of at least 0, got gamma={gamma!r}, b={b!r}")
    slope = float(majority_slope(b))
    growth = float(alpha(b, gamma, rho))
    s = float(np.log(growth) / np.log(b))
    var_alpha = (rho + (1 - rho) * slope) ** 2 * var_gamma + (gamma * (slope - 1)) ** 2 * var_rho
    var_s = var_alpha / (growth * float(np.log(b))) ** 2
    spread = float(np.sqrt(var_s + var_beta))
    z = (s - beta) / spread if spread > 0 else float(np.copysign(np.inf, s - beta)) if s != beta else 0.0
    return SynergyBand(growth, s, var_alpha, var_s, z, float(special.ndtr(z)))


def fidelity_from_agreement(agree: float, n: float, k: float = 2, *, level: float = 0.95) -> Interval:
    """Return gamma = (agree/n - 1/K) / (1 - 1/K) and its Wilson interval, mapped the same way [X].

    For independent trials; bootstrap over tasks when trials share them. Not clipped: the interval of a deaf channel
    must be able to reach below 0.

    Args:
        agree: trials in which the receiver read what was sent; an unparseable reading is a uniform guess, not missing,
            so the number may be a fraction.
        n: trials.
        k: number of answers.
        level: coverage of the interval.
    """
    if not (n >= 1 and 0 <= agree <= n and k >= 2):
        raise InputError(f"needs 0 <= agree <= n, n >= 1 and k >= 2, got agree={agree}, n={n}, k={k}")
    share = agree / n
    chance = 1 / k
    ends = wilson(share, n, float(special.ndtri((1 + level) / 2)))
    value, low, high = (float(signal_of(one, chance)) for one in (share, *ends))
    return Interval(value, low, high, level, "wilson")


@dataclass(frozen=True)
class SiblingCorrelation:
    """The object holds pairwise moments of sibling votes and the correlations they give."""

    same_run: float
    """S, mean product over pairs of one run."""
    cross_run: float
    """C, mean product over pairs of different runs of one task."""
    cross_task: float
    """M, mean product over pairs of different tasks (first run), unbiased for the squared mean."""
    rho_within: float
    """(S - C) / (1 - C), free of task difficulty; may be negative."""
    rho_pooled_first_run: float
    """(S - M) / (1 - M) from the first run of each task alone: it absorbs difficulty, never feed it to alpha."""


def sibling_correlation(votes: ArrayLike) -> SiblingCorrelation:
    """Return the correlation of siblings within tasks, from votes of shape (tasks, runs, agents), each +1 or -1 [X].

    Needs at least 2 tasks, 2 runs and 2 agents.
    """
    v = real("votes", votes)
    if v.ndim != 3 or min(v.shape) < 2 or not np.all(np.abs(v) == 1):
        raise InputError(f"votes must be +1 or -1 of shape (tasks, runs, agents), each at least 2, got shape {v.shape}")
    tasks, runs, agents = v.shape
    sums = v.sum(axis=2)
    same_by_run = (sums * sums - agents) / (agents * (agents - 1))
    totals = sums.sum(axis=1)
    cross_by_task = (totals * totals - (sums * sums).sum(axis=1)) / (runs * (runs - 1) * agents * agents)
    same, cross = float(same_by_run.mean()), float(cross_by_task.mean())
    first = sums[:, 0]
    between = float((first.sum() ** 2 - (first * first).sum()) / (tasks * (tasks - 1) * agents * agents))
    pooled = _ratio(float(same_by_run[:, 0].mean()), between)
    return SiblingCorrelation(same, cross, between, _ratio(same, cross), pooled)


def _ratio(together: float, apart: float) -> float:
    return (together - apart) / (1 - apart) if apart < 1 else float("nan")


def received_correlation(rho_sent: ArrayLike, gamma: ArrayLike, mu: ArrayLike) -> FloatArray:
    """Return rho_sent gamma^2 (1 - mu^2) / (1 - gamma^2 mu^2), the correlation of votes after independent channels [X].

    About gamma^2 rho_sent for weak signals.
    """
    g2, m2 = real("gamma", gamma) ** 2, real("mu", mu) ** 2
    return np.asarray(real("rho_sent", rho_sent) * g2 * (1 - m2) / (1 - g2 * m2), dtype=np.float64)
