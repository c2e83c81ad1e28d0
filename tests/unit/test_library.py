"""Facts on private shelves: experts who ask find out, votes reach what is derived and no more."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from agentsoc.contracts.environments import Draw
from agentsoc.contracts.script import Script
from agentsoc.environments.library import Library
from agentsoc.environments.playing import play_out
from agentsoc.errors import InputError
from agentsoc.puzzles import shelves as puzzle
from agentsoc.theory.split import one_shelf, votes_of_shelves


@settings(max_examples=60)
@given(
    shelves=st.integers(2, 8),
    names=st.integers(2, 12),
    seed=st.integers(0, 2**40),
    n=st.integers(2, 12),
    data=st.data(),
)
def test_experts_who_are_asked_always_find_out(shelves: int, names: int, seed: int, n: int, data: Any) -> None:
    hops = data.draw(st.integers(1, shelves))
    world = Library(shelves=shelves, names=names, hops=hops, asks=hops)
    task = world.task(seed, 3)
    played = play_out(world, task, n, seed)
    assert (played.score, played.ended) == (1.0, "answered")
    assert len(played.actions) == 2 * hops + 1
    assert json.loads(json.dumps(played.states[-1])) == played.states[-1]
    assert played.rewards[-1] == dict.fromkeys(range(n), 1.0)


@pytest.mark.parametrize(("hops", "names", "shelves"), [(1, 4, 4), (1, 8, 3), (2, 4, 4), (3, 8, 5), (1, 2, 6)])
def test_votes_of_shelves_reach_the_derived_score_and_one_shelf_its_ceiling(
    hops: int, names: int, shelves: int
) -> None:
    world = Library(shelves=shelves, names=names, hops=hops, organisation="votes")
    n = 1_500
    right = sum(play_out(world, world.task(3, i), shelves, 3).score for i in range(n))
    expected = votes_of_shelves(hops, shelves, names)
    assert abs(right / n - expected) < 4 * (expected * (1 - expected) / n) ** 0.5
    alone = 0.0
    for i in range(n):  # as many samples as one likes of one shelf: they agree on the best guess that it allows
        task = world.task(3, i)
        held = puzzle.subjects(shelves)[i % shelves]
        known = puzzle.followed({held: task.data["catalogues"][held]}, task.data["path"], task.data["start"])
        alone += (known or task.data["options"][0]) == task.truth
    ceiling = one_shelf(hops, shelves, names)
    assert abs(alone / n - ceiling) < 4 * (ceiling * (1 - ceiling) / n) ** 0.5


@pytest.mark.parametrize(("names", "shelves"), [(2, 3), (3, 3), (3, 4), (4, 2)])
def test_the_score_of_votes_is_that_of_all_ways_in_which_they_can_fall(names: int, shelves: int) -> None:
    won = 0.0
    for guesses in itertools.product(range(names), repeat=shelves - 1):
        counts = Counter([0, *guesses])  # name 0 is true, and one voter knows it
        most = max(counts.values())
        won += (counts[0] == most) / sum(count == most for count in counts.values())
    assert votes_of_shelves(1, shelves, names) == pytest.approx(won / names ** (shelves - 1))


def test_one_catalogue_says_nothing_about_where_two_lead() -> None:
    seen: dict[Any, Counter[str]] = {}
    for seed in range(6_000):
        drawn = puzzle.stock(np.random.default_rng(seed), 2, 2, 2)
        trees, rivers = drawn["catalogues"]["trees"], drawn["catalogues"]["rivers"]
        key = (trees[drawn["start"]] == min(rivers), rivers[min(rivers)] == min(rivers.values()))
        for place in (("trees", key[0]), ("rivers", key[1])):
            seen.setdefault(place, Counter())[str(drawn["answer"] == min(rivers.values()))] += 1
    for counts in seen.values():
        total = counts["True"] + counts["False"]
        assert abs(counts["True"] / total - 0.5) < 4 * (0.25 / total) ** 0.5


def test_noise_costs_more_the_more_there_is_of_it() -> None:
    world = Library(asks=2)
    for spoiled in ("quality", "error"):
        means = []
        for amount in (0.0, 0.15, 0.5):
            script = Script("noisy", **({"quality": 1 - amount} if spoiled == "quality" else {"error": amount}))
            means.append(sum(play_out(world, world.task(1, i), 5, 1, script).score for i in range(80)))
        assert means[0] == 80 > means[1] > means[2]


def test_nobody_sees_a_shelf_of_others_and_the_lead_sees_none() -> None:
    world = Library(shelves=3, hops=3)
    task = world.task(5, 0)
    state = world.opening(task, 4, 5)
    facts = {subject: set(pairs.items()) for subject, pairs in task.data["catalogues"].items()}
    assert not puzzle.entries(world.observe(state, 0).text)
    assert [world.observe(state, agent).may_act for agent in range(4)] == [True, False, False, False]
    asked = world.resolve(state, {0: world.best(state, 0, Draw(1, "w", 0, 0))}, Draw(1, "w", 0, 0)).state
    (agent,) = [agent for agent in range(4) if world.observe(asked, agent).may_act]
    assert set(puzzle.entries(world.observe(asked, agent).text).items()) == facts[puzzle.subjects(3)[agent - 1]]
    votes = Library(shelves=3, hops=3, organisation="votes")
    alone = votes.observe(votes.opening(task, 2, 5), 0)
    assert set(puzzle.entries(alone.text).items()) == facts["trees"] | facts["birds"]


def test_a_lead_who_asks_too_often_or_nonsense_gets_no_answer() -> None:
    world = Library(asks=1)
    state = world.opening(world.task(1, 0), 5, 1)
    draw = Draw(1, "w", 0, 0)
    state = world.resolve(state, {0: world.default(state, 0)}, draw).state
    state = world.resolve(state, {1: world.best(state, 1, draw)}, draw).state
    assert state["log"][0]["said"] == puzzle.NOT_HERE
    assert "oneOf" not in (world.observe(state, 0).schema or {})
    for action in ({"ask": 1, "subject": "trees", "name": "Elm"}, {}):
        done = world.resolve(state, {0: action}, draw).state
        assert (world.over(done), world.score(world.task(1, 0), done)) == ("no answer", 0.0)


def test_impossible_libraries_are_refused() -> None:
    with pytest.raises(ValidationError, match="at most 3 shelves, got 4 hops"):
        Library(shelves=3, hops=4)
    with pytest.raises(InputError, match="at least one expert"):
        Library().check_agents(1)


@given(
    text=st.text(max_size=200)
    | st.lists(st.sampled_from(["Look up ", "Elm", " in the catalogue of ", "trees", ". ", " leads to "])).map("".join)
)
def test_any_text_can_be_searched_for_questions_and_entries(text: str) -> None:
    asked = puzzle.steps_asked(text)
    assert asked is None or puzzle.walked(puzzle.entries(text), *asked)[1] <= len(asked[1])


def test_a_question_reads_back() -> None:
    drawn = puzzle.stock(np.random.default_rng(3), 5, 6, 3)
    asked = puzzle.steps_asked(puzzle.question(drawn["path"], drawn["start"]))
    assert asked == (drawn["start"], drawn["path"])
    everything = puzzle.entries(puzzle.shelf_text(drawn["catalogues"], list(drawn["catalogues"])))
    assert puzzle.walked(everything, *asked) == (drawn["answer"], 3)
    names = [name for kind in puzzle.KINDS.values() for name in kind]
    assert len(set(names)) == len(names)
    assert all(len(kind) == puzzle.NAMES_MAX for kind in puzzle.KINDS.values())
