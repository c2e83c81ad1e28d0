"""Work along a graph makes V + E calls, each prompt reads the edges at its node alone, and a chain follows its law."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Literal

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsoc.contracts.part import Slot
from agentsoc.contracts.turns import Reply, View
from agentsoc.engine.bounds import Bound
from agentsoc.engine.forecast import bound
from agentsoc.engine.run import run
from agentsoc.errors import InputError
from agentsoc.protocols.dag import Dag, WorkGraph, work_graph
from agentsoc.society.build import build_society
from agentsoc.society.coded import CodedAgent
from agentsoc.streams import uniform
from analysis.curves import fit_curve
from tests.societies import built, logged

TOPOLOGIES: dict[str, Any] = {
    "chain": "chain",
    "tree": {"kind": "tree", "fan_in": 2},
    "mesh": "decentralized",
    "random": {"kind": "decentralized", "degree": 2},
    "star": "star",
    "ring": "ring",
    "layered": {"kind": "custom", "edges": [[0, 2], [1, 2], [0, 3], [2, 4], [3, 4]], "ends_in": 4},
}


def dag(n: int, topology: Any, *, model: Any = "scripted", tasks: int = 2, **settings: Any) -> dict[str, Any]:
    return {
        "tasks": {"kind": "coin", "count": tasks},
        "agents": {"count": n, "model": model},
        "topology": topology,
        "protocol": {"kind": "dag", **settings},
    }


def graph_of(blocks: dict[str, Any]) -> WorkGraph:
    society = build_society(built(**blocks))
    protocol = society.scenario.protocol
    assert isinstance(protocol, Dag)
    return protocol.graph(society)


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize(("critic", "direction"), [("reader", "inward"), ("author", "outward"), ("none", "inward")])
def test_calls_deliveries_and_rounds_are_those_of_nodes_and_edges(topology: str, critic: str, direction: str) -> None:
    for n in (5,) if topology == "layered" else (3, 6):
        blocks = dag(n, TOPOLOGIES[topology], critic=critic, direction=direction)
        graph = graph_of(blocks)
        edges, depth = graph.n_edges, len(graph.layers) - 1
        if topology in ("chain", "tree", "star"):
            assert edges == n - 1
        if topology == "mesh":
            assert (edges, depth) == (n * (n - 1) // 2, n - 1)
        totals = logged(check=n == 3, **blocks)[0].totals
        checks = 0 if critic == "none" else edges
        assert totals.calls == 2 * (n + checks)
        assert totals.deliveries == 2 * (2 * edges if critic == "author" else edges)
        assert totals.rounds == 2 * (depth + 1 if critic == "none" else 2 * depth + 1)
        known = bound(build_society(built(**blocks)))
        assert isinstance(known, Bound)
        assert known.calls == 2 * (n + checks)


@given(data=st.data())
def test_any_topology_becomes_a_graph_without_circles_that_joins_the_same_agents(data: st.DataObject) -> None:
    n = data.draw(st.integers(2, 9))
    pairs = st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(lambda edge: edge[0] != edge[1])
    edges = data.draw(st.lists(pairs, unique=True, max_size=20))
    topology = {"kind": "custom", "edges": [list(edge) for edge in edges], "allow_disconnected": True}
    society = build_society(built(**dag(n, topology)))
    inward, outward = work_graph(society, "inward"), work_graph(society, "outward")
    found = [(a, b) for b in range(n) for a in inward.before[b]]
    graph = nx.DiGraph(found)
    assert nx.is_directed_acyclic_graph(graph)
    assert {frozenset(edge) for edge in found} == {frozenset(edge) for edge in edges}
    if nx.is_directed_acyclic_graph(nx.DiGraph(edges)):
        assert set(found) == set(edges)  # taken as it stands
    assert sorted((b, a) for a, b in found) == sorted((a, b) for b in range(n) for a in outward.before[b])
    assert sorted(agent for layer in inward.layers for agent in layer) == list(range(n))
    assert not found or len(inward.layers) == nx.dag_longest_path_length(graph) + 1


def test_an_author_is_shown_what_its_predecessors_wrote_and_nothing_else() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        blocks = dag(5, TOPOLOGIES["layered"], model={"kind": "scripted", "accuracy": 0.6, "cites": "all"}, tasks=6)
        blocks["agents"]["history"] = "all"
        done = run(built(**blocks), Path(scratch) / "run")
        graph = graph_of(blocks)
        for task in range(6):
            checks = 0
            for call in done.transcript(task):
                assert call.same
                shown = {agent for agent in range(5) if f"agent {agent}:" in call.request.user}
                if call.purpose == "check":
                    checks += 1
                    assert len(shown) == 1
                    assert shown <= set(graph.before[call.agent])
                else:
                    assert shown <= {*graph.before[call.agent], call.agent}
                    assert shown >= set(graph.before[call.agent])
                assert len(call.request.messages) == 2  # a system prompt and one question: nothing of earlier turns
            assert checks == 5


def prompt_words(n: int) -> dict[int, int]:
    """Return how many words a prompt has at nodes of each number of predecessors, in a mesh of n."""
    with tempfile.TemporaryDirectory() as scratch:
        done = run(built(**dag(n, "decentralized", critic="none", tasks=1)), Path(scratch) / "run")
        return {call.agent: len(call.request.user.split()) for call in done.transcript(0)}


def test_a_prompt_is_linear_in_the_edges_that_end_at_its_node() -> None:
    words = prompt_words(8)
    steps = {words[agent + 1] - words[agent] for agent in range(1, 7)}
    assert len(steps) == 1
    assert min(steps) > 0
    assert prompt_words(4) == {agent: words[agent] for agent in range(4)}  # whoever else there is


def after(edges: int, p: float, d: float, f: float) -> float:
    right = p
    for _ in range(edges):
        right = right * (1 - f + f * p) + (1 - right) * d * p
    return right


@pytest.mark.parametrize(("p", "d", "f"), [(0.6, 0.5, 0.1), (0.6, 0.3, 0.3)])
def test_a_chain_of_authors_and_critics_follows_the_chain_of_two_states(p: float, d: float, f: float) -> None:
    n, tasks = 5, 500
    model = {"kind": "simulated", "signal": 2 * p - 1, "keep_own": 0.0, "accepts_right": 1 - f, "accepts_wrong": 1 - d}
    done = logged(check=False, **dag(n, "chain", model=model, tasks=tasks, rejected="left-out"))[0]
    expected = after(n - 1, p, d, f)
    assert abs((done.totals.score or 0) - expected) < 3 * (expected * (1 - expected) / tasks) ** 0.5
    if d == f:  # a critic who cannot tell gains nothing
        assert abs(expected - p) < 1e-12


def test_a_thousand_nodes_of_a_sparse_graph_are_gone_through() -> None:
    blocks = dag(1_000, {"kind": "decentralized", "degree": 2}, model={"kind": "simulated", "signal": 0.2}, tasks=1)
    graph = graph_of(blocks)
    totals = logged(check=False, **blocks)[0].totals
    assert totals.calls == 1_000 + graph.n_edges
    assert totals.rounds == 2 * len(graph.layers) - 1


def test_a_node_that_fails_leaves_its_edges_unchecked_and_the_others_go_on() -> None:
    replies = [["", "??"]]
    model = {"kind": "scripted", "replies": replies}
    blocks = dag(3, {"kind": "custom", "edges": [[0, 2], [1, 2]], "ends_in": 2}, tasks=1)
    blocks["calls"] = {"attempts": 1, "repair": False}
    blocks["agents"] = [{"count": 1, "model": model}, {"count": 2, "model": "scripted"}]
    done, events = logged(**blocks)
    assert done.totals.calls == 4
    assert [event.kind for event in events if event.agent == 2] == ["endorse_claim", "revise_claim"]
    blocks["agents"] = {"count": 3, "model": model}
    done, events = logged(**blocks)
    assert done.totals.calls == 3  # nothing to check
    assert done.totals.answered == 0


def test_a_spent_budget_lets_the_last_node_answer_from_what_there_is() -> None:
    blocks = dag(9, {"kind": "tree", "fan_in": 2}, tasks=4)
    blocks["agents"]["max_tokens"] = 40
    done, _ = logged(**blocks, budget={"tokens_per_task": 1_100})
    assert done.totals.stops == {"budget_exhausted": 4}
    assert done.totals.answered == 4


def test_more_edges_at_a_node_than_an_agent_has_turns_are_refused() -> None:
    with pytest.raises(InputError, match="would check 600 artefacts in one round; at most 511"):
        build_society(built(**dag(601, "star", model="simulated")))
    assert build_society(built(**dag(601, "star", model="simulated", critic="none"))).n == 601


class Grown(CodedAgent):
    """Is right as often as a logistic in the logarithm of the size of its society says."""

    kind: Literal["grown"] = "grown"
    n: int = 1

    async def act(self, view: View) -> Reply:
        if view.turn.purpose == "check":
            return Reply(accepts=True)
        truth = "heads" if uniform(5, "coin", view.task, 0, 0) < 0.5 else "tails"
        right = uniform(view.seed, "grown", view.task, self.n, view.agent) < 0.1 + 0.8 / (1 + (self.n / 6) ** -3)
        return Reply(answer=truth if right else ("tails" if truth == "heads" else "heads"))


@pytest.fixture(autouse=True)
def _grown_is_known() -> None:
    Slot.register(Grown)


def test_a_growth_that_is_planted_as_a_logistic_is_not_told_as_a_power_law() -> None:
    sizes, scores = (2, 3, 4, 6, 8, 11, 16, 24, 32), []
    for n in sizes:
        blocks = dag(n, "star", model={"kind": "grown", "n": n}, tasks=60, critic="none")
        scores.append(logged(check=False, **blocks)[0].totals.score or 0.0)
    assert scores[0] < 0.35 < 0.75 < scores[-1]
    found = fit_curve(sizes, scores, draws=20)
    assert found.word != "power law"
