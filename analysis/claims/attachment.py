"""This module asks whether attention goes to what already has it: it fits beta of P(choose i) ~ (x_i + c)^beta.

Every act that builds on claims is a choice from a risk set: the claims its author could see. beta is the conditional
(multinomial) logit coefficient of log(x_i + c), x_i being how often claim i was built on before; several parents are
sequential choices without replacement in the order listed:

    log L(beta) = sum over choices of  beta l_chosen - log sum over those left of exp(beta l_j)

An act that takes everything it sees says nothing about preference and is left out; if nothing is left, beta is not
identified and no number is given. With a risk set larger than what was visible, beta measures the topology instead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from agentsoc.errors import InputError
from analysis.claims.attachment_choices import Choices
from analysis.claims.attachment_rivals import Examined
from analysis.fitcard import FitCard
from analysis.jit import compiled

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

BOUND: Final = 5.0
"""Largest |beta| that counts as an estimate; the search ends there."""
SENSITIVITY: Final = (0.5, 1.0, 2.0)


@dataclass(frozen=True)
class Attachment:
    """The object holds the estimate of the attachment exponent, or says why there is none."""

    beta: float | None
    """Attachment exponent; None if it is not identified."""
    se: float | None
    """Standard error of beta from the observed information, with decisions taken as independent."""
    interval: tuple[float, float] | None
    """95 % interval from the jackknife over executions; None if not asked for, not identified or at its bound."""
    constant: float
    """The c in log(x + c)."""
    sensitivity: dict[float, float]
    """Exponent beta for other constants c."""
    n_decisions: int
    n_choices: int
    n_uninformative: int
    """Decisions left out: they took their whole risk set, or its alternatives were equally engaged."""
    clusters: int
    at_bound: bool
    reason: str
    """Why beta is not identified or only a bound; empty if it is an estimate."""
    card: FitCard
    examined: Examined | None = None
    """What else explains the choices, and the word for all of it; None where it was not asked for, or too little is
    known. With it, beta is the exponent beside ages and authors, `constant` the estimated offset, and `interval` the
    profile likelihood's."""
    plain: float | None = None
    """The exponent with offset 1 and nothing beside it, where `beta` is another."""
    plain_interval: tuple[float, float] | None = None
    """Interval of `plain` by the jackknife over executions."""

    def summary(self) -> str:
        """Return one line."""
        if self.beta is None:
            return f"beta is not identified: {self.reason}"
        if self.examined is not None:
            basis = f"{self.n_choices} choices in {self.clusters} executions"
            return f"{self.examined.summary()}; offset {self.constant:.3g} {self.examined.offset.brackets()}; {basis}"
        basis = f"from {self.n_choices} choices in {self.clusters} executions"
        if self.at_bound:
            return f"beta is beyond {self.beta:.0f} {basis} ({self.reason})"
        interval = f" [{self.interval[0]:.3f}, {self.interval[1]:.3f}]" if self.interval else f" +- {self.se:.3f}"
        return f"beta = {self.beta:.3f}{interval} {basis}"


def fit_attachment(
    choices: Choices,
    *,
    constant: float = 1.0,
    first_only: bool = False,
    replacement: bool = False,
    groups: int = 0,
) -> Attachment:
    """Return the attachment exponent of `choices`.

    Args:
        choices: decisions with their risk sets.
        constant: c in log(x + c), so that what nobody built on yet can be chosen.
        first_only: use only the first choice of each decision.
        replacement: the naive likelihood in which a chosen alternative stays on offer, and acts that took everything
            count too. It is biased; it is here to reproduce numbers that were computed so.
        groups: for the interval, groups of executions that the jackknife leaves out in turn, at most (executions, if
            there are fewer); 0 leaves it out.

    Raises:
        InputError: x + c is not positive somewhere.
    """
    kept = choices.informative(all_taken=replacement)
    lost = choices.n_decisions - kept.n_decisions
    if len(kept.engagement) and kept.engagement.min() + constant <= 0:
        raise InputError(
            f"x + c is {kept.engagement.min() + constant:g} for some alternative", "", "take a larger constant"
        )
    if first_only:
        kept = _first_choices(kept)
    likelihood = "with replacement (naive)" if replacement else "without replacement"
    if first_only:
        likelihood = "first choice only"
    if not kept.n_decisions:
        reason = "every act took all that it could see, or chose among equals" if lost else "no act had a choice"
        card = _card(kept, lost, constant, likelihood, f"not identified: {reason}")
        return Attachment(
            None, None, None, constant, {}, 0, 0, lost, clusters=0, at_bound=False, reason=reason, card=card
        )  # fmt: skip
    even = np.ones(kept.n_decisions)
    beta, information = _solve(kept, constant, even, replacement)
    at_bound = abs(beta) >= BOUND - 1e-6
    reason = f"only a bound: the likelihood still rises at beta = {beta:.0f}" if at_bound else ""
    return Attachment(
        beta=beta,
        se=information**-0.5,
        interval=None if at_bound or not groups else _interval(kept, constant, replacement, beta, groups),
        constant=constant,
        sensitivity={
            c: _solve(kept, c, even, replacement)[0] for c in SENSITIVITY if kept.engagement.min() + c > 0
        },
        n_decisions=kept.n_decisions,
        n_choices=len(kept.chosen),
        n_uninformative=lost,
        clusters=len(np.unique(kept.cluster)),
        at_bound=at_bound,
        reason=reason,
        card=_card(kept, lost, constant, likelihood, f"{beta:.12g}"),
    )  # fmt: skip


