"""What a comparison would find: exact and simulated power, bounded by the scale, right on average over pilots."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from scipy import stats

from agentsoc.errors import InputError
from analysis.stats import Alternatives, Discordant, alternatives, compare_paired, sums_by_task
from analysis.stats.alternatives import Shifted
from analysis.stats.bootstrap import DIFFERENCE
from analysis.stats.tilted import Added, Tilted
from benchmarks.study_power import TRUTHS, Truth, found_share, row, true_power

NAMED = {truth.name: truth for truth in TRUTHS}


def seen(totals: list[float], rows: int = 1, *, right_or_wrong: bool = True, bounded: bool = True) -> Alternatives:
    """Return what a pilot leaves possible in which each task's differences have this mean."""
    task = np.repeat(np.arange(len(totals)), rows)
    sums = sums_by_task(np.repeat(np.array(totals), rows), task, len(totals))
    return alternatives(sums, DIFFERENCE if bounded else None, right_or_wrong=right_or_wrong)


def ties(n: int) -> pl.DataFrame:
    right = (np.arange(n) % 10 < 9).astype(float)
    return pl.concat(
        pl.DataFrame({"organisation": o, "tasks": "all", "task": range(n), "seed": 0, "score": right})
        for o in ("base", "other")
    )


def test_where_no_task_tells_two_equals_apart_five_hundredths_need_157_tasks() -> None:
    """Six wins are needed for p <= .05, and each task brings one with probability .05."""
    known = Discordant.known(0.0)
    for n in (66, 100, 157):
        assert known.power(0.05, n) == pytest.approx(stats.binom.sf(5, n, 0.05), abs=1e-6)
    assert known.tasks_needed(0.05) == 157


def test_a_pilot_of_ties_promises_no_more_than_ties_can_keep() -> None:
    (found,) = compare_paired(ties(100), baseline="base").rows
    assert found.tasks_needed is not None
    assert stats.binom.sf(5, found.tasks_needed, 0.05) >= 0.8
    assert found.detectable is not None
    assert stats.binom.sf(5, 100, found.detectable) >= 0.8


@pytest.mark.parametrize(("rate", "size", "n"), [(0.1, 0.1, 60), (0.4, 0.2, 80), (0.0, 0.3, 25), (0.9, 0.3, 40)])
def test_exact_power_is_the_sum_over_all_outcomes(rate: float, size: float, n: int) -> None:
    apart = min(rate + size, 1.0)
    expected = 0.0
    for m in range(n + 1):
        wins = np.arange(m + 1)
        p = np.minimum(2 * stats.binom.sf(np.maximum(wins, m - wins) - 1, m, 0.5), 1.0)
        chance = stats.binom.pmf(wins, m, (1 + size / apart) / 2)
        expected += float(stats.binom.pmf(m, n, apart) * np.sum(chance[(p <= 0.05) & (wins > m / 2)]))
    assert Discordant.known(rate).power(size, n) == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize(
    ("pilot", "form"),
    [
        (lambda: seen([0.0, 1.0, 0.0, -1.0, 1.0] * 4), Discordant),
        (lambda: seen([0.0, 0.5, -0.5, 1.0, 0.0] * 4, 2), Added),
        (lambda: seen([0.0, 0.25, 0.0, -0.1, 0.2] * 4, right_or_wrong=False), Tilted),
        (lambda: seen(list(np.linspace(-0.2, 0.3, 20)), right_or_wrong=False), Shifted),
        (lambda: seen([9.0, 4.0, 0.0, -3.0, 8.0] * 4, right_or_wrong=False, bounded=False), Shifted),
    ],
)
def test_every_kind_of_values_has_its_form_and_its_power_grows(
    pilot: Callable[[], Alternatives], form: type[Alternatives]
) -> None:
    plan = pilot()
    assert type(plan) is form
    unit = 1.0 if plan.most <= 1 else 10.0
    least = plan.detectable(20)
    assert least is not None
    assert plan.power(least, 20) >= 0.79
    assert plan.power(least / 3, 20) < 0.5
    assert plan.power(0.3 * unit, 200) >= plan.power(0.3 * unit, 20) - 0.02
    more = plan.tasks_needed(0.05 * unit)
    assert more is not None
    assert plan.power(0.05 * unit, more) >= 0.79
    assert plan.power(-0.05 * unit, more) == plan.power(0.05 * unit, more)


