"""This module gives the budgets between which a tree beats a single agent, and how to spend one.

Thresholds are [D] unless marked. The statement "synergy exactly when s > beta" is about weak signals: with leaves
clipped at mu_max a tree may beat a *clipped* single agent even for s <= beta, and with gamma < 1 a large budget gives
the advantage back to the single agent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize

from agentsoc.theory.allocation import best_leaf_tokens, leaves_paid
from analysis.synergy.theory.arrays import FloatArray, between, counts, exponent, fraction, positive
from analysis.synergy.theory.costs import LeafLaw, leaf_tokens, overhead, tree_cost
from analysis.synergy.theory.fixed_points import fixed_point
from analysis.synergy.theory.recursion import Lock, organization_exponent
from analysis.synergy.theory.trajectories import trajectory

_STEPS: Final = 2000  # steps of at most 5 % of the budget each
_LARGEST: Final = float(np.finfo(np.float64).max) / 4


def optimal_leaf_tokens(c0: ArrayLike, beta: ArrayLike, t: ArrayLike) -> FloatArray:
    """Return x* = c0 beta / (t - beta), the best tokens per leaf for growth exponent t; NaN where t <= beta [P2].

    Independent of the budget: more budget buys more leaves, not stronger ones. Valid for budgets above x*. Where
    t <= beta the signal grows in x up to B: spend everything on one agent.
    """
    c0_, beta_, t_ = np.broadcast_arrays(between("c0", c0, 0.0), between("beta", beta, 0.0), exponent("t", t))
    pays = t_ > beta_
    return np.where(pays, best_leaf_tokens(c0_, beta_, np.where(pays, t_, beta_ + 1.0)), np.nan)


def optimal_leaves(budget: ArrayLike, c0: ArrayLike, beta: ArrayLike, t: ArrayLike) -> FloatArray:
    """Return N* = (B + c0) / (x* + c0), real-valued; 1 where t <= beta or the budget is below x* [D].

    inf where messages are free (c0 = 0) and t > beta.
    """
    x, c0_, budget_ = np.broadcast_arrays(
        optimal_leaf_tokens(c0, beta, t), between("c0", c0, 0.0), between("budget", budget, 0.0)
    )
    share = np.nan_to_num(x, nan=1.0) + c0_
    tokens = np.where(share > 0, np.nan_to_num(x, nan=1.0), 1.0)
    n = np.where(share > 0, leaves_paid(budget_, c0_, tokens), np.inf)
    return np.where(np.isnan(x), 1.0, np.maximum(n, 1.0))


def growth_threshold(c0: ArrayLike, beta: ArrayLike, t: ArrayLike) -> FloatArray:
    """Return B*_g = c0 exp(h(beta/t) / (1 - beta/t)), break-even with a real number of leaves; inf where t <= beta [D].

    h is the binary entropy in nats. It takes N = B / (x + c0); quote `depth_threshold` at depth 1, which is exact in
    depth, and this one as a reference.
    """
    c0_, beta_, t_ = np.broadcast_arrays(between("c0", c0, 0.0), between("beta", beta, 0.0), exponent("t", t))
    pays = t_ > beta_
    share = np.where(pays, beta_ / np.where(pays, t_, 1.0), 0.5)
    inner = np.where(share > 0, share, 0.5)
    entropy = np.where(share > 0, -inner * np.log(inner) - (1 - inner) * np.log1p(-inner), 0.0)
    return np.where(pays, c0_ * np.exp(np.minimum(entropy / (1 - share), 700.0)), np.inf)


def depth_threshold(b: ArrayLike, depth: ArrayLike, c0: ArrayLike, beta: ArrayLike, s: ArrayLike) -> FloatArray:
    """Return B*_L = c0 (b^L - 1) / (1 - b^(-L (s/beta - 1))), above which depth L beats one agent [D].

    At leading order in a weak signal; inf for s <= beta. Increasing in L, so B*_1 is the threshold of synergy. beta = 0
    gives c0 (N - 1).
    """
    b_, depth_, c0_, beta_, s_ = np.broadcast_arrays(
        counts("b", b, 2), counts("depth", depth), between("c0", c0, 0.0), between("beta", beta, 0.0), exponent("s", s)
    )
    pays = s_ > beta_
    levels = depth_ * np.log(b_)
    with np.errstate(divide="ignore", over="ignore"):
        surplus = np.where(pays, np.where(pays, s_, 1.0) / np.where(pays, beta_, 1.0) - 1, 1.0)
        return np.where(pays, c0_ * np.expm1(levels) / -np.expm1(-levels * surplus), np.inf)


def saturation_budget(mu_star: ArrayLike, a: ArrayLike, beta: ArrayLike, s: ArrayLike, c0: ArrayLike) -> FloatArray:
    """Return B_sat = (x* + c0) (mu* / (a x*^beta))^(1/s), the least budget that reaches mu* under clipped growth [D].

    inf where s <= beta.
    """
    x = optimal_leaf_tokens(c0, beta, s)
    pays = ~np.isnan(x)
    x_, s_ = np.where(pays, x, 1.0), np.where(pays, s, 1.0)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        leaves = (fraction("mu_star", mu_star) / (positive("a", a) * x_ ** between("beta", beta, 0.0))) ** (1 / s_)
        total = (x_ + between("c0", c0, 0.0)) * leaves
    # Free messages: endless leaves of no tokens, 0 times inf, reach mu* at no cost.
    return np.where(pays, np.where(np.isnan(total), 0.0, total), np.inf)


def catch_up_budget(mu_star: ArrayLike, a: ArrayLike, beta: ArrayLike, mu_max: ArrayLike = 1.0) -> FloatArray:
    """Return B_catch = (mu* / a)^(1/beta): from there on no tree beats the single agent [X].

    inf where one agent never reaches mu* (mu_max < mu*, or beta = 0): then the tree's advantage has no end.
    """
    top, a_, beta_ = fraction("mu_star", mu_star), positive("a", a), between("beta", beta, 0.0)
    with np.errstate(over="ignore", divide="ignore"):
        budget = np.exp(np.minimum(np.log(top / a_) / np.where(beta_ > 0, beta_, 1.0), 709.0))
    reachable = (fraction("mu_max", mu_max) >= top) & (beta_ > 0)
    return np.where(reachable, budget, np.where((beta_ == 0) & (a_ >= top), 0.0, np.inf))


def synergy_boundary_exponent(budget: ArrayLike, x: ArrayLike, n: ArrayLike, beta: ArrayLike) -> FloatArray:
    """Return beta ln(B / x) / ln N, which the finite-depth exponent s_L must exceed for synergy at this budget [X].

    It lies above beta, because messages make B larger than N x. N must be at least 2.
    """
    ratio = positive("budget", budget) / positive("x", x)
    return np.asarray(between("beta", beta, 0.0) * np.log(ratio) / np.log(counts("n", n, 2)), dtype=np.float64)


def exact_threshold(
    b: int,
    gamma: float,
    rho: float,
    m: float,
    leaf: LeafLaw,
    depth: int = 1,
    *,
    c_agg: float = 0.0,
    lock: Lock = "after_channel",
) -> float:
    """Return the least budget at which the tree of `depth` levels equals the single agent, by the exact recursion [X].

    Slightly above `depth_threshold`, since growth only bounds the recursion from above. With leaves clipped at mu_max
    below 1 a tree may pass the clipped single agent even for s <= beta. inf when the tree never gets ahead.
    """
    c0 = float(overhead(b, m, c_agg))
    s = float(organization_exponent(b, gamma, rho, lock=lock))
    start = float(depth_threshold(b, depth, c0, leaf.beta, s))
    if start == 0:  # messages are free: the growth regime itself is enough
        return 0.0
    clip = float(catch_up_budget(leaf.mu_max, leaf.a, leaf.beta))  # the single agent is clipped from here on

    def lead(log_budget: float) -> float:
        budget = float(np.exp(log_budget))
        tree = trajectory(leaf(leaf_tokens(budget, b, depth, m, c_agg)), b, gamma, rho, depth, lock=lock)[-1]
        return float(tree - leaf(budget))

    # Until the clip the growth bound forbids a lead below `start`; there the lead is negative, then it may change sign.
    end = float(catch_up_budget(np.nan_to_num(fixed_point(b, gamma, rho, lock=lock)), leaf.a, leaf.beta))
    last = np.log(max(min(end, clip), start))
    low, step = np.log(start), 1e-4
    if low < last and lead(low) >= 0:  # beta = 0, or equal up to rounding
        return start
    for _ in range(_STEPS if low < last else 0):
        high = min(low + step, last)
        if lead(high) > 0:
            return float(np.exp(optimize.brentq(lead, low, high, xtol=1e-14, rtol=1e-14)))
        if high == last:
            break
        low, step = high, min(step * 1.5, 0.05)
    # Beyond the clip only the tree still gains, until its leaves are clipped too; no number is above the largest one.
    if leaf.mu_max < 1 and clip < _LARGEST / b**depth:
        low = np.log(max(clip, np.finfo(float).tiny))
        high = np.log(float(tree_cost(b, depth, clip, m, c_agg)) * (1 + 1e-9))
        if lead(low) < 0 < lead(high):
            return float(np.exp(optimize.brentq(lead, low, high, xtol=1e-14, rtol=1e-14)))
    return float("inf")


@dataclass(frozen=True)
class Allocation:
    """The allocation says how a tree of given fan-in and message length spends a budget, and where that pays.

    The fields from `x_star` on are None when s <= beta: then there is nothing to allocate, one agent takes all.
    """

    c0: float
    """Communication tokens per leaf."""
    s: float
    """Organization exponent."""
    beta: float
    mu_star: float
    synergy: bool
    """s > beta: some budget makes a tree of weak leaves beat one agent."""
    x_star: float | None = None
    """Best tokens per leaf."""
    growth_threshold: float | None = None
    depth_thresholds: tuple[float, ...] = ()
    """B*_1, B*_2, ...; B*_1 is the headline."""
    saturation: float | None = None
    catch_up: float | None = None

    def leaves(self, budget: float) -> float:
        """Return the real-valued best number of leaves N* for `budget` tokens; 1 without synergy."""
        return float(optimal_leaves(budget, self.c0, self.beta, self.s))

    def leaves_approximate(self, budget: float) -> float:
        """Return B / (x* + c0), which forgets that N leaves need only N - 1 shares of overhead; 1 without synergy."""
        return 1.0 if self.x_star is None else budget / (self.x_star + self.c0)

    def depth(self, budget: float, b: int) -> float:
        """Return the real-valued best depth L* = log_b N*."""
        return float(np.log(self.leaves(budget)) / np.log(b))

    def window(self) -> tuple[float, float] | None:
        """Return (B*_1, B_catch), the budgets between which synergy can live [X]; None if there are none."""
        if self.catch_up is None or self.depth_thresholds[0] >= self.catch_up:
            return None
        return self.depth_thresholds[0], self.catch_up

    def summary(self) -> str:
        """Return one line for a person."""
        window = self.window()
        if window is None:
            return f"no synergy: s={self.s:.3g}, beta={self.beta:.3g}; spend everything on one agent"
        return (
            f"synergy between {window[0]:.4g} and {window[1]:.4g} tokens (s={self.s:.3g} > beta={self.beta:.3g}); "
            f"give each leaf {self.x_star:.4g} tokens"
        )


def allocation(
    b: int,
    gamma: float,
    rho: float,
    m: float,
    leaf: LeafLaw,
    *,
    depths: int = 3,
    c_agg: float = 0.0,
    lock: Lock = "after_channel",
) -> Allocation:
    """Return the best allocation and the thresholds of a tree of fan-in b with messages of m tokens [x* P2, rest D]."""
    c0 = float(overhead(b, m, c_agg))
    s = float(organization_exponent(b, gamma, rho, lock=lock))
    top = float(np.nan_to_num(fixed_point(b, gamma, rho, lock=lock)))
    if s <= leaf.beta:
        return Allocation(c0, s, leaf.beta, top, synergy=False)
    return Allocation(
        c0,
        s,
        leaf.beta,
        top,
        synergy=True,
        x_star=float(optimal_leaf_tokens(c0, leaf.beta, s)),
        growth_threshold=float(growth_threshold(c0, leaf.beta, s)),
        depth_thresholds=tuple(float(depth_threshold(b, level, c0, leaf.beta, s)) for level in range(1, depths + 1)),
        saturation=float(saturation_budget(top, leaf.a, leaf.beta, s, c0)),
        catch_up=float(catch_up_budget(top, leaf.a, leaf.beta, leaf.mu_max)),
    )
