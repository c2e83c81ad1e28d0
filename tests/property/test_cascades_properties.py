"""Properties of cascades and reach on random claim graphs, against networkx and plain sets."""

from __future__ import annotations

import networkx as nx
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from agentsoc.events import Event
from analysis.claims.cascades import cascades, claim_graph
from analysis.claims.reach import reach
from analysis.claims.subtasks import subtask_forest
from analysis.tables import from_events

SETTINGS = settings(max_examples=60, deadline=None, derandomize=True)


@st.composite
def claims(draw: st.DrawFn, widest: int = 4) -> list[Event]:
    """Draw claims of one execution: claim i may build on earlier ones, sometimes on one that is never shown."""
    n = draw(st.integers(1, 90))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    events = []
    for i in range(n):
        k = int(rng.integers(0, widest + 1)) if i else 0
        parents = tuple(int(p) for p in rng.integers(-1, i, size=k)) if i else ()
        events.append(Event(0, i, int(rng.integers(0, 5)), 0, "merge_claims", i, parents))
    return events


def as_networkx(events: list[Event]) -> nx.DiGraph[int | None]:
    graph: nx.DiGraph[int | None] = nx.DiGraph()
    graph.add_nodes_from(e.claim for e in events)
    graph.add_edges_from((p, e.claim) for e in events for p in e.parents if p >= 0)
    return graph


@SETTINGS
@given(events=claims(), policy=st.sampled_from(["earliest_parent", "first_parent", "largest"]))
def test_every_claim_is_in_one_cascade_and_reachable_from_its_root(events: list[Event], policy: str) -> None:
    graph = claim_graph(from_events(events, run="r"))
    found = cascades(graph, policy)  # type: ignore[arg-type]
    reference = as_networkx(events)
    assert found.size.sum() == len(events)
    assert np.array_equal(found.root[found.root], found.root)
    for v, root in enumerate(found.root.tolist()):
        assert root == v or nx.has_path(reference, root, v)
    sources = {v for v in reference if reference.in_degree(v) == 0}
    assert set(found.roots.tolist()) == sources


@SETTINGS
@given(events=claims())
def test_depth_is_the_longest_path_from_a_root(events: list[Event]) -> None:
    reference = as_networkx(events)
    longest: dict[int | None, int] = {}
    for v in nx.topological_sort(reference):
        longest[v] = max((longest[p] + 1 for p in reference.predecessors(v)), default=0)
    assert cascades(claim_graph(from_events(events, run="r"))).depth.tolist() == [
        longest[v] for v in range(len(events))
    ]


@SETTINGS
@given(events=st.one_of(claims(), claims(widest=1)))
def test_reach_is_the_size_of_the_union_of_descendants(events: list[Event]) -> None:
    found = reach(claim_graph(from_events(events, run="r")))
    reference = as_networkx(events)
    below = {v: nx.descendants(reference, v) for v in reference}
    assert found.descendants.tolist() == [len(below[v]) for v in range(len(events))]
    for agent, size in zip(found.actor_agent.tolist(), found.actor_reach.tolist(), strict=True):
        assert size == len(set().union(*(below[e.claim] for e in events if e.agent == agent)))


@SETTINGS
@given(events=claims(), seed=st.integers(0, 2**32 - 1))
def test_neither_the_order_of_rows_nor_the_names_of_claims_matter(events: list[Event], seed: int) -> None:
    """Renamed claims may come before their parents in (round, claim) order; rounds are flattened so that they do."""
    rng = np.random.default_rng(seed)
    name = rng.permutation(len(events))
    renamed = [
        Event(0, 0, e.agent, i, e.kind, int(name[i]), tuple(int(name[p]) if p >= 0 else p for p in e.parents))
        for i, e in enumerate(events)
    ]
    rng.shuffle(renamed)
    before, after = claim_graph(from_events(events, run="r")), claim_graph(from_events(renamed, run="r"))
    assert cascades(after).depth[np.argsort(after.claim)][name].tolist() == cascades(before).depth.tolist()
    assert reach(after).descendants[np.argsort(after.claim)][name].tolist() == reach(before).descendants.tolist()


@SETTINGS
@given(parts=st.lists(claims(), min_size=1, max_size=4))
def test_executions_do_not_touch_each_other(parts: list[list[Event]]) -> None:
    together = [replace(e, task=t) for t, part in enumerate(parts) for e in part]
    graph = claim_graph(from_events(together, run="r"))
    alone = [reach(claim_graph(from_events(part, run="r"))).descendants for part in parts]
    assert reach(graph).descendants.tolist() == np.concatenate(alone).tolist()


@settings(max_examples=5, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1))
def test_estimated_reach_errs_as_much_as_it_says(seed: int) -> None:
    """400 claims that share most of what is below them; an error beyond four stated ones comes once in 10,000 seeds."""
    rng = np.random.default_rng(seed)
    events = [
        Event(0, i, i % 9, 0, "merge_claims", i, tuple(int(p) for p in rng.integers(0, i, 2)) if i else ())
        for i in range(400)
    ]
    graph = claim_graph(from_events(events, run="r"))
    exact, rough = reach(graph), reach(graph, exact_limit=0, seed=seed)
    has = exact.descendants > 0
    error = np.sqrt(np.mean((rough.descendants[has] / exact.descendants[has] - 1) ** 2))
    assert 0 < rough.relative_error < 0.1
    assert error < 4 * rough.relative_error
    assert np.all(rough.descendants[~has] == 0)


@SETTINGS
@given(n=st.integers(1, 60), seed=st.integers(0, 2**32 - 1))
def test_subtree_sizes_add_up(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    order = rng.permutation(n)
    parent = {int(order[i]): int(order[rng.integers(0, i)]) for i in range(1, n) if rng.random() < 0.8}
    events = [Event(0, i, 0, 0, "delegate_subtask", None, subtask=i, subtask_parent=parent.get(i)) for i in range(n)]
    forest = subtask_forest(from_events(events, run="r"))
    roots = forest.parent < 0
    assert forest.size[roots].sum() == n
    assert np.array_equal(forest.depth[~roots], forest.depth[forest.parent[~roots]] + 1)
    assert forest.size.sum() == (forest.depth + 1).sum()
