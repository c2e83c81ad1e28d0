"""Edges that are drawn as arrays are those that networkx draws, so that runs made before keep their societies."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsoc.contracts.wiring import Wiring
from agentsoc.society.topologies.circles import SmallWorld
from agentsoc.society.topologies.drawn import regular_pairs, small_world_pairs
from agentsoc.society.topologies.peers import Decentralized
from agentsoc.streams import stream


def as_set(pairs: np.ndarray) -> set[frozenset[int]]:
    found = {frozenset(pair) for pair in pairs.tolist()}
    assert len(found) == len(pairs), "an edge occurs twice"
    return found


@given(st.integers(3, 40), st.integers(1, 12), st.integers(0, 2**31 - 1))
def test_a_regular_graph_is_the_one_of_networkx(n: int, degree: int, seed: int) -> None:
    if degree >= n or n * degree % 2:
        return
    theirs = {frozenset(edge) for edge in nx.random_regular_graph(degree, n, seed=seed).edges()}
    assert as_set(regular_pairs(n, degree, seed)) == theirs


@given(st.integers(1, 5), st.integers(0, 25), st.sampled_from([0.0, 0.1, 0.5, 1.0]), st.integers(0, 2**31 - 1))
def test_a_small_world_is_the_one_of_networkx(side: int, more: int, rewire: float, seed: int) -> None:
    n = 2 * side + 1 + more
    theirs = {frozenset(edge) for edge in nx.watts_strogatz_graph(n, 2 * side, rewire, seed=seed).edges()}
    assert as_set(small_world_pairs(n, side, rewire, seed)) == theirs


@pytest.mark.parametrize(
    "topology",
    [
        SmallWorld(neighbours=3, rewire=0.2),
        Decentralized(degree=4, shape="regular"),
        Decentralized(degree=6, shape="small-world", rewire=0.3),
    ],
    ids=repr,
)
def test_the_wiring_is_that_of_the_graph(topology: SmallWorld | Decentralized) -> None:
    n = 2_000
    graph = topology.build(n, stream(5, "topology"))
    assert topology.wiring(n, stream(5, "topology")) == Wiring.of(graph, topology.kind)


def test_a_society_may_have_more_edges_than_a_graph_of_objects() -> None:
    wiring = SmallWorld(neighbours=3).wiring(200_000, stream(5, "topology"))
    assert wiring.n_edges == 1_200_000
    assert int(wiring.fan_in.min()) >= 3
