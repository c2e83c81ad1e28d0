"""This module tests whether a difference lies within a margin: equivalence, and being no worse than by the margin.

That no difference was found does not show that there is none. Here the burden is turned round: the null hypotheses
are that the organisation is worse by the margin or more, and that it is better by the margin or more. Rejecting the
first shows that it is not worse than by more than the margin; rejecting both, that the two are equivalent within it
(two one-sided tests, Schuirmann 1987). Each one-sided test has size 1 - level, so equivalence is shown exactly where
the interval of level 2 level - 1 lies within it.

Right-or-wrong answers with one row a task are tested by Tango's score (Statistics in Medicine 17, 1998; Liu et al.,
ibid. 21, 2002), which is not exact but was measured to hold its size; other values by Student's t over tasks, with
pseudo-tasks where few tasks differ from the commonest value. Alone that would take the tasks that were seen for all
there are: an organisation that loses one task in fifty wholly, and ties with the others, was shown to be no worse by
more than .02 in a third of the samples of 50 tasks. So scores have to pass the test also with `UNSEEN` tasks added that
were lost wholly (won wholly, for being no better): too few tasks then show nothing, however alike they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
import polars as pl
from scipy import stats

from agentsoc.errors import InputError
from analysis.interval import FloatArray
from analysis.stats.bootstrap import Bounds, kind_for, with_pseudo_tasks
from analysis.stats.clusters import TaskSums
from analysis.stats.inversion import score_z
from analysis.stats.paired import PairedSums, paired_sums, paired_up
from analysis.stats.permutation import holm

MarginVerdict = Literal["equivalent", "not worse", "undecided"]
MarginTest = Literal["Tango's score", "Student's t", "Student's t with pseudo-tasks"]


@dataclass(frozen=True)
class WithinMargin:
    """The object says whether the difference of an organisation from the baseline was shown to be within a margin."""

    organisation: str
    margin: float
    """Positive, in units of the value."""
    p_not_worse: float
    """One-sided p of being worse by the margin or more."""
    p_not_better: float
    """One-sided p of being better by the margin or more."""
    test: MarginTest
    level: float
    p_not_worse_holm: float = float("nan")
    """The first after Holm's correction over all organisations."""
    p_equivalent_holm: float = float("nan")
    """The larger of both, after Holm's correction."""

    @property
    def p_equivalent(self) -> float:
        """P of two one-sided tests: the larger of both."""
        return max(self.p_not_worse, self.p_not_better)

    @property
    def verdict(self) -> MarginVerdict:
        """What is shown, after Holm's correction."""
        alpha = 1 - self.level
        if self.p_equivalent_holm <= alpha:
            return "equivalent"
        return "not worse" if self.p_not_worse_holm <= alpha else "undecided"

    def words(self, baseline: str) -> str:
        """Return the verdict as words that follow the name of the organisation."""
        if self.verdict == "equivalent":
            return f"equivalent to {baseline} within {self.margin:g}"
        if self.verdict == "not worse":
            return f"not worse than {baseline} by more than {self.margin:g}"
        return f"undecided: neither equivalent to {baseline} within {self.margin:g} nor not worse by more is shown"

    def as_dict(self) -> dict[str, float | str]:
        """Return plain values for JSON."""
        numbers = ("p_not_worse", "p_not_better", "p_equivalent", "p_not_worse_holm", "p_equivalent_holm")
        known: dict[str, float | str] = {"organisation": self.organisation, "margin": self.margin}
        found = {name: getattr(self, name) for name in numbers}
        return {**known, "verdict": self.verdict, "test": self.test, "level": self.level, **found}


def within_margin(
    table: pl.DataFrame,
    margin: float,
    *,
    baseline: str,
    value: str = "score",
    cluster: Sequence[str] = ("tasks", "task"),
    level: float = 0.95,
) -> tuple[WithinMargin, ...]:
    """Return for every other organisation whether its difference from the baseline is within the margin.

    Args:
        table: as for `compare_paired`.
        margin: the largest difference that does not matter, positive, in units of the value. It has to be chosen before
            the data are seen.
        baseline: organisation that the others are compared with.
        value: what is compared.
        cluster: columns that together name a task.
        level: 1 - size of each one-sided test, in (0.5, 1).

    Raises:
        InputError: the margin is not positive, or the table cannot be paired.
    """
    if not margin > 0:
        raise InputError(f"a margin is a positive difference, got {margin:g}", "", "for scores for example 0.02")
    names, matrix, task, _ = paired_up(table, baseline, value, tuple(cluster))
    at_base = names.index(baseline)
    others = [at for at in range(len(names)) if at != at_base]
    sums = paired_sums(matrix, task, at_base, others)
    return corrected(
        [WithinMargin(names[at], margin, *_tests(sums, place, margin), level) for place, at in enumerate(others)]
    )


