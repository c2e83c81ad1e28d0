"""Scenarios for tests: one builder with small defaults, and hypothesis strategies over all that is shipped.

`societies` draws every shipped topology, protocol and budget policy; a test in `property/test_shipped.py` fails for one
that it does not draw. To add one, give it a row here.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from agentsoc.scenario.model import Scenario
from tests.loose import register

SCRIPTED = {"kind": "scripted", "accuracy": 0.7}
SIMULATED = {"kind": "simulated", "signal": 0.4, "fidelity": 0.9, "lock": 0.1}


def scenario(**changes: Any) -> Scenario:
    """Return a small scenario: 4 coin questions, 5 scripted agents in a star, independent votes."""
    register()
    base: dict[str, Any] = {
        "name": "test",
        "seed": 11,
        "tasks": {"kind": "coin", "count": 4},
        "agents": {"count": 5, "model": SCRIPTED},
        "topology": "star",
        "protocol": "vote",
    }
    return Scenario.model_validate({**base, **changes})


@st.composite
def societies(draw: st.DrawFn, models: tuple[str, ...] = ("scripted", "simulated")) -> dict[str, Any]:
    """Draw the parts of a scenario whose protocol can run on its topology."""
    n = draw(st.integers(2, 7))
    anything: list[dict[str, Any]] = [
        {"kind": "independent"},
        {"kind": "decentralized"},
        {"kind": "decentralized", "degree": 1},
        {"kind": "chain"},
        {"kind": "star"},
        {"kind": "tree", "fan_in": 2},
        {"kind": "hybrid"},
        {"kind": "exponential"},
        {"kind": "custom", "edges": [[a, a + 1] for a in range(n - 1)], "ends_in": n - 1},
    ]
    if n >= 3:
        anything += [{"kind": "ring"}, {"kind": "small-world", "neighbours": 1, "rewire": 0.3}]
    if n >= 4:
        anything.append({"kind": "modular", "communities": 2, "integrator": draw(st.booleans())})
    peers: dict[str, Any] = draw(st.sampled_from(anything))
    rooted: dict[str, Any] = draw(
        st.sampled_from([{"kind": "star"}, {"kind": "chain"}, {"kind": "tree", "fan_in": 2}, {"kind": "hybrid"}])
    )
    led: dict[str, Any] = draw(st.sampled_from([{"kind": "star"}, {"kind": "tree", "fan_in": 3}, {"kind": "hybrid"}]))
    by = draw(st.sampled_from(["majority", "weighted", "model"]))
    blocks: list[tuple[dict[str, Any], dict[str, Any]]] = [
        (peers, {"kind": "vote", "by": draw(st.sampled_from([by, "union", "judge"]))}),
        (peers, {"kind": "vote", "by": "weighted", "weights": [1 + a % 3 for a in range(n)]}),
        (rooted, {"kind": "aggregate", "by": draw(st.sampled_from([by, "judge"]))}),
        ({"kind": "chain"}, {"kind": "relay"}),
        (
            draw(st.sampled_from([peers, rooted])),
            {
                "kind": "resample",
                "until": draw(st.sampled_from(["ahead-by-k", "first-to-k", "verifier"])),
                "k": draw(st.integers(1, 3)),
                "max_samples": draw(st.integers(1, 12)),
                "exhausted": draw(st.sampled_from([None, "plurality", "abstain"])),
                "red_flags": draw(st.sampled_from([None, {}, {"max_tokens": 12}])),
                "first_temperature": draw(st.sampled_from([None, 0.0])),
            },
        ),
        (
            peers,
            {
                "kind": "debate",
                "rounds": draw(st.integers(1, 3)),
                "until": draw(st.sampled_from(["rounds", "consensus"])),
                "order": draw(st.sampled_from(["together", "together", "in-turn"])),
                "by": draw(st.sampled_from(["majority", "weighted", "union"])),
            },
        ),
        (
            led,
            {
                "kind": "orchestrate",
                "rounds": draw(st.integers(1, 3)),
                "guidance": draw(st.sampled_from(["joint", "each", "none"])),
                "decision": draw(st.sampled_from(["lead", "agreement", "rounds"])),
                "plan_by": draw(st.sampled_from(["model", "same"])),
                "synthesis": draw(st.sampled_from(["model", "majority"])),
            },
        ),
    ]
    topology, protocol = draw(st.sampled_from(blocks))
    if protocol["kind"] != "resample" and draw(st.integers(0, 5)) == 0:
        threshold = draw(st.sampled_from([0.0, 1.0, 2.0]))
        broadcast = draw(st.sampled_from(["next", "always", "no"]))
        protocol = {"kind": "dti", "protocol": protocol, "threshold": threshold, "broadcast": broadcast}
    if draw(st.sampled_from(models)) == "scripted":
        model = {
            "kind": "scripted",
            "accuracy": 0.7,
            "cites": draw(st.sampled_from(["agreeing", "all", "none"])),
            "fail_rate": draw(st.sampled_from([0.0, 0.2])),
            "malformed_rate": draw(st.sampled_from([0.0, 0.2])),
        }
    else:
        model = {
            "kind": "simulated",
            "signal": 0.3,
            "fidelity": draw(st.sampled_from([1.0, 0.8])),
            "lock": draw(st.sampled_from([0.0, 0.3])),
            "latency_s": draw(st.sampled_from([0.0, 1.0])),
            "shared": draw(st.sampled_from([0.0, 0.4])),
            "invalid": draw(st.sampled_from([0.0, 0.0, 0.3])),
            "rejects": draw(st.sampled_from([None, None, 0.5])),
            "accepts_wrong": draw(st.sampled_from([0.0, 0.5])),
            "judge_odds": draw(st.sampled_from([1.0, 4.0])),
            "judge_bias": draw(st.sampled_from([0.0, 0.5])),
        }
    policy: dict[str, Any] = draw(
        st.sampled_from(
            [
                {"kind": "uniform"},
                {"kind": "uniform"},
                {"kind": "per-level", "weights": [2, 1]},
                {"kind": "proportional"},
                {"kind": "theory", "beta": 0.2, "exponent": 0.4, "message": 10},
                {"kind": "difficulty", "lead": 0.3},
            ]
        )
    )
    split = {"policy": {**policy, "carry": draw(st.booleans())}, "shown": "both"}
    budget: dict[str, Any] | None = draw(
        st.sampled_from(
            [None, None, {"tokens_per_task": 700}, {"tokens_per_task": 2500}, {"tokens_per_task": 2500, **split}]
        )
    )
    if budget is not None and policy["kind"] == "difficulty" and "policy" in budget:
        budget["shown"] = "team"  # agents have no share of their own: parts do
        tasks, model = {"kind": "parts", "count": 3, "parts": 4, "difficulty": [100, 1000]}, {"kind": "scripted"}
    else:
        tasks = {"kind": "coin", "count": 4}
    if draw(st.integers(0, 15)) == 0:  # one agent on its own
        n, topology, protocol = 1, {"kind": "single"}, {"kind": draw(st.sampled_from(["vote", "debate", "resample"]))}
    attention = draw(
        st.sampled_from([{"kind": "all"}, {"kind": "random", "k": 2}, {"kind": "reinforced", "k": 2, "beta": 1.5}])
    )
    return {
        "seed": draw(st.integers(0, 2**32)),
        "tasks": tasks,
        "agents": {
            "count": n,
            "model": model,
            "max_tokens": 40,
            "iterations": draw(st.integers(1, 2)),
            "memory": draw(st.sampled_from([0, 2])),
        },
        "topology": topology,
        "protocol": protocol,
        "budget": budget,
        "attention": attention,
        "faults": draw(
            st.sampled_from([[], [], [{"round": 0, "probability": 0.4}, {"agent": n - 1, "answer": "edge"}]])
        ),
        "parents": draw(st.sampled_from(["cited", "visible"])),
        "episodes": draw(st.sampled_from(["concurrent", "concurrent", "sequential"])),
        "calls": {"backoff_s": 0.0},
    }
