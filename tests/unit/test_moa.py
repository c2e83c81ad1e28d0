"""A mixture of agents makes L n + 1 calls and (L - 1) n^2 + n deliveries; a picker gains what its odds say."""

from __future__ import annotations

from math import comb
from typing import Any

import pytest

from agentsoc.engine.bounds import Bound
from agentsoc.engine.forecast import bound
from agentsoc.society.build import build_society
from tests.societies import built, logged, result

COIN: dict[str, Any] = {"kind": "coin", "count": 5}


@pytest.mark.parametrize("by", ["model", "judge"])
@pytest.mark.parametrize("model", [{"kind": "scripted", "accuracy": 0.6}, {"kind": "simulated", "signal": 0.3}])
def test_calls_and_deliveries_are_as_the_closed_form_says(model: dict[str, Any], by: str) -> None:
    for n in (2, 3, 5):
        for layers in (1, 2, 3):
            for topology, agents in (("independent", n), ("star", n + 1)):
                done, events = logged(
                    check=layers == 2,
                    tasks={"kind": "coin", "count": 2},
                    agents={"count": agents, "model": model},
                    topology=topology,
                    protocol={"kind": "moa", "layers": layers, "by": by},
                )
                totals = done.totals
                assert totals.calls == 2 * (layers * n + 1)
                assert totals.deliveries == 2 * ((layers - 1) * n * n + n)
                assert totals.rounds == 2 * (layers + 1)
                first = [event for event in events if event.task == 0 and event.round == 0]
                assert len(first) == n
                assert topology == "independent" or all(event.agent != 0 for event in first)


def test_each_layer_reads_all_of_the_layer_before() -> None:
    _, events = logged(
        tasks={"kind": "coin", "count": 1},
        agents={"count": 4, "model": {"kind": "scripted", "accuracy": 0.5, "cites": "all"}},
        topology="independent",
        protocol={"kind": "moa", "layers": 3},
    )
    claims = [{e.claim for e in events if e.round == round_ and e.claim is not None} for round_ in range(4)]
    assert [len(layer) for layer in claims] == [4, 4, 4, 1]
    for event in events:
        if event.claim is not None and event.round:
            assert set(event.parents) == claims[event.round - 1]
            assert event.kind == "merge_claims"


def test_a_picker_is_right_as_often_as_its_odds_say() -> None:
    n, p, w, tasks = 8, 0.4, 2.0, 4_000
    expected = sum(comb(n, r) * p**r * (1 - p) ** (n - r) * w * r / (w * r + n - r) for r in range(n + 1))
    assert abs(expected - 0.549) < 0.0005
    done = result(
        tasks={"kind": "signal", "count": tasks, "choices": 5},
        agents={"count": n + 1, "model": {"kind": "simulated", "signal": (p - 0.2) / 0.8, "judge_odds": w}},
        topology="star",
        protocol={"kind": "moa", "layers": 1, "by": "judge"},
    )
    assert done.totals.score is not None
    assert abs(done.totals.score - expected) < 3 * (expected * (1 - expected) / tasks) ** 0.5


def test_a_layer_that_failed_leaves_nothing_to_make_an_answer_of() -> None:
    done, events = logged(
        tasks={"kind": "coin", "count": 2},
        agents={"count": 3, "model": {"kind": "scripted", "replies": [["", "??"]]}},
        topology="independent",
        protocol={"kind": "moa", "layers": 2},
        calls={"attempts": 1},
    )
    assert done.totals.calls == 2 * 3
    assert all(event.answer is None for event in events if event.kind == "answer")


def test_a_spent_budget_leaves_the_aggregator_its_call() -> None:
    done, events = logged(
        tasks={"kind": "coin", "count": 2},
        agents={"count": 6, "model": "scripted", "max_tokens": 40},
        topology="star",
        protocol={"kind": "moa", "layers": 4},
        budget={"tokens_per_task": 1_400},
    )
    assert done.totals.stops == {"budget_exhausted": 2}
    assert done.totals.answered == 2
    assert {event.agent for event in events if event.kind == "merge_claims" and event.calls} >= {0}


def test_what_a_run_can_cost_is_known_before_it_starts() -> None:
    blocks = {"agents": {"count": 4, "model": "scripted"}, "topology": "star"}
    known = bound(build_society(built(tasks=COIN, protocol={"kind": "moa", "layers": 3}, **blocks)))
    assert isinstance(known, Bound)
    assert known.calls == 5 * (3 * 3 + 1)
