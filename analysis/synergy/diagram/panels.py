"""This module computes the data of the phase diagram: what the panels show, as arrays, without any plotting.

Panel 1 is the (gamma, rho) plane at a fan-in: exponent s, the line alpha = 1 under two forms of shared errors (a band,
because the form is rarely known), s = beta, the line where a tree stops to beat its own leaf, and the measured point
with its cloud. Panel 2 shows budgets over beta: where trees begin to pay, saturate, and are caught up. Panel 3 shows
the signal by depth with proven bounds and measured points. What all this means is in docs/phase-theory.md, "What is
proven"; `analysis.synergy.diagram.figures` draws it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from agentsoc.errors import InputError
from analysis.synergy.estimation.estimate import PhaseEstimate
from analysis.synergy.estimation.interval import LEVEL, equals, sure
from analysis.synergy.theory.arrays import FloatArray
from analysis.synergy.theory.budget import catch_up_budget, depth_threshold, growth_threshold, saturation_budget
from analysis.synergy.theory.costs import LeafLaw, leaf_signal, overhead
from analysis.synergy.theory.fixed_points import fixed_point
from analysis.synergy.theory.predictors import chord_clipped_lower, clipped_growth_upper
from analysis.synergy.theory.recursion import Lock, critical_gamma, node_map, organization_exponent
from analysis.synergy.theory.trajectories import trajectory


@dataclass(frozen=True)
class PhasePlane:
    """Panel 1 shows the plane of fidelity and correlation at one fan-in."""

    b: int
    lock: Lock
    gamma: FloatArray
    """Fidelities, shape (n_gamma,)."""
    rho: FloatArray
    """Correlations, shape (n_rho,)."""
    s: FloatArray
    """Organization exponent, lock model, shape (n_rho, n_gamma)."""
    mu_star: FloatArray
    """Limit of the signal with depth, same shape."""
    boundary_lock: FloatArray
    """gamma_c at each rho, alpha = 1 under the lock; shape (n_rho,)."""
    boundary_beta_binomial: FloatArray
    """The same if shared errors are beta-binomial: between the two lies what is not known without a shape test."""
    beta: float | None
    """Level of the line s = beta; None when not measured."""
    finite: FloatArray | None
    """F(mu0) - mu0, above 0 where a tree beats its own leaf of signal mu0; shape of `s`; None without mu0."""
    mu0: float | None
    point: tuple[float, float] | None
    """Measured (gamma, rho), set to the border where it lies outside."""
    cloud: FloatArray
    """Bootstrap draws of (gamma, rho), shape (n_draws, 2); empty when there are none."""
    p_amplify: float | None
    p_synergy: float | None

    def caption(self) -> str:
        """Return the probabilities in words."""
        parts = [f"P(alpha > 1) {equals(sure(self.p_amplify))}"] if self.p_amplify is not None else []
        parts += [f"P(s > beta) {equals(sure(self.p_synergy))}"] if self.p_synergy is not None else []
        return ", ".join(parts)


def phase_plane(
    b: int,
    *,
    lock: Lock = "after_channel",
    beta: float | None = None,
    mu0: float | None = None,
    estimate: PhaseEstimate | None = None,
    gamma_span: tuple[float, float] = (0.3, 1.0),
    rho_span: tuple[float, float] = (0.0, 0.9),
    n: int = 200,
) -> PhasePlane:
    """Return the (gamma, rho) plane at fan-in b.

    Args:
        b: fan-in, odd.
        lock: place of the shared draw; that of the estimate if there is one.
        beta: compute exponent for the line s = beta; that of the estimate by default.
        mu0: leaf signal for the finite-signal line.
        estimate: measured point and cloud.
        gamma_span: fidelities shown.
        rho_span: correlations shown, below 1.
        n: points along each axis.
    """
    if estimate is not None:
        if estimate.b != b:
            raise InputError(f"the estimate is for b = {estimate.b}, the diagram for b = {b}")
        lock = estimate.lock
        beta = estimate.beta.value if beta is None and estimate.beta is not None else beta
    gamma, rho = np.linspace(*gamma_span, n), np.linspace(*rho_span, n)
    plane = gamma[None, :], rho[:, None]
    finite = None if mu0 is None else node_map(mu0, b, *plane, lock=lock) - mu0
    point, cloud = None, np.empty((0, 2))
    if estimate is not None and estimate.gamma is not None and estimate.rho is not None:
        point = float(np.clip(estimate.gamma.value, 0, 1)), float(np.clip(estimate.rho.value, 0, 1))
        if "gamma" in estimate.draws and "rho" in estimate.draws:
            cloud = np.clip(np.stack([estimate.draws["gamma"], estimate.draws["rho"]], axis=1), 0, 1)
    return PhasePlane(
        b=b,
        lock=lock,
        gamma=gamma,
        rho=rho,
        s=organization_exponent(b, *plane, lock=lock),
        mu_star=fixed_point(b, *plane, lock=lock),
        boundary_lock=critical_gamma(b, rho, lock=lock),
        boundary_beta_binomial=critical_gamma(b, rho, shape="beta_binomial"),
        beta=beta,
        finite=finite,
        mu0=mu0,
        point=point,
        cloud=cloud,
        p_amplify=None if estimate is None else estimate.p_amplify_least,
        p_synergy=None if estimate is None else estimate.p_synergy,
    )


@dataclass(frozen=True)
class BudgetPanel:
    """Panel 2 shows budgets in units of c0, the communication tokens per leaf, over the compute exponent."""

    b: int
    c0: float
    """Communication per leaf (tokens)."""
    s: float
    beta: FloatArray
    """Exponents, shape (n,). All curves are inf where there is no synergy (beta >= s)."""
    first: FloatArray
    """B*_1 / c0, where a tree of one level begins to pay in the weak-signal regime [D]."""
    growth: FloatArray
    """B*_g / c0, the same for a real-valued number of leaves."""
    saturation: FloatArray
    """B_sat / c0, where the best tree reaches its limit [X]."""
    catch_up: FloatArray
    """B_catch / c0, where one agent has caught up [X]."""
    measured_beta: tuple[float, float, float] | None
    """Estimate of beta and its interval."""


def budget_panel(
    b: int,
    gamma: float,
    rho: float,
    leaf: LeafLaw,
    m: float,
    *,
    lock: Lock = "after_channel",
    estimate: PhaseEstimate | None = None,
    n: int = 200,
) -> BudgetPanel:
    """Return the budgets between which trees pay, over beta at fixed gamma and rho.

    The signal of a leaf at the overhead's own compute, a c0^beta, is kept while beta turns: turning beta alone would
    change how strong leaves are, and the picture would show that instead.

    Args:
        b: fan-in.
        gamma: fidelity.
        rho: correlation.
        leaf: leaf law at the measured beta.
        m: tokens of a message.
        lock: place of the shared draw.
        estimate: for the measured beta.
        n: points.
    """
    c0 = float(overhead(b, m))
    s = float(organization_exponent(b, gamma, rho, lock=lock))
    beta = np.linspace(0.01, 0.5, n)
    anchor = float(leaf_signal(c0, leaf.a, leaf.beta))
    a = anchor * c0**-beta
    limit = float(np.nan_to_num(fixed_point(b, gamma, rho, lock=lock)))
    pays = beta < s
    curves = [np.full(n, np.inf) for _ in range(4)]
    if np.any(pays) and c0 > 0 and limit > 0:
        on = beta[pays]
        curves[0][pays] = depth_threshold(b, 1, c0, on, s) / c0
        curves[1][pays] = growth_threshold(c0, on, s) / c0
        curves[2][pays] = saturation_budget(limit, a[pays], on, s, c0) / c0
        curves[3][pays] = catch_up_budget(limit, a[pays], on, leaf.mu_max) / c0
    measured = None
    if estimate is not None and estimate.beta is not None:
        measured = estimate.beta.value, estimate.beta.low, estimate.beta.high
    return BudgetPanel(b, c0, s, beta, curves[0], curves[1], curves[2], curves[3], measured)


@dataclass(frozen=True)
class MeasuredLevel:
    """The object holds the signal of the answers at one level of real trees."""

    level: int
    signal: float
    low: float
    high: float
    """95 % interval over tasks."""


@dataclass(frozen=True)
class TrajectoryPanel:
    """Panel 3 shows the signal by depth."""

    b: int
    mu0: float
    exact: FloatArray
    """Exact recursion, shape (depth + 1,)."""
    upper: FloatArray
    """Clipped growth, proven upper bound while mu0 is below mu*."""
    lower: FloatArray
    """Chord-clipped growth, proven lower bound under the same condition; NaN at depth 0."""
    band_low: FloatArray
    band_high: FloatArray
    """95 % band of the exact recursion over the bootstrap draws; NaN without draws."""
    measured: tuple[MeasuredLevel, ...]


def trajectory_panel(
    mu0: float,
    b: int,
    gamma: float,
    rho: float,
    depth: int,
    *,
    lock: Lock = "after_channel",
    estimate: PhaseEstimate | None = None,
    answers: pl.DataFrame | None = None,
) -> TrajectoryPanel:
    """Return the signal by depth, its bounds, its band and what was measured.

    Args:
        mu0: signal of a leaf.
        b: fan-in.
        gamma: fidelity.
        rho: correlation.
        depth: levels, at least 1.
        lock: place of the shared draw.
        estimate: for the band.
        answers: measured answers by level (`votes.level_table`).
    """
    exact = trajectory(mu0, b, gamma, rho, depth, lock=lock)
    limit = float(np.nan_to_num(fixed_point(b, gamma, rho, lock=lock)))
    upper, lower = np.full(depth + 1, np.nan), np.full(depth + 1, np.nan)
    if 0 < mu0 <= limit:
        levels = np.arange(depth + 1)
        upper = np.asarray(clipped_growth_upper(mu0, b, gamma, rho, levels, lock=lock), dtype=np.float64)
        lower[0] = mu0
        lower[1:] = [float(chord_clipped_lower(mu0, b, gamma, rho, level, lock=lock)) for level in levels[1:]]
    low, high = np.full(depth + 1, np.nan), np.full(depth + 1, np.nan)
    if estimate is not None and {"gamma", "rho"} <= estimate.draws.keys():
        gammas, rhos = (np.clip(estimate.draws[name], 0, 1) for name in ("gamma", "rho"))
        drawn = trajectory(mu0, b, gammas, rhos, depth, lock=lock)
        low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=1)
    return TrajectoryPanel(b, mu0, exact, upper, lower, low, high, tuple(_measured(answers)))


def _measured(answers: pl.DataFrame | None) -> Sequence[MeasuredLevel]:
    """Return the mean vote by level, with an interval over tasks."""
    if answers is None:
        return ()
    found = []
    by_task = answers.group_by("level", "task").agg((2 * pl.col("correct") - 1).mean().alias("vote"))
    for (level,), rows in sorted(by_task.group_by("level"), key=lambda pair: pair[0]):
        votes = rows["vote"].to_numpy()
        mean, reach = (
            float(votes.mean()),
            1.96 * float(votes.std(ddof=1)) / np.sqrt(votes.size) if votes.size > 1 else 1.0,
        )
        found.append(MeasuredLevel(int(str(level)), mean, max(mean - reach, -1.0), min(mean + reach, 1.0)))
    return found
