"""The commons: the published table to the digit, and what holds of every allocation, arm and number of agents."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from agentsoc.contracts.environments import STATE_BYTES, Draw
from agentsoc.contracts.script import Script
from agentsoc.environments.commons import Commons
from agentsoc.environments.playing import play_out
from agentsoc.errors import InputError
from agentsoc.theory.commons import gain_equality, sustainable_share


def draw(stage: int = 0) -> Draw:
    return Draw(1, "world", 0, stage)


def lived(world: Commons, take: Callable[[dict[str, Any], int], int], n: int = 5) -> tuple[dict[str, Any], int, int]:
    """Play a rule; return the last state, the actions above the sustainable share, and the actions."""
    state, over, acts = world.opening(world.task(1, 0), n, 1), 0, 0
    while world.over(state) is None:
        wants = {agent: take(state, agent) for agent in range(n)}
        over += sum(want > world.share(state) for want in wants.values())
        acts += n
        state = world.resolve(state, wants, draw(state["round"])).state
    return state, over, acts


def share(state: dict[str, Any], agent: int) -> int:
    return sustainable_share(state["stock"], 5)


TABLE = [
    ("10", lambda state, agent: 10, 12, 600, "1.000", 0.0),
    ("f(t)", share, 12, 600, "1.000", 0.0),
    ("f(t) - 1", lambda state, agent: share(state, agent) - 1, 12, 540, "0.900", 0.0),
    ("11", lambda state, agent: 11, 4, 195, "0.325", 1.0),
    ("12", lambda state, agent: 12, 3, 160, "0.267", 1.0),
    ("15", lambda state, agent: 15, 2, 125, "0.208", 1.0),
    ("20", lambda state, agent: 20, 1, 100, "0.167", 1.0),
]
"""Policy, survival time, total, efficiency and over-usage of five agents and twelve rounds: the published rules."""


@pytest.mark.parametrize("resource", ["fishery", "pasture", "pollution", "inverse"])
@pytest.mark.parametrize("allocation", ["stochastic", "proportional"])
@pytest.mark.parametrize(("name", "rule", "time", "total", "efficiency", "over"), TABLE, ids=[row[0] for row in TABLE])
def test_the_published_table_to_the_digit(
    name: str, rule: Any, time: int, total: int, efficiency: str, over: float, allocation: Any, resource: Any
) -> None:
    world = Commons(resource=resource, allocation=allocation)
    inverse = resource == "inverse"
    state = world.opening(world.task(1, 0), 5, 1)
    above = acts = 0
    while world.over(state) is None:
        take = rule(state, 0)
        above += 5 * (take > world.share(state))
        acts += 5
        state = world.resolve(state, dict.fromkeys(range(5), 20 - take if inverse else take), draw(acts)).state
    assert (state["round"], sum(state["gains"])) == (time, total)
    assert f"{world.score(world.task(1, 0), state):.3f}" == efficiency
    assert above / acts == over
    assert state["ended"] == ("survived" if time == 12 else "collapsed")


@pytest.mark.parametrize("resource", ["fishery", "inverse"])
def test_who_heeds_hints_lives_by_them_and_else_takes_too_much(resource: Any) -> None:
    lived = {}
    for hint in ("none", "universalisation", "numbers"):
        world = Commons(resource=resource, hint=hint)
        played = play_out(world, world.task(1, 0), 5, 1, Script("heeding"))
        lived[hint] = (len(played.states) - 1, sum(played.states[-1]["gains"]))
    assert lived == {"none": (4, 195), "universalisation": (12, 600), "numbers": (12, 600)}


def test_one_who_takes_everything_leaves_equality_at_a_fifth() -> None:
    state, over, acts = lived(Commons(), lambda state, agent: 100 if agent == 2 else 0)
    assert state["gains"] == [0, 0, 100, 0, 0]
    assert gain_equality(state["gains"]) == pytest.approx(0.2, abs=1e-12)
    assert gain_equality([7] * 5) == 1.0
    assert (over, acts) == (1, 5)


@given(gains=st.lists(st.integers(0, 50), min_size=1, max_size=8))
def test_equality_is_that_of_the_definition_over_all_pairs(gains: list[int]) -> None:
    n, total = len(gains), sum(gains)
    pairs = sum(abs(a - b) for a in gains for b in gains)
    assert gain_equality(gains) == pytest.approx(1.0 if not total else 1 - pairs / (2 * n * total))


@given(
    wants=st.lists(st.integers(0, 120), min_size=1, max_size=12),
    allocation=st.sampled_from(["stochastic", "proportional"]),
    stage=st.integers(0, 50),
)
def test_nobody_gets_more_than_wanted_and_nothing_is_left_that_somebody_wants(
    wants: list[int], allocation: Any, stage: int
) -> None:
    world = Commons(allocation=allocation)
    state = world.opening(world.task(1, 0), len(wants), 1)
    kept = json.dumps(state)
    asked = {agent: min(want, 100) for agent, want in enumerate(wants)}
    step = world.resolve(state, asked, draw(stage))
    took = step.state["took"]
    assert all(0 <= got <= asked[agent] for agent, got in enumerate(took))
    assert sum(took) == min(sum(asked.values()), 100)
    assert step == world.resolve(state, asked, draw(stage))
    assert json.dumps(state) == kept
    assert step.rewards == dict(enumerate(map(float, took)))


def test_chance_hands_out_evenly_and_another_seed_otherwise() -> None:
    world = Commons()
    state = world.opening(world.task(1, 0), 5, 1)
    sums, seen = [0] * 5, set()
    for seed in range(300):
        took = world.resolve(state, dict.fromkeys(range(5), 100), Draw(seed, "world", 0, 0)).state["took"]
        sums = [a + b for a, b in zip(sums, took, strict=True)]
        seen.add(tuple(took))
    assert len(seen) > 200
    assert all(abs(each / 300 - 20) < 4 * (100 * 0.2 * 0.8 / 300) ** 0.5 for each in sums)


@pytest.mark.parametrize("resource", ["fishery", "inverse"])
@pytest.mark.parametrize("newcomer", [None, 4])
@pytest.mark.parametrize("n", [2, 5, 10, 25])  # whose shares leave nothing over that an error could find
def test_the_optimal_policy_reaches_one_and_a_noisy_one_less_the_noisier_it_is(
    resource: Any, newcomer: int | None, n: int
) -> None:
    world = Commons(resource=resource, newcomer_from=newcomer)
    task = world.task(1, 0)
    assert play_out(world, task, n, 1).score == 1.0
    for spoiled in ("quality", "error"):
        means = []
        for amount in (0.0, 0.1, 0.4):
            script = Script("noisy", **({"quality": 1 - amount} if spoiled == "quality" else {"error": amount}))
            scores = [play_out(world, world.task(1, i), n, 1, script).score for i in range(8)]
            means.append(sum(scores) / len(scores))
        assert means[0] == 1.0 > means[1] > means[2]


def test_what_an_arm_tells_and_nothing_else_differs() -> None:
    state = Commons().opening(Commons().task(1, 0), 5, 1)
    plain = Commons().observe(state, 0).text
    numbers = Commons(hint="numbers").observe(state, 0).text
    whole = Commons(hint="universalisation").observe(state, 0).text
    assert set(numbers.splitlines()) - set(plain.splitlines()) == {"Number for this month: 10."}
    (added,) = set(whole.splitlines()) - set(plain.splitlines())
    assert "if each of the 5 of you takes more than 10" in added
    inverse = Commons(resource="inverse", hint="universalisation")
    assert "removes less than 10" in inverse.observe(inverse.opening(inverse.task(1, 0), 5, 1), 0).text


def test_takes_are_announced_one_by_one_in_small_groups_in_sum_in_large_ones_or_not_at_all() -> None:
    def told(n: int, **settings: Any) -> str:
        world = Commons(capacity=1000, **settings)
        state = world.opening(world.task(1, 0), n, 1)
        return world.observe(world.resolve(state, {a: a % 3 for a in range(n)}, draw()).state, 1).text

    assert "agent 0 caught 0 tons, agent 1 caught 1 tons" in told(5)
    assert "all together caught 399 tons" in told(400)
    assert len(told(400)) < 400
    assert "agent 0" not in told(5, announces=False)
    assert "Last month you caught 1 tons." in told(5, announces=False)


def test_a_newcomer_waits_then_takes_part_and_is_told_what_it_wants() -> None:
    world = Commons(newcomer_from=2)
    state = world.opening(world.task(1, 0), 5, 1)
    assert [world.observe(state, agent).may_act for agent in range(5)] == [True] * 4 + [False]
    assert world.share(state) == 12
    for stage in range(2):
        state = world.resolve(state, dict.fromkeys(range(4), 12), draw(stage)).state
    assert world.observe(state, 4).may_act
    assert "as much for yourself" in world.observe(state, 4).text
    assert "as much for yourself" not in world.observe(state, 3).text
    assert state["gains"] == [24, 24, 24, 24, 0]


def test_odd_actions_are_held_to_what_there_is() -> None:
    world = Commons()
    state = world.opening(world.task(1, 0), 5, 1)
    assert world.resolve(state, {0: 10**9, 1: -5}, draw()).state["took"] == [100, 0, 0, 0, 0]


def test_a_society_that_cannot_live_is_refused() -> None:
    with pytest.raises(InputError, match="cannot feed 51 agents"):
        Commons().check_agents(51)
    with pytest.raises(InputError, match="who was there before"):
        Commons(newcomer_from=1).check_agents(1)
    with pytest.raises(ValidationError, match="before the last of 12 rounds"):
        Commons(newcomer_from=12)
    with pytest.raises(ValidationError, match="at most the capacity"):
        Commons(capacity=3)


@settings(max_examples=20)
@given(n=st.integers(1, 500), greedy=st.sampled_from(["optimal", "fixed", "greedy", "cautious", "noisy", "heeding"]))
def test_a_state_stays_small_and_plain(n: int, greedy: str) -> None:
    world = Commons(capacity=2 * n * 3, rounds=4)
    played = play_out(world, world.task(1, 0), n, 1, Script(greedy, error=0.3, quality=0.5))
    for state in played.states:
        assert len(json.dumps(state)) < STATE_BYTES
        assert json.loads(json.dumps(state)) == state
    assert 0 <= played.score <= 1
