"""This module says when further attempts, or rounds, stop paying: the saturation point of F (1 - (1-p)^N).

The form is that of "Scaling over Scaling" (TTSPM): unit N adds F p (1-p)^N; F is what is reached in the end. It suits
attempts (each finds the answer with probability p) and rounds (each repairs a fraction p of what is left). Fitted to
successes at several N by maximum likelihood; the interval of N* comes from resampling tasks when the table has them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import special

from agentsoc.errors import InputError
from agentsoc.streams import stream
from analysis.fitcard import FitCard, range_warnings
from analysis.interval import FloatArray, Interval, shown

STARTS: Final = tuple(
    (f, p) for f in (0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 0.99) for p in (0.003, 0.01, 0.03, 0.1, 0.2, 0.4, 0.6, 0.8)
)

SCORING_STEPS: Final = 200
LIMIT: Final = 12.0


def saturation_point(p: float, epsilon: float, *, top: float = 1.0) -> float:
    """Return N* with F p (1-p)^N* = epsilon: beyond it a unit adds less than epsilon; 0 when none ever adds as much.

    N* = ln(epsilon / (F p)) / ln(1 - p).

    Args:
        p: success of one unit, in (0, 1).
        epsilon: gain that no longer pays, above 0.
        top: F, what is reached in the end, in (0, 1].

    Raises:
        InputError: a number is out of range.
    """
    if not (0 < p < 1 and epsilon > 0 and 0 < top <= 1):
        raise InputError(f"need 0 < p < 1, epsilon > 0 and 0 < F <= 1, got {p:g}, {epsilon:g}, {top:g}")
    return max(0.0, math.log(epsilon / (top * p)) / math.log1p(-p))


@dataclass(frozen=True)
class Saturation:
    """The object holds F and p fitted to accuracies, and where they saturate."""

    top: Interval
    """F, accuracy reached in the end."""
    p: Interval
    """Share of what is left that one unit adds."""
    point: Interval
    """N*, units beyond which one adds less than `epsilon`."""
    epsilon: float
    card: FitCard

    def summary(self) -> str:
        """Return one line."""
        units = f"{shown(self.point.value)} [{shown(self.point.low)}, {shown(self.point.high)}]"
        return (
            f"saturates at {self.top}, a unit adds {self.p} of the rest; below {self.epsilon:g} a unit from N = {units}"
        )


def fit_saturation(
    units: FloatArray,
    right: FloatArray,
    *,
    epsilon: float = 0.01,
    replicates: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Saturation:
    """Fit F and p to whether each task was right at each number of units; the same tasks at all.

    Args:
        units: N of each column, shape (n_levels,), each at least 1.
        right: 0 or 1, shape (n_tasks, n_levels).
        epsilon: gain that no longer pays.
        replicates: resamples of tasks.
        level: coverage of the intervals.
        seed: root of the resampling.

    Raises:
        InputError: fewer than three levels or two tasks, or no task was ever right.
    """
    n_tasks, n_levels = right.shape
    if n_levels != units.size or n_levels < 3 or n_tasks < 2 or units.min() < 1:
        raise InputError(f"need 3 or more levels of N >= 1 and 2 or more tasks, got {n_levels} and {n_tasks}")
    if not right.any():
        raise InputError("no task was ever right: nothing to fit", "", "take easier tasks or more units")
    best, lost = _fit(units, right.sum(axis=0), n_tasks)
    rng = stream(seed, "voting", "saturation")
    weights = rng.multinomial(n_tasks, np.full(n_tasks, 1 / n_tasks), size=replicates).astype(np.float64)
    start = np.tile(special.logit(np.clip(best, 1e-5, 1 - 1e-5)), (replicates, 1))
    tops, ps = _score(units, weights @ right, n_tasks, start)
    points = [saturation_point(p, epsilon, top=top) for top, p in zip(tops.tolist(), ps.tolist(), strict=True)]
    drawn = np.column_stack([tops, ps, points])
    ends = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    values = (*best, saturation_point(best[1], epsilon, top=best[0]))
    top, p, point = (
        Interval(v, float(ends[0, i]), float(ends[1, i]), level, "bootstrap over tasks") for i, v in enumerate(values)
    )
    warnings = list(range_warnings(units, "N"))
    if point.value > units.max():
        warnings.append(f"N* lies beyond the largest N of {units.max():g}: it is extrapolated")
    card = FitCard(
        form={"equation": "accuracy = F (1 - (1-p)^N)", "free": ("F", "p"), "x": "units N (attempts or rounds)"},
        data={"tasks": n_tasks, "levels": tuple(float(u) for u in units), "dependence": "same tasks at all levels"},
        extraction={"accuracy": "share of tasks right"},
        optimisation={
            "loss": "binomial likelihood", "bounds": "0 < F <= 1, 0 < p < 1", "optimiser": "Fisher scoring in logits",
            "starts": len(STARTS), "loss_at_optimum": lost, "uncertainty": f"{replicates} resamples of tasks",
            "hold_out_error": _hold_out(units, right.sum(axis=0), n_tasks),
        },
        warnings=tuple(warnings),
    )  # fmt: skip
    return Saturation(top, p, point, epsilon, card)


def _curve(units: FloatArray, top: float, p: float) -> FloatArray:
    return np.asarray(-top * np.expm1(units * math.log1p(-p)))


def _fit(units: FloatArray, right: FloatArray, n: int) -> tuple[tuple[float, float], float]:
    """Return (F, p) of the highest likelihood over all starts, and the loss per task."""
    starts = special.logit(np.array(STARTS))
    tops, ps = _score(units, np.tile(right, (len(STARTS), 1)), n, starts)
    share = np.clip(tops[:, None] * -np.expm1(units * np.log1p(-ps[:, None])), 1e-12, 1 - 1e-12)
    loss = -(np.log(share) @ right + np.log1p(-share) @ (n - right)) / n
    best = int(np.argmin(loss))
    return (float(tops[best]), float(ps[best])), float(loss[best])


def _score(units: FloatArray, right: FloatArray, n: int, start: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return F and p of many tables of counts, shape (n_tables,) each, by Fisher scoring in logits.

    Steps are cut to 1 and logits to +-12, as F tends to 1 where no plateau is seen.

    Args:
        units: N of each level, shape (n_levels,).
        right: tasks right, shape (n_tables, n_levels).
        n: tasks.
        start: logits of F and p, shape (n_tables, 2).
    """
    at = np.clip(start, -LIMIT, LIMIT)
    for _ in range(SCORING_STEPS):
        f, q = special.expit(at[:, :1]), special.expit(at[:, 1:])
        reached = -np.expm1(units * np.log1p(-q))
        share = np.clip(f * reached, 1e-12, 1 - 1e-12)
        weight = n / (share * (1 - share))
        down, along = reached * f * (1 - f), units * (1 - reached) * f * q
        off = right / n - share
        g1, g2 = (weight * off * down).sum(axis=1), (weight * off * along).sum(axis=1)
        a, b, c = ((weight * x).sum(axis=1) for x in (down**2, down * along, along**2))
        a, c = a + 1e-9, c + 1e-9
        det = np.maximum(a * c - b * b, 1e-300)
        step = np.clip(np.column_stack([(c * g1 - b * g2) / det, (a * g2 - b * g1) / det]), -1, 1)
        moved = np.clip(at + step, -LIMIT, LIMIT)
        if np.abs(moved - at).max() < 1e-9:
            break
        at = moved
    return special.expit(at[:, 0]), special.expit(at[:, 1])


def _hold_out(units: FloatArray, right: FloatArray, n: int) -> float:
    """Return |predicted - seen| accuracy at the largest N, fitted without it."""
    last = int(np.argmax(units))
    rest = np.arange(units.size) != last
    if not right[rest].any():
        return float("nan")
    (top, p), _ = _fit(units[rest], right[rest], n)
    return abs(float(_curve(units[[last]], top, p)[0]) - float(right[last]) / n)
