"""The line through the largest values over N: its interval by hand, its refusals, and when a bend is told."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from agentsoc.errors import InputError
from analysis.cascade_laws.growth_line import GrowthLine, fit_line, line_of_points
from benchmarks.study_growth import GAMMA, grown

LOG_N = np.log([8.0, 16.0, 32.0, 64.0, 128.0])


def one_each(values: list[float]) -> GrowthLine:
    return fit_line(LOG_N[: len(values)], [[np.array([value])] for value in values])


def test_one_value_for_each_n_has_the_interval_of_a_textbook_line() -> None:
    values = [9.0, 14.0, 15.0, 30.0, 33.0]
    found, wanted = one_each(values), stats.linregress(LOG_N, np.log(values))
    assert found.slope == pytest.approx(wanted.slope)
    assert found.se == pytest.approx(wanted.stderr)
    assert found.df == 3
    assert found.reach(0.95) == pytest.approx(stats.t.ppf(0.975, 3) * wanted.stderr)
    assert found.method == "Student's t, scatter over N"


def test_scatter_within_n_is_pooled_with_that_over_n() -> None:
    """Two values a, b at one N: the jackknife of the log of their mean has (ln a - ln b)^2 / 2 as sum of squares."""
    found = fit_line(LOG_N[:3], [[np.array([2.0]), np.array([4.0])], [np.array([5.0])], [np.array([6.0])]])
    y, m = np.log([3.0, 5.0, 6.0]), np.array([2.0, 1.0, 1.0])
    slope, level = np.polyfit(LOG_N[:3], y, 1, w=np.sqrt(m))
    squares = float(m @ (y - level - slope * LOG_N[:3]) ** 2)
    tau2 = (math.log(2) ** 2 / 2 + squares) / 2
    c = (LOG_N[:3] - LOG_N[:3].mean()) / np.sum((LOG_N[:3] - LOG_N[:3].mean()) ** 2)
    assert found.slope == pytest.approx(c @ y)
    assert found.se == pytest.approx(math.sqrt(tau2 * float(c**2 @ (1 / m))))
    assert found.df == 2
    assert "over clusters within N" in found.method


def test_two_n_with_one_value_each_are_refused_and_more_are_not() -> None:
    with pytest.raises(InputError) as raised:
        one_each([3.0, 4.0])
    assert "one independent value at each of 2 numbers of agents" in raised.value.problem.what
    assert one_each([3.0, 4.0, 9.0]).df == 1
    two = fit_line(LOG_N[:2], [[np.array([2.0]), np.array([3.0])], [np.array([5.0])]])
    assert (two.df, two.bend) == (1, None)
    assert math.isinf(line_of_points(LOG_N[:2], np.array([1.0, 2.0]), np.ones(2)).reach(0.95))


def test_a_bend_is_told_with_its_two_slopes_and_a_straight_line_has_none() -> None:
    bent, straight = grown((20,) * 5, 1, bent=True), grown((20,) * 5, 1)
    assert bent.bend is not None
    assert bent.bend.bends
    assert "no one exponent: the means bend down" in bent.summary()
    assert "slope" in bent.bend.summary()
    assert bent.bend.at == 32
    assert bent.bend.below == pytest.approx(1, abs=0.3)
    assert bent.bend.above == pytest.approx(0, abs=0.3)
    assert bent.bend.aic_gain > 0
    assert straight.bend is not None
    assert not straight.bend.bends
    assert "bend" not in straight.summary()
    assert "no bend is seen" in straight.bend.summary()
    up = fit_line(LOG_N, [[np.array([v, v * 1.1]), np.array([v * 0.95])] for v in np.exp(LOG_N**2 / 4)])
    assert up.bend is not None
    assert "bend up" in up.bend.summary()


def test_three_n_have_no_broken_line() -> None:
    found = fit_line(LOG_N[:3], [[np.array([v]), np.array([v * 1.01])] for v in (2.0, 8.0, 9.0)])
    assert found.bend is not None
    assert found.bend.bends
    assert "slope" not in found.bend.summary()


@pytest.mark.parametrize("counts", [(1,) * 5, (2,) * 5, (20, 20, 20, 20, 1)])
def test_intervals_hold_for_few_executions(counts: tuple[int, ...]) -> None:
    held = [one.low <= GAMMA <= one.high for one in (grown(counts, seed).by_mean for seed in range(200))]
    assert 0.91 <= np.mean(held) <= 0.99
