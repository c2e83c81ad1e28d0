"""This module plans a chain of voted steps from a sample of its steps: the lead k, votes and money, with intervals.

The sample's uncertainty is carried through: k and the votes fall as p rises, so the ends of the exact interval of p
give the ends of theirs. The plan votes with the k of the *lower* end, because a k that is too small loses the whole
chain and one that is too large costs a few per cent a vote.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from agentsoc.errors import InputError
from analysis.fitcard import Entry, FitCard
from analysis.interval import Interval, shown
from analysis.stats.proportions import clopper_pearson
from analysis.voting.ahead import (
    ahead_right,
    allowed_wrong,
    chain_right,
    chain_votes,
    shared,
    shared_ceiling,
    smallest_lead,
)

ASSUMPTIONS: Final = (
    "every subtask is as hard as the sampled ones (a few that are usually answered wrongly stop any vote)",
    "samples of one subtask err independently (see the ceiling of shared errors)",
    "two candidates: one rival takes all wrong answers (with several the vote does better)",
    "the filter drops answers whatever they say",
)


@dataclass(frozen=True)
class MakerPlan:
    """The plan says what a first-to-ahead-by-k vote needs so that a chain of steps holds."""

    steps: int
    m: int
    """Number of steps of a subtask."""
    target: float
    p: Interval
    """Probability that a valid sample of a subtask is right."""
    valid: Interval
    """Probability that a sample survives the filter."""
    k_min: Interval
    """Smallest lead; the upper end is inf when p could be 1/2 or less."""
    k: int | None
    """Lead to vote with: that of the lower end of p, else (None) no finite lead is safe."""
    p_sub: Interval
    """How often a voted subtask is right, with `k`."""
    p_full: Interval
    """How often the whole chain is right, with `k`."""
    votes: Interval
    """Expected samples of the whole chain, with `k`."""
    cost: Interval | None
    """Expected money of the whole chain; None without a price."""
    single: Interval
    """How often the chain is right without any vote."""
    rho: float
    """Fraction of subtasks with a shared error, as stated."""
    ceiling: float
    """How often the chain is right at most, whatever k, with that fraction and the estimated p."""
    rho_allowed: float
    """Largest fraction of subtasks with a shared error with which the target can still be reached."""
    card: FitCard

    def as_dict(self) -> dict[str, object]:
        """Return plain values for JSON."""
        intervals = ("p", "valid", "k_min", "p_sub", "p_full", "votes", "single")
        plain: dict[str, object] = {name: getattr(self, name) for name in ("steps", "m", "target", "k", "rho")}
        plain |= {name: getattr(self, name).as_dict() for name in intervals}
        plain["cost"] = None if self.cost is None else self.cost.as_dict()
        plain |= {"ceiling": self.ceiling, "rho_allowed": self.rho_allowed}
        return plain | {"assumptions": list(ASSUMPTIONS), "card": self.card.as_dict()}

    def summary(self) -> str:
        """Return the plan as text."""
        lead = "no finite lead is safe" if self.k is None else f"vote until one answer leads by {self.k}"
        top = "unbounded" if math.isinf(self.k_min.high) else f"{self.k_min.high:.0f}"
        best = "none" if math.isinf(self.k_min.value) else f"{self.k_min.value:.0f}"
        lines = [
            f"chain     {self.steps:,} steps in subtasks of {self.m}, to be right with probability {self.target:g}",
            f"p         {_precise(self.p)} right ({self.p.method}); valid {_precise(self.valid)}",
            f"k_min     {best} [{self.k_min.low:.0f}, {top}]; {lead}",
            f"subtask   {_precise(self.p_sub)} right after the vote",
            f"chain     {_precise(self.p_full)} right; without votes {_precise(self.single)}",
            f"votes     {shown(self.votes.value)} [{shown(self.votes.low)}, {shown(self.votes.high)}] samples",
        ]
        if self.k is None:
            lines[3:] = [lines[4].split("; ")[1].capitalize()]
        if self.cost is not None and self.k is not None:
            lines.append(f"cost      {shown(self.cost.value)} [{shown(self.cost.low)}, {shown(self.cost.high)}]")
        lines.append(
            f"ceiling   at most {self.ceiling:.4g} with shared errors in {self.rho:g} of the subtasks, whatever k; "
            f"the target allows {self.rho_allowed:.3g}"
        )
        lines += [f"assumes   {text}" for text in ASSUMPTIONS]
        return "\n".join([*lines, *(f"warning: {text}" for text in self.card.warnings)])


@dataclass(frozen=True)
class StepSample:
    """A random sample of the subtasks of a chain, one answer each."""

    right: int
    """Answers that were valid and right."""
    sampled: int
    """All answers, those that the filter dropped included."""
    invalid: int = 0
    """Answers that the filter dropped."""


def plan_maker(
    steps: int,
    sample: StepSample,
    *,
    target: float = 0.95,
    m: int = 1,
    rho: float = 0.0,
    price: float | None = None,
    level: float = 0.95,
) -> MakerPlan:
    """Plan a chain of `steps` from a random sample of its subtasks.

    Args:
        steps: dependent steps of the task, s.
        sample: answers to subtasks, and how many of them were right.
        target: probability with which the whole chain is to be right.
        m: steps of a subtask; the sample is of subtasks.
        rho: fraction of subtasks of which all samples share one draw.
        price: money for one sample.
        level: coverage of the intervals.

    Raises:
        InputError: numbers that cannot be.
    """
    right, sampled, invalid = sample.right, sample.sampled, sample.invalid
    if not (0 <= invalid < sampled and 0 <= right <= sampled - invalid):
        raise InputError(
            f"{right} right and {invalid} invalid of {sampled} samples is impossible", "", "sample some valid answers"
        )
    p = clopper_pearson(right, sampled - invalid, level=level)
    valid = clopper_pearson(sampled - invalid, sampled, level=level)
    data: dict[str, Entry] = {"samples": sampled, "valid": sampled - invalid, "right": right}
    return _plan(steps, p, valid, target, m, rho, price, data | {"dependence": "one sample a subtask"})


def plan_stated(
    steps: int,
    p: float,
    *,
    valid: float = 1.0,
    target: float = 0.95,
    m: int = 1,
    rho: float = 0.0,
    price: float | None = None,
) -> MakerPlan:
    """Plan a chain with a p that nobody measured: the same figures without intervals, and a warning.

    Raises:
        InputError: numbers that cannot be.
    """
    if not (0 <= p <= 1 and 0 < valid <= 1):
        raise InputError(f"p and valid must lie between 0 and 1, got {p:g} and {valid:g}")
    right, kept = (Interval(x, x, x, 0.0, "stated, not measured") for x in (p, valid))
    return _plan(steps, right, kept, target, m, rho, price, {"samples": 0})


def _plan(
    steps: int,
    p: Interval,
    valid: Interval,
    target: float,
    m: int,
    rho: float,
    price: float | None,
    data: dict[str, Entry],
) -> MakerPlan:
    _check(steps, target, m, rho)
    lead = smallest_lead(np.array([p.high, p.value, p.low]), steps, target=target, m=m)
    k = None if np.isinf(lead[2]) else int(lead[2])
    wrong = float(allowed_wrong(target, steps, m))
    ceiling = float(chain_right(shared_ceiling(p.value, rho), steps, m))
    warnings = []
    if not data["samples"]:
        warnings.append("p is stated: sample random steps and give --right and --of to get intervals")
    if k is None:
        warnings.append("p may be 1/2 or less: sample more steps, or make them easier, before voting")
    if ceiling < target:
        warnings.append(f"shared errors in {rho:g} of the subtasks keep the chain below the target, whatever k")
    if p.value == 1:
        warnings.append("no error was sampled: k rests on the upper end of the error rate alone")
    at = np.array([p.low, p.value, p.high])
    sub = shared(at, k, rho) if k else at
    votes = _votes(steps, k, m, p, valid)
    return MakerPlan(
        steps=steps, m=m, target=target, p=p, valid=valid,
        k_min=Interval(float(lead[1]), float(lead[0]), float(lead[2]), p.level, "ends of p"), k=k,
        p_sub=_interval(sub, p.level), p_full=_interval(chain_right(sub, steps, m), p.level), votes=votes,
        cost=None if price is None else _times(votes, price),
        single=_interval(chain_right(at, steps, m), p.level), rho=rho, ceiling=ceiling,
        rho_allowed=min(1.0, wrong / (1 - p.value)) if p.value < 1 else 1.0,
        card=_card(data, target, warnings, p.level),
    )  # fmt: skip


def growth_table(p: float, *, target: float = 0.95, decades: int = 6) -> tuple[tuple[int, int, float], ...]:
    """Return (steps, k_min, votes by the paper's k s / (2p - 1)) for 10, 100, ... steps: k grows with ln s [P]."""
    steps = 10 ** np.arange(1, decades + 1)
    leads = smallest_lead(p, steps, target=target)
    return tuple((int(s), int(k), float(k * s / (2 * p - 1))) for s, k in zip(steps, leads, strict=True))


def shared_rate(both_wrong: int, right: int, sampled: int) -> float:
    """Return the fraction of subtasks with a shared error, from two samples of each subtask, by moments, in [0, 1].

    P(both wrong) = rho q + (1 - rho) q^2 with q = 1 - p. Subtasks of unequal difficulty look the same: that fraction
    is then an upper bound of the shared draws, and no less of an obstacle.

    Args:
        both_wrong: subtasks of which both samples are wrong.
        right: right samples of all 2 n.
        sampled: subtasks n.

    Raises:
        InputError: impossible counts.
    """
    if not (0 <= both_wrong <= sampled and both_wrong * 2 <= 2 * sampled - right and 0 <= right <= 2 * sampled):
        raise InputError(f"{both_wrong} of {sampled} pairs both wrong, with {right} right samples, is impossible")
    q = 1 - right / (2 * sampled)
    if q in (0.0, 1.0):
        return 0.0
    return float(np.clip((both_wrong / sampled - q * q) / (q - q * q), 0, 1))


def _votes(steps: int, k: int | None, m: int, p: Interval, valid: Interval) -> Interval:
    """Return the samples of the chain; inf without a finite lead."""
    if k is None or valid.low == 0:
        return Interval(math.inf, math.inf, math.inf, p.level, "no finite lead")
    # Samples fall as p and v rise; both ends at once is wider than `level` asks for, never narrower.
    value, low, high = (
        float(chain_votes(a, steps, k, m=m, valid=v))
        for a, v in ((p.value, valid.value), (p.high, valid.high), (p.low, valid.low))
    )
    return Interval(value, low, high, p.level, "ends of p and of the filter")


def _times(votes: Interval, price: float) -> Interval:
    value, low, high = (price * x if price else 0.0 for x in (votes.value, votes.low, votes.high))
    return Interval(value, low, high, votes.level, "votes times price")


def _interval(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]], level: float) -> Interval:
    return Interval(float(values[1]), float(values[0]), float(values[2]), level, "ends of p")


