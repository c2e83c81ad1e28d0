"""The whole tower: its states, and MAKER through the engine: 1,023 dependent steps, each decided by votes."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from agentsoc.contracts.world import WORLD, asked
from agentsoc.errors import InputError
from agentsoc.events import SOCIETY
from agentsoc.society.build import build_society
from agentsoc.tasks.hanoi import HanoiMove, Move, best_move, initial, state_after, steps, write_move, write_step
from agentsoc.tasks.hanoi_tower import HanoiTower, read_place
from tests.nightly import NIGHTLY
from tests.societies import built, logged, result

P_STEP = 0.96
"""How often one sample of a step is right."""


def tower(disks: int, ask: str = "move", count: int = 1) -> dict[str, Any]:
    return {"kind": "hanoi-tower", "disks": disks, "ask": ask, "count": count}


def voters(n: int, p: float) -> dict[str, Any]:
    """Return voters who are right with probability p where three moves are legal: everywhere but at the start."""
    return {"count": n, "model": {"kind": "simulated", "signal": (3 * p - 1) / 2}}


def k_min(p: float, s: int, target: float) -> int:
    """Return the least lead with which s steps are all right with probability `target` (two answers)."""
    return math.ceil(math.log(target ** (-1 / s) - 1) / math.log((1 - p) / p))


@pytest.mark.parametrize("ask", ["move", "step"])
@pytest.mark.parametrize("disks", [1, 2, 5])
def test_right_answers_lead_through_the_states_of_the_shortest_solution(disks: int, ask: Any) -> None:
    family = HanoiTower(disks=disks, ask=ask)
    task = family.make(0, 0)
    state = family.opening(task)
    for done in range(steps(disks)):
        place = read_place(state)
        assert (place.done, place.state) == (done, state_after(disks, done))
        question = family.at(task, state)
        assert question is not None
        assert family.parse(question, question.truth) == question.truth
        state = family.after(task, state, question.truth)
    assert family.at(task, state) is None
    assert family.outcome(task, state) == task.truth


@given(disks=st.integers(2, 6), ask=st.sampled_from(["move", "step"]), data=st.data())
def test_a_run_that_leaves_the_solution_does_not_reach_its_end(disks: int, ask: Any, data: st.DataObject) -> None:
    family = HanoiTower(disks=disks, ask=ask)
    task = family.make(0, 0)
    state, wrong = family.opening(task), False
    while (question := family.at(task, state)) is not None:
        place = read_place(state)
        moves = HanoiTower(disks=disks, ask="move").at(task, state)
        assert moves is not None
        best = best_move(place.state)
        assert best is not None
        if data.draw(st.booleans()):
            state = family.after(task, state, question.truth)
        else:
            wrong = True
            other = next(move for move in moves.options if move != write_move(best))
            state = HanoiTower(disks=disks, ask="move").after(task, state, other)
    assert (family.outcome(task, state) == task.truth) == (not wrong)


@pytest.mark.parametrize(
    ("ask", "answer"),
    [
        ("move", None),
        ("move", "disk 3 from peg 0 to peg 1"),
        ("move", "nonsense"),
        ("step", None),
        ("step", "move = [3,0,1] next_state = [[2,1],[3],[]]"),
        ("step", "move = [1,0,2] next_state = [[3,2],[1],[]]"),
    ],
)
def test_an_answer_that_is_no_move_leaves_the_run_stuck(ask: Any, answer: str | None) -> None:
    family = HanoiTower(disks=3, ask=ask)
    task = family.make(0, 0)
    state = family.after(task, family.opening(task), answer)
    assert read_place(state).stuck
    assert family.at(task, state) is None
    assert read_place(state).state == initial(3)
    assert asked(family, task, state) is task


def test_micro_agents_see_the_strategy_the_state_and_the_previous_move() -> None:
    family = HanoiTower(disks=3)
    task = family.make(0, 0)
    first = family.at(task, family.opening(task))
    assert first is not None
    assert "Previous move [disk, from, to]: none" in first.question
    second = family.at(task, family.after(task, family.opening(task), first.truth))
    assert second is not None
    assert "Previous move [disk, from, to]: [1, 0, 2]" in second.question
    assert "[[3,2],[],[1]]" in second.question
    assert "Strategy:" in second.question


def test_the_log_holds_each_state_that_questions_were_about_and_they_follow_from_the_votes() -> None:
    done, events = logged(
        tasks=tower(4, count=3),
        agents=voters(3, 0.8),
        topology="independent",
        protocol={"kind": "resample", "k": 2},
    )
    family = HanoiTower(disks=4, ask="move", count=3)
    for index in range(3):
        task = family.make(5, index)
        mine = [e for e in events if e.task == index]
        states = [(e.round, e.text) for e in mine if e.kind == "flag" and e.answer == WORLD and e.agent == SOCIETY]
        assert states[0] == (0, family.opening(task))
        ends = [round_ for round_, _ in states[1:]] + [10**9]
        for (begin, state), end in zip(states, ends, strict=True):
            votes = [e.answer for e in mine if e.kind == "propose_claim" and begin <= e.round < end]
            winner = max(set(votes), key=votes.count)
            following = family.after(task, state or "", winner)
            later = [s for r, s in states if r == end]
            assert later in ([following], [])
            question = family.at(task, state or "")
            assert question is not None
            scores = {e.correct for e in mine if e.answer == question.truth and begin <= e.round < end}
            assert scores <= {1.0}  # each vote is scored against the step that it is about
        (answer,) = [e for e in mine if e.kind == "answer"]
        assert answer.answer == family.outcome(task, following)
    assert done.totals.rounds >= 3 * 15


def test_a_model_of_prompts_plays_the_tower_and_its_malformed_steps_are_discarded() -> None:
    """Scripted mistakes are no steps at all, so that every one of them is a red flag."""
    done, events = logged(
        tasks=tower(3, "step", 2),
        agents={"count": 3, "model": {"kind": "scripted", "accuracy": 0.8}},
        topology="independent",
        protocol={"kind": "resample", "k": 3, "red_flags": {}},
    )
    assert done.totals.score == 1.0
    assert sum(e.kind == "flag" and e.agent != SOCIETY for e in events) > 5
    assert sum(e.kind == "propose_claim" for e in events) == 2 * 7 * 3


def test_votes_buy_what_one_agent_cannot_do() -> None:
    """Seven disks: 127 steps, each right with probability .9, so one agent never gets through; 40 runs with votes.

    The bound for two answers is .9^127 = 1.5e-6 alone and .965 at k_min = 4. Of 40 runs at .965 fewer than 34 end well
    with probability 6e-4.
    """
    alone = result(
        tasks=tower(7, count=40), agents=voters(1, 0.9), topology="single", protocol={"kind": "resample", "k": 1}
    )
    assert alone.totals.score == 0.0
    k = k_min(0.9, 127, 0.95)
    assert k == 4
    bound = (1 / (1 + (1 / 9) ** k)) ** 127
    assert stats.binom.cdf(33, 40, bound) < 1e-3
    together = result(
        tasks=tower(7, count=40), agents=voters(k, 0.9), topology="independent", protocol={"kind": "resample", "k": k}
    )
    assert (together.totals.score or 0) >= 34 / 40


@pytest.mark.slow
def test_ten_disks_are_solved_without_an_error_in_at_least_95_percent_of_runs() -> None:
    """1,023 steps at k_min, 20 runs; p_full >= .9969, so fewer than 19 of 20 has a probability below 2e-3.

    AGENTSOC_NIGHTLY=1 makes 200 runs, one million events: fewer than 190 of them has probability 2e-9.
    """
    count, rare = (200, 1e-8) if NIGHTLY else (20, 2e-3)
    k = k_min(P_STEP, 1023, 0.95)
    assert k == 4
    bound = (1 / (1 + ((1 - P_STEP) / P_STEP) ** k)) ** 1023
    assert stats.binom.cdf(math.ceil(0.95 * count) - 1, count, bound) < rare
    done = result(
        tasks=tower(10, count=count),
        agents=voters(k, P_STEP),
        topology="independent",
        protocol={"kind": "resample", "k": k},
    )
    assert (done.totals.score or 0) >= 0.95
    right = 1 / (1 + ((1 - P_STEP) / P_STEP) ** k)
    votes = k * (2 * right - 1) / (2 * P_STEP - 1)
    assert 0.98 * votes < done.totals.calls / (count * 1023) < 1.01 * votes  # a second wrong answer shortens the race


def test_a_protocol_that_asks_one_question_refuses_a_task_of_many_steps() -> None:
    for protocol in ("vote", "debate"):
        with pytest.raises(InputError, match="asks one question"):
            build_society(built(tasks=tower(3), agents=voters(3, 0.9), topology="decentralized", protocol=protocol))


def test_the_step_form_states_move_and_state() -> None:
    family = HanoiTower(disks=2)
    task = family.make(0, 0)
    question = family.at(task, family.opening(task))
    assert question is not None
    assert question.truth == "move = [1,0,1] next_state = [[2],[1],[]]"
    assert question.truth == write_step(HanoiMove(Move(1, 0, 1), ((2,), (1,), ())))
