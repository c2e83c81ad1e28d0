"""The collaboration gain: a ratio of paired scores with its interval, said only where it has a meaning."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from analysis.comparison.estimates import estimates
from analysis.comparison.gain import NEGATIVE, NO_SCORE, gain_of
from analysis.comparison.report import Report, make_report
from analysis.comparison.text import report_as_dict, report_as_text
from analysis.interval import Interval
from tests.sides import told_apart
from tests.unit.test_comparison_report import ALONE, of, results

TASKS = np.arange(60)


def scores(right: float, seed: int, n: int = 60) -> np.ndarray:
    """Return scores of one task each."""
    return (np.random.default_rng(seed).random(n) < right).astype(np.float64)


def made(*frames: pl.DataFrame, **more: object) -> Report:
    return make_report(results(*frames, **more), replicates=400)  # type: ignore[arg-type]


def flat(report: Report) -> str:
    return " ".join(report_as_text(report).split())


def test_it_is_the_ratio_of_scores_over_the_same_tasks() -> None:
    society, single = scores(0.8, 1), scores(0.4, 2)
    found = gain_of(society, single, TASKS)
    assert isinstance(found, Interval)
    assert found.value == pytest.approx(society.mean() / single.mean())
    assert 1 < found.low < found.value < found.high
    doubled = gain_of(
        np.tile(society, 2), np.tile(single, 2), np.tile(TASKS, 2)
    )  # seeds repeat tasks: no more is known
    assert isinstance(doubled, Interval)
    assert (doubled.low, doubled.high) == pytest.approx((found.low, found.high))


def test_luck_that_both_share_makes_it_surer() -> None:
    luck = np.random.default_rng(3).random(200)
    own, other = luck < 0.6, np.random.default_rng(4).random(200) < 0.5
    alike, apart = (gain_of(own.astype(float), one.astype(float), np.arange(200)) for one in (luck < 0.5, other))
    assert isinstance(alike, Interval)
    assert isinstance(apart, Interval)
    assert alike.width < 0.8 * apart.width


def test_equal_scores_are_a_gain_of_one_and_not_with_certainty() -> None:
    same = gain_of(scores(0.5, 1), scores(0.5, 1), TASKS)
    assert isinstance(same, Interval)
    assert same.value == 1
    assert same.low < 0.97
    assert same.high > 1.03
    none = gain_of(np.zeros(60), scores(0.5, 1), TASKS)
    assert isinstance(none, Interval)
    assert none.value == none.low == 0
    assert none.high > 0.02


def test_a_single_agent_that_is_hardly_ever_right_bounds_it_hardly() -> None:
    rare = np.zeros(60)
    rare[0] = 1
    found = gain_of(scores(0.5, 1), rare, TASKS)
    assert isinstance(found, Interval)
    assert found.high > 10 * found.low


def test_where_it_has_no_meaning_there_is_a_reason() -> None:
    assert gain_of(scores(0.5, 1), np.zeros(60), TASKS) == NO_SCORE
    assert gain_of(scores(0.5, 1), -scores(0.5, 2), TASKS) == NEGATIVE
    assert gain_of(3 * scores(0.5, 1), scores(0.5, 2), TASKS) == NEGATIVE


def test_a_comparison_tells_it_against_a_single_agent_at_one_ceiling() -> None:
    society = of("votes", 3, [1.0] * 20)
    found = made(of("alone", 1, ALONE), society)
    zero = made(of("alone", 1, [0.0] * 20), society)
    signed = made(of("alone", 1, [-1.0, *ALONE[1:]]), society)
    team, free = made(of("alone", 2, ALONE), society), made(of("alone", 1, ALONE), society, matched=False)
    told_apart({
        "collaboration gain G (score / that of the single agent): votes 2.500 [": flat(found),
        "no gain G of votes: the single agent scores 0": flat(zero),
        "the single agent scores 0": flat(zero),
        "no gain G of votes: scores outside of 0 to 1 have no ratio": flat(signed),
        "scores outside of 0 to 1 have no ratio": flat(signed),
    }, flat(team), flat(free))  # fmt: skip
    for one in (team, free):
        assert report_as_dict(one)["blocks"][0]["gains"] == {}
    told = report_as_dict(found)["blocks"][0]["gains"]["votes"]
    assert told["value"] == 2.5
    assert told["low"] < 2.5 < told["high"]
    assert report_as_dict(zero)["blocks"][0]["gains"] == {"votes": {"reason": NO_SCORE}}
    row = estimates(found).filter(pl.col("quantity") == "gain").row(0, named=True)
    assert (row["organisation"], row["value"], row["low"]) == ("votes", 2.5, told["low"])
    assert estimates(zero).filter(pl.col("quantity") == "gain").height == 0
