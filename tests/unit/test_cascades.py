"""Claim graphs and cascades on graphs small enough to check by eye."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from agentsoc.errors import InputError
from agentsoc.events import Event, Kind
from agentsoc.log.schema import to_table
from analysis.claims.cascades import Cascades, ClaimGraph, cascades, claim_graph, secondary_roots
from analysis.claims.reach import reach
from analysis.claims.subtasks import subtask_forest
from analysis.tables import EventTable, concat, from_events, from_log


def act(round_: int, agent: int, kind: Kind, claim: int | None, parents: tuple[int, ...] = (), **more: int) -> Event:
    return Event(0, round_, agent, 0, kind, claim, parents, **more)  # type: ignore[arg-type]


def table(*events: Event) -> EventTable:
    return from_events(events, run="r")


def by_claim(graph: ClaimGraph, values: np.ndarray) -> dict[int, int]:
    return dict(zip(graph.claim.tolist(), values.tolist(), strict=True))


@pytest.fixture
def mixed() -> EventTable:
    """Two roots, 1 and 2; 3 and 5 grow from 2, 4 merges 2's line with 1 (listed last), 6 merges 4 and 5."""
    return table(
        act(0, 0, "propose_claim", 1),
        act(0, 1, "propose_claim", 2),
        act(1, 0, "revise_claim", 3, (2,)),
        act(2, 1, "merge_claims", 4, (3, 1)),
        act(2, 2, "revise_claim", 5, (2,)),
        act(3, 0, "merge_claims", 6, (5, 4)),
    )


def roots(found: Cascades, graph: ClaimGraph) -> dict[int, int]:
    return {int(c): int(graph.claim[r]) for c, r in zip(graph.claim, found.root, strict=True)}


def test_the_root_of_a_merge_follows_the_policy(mixed: EventTable) -> None:
    graph = claim_graph(mixed)
    assert roots(cascades(graph, "earliest_parent"), graph) == {1: 1, 2: 2, 3: 2, 4: 1, 5: 2, 6: 1}
    assert roots(cascades(graph, "first_parent"), graph) == {1: 1, 2: 2, 3: 2, 4: 2, 5: 2, 6: 2}
    assert roots(cascades(graph, "largest"), graph) == {1: 1, 2: 2, 3: 2, 4: 2, 5: 2, 6: 2}


def test_logged_roots_win_where_they_are_known(mixed: EventTable) -> None:
    logged = EventTable(mixed.events.with_columns(root_logged=pl.Series([1, 2, 1, None, 99, None])), mixed.executions)
    graph = claim_graph(logged)
    assert roots(cascades(graph, "logged"), graph) == {1: 1, 2: 2, 3: 1, 4: 1, 5: 2, 6: 1}


def test_depth_is_that_of_the_deepest_parent_plus_one(mixed: EventTable) -> None:
    graph = claim_graph(mixed)
    assert by_claim(graph, cascades(graph).depth) == {1: 0, 2: 0, 3: 1, 4: 2, 5: 1, 6: 3}


def test_sizes_count_claims_and_effort_leaves_out_the_root(mixed: EventTable) -> None:
    graph = claim_graph(mixed)
    found = cascades(graph)
    assert dict(zip(graph.claim[found.roots].tolist(), found.tce.tolist(), strict=True)) == {1: 2, 2: 2}


def test_secondary_roots_are_the_other_roots_of_the_parents(mixed: EventTable) -> None:
    graph = claim_graph(mixed)
    ptr, others = secondary_roots(graph, cascades(graph))
    named = {int(c): graph.claim[others[ptr[v] : ptr[v + 1]]].tolist() for v, c in enumerate(graph.claim)}
    assert named == {1: [], 2: [], 3: [], 4: [2], 5: [], 6: [2]}


def test_an_unknown_policy_is_refused(mixed: EventTable) -> None:
    with pytest.raises(InputError, match="earliest_parent"):
        cascades(claim_graph(mixed), "random")  # type: ignore[arg-type]


