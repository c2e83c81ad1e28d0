"""Plans under doubt: `recommend` agrees with the exact designer where there is none, and carries it where there is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentsoc import load_grid
from agentsoc.errors import InputError
from agentsoc.streams import stream
from analysis.synergy.estimation.interval import Estimate
from analysis.synergy.estimation.interval import given as stated
from analysis.synergy.estimation.measured import Measured, MeasuredDifficulty, MeasuredMessage, load_measurements
from analysis.synergy.planning import design
from analysis.synergy.planning.calibration_plan import CalibrationStep, Settings, completed, steps, wanted_tasks
from analysis.synergy.planning.follow_up import follow_up, follow_up_text
from analysis.synergy.planning.recommend import GROUPS, recommend
from analysis.synergy.theory import formulas as theory

BASE: dict[str, Any] = {
    "name": "voters",
    "seed": 3,
    "tasks": {"kind": "signal", "count": 100},
    "agents": [{"model": {"kind": "simulated", "message": 50}}],
    "topology": {"kind": "star"},
    "protocol": {"kind": "aggregate", "by": "majority"},
}


def measured(n: int = 0, spread: float = 0.1, **changes: Any) -> Measured:
    """Return a measurement around a = .05, beta = .15, gamma = .85, rho = .1; without draws everything is certain."""
    centre = {"a": 0.05, "beta": 0.15, "rho": 0.1}
    rng = stream(4, "test", "plan")
    draws = {name: rng.normal(value, spread * value, n) for name, value in centre.items()} if n else {}
    gamma = rng.normal(0.85, 0.02, n) if n else np.empty(0)
    fields: dict[str, Any] = {
        "b": 5,
        "lock": "after_channel",
        "nodes": "read",
        "parameters": {name: stated(value) for name, value in {**centre, "gamma": 0.85}.items()},
        "points": centre,
        "draws": draws,
        "messages": (MeasuredMessage(50, 100.0, Estimate(0.85, 0.8, 0.9, method="wilson", se=0.02), gamma),),
        "x_range": (20.0, 10_000.0),
        "mu_max": 0.95,
        "scenario": BASE,
        "trials": {"leaf": 1000},
        "tokens": {"leaf": 50_000},
    }
    return Measured(**{**fields, **changes})


@settings(max_examples=25, deadline=None)
@given(
    gamma=st.floats(0.5, 1.0),
    rho=st.floats(0.0, 0.6),
    beta=st.floats(0.02, 0.4),
    budget=st.floats(500.0, 40_000.0),
    window=st.integers(160, 1_400),
)
def test_without_doubt_the_recommendation_is_that_of_the_exact_designer(
    gamma: float, rho: float, beta: float, budget: float, window: int
) -> None:
    known = measured().with_given(gamma=gamma, rho=rho, beta=beta)
    found = recommend(known, budget, window, x_min=1.0)
    leaf = theory.LeafLaw(0.05, beta, 0.95)
    exact = design.search(budget, window, leaf, gamma, rho, messages=[50], organisations=("star", "tree"))
    assert found.best.design.mu == pytest.approx(exact.best.mu, rel=1e-9)
    assert found.single.design.mu == pytest.approx(exact.single.mu, rel=1e-12)
    if found.best.design.organisation != "single":
        assert found.best.p == 1.0
        assert found.best.design.b * found.best.design.m <= window
    assert set(found.doubt.values()) == {0.0}


def test_doubt_is_carried_and_its_largest_source_is_what_to_measure() -> None:
    unsure = recommend(measured(400, spread=0.3), 5_000, 1_000)
    surer = recommend(measured(400, spread=0.02), 5_000, 1_000)
    assert 0.0 < unsure.organised.p < surer.organised.p  # type: ignore[union-attr]
    assert unsure.best.high - unsure.best.low > 3 * (surer.best.high - surer.best.low)
    assert sum(unsure.doubt.values()) == pytest.approx(1)
    assert max(GROUPS, key=lambda group: unsure.doubt[group]) == "leaf"
    assert "leaf trials" in unsure.advice
    assert "1,000 trials" in unsure.advice


def test_the_beta_binomial_form_of_shared_errors_never_makes_a_design_likelier() -> None:
    found = recommend(measured(300, spread=0.3), 5_000, 1_000)
    for one in (found.best, *found.rivals):
        assert one.p_beta_binomial is None or one.p_beta_binomial <= one.p + 1e-12


def test_tasks_below_chance_make_deep_trees_worse_and_the_plan_knows() -> None:
    kinds = MeasuredDifficulty(np.array([1.6, -1.4]), np.array([0.8, 0.2]), np.tile([0.8, 0.2], (50, 1)))
    equal = recommend(measured(50, 0.01), 60_000, 500)
    mixed = recommend(measured(50, 0.01, difficulty=kinds), 60_000, 500)
    assert mixed.best.design.mu < equal.best.design.mu
    assert mixed.best.design.mu < 0.6  # no tree passes what the hard fifth of the tasks takes away


def test_a_draw_in_which_both_are_equal_counts_half_for_either() -> None:
    """In a quarter of the draws no answer holds any signal: then no organisation beats one agent, nor is it beaten."""
    draws = {"a": np.repeat([0.0, 0.05], [25, 75]), "beta": np.full(100, 0.15), "rho": np.full(100, 0.1)}
    found = recommend(measured(draws=draws), 5_000, 1_000)
    assert found.best.design.organisation != "single"
    assert found.best.p == 0.75 + 0.25 / 2
    assert found.best.p_beta_binomial == found.best.p
    assert found.single.p == 0.5
    same = recommend(measured(draws={**draws, "a": np.zeros(100)}), 5_000, 1_000)
    assert (same.best.p, same.p_over_next) == (0.5, 0.5)


@pytest.mark.parametrize(("a", "rho"), [(0.2, 1.0), (0.0, 0.1)], ids=["one mistake shared by all", "no signal"])
def test_of_designs_that_are_expected_to_do_as_well_the_smaller_society_is_named(a: float, rho: float) -> None:
    """Nothing is lost on the way and tokens change nothing, so every design is as good as one agent."""
    found = recommend(measured().with_given(a=a, beta=0.0, rho=rho, gamma=1.0), 40_000, 3_000)
    assert {one.mean for one in (found.best, *found.rivals)} == {a}
    named = [(one.design.organisation, one.design.b, one.design.depth) for one in (found.best, *found.rivals)]
    assert named == [("single", 1, 0), ("star", 3, 1), ("tree", 3, 2), ("tree", 3, 3)]


def test_what_is_missing_is_named_with_the_option_that_states_it() -> None:
    blind = measured(points={"a": 0.05, "beta": 0.15}, refusals=("rho: no votes",))
    with pytest.raises(InputError, match="no plan without rho: rho: no votes") as told:
        recommend(blind, 1_000, 1_000)
    assert "--rho VALUE" in told.value.problem.hint
    assert recommend(blind.with_given(rho=0.1), 1_000, 1_000).n_candidates > 1
    deaf = measured(messages=())
    assert deaf.missing() == ["gamma"]
    assert deaf.with_given(gamma=1.0).messages[0].m == 0


def test_a_budget_below_one_answer_is_refused_and_one_for_a_single_answer_is_one_agent() -> None:
    with pytest.raises(InputError, match="do not pay for one agent"):
        recommend(measured(), 10, 1_000)
    only = recommend(measured(), 100, 1_000)
    assert only.best.design.organisation == "single"
    assert only.organised is None
    assert "nothing else fits" in only.summary()


def test_measurements_survive_their_file(tmp_path: Path) -> None:
    kinds = MeasuredDifficulty(np.array([1.6, -1.4]), np.array([0.8, 0.2]), np.tile([0.8, 0.2], (40, 1)))
    before = measured(40, difficulty=kinds)
    file = tmp_path / "m.json"
    file.write_text(json.dumps(before.as_dict()))
    after = load_measurements(file)
    assert json.dumps(after.as_dict()) == json.dumps(before.as_dict())
    assert recommend(after, 5_000, 800).summary() == recommend(load_measurements(file), 5_000, 800).summary()


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("", "no JSON"),
        ("[]", "no measurements"),
        ("{}", "no measurements"),
        ('{"kind": "agentsoc-measurements", "format": 99}', "format 99"),
        ('{"kind": "agentsoc-measurements", "format": 1}', "do not hold"),
    ],
)
def test_other_files_are_no_measurements(tmp_path: Path, content: str, named: str) -> None:
    file = tmp_path / "m.json"
    file.write_text(content)
    with pytest.raises(InputError, match=named):
        load_measurements(file)
    with pytest.raises(InputError, match="cannot be read"):
        load_measurements(tmp_path / "none.json")


def test_a_follow_up_gives_both_sides_the_same_budget_and_tasks_enough(tmp_path: Path) -> None:
    found = recommend(measured(100, 0.02), 5_000, 1_000)
    assert found.organised is not None
    data = follow_up(measured(), found.organised, found)
    single, designed = data["organisations"]["single"], data["organisations"]["designed"]
    assert single["agents"] == {"count": 1, "model": {"compute": 5_000}}
    assert designed["agents"]["model"]["compute"] <= found.organised.design.x
    assert designed["topology"]["fan_in"] == found.organised.design.b
    assert data["base"]["budget"] == {"tokens_per_task": 5_000}
    assert BASE["seed"] not in data["seeds"]
    assert data["base"]["tasks"]["count"] * len(data["seeds"]) >= 50
    file = tmp_path / "f.yaml"
    file.write_text(follow_up_text(measured(), found.organised, found))
    assert len(load_grid(file).cells) == 2 * len(data["seeds"])


def test_a_calibration_spends_most_on_leaves_and_puts_dear_tasks_first() -> None:
    ready = completed(Settings(1_000_000, operating=(("temperature", 0.3),)), BASE)
    found = steps(BASE, ready)
    assert sum(step.share for step in found) == pytest.approx(1)
    by_purpose = {p: sum(s.share for s in found if s.run.purpose == p) for p in ("leaf", "relay", "merge", "replicate")}
    assert by_purpose["leaf"] > 0.5
    levels = [step.run.level for step in found if step.run.purpose == "leaf"]
    assert levels == sorted(levels, reverse=True)
    assert max(levels) / min(levels) >= 16
    assert len({step.run.scenario["seed"] for step in found}) == len(found)
    [first, again] = [step for step in found if step.run.purpose in ("merge", "replicate")]
    assert first.run.scenario["tasks"]["seed"] == again.run.scenario["tasks"]["seed"]
    assert again.same_tasks_as == first.name


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"levels": (10.0, 20.0)}, "no exponent"),
        ({"levels": (0.0, 1.0, 8.0, 16.0)}, "no exponent"),
        ({"b": 4}, "majority of 4"),
        ({"dial": "max_tokens"}, "which values"),
    ],
)
def test_a_calibration_that_could_tell_nothing_is_refused(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        completed(Settings(1_000_000, **changes), BASE)


def test_a_share_that_pays_for_too_few_tasks_says_what_would_do() -> None:
    step = CalibrationStep("02-leaf-16", steps(BASE, completed(Settings(1), BASE))[0].run, 0.5)
    with pytest.raises(InputError, match="pays for 5 tasks") as told:
        wanted_tasks(step, 100.0, 1_000, 1.0)
    assert "3,001" in told.value.problem.hint
    assert wanted_tasks(step, 100.0, 3_001, 1.0) == 15