def corrected(found: Sequence[WithinMargin]) -> tuple[WithinMargin, ...]:
    """Return the same with p values that Holm corrects over all of them."""
    if not found:
        return ()
    not_worse = holm(np.array([one.p_not_worse for one in found]))
    both = holm(np.array([one.p_equivalent for one in found]))
    return tuple(
        replace(one, p_not_worse_holm=float(first), p_equivalent_holm=float(second))
        for one, first, second in zip(found, not_worse, both, strict=True)
    )


def _tests(sums: PairedSums, place: int, margin: float) -> tuple[float, float, MarginTest]:
    step, one = sums.steps[:, place], sums.versus[place]
    if sums.one_answer_a_task(place):
        return score_tests(int(np.sum(step > 0)), int(np.sum(step < 0)), one.n_tasks, margin)
    return task_tests(one, sums.change, margin)


def score_tests(wins: int, losses: int, n: int, margin: float) -> tuple[float, float, MarginTest]:
    """Return (p of worse by the margin or more, p of better by it or more, test) of n right-or-wrong pairs."""
    low = score_z(wins, losses, n, -margin) if margin < 1 else np.inf
    high = score_z(wins, losses, n, margin) if margin < 1 else -np.inf
    return float(stats.norm.sf(low)), float(stats.norm.cdf(high)), "Tango's score"


def task_tests(one: TaskSums, change: Bounds | None, margin: float) -> tuple[float, float, MarginTest]:
    """Return the same of differences by task; a single task shows nothing."""
    if one.n_tasks < 2:
        return 1.0, 1.0, "Student's t"
    mean, error, n, name = one.mean, one.se, float(one.n_tasks), _PLAIN
    if change is not None and kind_for(one, change) == "pseudo":
        mean, error, n = with_pseudo_tasks(one, change)
        name = _PSEUDO
    if error == 0:
        p_worse, p_better = float(mean <= -margin), float(mean >= margin)
    else:
        p_worse = float(stats.t.sf((mean + margin) / error, n - 1))
        p_better = float(stats.t.cdf((mean - margin) / error, n - 1))
    if change is not None:
        p_worse = max(p_worse, _p_unseen(one.total, one.rows, -change.low, margin))
        p_better = max(p_better, _p_unseen(-one.total, one.rows, change.high, margin))
    return p_worse, p_better, name


def _p_unseen(total: FloatArray, rows: FloatArray, largest: float, margin: float) -> float:
    """Return the p of being worse by the margin or more with `UNSEEN` tasks added that are worse by as much as can be.

    Args:
        total: sum of the differences of each task, shape (n_tasks,).
        rows: rows of each task, same shape.
        largest: largest possible loss of a row, positive.
        margin: as for `within_margin`.
    """
    added, n = float(rows.mean()), float(rows.size) + UNSEEN
    weight = float(rows.sum()) + UNSEEN * added
    mean = (float(total.sum()) - UNSEEN * added * largest) / weight
    off = total - mean * rows
    squares = float(off @ off) + UNSEEN * (added * (largest + mean)) ** 2
    error = float(np.sqrt(n / (n - 1) * squares)) / weight
    return float(stats.t.sf((mean + margin) / error, n - 1))


UNSEEN: Final = 1.25
"""Tasks lost wholly that are added to those of scores; chosen so that one-sided tests of 5 % keep to it where losses of
1, .5 or .25 are as rare as the margin lets them be (20 to 800 tasks, margins of .02 to .1)."""
_PLAIN: Final[MarginTest] = "Student's t"
_PSEUDO: Final[MarginTest] = "Student's t with pseudo-tasks"


def margins_text(found: Sequence[WithinMargin], baselines: Mapping[str, str]) -> str:
    """Return in a sentence what is shown of each organisation.

    Args:
        found: one for each organisation.
        baselines: what each is compared with.
    """
    return "; ".join(f"{one.organisation} is {one.words(baselines[one.organisation])}" for one in found)
