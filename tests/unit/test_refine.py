"""Drafts are checked and written again: calls by closed form, and the chain of two states that simulated drafts are."""

from __future__ import annotations

from typing import Any

import pytest

from agentsoc.engine.bounds import Bound
from agentsoc.engine.forecast import bound
from agentsoc.errors import InputError
from agentsoc.society.build import build_society
from tests.societies import built, logged, result

COIN: dict[str, Any] = {"kind": "coin", "count": 5}
TASKS: dict[str, Any] = {"kind": "signal", "count": 1_000}


def refine(**settings: Any) -> dict[str, Any]:
    return {"kind": "refine", **settings}


def voters(p: float, d: float, f: float) -> dict[str, Any]:
    """Voters of two options who are right with p, find wrong drafts with d, and take right ones for wrong with f."""
    return {
        "kind": "simulated",
        "signal": 2 * p - 1,
        "keep_own": 1.0,
        "accepts_right": 1 - f,
        "accepts_wrong": 1 - d,
        "compute": 20,
        "message": 5,
    }


def share(n: int, model: dict[str, Any], **settings: Any) -> float:
    done = result(
        tasks=TASKS,
        agents={"count": n, "model": model},
        topology="independent" if n > 1 else "single",
        protocol=refine(**settings),
    )
    score = done.totals.score
    assert score is not None
    return score


@pytest.mark.parametrize("model", [{"kind": "scripted", "accuracy": 0.6}, {"kind": "simulated", "signal": 0.3}])
@pytest.mark.parametrize("rounds", [1, 2, 4])
def test_calls_are_1_plus_2r_with_a_critic_and_1_plus_r_without(model: dict[str, Any], rounds: int) -> None:
    tasks = {"kind": "coin", "count": 3}
    for n, critic, calls, deliveries in (
        (1, "self", 1 + 2 * rounds, 0),
        (1, "none", 1 + rounds, 0),
        (3, "self", 3 * (1 + 2 * rounds), 0),
        (3, "none", 3 * (1 + rounds), 0),
        (2, "other", 1 + 2 * rounds, 2 * rounds),
        (4, "other", 1 + 2 * rounds, 2 * rounds),
    ):
        done, _ = logged(
            tasks=tasks,
            agents={"count": n, "model": model},
            topology="independent" if n > 1 else "single",
            protocol=refine(rounds=rounds, critic=critic, until="rounds"),
        )
        totals = done.totals
        assert (totals.calls, totals.deliveries) == (3 * calls, 3 * deliveries), (n, critic)


def test_who_is_accepted_at_once_makes_two_calls() -> None:
    for n, critic, calls in ((1, "self", 2), (3, "other", 2), (1, "none", 2)):
        done, events = logged(
            tasks={"kind": "coin", "count": 4},
            agents={"count": n, "model": "scripted"},
            topology="independent" if n > 1 else "single",
            protocol=refine(rounds=5, critic=critic),
        )
        assert done.totals.calls == 4 * calls
        assert done.totals.score == 1
        assert {event.kind for event in events} <= {"propose_claim", "endorse_claim", "answer", "stop"}


def test_the_others_check_in_turn_and_the_draft_is_rewritten_from_what_they_say() -> None:
    _, events = logged(
        tasks={"kind": "coin", "count": 1},
        agents=[{"count": 1, "model": {"kind": "scripted", "says": "wrong"}}, {"count": 3, "model": "scripted"}],
        topology="independent",
        protocol=refine(rounds=4, critic="other"),
    )
    checks = [event for event in events if event.kind == "contradict_claim" and event.answer is None]
    assert [event.agent for event in checks] == [1, 2, 3, 1]
    drafts = [event for event in events if event.agent == 0 and event.claim is not None]
    assert len(drafts) == 5
    for check, before, after in zip(checks, drafts, drafts[1:], strict=False):
        assert check.target == before.claim
        assert before.claim in after.parents or check.claim in after.parents


@pytest.mark.parametrize("n", [1, 2])
def test_simulated_drafts_are_the_chain_of_two_states(n: int) -> None:
    p, d, f = 0.6, 0.5, 0.1
    right, critic = p, "self" if n == 1 else "other"
    stated = [0.600, 0.696, 0.759]
    for rounds in (1, 2):
        right = right * (1 - f + f * p) + (1 - right) * d * p
        assert abs(right - stated[rounds]) < 0.0006
        found = share(n, voters(p, d, f), rounds=rounds, critic=critic, until="rounds")
        error = (right * (1 - right) / TASKS["count"]) ** 0.5
        assert abs(found - right) < 3 * error, rounds
    assert abs(d * p / (d * p + f * (1 - p)) - 0.882) < 0.0005  # benchmarks/study_refine.py goes that far


def test_a_critic_who_cannot_tell_gains_nothing() -> None:
    found = share(1, voters(0.6, 0.4, 0.4), rounds=3, until="rounds")
    assert abs(found - 0.6) < 3 * (0.24 / TASKS["count"]) ** 0.5


def test_the_first_accepted_draft_may_be_final() -> None:
    p, d, f = 0.6, 0.5, 0.1
    limit = p * (1 - f) / (p * (1 - f) + (1 - p) * (1 - d))
    found = share(1, voters(p, d, f), rounds=10)
    assert abs(found - limit) < 3 * (limit * (1 - limit) / TASKS["count"]) ** 0.5


def test_a_critic_that_fails_has_accepted_nothing() -> None:
    done, events = logged(
        tasks={"kind": "coin", "count": 3},
        agents=[
            {"count": 1, "model": "scripted"},
            {"count": 1, "model": {"kind": "scripted", "replies": [["Is it right?", "well"]]}},
        ],
        topology="independent",
        protocol=refine(rounds=2, critic="other"),
        calls={"attempts": 1},
    )
    assert sum(event.kind == "call_failed" for event in events) == 3 * 2
    assert done.totals.calls == 3 * 5


def test_nobody_else_to_check_is_refused() -> None:
    scenario = built(
        tasks="sentiment", agents={"model": "scripted"}, topology="single", protocol=refine(critic="other")
    )
    with pytest.raises(InputError, match="needs a second agent"):
        build_society(scenario)


@pytest.mark.parametrize(("critic", "calls"), [("other", 7), ("self", 2 * 7), ("none", 2 * 4)])
def test_what_a_run_can_cost_is_known_before_it_starts(critic: str, calls: int) -> None:
    blocks = {"agents": {"count": 2, "model": "scripted"}, "topology": "independent"}
    until = "rounds" if critic == "none" else "accepted"
    known = bound(build_society(built(tasks=COIN, protocol=refine(rounds=3, critic=critic, until=until), **blocks)))
    assert isinstance(known, Bound)
    assert known.calls == 5 * calls


def test_how_often_an_author_changes_its_mind_is_not_known_beforehand() -> None:
    blocks = {"agents": {"model": "scripted"}, "topology": "single"}
    known = bound(build_society(built(tasks=COIN, protocol=refine(critic="none"), **blocks)))
    assert "with protocol refine it depends on the replies" in known.text()
