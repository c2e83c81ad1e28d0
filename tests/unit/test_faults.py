"""Planted errors and the protocol relay: where a fault lands, what the log says, and how many claims it taints.

One planted error, f readers a claim, each of whom rejects a wrong claim with probability q: over h waves the wrong
claims are on average the sum of (f (1 - q))^i, i = 0..h.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from scipy import stats

from agentsoc.errors import InputError
from agentsoc.society.build import build_society
from tests.societies import built, logged, result

SIGMAS = stats.norm.isf(0.5e-4)
"""A right engine with a fresh seed fails one check with probability 1e-4."""


def downwards(f: int, h: int) -> dict[str, Any]:
    """Return a tree of one-way edges from agent 0 down: everybody has f readers, but for the last wave."""
    n = sum(f**i for i in range(h + 1))
    return {"kind": "custom", "edges": [[(child - 1) // f, child] for child in range(1, n)]}


def tainted(f: int, h: int, q: float, tasks: int) -> np.ndarray[Any, Any]:
    """Return the number of wrong claims of each task in which agent 0 is given a wrong answer."""
    topology = downwards(f, h)
    model = {"kind": "simulated", "signal": 1.0, "keep_own": 0.0, "rejects": q}
    _, events = logged(
        check=False,
        tasks={"kind": "signal", "count": tasks},
        agents={"count": len(topology["edges"]) + 1, "model": model},
        topology=topology,
        protocol="relay",
        faults=[{"agent": 0, "round": 0}],
    )
    wrong = Counter(e.task for e in events if e.correct == 0.0 and e.agent >= 0)
    return np.array([wrong[task] for task in range(tasks)])


@pytest.mark.parametrize(("f", "h", "q"), [(3, 2, 0.5), (3, 2, 0.2), (2, 3, 0.3), (1, 4, 0.25), (4, 1, 0.9)])
def test_an_error_spreads_as_a_branching_process(f: int, h: int, q: float) -> None:
    expected = sum((f * (1 - q)) ** i for i in range(h + 1))
    found = tainted(f, h, q, 600)
    assert abs(found.mean() - expected) <= SIGMAS * found.std(ddof=1) / math.sqrt(len(found))
    if (f, h, q) == (3, 2, 0.5):
        assert expected == 4.75


def test_readers_who_never_look_pass_everything_on_and_the_more_they_reject_the_less_is_tainted() -> None:
    assert set(tainted(3, 2, 0.0, 20)) == {13}
    assert set(tainted(3, 2, 1.0, 20)) == {1}
    means = [tainted(3, 2, q, 150).mean() for q in (0.0, 0.3, 0.6, 0.9)]
    assert means == sorted(means, reverse=True)


def test_the_log_names_the_fault_and_the_way_of_the_error() -> None:
    _, events = logged(
        tasks={"kind": "signal", "count": 30},
        agents={"count": 4, "model": {"kind": "simulated", "signal": 1.0, "keep_own": 0.0, "rejects": 0.5}},
        topology="chain",
        protocol="relay",
        faults=[{"agent": 1}],
    )
    by_task: dict[int, dict[int, Any]] = {}
    for event in events:
        if event.claim is not None:
            by_task.setdefault(event.task, {})[event.agent] = event
    faults = [e for e in events if e.kind == "fault"]
    assert len(faults) == 30
    for fault in faults:
        claim = by_task[fault.task][1]
        assert (fault.agent, fault.target, fault.answer) == (1, claim.claim, claim.answer)
        assert claim.correct == 0.0
        assert fault.correct is None
        assert (fault.text or "").startswith("instead of ")
    after = [e for e in events if e.agent == 2]
    assert {e.kind for e in after} == {"endorse_claim", "contradict_claim"}
    assert all((e.kind == "endorse_claim") == (e.correct == 0.0) for e in after)


def test_a_fault_turns_an_endorsement_into_a_claim_of_its_own() -> None:
    _, events = logged(
        tasks={"kind": "coin", "count": 4},
        agents={"count": 3, "model": "scripted"},
        topology="chain",
        protocol="relay",
        faults=[{"agent": 2}],
    )
    last = [e for e in events if e.agent == 2 and e.kind != "fault"]
    assert [(e.kind, e.correct, len(e.parents)) for e in last] == [("revise_claim", 0.0, 1)] * 4


@pytest.mark.parametrize("model", [{"kind": "simulated", "signal": 0.5}, {"kind": "scripted"}])
def test_faults_hit_as_often_as_they_should_and_only_where(model: dict[str, Any]) -> None:
    n = 300
    _, events = logged(
        check=False,
        tasks={"kind": "coin", "count": n},
        agents={"count": 3, "model": model},
        topology="decentralized",
        protocol={"kind": "debate", "rounds": 2},
        faults=[{"round": 1, "probability": 0.3, "answer": "edge"}],
    )
    faults = [e for e in events if e.kind == "fault"]
    assert {e.round for e in faults} == {1}
    assert {e.answer for e in faults} == {"edge"}
    rate = len(faults) / (3 * n)
    assert abs(rate - 0.3) <= SIGMAS * math.sqrt(0.3 * 0.7 / (3 * n))


def test_a_task_without_options_gets_a_stated_or_a_plain_error() -> None:
    for answer, expected in ((None, "a planted error"), ("12", "12")):
        _, events = logged(
            tasks={"kind": "free", "count": 2},
            agents={"count": 1, "model": "scripted"},
            topology="single",
            protocol="vote",
            faults=[{"agent": 0, **({"answer": answer} if answer else {})}],
        )
        assert {e.answer for e in events if e.kind == "answer"} == {expected}


def test_relay_goes_wave_by_wave_and_ends_in_the_last() -> None:
    edges = [[0, 2], [1, 2], [2, 3], [0, 3]]
    done, events = logged(
        tasks={"kind": "coin", "count": 2},
        agents={"count": 4, "model": "scripted"},
        topology={"kind": "custom", "edges": edges},
        protocol="relay",
    )
    assert {(e.agent, e.round) for e in events if e.agent >= 0} == {(0, 0), (1, 0), (2, 1), (3, 2)}
    assert (done.totals.calls, done.totals.rounds, done.totals.deliveries) == (8, 6, 8)


def test_relay_is_the_same_as_columns_and_turn_by_turn() -> None:
    blocks: dict[str, Any] = {
        "tasks": {"kind": "signal", "count": 200},
        "agents": {"count": 4, "model": {"kind": "simulated", "signal": 0.4, "fidelity": 0.8, "shared": 0.2}},
        "topology": {"kind": "custom", "edges": [[0, 2], [1, 2], [2, 3], [0, 3]]},
        "protocol": "relay",
    }
    assert result(**blocks).digest == result(**blocks, engine={"vectorise": False}).digest


def test_relay_refuses_a_circle() -> None:
    for topology in ("star", "ring"):
        with pytest.raises(InputError, match="circle"):
            build_society(
                built(tasks="sentiment", agents={"count": 4, "model": "scripted"}, topology=topology, protocol="relay")
            )
