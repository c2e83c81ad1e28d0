"""Split knowledge: each worker is shown its own shelf alone, the lead asks, and what that takes is counted."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest

from agentsoc.engine.run import run
from agentsoc.errors import InputError
from agentsoc.puzzles.shelves import entries
from agentsoc.society.build import build_society
from agentsoc.tasks.library import LibraryQuestions
from agentsoc.theory.split import one_shelf
from tests.societies import built, logged

LIBRARY: dict[str, Any] = {"kind": "library", "count": 12, "shelves": 4, "hops": 2}


def experts(n: int = 5, *, model: Any = "solver", tasks: Any = LIBRARY, **settings: Any) -> dict[str, Any]:
    return {
        "tasks": tasks,
        "agents": {"count": n, "model": model, "max_tokens": 200},
        "topology": "star",
        "protocol": {"kind": "experts", "asks": 2, **settings},
    }


@pytest.mark.parametrize("model", ["scripted", {"kind": "simulated", "signal": 0.4}])
@pytest.mark.parametrize("asks", [1, 3])
@pytest.mark.parametrize("n", [2, 3, 7])
def test_calls_and_deliveries_are_those_of_the_closed_form(n: int, asks: int, model: Any) -> None:
    coin = {"kind": "coin", "count": 3}
    for route, calls, deliveries in (("one", 2 * asks + 1, 2 * asks), ("all", asks * n + 1, 2 * asks * (n - 1))):
        for decision, judged in (("asks", 0), ("lead", asks - 1)):
            totals = logged(
                check=asks == 1, **experts(n, model=model, tasks=coin, asks=asks, route=route, decision=decision)
            )[0].totals
            assert (totals.calls, totals.deliveries) == (3 * (calls + judged), 3 * deliveries)


@pytest.mark.parametrize("hops", [1, 2, 4])
@pytest.mark.parametrize("n", [2, 3, 5, 9])
def test_experts_are_always_right_whoever_holds_what(n: int, hops: int) -> None:
    done, _ = logged(**experts(n, tasks={**LIBRARY, "hops": hops}, asks=hops))
    assert (done.totals.score, done.totals.calls_failed) == (1.0, 0)
    assert done.totals.calls == 12 * (2 * hops + 1)


def test_a_lead_who_says_when_it_knows_enough_asks_no_more_than_it_needs() -> None:
    done, events = logged(**experts(asks=9, decision="lead"))
    assert done.totals.score == 1.0
    assert done.totals.calls == 12 * (2 * 2 + 2 + 1)  # two questions, two looks at what is known, one answer
    assert sum(event.kind == "delegate_subtask" for event in events) == 12 * 2


def test_samples_of_agents_who_have_no_shelf_or_all_the_same_one_stay_at_their_ceiling() -> None:
    tasks = {**LIBRARY, "count": 600}
    agents = {"count": 5, "model": "solver", "max_tokens": 200}
    done, _ = logged(check=False, tasks=tasks, agents=agents, topology="independent", protocol="vote")
    ceiling = one_shelf(2, 4, 8)
    assert ceiling == 1 / 8
    assert abs((done.totals.score or 0) - ceiling) < 4 * (ceiling * (1 - ceiling) / 600) ** 0.5


@pytest.mark.parametrize("route", ["one", "all"])
def test_nobody_but_its_holder_is_shown_a_shelf(route: str) -> None:
    family = LibraryQuestions(count=1)
    facts = [set(entries(shelf).items()) for shelf in family.make(5, 0).data["shelves"]]
    with tempfile.TemporaryDirectory() as scratch:
        done = run(built(**experts(tasks={**LIBRARY, "count": 1}, route=route)), Path(scratch) / "run")
        for call in done.transcript(0):
            seen = set(entries(call.request.user).items())
            if call.agent:
                assert seen == facts[call.agent - 1]
            else:
                assert len(seen) <= 2  # what was found, and nothing else
                assert "agent 1 has the catalogue of trees" in call.request.user or call.round in (2, 4, 6)


def test_findings_lead_to_the_answer_that_is_logged() -> None:
    _, events = logged(**experts(tasks={**LIBRARY, "count": 1}))
    found = [event for event in events if event.kind == "propose_claim"]
    (merged,) = [event for event in events if event.kind == "merge_claims"]
    (answer,) = [event for event in events if event.kind == "answer"]
    assert merged.parents == tuple(event.claim for event in found)
    assert (answer.answer, answer.parents, answer.correct) == (merged.answer, (merged.claim,), 1.0)
    assert [event.text for event in found][-1] == f"{found[0].answer} leads to {merged.answer}"


def test_slips_of_experts_cost_more_the_more_there_are() -> None:
    tasks = {**LIBRARY, "count": 80}
    right = [
        logged(check=False, **experts(model={"kind": "solver", "slip": slip}, tasks=tasks))[0].totals.score or 0.0
        for slip in (0.0, 0.1, 0.4)
    ]
    assert right[0] == 1.0 > right[1] > right[2]
    assert abs(right[1] - 0.9**2) < 4 * (0.81 * 0.19 / 80) ** 0.5


def test_a_spent_budget_lets_the_lead_answer_from_what_was_found() -> None:
    blocks = experts(tasks={**LIBRARY, "count": 3}, asks=50)
    done, events = logged(**blocks, budget={"tokens_per_task": 3_000})
    assert set(done.totals.stops) == {"budget_exhausted"}
    assert done.totals.answered == 3
    assert all(event.agent == 0 for event in events if event.kind == "merge_claims")


@pytest.mark.parametrize("topology", ["independent", "single", "ring"])
def test_experts_need_a_lead(topology: str) -> None:
    agents = {"count": 1 if topology == "single" else 4, "model": "solver"}
    with pytest.raises(InputError, match="needs a lead who can address workers"):
        build_society(built(tasks=LIBRARY, agents=agents, topology=topology, protocol="experts"))


def test_tasks_without_shelves_are_asked_as_they_are() -> None:
    done, events = logged(**experts(model="scripted", tasks={"kind": "sentiment", "count": 4}))
    assert done.totals.score == 1.0
    assert all(event.text == "look at side 1" for event in events if event.kind == "delegate_subtask")
