"""Carriers on one map: plans that are known to be fastest, moves that block each other, and what noise costs."""

from __future__ import annotations

import itertools
import json
from collections import deque
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentsoc.contracts.environments import STATE_BYTES, Draw
from agentsoc.contracts.script import Script
from agentsoc.environments.grid_delivery import GridDelivery, moved
from agentsoc.environments.grid_search import MOVES, Cell, alone, length, together
from agentsoc.environments.playing import play_out
from agentsoc.errors import InputError

CELLS = [(row, column) for row in range(4) for column in range(4)]
DRAW = Draw(1, "w", 0, 0)


def fastest_by_trying_everything(open_cells: frozenset[Cell], starts: Any, goals: Any) -> int | None:
    """Breadth first over the places of all: slow, and right."""
    first = (tuple(starts), tuple(0 for _ in starts))
    seen, queue = {first}, deque([(first, 0)])
    while queue:
        (at, done), steps = queue.popleft()
        if all(d == len(g) for d, g in zip(done, goals, strict=True)):
            return steps
        for moves in itertools.product(MOVES.values(), repeat=len(at)):
            wanted = [(a[0] + m[0], a[1] + m[1]) for a, m in zip(at, moves, strict=True)]
            after = tuple(moved(at, wanted, open_cells))
            reached = tuple(d + (d < len(g) and g[d] == cell) for d, g, cell in zip(done, goals, after, strict=True))
            if (after, reached) not in seen:
                seen.add((after, reached))
                queue.append(((after, reached), steps + 1))
    return None


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_joint_plan_is_legal_and_never_faster_than_possible(data: Any) -> None:
    open_cells = frozenset(data.draw(st.lists(st.sampled_from(CELLS[:12]), min_size=6, unique=True)))
    places = data.draw(st.lists(st.sampled_from(sorted(open_cells)), min_size=4, max_size=4, unique=True))
    starts, goals = places[:2], [[places[2]], [places[3]]]
    steps = [alone(open_cells, start, each) for start, each in zip(starts, goals, strict=True)]
    if None in steps:
        return
    bound = max(step for step in steps if step is not None)
    ways = together(open_cells, starts, goals, bound + 12)
    best = fastest_by_trying_everything(open_cells, starts, goals)
    if ways is None:
        return  # planning one after the other does not find everything
    assert best is not None
    assert bound <= best <= length(ways)
    for time in range(length(ways)):
        now = [way[min(time, len(way) - 1)] for way in ways]
        then = [way[min(time + 1, len(way) - 1)] for way in ways]
        assert moved(now, then, open_cells) == then
    assert [way[-1] for way in ways] == [goal[-1] for goal in goals]


@pytest.mark.parametrize("n", [1, 2, 3, 4, 6])
def test_the_optimal_policy_takes_the_fewest_steps_that_anybody_could(n: int) -> None:
    world = GridDelivery(size=8 if n > 4 else 6)
    for index in range(6):
        task = world.task(2, index)
        played = play_out(world, task, n, 9)
        first = played.states[0]
        open_cells = frozenset(tuple(cell) for cell in first["open"])
        goals = [[tuple(goal) for goal in each] for each in first["goals"]]
        steps = [alone(open_cells, tuple(at), each) for at, each in zip(first["at"], goals, strict=True)]
        assert len(played.actions) == first["fastest"] == max(step or 0 for step in steps)
        assert (played.score, played.ended) == (1.0, "delivered")
        assert sum(sum(step.values()) for step in played.rewards) == n
        assert len(json.dumps(first)) < STATE_BYTES
        assert json.loads(json.dumps(played.states[-1])) == played.states[-1]


def test_maps_are_drawn_on_which_carriers_meet_and_the_seed_decides_them() -> None:
    world = GridDelivery()
    states = [world.opening(world.task(1, index), 3, 5) for index in range(8)]
    assert [
        world.opening(world.task(1, index), 3, 77) for index in range(8)
    ] == states  # the tasks' seed, not the run's
    assert len({json.dumps(state) for state in states}) == 8
    blocked = 0
    for state in states:
        left = state
        for _ in range(30):  # everybody goes the own shortest way and looks at nobody
            if world.over(left):
                break
            step = world.resolve(left, {agent: own_move(left, agent) for agent in range(3)}, DRAW)
            blocked += any("blocked" in text for text in step.told.values())
            left = step.state
    assert blocked > 0


