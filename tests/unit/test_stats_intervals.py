"""Proportions, means and paired differences: intervals against references, and how often they hold the truth.

Coverage tests take 400 experiments of fixed seed: an interval of 95 % lands outside [91.5, 98] % less often than once
in 100 seeds. Where binary scores of 20 tasks make even coverage impossible, the bounds are those of the long study.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import stats

from agentsoc.errors import InputError
from analysis.interval import Interval
from analysis.stats import clopper_pearson, mean_interval, sums_by_task, wilson
from analysis.stats.bootstrap import DIFFERENCE, SCORE, kind_for, mean_intervals
from analysis.stats.clusters import TaskSums, task_weights
from benchmarks.study_statistics_coverage import REGIMES, coverage, summed


def one_row_each(values: list[float]) -> TaskSums:
    return summed(np.array(values, dtype=float)[:, None])


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (3, 10), (10, 10), (1, 400), (200, 401)])
def test_intervals_of_proportions_are_those_of_scipy(successes: int, n: int) -> None:
    for ours, name in ((clopper_pearson, "exact"), (wilson, "wilson")):
        theirs = stats.binomtest(successes, n).proportion_ci(0.9, method=name)
        found = ours(successes, n, level=0.9)
        assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)
        assert found.value == successes / n


def test_exact_intervals_cover_at_least_their_level_for_every_truth() -> None:
    n = 25
    found = [clopper_pearson(s, n) for s in range(n + 1)]
    for p in np.linspace(0.01, 0.99, 197):
        mass = stats.binom.pmf(np.arange(n + 1), n, p)
        assert sum(m for m, one in zip(mass, found, strict=True) if one.covers(p)) >= 0.95 - 1e-12


def test_an_impossible_proportion_is_refused() -> None:
    with pytest.raises(InputError, match="impossible"):
        clopper_pearson(5, 4)
    assert clopper_pearson(0, 0).high == 1.0


@pytest.mark.parametrize(
    ("name", "n_tasks", "seeds", "low", "high"),
    [
        ("no difference, 88 % ties", 50, 1, 0.915, 0.985),
        ("+.05, 85 % ties", 20, 3, 0.915, 0.985),
        ("+.2, 60 % ties", 20, 1, 0.915, 0.99),
        ("+.3, never worse", 50, 1, 0.915, 0.99),
        ("+.8, never worse", 20, 1, 0.915, 1.0),
        ("+.05, tasks of all difficulties", 20, 3, 0.915, 0.98),
        ("+.1, graded scores", 20, 1, 0.915, 0.98),
        ("tokens, normal", 20, 1, 0.915, 0.98),
        ("tokens, lognormal", 200, 1, 0.90, 0.98),
    ],
)
def test_intervals_of_differences_hold_the_truth_as_often_as_they_say(
    name: str, n_tasks: int, seeds: int, low: float, high: float
) -> None:
    regime = next(one for one in REGIMES if one.name == name)
    held, _ = coverage(regime, n_tasks, seeds, 400)
    assert low <= held <= high


def test_tasks_are_the_units_not_rows() -> None:
    rng = np.random.default_rng(5)
    once = (rng.random((60, 1)) < 0.5).astype(float)
    alone, copied = summed(once), summed(np.repeat(once, 8, axis=1))
    few, many = mean_intervals([alone, copied], [None, None])
    assert few.width == pytest.approx(many.width, rel=1e-6)  # eight copies of each row say nothing new


def test_few_unusual_tasks_get_pseudo_tasks_and_never_an_interval_of_width_zero() -> None:
    ties = one_row_each([0.0] * 30)
    assert kind_for(ties, DIFFERENCE) == "pseudo"
    (found,) = mean_intervals([ties], [DIFFERENCE])
    assert found.low < 0 < found.high
    assert 0.05 < found.width < 0.3


def test_pseudo_tasks_give_the_interval_of_agresti_and_min() -> None:
    """Worked by hand: 12 wins, 3 losses, 25 ties and two pseudo-tasks; z in place of t changes the reach alone."""
    sums = one_row_each([1.0] * 12 + [-1.0] * 3 + [0.0] * 25)
    (found,) = mean_intervals([sums], [DIFFERENCE], kinds=["pseudo"])
    wins, losses, n = 12.5, 3.5, 42
    middle = (wins - losses) / n
    se = np.sqrt(wins + losses - (wins - losses) ** 2 / n) / n
    reach = stats.t.ppf(0.975, n - 1) * se
    assert (found.low, found.high) == pytest.approx((middle - reach, middle + reach), abs=1e-9)


def test_intervals_stay_within_the_bounds_of_the_value() -> None:
    for values in ([1.0] * 9 + [0.0], [1.0] * 30, [0.0] * 3):
        for bounds in (SCORE, DIFFERENCE):
            (found,) = mean_intervals([one_row_each(values)], [bounds])
            assert bounds.low <= found.low <= found.value <= found.high <= bounds.high


def test_one_task_says_nothing_of_the_others() -> None:
    (score,) = mean_intervals([one_row_each([1.0])], [SCORE])
    (tokens,) = mean_intervals([one_row_each([700.0])], [None])
    assert score.width > 0.5
    assert tokens.width == np.inf


def test_unbalanced_tasks_give_the_ratio_of_sums_and_its_linearised_error() -> None:
    value, task = np.array([1.0, 0, 1, 1, 0, 1, 1]), np.array([0, 0, 0, 1, 2, 2, 3])
    sums = sums_by_task(value, task, 5)
    assert sums.n_tasks == 4
    assert sums.mean == pytest.approx(value.mean())
    off = sums.total - sums.mean * sums.rows
    assert sums.se == pytest.approx(np.sqrt(4 / 3 * off @ off) / 7)


def test_bootstrap_weights_are_multinomial_and_depend_on_the_seed_alone() -> None:
    first, again, other = (np.concatenate(list(task_weights(500, 40, seed=s))) for s in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.all(first.sum(axis=1) == 40)
    # 20,000 counts of Binomial(40, 1/40): mean 1, variance 39/40; 5 standard errors of each
    assert first.mean() == pytest.approx(1.0)
    assert first.var() == pytest.approx(0.975, abs=0.06)


def test_a_table_of_answers_gives_wilson_or_resampled_tasks() -> None:
    table = pl.DataFrame({"tasks": ["a"] * 40, "task": list(range(40)), "score": [1.0, 0.0] * 20})
    assert mean_interval(table).method == "Wilson"
    repeated = pl.concat([table, table])
    assert "bootstrap" in mean_interval(repeated).method
    assert mean_interval(repeated).width > 0.8 * mean_interval(table).width
    with pytest.raises(InputError, match="no column"):
        mean_interval(table, value="tokens")
    with pytest.raises(InputError, match="no row with a value"):
        mean_interval(table.with_columns(pl.lit(None, dtype=pl.Float64).alias("score")))


@pytest.mark.parametrize(("level", "replicates"), [(1.0, 1000), (0.4, 1000), (0.95, 20)])
def test_levels_and_replicates_that_mean_nothing_are_refused(level: float, replicates: int) -> None:
    with pytest.raises(InputError):
        mean_intervals([one_row_each([0.0, 1.0])], [SCORE], level=level, replicates=replicates)


def test_an_interval_reads_as_people_write_numbers() -> None:
    assert str(Interval(0.1234, 0.1, 0.2, 0.95, "x")) == "0.123 [0.100, 0.200]"
    assert Interval(1234.5, 10.24, float("inf"), 0.95, "x").text(sign=True) == "+1,234 [+10.2, +inf]"
    assert Interval(1.0, 0.0, float("inf"), 0.95, "x").as_dict()["high"] is None
