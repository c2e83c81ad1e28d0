"""Scenarios for tests: one builder with small defaults, and hypothesis strategies over all that is shipped.

`societies` draws every shipped topology, protocol and budget policy, `topology_cases` every topology alone; `EDGES` and
`COUNTED` have closed forms. `property/test_shipped.py` fails for a kind that has no row. To add one, give it its rows
here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from hypothesis import assume
from hypothesis import strategies as st

from agentsoc.contracts.protocol import PROTOCOLS, Protocol
from agentsoc.contracts.topology import Topology
from agentsoc.engine.forecast import require_a_call
from agentsoc.errors import InputError
from agentsoc.scenario.model import Scenario
from agentsoc.society.build import build_society
from agentsoc.society.topologies import (
    Chain,
    Custom,
    Decentralized,
    DynamicReputation,
    Exponential,
    Hybrid,
    Independent,
    Modular,
    NeedOffer,
    Ring,
    Single,
    SmallWorld,
    Star,
    Tree,
)
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


def can_be_led(protocol: Mapping[str, Any]) -> bool:
    """Return whether another protocol, such as dti, can lead a protocol."""
    kind: type[Protocol] = PROTOCOLS.find(protocol["kind"])
    return kind.alone is None


@st.composite
def societies(
    draw: st.DrawFn, models: tuple[str, ...] = ("scripted", "simulated"), *, leadable: bool = False
) -> dict[str, Any]:
    """Draw the parts of a scenario whose protocol can run on its topology; one that another can lead if `leadable`."""
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
            {"kind": "moa", "layers": draw(st.integers(1, 3)), "by": draw(st.sampled_from(["model", "judge"]))},
        ),
        (
            draw(st.sampled_from([peers, rooted])),
            {
                "kind": "refine",
                "rounds": draw(st.integers(1, 3)),
                "critic": draw(st.sampled_from(["self", "other", "none"])),
                "until": draw(st.sampled_from(["accepted", "rounds"])),
            },
        ),
        (
            draw(st.sampled_from([peers, rooted])),
            {
                "kind": "roles",
                "stages": [
                    {"name": "plan", "asks": "Say what has to be done."},
                    {"name": "draft", "asks": "Do it.", "reads": ["plan"]},
                    {"name": "review", "asks": "Is it right?", "checks": "draft", "agent": draw(st.integers(0, n - 1))},
                    {"name": "answer", "asks": "Give the answer.", "reads": draw(st.sampled_from([None, ["draft"]]))},
                ],
                "returns": draw(st.integers(0, 2)),
            },
        ),
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
            draw(st.sampled_from([peers, rooted])),
            {
                "kind": "dag",
                "critic": draw(st.sampled_from(["reader", "author", "none"])),
                "rejected": draw(st.sampled_from(["shown", "left-out"])),
                "direction": draw(st.sampled_from(["inward", "outward"])),
            },
        ),
        (
            draw(st.sampled_from([{"kind": "independent"}] if n < 3 else [peers, rooted])),
            {
                "kind": "tournament",
                "matches": draw(st.integers(1, 9)),
                "at_once": draw(st.integers(1, 4)),
                "pairing": draw(st.sampled_from(["spread", "random"])),
                "by": draw(st.sampled_from(["elo", "bradley-terry"])),
            },
        ),
        (
            draw(st.sampled_from([{"kind": "independent"}] if n < 3 else [peers, rooted])),
            {"kind": "narrated-choice", "narrator": draw(st.sampled_from(["judge", "peers"]))},
        ),
        (
            draw(st.sampled_from([peers, rooted])),
            {
                "kind": "auction",
                "jury": draw(st.sampled_from([None, 1])),
                "memory": draw(st.sampled_from(["none", "kept", "shuffled"])),
            },
        ),
        (
            led,
            {
                "kind": "manager",
                "edits": draw(st.integers(0, 2)),
                "width": draw(st.sampled_from([None, 1])),
                "carries": draw(st.sampled_from(["ancestors", "direct"])),
            },
        ),
        (
            {
                "kind": draw(st.sampled_from(["dynamic-reputation", "need-offer"])),
                "hears": draw(st.integers(1, n - 1)),
                "drop": draw(st.integers(0, 2)),
            },
            {"kind": draw(st.sampled_from(["debate", "placebo"])), "rounds": draw(st.integers(1, 4))},
        ),
        (
            peers,
            {
                "kind": "placebo",
                "rounds": draw(st.integers(1, 3)),
                "until": draw(st.sampled_from(["rounds", "consensus"])),
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
        (
            led,
            {
                "kind": "experts",
                "asks": draw(st.integers(1, 3)),
                "route": draw(st.sampled_from(["one", "all"])),
                "decision": draw(st.sampled_from(["asks", "lead"])),
            },
        ),
    ]
    if leadable:
        blocks = [(peers, protocol) for peers, protocol in blocks if can_be_led(protocol) and "hears" not in peers]
    topology, protocol = draw(st.sampled_from(blocks))
    moves = "hears" in topology  # which only the protocol itself follows
    if not leadable and not moves and can_be_led(protocol) and draw(st.integers(0, 5)) == 0:
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
        kinds = ["vote", "debate"] if leadable else ["vote", "debate", "resample"]
        n, topology, protocol = 1, {"kind": "single"}, {"kind": draw(st.sampled_from(kinds))}
    attention = draw(
        st.sampled_from([{"kind": "all"}, {"kind": "random", "k": 2}, {"kind": "reinforced", "k": 2, "beta": 1.5}])
    )
    episodes = draw(st.sampled_from(["concurrent", "concurrent", "sequential"]))
    if protocol["kind"] == "placebo":  # its episodes show each other what is said
        episodes = "concurrent"
    if protocol.get("memory", "none") != "none":
        episodes = "sequential"
    parts = {
        "seed": draw(st.integers(0, 2**32)),
        "tasks": tasks,
        "agents": {
            "count": n,
            "model": model,
            "max_tokens": 40,
            "iterations": draw(st.integers(1, 2)),
            "memory": draw(st.sampled_from([0, 2])) if episodes == "sequential" else 0,
            "history": draw(st.sampled_from(["none", "own", "all"])),
        },
        "topology": topology,
        "protocol": protocol,
        "budget": budget,
        "attention": attention,
        "faults": draw(
            st.sampled_from([[], [], [{"round": 0, "probability": 0.4}, {"agent": n - 1, "answer": "edge"}]])
        ),
        "parents": draw(st.sampled_from(["cited", "visible"])),
        "episodes": episodes,
        "peers_see": draw(st.sampled_from(["conclusion", "whole", "answer"])),
        "calls": {"backoff_s": 0.0},
    }
    try:
        require_a_call(build_society(scenario(**parts)))
    except InputError as error:  # a share may be too small for a first call, which is said before anything runs
        assume("the budget pays for no" not in str(error))
        raise
    return parts


SHAPES = (
    *("single", "independent", "star", "chain", "tree", "complete", "random", "regular", "circle", "mixed"),
    *("ring", "small-world", "hybrid", "modular", "exponential", "custom"),
    *("reputation", "needs"),
)


class TopologyCase(NamedTuple):
    topology: Topology
    n: int
    exact: bool  # whether fan_in_limit is reached by every seed


@st.composite
def topology_cases(draw: st.DrawFn) -> TopologyCase:
    """Draw any kind of topology with any parameters, and a number of agents for which it exists."""
    kind = draw(st.sampled_from(SHAPES))

    def size(least: int) -> int:
        return draw(st.integers(least, 40))

    match kind:
        case "single":
            return TopologyCase(Single(), 1, True)
        case "independent":
            return TopologyCase(Independent(), size(1), True)
        case "star":
            return TopologyCase(Star(), size(2), True)
        case "chain":
            return TopologyCase(Chain(), size(1), True)
        case "tree":
            return TopologyCase(Tree(fan_in=draw(st.integers(2, 6))), size(1), True)
        case "complete":
            return TopologyCase(Decentralized(), size(1), True)
        case "random":
            n = size(2)
            return TopologyCase(Decentralized(degree=draw(st.integers(1, n - 1))), n, False)
        case "regular":
            n = size(2)
            degree = draw(st.integers(1, n - 1).filter(lambda d: n * d % 2 == 0))
            return TopologyCase(Decentralized(degree=degree, shape="regular"), n, True)
        case "circle" | "mixed" | "ring" | "small-world":
            n = size(3)
            side, rewire = draw(st.integers(1, (n - 1) // 2)), draw(st.floats(0, 1))
            return {
                "circle": TopologyCase(Decentralized(degree=2 * side, shape="ring"), n, True),
                "mixed": TopologyCase(Decentralized(degree=2 * side, shape="small-world", rewire=rewire), n, False),
                "ring": TopologyCase(Ring(neighbours=side), n, True),
                "small-world": TopologyCase(SmallWorld(neighbours=side, rewire=rewire), n, False),
            }[kind]
        case "hybrid":
            n = size(2)
            peers = draw(st.none() | st.integers(0, (n - 1) * (n - 2) // 2))
            return TopologyCase(Hybrid(peers=peers), n, True)
        case "modular":
            n, integrator = size(3), draw(st.booleans())
            communities = draw(st.integers(2, n - integrator))
            bridges = draw(st.integers(1, (n - integrator) // communities))
            return TopologyCase(Modular(communities=communities, bridges=bridges, integrator=integrator), n, True)
        case "reputation" | "needs":
            n = size(2)
            live = DynamicReputation if kind == "reputation" else NeedOffer
            return TopologyCase(live(hears=draw(st.integers(1, n - 1))), n, True)
        case "exponential":
            return TopologyCase(Exponential(), size(2), True)
        case _:
            n = draw(st.integers(1, 12))
            pairs = st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(lambda edge: edge[0] != edge[1])
            edges = draw(st.lists(pairs, unique=True)) if n > 1 else []
            ends_in = draw(st.none() | st.integers(0, n - 1))
            roles = {"lead": (draw(st.integers(0, n - 1)),)} if draw(st.booleans()) else {}
            return TopologyCase(
                Custom(edges=tuple(edges), ends_in=ends_in, roles=roles, allow_disconnected=True), n, True
            )


EDGES: dict[str, tuple[Topology, int, Callable[[int], int]]] = {
    "single": (Single(), 1, lambda n: 0),
    "independent": (Independent(), 6, lambda n: 0),
    "star": (Star(), 6, lambda n: 2 * (n - 1)),
    "chain": (Chain(), 6, lambda n: n - 1),
    "tree": (Tree(fan_in=3), 13, lambda n: 2 * (n - 1)),
    "decentralized": (Decentralized(degree=3), 8, lambda n: 3 * n),
    "ring": (Ring(neighbours=2), 9, lambda n: 4 * n),
    "small-world": (SmallWorld(neighbours=2, rewire=0.5), 9, lambda n: 4 * n),
    "hybrid": (Hybrid(peers=4), 8, lambda n: 2 * (n - 1) + 2 * 4),
    "modular": (Modular(communities=3), 12, lambda n: 3 * 4 * 3 + 3 * 2),
    "exponential": (Exponential(), 8, lambda n: 3 * n),
    "dynamic-reputation": (DynamicReputation(hears=3), 9, lambda n: 3 * n),
    "need-offer": (NeedOffer(), 7, lambda n: 2 * n),
    "custom": (Custom(edges=((0, 1), (1, 2), (2, 0))), 3, lambda n: 3),
}
"""By kind: settings, a number of agents, and the number of directed edges as a closed form. A topology that is shipped
without a row fails `property/test_shipped.py`."""

CHAIN = [{"name": name, "asks": f"Write the {name}."} for name in ("plan", "draft", "answer")]

COUNTED: dict[str, tuple[Any, Any, Callable[[int], tuple[int, int]]]] = {
    "vote": ("decentralized", "vote", lambda n: (n, n)),  # every answer goes to whoever counts
    "aggregate": ("star", {"kind": "aggregate", "by": "model"}, lambda n: (n, n - 1)),
    "debate": ("decentralized", {"kind": "debate", "rounds": 2}, lambda n: (2 * n, 2 * n * (n - 1))),
    "orchestrate": ("star", {"kind": "orchestrate", "rounds": 1}, lambda n: (n + 1, 2 * (n - 1))),
    "relay": ("chain", "relay", lambda n: (n, n - 1)),
    "dag": ("decentralized", "dag", lambda n: (n + n * (n - 1) // 2, n * (n - 1) // 2)),
    "tournament": ("independent", {"kind": "tournament", "matches": 7}, lambda n: (n + 7, 14)),
    "narrated-choice": ("independent", "narrated-choice", lambda n: (2 * n + 1, 2 * n)),
    "auction": ("independent", "auction", lambda n: (n + n * n + 1, n * n)),
    "manager": ("star", "manager", lambda n: (2, 0)),  # the script drafts no line: the lead answers alone
    "placebo": ("decentralized", {"kind": "placebo", "rounds": 2}, lambda n: (2 * n, 2 * n * (n - 1))),
    "moa": ("independent", {"kind": "moa", "layers": 3}, lambda n: (3 * n + 1, 2 * n * n + n)),
    "refine": (
        "independent",
        {"kind": "refine", "critic": "other", "rounds": 2, "until": "rounds"},
        lambda n: (1 + 2 * 2, 2 * 2),
    ),
    "roles": ("chain", {"kind": "roles", "stages": CHAIN}, lambda n: (3, 3)),
    "resample": ("independent", {"kind": "resample", "until": "first-to-k", "k": 2}, lambda n: (2, 2)),
    "experts": ("star", {"kind": "experts", "asks": 2, "route": "all"}, lambda n: (2 * n + 1, 4 * (n - 1))),
    "dti": ("decentralized", {"kind": "dti", "protocol": "vote", "threshold": 1e6}, lambda n: (n, n)),
}
"""By protocol: a topology, its settings, and calls and deliveries of n agents who are always right. A protocol that is
shipped without a row fails `property/test_shipped.py`."""
