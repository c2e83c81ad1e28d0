"""Shares: they add up, depend on nobody's order, and are the ones that the theory asks for."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import binom

from agentsoc.budget.allocation import leaf_tokens, leaves, marginal, split
from agentsoc.budget.policies import Difficulty, Theory
from agentsoc.contracts.policy import POLICIES, Policy
from agentsoc.contracts.task import Task
from agentsoc.errors import AgentsocError
from agentsoc.scenario.model import Scenario
from agentsoc.society.build import build_society
from agentsoc.theory.agents import success
from analysis.synergy.theory import budget as phase_budget
from analysis.synergy.theory import costs as phase_costs
from tests.strategies import scenario, societies

WEIGHTS = st.lists(st.floats(0, 1e9, allow_subnormal=False), max_size=40)
EASY_AND_HARD = [1.0] * 8 + [10.0] * 2
"""Eight parts that take 1 and two that take 10; the budget is 60."""


@given(st.integers(0, 10**15), WEIGHTS)
def test_a_split_is_exact_and_no_share_is_a_token_from_its_due(amount: int, weights: list[float]) -> None:
    shares = split(amount, weights)
    assert len(shares) == len(weights)
    total = math.fsum(weights)
    if not any(weights):
        assert sum(shares) == 0
        return
    assert sum(shares) == amount
    assert min(shares) >= 0
    for share, weight in zip(shares, weights, strict=True):
        assert abs(share - amount * weight / total) <= 1 + 1e-9 * amount
        if weight == 0:
            assert share == 0


@given(st.integers(0, 10**6), WEIGHTS, st.randoms())
def test_who_comes_first_changes_no_share_by_more_than_the_odd_token(
    amount: int, weights: list[float], shuffle: random.Random
) -> None:
    """Permuted weights give permuted shares, up to which of equals gets the odd token."""
    order = list(range(len(weights)))
    shuffle.shuffle(order)
    there = split(amount, weights)
    back = split(amount, [weights[i] for i in order])
    assert sorted(back) == sorted(there)
    assert all(abs(back[at] - there[i]) <= 1 for at, i in enumerate(order))


@given(st.floats(0, 1e7), st.lists(st.floats(1e-2, 1e6), min_size=1, max_size=12), st.randoms())
def test_the_marginal_rule_spends_all_and_no_move_of_tokens_does_better(
    amount: float, difficulties: list[float], rng: random.Random
) -> None:
    shares = marginal(amount, difficulties)
    assert math.fsum(shares) == pytest.approx(amount, rel=1e-9)
    assert min(shares) >= 0
    if amount < 1e-3 or len(shares) < 2:
        return
    i, j = rng.sample(range(len(shares)), 2)
    moved = 0.05 * shares[i]

    def gain(part: int, change: float) -> float:
        """What the change does to ln success of a part, written so that it survives when success is nearly 1."""
        h, b = difficulties[part], shares[part]
        return math.log(-math.expm1(-(b + change) / h)) - math.log(-math.expm1(-b / h))

    if shares[i] > 0 and shares[j] > 0:
        assert gain(i, -moved) + gain(j, moved) <= 1e-9


def test_the_published_example_of_selective_allocation_in_numbers() -> None:
    """Uniform .1996, (3 easy, 18 hard) .4631, optimum (3.64, 15.4) .49997; whole tokens lose nothing that matters."""

    def together(shares: list[float]) -> float:
        return math.prod(success(b, h) for b, h in zip(shares, EASY_AND_HARD, strict=True))

    assert together([6.0] * 10) == pytest.approx(0.1996, abs=5e-5)
    assert together([3.0] * 8 + [18.0] * 2) == pytest.approx(0.4631, abs=5e-5)
    best = marginal(60, EASY_AND_HARD)
    assert (best[0], best[-1]) == pytest.approx((3.64, 15.46), abs=0.01)
    assert together(best) == pytest.approx(0.49997, abs=5e-6)
    in_tokens = [share / 100 for share in split(6000, marginal(6000, [100 * h for h in EASY_AND_HARD]))]
    assert together(in_tokens) >= 0.99 * together(best)


def graded(rule: str, hours: list[float]) -> list[float]:
    return marginal(60, hours) if rule == "marginal" else [60 * w / sum(w_all(hours)) for w in w_all(hours)]


def w_all(hours: list[float]) -> list[float]:
    return [6.0 if h == 10 else 1.0 for h in hours]


def expected_success(rule: str, error: float) -> float:
    """Return the mean success when each of the ten parts is graded as the other kind with probability `error`."""
    total = 0.0
    for easy, hard in np.ndindex(9, 3):
        grades = [10.0] * easy + [1.0] * (8 - easy) + [1.0] * hard + [10.0] * (2 - hard)
        both = zip(graded(rule, grades), EASY_AND_HARD, strict=True)
        chance = float(binom.pmf(easy, 8, error) * binom.pmf(hard, 2, error))
        total += chance * math.prod(success(b, h) for b, h in both)
    return total


@pytest.mark.parametrize(("rule", "crossover"), [("threshold", 0.222), ("marginal", 0.344)])
def test_with_grades_that_are_wrong_often_enough_selection_is_worse_than_none(rule: str, crossover: float) -> None:
    """The share of wrong grades from which equal shares win; the policy draws its grades with that probability."""
    uniform = math.prod(success(6.0, h) for h in EASY_AND_HARD)
    assert expected_success(rule, 0.0) > 2 * uniform
    assert expected_success(rule, 0.5) < 0.7 * uniform
    found = brentq(lambda error: expected_success(rule, error) - uniform, 0.0, 0.5)
    assert found == pytest.approx(crossover, abs=5e-4)


def hard_and_easy(n_easy: int = 8, n_hard: int = 2, index: int = 0) -> Task:
    parts = tuple(f"part {i}" for i in range(n_easy + n_hard))
    return Task(index, "t", "q", "0", parts=parts, part_difficulty=(100.0,) * n_easy + (1000.0,) * n_hard)


@pytest.mark.parametrize("error", [0.0, 0.25, 1.0])
def test_grades_are_wrong_as_often_as_the_scenario_says(error: float) -> None:
    """4,000 grades: five standard errors, a false alarm in under one of a million seeds; the seed is fixed."""
    policy = Difficulty(grading_error=error)
    wrong = sum(
        grade != true
        for index in range(400)
        for grade, true in zip(
            policy.grades(3, hard_and_easy(index=index)), hard_and_easy().part_difficulty, strict=True
        )
    )
    assert abs(wrong / 4000 - error) <= 5 * math.sqrt(error * (1 - error) / 4000)


# The parts of a scenario


def built(policy: Any, n: int = 7, **changes: Any) -> tuple[Scenario, Any, Policy]:
    one = scenario(
        **{
            "agents": {"count": n, "model": {"kind": "scripted"}},
            "topology": {"kind": "tree", "fan_in": 2},
            "budget": {"tokens_per_task": 3_000, "policy": policy},
            **changes,
        }
    )
    society = build_society(one)
    assert one.budget is not None
    assert one.budget.policy is not None
    return one, society, one.budget.policy


def shares_of(policy: Any, amount: int = 1000, n: int = 7, **changes: Any) -> list[int]:
    one, society, found = built(policy, n, **changes)
    return list(found.shares(society, one.tasks.make(1, 0), amount))


def test_uniform_gives_everybody_the_same_but_for_the_odd_token() -> None:
    assert shares_of("uniform") == [143] * 6 + [142]


def test_per_level_weighs_agents_by_their_distance_from_the_root() -> None:
    assert shares_of({"kind": "per-level", "weights": [4, 2, 1]}, 1200) == [400, 200, 200, 100, 100, 100, 100]
    assert shares_of({"kind": "per-level", "weights": [1, 0]}, 100) == [100] + [0] * 6


def test_proportional_weighs_groups_or_expected_need() -> None:
    groups = [{"count": 3, "model": "scripted"}, {"count": 4, "model": "scripted"}]
    weighed = shares_of({"kind": "proportional", "weights": [2, 1]}, 1000, agents=groups)
    assert weighed == [200] * 3 + [100] * 4
    # a leaf writes 100 tokens; inner agents read two messages of 50 besides
    need = shares_of(
        "proportional",
        1000,
        agents={"count": 7, "model": "scripted", "max_tokens": 100},
        message_tokens=50,
    )
    assert need == [200, 200, 200, 100, 100, 100, 100]


def test_difficulty_splits_by_part() -> None:
    parts = {"kind": "parts", "parts": 10, "difficulty": [100, 100, 100, 100, 1000]}
    star = {"topology": "star", "tasks": parts, "protocol": {"kind": "orchestrate", "plan_by": "parts"}}
    rules = {rule: shares_of({"kind": "difficulty", "rule": rule}, 6000, 3, **star) for rule in RULES}
    assert rules["equal"] == [600] * 10
    assert rules["threshold"] == [300, 300, 300, 300, 1800] * 2
    assert sum(rules["proportional"]) == sum(rules["marginal"]) == 6000
    assert rules["proportional"][4] == pytest.approx(10 * rules["proportional"][0], abs=10)
    assert rules["marginal"][:5] == [364, 364, 364, 364, 1546]
    with_lead = shares_of({"kind": "difficulty", "rule": "equal", "lead": 0.1}, 6000, 3, **star)
    assert with_lead == [540] * 10


RULES = ("equal", "threshold", "proportional", "marginal")


@pytest.mark.parametrize(
    ("budget", "changes", "says"),
    [
        ({"tokens_per_task": 9, "policy": "difficulty"}, {}, "no parts"),
        ({"tokens_per_task": 9, "policy": "difficulty"}, {"tasks": "parts"}, "without a difficulty"),
        ({"calls_per_task": 9, "policy": {"kind": "theory", "beta": 0.2, "exponent": 0.4}}, {}, "limits none"),
        ({"tokens_per_task": 9, "policy": {"kind": "per-level", "weights": [0, 0]}}, {}, "above 0"),
        ({"tokens_per_task": 9, "policy": {"kind": "proportional", "weights": [1, 2]}}, {}, "1 groups of agents"),
        ({"tokens_per_task": 9, "shown": "self"}, {}, "no share of their own"),
        ({"money_per_task": 9}, {}, "no price"),
        ({"conclude": 5, "calls": 9}, {}, "conclude"),
    ],
)
def test_what_makes_no_sense_is_refused(budget: Any, changes: Any, says: str) -> None:
    with pytest.raises((ValueError, AgentsocError), match=says):
        build_society(scenario(**{"budget": budget, **changes}))


@given(parts=societies(), amount=st.integers(0, 10**6), data=st.data())
def test_no_policy_gives_more_than_there_is_nor_changes_its_mind(
    parts: dict[str, Any], amount: int, data: st.DataObject
) -> None:
    policy = data.draw(
        st.sampled_from(
            [
                "uniform",
                {"kind": "per-level", "weights": [2.5, 1, 0]},
                "proportional",
                {"kind": "theory", "beta": 0.2, "exponent": 0.4, "message": 10, "merge": 5},
                {"kind": "theory", "beta": 0.5, "exponent": 0.4},
                {"kind": "theory", "beta": 0.1, "exponent": 0.4, "message": 0},
            ]
        )
    )
    n = parts["agents"]["count"]
    one = {**parts, "budget": {"tokens_per_task": 5_000, "policy": policy}}
    found = shares_of(policy, amount, n, **one)
    assert len(found) == n
    assert min(found) >= 0
    assert sum(found) == amount
    assert shares_of(policy, amount, n, **one) == found


# Theory


@given(
    st.floats(1, 1e7), st.integers(2, 9), st.floats(0, 500), st.floats(0, 500), st.floats(0.01, 2), st.floats(-0.5, 2)
)
def test_leaves_and_their_tokens_are_those_of_the_phase_theory(
    amount: float, b: int, m: float, c_agg: float, beta: float, t: float
) -> None:
    c0 = float(phase_costs.overhead(b, m, c_agg))
    theirs = float(phase_budget.optimal_leaf_tokens(c0, beta, t))
    ours = leaf_tokens(c0, beta, t)
    assert math.isnan(theirs) if ours is None else ours == pytest.approx(theirs, rel=1e-12)
    assert leaves(amount, c0, beta, t) == pytest.approx(float(phase_budget.optimal_leaves(amount, c0, beta, t)))


def test_the_theory_policy_pays_every_message_and_splits_the_rest_over_the_leaves() -> None:
    """B = N x + 2 m b (N - 1)/(b - 1), with 4 leaves of a binary tree, m = 10 and 5 for merging: x = (B - 135)/4."""
    given_ = shares_of({"kind": "theory", "beta": 0.01, "exponent": 0.4, "message": 10, "merge": 5}, 1000)
    inner, leaf = 2 * 10 + 5 + 10, (1000 - 2 * 10 * 2 * 3 - 3 * 5) // 4 + 10
    assert given_[0] == inner - 10
    assert given_[1:3] == [inner] * 2
    assert all(share - leaf in (0, 1) for share in given_[3:])
    assert sum(given_) == 1000


def test_the_theory_policy_leaves_out_leaves_that_the_budget_is_not_worth() -> None:
    """x* does not depend on the budget: more of it buys more leaves; up to beta it buys one."""
    policy = {"kind": "theory", "beta": 0.3, "exponent": 0.4, "message": 20}
    one, society, found = built(policy, 31)
    assert isinstance(found, Theory)
    tips = range(15, 31)
    c0 = 2 * 20 * 2 / 1
    x = leaf_tokens(c0, 0.3, 0.4)
    assert x == pytest.approx(240)
    for amount in (300, 1_000, 2_000, 4_000, 100_000):
        shares = found.shares(society, one.tasks.make(1, 0), amount)
        active = [agent for agent in tips if shares[agent]]
        assert active == list(tips[: len(active)])
        assert abs(len(active) - min(leaves(amount, c0, 0.3, 0.4), 16)) <= 1
        assert sum(shares) == amount
    alone = built({"kind": "theory", "beta": 0.5, "exponent": 0.4, "message": 20}, 31)
    shares = alone[2].shares(alone[1], one.tasks.make(1, 0), 1_000)
    assert [agent for agent in tips if shares[agent]] == [15]


def test_every_shipped_policy_is_tried_here() -> None:
    assert POLICIES.names() == ["difficulty", "per-level", "proportional", "theory", "uniform"]
