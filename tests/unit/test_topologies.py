"""Kinds of organisation: what is refused and how it is said, sizes, windows, descriptions, edge lists."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
from pydantic import ValidationError

from agentsoc.contracts.meanings import described
from agentsoc.contracts.topology import TOPOLOGIES, Topology
from agentsoc.contracts.wiring import Wiring
from agentsoc.errors import TopologyError
from agentsoc.scenario.files import BASE_DIR
from agentsoc.society import topologies
from agentsoc.society.topologies import (
    Chain,
    Custom,
    Decentralized,
    Exponential,
    Hybrid,
    Independent,
    Modular,
    Ring,
    Single,
    SmallWorld,
    Star,
    Tree,
    check_window,
    circles,
    describe,
    peers,
)
from agentsoc.society.topologies.circles import circle_wiring
from agentsoc.society.topologies.edges import given_edges, parse_edges
from agentsoc.society.topologies.limits import MAX_DRAWN_EDGES, MAX_GRAPH_EDGES, MAX_WIRING_EDGES, require_edges
from agentsoc.streams import stream
from tests.strategies import EDGES

KINDS: dict[str, Any] = {kind: type(topology) for kind, (topology, _, _) in EDGES.items()}


def wire(topology: Topology, n: int, seed: int = 0) -> Wiring:
    return topology.wiring(n, stream(seed, "topology"))


def both(topology: Topology, n: int) -> list[Any]:
    """What `build` and `wiring` raise."""
    caught = []
    for make in (topology.build, topology.wiring):
        with pytest.raises(TopologyError) as info:
            make(n, np.random.default_rng(0))
        caught.append(str(info.value))
    return caught


# ---- how a scenario names them ----


def test_every_kind_is_found_by_its_name() -> None:
    for kind, cls in KINDS.items():
        assert TOPOLOGIES.find(kind) is cls
        assert cls.model_fields["kind"].default == kind
        assert cls.__name__ in topologies.__all__


@pytest.mark.parametrize("kind", EDGES)
def test_the_number_of_edges_is_a_closed_form(kind: str) -> None:
    topology, n, edges = EDGES[kind]
    assert topology.kind == kind
    for seed in range(5):
        assert wire(topology, n, seed).n_edges == edges(n)


def test_every_field_of_every_kind_is_documented() -> None:
    for cls in KINDS.values():
        assert [name for name, field in described(cls).items() if name != "kind" and not field.description] == []


def test_a_bare_word_gives_the_kind_with_its_defaults() -> None:
    assert TOPOLOGIES.parse("tree") == Tree(fan_in=2)
    assert TOPOLOGIES.parse({"kind": "ring", "neighbours": 2}) == Ring(neighbours=2)


# ---- sizes at the edge ----


@pytest.mark.parametrize(
    ("topology", "n", "says"),
    [
        (Single(), 2, "single is exactly 1 agent, got agents=2"),
        (Independent(), 0, "independent needs at least 1 agent, got agents=0"),
        (Star(), 1, "star needs at least 2 agents (a hub and a worker), got agents=1"),
        (Chain(), 0, "chain needs at least 1 agent, got agents=0"),
        (Tree(), 0, "tree needs at least 1 agent, got agents=0"),
        (Tree(fan_in=3, depth=2), 12, "fan_in=3 and depth=2 has 13 agents, got agents=12"),
        (Decentralized(), 0, "decentralized needs at least 1 agent"),
        (Decentralized(degree=4), 4, "decentralized needs 1 <= degree < agents, got degree=4, agents=4"),
        (Decentralized(degree=1), 1, "decentralized needs 1 <= degree < agents, got degree=1, agents=1"),
        (Decentralized(degree=5, shape="regular"), 5, "1 <= degree < agents, got degree=5, agents=5"),
        (Decentralized(degree=3, shape="regular"), 7, "needs an even agents * degree, got agents=7, degree=3"),
        (Decentralized(degree=4, shape="ring"), 4, "decentralized needs at least 5 agents (neighbours=2"),
        (Decentralized(degree=2, shape="small-world", rewire=0.5), 2, "decentralized needs at least 3 agents"),
        (Ring(), 1, "ring needs at least 3 agents (neighbours=1 on each side, all different), got agents=1"),
        (Ring(), 2, "ring needs at least 3 agents"),
        (Ring(neighbours=3), 6, "ring needs at least 7 agents"),
        (SmallWorld(), 4, "small-world needs at least 5 agents"),
        (Hybrid(), 1, "hybrid needs at least 2 agents"),
        (Hybrid(peers=2), 3, "hybrid of 3 agents has 1 pair of workers, got peers=2"),
        (Modular(), 1, "modular needs an agent in each community, got communities=2, agents=1"),
        (Modular(integrator=True), 2, "modular needs an agent in each community, got communities=2, agents=1"),
        (Modular(bridges=3), 5, "1 <= bridges <= size of the smallest community, got bridges=3, sizes 3 to 2"),
        (Exponential(), 1, "exponential needs at least 2 agents, got agents=1"),
    ],
)
def test_an_organisation_that_does_not_exist_is_refused_by_graph_and_arrays(
    topology: Topology, n: int, says: str
) -> None:
    for message in both(topology, n):
        assert says in message


@pytest.mark.parametrize(
    ("topology", "n", "edges"),
    [
        (Single(), 1, []),
        (Independent(), 1, []),
        (Independent(), 2, []),
        (Star(), 2, [(0, 1), (1, 0)]),
        (Chain(), 1, []),
        (Chain(), 2, [(0, 1)]),
        (Tree(), 1, []),
        (Tree(fan_in=5), 2, [(0, 1), (1, 0)]),
        (Decentralized(), 1, []),
        (Decentralized(), 2, [(0, 1), (1, 0)]),
        (Decentralized(degree=1), 2, [(0, 1), (1, 0)]),
        (Decentralized(degree=1, shape="regular"), 2, [(0, 1), (1, 0)]),
        (Hybrid(), 2, [(0, 1), (1, 0)]),
        (Hybrid(), 3, [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]),
        (Modular(), 2, [(0, 1), (1, 0)]),
        (Modular(integrator=True), 3, [(0, 1), (0, 2), (1, 0), (2, 0)]),
        (Exponential(), 2, [(0, 1), (1, 0)]),
        (Exponential(), 3, [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]),
        (Custom(edges=()), 1, []),
    ],
)
def test_the_smallest_organisations_are_what_one_would_draw(
    topology: Topology, n: int, edges: list[tuple[int, int]]
) -> None:
    assert sorted(topology.build(n, np.random.default_rng(0)).edges()) == edges
    assert sorted(wire(topology, n).graph().edges()) == edges


def test_the_arrow_points_from_the_speaker_to_the_hearer() -> None:
    assert [wire(Chain(), 3).heard_by(v) for v in range(3)] == [[], [0], [1]]
    assert wire(Exponential(), 8).heard_by(0) == [4, 6, 7]  # 4 + 4, 6 + 2 and 7 + 1 are 0 mod 8


def test_where_an_organisation_ends() -> None:
    ends = {kind: wire(cls(), 1 if kind == "single" else 6).root for kind, cls in KINDS.items() if kind != "custom"}
    assert ends == dict.fromkeys(ends) | {"single": 0, "star": 0, "hybrid": 0, "tree": 0, "chain": 5}
    assert wire(Modular(integrator=True), 6).root == 0


def test_only_a_topology_that_fixes_its_size_does_without_a_number_of_agents() -> None:
    assert Single().size(None) == Single().size(1) == 1
    assert Tree(fan_in=3, depth=3).size(None) == 40
    assert Tree().size(40) == 40
    assert Star().size(7) == 7
    for topology in (Star(), Tree(), Decentralized(), Modular()):
        with pytest.raises(TopologyError, match="needs the number of agents"):
            topology.size(None)
    with pytest.raises(TopologyError, match="exactly 1 agent"):
        Single().size(3)


def test_a_tree_too_large_for_any_society_is_refused_before_it_is_built() -> None:
    with pytest.raises(TopologyError, match=r"more agents than a society can have \(10,000,000\)"):
        Tree(fan_in=10, depth=32).size(None)


def test_a_graph_of_more_than_a_million_edges_is_refused_with_a_way_out() -> None:
    for message in both(Decentralized(), 1_001):
        assert "decentralized of 1,001 agents has 1,001,000 directed edges, the limit is 1,000,000" in message
        assert "degree" in message
    with pytest.raises(TopologyError, match="50,000,000"):
        wire(Ring(neighbours=30), 1_000_000)
    for topology, n in (
        (Modular(), 2_000),
        (Hybrid(peers=500_001), 2_000_000),
    ):
        with pytest.raises(TopologyError, match="the limit is 1,000,000"):
            wire(topology, n)
    for other, n in ((SmallWorld(), 300_000), (Decentralized(degree=4, shape="regular"), 250_001)):
        with pytest.raises(TopologyError, match="the limit is 1,000,000"):  # a graph of objects, not the arrays
            other.build(n, np.random.default_rng(0))
        with pytest.raises(TopologyError, match="the limit is 10,000,000"):
            wire(other, 10 * n)


@pytest.mark.parametrize(
    "topology",
    [
        SmallWorld(),
        Decentralized(degree=4, shape="small-world", rewire=1.0),
        Decentralized(degree=4, shape="regular"),
    ],
)
def test_graphs_that_are_drawn_edge_by_edge_have_a_limit_of_their_own(
    topology: Topology, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 4_000_000 <= MAX_DRAWN_EDGES < MAX_WIRING_EDGES  # a million agents with four neighbours each
    for module in (circles, peers):
        monkeypatch.setattr(module, "MAX_DRAWN_EDGES", 40)
    assert wire(topology, 10).n_edges == 40
    with pytest.raises(TopologyError, match="11 agents has 44 directed edges, the limit is 40"):
        wire(topology, 11)
    assert wire(Ring(neighbours=2), 11).n_edges == wire(Decentralized(degree=4), 11).n_edges == 44


def test_the_limit_of_edges_itself_is_allowed() -> None:
    require_edges("mine", 2, MAX_GRAPH_EDGES)
    with pytest.raises(TopologyError, match="mine of 2 agents has 1,000,001 directed edges"):
        require_edges("mine", 2, MAX_GRAPH_EDGES + 1)


def test_the_largest_complete_graph_has_its_million_edges() -> None:
    wiring = wire(Decentralized(), 1_000)
    assert wiring.n_edges == 999_000
    assert set(wiring.fan_in) == set(wiring.fan_out) == {999}


@pytest.mark.parametrize(
    ("topology", "edges"),
    [
        (Independent(), 0),
        (Star(), 1_999_998),
        (Chain(), 999_999),
        (Tree(fan_in=3), 1_999_998),
        (Ring(), 2_000_000),
    ],
)
def test_a_million_agents_are_wired_in_a_second(topology: Topology, edges: int) -> None:
    start = time.process_time()
    wiring = wire(topology, 1_000_000)
    assert time.process_time() - start < 1  # measured: 0.1 s at most; the bound is for slow machines
    assert wiring.n_edges == edges
    assert wiring.fan_in.sum() == wiring.fan_out.sum() == edges


def test_an_agent_hears_around_the_corner_of_a_large_circle() -> None:
    wiring = circle_wiring("exponential", 100_000, [1 << j for j in range(17)])
    for v in (0, 1, 5, 65_535, 65_536, 99_999):
        assert wiring.heard_by(v) == sorted((v - (1 << j)) % 100_000 for j in range(17))


# ---- parameters ----


def test_decentralized_reaches_every_shape() -> None:
    n = 10
    degrees = {
        "complete": wire(Decentralized(), n),
        "random": wire(Decentralized(degree=4), n),
        "regular": wire(Decentralized(degree=4, shape="regular"), n),
        "ring": wire(Decentralized(degree=4, shape="ring"), n),
        "small-world": wire(Decentralized(degree=4, shape="small-world", rewire=0.5), n),
    }
    assert {name: w.n_edges for name, w in degrees.items()} == {
        "complete": 90,
        "random": 40,
        "regular": 40,
        "ring": 40,
        "small-world": 40,
    }
    assert {w.kind for w in degrees.values()} == {"decentralized"}
    assert np.array_equal(degrees["ring"].hears, wire(Ring(neighbours=2), n).hears)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"shape": "ring"}, "shape ring needs a degree"),
        ({"shape": "ring", "degree": 3}, "needs an even degree"),
        ({"shape": "small-world", "degree": 4}, "rewire is the probability"),
        ({"shape": "regular", "degree": 4, "rewire": 0.1}, "give it with that shape only"),
        ({"degree": 0}, "greater than 0"),
        ({"degre": 4}, "degre"),
    ],
)
def test_decentralized_fields_that_do_not_fit_together_are_refused(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Decentralized.model_validate(fields)


def test_a_hybrid_has_half_as_many_pairs_as_workers_unless_told() -> None:
    assert wire(Hybrid(), 9).n_edges == 2 * 8 + 2 * 4
    assert wire(Hybrid(peers=0), 9).n_edges == 2 * 8


def test_different_seeds_give_different_random_organisations() -> None:
    for topology in (
        Decentralized(degree=4),
        Decentralized(degree=12),
        Decentralized(degree=4, shape="regular"),
        SmallWorld(rewire=0.5),
        Hybrid(),
    ):
        assert wire(topology, 40, seed=1) == wire(topology, 40, seed=1)
        assert wire(topology, 40, seed=1) != wire(topology, 40, seed=2)


def test_draws_are_the_same_on_every_machine() -> None:
    """Stored answers: a change here changes the wiring of every run that is resumed or replayed."""
    assert wire(Decentralized(degree=2), 6).hears.tolist() == DRAWN["rows"]
    assert wire(Decentralized(degree=4), 6).hears.tolist() == DRAWN["one by one"]
    assert wire(Decentralized(degree=3, shape="regular"), 8).hears.tolist() == DRAWN["regular"]
    assert wire(SmallWorld(neighbours=1, rewire=0.5), 6).hears.tolist() == DRAWN["small-world"]
    assert wire(Hybrid(), 6).hears.tolist() == DRAWN["hybrid"]


DRAWN = {
    "rows": [2, 3, 5, 4, 1, 0, 4, 5, 0, 1, 2, 3],
    "one by one": [1, 2, 3, 4, 5, 2, 3, 4, 0, 1, 3, 4, 5, 0, 5, 0, 1, 2, 5, 0, 1, 2, 3, 4],
    "regular": [3, 4, 5, 2, 5, 7, 1, 4, 7, 0, 4, 6, 0, 2, 3, 0, 1, 6, 3, 5, 7, 1, 2, 6],
    "small-world": [1, 4, 5, 0, 2, 1, 3, 2, 5, 0, 0, 3],
    "hybrid": [1, 2, 3, 4, 5, 0, 5, 0, 5, 0, 0, 0, 1, 2],
}


# ---- the context window ----


def test_a_window_that_is_too_small_is_told_with_the_formula_and_what_would_fit() -> None:
    star = wire(Star(), 100)
    with pytest.raises(TopologyError) as info:
        check_window(star, 64, 2_048)
    text = str(info.value)
    assert "N * m <= W is needed, found N * m = 99 * 64 = 6336 > W = 2048" in text
    assert "fits: N <= 32 (agents = 33) or m <= 20" in text
    check_window(wire(Star(), 33), 64, 2_048)
    check_window(star, 20, 2_048)
    for topology, n, m in ((Star(), 34, 64), (Star(), 100, 21)):
        with pytest.raises(TopologyError):
            check_window(wire(topology, n), m, 2_048)


def test_the_window_of_a_tree_holds_the_children_of_a_node() -> None:
    check_window(Tree(fan_in=32), 64, 2_048, n=10_000)
    with pytest.raises(TopologyError, match=r"b \* m = 33 \* 64 = 2112 > W = 2048") as info:
        check_window(Tree(fan_in=33), 64, 2_048, n=10_000)
    assert "fits: b <= 32 or m <= 62" in str(info.value)
    with pytest.raises(TopologyError) as info:
        check_window(wire(Tree(fan_in=3), 13), 64, 100)
    assert "fits: m <= 33" in str(info.value)  # a tree with one child a node is none


def test_a_window_that_nothing_fits_says_so() -> None:
    with pytest.raises(TopologyError, match="nothing fits so small a window"):
        check_window(wire(Star(), 100), 64, 60)


def test_agents_who_hear_nobody_fit_any_window() -> None:
    check_window(wire(Independent(), 5), 1_000, 0)
    check_window(Single(), 1_000, 0)


def test_a_topology_is_checked_for_its_worst_seed_and_a_wiring_for_its_own() -> None:
    topology = Decentralized(degree=2)
    check_window(wire(topology, 50), 10, 100)
    with pytest.raises(TopologyError, match=r"k \* m = 49 \* 10"):
        check_window(topology, 10, 100, n=50)


# ---- what is said of an organisation ----


def test_a_star_described() -> None:
    told = describe(wire(Star(), 8))
    assert told.summary().splitlines() == [
        "star: 8 agents, 14 edges, ends in agent 0",
        "roles: 1 hub, 7 worker",
        "levels: 1 + 7",
        "the hub hears 7 worker",
        "each worker hears 1 hub",
        "hears at most 7, addresses at most 7, reads at most 7 claims at once",
        "diameter: 2 hops (follows from the shape)",
    ]
    assert json.loads(json.dumps(asdict(told)))["roles"] == {"hub": 1, "worker": 7}


def test_a_modular_society_and_a_chain_described() -> None:
    text = describe(wire(Modular(integrator=True), 9)).summary()
    assert "communities: 2" in text
    assert "the integrator hears 2 bridge" in text
    assert "each bridge hears 1 integrator and 3 member" in text
    assert "each member hears 1 bridge and 2 member" in text
    assert "each relay hears 0 to 1 relay" in describe(wire(Chain(), 4)).summary()
    assert "levels: " + " + ".join("1" * 16) + " + ..." in describe(wire(Chain(), 40)).summary()
    assert "levels: " + " + ".join("1" * 16) + "\n" in describe(wire(Chain(), 16)).summary()


def test_a_diameter_that_would_take_too_long_is_left_open_and_said_so() -> None:
    told = describe(wire(Decentralized(degree=20), 20_000))
    assert (told.diameter, told.diameter_note) == (None, "too large to count over all pairs")
    told = describe(wire(Exponential(), 1 << 15))
    assert (told.diameter, told.diameter_note) == (15, "counted from one agent; all are alike")
    told = describe(wire(Ring(), 100_001))
    assert (told.diameter, told.diameter_note) == (50_000, "follows from the shape")


def test_sets_that_would_fill_the_memory_are_not_made() -> None:
    spokes = tuple((0, v) for v in range(1, 25_000))  # two hops, few edges, but 25,000 sets of 25,000 agents
    assert wire(Custom(edges=spokes, both_ways=True), 25_000).reach(10_000_000) == (None, "too large")


def test_the_closed_form_of_a_trees_diameter_holds_at_every_size() -> None:
    """Every n, because the forms change exactly where a subtree of the root is full."""
    for fan_in in (2, 3, 4):
        for n in range(1, 90):
            wiring = wire(Tree(fan_in=fan_in), n)
            assert describe(wiring).diameter == wiring.diameter(), (fan_in, n)


# ---- wirings made by hand ----


def test_a_graph_of_a_plug_in_is_checked() -> None:
    graph: nx.DiGraph[int] = nx.DiGraph([(0, 2)])
    with pytest.raises(TopologyError, match="must be numbered 0 to 1"):
        Wiring.of(graph, "mine")
    loop: nx.DiGraph[int] = nx.DiGraph([(0, 1), (1, 1)])
    with pytest.raises(TopologyError, match="mine: agent 1 is joined to itself"):
        Wiring.of(loop, "mine")
    plain: nx.DiGraph[int] = nx.DiGraph([(1, 0)])
    wiring = Wiring.of(plain, "mine")
    assert (wiring.roles, wiring.with_role("peer"), wiring.community) == (("peer",), [0, 1], None)


def test_edges_given_as_arrays_are_checked() -> None:
    for edges, says in (
        (([0], [3]), "names an agent that is not there"),
        (([-1], [0]), "names an agent that is not there"),
        (([1], [1]), "joined to itself"),
        (([0, 1, 0], [1, 2, 1]), "the edge 0 -> 1 occurs twice"),
    ):
        with pytest.raises(TopologyError, match=says):
            Wiring.from_edges("mine", 3, *edges)
    with pytest.raises(TopologyError, match="128 different roles"):
        Wiring.from_edges("mine", 128, [], [], names=[str(i) for i in range(128)])
    assert len(Wiring.from_edges("mine", 127, [], [], names=[str(i) for i in range(127)]).roles) == 127


def test_a_wiring_without_roles_is_one_of_peers() -> None:
    zeros = np.zeros(3, dtype=np.int64)
    wiring = Wiring("mine", 2, zeros, zeros[:0], np.zeros(2, dtype=np.int32))
    assert wiring.with_role("peer") == [0, 1]
    assert wiring.with_role("hub") == []
    assert wiring.role_of(1) == "peer"


def test_wirings_differ_in_any_array() -> None:
    base = wire(Modular(integrator=True), 6)
    assert base == wire(Modular(integrator=True), 6)
    assert base != wire(Modular(integrator=True), 7)
    assert base != wire(Modular(), 6)
    assert wire(Star(), 4) != wire(Tree(fan_in=3), 4)  # the same edges, other roles
    assert base != "modular"
    assert base.community is not None
    assert base != replace(base, community=base.community[::-1])
    assert base != replace(base, community=None)


# ---- edges of one's own ----


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "scenario"
    directory.mkdir()
    token = BASE_DIR.set(directory)
    yield directory
    BASE_DIR.reset(token)


TRIANGLE = [(0, 1), (1, 2), (2, 0)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("edges.csv", "0,1\n1,2\n2,0\n"),
        ("edges.csv", 'from,to\r\n"0","1"\r\n1, 2\r\n\r\n2,0'),
        ("edges.CSV", "\ufeffsource,target\n0,1\n1,2\n2,0"),
        ("edges.txt", "# a triangle\n0 1\n1\t2  # back\n\n2 0\n"),
        ("edges.jsonl", '[0, 1]\n{"from": 1, "to": 2}\n{"to": 0, "from": 2}\n'),
    ],
)
def test_an_edge_list_is_read_in_each_of_its_forms(base: Path, name: str, text: str) -> None:
    (base / name).write_text(text, encoding="utf-8", newline="")
    topology = Custom(file=name)
    assert topology.size(None) == 3
    assert sorted(wire(topology, 3).graph().edges()) == TRIANGLE
    assert wire(topology, 3) == wire(Custom(edges=tuple(TRIANGLE)), 3)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("e.csv", "0,1\n1;2\n", "e.csv:2: this line is no edge: '1;2'"),
        ("e.csv", "from,to\nfrom,to\n0,1\n", "e.csv:2: this line is no edge"),
        ("e.csv", "0,-1\n", "e.csv:1: this line is no edge"),
        ("e.csv", "0,1.0\n", "e.csv:1: this line is no edge"),
        ("e.csv", "0,٣\n", "e.csv:1: this line is no edge"),
        ("e.txt", "0 1 two\n", "e.txt:1: this line is no edge"),
        ("e.txt", "0 " + " " * 500 + "1\n", "e.txt:1: this line is no edge"),
        ("e.txt", "0 1\nalice 2\n", "e.txt:2: this line is no edge: 'alice 2'"),
        ("e.jsonl", "[0, true]\n", "e.jsonl:1: this line is no edge"),
        ("e.jsonl", "[0, 1.0]\n", "e.jsonl:1: this line is no edge"),
        ("e.jsonl", '{"from": 0, "too": 1}\n', "e.jsonl:1: this line is no edge"),
        ("e.jsonl", "[" * 100_000 + "\n", "e.jsonl:1: this line is no edge"),
        ("e.jsonl", "[0, -1]\n", "e.jsonl:1: this line is no edge"),
        ("e.yaml", "0 1\n", "cannot tell the form of an edge list ending in '.yaml'"),
    ],
)
def test_a_line_that_is_no_edge_is_named(name: str, text: str, says: str) -> None:
    with pytest.raises(TopologyError) as info:
        parse_edges(text, name)
    assert says in str(info.value)


def test_more_than_a_million_edges_are_refused_where_they_begin() -> None:
    with pytest.raises(TopologyError, match=r"e\.txt:1000001: more than 1,000,000 edges"):
        parse_edges("0 1\n" * 1_000_002, "e.txt")
    assert len(given_edges([(0, 1)] * 3).speakers) == 3


@pytest.mark.parametrize(
    ("fields", "n", "says"),
    [
        ({"edges": [(0, 1), (1, 1)]}, 2, "edges[1]: agent 1 is joined to itself"),
        ({"edges": [(0, 1), (1, 2), (0, 1), (1, 2)]}, 3, "edges[2]: the edge 0 -> 1 was given before, at edges[0]"),
        ({"edges": [(0, 1), (1, 0)], "both_ways": True}, 2, "edges[1]: the edge 1 -> 0, which holds both ways, was"),
        (
            {"edges": [(0, 1), (1, 5)]},
            3,
            "edges[1]: the edge 1 -> 5 names an agent who is not there: agents are 0 to 2",
        ),
        ({"edges": [(0, 1)]}, 3, "falls into 2 parts: no edges lead from agent 0 to agent 2"),
        ({"edges": [(0, 1), (2, 3)]}, 4, "falls into 2 parts: no edges lead from agent 0 to agent 2"),
        ({"edges": [(0, 1)], "ends_in": 0}, 2, "ends in agent 0, but agent 1 has no way there"),
        ({"edges": [(0, 1)], "ends_in": 4}, 2, "ends in agent 4, who is not there"),
        ({"edges": [(0, 1)], "roles": {"lead": [2]}}, 2, "roles.lead: agent 2 has a role but is not there"),
        ({"edges": [(0, 1)], "roles": {"lead": [0], "critic": [0]}}, 2, "roles.critic: agent 0 has two roles: lead"),
        ({"edges": []}, 0, "custom needs at least 1 agent"),
    ],
)
def test_an_unsound_organisation_of_ones_own_is_refused_with_its_place(
    fields: dict[str, Any], n: int, says: str
) -> None:
    for message in both(Custom.model_validate(fields), n):
        assert says in message


def test_a_fault_in_a_file_names_its_line(base: Path) -> None:
    (base / "e.csv").write_text("a,b\n0,1\n\n1,2\n0,7\n")
    with pytest.raises(TopologyError, match=r"e\.csv:5: the edge 0 -> 7 names an agent who is not there"):
        wire(Custom(file="e.csv"), 3)
    (base / "e.csv").write_text("a,b\n0,1\n\n1,2\n0,99999999999\n")
    with pytest.raises(TopologyError, match=r"e\.csv:5: the edge 0 -> 99999999999: agents are numbered from 0"):
        wire(Custom(file="e.csv", allow_disconnected=True), 3)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "needs file or edges"),
        ({"edges": [], "file": "a.csv"}, "needs file or edges"),
        ({"edges": [], "sha256": "0" * 64}, "there is none"),
        ({"edges": [(0, -1)]}, "greater than or equal to 0"),
        ({"edges": [(0, 10_000_000)]}, "less than 10000000"),
        ({"edges": [(0, True)]}, "valid integer"),
        ({"edges": [(0, "1")]}, "valid integer"),
        ({"edges": [(0, 1, 2)]}, "at most 2 items"),
        ({"edges": [], "roles": {"a\nb": [0]}}, "should match pattern"),
    ],
)
def test_custom_fields_that_cannot_be_are_refused(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Custom.model_validate(fields)


def test_custom_roles_and_levels() -> None:
    topology = Custom(edges=((2, 1), (1, 0), (3, 1)), roles={"critic": (2,), "lead": (0,)}, ends_in=0)
    wiring = wire(topology, 4)
    assert [wiring.role_of(v) for v in range(4)] == ["lead", "peer", "critic", "peer"]
    assert wiring.level.tolist() == [0, 1, 2, 2]
    assert (wiring.root, topology.fan_in_limit(4)) == (0, 2)
    assert wire(Custom(edges=((2, 1), (1, 0), (3, 1)), both_ways=True), 4).n_edges == 6


def test_agents_may_be_cut_off_when_the_scenario_says_so() -> None:
    topology = Custom(edges=((1, 0), (0, 2)), ends_in=0, allow_disconnected=True)
    assert wire(topology, 5).level.tolist() == [0, 1, 2, 2, 2]


def test_custom_without_any_edge_needs_the_number_of_agents() -> None:
    with pytest.raises(TopologyError, match="no edges to take the number of agents from"):
        Custom(edges=()).size(None)
    assert Custom(edges=()).size(1) == 1


def test_a_file_that_is_elsewhere_or_no_file_is_a_topology_error(base: Path, tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("0,1\n")
    (base / "link.csv").symlink_to(tmp_path / "out.csv")
    os.mkfifo(base / "pipe.csv")
    (base / "big.csv").write_bytes(b" " * 50_000_001)
    for name, says in (
        ("../out.csv", "outside the directory"),
        ("link.csv", "outside the directory"),
        ("/dev/zero", "outside the directory"),
        ("pipe.csv", "a pipe"),
        ("none.csv", "no such file"),
        ("big.csv", "the limit is 50,000,000"),
    ):
        with pytest.raises(TopologyError, match=says):
            Custom(file=name).size(None)
        if name != "big.csv":
            with pytest.raises(TopologyError, match=says):
                Custom(file=name).pinned()


def test_a_pinned_file_may_not_change(base: Path) -> None:
    (base / "e.csv").write_text("0,1\n")
    pinned = Custom(file="e.csv").pinned()
    assert pinned.sha256 is not None
    assert wire(pinned, 2).n_edges == 1
    assert Custom(edges=()).pinned() == Custom(edges=())
    (base / "e.csv").write_text("1,0\n")
    with pytest.raises(TopologyError, match="the file has changed"):
        wire(pinned, 2)
