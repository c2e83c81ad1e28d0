"""Switched wirings keep fan-in, fan-out, order and rounds; what is said of cascades against them, and when not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from analysis.cascade_laws.examine import FAST, examine
from analysis.cascade_laws.switched import AgainstChance, against_switched, switch
from analysis.cascade_laws.text import laws_as_text
from analysis.claims.cascades import claim_graph
from analysis.tables import EventTable
from benchmarks.planted_cascades import random_cascades, random_routing
from benchmarks.study_switched import wired

HEAD = "Cascades against the same fan-in and fan-out wired at random"


def merged(seed: int) -> EventTable:
    """Return claims of which each builds on up to three earlier ones; several in a round."""
    table = random_routing(seed, executions=5, acts=30)
    rng = np.random.default_rng(seed)
    parents = [
        sorted(set(rng.integers(place // 3 * 3, size=3).tolist())) if place >= 3 else []
        for place in table.events["claim"].to_list()
    ]
    events = table.events.with_columns(
        parents=pl.Series(parents, dtype=pl.List(pl.Int64())), round=pl.col("claim") // 3
    )
    return replace(table, events=events)


@pytest.mark.parametrize("seed", range(5))
def test_a_switched_wiring_has_the_same_degrees_in_the_same_order(seed: int) -> None:
    table = merged(seed)
    graph = claim_graph(table)
    parent, child = graph.parent.copy(), graph.edges()[1]
    round_ = table.events["round"].to_numpy()[graph.row].astype(np.int64)
    rng = np.random.default_rng(seed)
    start = np.searchsorted(graph.execution[child], graph.execution[child]).astype(np.int64)
    stop = np.searchsorted(graph.execution[child], graph.execution[child], side="right").astype(np.int64)
    first = rng.integers(len(parent), size=5000)
    second = start[first] + (rng.random(5000) * (stop - start)[first]).astype(np.int64)
    made = switch(parent, child, graph.ptr, np.arange(graph.n_claims), round_, first, second)
    assert made > 50
    assert not np.array_equal(parent, graph.parent)
    assert np.array_equal(np.bincount(parent, minlength=graph.n_claims), graph.out_degree)
    assert np.all(parent < child)
    assert np.all(round_[parent] < round_[child])
    assert np.array_equal(graph.execution[parent], graph.execution[child])
    assert len({(int(p), int(c)) for p, c in zip(parent, child, strict=True)}) == len(parent)


def test_random_wiring_is_as_by_chance_and_cascades_that_are_kept_equal_are_not() -> None:
    plain, even = wired(1, wirings=199), wired(1, even=1.0, wirings=199)
    assert plain.summary().count("as by chance") == 3
    assert "less than by chance" not in plain.summary()
    share = even.measures[2]
    assert share.value == pytest.approx(0.25)
    assert share.value < share.low < share.by_chance < share.high
    assert f"less than by chance (p = {share.p:.2g}, by Holm {share.p_holm:.2g})" in share.summary()


@pytest.mark.parametrize(("value", "p_holm", "word"), [(9.0, 0.05, "more"), (9.0, 0.06, "as"), (3.0, 0.05, "less")])
def test_a_measure_differs_from_chance_by_its_corrected_p(value: float, p_holm: float, word: str) -> None:
    said = AgainstChance("depth", value, 5.0, 4.0, 6.0, 0.01, p_holm).summary()
    told = {"more": "more than by chance", "less": "less than by chance", "as": "as by chance"}
    assert [key for key, text in told.items() if text in said] == [word]


def test_random_wiring_is_seldom_said_not_to_be() -> None:
    """100 samples at 5 %: more than 14 for a measure in fewer than one of 5,000 seeds."""
    found = [wired(seed, executions=3).measures for seed in range(100)]
    for at in range(3):
        assert sum(one[at].p <= 0.05 for one in found) <= 14


def test_where_order_and_degrees_leave_one_wiring_nothing_is_compared() -> None:
    table = random_cascades("geometric", 5, 1, n=50, form="chain")
    found = against_switched(table, claim_graph(table))
    assert found.measures == ()
    assert found.summary() == "nothing to compare: fan-in, fan-out and order leave no other wiring"


def test_the_report_compares_with_switched_wirings_unless_nothing_is_resampled() -> None:
    table = random_routing(1, executions=12, acts=30)
    said = laws_as_text(examine(table, effort=replace(FAST, switched=39)))
    assert HEAD in said
    assert "depth " in said
    assert HEAD not in laws_as_text(examine(table, effort=FAST))
