"""Every kind of organisation, at random sizes: degrees, levels and ways as documented; arrays equal to graphs."""

from __future__ import annotations

import math
import random

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentsoc.contracts.wiring import Wiring
from agentsoc.errors import TopologyError
from agentsoc.society.topologies import (
    Custom,
    Tree,
    check_window,
    describe,
)
from agentsoc.society.topologies.circles import exponential, ring, small_world
from agentsoc.society.topologies.hubs import hybrid, peer_pairs, star
from agentsoc.society.topologies.modules import modular
from agentsoc.society.topologies.peers import complete, decentralized, random_peers, regular
from agentsoc.society.topologies.trees import chain, tree, tree_size
from tests.strategies import TopologyCase, topology_cases

seeds = st.integers(0, 2**32 - 1)
quick = settings(deadline=None, max_examples=60)


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@given(topology_cases(), seeds)
@settings(quick, max_examples=200)
def test_agents_are_numbered_from_0_and_nobody_addresses_itself(case: TopologyCase, seed: int) -> None:
    graph = case.topology.build(case.n, rng(seed))
    assert sorted(graph) == list(range(case.n))
    assert nx.number_of_selfloops(graph) == 0
    assert all({"role", "level"} <= graph.nodes[v].keys() for v in graph)


@given(topology_cases(), seeds)
@settings(quick, max_examples=300)
def test_arrays_say_exactly_what_the_graph_says(case: TopologyCase, seed: int) -> None:
    topology, n = case.topology, case.n
    arrays = topology.wiring(n, rng(seed))
    graph = Wiring.of(topology.build(n, rng(seed)), topology.kind, root=topology.root(n))
    assert arrays == graph
    for name in ("hears_start", "hears", "level", "role"):
        assert getattr(arrays, name).dtype == getattr(graph, name).dtype
    assert arrays.hears_start.shape == (n + 1,)
    assert arrays.level.shape == arrays.role.shape == (n,)
    assert set(np.unique(arrays.role)) == set(range(len(arrays.roles)))


@given(topology_cases(), seeds)
@settings(quick, max_examples=200)
def test_a_wiring_survives_its_own_graph(case: TopologyCase, seed: int) -> None:
    wiring = case.topology.wiring(case.n, rng(seed))
    assert Wiring.of(wiring.graph(), wiring.kind, root=wiring.root) == wiring
    hears = [wiring.heard_by(v) for v in range(case.n)]
    assert hears == [sorted(wiring.graph().predecessors(v)) for v in range(case.n)]


@given(topology_cases(), seeds, st.integers(0, 100))
@settings(quick)
def test_only_the_seed_decides_the_graph(case: TopologyCase, seed: int, elsewhere: int) -> None:
    first = case.topology.wiring(case.n, rng(seed))
    random.seed(elsewhere)  # another host has drawn other things from the global generators
    np.random.seed(elsewhere)  # noqa: NPY002
    again = type(case.topology).model_validate(case.topology.model_dump(mode="json"))
    assert again.wiring(case.n, rng(seed)) == first


@given(topology_cases(), seeds)
@settings(quick, max_examples=200)
def test_nobody_reads_more_than_the_topology_says(case: TopologyCase, seed: int) -> None:
    reads = case.topology.wiring(case.n, rng(seed)).reads
    limit = case.topology.fan_in_limit(case.n)
    assert reads.max() <= limit
    if case.exact:
        assert reads.max() == limit


@given(topology_cases(), seeds)
@settings(quick, max_examples=200)
def test_reading_leaves_out_exactly_what_comes_from_above(case: TopologyCase, seed: int) -> None:
    wiring = case.topology.wiring(case.n, rng(seed))
    for v in range(case.n):
        assert wiring.reads[v] == sum(wiring.level[u] >= wiring.level[v] for u in wiring.heard_by(v))


@given(topology_cases(), seeds)
@settings(quick, max_examples=200)
def test_the_root_is_the_one_agent_of_level_0_and_peers_have_no_levels(case: TopologyCase, seed: int) -> None:
    wiring = case.topology.wiring(case.n, rng(seed))
    if wiring.root is None:
        assert not wiring.level.any()
    else:
        assert np.flatnonzero(wiring.level == 0).tolist() == [wiring.root]


@given(topology_cases(), seeds)
@settings(quick, max_examples=300)
def test_the_diameter_is_the_longest_shortest_path_however_it_is_found(case: TopologyCase, seed: int) -> None:
    wiring = case.topology.wiring(case.n, rng(seed))
    graph = wiring.graph()
    true = nx.diameter(graph) if nx.is_strongly_connected(graph) else None
    assert wiring.diameter() == true
    described = describe(wiring)
    assert described.diameter == true
    assert (described.diameter_note == "not everybody can reach everybody") == (true is None)


