"""What `phase` and `plan` say of votes whose shared errors are known: each sentence where it belongs, only there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from analysis.synergy.estimation.count_shapes import DECISIVE, _cells, compare_shapes
from analysis.synergy.estimation.growth import SHAPES, shapes_left
from analysis.synergy.estimation.measured import Measured
from analysis.synergy.estimation.phase_estimate import PhaseEstimate
from analysis.synergy.estimation.phase_of_runs import phase_of_votes
from analysis.synergy.planning.recommend import Recommendation, recommend
from analysis.synergy.theory.shapes import Shape
from benchmarks.study_shapes import clique_votes, gamma_for, phase, planned, votes
from tests.sides import told_apart

DECIDES = "because the form of shared errors decides and the votes do not tell it"
ERROR = "what is amplified is error"
BY_LAW = "all figures by the beta-binomial law of shared errors, because the votes exclude the lock"
OPEN = "undecided: the form of shared errors decides whether it beats one agent, and no votes tell it"


@pytest.mark.parametrize("shape", SHAPES)
def test_the_regime_goes_by_the_form_that_the_votes_speak_for(shape: Shape) -> None:
    grows, falls = phase(shape, 1.25, 1)[0], phase(shape, 0.75, 1)[0]
    assert (grows.verdict, falls.verdict) == ("amplify", "collapse")
    for found in (grows, falls):
        out = next(line for line in found.summary().splitlines() if "P(alpha > 1)" in line)
        assert ("if locked (excluded by the votes)" in out) is (shape != "lock")
        assert ("if beta-binomial (excluded by the votes)" in out) is (shape == "lock")
        assert out.endswith(f": {found.verdict}")


def once(growth: float, shape: Shape = "beta_binomial") -> PhaseEstimate:
    """Return what is said of votes of tasks that were run once: the form cannot be told from difficulty."""
    gamma = gamma_for(growth, 0.3, shape)
    table = votes(shape, gamma=gamma, tasks=400).filter(pl.col("run") == "0")
    return phase_of_votes(table, gamma=gamma, rho=0.3)[0]


def test_where_the_forms_are_at_odds_and_nothing_was_tested_the_regime_is_undecided() -> None:
    torn, clear, dead = once(0.9), once(1.2), once(0.6)
    assert torn.p_amplify == 1
    assert (torn.verdict, clear.verdict, dead.verdict) == ("undecided", "amplify", "collapse")
    assert DECIDES in torn.summary()
    assert DECIDES not in clear.summary()
    assert DECIDES not in dead.summary()
    assert "excluded" not in torn.summary()


def test_a_lock_before_the_channel_has_no_other_form() -> None:
    found = phase_of_votes(votes("lock"), gamma=0.9, sent=True)[0]
    assert "P(alpha > 1) > 0.99: amplify" in found.summary()
    assert "if locked" not in found.summary()
    assert "alpha if locked" in phase("lock", 1.2, 1)[0].summary()


def test_votes_below_chance_are_named_first() -> None:
    below, above = (phase_of_votes(votes("lock", mu=mu, rho=0.1), gamma=0.85)[0] for mu in (-0.3, 0.2))
    first = below.summary().splitlines()[0]
    assert first.startswith("votes are right in 3")
    assert "chance gives 50.0%: they are below chance" in first
    assert f"amplify, but {ERROR}" in below.summary()
    assert above.below_chance is None
    assert "below chance" not in above.summary()
    assert ERROR not in above.summary()


def test_votes_below_chance_that_die_out_amplify_no_error() -> None:
    found = phase_of_votes(votes("lock", mu=-0.3, rho=0.1), gamma=0.3)[0]
    assert found.verdict == "collapse"
    assert f"but {ERROR}" not in found.summary()


def plan_of(found: Measured) -> Recommendation:
    priced = replace(found, messages=tuple(replace(one, m=50, cost=100.0) for one in found.messages))
    return recommend(priced.with_given(a=0.05, beta=0.15), 20_000, 1_000)


def test_a_plan_goes_by_the_form_that_the_votes_leave() -> None:
    measured = phase("beta_binomial", 1.0, 2)[1]
    assert measured.shape == "beta_binomial"
    found, blind = plan_of(measured), plan_of(replace(measured, assumptions=()))
    assert found.organised is not None
    assert blind.organised is not None
    assert found.organised.p == min(found.organised.chances)  # both forms that are left
    assert found.organised.p_gaussian is not None
    assert blind.p_least == min(blind.organised.chances)
    assert len(blind.organised.chances) == 3
    assert BY_LAW in found.summary()
    assert "if shared errors are beta-binomial" not in found.summary()
    assert found.organised is not None
    assert found.organised.p < 0.9
    assert blind.organised is not None
    assert blind.organised.p > 0.8  # what the lock alone promises
    assert blind.organised.p_beta_binomial == 0
    assert OPEN in blind.cautions
    assert blind.p_least == 0
    assert "< 0.01 to 0.87 by the form of shared errors" in blind.summary()
    assert "by the form of shared errors" not in found.summary()
    assert BY_LAW not in blind.summary()
    assert OPEN not in found.cautions


def test_a_plan_from_votes_of_the_lock_has_no_such_words() -> None:
    found = plan_of(phase("lock", 1.2, 2)[1])
    assert found.shape == "lock"
    assert BY_LAW not in found.summary()
    assert OPEN not in found.cautions
    assert "if shared errors are beta-binomial" in found.summary()
    assert found.organised is not None
    assert found.organised.p_gaussian is None
    assert found.p_least == found.organised.p


def test_votes_that_hardly_speak_for_the_lock_do_not_exclude_the_others() -> None:
    """Votes of a Gaussian factor by which the lock is better by an AIC of 5: a plan that trusts it loses."""
    table = votes("gauss_factor", gamma=gamma_for(1.25, 0.3, "gauss_factor"), seed=28)
    test = compare_shapes(table)
    assert 4 < test.aic_difference < DECISIVE
    assert test.preferred is None
    assert shapes_left(test, "after_channel") == SHAPES
    p, loses, alone = planned("gauss_factor", 1.25, 28)
    assert alone or (loses and p < 0.5)
    sure = compare_shapes(votes("lock", seed=3))
    assert sure.aic_difference > DECISIVE
    assert shapes_left(sure, "after_channel") == ("lock",)


def test_a_plan_says_first_that_votes_are_below_chance() -> None:
    below, above = (plan_of(phase_of_votes(votes("lock", mu=mu), gamma=0.85)[1]) for mu in (-0.3, 0.2))
    assert "they are below chance" in below.summary().splitlines()[0]
    assert "below chance" not in above.summary()


def test_tasks_are_counted_for_the_estimate_that_they_carry() -> None:
    """Votes of tasks that were run once carry no rho, however many they are."""
    table = votes("lock", tasks=60)
    some = table.filter((pl.col("run") == "0") | (pl.col("task").cast(pl.Int64) < 24))
    few, enough = (phase_of_votes(one, gamma=0.8)[0].summary() for one in (some, table))
    assert "60 tasks, but rho from 24; below 30 an interval is not to be trusted" in few
    assert "but rho from" not in enough


@pytest.mark.parametrize("shape", ["beta_binomial", "gauss_factor"])
def test_no_plan_that_is_called_sure_loses(shape: Shape) -> None:
    for growth in (1.0, 1.25):
        for seed in range(3):
            p, loses, _ = planned(shape, growth, seed)
            assert not (p >= 0.9 and loses)


def test_votes_of_an_unknown_form_name_no_regime_and_no_design() -> None:
    """Three of five agents always say the same, so a node is never better than one of them; both laws say amplify."""
    strange, known = clique_votes(1.0, 0.9, seed=1), votes("beta_binomial", gamma=0.9, seed=1)
    (odd, measured), (plain, other) = (phase_of_votes(one, gamma=0.9) for one in (strange, known))
    assert (odd.verdict, plain.verdict) == ("undecided", "amplify")
    assert odd.p_amplify_least == 1  # what the laws would have it
    told_apart({"follow no form of shared errors that is known here": odd.summary()}, plain.summary())
    found, sure = plan_of(measured), plan_of(other)
    assert found.best.design.organisation == "single"
    assert found.no_prediction == found.unknown_form is not None
    assert found.as_dict()["unknown_form"] == found.unknown_form
    assert (sure.no_prediction, sure.as_dict()["unknown_form"]) == (None, None)
    below = plan_of(phase_of_votes(votes("lock", mu=-0.3), gamma=0.85)[1])
    told_apart(
        {
            "how often its nodes would err together is not known": found.summary(),
            "they rest on a law of shared errors that these votes do not follow": found.summary(),
            "which agents err together, or compare a small design with one agent on the tasks themselves": (
                found.summary()
            ),
        },
        sure.summary(),
        below.summary(),
    )


def test_numbers_of_right_votes_that_are_rare_are_taken_together() -> None:
    assert _cells(np.array([1.0, 2, 9, 30, 12, 3]), 10).tolist() == [0, 0, 0, 1, 2, 2]
    assert _cells(np.array([4.0, 3, 2]), 10).tolist() == [0, 0, 0]
    few = compare_shapes(votes("lock", tasks=30))
    assert few.misfit is None
    assert replace(compare_shapes(votes("lock", tasks=60)), conditioned=False).misfit is None
