"""This module plans before a verifier from a labelled sample: the ceiling, what K attempts reach, the best K.

The sample is of attempts at random tasks, each labelled right or wrong by a person or a reference, and accepted or not
by the verifier. The ceiling is then a plain proportion (right among accepted) with an exact interval. What depends on
all of p, c and f takes its interval from draws of the four cells (Dirichlet with 1/2 added to each, Jeffreys), whose
coverage is measured in docs/voting-laws.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from agentsoc.errors import InputError
from agentsoc.streams import stream
from analysis.fitcard import FitCard
from analysis.interval import FloatArray, Interval
from analysis.stats.proportions import clopper_pearson
from analysis.voting.verifier import Attempts, TaskType, accuracy, best_attempts

SHOWN: Final = (1, 2, 3, 5, 10, 50)
DRAWS: Final = 4_000
ASSUMPTIONS: Final = (
    "tasks of one type are equally hard (all tasks, where no types are given), and attempts at one independent",
    "the verifier errs at the same rates on every attempt (one that repeats its mistakes does worse)",
    "the sample is of attempts at random tasks of the kind to come",
    "no accepted answer is worth 0, and so is no answer",
)


@dataclass(frozen=True)
class VerifierPlan:
    """The plan says what resampling before this verifier can reach."""

    p: Interval
    """Probability that an attempt is right."""
    c: Interval
    """Probability that a right answer is accepted."""
    f: Interval
    """Probability that a wrong answer is accepted."""
    ceiling: Interval
    """How often an accepted answer is right, whatever the number of attempts."""
    accuracy: tuple[tuple[int, Interval], ...]
    """Attempts K and how often the answer is right after at most K."""
    attempts: Attempts
    """Best number of attempts with the estimated rates."""
    best: Interval
    """The same with its interval: whole numbers, or inf where every further attempt pays."""
    types: tuple[TaskType, ...]
    """Difficulties planned for."""
    stated_types: bool
    """Whether they were stated; else all tasks are taken as equally hard."""
    loss: float
    price: float
    card: FitCard

    def as_dict(self) -> dict[str, object]:
        """Return plain values for JSON."""
        plain: dict[str, object] = {name: getattr(self, name).as_dict() for name in ("p", "c", "f", "ceiling", "best")}
        plain["accuracy"] = [{"attempts": k} | found.as_dict() for k, found in self.accuracy]
        plain |= {"value": self.attempts.value, "enough": self.attempts.enough, "endless": self.attempts.best is None}
        plain |= {"loss": self.loss, "price": self.price}
        plain["types"] = [{"share": t.share, "right": t.right} for t in self.types]
        return plain | {"assumptions": list(ASSUMPTIONS), "card": self.card.as_dict()}

    def summary(self) -> str:
        """Return the plan as text."""
        best = f"{_count(self.best.value)} [{_count(self.best.low)}, {_count(self.best.high)}]"
        value = f"worth {self.attempts.value:.4f} a task (an accepted wrong answer counts {self.loss:g})"
        holds = "at the first attempt" if self.stated_types else "whatever K"
        enough = f"; 99 % of that with {self.attempts.enough}" if self.attempts.best != 0 else ""
        reach = "; ".join(f"K={k} {found.value:.3f} [{found.low:.3f}, {found.high:.3f}]" for k, found in self.accuracy)
        lines = [
            f"attempts  right {self.p}; accepted if right {self.c}, if wrong {self.f}",
            f"ceiling   {self.ceiling} of the accepted answers are right, {holds} ({self.ceiling.method})",
            f"accuracy  {reach}",
            f"best K    {best}, {value}{enough}",
        ]
        lines += [f"assumes   {text}" for text in ASSUMPTIONS]
        return "\n".join([*lines, *(f"warning: {text}" for text in self.card.warnings)])


@dataclass(frozen=True)
class LabelledAttempts:
    """A random sample of attempts, each labelled right or wrong and judged by the verifier."""

    right: int
    """Attempts that were right."""
    wrong: int
    """Attempts that were wrong."""
    right_accepted: int
    """Right ones that the verifier accepted."""
    wrong_accepted: int
    """Wrong ones that it accepted."""


def plan_verifier(
    sample: LabelledAttempts,
    *,
    types: Sequence[TaskType] = (),
    loss: float = 0.0,
    price: float = 0.0,
    level: float = 0.95,
    seed: int = 0,
) -> VerifierPlan:
    """Plan the number of attempts from a labelled sample of attempts.

    Args:
        sample: attempts that were labelled and judged.
        types: difficulties to plan for; by default one, as the sample says. Stated, not estimated: no uncertainty of
            theirs is in the interval of the best K.
        loss: value of a wrong answer that was accepted, at most 0.
        price: what one attempt costs, in values of a right answer.
        level: coverage of the intervals.
        seed: root of the draws.

    Raises:
        InputError: impossible counts.
    """
    right, right_accepted = sample.right, sample.right_accepted
    wrong, wrong_accepted = sample.wrong, sample.wrong_accepted
    if not (0 <= right_accepted <= right and 0 <= wrong_accepted <= wrong and right + wrong > 0):
        raise InputError(
            f"accepted {right_accepted} of {right} right and {wrong_accepted} of {wrong} wrong attempts is impossible"
        )
    p = clopper_pearson(right, right + wrong, level=level)
    c, f = clopper_pearson(right_accepted, right, level=level), clopper_pearson(wrong_accepted, wrong, level=level)
    top = clopper_pearson(right_accepted, right_accepted + wrong_accepted, level=level)
    draws = _draws(sample, seed)
    known = (p.value, c.value if right else 1.0, f.value if wrong else 0.0)
    reach = []
    for k in SHOWN:
        low, high = np.quantile(_mixed(types, *draws, k), [(1 - level) / 2, (1 + level) / 2])
        right_now, complete, false = (np.asarray(x) for x in known)
        value = float(_mixed(types, right_now, complete, false, k))
        reach.append((k, Interval(value, float(low), float(high), level, "Jeffreys draws")))
    mixed = tuple(types) or (TaskType(1.0, p.value),)
    best = best_attempts(mixed, f=known[2], c=known[1], loss=loss, price=price)
    others = [
        _best(best_attempts(tuple(types) or (TaskType(1.0, float(a)),), f=float(z), c=float(y), loss=loss, price=price))
        for a, y, z in zip(*(part[:: DRAWS // 200] for part in draws), strict=True)
    ]
    low, high = np.quantile(others, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf")
    at = _best(best)
    k_best = Interval(at, min(float(low), at), max(float(high), at), level, "Jeffreys draws")
    warnings = []
    if best.best is None:
        warnings.append("every further attempt pays a little: state a price for one, or stop where the curve is flat")
    if best.best == 0:
        warnings.append("an accepted answer is wrong too often for its loss: answer nothing, or mend the verifier")
    card = _card(sample, warnings, level, len(types))
    return VerifierPlan(p, c, f, top, tuple(reach), best, k_best, mixed, bool(types), loss, price, card)


def _mixed(types: Sequence[TaskType], p: FloatArray, c: FloatArray, f: FloatArray, k: int) -> FloatArray:
    """Return the accuracy of at most k attempts over the types of tasks, or with the sampled p where none is given."""
    if not types:
        return accuracy(p, c, f, k)
    return np.asarray(sum(t.share * accuracy(t.right, c, f, k) for t in types), dtype=np.float64)


def _best(attempts: Attempts) -> float:
    return math.inf if attempts.best is None else float(attempts.best)


def _count(k: float) -> str:
    return "unlimited" if math.isinf(k) else f"{k:.0f}"


def _draws(sample: LabelledAttempts, seed: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return draws of p, c and f, each of shape (DRAWS,)."""
    right_accepted, wrong_accepted = sample.right_accepted, sample.wrong_accepted
    cells = [right_accepted, sample.right - right_accepted, wrong_accepted, sample.wrong - wrong_accepted]
    drawn = stream(seed, "voting", "verifier").dirichlet(np.array(cells) + 0.5, size=DRAWS)
    p = drawn[:, 0] + drawn[:, 1]
    return p, drawn[:, 0] / p, drawn[:, 2] / (1 - p)


def _card(sample: LabelledAttempts, warnings: list[str], level: float, n_types: int) -> FitCard:
    return FitCard(
        form={
            "equation": "accuracy(K) = pc/(pc+(1-p)f) (1 - (1-pc-(1-p)f)^K)",
            "free": ("p", "c", "f"),
            "fixed": ("loss", "price", "types") if n_types else ("loss", "price"),
            "x": "attempts K",
            "source": "arXiv 2411.17501; prior form derived",
        },
        data={
            "right": sample.right, "wrong": sample.wrong, "right_accepted": sample.right_accepted,
            "wrong_accepted": sample.wrong_accepted, "dependence": "one attempt a task",
        },
        extraction={"p": "right / all", "c": "accepted right / right", "f": "accepted wrong / wrong"},
        optimisation={
            "estimator": "maximum likelihood (proportions)",
            "uncertainty": f"{level:g}: Clopper-Pearson; accuracy and best K from {DRAWS} Jeffreys draws",
            "hold_out": "none: compare with the accuracy at K = 2 or 3",
        },
        warnings=tuple(warnings),
    )  # fmt: skip