def _check(steps: int, target: float, m: int, rho: float) -> None:
    if steps < 1 or m < 1 or m > steps:
        raise InputError(f"subtasks of {m} steps do not fit into a chain of {steps}")
    if not (0 < target < 1 and 0 <= rho <= 1):
        raise InputError(f"target and rho must lie between 0 and 1, got {target:g} and {rho:g}")


def _card(data: dict[str, Entry], target: float, warnings: list[str], level: float) -> FitCard:
    return FitCard(
        form={
            "equation": "p_sub = 1 / (1 + ((1-p)/p)^k), p_full = p_sub^(s/m)",
            "free": ("p", "valid"),
            "fixed": ("target", "m", "rho"),
            "target": target,
            "source": "arXiv 2511.09030; expected votes derived",
        },
        data=data,
        extraction={"p": "right / valid", "valid": "valid / samples"},
        optimisation={
            "estimator": "maximum likelihood (a proportion)",
            "uncertainty": f"Clopper-Pearson {level:g}, carried through monotone formulas",
            "hold_out": "none: run a short chain and compare",
        },
        warnings=tuple(warnings),
    )


def _precise(x: Interval) -> str:
    """Return an interval of probabilities with the digits that matter near 1."""
    digits = 3 if x.value < 0.99 else min(9, max(4, 2 - math.floor(math.log10(max(1 - x.value, 1e-9)))))
    return f"{x.value:.{digits}f} [{x.low:.{digits}f}, {x.high:.{digits}f}]"


def lead_is_enough(plan: MakerPlan, p: float) -> bool:
    """Return whether the planned lead reaches the target if samples are right with probability `p`, errors unshared."""
    if plan.k is None:
        return False
    return bool(chain_right(ahead_right(p, plan.k), plan.steps, plan.m) >= plan.target - 1e-12)
