"""Orders that take chains of look-ups and a sum: found out by one or by many, the chain as slow as it is long."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentsoc.contracts.environments import Draw
from agentsoc.contracts.script import Script
from agentsoc.environments.playing import play_out
from agentsoc.environments.shop import ITEMS, Shop

DRAW = Draw(1, "w", 0, 0)


@settings(max_examples=60)
@given(
    items=st.integers(2, len(ITEMS)), hops=st.integers(0, 6), lines=st.integers(1, 6), n=st.integers(1, 8),
    seed=st.integers(0, 2**40),
)  # fmt: skip
def test_the_optimal_policy_finds_every_sum(items: int, hops: int, lines: int, n: int, seed: int) -> None:
    world = Shop(items=items, hops=hops, lines=lines, stages=500)
    task = world.task(seed, 4)
    played = play_out(world, task, n, seed)
    assert (played.score, played.ended) == (1.0, "answered")
    assert str(played.states[-1]["said"]) == task.truth
    assert json.loads(json.dumps(played.states[-1])) == played.states[-1]
    tables = task.data["tables"]
    total = 0
    for pieces, item in task.data["order"]:
        for _ in range(hops):
            item = tables["goes with"][item]
        total += pieces * tables["price"][item]
    assert task.truth == str(total)


def test_lines_are_worked_on_side_by_side_and_the_steps_of_a_line_are_not() -> None:
    world = Shop(items=30, hops=3, lines=4)
    task = next(task for index in range(200) if independent(task := world.task(1, index)))
    steps = {n: len(play_out(world, task, n, 1).actions) for n in (1, 2, 4, 8)}
    assert steps == {1: 4 * 4 + 1, 2: 2 * 4 + 1, 4: 4 + 1, 8: 4 + 1}


def independent(task: Any) -> bool:
    """Tell whether no two lines look up the same thing."""
    seen: list[str] = []
    for _, item in task.data["order"]:
        for _ in range(4):
            seen.append(item)
            item = task.data["tables"]["goes with"][item]
    return len(set(seen)) == len(seen)


@pytest.mark.parametrize("spoiled", ["quality", "error"])
def test_noise_costs_more_the_more_there_is_of_it(spoiled: str) -> None:
    world, means = Shop(stages=8), []
    for amount in (0.0, 0.2, 0.6):
        script = Script("noisy", **({"quality": 1 - amount} if spoiled == "quality" else {"error": amount}))
        means.append(sum(play_out(world, world.task(1, i), 2, 1, script).score for i in range(60)))
    assert means[0] == 60 > means[1] > means[2]


def test_found_things_are_seen_by_all_and_what_is_not_there_is_said_to_who_asked() -> None:
    world = Shop()
    state = world.opening(world.task(1, 0), 2, 1)
    (item, partner), *_ = state["tables"]["goes with"].items()
    step = world.resolve(state, {0: {"look": "goes with", "item": item}, 1: {"look": "price", "item": "moon"}}, DRAW)
    assert step.told == {0: f"goes with, {item}: {partner}.", 1: "There is no moon in price."}
    assert f"Found in goes with: {item}: {partner}." in world.observe(step.state, 1).text
    odd: Any = {0: {}, 1: {"wait": True}}
    assert world.resolve(step.state, odd, DRAW).state["notes"] == step.state["notes"]


def test_the_first_sum_counts_and_time_runs_out() -> None:
    world = Shop(stages=2)
    task = world.task(1, 0)
    state = world.opening(task, 3, 1)
    said = world.resolve(state, {0: {"wait": True}, 1: {"answer": 5}, 2: {"answer": int(task.truth)}}, DRAW)
    assert (said.state["said"], world.score(task, said.state)) == (5, 0.0)
    assert said.rewards == {0: 0.0, 1: 0.0, 2: 0.0}
    right = world.resolve(state, {2: {"answer": int(task.truth)}}, DRAW)
    assert (world.score(task, right.state), right.rewards[1]) == (1.0, 1.0)
    late = world.resolve(world.resolve(state, {}, DRAW).state, {}, DRAW).state
    assert (world.over(late), world.outcome(task, late)) == ("nobody answered", "no answer")
