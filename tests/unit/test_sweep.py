"""Sweeps: which runs a scenario stands for, in which order, under which names, and what the command line changes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from agentsoc.errors import ScenarioError
from agentsoc.scenario.draft import read_argument
from agentsoc.scenario.load import Variant, load_variants
from agentsoc.scenario.model import NAME
from agentsoc.scenario.sweep import Sweep, _listed

GOOD = """\
name: star-on-sentiment
seed: 7
tasks: {kind: sentiment, count: 20}
agents: {count: 8, model: simulated}
topology: star
protocol: vote
"""


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., list[Variant]]:
    """Return a function from a sweep block and command-line arguments to the runs."""

    def _load(block: str = "", *overrides: str, seeds: int | None = None, seed: int | None = None) -> list[Variant]:
        path = tmp_path / "s.yaml"
        path.write_text(GOOD + block)
        return load_variants(path, overrides, seeds, seed=seed)

    return _load


def cells(runs: list[Variant]) -> list[tuple[str, int | None, int]]:
    return [(run.scenario.topology.kind, run.scenario.agents[0].count, run.scenario.seed) for run in runs]


def test_a_scenario_without_a_sweep_is_one_run_under_its_own_name(load: Callable[..., list[Variant]]) -> None:
    (run,) = load()
    assert (run.scenario.name, run.labels) == ("star-on-sentiment", {})


def test_a_grid_is_all_combinations_with_the_last_axis_and_then_seeds_fastest(
    load: Callable[..., list[Variant]],
) -> None:
    runs = load("sweep:\n  topology: [star, chain]\n  agents.count: [4, 8]\n  seeds: 2\n")
    assert cells(runs) == [
        ("star", 4, 7),
        ("star", 4, 8),
        ("star", 8, 7),
        ("star", 8, 8),
        ("chain", 4, 7),
        ("chain", 4, 8),
        ("chain", 8, 7),
        ("chain", 8, 8),
    ]
    assert runs[5].scenario.name == "star-on-sentiment--topology-chain--count-4--seed-8"
    assert runs[5].labels == {"topology": "chain", "agents.count": "4", "seed": "8"}


def test_the_same_sweep_from_the_command_line_is_the_same(load: Callable[..., list[Variant]]) -> None:
    block = load("sweep:\n  topology: [star, {kind: tree, fan_in: 3}]\n  agents.count: [4, 8]\n  seeds: 2\n")
    line = load("", "topology=star,{kind: tree, fan_in: 3}", "agents.count=4,8", seeds=2)
    assert line == block


def test_named_sets_vary_several_values_together(load: Callable[..., list[Variant]]) -> None:
    runs = load(
        "sweep:\n"
        "  size:\n"
        "    small: {agents.count: 4, budget.tokens_per_task: 1000}\n"
        "    large: {agents.count: 16, budget.tokens_per_task: 4000}\n"
    )
    budgets = [run.scenario.model_dump()["budget"]["tokens_per_task"] for run in runs]
    assert [run.scenario.agents[0].count for run in runs] == [4, 16]
    assert budgets == [1000, 4000]
    assert [r.scenario.name for r in runs] == ["star-on-sentiment--size-small", "star-on-sentiment--size-large"]


@pytest.mark.parametrize(
    ("override", "values"),
    [
        ("description=a,b", ["a", "b"]),
        ("description='a,b'", ["a,b"]),
        ('description="a,b",c', ["a,b", "c"]),
        ("description=x y, z", ["x y", "z"]),
    ],
)
def test_a_comma_list_is_an_axis_unless_it_is_quoted(
    load: Callable[..., list[Variant]], override: str, values: list[str]
) -> None:
    assert [run.scenario.description for run in load("", override)] == values


def test_brackets_make_one_value_and_lists_of_brackets_an_axis(load: Callable[..., list[Variant]]) -> None:
    assert [r.scenario.agents[0].personas for r in load("", "agents.personas=[a, b]")] == [("a", "b")]
    assert [r.scenario.agents[0].personas for r in load("", "agents.personas=[a, b],[c],[]")] == [
        ("a", "b"),
        ("c",),
        (),
    ]


def test_the_command_line_takes_the_place_of_an_axis_of_the_file(load: Callable[..., list[Variant]]) -> None:
    block = "sweep:\n  topology.kind: [star, chain]\n  agents.count: [4, 8]\n  seeds: 3\n"
    assert cells(load(block, "agents.count=2,3", "topology=ring", seeds=1)) == [("ring", 2, 7), ("ring", 3, 7)]


def test_what_is_set_on_the_command_line_holds_in_every_run(load: Callable[..., list[Variant]]) -> None:
    runs = load("sweep: {topology: [{kind: tree, fan_in: 2}, {kind: tree, fan_in: 4}]}\n", "topology.depth=3")
    trees = [r.scenario.topology.model_dump() for r in runs]
    assert [(tree["fan_in"], tree["depth"]) for tree in trees] == [(2, 3), (4, 3)]


def test_seeds_count_up_from_the_seed_of_each_combination(load: Callable[..., list[Variant]]) -> None:
    assert [seed for *_, seed in cells(load("sweep: {seed: [100, 200], seeds: 2}\n"))] == [100, 101, 200, 201]
    assert [seed for *_, seed in cells(load("", seeds=3, seed=40))] == [40, 41, 42]
    assert [run.scenario.name for run in load("", seeds=1)] == ["star-on-sentiment"]


def test_a_seed_that_is_no_number_is_refused_and_not_replaced(load: Callable[..., list[Variant]]) -> None:
    with pytest.raises(ScenarioError, match="seed must be a whole number"):
        load("sweep: {seed: [x]}\n", seeds=2)


def test_names_are_different_valid_and_readable(load: Callable[..., list[Variant]]) -> None:
    block = (
        "sweep:\n"
        "  topology: [star, {kind: tree, fan_in: 3}, {kind: tree, fan_in: 4}]\n"
        "  agents.temperature: [0.5, 1.0]\n"
        "  agents.prompt: ['{name}!', '{name}?', null]\n"
    )
    names = [run.scenario.name for run in load(block)]
    assert len(set(names)) == 18
    assert all(re.fullmatch(NAME, name) for name in names)
    assert names[6] == "star-on-sentiment--topology-tree-fan_in-3--temperature-0.5--prompt-name.1"
    assert names[8] == "star-on-sentiment--topology-tree-fan_in-3--temperature-0.5--prompt-null"


@pytest.mark.parametrize(
    "values", ["x?,x!,x.1", "A,a", "'é','è'", "null,'null'", "[],{},''", "-1,1,minus1", "1,'1',1.0"]
)
def test_values_that_look_alike_get_different_labels_in_any_case(values: str) -> None:
    labels = _listed("x", read_argument(f"x={values}")).labels()
    assert len({label.lower() for label in labels}) == len(labels) == values.count(",") + 1
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", label) for label in labels)


def test_a_value_that_is_given_twice_is_refused(load: Callable[..., list[Variant]]) -> None:
    for block, override in (("sweep: {agents.count: [4, 8, 4]}\n", "seed=1"), ("", "agents.count=4,8,4")):
        with pytest.raises(ScenarioError, match=r"agents\.count is to take the value 4 twice"):
            load(block, override)


def test_two_axes_that_end_in_the_same_word_are_told_apart(load: Callable[..., list[Variant]]) -> None:
    names = [run.scenario.name for run in load("", "tasks.count=1,2", "agents.count=3,4")]
    assert names[0] == "star-on-sentiment--tasks.count-1--agents.count-3"


def test_a_long_name_gives_way_to_a_number(load: Callable[..., list[Variant]]) -> None:
    long = {f"agents.{key}": [1, 2] for key in ("count", "max_tokens", "iterations", "memory", "temperature")}
    runs = load("sweep: {" + ", ".join(f"{key}: {values}" for key, values in long.items()) + "}\n", "name=" + "n" * 80)
    names = [run.scenario.name for run in runs]
    assert len(set(names)) == 32
    assert all(re.fullmatch(NAME, name) for name in names)
    assert names[4].endswith("--00005")


def test_a_sweep_over_the_limit_is_counted_and_not_expanded(
    load: Callable[..., list[Variant]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Sweep, "drafts", None)  # what would expand it
        with pytest.raises(ScenarioError, match=r"1,000,000,000,000 runs \(agents.count 3 x seeds 333333333334\)|runs"):
            load("", "agents.count=1,2,3", seeds=10**12)
        with pytest.raises(ScenarioError, match="more than 10\\^18 runs"):
            load("", *[f"agents.max_tokens={','.join(map(str, range(1, 101)))}"] * 32)
    assert len(load("", "agents.count=" + ",".join(map(str, range(1, 101))), seeds=100)) == 10_000


def test_a_value_that_does_not_fit_is_a_fault_at_its_place_in_the_sweep(load: Callable[..., list[Variant]]) -> None:
    with pytest.raises(ScenarioError) as caught:
        load("sweep:\n  topology: [star, chian]\n  agents.count:\n    - 4\n    - 0\n")
    found = [(problem.where.partition("s.yaml:")[2], problem.what) for problem in caught.value.problems]
    assert found == [
        ("8:20", 'topology: there is no topology of kind "chian"'),
        ("11:7", "agents.count must be at least 1, found 0"),
    ]


def test_a_part_of_one_kind_is_not_given_the_settings_of_another(load: Callable[..., list[Variant]]) -> None:
    with pytest.raises(ScenarioError) as caught:
        load("sweep: {topology.kind: [tree, chain]}\n", "topology.fan_in=3")
    assert [problem.what for problem in caught.value.problems] == ['there is no key "fan_in" in topology']
