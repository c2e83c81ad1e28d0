"""This module says what a paired comparison can see: the smallest difference, and the tasks that a difference needs.

The unit is the task. The mean difference of a task over its seeds spreads by sqrt(between + within / seeds): seeds only
lower the second part, so past a few of them more tasks are worth more than more seeds. Power is that of the two-sided
t test on task means (its wrong-sign tail, below 1e-4 wherever power exceeds 0.5, is left out). The exact sign-flip test
of answers right or wrong moves in steps, which costs it half a step on average: `grain` says how large they are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from agentsoc.errors import InputError
from analysis.stats.bootstrap import Bounds, kind_for, with_pseudo_tasks
from analysis.stats.clusters import TaskSums

_MOST_TASKS = 10_000_000


@dataclass(frozen=True)
class Components:
    """The object holds the variance of paired differences, split as an experiment can act on it."""

    between: float
    """Variance over tasks of the true difference (squared units of the value)."""
    within: float
    """Variance of one pair around its task's true difference; 0 when it cannot be told apart from `between`."""

    def sd(self, seeds: float) -> float:
        """Return the standard deviation over tasks of the mean difference of `seeds` pairs."""
        return math.sqrt(self.between + self.within / seeds)


def components(sums: TaskSums, bounds: Bounds | None = None) -> Components:
    """Return the variance components of the paired differences of an experiment.

    With bounds and few tasks off the commonest value, pseudo-tasks are added as for the interval: a pilot in which
    everything tied does not show that every difference is detectable.

    Args:
        sums: differences by task.
        bounds: range of a difference.

    Raises:
        InputError: fewer than two tasks.
    """
    if sums.n_tasks < 2:
        raise InputError("planning needs at least two tasks with both organisations", "", "run a pilot of 10 or more")
    if bounds is not None and kind_for(sums, bounds) == "pseudo":
        _, error, n = with_pseudo_tasks(sums, bounds)
        total = error**2 * n
    else:
        total = sums.se**2 * sums.n_tasks
    if math.isnan(sums.within):
        return Components(total, 0.0)
    share = min(total, sums.within * float(np.mean(1 / sums.rows)))
    return Components(total - share, share * float(sums.rows.mean()))


def power(difference: float, sd: float, n_tasks: float, *, alpha: float = 0.05, grain: float = 0.0) -> float:
    """Return the probability that a true `difference` is found at level `alpha` (two-sided).

    Args:
        difference: true mean difference.
        sd: standard deviation of the tasks' mean differences.
        n_tasks: tasks, more than 1.
        alpha: false-alarm rate; divide by the number of comparisons to plan for Holm's correction.
        grain: smallest change of a task's mean: 1 / seeds for answers right or wrong, 0 for values without steps.
    """
    df = n_tasks - 1
    if sd == 0:
        return 1.0 if difference else alpha
    shift = max(abs(difference) - grain / n_tasks, 0.0) / sd * math.sqrt(n_tasks)
    critical = float(stats.t.ppf(1 - alpha / 2, df))
    if df > 300 or shift > 30:  # Student's t and the normal agree to 3 digits; the noncentral t loses digits far out
        return float(stats.norm.sf(critical - shift))
    return float(stats.nct.sf(critical, df, shift))


def detectable(sd: float, n_tasks: int, *, alpha: float = 0.05, wanted: float = 0.8, grain: float = 0.0) -> float:
    """Return the smallest true difference that is found with probability `wanted`, in units of the value.

    Raises:
        InputError: fewer than two tasks, or rates outside (0, 1).
    """
    _check(alpha, wanted)
    if n_tasks < 2:
        raise InputError(f"a comparison needs at least two tasks, got {n_tasks}")
    if sd == 0:
        return 0.0
    ends = (float(stats.t.ppf(1 - tail, n_tasks - 1)) for tail in (alpha / 2, 1 - wanted))
    start = sum(ends) * sd / math.sqrt(n_tasks)
    found = optimize.brentq(lambda d: power(d, sd, n_tasks, alpha=alpha) - wanted, start / 4, start * 4, rtol=1e-6)
    return float(found) + grain / n_tasks


def tasks_needed(
    difference: float, sd: float, *, alpha: float = 0.05, wanted: float = 0.8, grain: float = 0.0
) -> int | None:
    """Return the fewest tasks with which a true `difference` is found with probability `wanted`; None above 10^7.

    Raises:
        InputError: the difference is 0, or rates lie outside (0, 1).
    """
    _check(alpha, wanted)
    if difference == 0:
        raise InputError("no number of tasks finds a difference of 0", "", "state the smallest one that matters to you")

    def enough(n: int) -> bool:
        return power(difference, sd, n, alpha=alpha, grain=grain) >= wanted

    low, high = 1, 2
    while not enough(high):
        low, high = high, 2 * high
        if low > _MOST_TASKS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _check(alpha: float, wanted: float) -> None:
    if not (0 < alpha < 1 and 0 < wanted < 1):
        raise InputError(f"alpha and power must lie between 0 and 1, got {alpha:g} and {wanted:g}")
