"""This module measures how fast a system returns from a push: the sign of slowing that needs no statistics of noise.

A simulator can push, and can be run twice on the same chance: once displaced, once not. The mean displacement D_k after
k steps is fitted by D_1 r^(k-1), by least squares; near a stable state r is the coefficient phi of the AR(1) process
that the system is like, and -1 / ln r the recovery time in steps. A negative r means that the system overshoots. The
push has to be small: far from the state, a system returns by other rules. Intervals are percentiles of a bootstrap over
replicas.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from agentsoc.errors import InputError
from agentsoc.streams import stream
from analysis.interval import FloatArray, Interval
from analysis.percentiles import percentile_levels

REPLICAS_LEAST: Final = 10
STEPS_LEAST: Final = 3
METHOD: Final = "bootstrap over replicas"
_GRID: Final = np.concatenate([-np.linspace(0.999, 0.001, 500), np.linspace(0.001, 0.999, 500)])


@dataclass(frozen=True)
class Recovery:
    """The object says how fast displaced replicas return."""

    rate: Interval
    """r, the share of a displacement that is left after a step."""
    displacement: FloatArray
    """Mean displacement after 1, 2, ... steps, shape (n_steps,)."""
    replicas: int

    @property
    def time(self) -> Interval | None:
        """Recovery time -1 / ln r (steps); None where it may overshoot, or its return is not told from none."""
        if self.rate.low <= 0 or self.rate.open_high:
            return None
        return self.rate.mapped(lambda r: -1 / math.log(r))

    def summary(self) -> str:
        """Return the recovery in words."""
        said = f"{self.replicas:,} replicas: {self.rate} of a push is left after a step"
        if self.time is not None:
            return f"{said}, recovery time {self.time} steps"
        if self.rate.high < 0:
            return f"{said}: the system overshoots"
        return f"{said}; a recovery time is not told"


def recovery(displaced: ArrayLike, control: ArrayLike | None = None, *, draws: int = 400, seed: int = 0) -> Recovery:
    """Return how fast replicas return that were pushed.

    Args:
        displaced: what is watched 1, 2, ... steps after the push, shape (n_replicas, n_steps).
        control: the same replicas, with the same chance, without the push; None for a state of 0.
        draws: bootstrap samples.
        seed: seed of the bootstrap.

    Raises:
        InputError: fewer than ten replicas or three steps, different shapes, values that are not finite, or no
            displacement.
    """
    x = np.asarray(displaced, dtype=np.float64)
    still = np.zeros_like(x) if control is None else np.asarray(control, dtype=np.float64)
    if x.ndim != 2 or x.shape != still.shape:
        what = f"displaced has shape {x.shape}, control {still.shape}"
        raise InputError(what, "", "give both as (replicas, steps after the push)")
    if x.shape[0] < REPLICAS_LEAST or x.shape[1] < STEPS_LEAST:
        what = f"there are {x.shape[0]} replicas of {x.shape[1]} steps"
        raise InputError(
            what, "", f"a recovery needs {REPLICAS_LEAST} replicas and {STEPS_LEAST} steps, better hundreds"
        )
    off = x - still
    if not np.isfinite(off).all():
        raise InputError("a displacement is not finite", "", "leave such replicas out")
    if not np.any(off):
        raise InputError("nothing is displaced one step after the push", "", "push more, or watch what was pushed")
    drawn = stream(seed, "recovery").multinomial(len(off), np.full(len(off), 1 / len(off)), size=draws) / len(off)
    mean = off.mean(axis=0)
    rates = _rates(np.concatenate([mean[None], drawn @ off]))
    low, high = (float(one) for one in np.quantile(rates[1:], percentile_levels(0.95, len(off))))
    value = float(rates[0])
    ends = (float(_GRID[0]), float(_GRID[-1]))
    rate = Interval(
        value, min(low, value), max(high, value), method=METHOD, open_low=low <= ends[0], open_high=high >= ends[1]
    )  # fmt: skip
    return Recovery(rate, mean, len(off))


def _rates(mean: FloatArray) -> FloatArray:
    """Return the r that fits each row of mean displacements best, shape (n_rows,)."""
    powers = _GRID[:, None] ** np.arange(mean.shape[1])
    gain = (mean @ powers.T) ** 2 / (powers**2).sum(axis=1)
    at = np.argmax(gain, axis=1)
    inner = np.clip(at, 1, _GRID.size - 2)
    left, here, right = (gain[np.arange(len(mean)), inner + step] for step in (-1, 0, 1))
    bend = left - 2 * here + right
    shift = np.where(bend < 0, 0.5 * (left - right) / np.where(bend < 0, bend, -1.0), 0.0)
    step = np.where(np.abs(shift) <= 1, shift, 0.0) * (_GRID[1] - _GRID[0])
    return np.asarray(np.where(inner == at, _GRID[inner] + step, _GRID[at]))
