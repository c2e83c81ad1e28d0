"""`compare_paired`, the sign-flip test, Holm's correction, effect sizes and power."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from agentsoc.errors import InputError
from analysis.stats import compare_paired, components, detectable, holm, sign_flip_p, tasks_needed
from analysis.stats.bootstrap import DIFFERENCE
from analysis.stats.power import power
from benchmarks.study_statistics_coverage import false_alarms, power_row, summed


def scores(gains: dict[str, float], n_tasks: int = 60, seeds: int = 2, seed: int = 0) -> pl.DataFrame:
    """Return right-or-wrong answers on tasks of all difficulties; an organisation gains that much on each."""
    rng = np.random.default_rng(seed)
    ease = rng.beta(1.5, 1.5, (n_tasks, 1)) * (1 - max(gains.values()))
    task, repeat = (index.reshape(-1) for index in np.indices((n_tasks, seeds)))
    frames = [
        pl.DataFrame({"organisation": name, "tasks": "all", "task": task, "seed": repeat}).with_columns(
            pl.Series("score", (rng.random((n_tasks, seeds)) < ease + gain).astype(float).reshape(-1))
        )
        for name, gain in gains.items()
    ]
    return pl.concat(frames)


def test_a_planted_gain_is_found_and_no_gain_is_not() -> None:
    found = compare_paired(scores({"single": 0.0, "star": 0.3, "chain": 0.0}, n_tasks=200), baseline="single")
    assert [row.organisation for row in found.rows] == ["star", "chain"]
    star, chain = found.rows
    assert star.difference.covers(0.3)
    assert star.p_holm < 0.001
    assert star.d is not None
    assert star.d.low > 0
    assert star.odds_ratio is not None
    assert star.odds_ratio.low > 1
    assert chain.difference.covers(0.0)
    assert chain.p_holm > 0.05


def test_figures_follow_by_hand_from_a_small_table() -> None:
    right = {"a": [1, 1, 0, 0, 1, 0], "b": [1, 1, 1, 1, 1, 0]}
    table = pl.concat(
        pl.DataFrame({"organisation": o, "tasks": "t", "task": range(6), "seed": 1, "score": r})
        for o, r in right.items()
    )
    found = compare_paired(table, baseline="a")
    (row,) = found.rows
    assert (found.baseline.mean.value, row.mean.value) == (0.5, 5 / 6)
    assert (row.wins, row.ties, row.losses, row.n_pairs, row.n_tasks) == (2, 4, 0, 6, 6)
    assert row.difference.value == pytest.approx(1 / 3)
    assert row.p == pytest.approx(0.5)  # two tasks moved, both one way: 2 of 4 swaps are as extreme
    assert row.d is None  # six tasks carry none
    assert row.odds_ratio is not None
    assert row.odds_ratio.value == pytest.approx(5.0)
    assert found.warnings == ("only 6 tasks: intervals are rough below 20",)


def test_pairing_removes_the_difficulty_of_tasks() -> None:
    """Both answer 100 easy tasks and fail 100 hard ones but for ten gained: lost in the noise when unpaired."""
    base = np.repeat([1.0, 0.0], 100)
    better = base.copy()
    better[100:110] = 1
    table = pl.concat(
        pl.DataFrame({"organisation": o, "tasks": "t", "task": range(200), "seed": 1, "score": s})
        for o, s in (("base", base), ("better", better))
    )
    (row,) = compare_paired(table, baseline="base").rows
    assert row.difference.low > 0
    assert row.p == pytest.approx(2 / 2**10)
    assert stats.ttest_ind(better, base).pvalue > 0.3


def test_the_order_of_rows_does_not_matter() -> None:
    table = scores({"a": 0.0, "b": 0.1, "c": 0.2})
    mixed = pl.concat([table.filter(organisation=o).sample(fraction=1.0, shuffle=True, seed=3) for o in "abc"])
    first, second = (compare_paired(t, baseline="a", seed=4) for t in (table, mixed))
    for one, two in zip(first.rows, second.rows, strict=True):
        assert one.p == two.p
        assert one.difference.value == pytest.approx(two.difference.value)
        assert one.difference.low == pytest.approx(two.difference.low, abs=0.02)  # tasks are drawn by place


def test_equal_input_and_seed_give_equal_results() -> None:
    table = scores({"a": 0.0, "b": 0.1})
    assert compare_paired(table, baseline="a", seed=1) == compare_paired(table, baseline="a", seed=1)


def test_exchanging_the_roles_turns_the_difference_round() -> None:
    table = scores({"a": 0.0, "b": 0.2})
    (there,), (back,) = (compare_paired(table, baseline=name).rows for name in "ab")
    assert there.difference.value == pytest.approx(-back.difference.value)
    assert there.p == back.p
    assert (there.wins, there.losses) == (back.losses, back.wins)


def test_rows_without_a_partner_are_left_out_and_told() -> None:
    table = scores({"a": 0.0, "b": 0.1})
    gaps = table.filter(~((pl.col("organisation") == "b") & (pl.col("task") < 5)))
    found = compare_paired(gaps, baseline="a")
    assert found.rows[0].n_paired_tasks == 55
    assert found.rows[0].n_pairs == 110
    assert found.baseline.n_rows == 120
    assert "10 rows of b or a" in found.warnings[0]
    nulls = table.with_columns(
        pl.when((pl.col("organisation") == "b") & (pl.col("task") < 5))
        .then(None)
        .otherwise(pl.col("score"))
        .alias("score")
    )
    assert compare_paired(nulls, baseline="a").rows == found.rows


def test_values_without_bounds_are_compared_too() -> None:
    rng = np.random.default_rng(2)
    table = scores({"a": 0.0, "b": 0.1}).with_columns(
        (pl.Series("tokens", rng.lognormal(6, 0.5, 240)) + 300 * (pl.col("organisation") == "b")).alias("tokens")
    )
    (row,) = compare_paired(table, baseline="a", value="tokens").rows
    assert row.difference.covers(300)
    assert "studentised" in row.difference.method
    assert row.test == "random swaps"
    assert row.odds_ratio is None
    assert row.tasks_needed is None
    assert compare_paired(table, baseline="a", value="tokens", effect=300.0).rows[0].tasks_needed is not None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop("seed"), "no column seed"),
        (lambda t: t.filter(pl.col("organisation") != "a"), "'a' is not in the table"),
        (lambda t: pl.concat([t, t.head(1)]), "2 rows are not the only ones"),
        (lambda t: t.with_columns(pl.col("seed") + 10 * (pl.col("organisation") == "b")), "share no task and seed"),
    ],
)
def test_a_table_that_cannot_be_paired_says_why(change: Callable[[pl.DataFrame], pl.DataFrame], message: str) -> None:
    with pytest.raises(InputError, match=message):
        compare_paired(change(scores({"a": 0.0, "b": 0.1})), baseline="a")


def test_a_baseline_alone_has_a_mean_and_no_rows() -> None:
    found = compare_paired(scores({"a": 0.0}), baseline="a")
    assert found.rows == ()
    assert "baseline" in found.summary()


def test_the_report_is_a_table_for_people_and_valid_json_for_programs() -> None:
    found = compare_paired(scores({"single": 0.0, "star": 0.3}), baseline="single")
    head, base, star = found.summary().splitlines()
    assert head.startswith("organisation  mean score")
    assert base.endswith("baseline")
    assert star.startswith("star")
    assert "[+" in star
    data = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert data["rows"][0]["difference"]["low"] > 0
    assert found.row("star") is found.rows[0]
    with pytest.raises(InputError, match="was not compared"):
        found.row("tree")


def test_twenty_organisations_on_five_thousand_tasks_take_seconds() -> None:
    table = scores({f"o{i}": 0.01 * i for i in range(20)}, n_tasks=5000, seeds=1)
    started = time.process_time()
    compare_paired(table, baseline="o0")
    assert time.process_time() - started < 20  # under 2 s on an idle core


@pytest.mark.parametrize("totals", [[1, 1, -1, 2, 0, 3], [0.5, -0.25, 1.5, 0.75, 2.0], [1] * 9, [-4, 3, 3, 3, 1, 1, 2]])
def test_the_exact_test_counts_all_swaps(totals: list[int] | list[float]) -> None:
    moved = np.abs([t for t in totals if t])
    sums = [abs(np.dot(signs, moved)) for signs in itertools.product((1, -1), repeat=len(moved))]
    expected = np.mean(np.array(sums) >= abs(sum(totals)) - 1e-9)
    p, how = sign_flip_p(np.array(totals, dtype=float))
    assert how == "exact"
    assert p == pytest.approx(expected, abs=1e-12)


def test_with_one_row_a_task_the_test_is_mcnemars_exact_one() -> None:
    totals = np.array([1.0] * 31 + [-1.0] * 14 + [0.0] * 155)
    assert sign_flip_p(totals)[0] == pytest.approx(stats.binomtest(31, 45).pvalue, rel=1e-9)


def test_random_swaps_agree_with_all_swaps() -> None:
    totals = np.random.default_rng(1).normal(0.4, 1, 14)
    exact, how = sign_flip_p(totals)
    near, other = sign_flip_p(np.append(totals, 1e-7), replicates=40_000)
    assert (how, other) == ("exact", "random swaps")
    assert near == pytest.approx(exact, abs=5 * np.sqrt(exact / 40_000))


def test_no_p_is_zero_and_all_ties_give_one() -> None:
    assert sign_flip_p(np.ones(3000))[0] > 0
    assert sign_flip_p(np.zeros(10)) == (1.0, "exact")
    assert sign_flip_p(np.random.default_rng(0).normal(9, 1, 100), replicates=500)[0] == pytest.approx(1 / 501)


def test_holm_is_that_of_statsmodels() -> None:
    p = np.array([0.001, 0.04, 0.03, 0.2, 0.9, 0.012])
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_holm_keeps_false_alarms_below_five_per_cent() -> None:
    """600 experiments of four dependent comparisons; a true rate of 5 % gives more than 7.3 % once in 200 seeds."""
    assert false_alarms(30, 2, 5, 600) <= 0.073


@pytest.mark.parametrize(("effect", "sd", "alpha"), [(0.1, 0.5, 0.05), (0.3, 0.4, 0.01), (0.05, 0.7, 0.0125)])
def test_tasks_needed_are_those_of_statsmodels(effect: float, sd: float, alpha: float) -> None:
    theirs = TTestPower().solve_power(effect / sd, power=0.8, alpha=alpha, alternative="two-sided")
    assert tasks_needed(effect, sd, alpha=alpha) == pytest.approx(np.ceil(theirs), abs=1)


def test_the_smallest_detectable_difference_is_detected_as_often_as_asked() -> None:
    least = detectable(0.6, 80, alpha=0.01, wanted=0.9)
    assert power(least, 0.6, 80, alpha=0.01) == pytest.approx(0.9, abs=1e-3)
    assert (tasks_needed(least, 0.6, alpha=0.01, wanted=0.9) or 0) == pytest.approx(80, abs=1)


def test_simulated_experiments_of_the_planned_size_find_the_effect_as_often_as_planned() -> None:
    """800 experiments each: standard error .014."""
    for effect, seeds in ((0.2, 1), (0.1, 4)):
        needed, share = power_row(effect, seeds, 800)
        assert 20 < needed < 400
        assert 0.75 <= share <= 0.85


def test_variance_components_are_recovered() -> None:
    rng = np.random.default_rng(3)
    rows = rng.normal(0, 0.5, (4000, 1)) + rng.normal(0, 0.8, (4000, 4))
    found = components(summed(rows))
    assert found.between == pytest.approx(0.25, rel=0.1)
    assert found.within == pytest.approx(0.64, rel=0.05)
    assert found.sd(4) == pytest.approx(np.sqrt(0.25 + 0.16), rel=0.05)


def test_a_pilot_of_ties_does_not_promise_to_detect_everything() -> None:
    ties = summed(np.zeros((15, 1)))
    sd = components(ties, DIFFERENCE).sd(1)
    assert detectable(sd, 15) > 0.1


@pytest.mark.parametrize(
    "call",
    [
        lambda: tasks_needed(0.0, 1.0),
        lambda: tasks_needed(0.1, 1.0, alpha=0.0),
        lambda: detectable(1.0, 1),
        lambda: components(summed(np.zeros((1, 3)))),
    ],
)
def test_plans_without_sense_are_refused(call: Callable[[], object]) -> None:
    with pytest.raises(InputError):
        call()


def test_a_difference_too_small_for_ten_million_tasks_has_no_number() -> None:
    assert tasks_needed(1e-6, 1.0) is None
