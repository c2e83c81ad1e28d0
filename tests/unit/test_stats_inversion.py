"""The interval of a difference and the p of no difference: Tango's score, agreement, and when there is a d."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import special, stats

from analysis.interval import Interval
from analysis.stats import compare_paired
from analysis.stats.effects import FEWEST_TASKS, FEWEST_UNUSUAL, paired_d
from analysis.stats.inversion import agreeing, score_interval, score_z
from benchmarks.study_comparison import intervals_of
from benchmarks.study_statistics_coverage import REGIMES, summed


@pytest.mark.parametrize(("wins", "losses", "n", "d"), [(12, 2, 50, 0.05), (0, 5, 44, -0.2), (3, 1, 10, 0.6)])
def test_the_score_has_the_most_likely_share_of_lost_pairs_in_its_variance(
    wins: int, losses: int, n: int, d: float
) -> None:
    """The likelihood is maximised by search, not by the quadratic of the formula."""
    lost = np.linspace(max(0.0, -d), (1 - d) / 2, 400_001)[1:-1]
    with np.errstate(divide="ignore"):
        likely = special.xlogy(wins, lost + d) + special.xlogy(losses, lost)
        likely += special.xlogy(n - wins - losses, 1 - 2 * lost - d)
    q = lost[np.argmax(likely)]
    expected = (wins - losses - n * d) / np.sqrt(n * (2 * q + d - d * d))
    assert score_z(wins, losses, n, d) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(("wins", "losses", "n"), [(3, 1, 10), (0, 0, 20), (7, 7, 40), (10, 0, 10), (0, 3, 3)])
def test_the_score_is_at_its_critical_value_at_both_ends_or_the_range_ends(wins: int, losses: int, n: int) -> None:
    found = score_interval(wins, losses, n)
    z = stats.norm.ppf(0.975)
    assert found.low == -1 or score_z(wins, losses, n, found.low) == pytest.approx(z, abs=1e-6)
    assert found.high == 1 or score_z(wins, losses, n, found.high) == pytest.approx(-z, abs=1e-6)
    assert found.covers(found.value)
    assert found.width > 0
    turned = score_interval(losses, wins, n)
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low), abs=1e-9)


def test_the_score_at_no_difference_is_mcnemars() -> None:
    assert score_z(14, 5, 60, 0.0) == pytest.approx((14 - 5) / np.sqrt(19))


def test_an_interval_leaves_zero_out_exactly_where_p_is_small() -> None:
    off, on = Interval(0.3, 0.1, 0.5), Interval(0.3, -0.05, 0.65)
    assert agreeing(off, 0.01) == off
    assert agreeing(on, 0.2) == on
    assert agreeing(off, 0.06).low == 0.0
    assert agreeing(off, 0.06).high == off.high
    drawn = agreeing(on, 0.01)
    assert drawn.low == pytest.approx(0.3 * (1 - stats.norm.ppf(0.975) / stats.norm.isf(0.005)))
    assert drawn.high == on.high
    below = agreeing(Interval(-0.3, -0.65, 0.05), 0.01)
    assert below.low == -0.65
    assert below.high == pytest.approx(-drawn.low)
    assert agreeing(on, 0.05).low > 0  # at the level itself the test rejects


@pytest.mark.parametrize("regime", REGIMES, ids=lambda regime: regime.name)
def test_interval_and_p_never_differ_about_zero(regime: object) -> None:
    for n_tasks, seeds in ((3, 1), (8, 1), (12, 2), (25, 1)):
        rows = regime.draw(np.random.default_rng(n_tasks), 60, n_tasks, seeds)  # type: ignore[attr-defined]
        _, given, p = intervals_of(regime, rows)  # type: ignore[arg-type]
        for one, each in zip(given, p, strict=True):
            assert (one.low > 0 or one.high < 0) == (each <= 0.05 + 1e-12)
            assert one.low <= one.value <= one.high


def test_a_comparison_gives_the_intervals_that_agree() -> None:
    """Six of six tasks won: p is 1/32, and the interval leaves 0 out; with five p is 1/16 and it does not."""
    for n, out in ((6, True), (5, False)):
        table = pl.concat(
            pl.DataFrame({"organisation": o, "tasks": "t", "task": range(n), "seed": 1, "score": [score] * n})
            for o, score in (("a", 0.0), ("b", 1.0))
        )
        (row,) = compare_paired(table, baseline="a").rows
        assert (row.difference.low > 0) == out == (row.p <= 0.05)


def test_three_ties_leave_much_open() -> None:
    table = pl.concat(
        pl.DataFrame({"organisation": o, "tasks": "t", "task": range(3), "seed": 1, "score": [1.0, 0.0, 1.0]})
        for o in "ab"
    )
    (row,) = compare_paired(table, baseline="a").rows
    assert row.difference.width > 1
    assert row.d is None


def test_d_is_given_from_so_many_tasks_on_and_not_before() -> None:
    def moved(n: int, unusual: int) -> Interval | None:
        return paired_d(summed(np.array([[1.0]] * unusual + [[0.0]] * (n - unusual))), 0.95)

    assert moved(FEWEST_TASKS, FEWEST_UNUSUAL) is not None
    assert moved(FEWEST_TASKS - 1, FEWEST_UNUSUAL) is None
    assert moved(FEWEST_TASKS, FEWEST_UNUSUAL - 1) is None


def test_the_intervals_hold_as_often_as_they_say() -> None:
    """400 experiments of 50 tasks: a true 95 % falls below 92 % in one of 300 seeds."""
    for regime in (REGIMES[1], REGIMES[3]):
        rows = regime.draw(np.random.default_rng(5), 400, 50, 1)
        given = intervals_of(regime, rows)[1]
        assert np.mean([one.covers(regime.truth) for one in given]) >= 0.92
