"""This module says how a weak signal grows at a node, under each form of shared errors that the votes leave open.

One correlation rho does not fix what a majority makes of votes: the lock is the optimistic end, the beta-binomial law
and the Gaussian factor, which hardly differ, grow less (docs/phase-theory.md, "What is assumed"). So the probability of
growth is told under each form, and the regime goes by those that the test of the votes leaves: the lock where it is
preferred, both others where the beta-binomial law is, all three where nothing was tested.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from scipy import stats

from agentsoc.errors import InputError
from analysis.synergy.estimation.count_shapes import ShapeTest
from analysis.synergy.estimation.interval import LEVEL, Estimate, from_draws
from analysis.synergy.theory.arrays import FloatArray
from analysis.synergy.theory.fixed_points import fixed_point
from analysis.synergy.theory.moments import synergy_band
from analysis.synergy.theory.recursion import Lock, alpha, organization_exponent
from analysis.synergy.theory.shapes import Shape

SHAPES: Final[tuple[Shape, ...]] = ("lock", "beta_binomial", "gauss_factor")
SHAPE_NAMES: Final[Mapping[str, str]] = {
    "lock": "locked",
    "beta_binomial": "beta-binomial",
    "gauss_factor": "Gaussian",
}
_SURE: Final = (1 + LEVEL) / 2
_STEP: Final = 1e-4


def shapes_left(test: ShapeTest | None, lock: Lock) -> tuple[Shape, ...]:
    """Return the forms of shared errors that the test leaves open; before the channel the theory has the lock only."""
    if lock == "before_channel":
        return ("lock",)
    if test is None or not test.conditioned or test.preferred is None:
        return SHAPES
    return ("lock",) if test.preferred == "lock" else ("beta_binomial", "gauss_factor")


@dataclass(frozen=True)
class GrowingNode:
    """The object holds a node whose growth is asked for."""

    b: int
    """Votes that it reads."""
    lock: Lock
    left: tuple[Shape, ...]
    """Forms of shared errors that the votes leave open."""

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """The forms that the theory has for this node."""
        return ("lock",) if self.lock == "before_channel" else SHAPES

    def alpha(self, gamma: FloatArray | float, rho: FloatArray | float, shape: Shape) -> FloatArray:
        """Return the growth of a weak signal under a form of shared errors."""
        return alpha(self.b, gamma, rho, lock=self.lock, shape=shape)


@dataclass(frozen=True)
class SignalGrowth:
    """The object holds what follows from the parameters; names as in `PhaseEstimate`."""

    alpha: Estimate | None = None
    s: Estimate | None = None
    s_beta_binomial: Estimate | None = None
    mu_star: float | None = None
    p_amplify: float | None = None
    p_synergy: float | None = None
    p_synergy_beta_binomial: float | None = None
    alphas: Mapping[Shape, Estimate] = field(default_factory=dict)
    p_amplify_by: Mapping[Shape, float] = field(default_factory=dict)
    shapes_left: tuple[Shape, ...] = ("lock",)


def _centre(gamma: Estimate, rho: Estimate) -> tuple[float, float]:
    return float(np.clip(gamma.value, 1e-9, 1)), float(np.clip(rho.value, 0, 1))


def delta_growth(
    node: GrowingNode, gamma: Estimate | None, rho: Estimate | None, beta: Estimate | None
) -> SignalGrowth:
    """Return what follows from gamma, rho and beta by the delta method; nothing where gamma or rho was refused.

    Raises:
        InputError: the lock lies before the channel.
    """
    if gamma is None or rho is None:
        return SignalGrowth(shapes_left=node.left)
    if node.lock != "after_channel":
        raise InputError("the delta method is there for the lock after the channel", "", "use the bootstrap")
    g, r = _centre(gamma, rho)
    band = synergy_band(
        node.b, g, gamma.se**2, r, rho.se**2, 0.0 if beta is None else beta.value, 0.0 if beta is None else beta.se**2
    )
    z = float(stats.norm.ppf(_SURE))
    found: dict[Shape, Estimate] = {}
    for shape in node.shapes:
        variance = band.var_alpha if shape == "lock" else _variance(node, shape, (g, gamma.se), (r, rho.se))
        found[shape] = _normal(float(node.alpha(g, r, shape)), variance, z)
    chances = {
        shape: float(stats.norm.cdf((one.value - 1) / one.se)) if one.se > 0 else float(one.value > 1)
        for shape, one in found.items()
    }
    exponent = float(organization_exponent(node.b, g, r, lock=node.lock))
    return SignalGrowth(
        alpha=found["lock"],
        s=_normal(exponent, band.var_s, z),
        mu_star=float(np.nan_to_num(fixed_point(node.b, g, r, lock=node.lock))),
        p_amplify=chances["lock"],
        p_synergy=None if beta is None else band.prob_synergy,
        alphas=found,
        p_amplify_by=chances,
        shapes_left=node.left,
    )


def _variance(node: GrowingNode, shape: Shape, gamma: tuple[float, float], rho: tuple[float, float]) -> float:
    """Return the variance of alpha from (value, standard error) of gamma and rho, by differences."""
    (g, g_se), (r, r_se) = gamma, rho
    g_low, g_high, r_low, r_high = max(g - _STEP, 0.0), min(g + _STEP, 1.0), max(r - _STEP, 0.0), min(r + _STEP, 1.0)
    by_g = float(node.alpha(g_high, r, shape) - node.alpha(g_low, r, shape)) / (g_high - g_low)
    by_r = float(node.alpha(g, r_high, shape) - node.alpha(g, r_low, shape)) / (r_high - r_low)
    return (by_g * g_se) ** 2 + (by_r * r_se) ** 2


def drawn_growth(
    node: GrowingNode,
    draws: dict[str, FloatArray],
    gamma: Estimate | None,
    rho: Estimate | None,
    beta: Estimate | None,
) -> SignalGrowth:
    """Return what follows from gamma, rho and beta with their draws; nothing where gamma or rho was refused.

    Draws of alpha and s, the beta-binomial ones with a suffix, are added to `draws`.
    """
    if gamma is None or rho is None:
        return SignalGrowth(shapes_left=node.left)
    (g, r), b, lock = _centre(gamma, rho), node.b, node.lock
    gammas, rhos = np.clip(draws["gamma"], 1e-9, 1), np.clip(np.nan_to_num(draws["rho"], nan=1.0), 0, 1)
    drawn = {shape: node.alpha(gammas, rhos, shape) for shape in node.shapes}
    draws["alpha"] = drawn["lock"]
    draws["s"] = organization_exponent(b, gammas, rhos, lock=lock)
    found = {shape: from_draws(float(node.alpha(g, r, shape)), values) for shape, values in drawn.items()}
    chances = {shape: float(np.mean(values > 1)) for shape, values in drawn.items()}
    pessimistic = None
    if "beta_binomial" in node.shapes:
        shape: Shape = "beta_binomial"
        draws["s_beta_binomial"] = organization_exponent(b, gammas, rhos, shape=shape)
        pessimistic = from_draws(float(organization_exponent(b, g, r, shape=shape)), draws["s_beta_binomial"])
    return SignalGrowth(
        alpha=found["lock"],
        s=from_draws(float(organization_exponent(b, g, r, lock=lock)), draws["s"]),
        s_beta_binomial=pessimistic,
        mu_star=float(np.nan_to_num(fixed_point(b, g, r, lock=lock))),
        p_amplify=chances["lock"],
        p_synergy=None if beta is None else float(np.mean(draws["s"] > draws["beta"])),
        p_synergy_beta_binomial=None
        if beta is None or pessimistic is None
        else float(np.mean(draws["s_beta_binomial"] > draws["beta"])),
        alphas=found,
        p_amplify_by=chances,
        shapes_left=node.left,
    )


def _normal(value: float, variance: float, z: float) -> Estimate:
    se = float(np.sqrt(variance))
    return Estimate(value, value - z * se, value + z * se, method="delta", se=se)