@given(topology_cases(), seeds, st.integers(1, 200), st.integers(0, 4_000))
@settings(quick, max_examples=200)
def test_the_window_holds_exactly_when_the_largest_reading_fits(
    case: TopologyCase, seed: int, message_tokens: int, window_tokens: int
) -> None:
    wiring = case.topology.wiring(case.n, rng(seed))
    if wiring.reads.max() * message_tokens <= window_tokens:
        check_window(wiring, message_tokens, window_tokens)
    else:
        with pytest.raises(TopologyError, match=r"\* m <= W is needed"):
            check_window(wiring, message_tokens, window_tokens)


@given(topology_cases(), seeds)
@settings(quick, max_examples=200)
def test_a_description_adds_up(case: TopologyCase, seed: int) -> None:
    wiring = case.topology.wiring(case.n, rng(seed))
    told = describe(wiring)
    assert sum(told.roles.values()) == told.agents == case.n
    assert told.roles == {role: len(wiring.with_role(role)) for role in wiring.roles}
    if told.depth < 16:
        assert sum(told.per_level) == case.n
    assert len(told.hears) == len(told.roles)
    assert told.summary().startswith(f"{wiring.kind}: {case.n} agent")


# ---- what each kind's docstring says ----


@given(st.integers(2, 60))
@settings(quick)
def test_a_star_joins_the_hub_to_each_worker_both_ways(n: int) -> None:
    graph = star(n)
    assert (graph.in_degree(0), graph.out_degree(0)) == (n - 1, n - 1)
    assert all(set(graph.predecessors(v)) == set(graph.successors(v)) == {0} for v in range(1, n))
    assert [graph.nodes[v]["role"] for v in range(n)] == ["hub"] + ["worker"] * (n - 1)
    assert [graph.nodes[v]["level"] for v in range(n)] == [0] + [1] * (n - 1)
    assert nx.diameter(graph) == (2 if n > 2 else 1)


@given(st.integers(1, 60))
@settings(quick)
def test_a_chain_runs_from_0_to_its_end(n: int) -> None:
    graph = chain(n)
    assert sorted(graph.edges()) == [(i, i + 1) for i in range(n - 1)]
    assert [graph.nodes[v]["role"] for v in range(n)] == ["relay"] * (n - 1) + ["end"]
    for v in range(n):
        assert graph.nodes[v]["level"] == nx.shortest_path_length(graph, v, n - 1)


@given(st.integers(1, 120), st.integers(2, 7))
@settings(quick)
def test_a_tree_has_one_root_one_parent_each_and_at_most_b_children(n: int, b: int) -> None:
    graph = tree(n, fan_in=b)
    assert graph.number_of_edges() == 2 * (n - 1)
    assert all(graph.has_edge(v, u) for u, v in graph.edges())
    assert nx.is_connected(graph.to_undirected())
    depth = nx.single_source_shortest_path_length(graph, 0)
    levels = [depth[v] for v in range(n)]
    assert levels == sorted(levels)  # breadth first
    children = {v: [u for u in graph.predecessors(v) if depth[u] > depth[v]] for v in graph}
    assert max(len(c) for c in children.values()) <= b
    assert [v for v in range(1, n) if graph.in_degree(v) != len(children[v]) + 1] == []
    for v in range(n):
        assert graph.nodes[v]["level"] == depth[v]
        assert graph.nodes[v]["role"] == ("root" if v == 0 else "inner" if children[v] else "leaf")
    # filled breadth-first: no agent has a child while an earlier one has room, so at most one parent is not full
    counts = [len(children[v]) for v in range(n)]
    assert counts == sorted(counts, reverse=True)
    assert sum(0 < c < b for c in counts) <= 1


@given(st.integers(2, 5), st.integers(0, 4))
@settings(quick)
def test_a_tree_with_a_depth_is_complete(b: int, depth: int) -> None:
    topology = Tree(fan_in=b, depth=depth)
    n = topology.size(None)
    assert n == tree_size(b, depth) == sum(b**level for level in range(depth + 1))
    graph = topology.build(n, rng(0))
    assert [sum(graph.nodes[v]["level"] == level for v in graph) for level in range(depth + 1)] == [
        b**level for level in range(depth + 1)
    ]
    assert describe(topology.wiring(n, rng(0))).diameter == 2 * depth
    assert topology.size(n) == n
    with pytest.raises(TopologyError, match=f"has {n} agents, got agents={n + 1}"):
        topology.size(n + 1)


