"""A comparison file is read as strictly as a scenario, and stands for exactly the cells that it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from agentsoc.errors import ScenarioError
from agentsoc.experiment.comparison import is_comparison, load_comparison, parse_comparison, stored_comparison
from agentsoc.experiment.grid import Grid, make_grid, run_seed
from agentsoc.experiment.schema import comparison_schema
from agentsoc.scenario.load import load_scenario, parse_scenario

BASE = {
    "name": "small",
    "base": {
        "tasks": {"kind": "signal", "count": 4},
        "agents": {"count": 5, "model": {"kind": "simulated", "signal": 0.3}},
        "budget": {"tokens_per_task": 9000},
    },
    "organisations": {
        "single": {"topology": "single", "protocol": "vote"},
        "star": {"topology": "star", "protocol": "aggregate"},
    },
}


def text(**changes: Any) -> str:
    """Return the small comparison as YAML, with top-level keys replaced."""
    return yaml.safe_dump({**BASE, **changes}, sort_keys=False)


def grid(*overrides: str, **changes: Any) -> Grid:
    return make_grid(parse_comparison(text(**changes), "c.yaml", overrides))


def base(**changes: Any) -> dict[str, Any]:
    return {**BASE["base"], **changes}  # type: ignore[dict-item]


def line_of(source: str, begins: str) -> int:
    return next(at for at, line in enumerate(source.splitlines(), 1) if line.startswith(begins))


def faults(source: str, *overrides: str) -> str:
    """Return what is said of a comparison that does not hold."""
    with pytest.raises(ScenarioError) as caught:
        make_grid(parse_comparison(source, "c.yaml", overrides))
    return str(caught.value)


def test_the_cells_are_all_combinations_named_by_their_place() -> None:
    found = grid(agents=[3, 5], tasks={"easy": {"count": 2}, "hard": {"count": 3}}, seeds=[4, 9])
    assert {cell.id for cell in found.cells} == {
        f"{organisation}-n{n}-{tasks}-s{seed}"
        for organisation, n in [("single", 1), ("star", 3), ("star", 5)]
        for tasks in ("easy", "hard")
        for seed in (4, 9)
    }
    star = next(cell for cell in found.cells if cell.id == "star-n5-hard-s9")
    assert (star.scenario.name, star.scenario.tasks.count, star.scenario.agents[0].count) == ("star-n5-hard-s9", 3, 5)


def test_an_organisation_of_fixed_size_is_there_once_for_all_numbers_of_agents() -> None:
    tree = {"topology": {"kind": "tree", "fan_in": 2, "depth": 2}, "protocol": "aggregate"}
    found = grid(agents=[3, 5, 9], organisations={**BASE["organisations"], "tree": tree})  # type: ignore[dict-item]
    sizes = {name: sorted(c.n_agents for c in found.cells if c.organisation == name) for name in ("single", "tree")}
    assert sizes == {"single": [1], "tree": [7]}


def test_without_an_axis_the_count_of_the_base_holds_where_a_topology_takes_one() -> None:
    assert {(cell.organisation, cell.n_agents) for cell in grid().cells} == {("single", 1), ("star", 5)}


def test_an_organisation_keeps_a_count_of_its_own_unless_the_axis_varies_it() -> None:
    own = {
        "single": BASE["organisations"]["single"],  # type: ignore[index]
        "star": {"topology": "star", "protocol": "aggregate", "agents": {"count": 8}},
    }
    assert [cell.n_agents for cell in grid(organisations=own).cells] == [1, 8]
    assert [cell.n_agents for cell in grid(organisations=own, agents=[3]).cells] == [1, 3]


def test_seeds_are_counted_up_from_the_base_or_listed() -> None:
    assert [cell.seed for cell in grid(seeds=3, base=base(seed=40)).cells if cell.organisation == "star"] == [
        40,
        41,
        42,
    ]
    assert [cell.seed for cell in grid(seeds=[7, 2]).cells if cell.organisation == "star"] == [7, 2]
    found = make_grid(parse_comparison(text(seeds=3), seeds=2))
    assert len(found.cells) == 4
    last = 2**63 - 1
    assert {cell.scenario.seed for cell in grid(seeds=2, base=base(seed=last - 1)).cells} == {last - 1, last}


def test_what_an_organisation_says_is_merged_into_the_base_and_another_kind_replaces_a_part() -> None:
    below = base(topology={"kind": "tree", "fan_in": 3}, protocol="aggregate")
    found = grid(
        base=below,
        organisations={
            "deep": {"topology": {"fan_in": 2}, "agents": {"model": {"signal": 0.5}}},
            "chain": {"topology": {"kind": "chain"}},
            "same": {"agents": {"model": {"kind": "simulated", "lock": 0.2}}},
            "other": {"agents": {"model": {"kind": "scripted"}}},
        },
    )
    cells = {cell.organisation: cell.scenario.model_dump(mode="json") for cell in found.cells}
    assert cells["deep"]["topology"]["fan_in"] == 2
    assert cells["deep"]["agents"][0]["model"]["signal"] == 0.5
    assert cells["chain"]["topology"] == {"kind": "chain"}
    assert (cells["same"]["agents"][0]["model"]["signal"], cells["same"]["agents"][0]["model"]["lock"]) == (0.3, 0.2)
    assert cells["other"]["agents"][0]["model"]["kind"] == "scripted"
    assert all(cell["agents"][0]["count"] == 5 for cell in cells.values())


def test_equal_questions_have_equal_hashes_and_others_do_not() -> None:
    asked = grid()
    reordered = dict(reversed(list(BASE.items())))
    assert make_grid(parse_comparison(yaml.safe_dump(reordered, sort_keys=False))).hash == asked.hash
    assert grid(description="other words").hash == asked.hash
    assert grid("base.tasks.count=5").hash != asked.hash
    assert grid(baseline="star").hash != asked.hash
    assert grid(seeds=2).hash != asked.hash


def test_the_plain_data_of_a_comparison_gives_the_same_cells_again() -> None:
    asked = parse_comparison(text(agents=[3, 5], seeds=2), "c.yaml", ["base.agents.model.signal=0.7"])
    data = json.loads(json.dumps(asked.draft.data))
    again = make_grid(stored_comparison(data, "comparison.json", asked.text_hash))
    assert [(cell.id, cell.hash) for cell in again.cells] == [(cell.id, cell.hash) for cell in make_grid(asked).cells]


def test_blocks_of_tasks_draw_from_streams_of_their_own() -> None:
    found = grid(tasks={"one": {"count": 4}, "two": {"count": 4}}, seeds=2)
    seeds = {(cell.tasks, cell.seed): cell.scenario.seed for cell in found.cells}
    assert len(set(seeds.values())) == 4
    assert seeds["one", 1] == run_seed(1, "one")
    assert grid().cells[0].scenario.seed == 0  # where there is one block, the seed is what it says


def test_the_whole_is_matched_only_with_one_ceiling_for_all() -> None:
    assert grid().matched
    assert not grid(base={key: value for key, value in base().items() if key != "budget"}).matched
    assert not grid("organisations.star.budget.tokens_per_task=5000", "unequal_budgets=true").matched


def test_how_a_budget_is_split_and_shown_may_differ_between_organisations() -> None:
    assert grid("organisations.star.budget.conclude=100").matched


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (text(organisations={"one": {}}), [": organisations ", "at least 2 items"]),
        (text(organisations={"a b": {}, "c": {}}), ["organisations.a b", "it must match"]),
        (text(organisations={"a": None, "c": {}}), ["organisations.a must be a mapping, found nothing (null)"]),
        (text(agents=[0]), ["agents.0 must be at least 1"]),
        (text(agents=[3, 3]), ["agents has 3 twice"]),
        (text(seeds=0), ["seeds must be at least 1"]),
        (text(base=base(seed=2**63 - 1), seeds=2), ["2 seeds from base.seed", f"the largest one, {2**63 - 1}"]),
        (text(base=base(seed=2**64)), ["base.seed must be a whole number", f"found {2**64}"]),
        (text(base=base(seed=-1), seeds=[1]), ["base.seed must be a whole number from 0", "found -1"]),
        (text(base=base(seed="x")), ['found the text "x"']),
        (text(seeds=[1, 2, 1]), ["c.yaml:", "seeds has 1 twice"]),
        (text(baseline="sinlge"), ['the text "sinlge" is none of the organisations', 'did you mean "single"?']),
        (text(sedes=3), ['there is no key "sedes"', 'did you mean "seeds"?']),
        (text(base=base(name="x")), ["the base cannot set name"]),
        (text(base=base(sweep={"seeds": 2})), ["the base cannot set sweep"]),
        (text(base=base(tasks={"kind": "signl"})), ["there is no task family of kind", "c.yaml:4:11"]),
        ("name: x\norganisations: {a: {}, b: {}}\n", ["the key base is missing"]),
        ("name: x\ntopology: star\n", ["c.yaml:1:1: this is a scenario", "agentsoc run FILE"]),
        ("- 1\n", ["the comparison is no mapping but a list"]),
        ("", ["the comparison is empty"]),
        (text(agents=[3]).replace("count: 5", "count: 5, count: 6"), ["not YAML"]),
        ("name: x\nname: y\n", ['the key "name" stands twice']),
    ],
)
def test_a_comparison_that_does_not_hold_is_refused_with_place_and_cure(source: str, said: list[str]) -> None:
    found = faults(source)
    for words in said:
        assert words in found


@pytest.mark.parametrize("key", ["tasks", "seed", "name", "engine"])
def test_what_must_be_the_same_for_all_cannot_be_set_by_one(key: str) -> None:
    value = {"tasks": {"kind": "arithmetic"}, "seed": 3, "name": "x", "engine": {"concurrency": 2}}[key]
    source = text(organisations={"a": {key: value}, "b": {}})
    assert f"c.yaml:{line_of(source, '  a:') + 1}:5: the organisation a cannot set {key}" in faults(source)


def test_organisations_with_budgets_of_their_own_are_refused_unless_that_is_asked_for() -> None:
    own = {**BASE["organisations"], "rich": {"topology": "star", "protocol": "aggregate", "budget": {"tokens": 10**6}}}  # type: ignore[dict-item]
    source = text(organisations=own)
    found = faults(source)
    assert f"c.yaml:{line_of(source, '  rich:') + 3}:5: rich and single have different budgets" in found
    assert "unequal_budgets: true" in found
    assert len(grid(organisations=own, unequal_budgets=True).cells) == 3


def test_a_fault_inside_an_organisation_names_its_line_and_one_of_the_base_is_told_once() -> None:
    source = text(organisations={"a": {"topology": {"kind": "star", "hubs": 2}, "protocol": "aggregate"}, "b": {}})
    found = faults(source)
    assert f'c.yaml:{line_of(source, "      hubs:")}:7: there is no key "hubs" in topology' in found
    assert f"c.yaml:{line_of(source, '  b:')}:3: the key topology is missing" in found
    found = faults(text(base=base(agents={"count": 5, "model": {"kind": "simulated", "signl": 1}})))
    assert found.count("signl") == 1
    assert 'did you mean "signal"?' in found


def test_values_from_the_command_line_name_the_option() -> None:
    assert "--set base.tasks.count=0" in faults(text(), "base.tasks.count=0")
    assert "2 values for one key" in faults(text(), "base.tasks.count=1,2")
    with pytest.raises(ScenarioError, match="--seeds 0"):
        parse_comparison(text(), seeds=0)


def test_too_many_runs_are_refused_before_any_is_made() -> None:
    found = faults(text(seeds=10_000, agents=[3, 5]))
    assert "40,000 runs (organisations 2 x agents 2 x seeds 10000), the limit is 10,000" in found


def test_a_number_of_agents_needs_one_group() -> None:
    two = [{"count": 2, "model": "scripted"}, {"count": 3, "model": "scripted"}]
    found = faults(text(base=base(agents=two, topology="star", protocol="aggregate"), agents=[4]))
    assert "a number of agents cannot be set: there are 2 groups of them" in found


def test_two_cells_with_one_name_are_refused() -> None:
    assert "two runs would be called" in faults(
        text().replace("single:", "Star:").replace("topology: single", "topology: star")
    )


def test_a_comparison_is_known_by_its_organisations(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text())
    assert is_comparison(path)
    assert load_comparison(path).organisations == ["single", "star"]
    with pytest.raises(ScenarioError, match="agentsoc compare FILE"):
        load_scenario(path)
    path.write_text("name: x\ntasks: signal\n")
    assert not is_comparison(path)
    assert not is_comparison(tmp_path / "none.yaml")


def test_a_cell_is_the_scenario_that_a_person_would_have_written() -> None:
    cell = grid().cells[-1]
    written = parse_scenario(
        "name: star-n5-signal-s0\ntasks: {kind: signal, count: 4}\ntopology: star\nprotocol: aggregate\n"
        "agents: {count: 5, model: {kind: simulated, signal: 0.3}}\nbudget: {tokens_per_task: 9000}\n"
    )
    assert cell.scenario == written


def test_the_schema_takes_what_the_loader_takes_and_refuses_unknown_keys() -> None:
    schema = comparison_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load(text(agents=[3], seeds=2, tasks={"easy": {"count": 2}})), schema)
    for wrong in (text(sedes=2), text(base=base(tusks=1)), text(organisations={"a": {"topologie": 1}, "b": {}})):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(yaml.safe_load(wrong), schema)