@pytest.mark.parametrize("right_or_wrong", [True, False])
@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("n", [2, 3, 5, 6, 8, 40])
def test_no_difference_outside_of_the_scale_is_promised(right_or_wrong: bool, rows: int, n: int) -> None:
    rng = np.random.default_rng(n)
    plan = seen(list(np.round(3 * rng.uniform(-1, 1, n)) / 3), rows, right_or_wrong=right_or_wrong)
    least = plan.detectable(n)
    assert least is None if n < 6 else least is None or 0 < least <= 1
    assert plan.power(1.01, 1000) == 0
    assert plan.tasks_needed(1.01) is None


def test_a_difference_for_which_the_baseline_leaves_no_room_is_not_promised() -> None:
    sums = sums_by_task(np.array([1.0, -1.0, 0, 0, 1, 0, 0, 0]), np.arange(8), 8)
    free, near = (alternatives(sums, DIFFERENCE, right_or_wrong=True, base=base) for base in (None, 0.5))
    least = free.detectable(8)
    assert least is not None
    assert least > 0.5
    assert near.detectable(8) is None
    assert near.tasks_needed(0.51) is None
    assert free.tasks_needed(0.51) is not None


def test_values_without_bounds_have_no_largest_difference() -> None:
    plan = seen([900.0, -400.0, 120.0, 310.0, -90.0, 55.0, 610.0, -20.0], right_or_wrong=False, bounded=False)
    least = plan.detectable(8)
    assert least is not None
    assert least > 100
    assert plan.detectable(5) is None  # five tasks all won have p = 1/16


def test_a_shift_in_few_tasks_is_tested_by_all_swaps_and_in_many_as_by_students_test() -> None:
    known = Shifted(1.0, math.inf)
    drawn = np.random.default_rng(1).normal(0.9, 1, (4000, 10))
    assert known.power(0.9, 10) == pytest.approx(found_share(drawn), abs=0.04)
    shift, free = 0.4 * math.sqrt(60), 59
    assert known.power(0.4, 60) == pytest.approx(stats.nct.sf(stats.t.ppf(0.975, free), free, shift), abs=1e-9)
    assert known.power(1e-9, 10) <= 0.07


def test_a_pilot_of_few_tasks_asks_for_more_than_its_own_spread_does() -> None:
    assert (Shifted(0.1, 5, 1.0).tasks_needed(0.05) or 0) > (Shifted(0.1, 500, 1.0).tasks_needed(0.05) or 0) + 5


def test_no_spread_is_found_always_and_no_difference_never() -> None:
    still = Shifted(0.0, 9, 1.0)
    assert (still.power(0.1, 10), still.power(0.0, 10)) == (1.0, 0.0)
    assert Discordant.known(0.0).power(0.0, 50) == 0.0


@pytest.mark.parametrize(
    "call",
    [
        lambda: Discordant.known(1.1),
        lambda: Discordant.known(0.2).tasks_needed(0.0),
        lambda: Discordant.known(0.2).tasks_needed(0.1, alpha=0.0),
        lambda: Discordant.known(0.2).detectable(20, wanted=1.0),
        lambda: seen([1.0]),
    ],
)
def test_plans_without_sense_are_refused(call: Callable[[], object]) -> None:
    with pytest.raises(InputError):
        call()


def test_a_difference_too_small_for_ten_million_tasks_has_no_number() -> None:
    assert Discordant.known(0.3).tasks_needed(1e-5) is None


@pytest.mark.parametrize(
    ("name", "n_tasks"), [("15 % told apart, wins added", 50), ("4 % told apart, kept", 50), ("graded", 20)]
)
def test_pilots_state_a_power_that_is_had_or_exceeded(name: str, n_tasks: int) -> None:
    """Of 30 pilots with 1,000 experiments a point: a right plan gives less than .74 once in a hundred seeds."""
    found = row(NAMED[name], n_tasks, 30, 1000)
    assert found.had > 0.74
    assert found.had_with > 0.74
    assert found.largest <= 1


def test_experiments_without_a_difference_are_found_no_more_often_than_stated() -> None:
    """Of 1,000 experiments each; a rate of 5 % gives more than 7 % once in 400 seeds."""
    for truth in TRUTHS:
        flat = Truth(truth.name, truth.draw, 0.0)
        assert true_power(flat, 50, 0.0, 1000) <= 0.07
