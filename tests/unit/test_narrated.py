"""A narrated choice makes 2 n + 1 calls, tells the judge what each attempt did, and gains what the judge's odds say."""

from __future__ import annotations

import tempfile
from collections import Counter
from math import comb
from pathlib import Path
from typing import Any

import pytest

from agentsoc.engine.bounds import Bound
from agentsoc.engine.forecast import bound
from agentsoc.engine.run import run
from agentsoc.errors import InputError
from agentsoc.society.build import build_society
from tests.societies import built, logged

COIN: dict[str, Any] = {"kind": "coin", "count": 3}


def narrated(n: int, *, hub: bool = True, model: Any = "scripted", tasks: Any = COIN, **rules: Any) -> dict[str, Any]:
    return {
        "tasks": tasks,
        "agents": {"count": n + hub, "model": model},
        "topology": "star" if hub else "independent",
        "protocol": {"kind": "narrated-choice", **rules},
    }


@pytest.mark.parametrize("narrator", ["judge", "peers"])
@pytest.mark.parametrize("model", [{"kind": "scripted", "accuracy": 0.6}, {"kind": "simulated", "signal": 0.3}])
def test_calls_deliveries_and_rounds_are_as_the_closed_form_says(model: dict[str, Any], narrator: str) -> None:
    for n in (2, 3, 6):
        for hub in (True, False):
            blocks = narrated(n, hub=hub, model=model, narrator=narrator)
            totals = logged(check=n == 3, **blocks)[0].totals
            assert totals.calls == 3 * (2 * n + 1)
            assert totals.deliveries == 3 * 2 * n
            assert totals.rounds == 3 * 3
            if model["kind"] == "scripted":
                known = bound(build_society(built(**blocks)))
                assert isinstance(known, Bound)
                assert known.calls == totals.calls


def test_the_judge_reads_what_is_told_of_each_attempt_and_narrators_what_it_called() -> None:
    caller = {"kind": "scripted", "uses_tools": [[{"tool": "calculator", "arguments": {"expression": "2 * 3"}}]]}
    narrator = {
        "kind": "scripted",
        "replies": [["step by step", '{"answer": "It multiplied two numbers.", "why": "x"}']],
    }
    blocks = {**narrated(2, tasks={"kind": "sentiment", "count": 1}), "peers_see": "whole"}
    blocks["agents"] = [
        {"count": 1, "model": narrator, "reply": "json"},
        {"count": 2, "model": caller, "tools": ["calculator"], "reply": "json"},
    ]
    with tempfile.TemporaryDirectory() as scratch:
        done = run(built(**blocks), Path(scratch) / "run")
        calls = done.transcript(0)
        told = [call for call in calls if call.purpose == "work"]
        assert len(told) == 2
        for call in told:
            assert call.agent == 0
            assert '1. {"arguments":{"expression":"2 * 3"},"tool":"calculator"}: 6' in call.request.user
            assert "do not say whether it is right" in call.request.user
        (choice,) = [call for call in calls if call.purpose == "choose"]
        assert choice.request.user.count("It multiplied two numbers.") == 2
        events = list(done.events())
        attempts = {event.claim: event.answer for event in events if event.agent in (1, 2) and event.claim is not None}
        told_of = [event for event in events if event.kind == "revise_claim"]
        assert [event.answer for event in told_of] == [attempts[event.parents[0]] for event in told_of]
        assert all(event.correct is None for event in told_of)  # a narrative is no answer of its narrator
        (answer,) = [event for event in events if event.kind == "answer"]
        assert answer.parents[0] in {event.claim for event in told_of}


def expected(n: int, p: float, w: float) -> float:
    return sum(comb(n, r) * p**r * (1 - p) ** (n - r) * w * r / (w * r + n - r) for r in range(n + 1))


@pytest.mark.parametrize(("w", "stated"), [(1.0, 0.400), (2.0, 0.549), (5.0, 0.728), (20.0, 0.896)])
def test_a_choice_is_right_as_often_as_the_odds_of_its_judge_say(w: float, stated: float) -> None:
    tasks = 300
    assert abs(expected(8, 0.4, w) - stated) < 0.0005
    blocks = narrated(
        8,
        model={"kind": "simulated", "signal": 0.25, "judge_odds": w},
        tasks={"kind": "signal", "count": tasks, "choices": 5},
    )
    found = logged(check=False, **blocks)[0].totals.score or 0
    assert abs(found - stated) < 3 * (stated * (1 - stated) / tasks) ** 0.5


def chosen(bias: float, tasks: int = 400, n: int = 4) -> tuple[Counter[int], Counter[int]]:
    """Return how often each place and each author was chosen."""
    model = {"kind": "simulated", "signal": 0.0, "judge_bias": bias}
    _, events = logged(check=False, **narrated(n, model=model, tasks={"kind": "coin", "count": tasks}))
    places: Counter[int] = Counter()
    authors: Counter[int] = Counter()
    wrote = {}
    for event in events:
        if event.claim is not None and event.round == 0:
            wrote[event.task, event.claim] = event.agent
        if event.kind == "revise_claim":
            wrote[event.task, event.claim or 0] = wrote[event.task, event.parents[0]]
        if event.kind == "endorse_claim" and event.target is not None:
            places[int((event.text or "#0").split()[0][1:])] += 1
            authors[wrote[event.task, event.target]] += 1
    return places, authors


def test_an_unbiased_judge_prefers_no_place_and_a_biased_one_is_seen_in_the_log() -> None:
    tasks, n = 400, 4
    error = (tasks * 0.25 * 0.75) ** 0.5
    for bias in (0.0, 0.5):
        places, authors = chosen(bias)
        assert sum(places.values()) == tasks
        first = tasks * (bias + (1 - bias) / n)
        assert abs(places[1] - first) < 4 * error
        assert all(abs(places[place] - (tasks - first) / (n - 1)) < 4 * error for place in (2, 3, 4))
        # whatever the judge does with places, no author profits: the order is drawn for each task
        assert all(abs(authors[author] - tasks / n) < 4 * error for author in (1, 2, 3, 4))


def test_attempts_that_fail_are_not_told_and_one_alone_is_the_answer() -> None:
    silent = {"kind": "scripted", "replies": [["", "??"]]}
    blocks = {**narrated(3), "calls": {"attempts": 1, "repair": False}}
    blocks["agents"] = [{"count": 2, "model": "scripted"}, {"count": 2, "model": silent}]
    done, _ = logged(**blocks)
    assert (done.totals.calls, done.totals.answered) == (3 * 3, 3)
    blocks["agents"] = [{"count": 3, "model": "scripted"}, {"count": 1, "model": silent}]
    assert logged(**blocks)[0].totals.calls == 3 * (3 + 2 + 1)
    blocks["agents"] = [{"count": 1, "model": silent}, {"count": 3, "model": "scripted"}]
    done, _ = logged(**blocks)  # nothing is told and nothing chosen: the majority
    assert (done.totals.calls, done.totals.answered) == (3 * 7, 3)


def test_a_spent_budget_still_lets_the_judge_choose() -> None:
    blocks = narrated(6)
    blocks["agents"]["max_tokens"] = 40
    done, events = logged(**blocks, budget={"tokens_per_task": 1_200})
    assert done.totals.stops == {"budget_exhausted": 3}
    assert done.totals.answered == 3
    assert sum(event.kind == "endorse_claim" for event in events) == 3


def test_a_choice_needs_two() -> None:
    with pytest.raises(InputError, match="needs two who attempt the task"):
        build_society(built(**narrated(1)))
