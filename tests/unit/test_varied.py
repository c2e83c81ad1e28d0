"""What the runs of a sweep differ in, and their means over seeds."""

from __future__ import annotations

from typing import Any

import pytest

from agentsoc.cli.varied import find_varied, flat, means_over_seeds, short, varied_keys


def row(run: str, name: str, seed: int, score: float | None, status: str = "finished") -> dict[str, Any]:
    return {
        "run": run, "name": name, "seed": seed, "score": score, "status": status, "tokens": 100 * seed, "failed": 0,
        "varied": {},
    }  # fmt: skip


def scenario(seed: int, **changes: Any) -> dict[str, Any]:
    base = {"name": "x", "seed": seed, "agents": [{"count": 3}], "topology": {"kind": "star"}, "engine": {"hosts": 1}}
    return base | changes


def test_one_group_is_named_as_people_write_it() -> None:
    assert flat(scenario(1)) == {"agents.count": 3, "topology.kind": "star"}
    assert flat({"agents": [{"count": 1}, {"count": 2}]}) == {"agents.0.count": 1, "agents.1.count": 2}
    assert (short("agents.model.kind"), short("topology.kind"), short("budget.tokens")) == (
        "model",
        "topology",
        "budget.tokens",
    )


def test_keys_of_parts_of_other_kinds_are_not_varied() -> None:
    tree, star = {"kind": "tree", "fan_in": 3}, {"kind": "star"}
    assert varied_keys([flat(scenario(1, topology=part)) for part in (tree, star)]) == ["topology.kind"]
    wide = {"kind": "tree", "fan_in": 9}
    assert varied_keys([flat(scenario(1, topology=part)) for part in (tree, star, wide)]) == [
        "topology.kind",
        "topology.fan_in",
    ]


def test_means_are_those_of_runs_that_differ_in_their_seed_only() -> None:
    rows, scenarios = [], {}
    for count, scores in ((3, (0.5, 0.7)), (5, (0.9, None))):
        for seed, score in enumerate(scores, 1):
            run = f"sweep/a--count-{count}--seed-{seed}"
            rows.append(row(run, run.split("/")[1], seed, score))
            scenarios[run] = scenario(seed, agents=[{"count": count}])
    rows.append(row("other", "a", 1, 0.1))
    scenarios["other"] = scenario(1)
    find_varied(rows, scenarios)
    assert [one["varied"] for one in rows] == [{"count": 3}, {"count": 3}, {"count": 5}, {"count": 5}, {}]
    small, large = means_over_seeds(rows)
    assert (small.settings, small.seeds, small.tokens) == ({"count": 3}, 2, 150.0)
    assert small.score == pytest.approx(0.6)
    assert small.sd == pytest.approx(0.1414, abs=1e-4)
    assert (large.seeds, large.score, large.sd) == (1, 0.9, None)


def test_runs_of_one_seed_have_no_means_and_damaged_ones_are_left_out() -> None:
    rows = [row("a", "s--x-1", 1, 0.5), row("b", "s--x-2", 1, 0.6), row("c", "s--x-2", 2, None, "failed")]
    damaged = {**row("d", "", 0, None), "name": None}
    find_varied([*rows, damaged], {name: scenario(1) for name in "abc"})
    assert means_over_seeds([rows[0], damaged]) == []