def test_stubs_count_as_parents_but_are_no_claims() -> None:
    graph = claim_graph(table(act(1, 0, "merge_claims", 5, (-1, 77, -1)), act(2, 1, "revise_claim", 6, (5, 77))))
    assert graph.claim.tolist() == [5, 6]
    assert graph.in_degree.tolist() == [2, 2]
    assert graph.out_degree.tolist() == [1, 0]
    assert cascades(graph).size.tolist() == [2, 0]


def test_self_loops_and_repeated_parents_make_no_second_edge() -> None:
    graph = claim_graph(table(act(0, 0, "propose_claim", 1, (1,)), act(1, 1, "merge_claims", 2, (1, 1, 2))))
    assert graph.in_degree.tolist() == [0, 1]


def test_endorsements_with_a_claim_of_their_own_are_nodes_only_on_request() -> None:
    events = table(
        act(0, 0, "propose_claim", 1), act(0, 1, "endorse_claim", 2), act(1, 0, "merge_claims", 3, (1, 2)),
        act(1, 1, "endorse_claim", None, (1,), target=1),
    )  # fmt: skip
    without, with_them = claim_graph(events), claim_graph(events, endorse_as_node=True)
    assert (without.n_claims, without.in_degree.tolist(), without.stubs.tolist()) == (2, [0, 2], [0, 1])
    assert (with_them.n_claims, with_them.in_degree.tolist(), with_them.stubs.tolist()) == (3, [0, 0, 2], [0, 0, 0])


def test_votes_and_answers_are_no_claims() -> None:
    assert claim_graph(table(act(0, 0, "vote", 1), act(1, -1, "answer", 2, (1,)))).n_claims == 0


def test_a_parent_logged_after_its_child_still_comes_first() -> None:
    graph = claim_graph(
        table(act(0, 0, "revise_claim", 9, (12,)), act(1, 0, "revise_claim", 11, (9,)), act(1, 1, "propose_claim", 12))
    )
    assert graph.claim[graph.order].tolist() == [12, 9, 11]
    found = cascades(graph)
    assert by_claim(graph, found.depth) == {12: 0, 9: 1, 11: 2}
    assert graph.claim[found.roots].tolist() == [12]
    assert by_claim(graph, reach(graph).descendants) == {12: 2, 9: 1, 11: 0}


def test_claims_in_a_circle_are_refused_by_name() -> None:
    events = table(
        act(0, 0, "propose_claim", 3), act(1, 0, "revise_claim", 4, (5,)), act(1, 1, "revise_claim", 5, (4,))
    )  # fmt: skip
    with pytest.raises(InputError, match="2 claims build on each other in a circle, among them 4, 5"):
        claim_graph(events)


def test_ids_need_not_follow_the_rounds() -> None:
    graph = claim_graph(
        table(
            act(0, 0, "propose_claim", 900),
            act(1, 0, "revise_claim", 5, (900,)),
            act(2, 0, "revise_claim", 70, (5, 900)),
        )
    )
    assert graph.claim.tolist() == [900, 5, 70]
    assert cascades(graph).size.tolist() == [3, 0, 0]


def test_equal_ids_in_different_executions_are_different_claims() -> None:
    one = table(act(0, 0, "propose_claim", 1), act(1, 0, "revise_claim", 2, (1,)))
    other = from_events([act(0, 0, "propose_claim", 1), act(0, 1, "propose_claim", 2)], run="s")
    graph = claim_graph(concat([one, other]))
    assert graph.execution.tolist() == [0, 0, 1, 1]
    assert cascades(graph).size.tolist() == [2, 0, 1, 1]


def test_a_log_without_claims_has_no_cascades() -> None:
    graph = claim_graph(table(act(0, 0, "stop", None)))
    assert cascades(graph).summary() == "no claims, no cascades"
    assert reach(graph).summary() == "no claims"


