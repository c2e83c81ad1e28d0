"""Towers of Hanoi: the closed form, the strategy and the rules agree; replies are read strictly."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agentsoc.errors import TaskError
from agentsoc.tasks.hanoi import (
    Hanoi,
    HanoiMove,
    Move,
    State,
    apply_move,
    best_move,
    initial,
    is_legal,
    is_solved,
    legal_moves,
    lenient_parse,
    state_after,
    steps,
    strict_parse,
    write_step,
)


@st.composite
def states(draw: st.DrawFn, disks: int) -> State:
    where = [draw(st.integers(0, 2)) for _ in range(disks)]
    pegs = [tuple(d for d in range(disks, 0, -1) if where[d - 1] == peg) for peg in range(3)]
    return (pegs[0], pegs[1], pegs[2])


@pytest.mark.parametrize("disks", range(1, 11))
def test_the_best_moves_solve_the_tower_in_the_least_number_of_steps_through_the_computed_states(disks: int) -> None:
    state = initial(disks)
    for done in range(steps(disks)):
        assert state == state_after(disks, done)
        assert not is_solved(state)
        move = best_move(state)
        assert move is not None
        state = apply_move(state, move)
    assert is_solved(state)
    assert best_move(state) is None


@pytest.mark.parametrize("disks", [1, 2, 3, 4])
def test_from_any_state_the_best_move_brings_the_goal_one_step_nearer(disks: int) -> None:
    goal: State = ((), (), tuple(range(disks, 0, -1)))
    distance, ring = {goal: 0}, [goal]  # breadth-first search backwards: moves can be undone
    while ring:
        ring = [
            after
            for state in ring
            for move in legal_moves(state)
            if (after := apply_move(state, move)) not in distance and not distance.update({after: distance[state] + 1})
        ]
    assert len(distance) == 3**disks
    for state, d in distance.items():
        move = best_move(state)
        assert (move is None) == (d == 0)
        assert move is None or distance[apply_move(state, move)] == d - 1


def test_the_told_strategy_is_the_shortest_solution() -> None:
    for disks in range(1, 9):
        way = [0, 1, 2] if disks % 2 == 0 else [0, 2, 1]
        state, previous = initial(disks), None
        for done in range(steps(disks)):
            if previous is None or previous.disk != 1:
                source = next(peg for peg in range(3) if 1 in state[peg])
                move = Move(1, source, way[(way.index(source) + 1) % 3])
            else:
                (move,) = (m for m in legal_moves(state) if m.disk != 1)
            assert move == best_move(state)
            state, previous = apply_move(state, move), move
            assert state == state_after(disks, done + 1)


@given(state=states(6), disk=st.integers(-1, 8), source=st.integers(-1, 3), target=st.integers(-1, 3))
def test_a_move_is_legal_exactly_when_it_is_listed(state: State, disk: int, source: int, target: int) -> None:
    move = Move(disk, source, target)
    assert is_legal(state, move) == (move in legal_moves(state))
    assert 2 <= len(legal_moves(state)) <= 3
    if not is_legal(state, move):
        with pytest.raises(ValueError, match="not legal"):
            apply_move(state, move)


def test_the_last_step_of_twenty_disks_is_made_without_playing_a_million() -> None:
    family = Hanoi(disks=20, count=1_000_000)
    tasks = family.tasks(0)
    assert len(tasks) == 1_000_000
    assert family.score(tasks[-1], tasks[-1].truth) == 1.0
    done = state_after(20, steps(20))
    assert is_solved(done)
    last = Hanoi(disks=19, count=steps(19)).make(0, steps(19) - 1)
    assert last.truth == write_step(HanoiMove(Move(1, 0, 2), state_after(19, steps(19))))


def test_a_run_is_not_longer_than_its_solution() -> None:
    assert Hanoi(disks=3).count == 7
    assert Hanoi(disks=10).count == 20
    assert Hanoi(disks=3, order="sample").count == 20
    assert len({task.question for task in Hanoi(disks=3).tasks(0)}) == 7
    with pytest.raises(ValidationError, match="7 steps"):
        Hanoi(disks=3, count=8)
    with pytest.raises(TaskError, match="7 steps"):
        Hanoi(disks=3).make(0, 7)


def test_sampled_steps_are_spread_over_the_whole_solution() -> None:
    drawn = {task.question for task in Hanoi(disks=4, order="sample", count=300).tasks(1)}
    assert len(drawn) == 15  # a step stays out with probability 15 * (14/15)^300 = 2e-8


def test_the_run_is_the_same_for_every_seed_and_its_steps_follow_each_other() -> None:
    tasks = list(Hanoi(disks=4).tasks(1))
    assert tasks == list(Hanoi(disks=4).tasks(2))
    for now, later in itertools.pairwise(tasks):
        step = strict_parse(now.truth, 4)
        assert step is not None
        assert f"{list(step.move)}" in later.question
        assert str([list(peg) for peg in step.state]).replace(" ", "") in later.question


GOOD = "move = [1, 0, 2] next_state = [[3, 2], [], [1]]"


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"I think:\n{GOOD}\n",
        "move=[1,0,2]\nnext_state=[[3,2],[],[1]]",
        '{"move": [1, 0, 2], "next_state": [[3, 2], [], [1]]}',
        "**Move**: [1, 0, 2]; **Next state**: [[3,2],[],[1]]",
    ],
)
def test_a_clean_step_is_read(text: str) -> None:
    assert strict_parse(text, 3) == HanoiMove(Move(1, 0, 2), ((3, 2), (), (1,)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "move = [1, 0, 2]",
        "next_state = [[3, 2], [], [1]]",
        "move = [1, 0] next_state = [[3, 2], [], [1]]",
        "move = [1, 0, 2, 2] next_state = [[3, 2], [], [1]]",
        "move = [1, 0, 3] next_state = [[3, 2], [], [1]]",
        "move = [4, 0, 2] next_state = [[3, 2], [], [1]]",
        "move = [0, 0, 2] next_state = [[3, 2], [], [1]]",
        "move = [1.0, 0, 2] next_state = [[3, 2], [], [1]]",
        "move = [1, 0, 2] next_state = [[3, 2], [1]]",
        "move = [1, 0, 2] next_state = [[3, 2], [], [1], []]",
        "move = [1, 0, 2] next_state = [[3, 2], [], [2]]",
        "move = [1, 0, 2] next_state = [[3, 2, 1], [], [1]]",
        "move = [1, 0, 2] next_state = [[3, 2], [], []]",
        "move = [1, 0, 2] next_state = [[3, 2], [], ['1']]",
        f"{GOOD} no, {GOOD}",
        "move = [-1, 0, 2] next_state = [[3, 2], [], [1]]",
    ],
)
def test_a_step_of_suspicious_form_is_flagged(text: str) -> None:
    assert strict_parse(text, 3) is None
    assert Hanoi(disks=3).parse(Hanoi(disks=3).make(0, 0), text) is None


def test_the_lenient_reading_takes_the_last_step_instead() -> None:
    text = f"move = [2, 0, 1] next_state = [[3], [2], [1]] no: {GOOD}"
    assert lenient_parse(text) == strict_parse(GOOD, 3)
    assert Hanoi(disks=3, strict=False).parse(Hanoi(disks=3).make(0, 0), text) is not None
    assert lenient_parse("move = [1, 0, 2] next_state = [[], [], [2]]") == HanoiMove(Move(1, 0, 2), ((), (), (2,)))


def test_a_right_move_with_a_wrong_state_is_wrong() -> None:
    family = Hanoi(disks=3)
    task = family.make(0, 0)
    assert family.score(task, family.parse(task, GOOD)) == 1.0
    wrong = family.parse(task, "move = [1, 0, 2] next_state = [[3], [2], [1]]")
    assert wrong is not None
    assert family.score(task, wrong) == 0.0
