"""From which budget on a tree is worth more than one agent, by measured parameters: the theory's, with an interval."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsoc.errors import InputError
from agentsoc.streams import stream
from analysis.interval import Interval
from analysis.synergy.estimation.interval import Estimate
from analysis.synergy.estimation.interval import given as stated
from analysis.synergy.estimation.measured import Measured, MeasuredMessage
from analysis.synergy.planning.threshold import MOST, measured_threshold
from analysis.synergy.theory.budget import exact_threshold
from analysis.synergy.theory.costs import LeafLaw, leaf_tokens, tree_cost
from analysis.synergy.theory.trajectories import trajectory

NEVER = "by the measured parameters the tree never gets ahead at budgets up to 1e+12 tokens"


def measured(n: int = 0, gamma: float = 0.95, seed: int = 1, **changes: Any) -> Measured:
    """Return measurements around a = .02, beta = .45, rho = .05; without draws everything is certain.

    With draws the centre is one draw of such errors too, as it is in an experiment.
    """
    rng = stream(seed, "test", "threshold")
    spread = {"a": (0.02, 0.001), "beta": (0.45, 0.01), "rho": (0.05, 0.01)}
    off = {name: rng.normal(0, error) if n else 0.0 for name, (_, error) in spread.items()}
    centre = {name: value + off[name] for name, (value, _) in spread.items()}
    draws = {name: rng.normal(centre[name], error, n) for name, (_, error) in spread.items()} if n else {}
    middle = gamma + (rng.normal(0, 0.01) if n else 0.0)
    of_gamma = rng.normal(middle, 0.01, n) if n else np.empty(0)
    fields: dict[str, Any] = {
        "b": 5, "lock": "after_channel", "nodes": "read",
        "parameters": {name: stated(value) for name, value in centre.items()},
        "points": centre, "draws": draws,
        "messages": (MeasuredMessage(20, 40.0, Estimate(middle, middle - 0.02, middle + 0.02), of_gamma),),
        "x_range": (20.0, 10_000.0), "mu_max": 0.6,
    }  # fmt: skip
    return Measured(**{**fields, **changes})


@pytest.mark.parametrize(
    ("b", "depth", "gamma", "mu_max"), [(5, 1, 0.95, 0.6), (5, 2, 0.95, 0.6), (3, 1, 0.99, 1.0), (7, 1, 0.9, 0.6)]
)
def test_without_doubt_it_is_that_of_the_theory(b: int, depth: int, gamma: float, mu_max: float) -> None:
    found = measured_threshold(measured(gamma=gamma, mu_max=mu_max), b=b, depth=depth)
    exact = exact_threshold(b, gamma, 0.05, 20, LeafLaw(0.02, 0.45, mu_max), depth)
    if np.isinf(exact):
        assert found == NEVER
        return
    assert isinstance(found, Interval)
    assert found.value == pytest.approx(exact, rel=2e-3)
    assert found.low == found.value == found.high


@pytest.mark.filterwarnings("error")
@given(
    st.sampled_from([2, 3, 5, 40]),
    st.sampled_from([0.3, 0.9, 0.99, 0.999999]),
    st.sampled_from([0.0, 1e-4, 0.1]),
    st.sampled_from([1e-9, 60.0, 1e4]),
    st.sampled_from([1e-12, 1e-3, 0.05, 0.5]),
    st.sampled_from([0.0, 1e-300, 1e-12, 1e-6, 1e-3, 0.05, 0.3]),
    st.sampled_from([1.0, 0.9, 0.3]),
    st.sampled_from([1, 2, 6]),
)
def test_the_exact_threshold_is_a_budget_or_inf_whatever_the_leaf(
    b: int, gamma: float, rho: float, m: float, a: float, beta: float, mu_max: float, depth: int
) -> None:
    """A tiny exponent puts the end of the single agent's growth beyond the largest number."""
    leaf = LeafLaw(a, beta, mu_max)
    found = exact_threshold(b, gamma, rho, m, leaf, depth)
    least = float(tree_cost(b, depth, 0.0, m))  # below, nothing is left for a leaf
    budgets = np.geomspace(max(least, 1.0), 1e100, 4000)
    trees = trajectory(leaf(leaf_tokens(budgets, b, depth, m)), b, gamma, rho, depth)[-1]
    ahead = budgets[trees > leaf(budgets) * (1 + 1e-9)]
    if not np.isfinite(found):
        assert ahead.size == 0
        return
    assert found >= 0
    if ahead.size:
        assert found <= ahead[0] * (1 + 1e-9)
        step = float(budgets[1] / budgets[0])
        assert found >= ahead[0] / step - 1, "nothing below it is ahead, by the scan"