def test_reach_counts_a_claim_once_however_many_paths_lead_to_it() -> None:
    """Agent 0 makes 1 and 2, whose downstream sets overlap in 3 and 4."""
    graph = claim_graph(table(
        act(0, 0, "propose_claim", 1), act(1, 0, "revise_claim", 2, (1,)), act(2, 1, "merge_claims", 3, (1, 2)),
        act(3, 1, "merge_claims", 4, (1, 3)),
    ))  # fmt: skip
    found = reach(graph)
    assert found.descendants.tolist() == [3, 2, 1, 0]
    assert dict(zip(found.actor_agent.tolist(), found.actor_reach.tolist(), strict=True)) == {0: 3, 1: 1}
    assert found.relative_error == 0


def test_the_reach_of_an_agent_in_a_tree_leaves_nested_claims_uncounted() -> None:
    graph = claim_graph(table(
        act(0, 7, "propose_claim", 1), act(1, 7, "revise_claim", 2, (1,)), act(2, 8, "revise_claim", 3, (2,)),
        act(2, 7, "revise_claim", 4, (1,)),
    ))  # fmt: skip
    found = reach(graph)
    assert dict(zip(found.actor_agent.tolist(), found.actor_reach.tolist(), strict=True)) == {7: 3, 8: 0}


def test_subtasks_form_trees_with_unseen_parents_as_roots() -> None:
    forest = subtask_forest(table(
        act(0, 0, "delegate_subtask", None, subtask=2, subtask_parent=1),
        act(0, 1, "delegate_subtask", None, subtask=3, subtask_parent=2),
        act(1, 1, "propose_claim", 5, subtask=3, subtask_parent=1),
        act(1, 2, "propose_claim", 6, subtask=9, subtask_parent=9),
    ))  # fmt: skip
    assert forest.subtask.tolist() == [1, 2, 3, 9]
    assert forest.parent.tolist() == [-1, 0, 1, -1]
    assert forest.depth.tolist() == [0, 1, 2, 0]
    assert forest.size.tolist() == [3, 2, 1, 1]
    assert forest.trees.tolist() == [0]


def test_subtasks_in_a_circle_are_refused() -> None:
    with pytest.raises(InputError, match="ancestor of itself"):
        subtask_forest(table(
            act(0, 0, "delegate_subtask", None, subtask=2, subtask_parent=1),
            act(0, 1, "delegate_subtask", None, subtask=1, subtask_parent=2),
        ))  # fmt: skip


def test_each_task_of_a_run_is_an_execution_and_a_stop_completes_it() -> None:
    events = [Event(3, 0, 0, 0, "propose_claim", 1), Event(3, 1, -1, 0, "stop"), Event(5, 0, 1, 0, "propose_claim", 1)]
    found = from_events(events, run="r", topology="star")
    assert found.executions.select("task", "topology", "n_agents", "n_events", "complete").rows() == [
        (3, "star", 1, 2, True),
        (5, "star", 1, 1, False),
    ]
    assert found.where(pl.col("task") == 5).events["execution"].to_list() == [0]
    assert "1 executions are cut short" in found.summary()


def test_the_frame_of_our_own_log_reads_as_it_is() -> None:
    events = [Event(0, r, 0, 0, "revise_claim" if r else "propose_claim", r, (r - 1,) if r else ()) for r in range(4)]
    frame = pl.from_arrow(to_table(events))
    assert isinstance(frame, pl.DataFrame)
    assert_frame_equal(from_log(frame, run="r").events, from_events(events, run="r").events)


def test_a_log_without_a_needed_column_is_refused_by_name(mixed: EventTable) -> None:
    with pytest.raises(InputError, match="parents"):
        from_log(mixed.events.drop("parents", "execution"), run="r")
    with pytest.raises(InputError, match="round has 6 nulls"):
        from_log(mixed.events.with_columns(round=pl.lit(None, pl.Int64)), run="r")
    with pytest.raises(InputError, match="column kind"):
        from_log(mixed.events.with_columns(kind=pl.lit("shout")), run="r")