def _first_choices(choices: Choices) -> Choices:
    """Return the decisions with the first choice of each alone."""
    first = choices.chosen[choices.chosen_ptr[:-1]]
    return Choices(choices.ptr, choices.engagement, np.arange(choices.n_decisions + 1), first, choices.cluster)


def _card(choices: Choices, lost: int, constant: float, likelihood: str, found: str) -> FitCard:
    """Return the fit card of the exponent."""
    sizes = np.diff(choices.ptr)
    return FitCard(
        form={
            "equation": "P(i) ~ (x_i + c)^beta over the risk set",
            "free": ("beta",),
            "c": constant,
            "x": "claims that built on i in earlier rounds",
            "competing": tuple(f"c = {c:g}" for c in SENSITIVITY),
        },
        data={
            "decisions": choices.n_decisions,
            "choices": len(choices.chosen),
            "executions": len(np.unique(choices.cluster)),
            "largest risk set": int(sizes.max(initial=0)),
            "largest x": float(choices.engagement.max(initial=0.0)),
            "excluded": f"{lost} decisions without information",
        },
        extraction={"order of choices": "as the parents are listed"},
        optimisation={
            "loss": f"negative conditional log-likelihood, {likelihood}",
            "bounds": (-BOUND, BOUND),
            "uncertainty": "observed information; interval by jackknife over executions",
            "beta": found,
        },
    )


def _solve(choices: Choices, constant: float, weight: F64, replacement: bool) -> tuple[float, float]:
    """Return (beta, observed information) of the weighted log-likelihood, beta clipped to [-BOUND, BOUND]."""
    logs = np.log(choices.engagement + constant)
    low, high, beta = -BOUND, BOUND, 0.0
    for _ in range(100):
        slope, information = _derivatives(
            choices.ptr, logs, choices.chosen_ptr, choices.chosen, weight, beta, replacement
        )
        if slope > 0:
            low = beta
        else:
            high = beta
        new = beta + slope / information if information > 0 else math.nan
        if not low < new < high:
            new = 0.5 * (low + high)
        if abs(new - beta) < 1e-10 or information <= 0:
            break
        beta = new
    return float(beta), float(information)


@compiled
def _derivatives(
    ptr: I64, logs: F64, chosen_ptr: I64, chosen: I64, weight: F64, beta: float, replacement: bool
) -> tuple[float, float]:
    """Return the first and the negative second derivative of the log-likelihood at `beta`."""
    slope, information = 0.0, 0.0
    widest = 0
    for d in range(len(ptr) - 1):
        widest = max(widest, ptr[d + 1] - ptr[d])
    w = np.empty(widest)
    for d in range(len(ptr) - 1):
        if weight[d] == 0.0:
            continue
        begin, end = ptr[d], ptr[d + 1]
        top = logs[begin]
        for j in range(begin, end):
            top = max(top, logs[j]) if beta >= 0 else min(top, logs[j])
        for j in range(end - begin):
            w[j] = math.exp(beta * (logs[begin + j] - top))
        for m in range(chosen_ptr[d], chosen_ptr[d + 1]):
            s0 = s1 = s2 = 0.0
            for j in range(end - begin):
                log = logs[begin + j]
                s0 += w[j]
                s1 += w[j] * log
                s2 += w[j] * log * log
            mean = s1 / s0
            slope += weight[d] * (logs[chosen[m]] - mean)
            information += weight[d] * max(s2 / s0 - mean * mean, 0.0)
            if not replacement:
                w[chosen[m] - begin] = 0.0
    return slope, information


def _interval(
    choices: Choices, constant: float, replacement: bool, beta: float, groups: int
) -> tuple[float, float] | None:
    """Return the 95 % interval of the jackknife over groups of executions; None with a single execution.

    beta +- t sqrt((g - 1)/g sum (beta_(-i) - mean)^2), t of g - 1 degrees of freedom. With a few executions it covers
    where percentiles of a bootstrap over them are too narrow (benchmarks/study_tail_coverage.py).
    """
    _, cluster = np.unique(choices.cluster, return_inverse=True)
    g = min(int(cluster.max()) + 1, groups)
    if g < 2:
        return None
    left = [_solve(choices, constant, (cluster % g != i).astype(np.float64), replacement)[0] for i in range(g)]
    error = float(np.std(left)) * math.sqrt(g - 1.0) * float(stdtrit(g - 1, 0.975))
    return beta - error, beta + error
