"""This module says from which budget on a tree is worth more than one agent, by parameters that were measured.

`analysis.synergy.theory.budget.exact_threshold` says the same of parameters that are known. Here they are estimates, so
the budget has an interval: each joint draw of the parameters has a budget of its own, or none.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from analysis.interval import Interval
from analysis.synergy.estimation.measured import Measured
from analysis.synergy.planning.design import Design
from analysis.synergy.planning.parameter_draws import ParameterDraws
from analysis.synergy.theory.arrays import FloatArray
from analysis.synergy.theory.costs import leaf_tokens, tree_cost

STEPS: Final = 400
"""Budgets at which tree and single agent are compared; between two of them the lead is read in proportion."""
MOST: Final = 1e12
"""Largest budget that is looked at (tokens)."""
METHOD: Final = "draws of the measured parameters"


def measured_threshold(
    measured: Measured, *, b: int | None = None, m: int | None = None, depth: int = 1, level: float = 0.95
) -> Interval | str:
    """Return the least budget at which a tree equals the single agent, or why none is known.

    Draws in which the tree never gets ahead count as budgets without limit: the interval is then open above.

    Args:
        measured: what was measured of the agents.
        b: fan-in, odd; by default the measured one.
        m: tokens of a message, one of those that were measured; by default the first.
        depth: levels of the tree; 1 is a star.
        level: coverage of the interval.
    """
    fan_in = measured.b if b is None else b
    lengths = [one.m for one in measured.messages]
    message = m if m is not None else next(iter(lengths), None)
    if message not in lengths:
        return "the fidelity of such messages was not measured"
    if not {"a", "beta", "rho"} <= set(measured.points):
        return "how leaves gain by compute, or how they err together, was not measured"
    world = ParameterDraws(measured)
    low = float(tree_cost(fan_in, depth, 1.0, message, measured.c_agg))
    budgets = np.geomspace(low, _end(world, fan_in, message, depth), STEPS)
    shape = measured.shape
    lead = np.empty((world.a.size, STEPS))
    for at, budget in enumerate(budgets):
        leaf = float(leaf_tokens(budget, fan_in, depth, message, measured.c_agg))
        n_leaves = fan_in**depth
        tree = Design("star" if depth == 1 else "tree", fan_in, message, depth, n_leaves, leaf, 1.0, 0.0)
        alone = Design("single", 1, 0, 0, 1, float(budget), 1.0, 0.0)
        lead[:, at] = world.signals(tree, shape) - world.signals(alone, shape)
    found = np.array([_first(row, budgets) for row in lead])
    if not np.isfinite(found[0]):
        return "by the measured parameters the tree never gets ahead"
    tail = (1 - level) / 2
    ends = np.quantile(found[1:], [tail, 1 - tail], method="inverted_cdf")
    first, last = min(float(ends[0]), float(found[0])), max(float(ends[1]), float(found[0]))
    return Interval(float(found[0]), first, last, level, METHOD, open_high=not np.isfinite(last))


def _end(world: ParameterDraws, b: int, m: int, depth: int) -> float:
    """Return the budget from which on nothing changes in any draw: leaves and single agent are as good as they get."""
    measured = world.measured
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        full = (measured.mu_max / world.a) ** (1 / world.beta)
    largest = float(np.max(full[np.isfinite(full) & (full > 1)], initial=1.0))
    return min(max(float(tree_cost(b, depth, min(largest, MOST), m, measured.c_agg)), 10 * b * (m + 1.0)), MOST)


def _first(lead: FloatArray, budgets: FloatArray) -> float:
    """Return the first budget at which a lead rises to 0; infinite where it never does."""
    ahead = np.flatnonzero(lead > 0)
    if not ahead.size:
        return float("inf")
    at = int(ahead[0])
    if at == 0:
        return float(budgets[0])
    share = -lead[at - 1] / (lead[at] - lead[at - 1])
    return float(np.exp(np.log(budgets[at - 1]) + share * (np.log(budgets[at]) - np.log(budgets[at - 1]))))
