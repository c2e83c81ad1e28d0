"""From which budget on a tree is worth more than one agent, by measured parameters: the theory's, with an interval."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agentsoc.streams import stream
from analysis.interval import Interval
from analysis.synergy.estimation.interval import Estimate
from analysis.synergy.estimation.interval import given as stated
from analysis.synergy.estimation.measured import Measured, MeasuredMessage
from analysis.synergy.planning.threshold import measured_threshold
from analysis.synergy.theory.budget import exact_threshold
from analysis.synergy.theory.costs import LeafLaw


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
        assert found == "by the measured parameters the tree never gets ahead"
        return
    assert isinstance(found, Interval)
    assert found.value == pytest.approx(exact, rel=2e-3)
    assert found.low == found.value == found.high


def test_with_doubt_its_interval_holds_the_truth_as_often_as_it_says() -> None:
    truth = exact_threshold(5, 0.95, 0.05, 20, LeafLaw(0.02, 0.45, 0.6))
    found = [measured_threshold(measured(40, seed=seed)) for seed in range(12)]
    held = [isinstance(one, Interval) and one.covers(truth) for one in found]
    assert sum(held) >= 9  # at a true 95 % fewer are held twice in a thousand times
    widths = [one.high / one.low for one in found if isinstance(one, Interval)]
    assert np.median(widths) < 3, "an interval that holds everything says nothing"


def test_a_tree_that_never_gets_ahead_has_no_budget() -> None:
    assert np.isinf(exact_threshold(5, 0.3, 0.05, 20, LeafLaw(0.02, 0.45, 0.6)))
    found = measured_threshold(measured(gamma=0.3))
    assert found == "by the measured parameters the tree never gets ahead"


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
