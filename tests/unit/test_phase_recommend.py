"""The figures of a recommendation, worked out beside it: candidates, spans, shares, doubts, cautions and the text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from agentsoc.errors import InputError
from analysis.synergy.estimation.assumptions import LOCK
from analysis.synergy.estimation.interval import Estimate, equals, sure
from analysis.synergy.estimation.interval import given as stated
from analysis.synergy.estimation.measured import Measured, MeasuredDifficulty, MeasuredMessage
from analysis.synergy.planning.design import Design
from analysis.synergy.planning.recommend import GROUPS, Ranked, Recommendation, recommend
from analysis.synergy.theory.recursion import node_map

N = 200


def message(m: int = 50, cost: float = 100.0, gamma: float = 0.85, draws: Any = ()) -> MeasuredMessage:
    return MeasuredMessage(
        m, cost, Estimate(gamma, gamma - 0.05, gamma + 0.05, method="wilson", se=0.02), np.asarray(draws, dtype=float)
    )


def measured(draws: Mapping[str, Any] | None = None, **changes: Any) -> Measured:
    """Return a = .05, beta = .15, gamma = .85, rho = .1, of which only what `draws` names is in doubt."""
    centre = {"a": 0.05, "beta": 0.15, "rho": 0.1}
    fields: dict[str, Any] = {
        "b": 5,
        "lock": "after_channel",
        "nodes": "read",
        "parameters": {name: stated(value) for name, value in centre.items()},
        "points": centre,
        "draws": {name: np.asarray(values, dtype=float) for name, values in (draws or {}).items()},
        "messages": (message(),),
        "x_range": (20.0, 10_000.0),
        "mu_max": 0.95,
        "assumptions": ((LOCK, "not contradicted", "shared errors of the lock form"),),
    }
    return Measured(**{**fields, **changes})


def spread(value: float, by: float = 0.1) -> np.ndarray:
    return np.random.default_rng(3).normal(value, by * value, N)


def star(x: float, b: int, a: Any = 0.05, beta: Any = 0.15, gamma: Any = 0.85, rho: Any = 0.1) -> Any:
    return node_map(np.minimum(np.asarray(a) * x ** np.asarray(beta), 0.95), b, gamma, rho)


def everybody(found: Recommendation) -> tuple[Ranked, ...]:
    return (found.best, *found.rivals)


# Candidates


@pytest.mark.parametrize(
    ("budget", "window", "n"),
    [
        (5_000, 149, 1),  # not even three messages fit
        (5_000, 150, 4),  # b = 3 of depth 1, 2 and 3
        (360, 1_000, 2),  # three leaves of 20 tokens and a hundred for each message
        (359, 1_000, 1),
        (600, 1_000, 3),
        (599, 1_000, 2),
    ],
)
def test_candidates_fit_the_window_and_the_budget(budget: float, window: float, n: int) -> None:
    assert recommend(measured(), budget, window).n_candidates == n


def test_a_design_spends_the_budget_on_leaves_and_messages_and_a_single_agent_on_itself() -> None:
    found = recommend(measured(), 20_000, 1_000)
    assert found.single.design.x == 20_000
    kinds = [(one.design.organisation, one.design.depth) for one in everybody(found)]
    assert len(set(kinds)) == len(kinds) == 4
    for one in everybody(found):
        d = one.design
        assert d.n_leaves == d.b**d.depth
        if d.organisation != "single":
            n_messages = d.n_leaves * (1 - d.b**-d.depth) / (1 - 1 / d.b)
            assert d.n_leaves * d.x + 100 * n_messages == pytest.approx(20_000)
            assert d.organisation == ("star" if d.depth == 1 else "tree")
            assert (d.m, d.gamma, d.b % 2) == (50, 0.85, 1)
            assert d.x >= 20


def test_no_leaf_gets_less_than_was_tried_unless_that_is_asked_for() -> None:
    assert recommend(measured(x_range=(300.0, 10_000.0)), 1_200, 1_000).n_candidates == 2
    assert recommend(measured(x_range=(301.0, 10_000.0)), 1_200, 1_000).n_candidates == 1
    assert recommend(measured(x_range=(301.0, 10_000.0)), 1_200, 1_000, x_min=300).n_candidates == 2
    assert recommend(measured(x_range=None), 303, 1_000).n_candidates == 2  # one token at least
    assert recommend(measured(x_range=None), 302, 1_000).n_candidates == 1


def test_fan_ins_can_be_named_and_those_that_do_not_fit_fall_away() -> None:
    found = recommend(measured(), 5_000, 400, fan_ins=[5, 7, 9])
    assert {one.design.b for one in everybody(found)} == {1, 5, 7}
    assert found.n_candidates == 1 + 2 + 1  # b = 5 of depth 1 and 2, b = 7 of depth 1
    assert recommend(measured(), 5_000, 450, fan_ins=[9]).n_candidates == 2


def test_many_fan_ins_are_thinned_out_all_odd_and_up_to_the_window() -> None:
    free = measured(messages=(message(0, 0.0, 1.0),)).with_given(beta=0.0, a=0.3, rho=0.0)
    found = recommend(free, 1_000, 10, x_min=1.0)
    assert 40 < found.n_candidates < 200
    assert found.best.design.b % 2 == 1
    assert found.best.design.mu == pytest.approx(1.0, abs=1e-9)
    wide = recommend(measured(), 1_000_000, 10_000)
    assert max(one.design.b for one in everybody(wide)) <= 200
    assert all(one.design.b % 2 for one in everybody(wide) if one.design.b > 1)


def test_fan_ins_beyond_forty_nine_are_as_many_as_those_below_and_all_beyond() -> None:
    """3, 5, ..., 49, then 24 up to 200 at equal ratios, the first of which is 49 again; messages cost nothing."""
    free = measured(messages=(message(0, 0.0, 1.0),)).with_given(beta=0.0, a=0.3, rho=0.0)
    deeper = sum(b**depth <= 200 for b in range(3, 50, 2) for depth in range(2, 8))
    assert recommend(free, 200, 10, x_min=1.0).n_candidates == 1 + 24 + 23 + deeper


def test_a_window_wider_than_the_budget_pays_messages_for_changes_nothing() -> None:
    """At 20 tokens a leaf and 100 a message 20,000 tokens pay for 166."""
    narrow, wide = (recommend(measured(), 20_000, window) for window in (166 * 50, 10**7))
    assert (narrow.n_candidates, narrow.best) == (wide.n_candidates, wide.best)


def test_the_widest_fan_in_that_fits_is_tried_however_many_there_are() -> None:
    """Nothing is lost and nothing shared, so the most votes win: some hundred, for more no leaf has its tokens."""
    free = measured(messages=(message(1, 2.0, 1.0),)).with_given(beta=0.0, rho=0.0)
    assert 99 <= recommend(free, 20_000, 101, x_min=190).best.design.b <= 101


def test_messages_of_one_token_fill_the_window_as_longer_ones_do() -> None:
    short = measured(messages=(message(1, 2.0),))
    assert {one.design.b for one in everybody(recommend(short, 5_000, 4.9))} == {3}
    assert recommend(short, 5_000, 5).n_candidates > recommend(short, 5_000, 4.9).n_candidates


def test_one_agent_has_no_messages_no_levels_and_no_fan_in() -> None:
    mu = 0.05 * 5_000**0.15
    assert recommend(measured(), 5_000, 1_000).single.design == Design("single", 1, 0, 0, 1, 5_000.0, 1.0, mu)


def test_a_single_draw_is_the_only_one() -> None:
    found = recommend(measured({"a": [0.0]}), 5_000, 1_000)
    assert found.organised is not None
    assert (found.organised.mean, found.organised.p, found.p_over_next) == (0.0, 0.5, 0.5)


def test_every_measured_length_of_message_is_considered() -> None:
    short, long = message(10, 20.0, 0.7), message(50, 100.0, 0.9)
    for pair in ((short, long), (long, short)):
        found = recommend(measured(messages=pair), 20_000, 400)
        assert {one.design.m for one in everybody(found)} >= {found.best.design.m}
        assert found.n_candidates > recommend(measured(messages=(short,)), 20_000, 400).n_candidates
        assert found.best == max(
            (recommend(measured(messages=(one,)), 20_000, 400).best for one in pair), key=lambda one: one.mean
        )


# What is expected of a design


def test_mean_and_span_are_those_of_the_draws_and_the_centre_stands_apart() -> None:
    a = spread(0.05)
    found = recommend(measured({"a": a}), 5_000, 1_000)
    alone = a * 5_000**0.15
    assert found.single.design.mu == pytest.approx(0.05 * 5_000**0.15)
    assert found.single.mean == pytest.approx(alone.mean())
    assert (found.single.low, found.single.high) == pytest.approx(tuple(np.quantile(alone, [0.025, 0.975])))
    d = found.best.design
    assert d.organisation == "star"
    signals = star(d.x, d.b, a)
    assert found.best.mean == pytest.approx(signals.mean())
    assert (found.best.low, found.best.high) == pytest.approx(tuple(np.quantile(signals, [0.025, 0.975])))
    assert d.mu == pytest.approx(star(d.x, d.b))


def test_probabilities_are_shares_of_the_draws_in_which_one_is_above_the_other() -> None:
    gamma = spread(0.6, 0.2)
    found = recommend(measured({"rho": np.full(N, 0.1)}, messages=(message(gamma=0.6, draws=gamma),)), 3_000, 1_000)
    assert {one.design.organisation for one in everybody(found)} >= {"single", "star"}
    organised = found.organised
    assert organised is not None
    d = organised.design
    alone = 0.05 * 3_000**0.15
    assert organised.p == np.mean(star(d.x, d.b, gamma=np.clip(gamma, 0, 1)) > alone)
    assert 0.05 < organised.p < 0.95
    other = found.rivals[0] if found.best is not found.rivals[0] else found.best
    first, next_ = found.best, other
    expected = organised.p if first.design.organisation != "single" else 1 - organised.p
    assert {first.design.organisation, next_.design.organisation} == {"single", "star"}
    assert found.p_over_next == pytest.approx(expected)


def test_shared_errors_of_another_form_are_shown_where_that_form_exists() -> None:
    assert recommend(measured(), 5_000, 1_000).best.p_beta_binomial is not None
    assert recommend(measured(lock="before_channel"), 5_000, 1_000).best.p_beta_binomial is None
    for lock in ("after_channel", "before_channel"):
        found = recommend(measured(lock=lock), 5_000, 1_000).best
        leaf = min(0.05 * found.design.x**0.15, 0.95)
        assert found.design.mu == pytest.approx(node_map(leaf, found.design.b, 0.85, 0.1, lock=lock))


def test_a_draw_that_is_no_number_or_no_probability_is_put_right() -> None:
    """Missing draws are the central value; a fidelity or a correlation beyond 0 and 1 is the end of its range."""
    draws = {"a": [0.05, np.nan, np.inf, 0.05], "rho": [-0.5, 0.1, 0.1, 2.0]}
    found = recommend(measured(draws, messages=(message(draws=[1.7, -3.0, np.nan, 0.85]),)), 5_000, 250, fan_ins=[5])
    [one] = [one for one in everybody(found) if one.design.organisation == "star"]
    signals = star(one.design.x, 5, gamma=np.array([1.0, 0.0, 0.85, 0.85]), rho=np.array([0.0, 0.1, 0.1, 1.0]))
    assert one.mean == pytest.approx(signals.mean())


def test_the_signal_of_a_leaf_has_its_ceiling() -> None:
    found = recommend(measured(mu_max=0.1), 5_000, 1_000)
    assert found.single.design.mu == 0.1
    assert recommend(measured(mu_max=0.1), 5_000, 250, fan_ins=[5], x_min=500).best.design.mu == pytest.approx(
        float(node_map(0.1, 5, 0.85, 0.1))
    )


def test_kinds_of_tasks_keep_their_ease_relative_to_the_mean() -> None:
    """Half of the tasks at 1.5 of the mean, half at 0.5; a draw in which all are of the first kind is at the mean."""
    kinds = MeasuredDifficulty(np.array([1.5, 0.5]), np.array([0.5, 0.5]), np.array([[1.0, 0.0], [0.5, 0.5]]))
    found = recommend(measured({"a": [0.05, 0.05]}, difficulty=kinds), 5_000, 250, fan_ins=[5], x_min=500)
    one = found.best
    mean = 0.05 * one.design.x**0.15
    mixed = 0.5 * (node_map(1.5 * mean, 5, 0.85, 0.1) + node_map(0.5 * mean, 5, 0.85, 0.1))
    assert one.design.mu == pytest.approx(float(mixed))
    assert one.mean == pytest.approx(float(mixed + node_map(mean, 5, 0.85, 0.1)) / 2)
    assert found.single.mean == pytest.approx(0.05 * 5_000**0.15)
    without = MeasuredDifficulty(kinds.ease, kinds.weights, np.empty((0, 2)))
    assert recommend(
        measured({"a": [0.05, 0.05]}, difficulty=without), 5_000, 250, fan_ins=[5], x_min=500
    ).best.mean == (pytest.approx(float(mixed)))


@pytest.mark.parametrize(("second", "mean"), [(-1.08, 1.0), (-1.12, 0.04), (-1.2, 0.0)])
def test_without_a_mean_to_be_relative_to_tasks_keep_the_ease_that_was_measured(second: float, mean: float) -> None:
    """Half of the tasks at 1.2; together they come to 0.06, 0.04 and 0 of the law: from 0.05 on that is the unit."""
    kinds = MeasuredDifficulty(np.array([1.2, second]), np.array([0.5, 0.5]), np.empty((0, 2)))
    found = recommend(measured(points={"a": 0.01, "beta": 0.15, "rho": 0.1}, difficulty=kinds), 5_000, 100)
    assert found.single.design.mu == pytest.approx(mean * 0.01 * 5_000**0.15)


def test_without_any_draw_the_centre_stands_for_all() -> None:
    found = recommend(measured({"a": [], "beta": [], "rho": []}), 5_000, 1_000)
    for one in everybody(found):
        assert one.mean == one.low == one.high == one.design.mu
    assert (found.best.p, found.p_over_next) == (1.0, 1.0)
    assert set(found.doubt.values()) == {0.0}


def test_the_rivals_are_the_best_of_three_other_kinds_best_first() -> None:
    found = recommend(measured(), 1_000_000, 1_000)
    means = [one.mean for one in everybody(found)]
    assert len(found.rivals) == 3
    assert means == sorted(means, reverse=True)
    assert len({(one.design.organisation, one.design.depth) for one in everybody(found)}) == 4
    alone = recommend(measured(), 100, 1_000)
    assert (alone.rivals, alone.p_over_next) == ((), 1.0)


# Doubt and advice


ADVICE = {
    "leaf": "leaf trials, at the largest computes above all, 100% of the doubt; "
    "four times the 10 trials (1,000 tokens) so far would halve it",
    "gamma": "round trips (relays) and merges, 100% of the doubt; "
    "four times the 50 trials (5,000 tokens) so far would halve it",
    "rho": "merges and replicates, 100% of the doubt; four times the 70 trials (7,000 tokens) so far would halve it",
    "difficulty": "more tasks, each with replicates, 100% of the doubt; "
    "four times the 70 trials (7,000 tokens) so far would halve it",
}


@pytest.mark.parametrize(
    ("group", "draws", "changes"),
    [
        ("leaf", {"a": spread(0.05)}, {}),
        ("leaf", {"beta": spread(0.15)}, {}),
        ("gamma", {"a": np.full(N, 0.05)}, {"messages": (message(draws=spread(0.85, 0.02)),)}),
        ("rho", {"rho": spread(0.1)}, {}),
        (
            "difficulty",
            {"a": np.full(N, 0.05)},
            {
                "difficulty": MeasuredDifficulty(
                    np.array([1.5, 0.5]), np.array([0.5, 0.5]), np.random.default_rng(1).dirichlet([9.0, 9.0], N)
                )
            },
        ),
    ],
    ids=["a", "beta", "gamma", "rho", "difficulty"],
)
def test_all_doubt_comes_from_what_varies_and_that_is_what_to_measure(
    group: str, draws: Mapping[str, Any], changes: Mapping[str, Any]
) -> None:
    trials = {"leaf": 10, "relay": 20, "merge": 30, "replicate": 40}
    tokens = {name: 100 * n for name, n in trials.items()}
    found = recommend(measured(draws, trials=trials, tokens=tokens, **changes), 5_000, 1_000)
    assert found.doubt == pytest.approx({name: float(name == group) for name in GROUPS}, abs=1e-12)
    assert found.advice == f"to be surer: {ADVICE[group]}"


def test_doubt_is_shared_by_the_variance_that_each_brings_to_the_lead_over_one_agent() -> None:
    a, rho = spread(0.05), np.random.default_rng(8).normal(0.1, 0.03, N)
    found = recommend(measured({"a": a, "rho": rho}), 5_000, 1_000)
    d = found.best.design
    leaf = np.var(star(d.x, d.b, a) - a * 5_000**0.15)
    shared = np.var(star(d.x, d.b, rho=np.clip(rho, 0, 1)))
    assert found.doubt["leaf"] == pytest.approx(leaf / (leaf + shared))
    assert found.doubt["rho"] == pytest.approx(shared / (leaf + shared))
    assert (found.doubt["gamma"], found.doubt["difficulty"]) == pytest.approx((0.0, 0.0), abs=1e-12)


def test_difficulty_has_its_share_of_the_doubt_beside_the_leaf_law() -> None:
    ease, a = np.array([1.5, 0.5]), spread(0.05, 0.02)
    drawn = np.random.default_rng(1).dirichlet([9.0, 9.0], N)
    kinds = MeasuredDifficulty(ease, np.array([0.5, 0.5]), drawn)
    found = recommend(measured({"a": a}, difficulty=kinds), 5_000, 250, fan_ins=[5], x_min=500)
    x = found.best.design.x

    def lead(law: Any, weights: Any) -> Any:
        relative = ease / (weights @ ease)[:, None]
        votes = [np.atleast_1d(law * tokens**0.15)[:, None] * relative for tokens in (x, 5_000)]
        return ((node_map(votes[0], 5, 0.85, 0.1) - votes[1]) * weights).sum(axis=1)

    leaf, tasks = np.var(lead(a, np.full((N, 2), 0.5))), np.var(lead(0.05, drawn))
    assert 0.05 < leaf / (leaf + tasks) < 0.95
    assert found.doubt["leaf"] == pytest.approx(leaf / (leaf + tasks))
    assert found.doubt["difficulty"] == pytest.approx(tasks / (leaf + tasks))


def test_without_trials_to_multiply_the_advice_names_the_measurement_only() -> None:
    found = recommend(measured({"a": spread(0.05)}), 5_000, 1_000)
    assert found.advice == "to be surer: leaf trials, at the largest computes above all, 100% of the doubt"
    assert recommend(measured(), 5_000, 1_000).advice == "nothing measured is in doubt: the parameters were given"


# Cautions


def cautions(*words: Any, **changes: Any) -> tuple[str, ...]:
    budget, window = words or (5_000, 250)
    options = {name: changes.pop(name) for name in ("fan_ins", "x_min") if name in changes}
    return recommend(measured(changes.pop("draws", None), **{"b": 5, **changes}), budget, window, **options).cautions


def test_a_design_within_what_was_measured_needs_no_caution() -> None:
    assert cautions(fan_ins=[5]) == ()
    assert cautions(fan_ins=[5], x_range=None) == ()
    assert cautions(100, 250, b=7) == ()  # one agent has no fan-in


def test_a_law_used_beyond_what_was_tried_is_told_from_a_twentieth_on() -> None:
    assert cautions(10_500, 250, fan_ins=[5]) == ()
    assert cautions(20_000, 250, fan_ins=[5]) == (
        "the law of one agent at 20,000 tokens goes 2 times beyond what was tried",
    )
    assert cautions(60_000, 250, fan_ins=[5], x_min=5_000) == (
        "the law of one agent at 60,000 tokens goes 6 times beyond what was tried",
        "the law of a leaf at 11,900 tokens goes 1.19 times beyond what was tried",
    )
    leaf = 5_000 / 5 - 100
    assert cautions(fan_ins=[5], x_range=(leaf / 0.95, 10_000.0), x_min=500) == ()
    assert cautions(fan_ins=[5], x_range=(leaf / 0.94, 10_000.0), x_min=500) == (
        f"the law of a leaf at 900 tokens goes below the {leaf / 0.94:,.0f} that were tried",
    )


def test_another_fan_in_than_the_measured_one_is_told() -> None:
    assert cautions(fan_ins=[5], b=7) == ("gamma and rho were measured at b = 7, the design has b = 5",)


def test_a_design_of_many_by_a_rho_or_gamma_that_is_hardly_known_is_undecided() -> None:
    known = {"a": stated(0.05), "beta": stated(0.15)}
    wide, narrow = Estimate(0.1, -0.2, 0.31), Estimate(0.1, -0.1, 0.39)
    told = "undecided: the interval of rho is wider than 0.5, so no design is to be chosen by it"
    assert cautions(fan_ins=[5], parameters={**known, "rho": wide}) == (told,)
    assert cautions(fan_ins=[5], parameters={**known, "rho": narrow}) == ()
    assert cautions(100, 250, parameters={**known, "rho": wide}) == ()  # one agent needs no rho
    deaf = replace(message(), gamma=Estimate(0.85, 0.4, 1.0))
    assert cautions(fan_ins=[5], messages=(deaf,)) == (told.replace("rho", f"gamma at {deaf.m} tokens"),)


def test_a_design_of_many_by_a_rho_from_few_tasks_is_told() -> None:
    told = (
        "rho was measured on 60 tasks; below 100 its draws are narrower than its error, so a high P promises too much"
    )
    assert cautions(fan_ins=[5], rho_tasks=60) == (told,)
    assert cautions(fan_ins=[5], rho_tasks=100) == ()
    assert cautions(100, 250, rho_tasks=60) == ()  # one agent needs no rho
    few = measured(rho_tasks=60)
    assert Measured.from_dict(few.as_dict()).rho_tasks == 60
    assert few.with_given(a=0.05).rho_tasks == 60
    assert few.with_given(rho=0.1).rho_tasks == 0
    old = {name: value for name, value in few.as_dict().items() if name != "rho_tasks"}
    assert Measured.from_dict(old).rho_tasks == 0


@pytest.mark.parametrize("value", [-5, 2.7, True, "60", None, math.inf, 1 << 60])
def test_a_number_of_tasks_that_is_none_is_refused(value: object) -> None:
    with pytest.raises(InputError, match="rho_tasks is to be a whole number of at least 0"):
        Measured.from_dict({**measured().as_dict(), "rho_tasks": value})


def test_numbers_that_are_too_large_are_refused_in_words() -> None:
    with pytest.raises(InputError, match="the measurements do not hold"):
        Measured.from_dict({**measured().as_dict(), "b": math.inf})


def test_an_exponent_that_was_refused_or_is_below_nothing_is_told() -> None:
    refused = {"a": stated(0.05), "beta": None, "rho": stated(0.1)}
    told = "beta was refused as a result: its doubt is carried in full, and P moves with it"
    assert cautions(fan_ins=[5], parameters=refused, draws={"beta": spread(0.15)}) == (told,)
    assert cautions(fan_ins=[5], parameters=refused) == ()
    worse = recommend(measured(points={"a": 0.5, "beta": -0.2, "rho": 0.1}), 5_000, 250, fan_ins=[5])
    assert worse.single.design.x == 20
    assert worse.cautions == ("more tokens made a lone agent worse: one agent is taken at its best, 20 tokens",)
    level = recommend(measured(points={"a": 0.5, "beta": 0.0, "rho": 0.1}), 5_000, 250, fan_ins=[5])
    assert (level.single.design.x, level.cautions) == (5_000, ())


def test_assumptions_that_the_data_contradict_are_passed_on() -> None:
    known = (("A4", "violated", "errors are not shared as the lock says"), ("A5", "holds", "fine"))
    assert cautions(fan_ins=[5], assumptions=known) == ("A4 violated: errors are not shared as the lock says",)


# Words


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (1.0, "> 0.99"),
        (0.9901, "> 0.99"),
        (0.99, "0.99"),
        (0.5, "0.50"),
        (0.01, "0.01"),
        (0.0099, "< 0.01"),
        (0.0, "< 0.01"),
    ],
)
def test_a_probability_is_never_said_to_be_certain(p: float, text: str) -> None:
    assert sure(p) == text


def test_a_design_in_words() -> None:
    assert Design("single", 1, 0, 0, 1, 5_000.0, 1.0, 0.2).said() == "one agent with 5,000 tokens"
    tree = Design("tree", 3, 50, 2, 9, 1_234.0, 0.85, 0.3)
    assert tree.said() == "a tree with b = 3, depth 2, 9 leaves, 1,234 tokens a leaf, messages of 50"
    star_ = Design("star", 5, 0, 1, 5, 900.0, 1.0, 0.3)
    assert star_.said() == "a star with b = 5, depth 1, 5 leaves, 900 tokens a leaf"


def test_the_text_says_what_to_build_how_sure_that_is_and_what_is_next() -> None:
    found = recommend(measured(b=7), 5_000, 250, fan_ins=[5])
    best, alone = found.best, found.single
    lines = found.summary().splitlines()
    assert lines[0] == f"with these measurements and 5,000 tokens: {best.design.said()}"
    assert lines[1] == (
        f"  signal {best.design.mu:.3f} [{best.low:.3f}, {best.high:.3f}]; "
        f"accuracy {(1 + best.design.mu) / 2:.3f} of two answers"
    )
    assert lines[2] == "  P(it beats one agent) > 0.99 (< 0.01 if shared errors are beta-binomial)"
    assert lines[3].startswith(f"  one agent: 5,000 tokens, signal {alone.design.mu:.3f} [")
    assert lines[4].startswith(f"  next best: {found.rivals[0].design.said()}, signal ")
    assert lines[4].endswith(f"P {equals(sure(found.rivals[0].p))}")
    assert lines[5] == f"  P(the first is better than the next) {equals(sure(found.p_over_next))}"
    assert lines[6] == f"  {found.advice}"
    assert lines[7] == "  caution: gamma and rho were measured at b = 7, the design has b = 5"


def test_where_one_agent_is_best_the_text_says_what_the_best_other_design_would_be_worth() -> None:
    found = recommend(measured(messages=(message(gamma=0.3),)), 5_000, 250, fan_ins=[5])
    assert found.best.design.organisation == "single"
    assert found.organised is found.rivals[0]
    assert "  P(the best other design beats it) < 0.01 (< 0.01 if shared errors are beta-binomial)" in found.summary()
    assert "one agent:" not in found.summary()
    nothing = recommend(measured(), 100, 1_000)
    assert "  nothing else fits budget and window" in nothing.summary()
    assert "next best" not in nothing.summary()


def test_of_designs_with_equal_signals_the_smallest_society_is_recommended() -> None:
    """Leaves at the ceiling and messages that lose nothing: one agent is as right as any society."""
    sure_leaf = {"a": 1.0, "beta": 0.0, "rho": 0.0}
    perfect = measured(points=sure_leaf, mu_max=1.0, messages=(message(gamma=1.0),))
    found = recommend(perfect, 5_000, 1_000, fan_ins=[3, 5])
    assert found.best.design.organisation == "single"
    assert {round(one.mean, 12) for one in (found.best, *found.rivals)} == {1.0}
    assert len(found.rivals) > 0
    short = measured(points=sure_leaf | {"a": 0.9}, mu_max=1.0, messages=(message(gamma=1.0),))
    assert recommend(short, 5_000, 1_000, fan_ins=[3, 5]).best.design.organisation != "single"
