"""This module says from which budget on a tree is worth more than one agent, by parameters that were measured.

`analysis.synergy.theory.budget.exact_threshold` says the same of parameters that are known. Here they are estimates, so
the budget has an interval: each joint draw of the parameters has a budget of its own, or none.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from agentsoc.errors import InputError
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
    """Return the least budget at which a tree equals the single agent (tokens), or in words why none is known.

    Budgets are looked at from a token a leaf on and up to `MOST`. Draws in which the tree is ahead from the first of
    them on have their budget at or below it: where the interval ends there, it is open below. Draws in which the tree
    never gets ahead count as budgets without limit: the interval is then open above.

    Args:
        measured: what was measured of the agents.
        b: fan-in, odd and at least 3; by default the measured one.
        m: tokens of a message, one of those that were measured; by default the first.
        depth: levels of the tree, at least 1; 1 is a star.
        level: coverage of the interval.

    Raises:
        InputError: the fan-in is even or below 3, or the depth below 1.
    """
    fan_in = measured.b if b is None else b
    if fan_in < 3 or fan_in % 2 == 0:
        raise InputError(f"the fan-in of a tree must be odd and at least 3, got b = {fan_in}")
    if depth < 1:
        raise InputError(f"a tree must have at least 1 level, got depth = {depth}")
    lengths = [one.m for one in measured.messages]
    message = m if m is not None else next(iter(lengths), None)
    if message not in lengths:
        return "the fidelity of such messages was not measured"
    if not {"a", "beta", "rho"} <= set(measured.points):
        return "how leaves gain by compute, or how they err together, was not measured"
    if measured.points["beta"] <= 0:
        return "by the measured parameters no agent gains by compute (beta is not above 0), so no budget decides"
    world = ParameterDraws(measured)
    low = float(tree_cost(fan_in, depth, 1.0, message, measured.c_agg))
    if low >= MOST:
        return f"such a tree costs {low:.2g} tokens at one a leaf, and budgets are looked at up to {MOST:.0e}"
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
        return f"by the measured parameters the tree never gets ahead at budgets up to {MOST:.0e} tokens"
    if found[0] <= low:
        return f"by the measured parameters the tree is ahead already at {low:,.0f} tokens, one a leaf: at or below"
    tail = (1 - level) / 2
    ends = np.quantile(found[1:], [tail, 1 - tail], method="inverted_cdf")
    first, last = min(float(ends[0]), float(found[0])), max(float(ends[1]), float(found[0]))
    opens = {"open_low": first <= low, "open_high": not np.isfinite(last)}
    return Interval(float(found[0]), first, last, level, METHOD, **opens)


def _end(world: ParameterDraws, b: int, m: int, depth: int) -> float:
    """Return the budget from which on nothing changes in any draw: leaves and single agent are as good as they get."""
    measured = world.measured
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        full = (measured.mu_max / world.a) ** (1 / world.beta)
    gains = (world.a > 0) & (world.beta > 0)  # others have no such budget; one beyond all numbers is cut below
    largest = float(np.max(full[gains], initial=1.0))
    return min(max(float(tree_cost(b, depth, min(largest, MOST), m, measured.c_agg)), 10 * b * (m + 1.0)), MOST)


def _first(lead: FloatArray, budgets: FloatArray) -> float:
    """Return the first budget at which a lead rises to 0, the least of all if it is above; infinite without any."""
    ahead = np.flatnonzero(lead > 0)
    if not ahead.size:
        return float("inf")
    at = int(ahead[0])
    if at == 0:
        return float(budgets[0])
    share = -lead[at - 1] / (lead[at] - lead[at - 1])
    return float(np.exp(np.log(budgets[at - 1]) + share * (np.log(budgets[at]) - np.log(budgets[at - 1]))))