@given(st.integers(1, 40))
@settings(quick)
def test_in_a_complete_graph_everybody_addresses_everybody_else(n: int) -> None:
    graph = complete(n)
    assert set(graph.edges()) == {(u, v) for u in range(n) for v in range(n) if u != v}


@given(n=st.integers(2, 64), seed=seeds, data=st.data())
@settings(quick)
def test_every_decentralized_agent_can_address_degree_peers(n: int, seed: int, data: st.DataObject) -> None:
    degree = data.draw(st.integers(1, n - 1))
    assert {d for _, d in decentralized(n, degree=degree, rng=rng(seed)).out_degree()} == {degree}


@given(n=st.integers(2, 40), seed=seeds, data=st.data())
@settings(quick)
def test_in_a_regular_graph_everybody_and_degree_others_address_each_other(
    n: int, seed: int, data: st.DataObject
) -> None:
    degree = data.draw(st.integers(1, n - 1))
    if n * degree % 2:
        with pytest.raises(TopologyError, match=r"even agents \* degree"):
            regular(n, degree=degree, rng=rng(seed))
        return
    graph = regular(n, degree=degree, rng=rng(seed))
    assert {d for _, d in graph.in_degree()} == {d for _, d in graph.out_degree()} == {degree}
    assert all(graph.has_edge(v, u) for u, v in graph.edges())


