"""This module sums over multinomial resamples, compiled: it draws as NumPy's `Generator.multinomial`, without arrays.

NumPy draws a resample of n tasks as n binomial numbers, each what is left of the resample for one task. Nearly all of
them are around one, for which it goes up the distribution from zero until a uniform number is used up. This does the
same with the same uniform numbers, so it draws the same; it only knows in advance the logarithms that are the same for
all resamples, and adds up at once.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from analysis.jit import compiled

F64 = NDArray[np.float64]

SPARE: Final = 4096
"""Uniform numbers that a resample may take beyond one for each task: one is taken again with probability 1e-10."""


def multinomial_sums(rng: np.random.Generator, draws: int, columns: F64) -> F64:
    """Return the sums of columns over resamples of their rows, as `rng.multinomial(n, [1/n] * n, draws) @ columns`.

    Args:
        rng: makes the resamples; it is left where that call leaves it.
        draws: number of resamples.
        columns: shape (n, n_columns).

    Returns:
        Shape (draws, n_columns).
    """
    n = len(columns)
    found = np.zeros((draws, columns.shape[1]))
    share, log_rest = _shares(n)
    columns = np.ascontiguousarray(columns, dtype=np.float64)
    uniform, at, used = np.zeros(0), 0, 0
    states: list[tuple[int, Any]] = []  # how many had been used and what state it was, before numbers were made
    for row in range(draws):
        if len(uniform) - at < n + SPARE:
            left = uniform[at:]
            states = [*states[-2:], (used + len(left), rng.bit_generator.state)]
            uniform, at = np.concatenate([left, rng.random(4 * (n + SPARE) - len(left))]), 0
        end = _resample(n, share, log_rest, uniform, at, columns, found[row])
        if end < 0:
            raise OverflowError(f"a resample of {n} tasks took more than {n + SPARE} uniform numbers")
        at, used = end, used + end - at
    begin, state = next(known for known in reversed(states) if known[0] <= used)
    rng.bit_generator.state = state
    rng.random(used - begin)
    return found


def _shares(n: int) -> tuple[F64, F64]:
    """Return, for each task but the last, its share of what the tasks before it left, and log1p of minus the share.

    The share that is left is taken down step by step, as NumPy does, with the rounding of that.
    """
    each = 1 / n
    left = np.subtract.accumulate(np.concatenate([[1.0], np.full(max(n - 2, 0), each)]))
    share = each / left if n > 1 else np.zeros(0)
    turned = np.where(share <= 0.5, share, 1.0 - share)
    return share, np.log1p(-turned)


@compiled
def _resample(n: int, share: F64, log_rest: F64, uniform: F64, at: int, columns: F64, sums: F64) -> int:
    """Add one resample to `sums`; return where in `uniform` the next one begins, -1 if they ran out."""
    left = n
    width = columns.shape[1]
    for task in range(n):
        if task == n - 1:
            count = left
        else:
            p = share[task]
            turned = p > 0.5
            if turned:
                p = 1.0 - p
            q = 1.0 - p
            px = math.exp(left * log_rest[task])
            u = uniform[at]
            at += 1
            count = 0
            first = px
            while u > px:
                count += 1
                if count > 10:  # the bound is never below
                    mean = left * p
                    bound = min(float(left), mean + 10.0 * math.sqrt(mean * q + 1.0))
                    if count > int(bound):
                        if at >= len(uniform):
                            return -1
                        count = 0
                        px = first
                        u = uniform[at]
                        at += 1
                        continue
                u -= px
                px = ((left - count + 1) * p * px) / (count * q)
            if turned:
                count = left - count
        if count:
            for column in range(width):
                sums[column] += count * columns[task, column]
            left -= count
            if left <= 0:
                break
    return at
