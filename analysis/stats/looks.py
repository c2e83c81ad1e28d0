"""This module says at which level each of several looks at growing data may test, so that all together keep alpha.

Whoever adds seeds until something shows finds something in the end: with ten looks at 5 % in up to 19 % of comparisons
of equals. Lan and DeMets (Biometrika 70, 1983) spend alpha look by look instead; of the function that resembles O'Brien
and Fleming's limits, look j of K planned ones has spent

    alpha(j) = 4 - 4 Phi(z / sqrt(j / K)),    z the upper normal quantile of alpha / 4,

half of it on either side, which leaves nearly all of it for the end. The level of a look follows from what it may spend
and from how much of its data the earlier looks had seen: sums of n and m > n tasks have correlation sqrt(n / m), so the
levels hold whatever number of tasks each look adds. They hold for looks that come when they were planned to, not for
those that somebody chooses by what the data show. The normal law is used for the dependence of looks only; each test
keeps its own p.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy import optimize, stats

from agentsoc.errors import InputError
from analysis.interval import FloatArray

MOST_LOOKS: Final = 50
_GRID: Final = 241
_FAR: Final = 8.0
"""Standard errors beyond which nothing is."""


def spent(look: int, planned: int, alpha: float) -> float:
    """Return how much of alpha looks 1 to `look` of `planned` may have spent; all of it from the last one on."""
    share = min(look / planned, 1.0)
    return float(4 * stats.norm.sf(stats.norm.isf(alpha / 4) / np.sqrt(share)))


def look_levels(sizes: Sequence[float], planned: int, *, alpha: float = 0.05) -> list[float]:
    """Return the two-sided level of each look so far.

    Args:
        sizes: tasks (or other independent units) that each look had, each more than the one before.
        planned: looks planned in all; a look beyond them has level 0.
        alpha: probability of a false alarm over all looks; divide by the number of comparisons for several.

    Raises:
        InputError: no or too many looks are planned, or a look had not more data than the one before.
    """
    if not 1 <= planned <= MOST_LOOKS:
        raise InputError(f"looks are planned in numbers from 1 to {MOST_LOOKS}, got {planned}")
    if any(later <= earlier for earlier, later in zip((0.0, *sizes), sizes, strict=False)):
        raise InputError(f"each look needs more data than the one before, got {list(sizes)}")
    levels: list[float] = []
    inside: tuple[FloatArray, FloatArray] | None = None  # grid of sums, and mass of them still undecided
    before = 0.0
    for number, size in enumerate(sizes, 1):
        if number > planned:
            levels.append(0.0)
            continue
        allowed = spent(number, planned, alpha) - (spent(number - 1, planned, alpha) if number > 1 else 0.0)
        limit = _limit(inside, size, before, allowed)
        inside, before = _kept(inside, size, before, limit), size
        levels.append(float(2 * stats.norm.sf(limit)))
    return levels


def _limit(inside: tuple[FloatArray, FloatArray] | None, size: float, before: float, allowed: float) -> float:
    """Return the limit, in standard errors, that what is still undecided passes with the probability allowed."""
    if inside is None:
        return float(stats.norm.isf(allowed / 2))
    grid, mass = inside

    def passed(limit: float) -> float:
        reach, step = limit * np.sqrt(size), np.sqrt(size - before)
        out = stats.norm.sf((reach - grid) / step) + stats.norm.cdf((-reach - grid) / step)
        return float(mass @ out) - allowed

    if passed(_FAR) >= 0:
        return _FAR
    return float(optimize.brentq(passed, 0.0, _FAR, xtol=1e-8))


def _kept(
    inside: tuple[FloatArray, FloatArray] | None, size: float, before: float, limit: float
) -> tuple[FloatArray, FloatArray]:
    """Return the sums within the limit and their mass, by Simpson's rule over the density."""
    reach = min(limit, _FAR) * np.sqrt(size)
    grid = np.linspace(-reach, reach, _GRID)
    if inside is None:
        density = stats.norm.pdf(grid / np.sqrt(size)) / np.sqrt(size)
    else:
        step = np.sqrt(size - before)
        density = stats.norm.pdf((grid[:, None] - inside[0][None, :]) / step) @ inside[1] / step
    weight = np.full(_GRID, 2.0)
    weight[1::2] = 4.0
    weight[[0, -1]] = 1.0
    return grid, np.asarray(density * weight * (grid[1] - grid[0]) / 3, dtype=np.float64)