def own_move(state: dict[str, Any], agent: int) -> str:
    done = state["done"][agent]
    if done == 2:
        return "stay"
    open_cells, here = frozenset(tuple(cell) for cell in state["open"]), tuple(state["at"][agent])
    goal = tuple(state["goals"][agent][done])

    def away(name: str) -> int:
        cell = (here[0] + MOVES[name][0], here[1] + MOVES[name][1])
        steps = alone(open_cells, cell, [goal]) if cell in open_cells else None
        return 99 if steps is None else steps

    return min(MOVES, key=away)


@pytest.mark.parametrize("spoiled", ["quality", "error"])
def test_noise_costs_more_the_more_there_is_of_it(spoiled: str) -> None:
    world, means = GridDelivery(size=5), []
    for amount in (0.0, 0.15, 0.5):
        script = Script("noisy", **({"quality": 1 - amount} if spoiled == "quality" else {"error": amount}))
        means.append(sum(play_out(world, world.task(1, i), 2, 1, script).score for i in range(12)))
    assert means[0] == 12 > means[1] > means[2]


def test_who_cannot_move_stays() -> None:
    row = frozenset((0, column) for column in range(5))
    assert moved([(0, 0), (0, 1)], [(0, 1), (0, 2)], row) == [(0, 1), (0, 2)]  # one after the other
    assert moved([(0, 0), (0, 1)], [(0, 1), (0, 0)], row) == [(0, 0), (0, 1)]  # places are not changed
    assert moved([(0, 0), (0, 2)], [(0, 1), (0, 1)], row) == [(0, 0), (0, 2)]  # both want into one cell
    assert moved([(0, 0), (0, 1), (0, 2)], [(0, 1), (0, 2), (0, 2)], row) == [(0, 0), (0, 1), (0, 2)]  # a queue stands
    assert moved([(0, 4)], [(0, 5)], row) == [(0, 4)]  # a wall


@given(data=st.data())
def test_nobody_is_ever_in_the_cell_of_another(data: Any) -> None:
    at = data.draw(st.lists(st.sampled_from(CELLS), min_size=1, max_size=8, unique=True))
    steps = data.draw(st.lists(st.sampled_from(list(MOVES.values())), min_size=len(at), max_size=len(at)))
    wanted = [(a[0] + m[0], a[1] + m[1]) for a, m in zip(at, steps, strict=True)]
    after = moved(at, wanted, frozenset(CELLS))
    assert len(set(after)) == len(after)
    assert all(cell in (want, here) for cell, want, here in zip(after, wanted, at, strict=True))
    changed = {(a, b) for a, b in zip(at, after, strict=True) if a != b}
    assert not any((b, a) in changed for a, b in changed)


def test_what_a_carrier_sees_and_when_time_is_up() -> None:
    world = GridDelivery(steps=20)
    state = world.opening(world.task(1, 0), 2, 1)
    sight = world.observe(state, 1)
    assert sight.choices == ("stay", "up", "down", "left", "right")
    assert sum(line.count("0") for line in sight.text.splitlines()[1:7]) == 1
    assert "You are carrier 1" in sight.text
    for _ in range(20):
        state = world.resolve(state, {0: "stay", 1: "stay"}, DRAW).state
    assert (world.over(state), world.score(world.task(1, 0), state)) == ("time is up", 0.0)


def test_too_many_carriers_are_refused_and_so_is_too_little_time() -> None:
    short = GridDelivery(steps=1)
    with pytest.raises(InputError, match="found no map of 6 by 6 for 3 carriers"):
        short.opening(short.task(1, 0), 3, 1)
    with pytest.raises(InputError, match="6 by 6 has room for 4 carriers, got 5"):
        GridDelivery().check_agents(5)
    with pytest.raises(InputError, match="room for 8 carriers, got 9"):
        GridDelivery(size=16).check_agents(9)