@given(n=st.integers(3, 60), data=st.data())
@settings(quick)
def test_on_a_ring_everybody_hears_its_nearest_on_each_side(n: int, data: st.DataObject) -> None:
    side = data.draw(st.integers(1, (n - 1) // 2))
    graph = ring(n, neighbours=side)
    for v in range(n):
        near = {(v + d) % n for d in range(-side, side + 1)} - {v}
        assert set(graph.predecessors(v)) == set(graph.successors(v)) == near
        assert len(near) == 2 * side
    assert nx.diameter(graph) == math.ceil((n // 2) / side)


@given(n=st.integers(2, 130))
@settings(quick)
def test_an_exponential_graph_doubles_its_steps(n: int) -> None:
    graph = exponential(n)
    degree = math.ceil(math.log2(n))
    assert {d for _, d in graph.in_degree()} == {d for _, d in graph.out_degree()} == {degree}
    assert all((v - u) % n in {2**j for j in range(degree)} for u, v in graph.edges())
    diameter = nx.diameter(graph)
    assert diameter <= math.floor(math.log2(n))
    if n & (n - 1) == 0:
        assert diameter == math.log2(n)


@given(n=st.integers(3, 50), rewire=st.floats(0, 1), seed=seeds, data=st.data())
@settings(quick)
def test_a_small_world_keeps_its_edges_and_half_of_everybodys_degree(
    n: int, rewire: float, seed: int, data: st.DataObject
) -> None:
    side = data.draw(st.integers(1, (n - 1) // 2))
    graph = small_world(n, neighbours=side, rewire=rewire, rng=rng(seed))
    assert graph.number_of_edges() == 2 * n * side
    assert all(graph.has_edge(v, u) for u, v in graph.edges())
    assert min(d for _, d in graph.out_degree()) >= side
    if rewire == 0:
        assert set(graph.edges()) == set(ring(n, neighbours=side).edges())


@given(n=st.integers(2, 40), seed=seeds, data=st.data())
@settings(quick)
def test_a_hybrid_is_a_star_with_exactly_the_asked_pairs_of_workers(n: int, seed: int, data: st.DataObject) -> None:
    peers = data.draw(st.integers(0, (n - 1) * (n - 2) // 2))
    graph = hybrid(n, peers=peers, rng=rng(seed))
    assert set(star(n).edges()) <= set(graph.edges())
    extra = set(graph.edges()) - set(star(n).edges())
    assert len(extra) == 2 * peers
    assert all(0 not in edge and edge[::-1] in extra for edge in extra)
    assert [graph.nodes[v]["role"] for v in range(n)] == ["hub"] + ["worker"] * (n - 1)


@given(n=st.integers(3, 40), integrator=st.booleans(), data=st.data())
@settings(quick)
def test_communities_are_complete_inside_and_meet_only_through_their_bridges(
    n: int, integrator: bool, data: st.DataObject
) -> None:
    inside = n - integrator
    communities = data.draw(st.integers(2, inside))
    bridges = data.draw(st.integers(1, inside // communities))
    graph = modular(n, communities=communities, bridges=bridges, integrator=integrator)
    place = {v: graph.nodes[v]["community"] for v in graph}
    role = {v: graph.nodes[v]["role"] for v in graph}
    sizes = [sum(c == index for c in place.values()) for index in range(communities)]
    assert sum(sizes) == inside
    assert max(sizes) - min(sizes) <= 1
    assert sizes == sorted(sizes, reverse=True)
    assert [sum(place[v] == c and role[v] == "bridge" for v in graph) for c in range(communities)] == [
        bridges
    ] * communities
    for u in graph:
        for v in graph:
            if u != v and place[u] == place[v]:
                assert graph.has_edge(u, v)
    for u, v in graph.edges():
        if place[u] != place[v]:
            assert {role[u], role[v]} == ({"integrator", "bridge"} if integrator else {"bridge"})
    for v in graph:
        if role[v] == "integrator":
            expected = communities * bridges
        elif role[v] == "bridge":
            expected = sizes[place[v]] - 1 + (1 if integrator else communities - 1)
        else:
            expected = sizes[place[v]] - 1
        assert graph.in_degree(v) == graph.out_degree(v) == expected
    level = {"integrator": 0, "bridge": 1, "member": 2} if integrator else {"bridge": 0, "member": 0}
    assert all(graph.nodes[v]["level"] == level[role[v]] for v in graph)
    assert (role[0] == "integrator", place[0] == -1) == (integrator, integrator)


@given(n=st.integers(1, 10), data=st.data())
@settings(quick)
def test_custom_levels_are_the_hops_to_its_end(n: int, data: st.DataObject) -> None:
    possible = [(u, v) for u in range(n) for v in range(n) if u != v]
    edges = data.draw(st.lists(st.sampled_from(possible), unique=True)) if possible else []
    end = data.draw(st.integers(0, n - 1))
    wiring = Custom(edges=tuple(edges), ends_in=end, allow_disconnected=True).wiring(n, rng(0))
    ways = nx.single_target_shortest_path_length(wiring.graph(), end)
    hops = dict(ways)
    below = 1 + max(hops.values())
    assert wiring.level.tolist() == [hops.get(v, below) for v in range(n)]


@given(n=st.integers(2, 10), both_ways=st.booleans(), data=st.data())
@settings(quick)
def test_custom_is_refused_exactly_when_it_falls_apart(n: int, both_ways: bool, data: st.DataObject) -> None:
    possible = [(u, v) for u in range(n) for v in range(n) if u < v]
    edges = tuple(data.draw(st.lists(st.sampled_from(possible), unique=True)))
    topology = Custom(edges=edges, both_ways=both_ways)
    graph = nx.Graph(list(edges))
    graph.add_nodes_from(range(n))
    if nx.is_connected(graph):
        assert topology.wiring(n, rng(0)).n_edges == len(edges) * (2 if both_ways else 1)
    else:
        with pytest.raises(TopologyError, match=f"falls into {nx.number_connected_components(graph)} parts"):
            topology.wiring(n, rng(0))


# ---- draws are fair; each count is off by 5 standard deviations with probability < 6e-7 ----


@pytest.mark.parametrize("degree", [3, 5])  # the two ways of drawing: rows until they are right, and one by one
def test_every_other_agent_is_as_likely_to_be_chosen_as_a_peer(degree: int) -> None:
    n, repeats, generator = 12, 1_500, rng(11)
    counts = np.zeros((n, n))
    for _ in range(repeats):
        counts[np.arange(n)[:, None], random_peers(n, degree, generator)] += 1
    p = degree / (n - 1)
    z = (counts[~np.eye(n, dtype=bool)] - repeats * p) / math.sqrt(repeats * p * (1 - p))
    assert not counts.diagonal().any()
    assert np.abs(z).max() < 5  # false alarms: 132 counts, < 1e-4
    assert 0.8 < z.std() < 1.2  # too even would be as wrong; 132 counts: 1 +- 0.06


def test_every_pair_of_workers_is_as_likely_to_be_drawn() -> None:
    n, peers, repeats, generator = 7, 4, 3_000, rng(5)
    counts = np.zeros((n, n))
    for _ in range(repeats):
        pairs = peer_pairs(n, peers, generator)
        counts[pairs[:, 0], pairs[:, 1]] += 1
    seen = counts[counts > 0]
    assert len(seen) == (n - 1) * (n - 2) // 2
    assert not counts[0].any()
    p = peers / len(seen)
    assert np.abs((seen - repeats * p) / math.sqrt(repeats * p * (1 - p))).max() < 5  # false alarms: 15 counts, < 1e-5