def test_with_doubt_its_interval_holds_the_truth_in_most_of_a_dozen_experiments() -> None:
    """A dozen shows that the interval is neither beside the truth nor everything; it cannot tell 95 % from 80 %."""
    truth = exact_threshold(5, 0.95, 0.05, 20, LeafLaw(0.02, 0.45, 0.6))
    found = [measured_threshold(measured(40, seed=seed)) for seed in range(12)]
    held = [isinstance(one, Interval) and one.covers(truth) for one in found]
    assert sum(held) >= 9
    widths = [one.high / one.low for one in found if isinstance(one, Interval)]
    assert np.median(widths) < 3, "an interval that holds everything says nothing"


def test_a_tree_that_never_gets_ahead_has_no_budget() -> None:
    assert np.isinf(exact_threshold(5, 0.3, 0.05, 20, LeafLaw(0.02, 0.45, 0.6)))
    found = measured_threshold(measured(gamma=0.3))
    assert found == NEVER


def test_the_least_budget_looked_at_is_not_told_as_the_threshold() -> None:
    """At beta = 0.001 the theory has 200 tokens, and a leaf has a token from 205 on."""
    flat = {**measured().points, "beta": 0.001}
    assert exact_threshold(5, 0.95, 0.05, 20, LeafLaw(0.02, 0.001, 0.6)) == pytest.approx(200.0, rel=1e-3)
    said = measured_threshold(measured(points=flat))
    assert said == "by the measured parameters the tree is ahead already at 205 tokens, one a leaf: at or below"
    some = measured_threshold(measured(draws={"beta": np.tile([0.45, 0.001], 20)}))
    assert isinstance(some, Interval)
    assert some.low == pytest.approx(205.0)
    assert some.open_low
    assert some.brackets().startswith("(205, ")
    none_there = measured_threshold(measured(draws={"beta": np.full(40, 0.45)}))
    assert isinstance(none_there, Interval)
    assert not none_there.open_low


@pytest.mark.parametrize("beta", [0.0, -0.1])
def test_where_compute_gains_nothing_no_budget_decides(beta: float) -> None:
    said = measured_threshold(measured(points={**measured().points, "beta": beta}))
    assert said == "by the measured parameters no agent gains by compute (beta is not above 0), so no budget decides"


@pytest.mark.parametrize("shape", [{"b": 4}, {"b": 1}, {"b": -3}, {"depth": 0}])
def test_what_is_no_tree_is_refused(shape: dict[str, int]) -> None:
    with pytest.raises(InputError, match=r"must (be odd and at least 3|have at least 1 level), got"):
        measured_threshold(measured(), **shape)


def test_a_tree_too_deep_for_any_budget_is_not_looked_at_beyond_the_last() -> None:
    deep = measured(gamma=0.99)
    assert measured_threshold(deep, depth=20) == (
        "such a tree costs 4.9e+15 tokens at one a leaf, and budgets are looked at up to 1e+12"
    )
    assert tree_cost(5, 14, 1.0, 20) < MOST < tree_cost(5, 15, 1.0, 20)
    assert "ahead already at 311,279,296,825 tokens" in str(measured_threshold(deep, depth=14))


def test_budgets_are_looked_at_where_one_agent_needs_more_than_any_number_to_saturate() -> None:
    """With beta = 0.004, mu_max / a = 50 is reached at 50^250 tokens, which no float holds."""
    law = {**measured().points, "beta": 0.004, "rho": 0.0}
    gamma = 0.537  # s is just above beta, so the tree is ahead late
    truth = exact_threshold(5, gamma, 0.0, 20, LeafLaw(0.02, 0.004))
    assert 1_200 < truth < 1e6
    found = measured_threshold(measured(gamma=gamma, mu_max=1.0, points=law))
    assert isinstance(found, Interval)
    assert found.value == pytest.approx(truth, rel=0.01)


def test_draws_that_never_get_ahead_leave_the_interval_open_above() -> None:
    some = measured(gamma=0.95, draws={"rho": np.tile([0.05, 0.9], 20)})
    found = measured_threshold(some)
    assert isinstance(found, Interval)
    assert found.open_high
    assert found.brackets().endswith(")")
    all_ahead = measured_threshold(measured(60))
    assert isinstance(all_ahead, Interval)
    assert not all_ahead.open_high


def test_what_was_not_measured_is_not_predicted() -> None:
    assert measured_threshold(measured(), m=50) == "the fidelity of such messages was not measured"
    assert measured_threshold(measured(messages=())) == "the fidelity of such messages was not measured"
    for name in ("a", "beta", "rho"):
        points = {key: value for key, value in measured().points.items() if key != name}
        said = measured_threshold(measured(points=points))
        assert said == "how leaves gain by compute, or how they err together, was not measured"
