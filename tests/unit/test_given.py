"""What `run` takes from Python: a scenario or its file, and values set from outside by the rules of ``--set``."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

import agentsoc
from agentsoc.errors import ConsentNeededError, InputError, ScenarioError
from agentsoc.experiment.comparison import parse_comparison
from agentsoc.experiment.grid import make_grid
from agentsoc.log.comparison import load_comparison_record
from agentsoc.scenario.code import forget_code
from agentsoc.scenario.draft import Overrides, as_arguments, read_argument
from agentsoc.scenario.files import BASE_DIR, base_dir_kept
from agentsoc.scenario.given import given_scenario, with_overrides
from agentsoc.scenario.load import load_scenarios, parse_scenario
from agentsoc.scenario.model import Scenario

DATA = Path(__file__).parents[1] / "data"
SCENARIOS = Path(__file__).parents[2] / "scenarios"
TEXT = """
name: given
seed: 4
tasks: {kind: comparison, count: 3}
agents: {count: 3, model: {kind: scripted, accuracy: 0.7}}
topology: star
protocol: vote
"""
COMPARISON = """
name: two
base:
  tasks: {kind: comparison, count: 3}
  agents: {count: 3, model: {kind: simulated, signal: 0.4}}
  budget: {tokens_per_task: 4000}
organisations:
  alone: {topology: independent, protocol: vote}
  talk: {topology: decentralized, protocol: debate}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "given.yaml"
    path.write_text(TEXT)
    return path


@pytest.mark.parametrize("kind", [str, Path], ids=["text", "path"])
def test_a_run_takes_the_path_of_a_file(kind: Any, file: Path, tmp_path: Path) -> None:
    loaded = agentsoc.run(agentsoc.load_scenario(file), tmp_path / "loaded")
    done = agentsoc.run(kind(file), tmp_path / "run")
    assert done.manifest.digest == loaded.manifest.digest
    twin = asyncio.run(agentsoc.run_async(kind(file), tmp_path / "twin"))
    assert twin.manifest.digest == loaded.manifest.digest


@pytest.mark.parametrize(
    "overrides",
    [
        {"agents.count": 6, "protocol": {"kind": "debate", "rounds": 2}},
        ["agents.count=6", "protocol={kind: debate, rounds: 2}"],
        {"agents": {"count": 6, "model": {"kind": "scripted", "accuracy": 0.7}}, "protocol.kind": "debate",
         "protocol.rounds": 2},
    ],
    ids=["by path", "as --set takes them", "whole blocks"],
)  # fmt: skip
def test_overrides_take_the_place_of_what_a_file_or_a_scenario_says(overrides: Any, file: Path, tmp_path: Path) -> None:
    of_file = agentsoc.run(file, tmp_path / "file", overrides=overrides).manifest
    of_scenario = agentsoc.run(parse_scenario(TEXT), tmp_path / "scenario", overrides=overrides).manifest
    assert of_file.scenario["protocol"] == of_scenario.scenario["protocol"]
    assert [group["count"] for group in of_file.scenario["agents"]] == [6]
    assert of_file.digest == of_scenario.digest
    loaded = agentsoc.load_scenario(file, overrides)
    assert agentsoc.run(loaded, tmp_path / "loaded").manifest.digest == of_file.digest


PLAIN = [
    None,
    True,
    3,
    -1.5,
    1e-07,
    1e22,
    "4,8",
    "yes",
    'a "quoted" \\ text: #1',
    "Grüße 😀 \x07",
    [1, [2]],
    {"a": "b,c"},
    "\x85x",
    "a\x7fb",
    ["\ufffe", {"\u2028": "\ufeff\x9f\xa0"}],
]


@pytest.mark.parametrize("value", PLAIN, ids=repr)
def test_a_value_set_by_path_means_itself(value: Any) -> None:
    [argument] = as_arguments({"tasks.some": value})
    [setting] = read_argument(argument)
    assert setting.words == ("tasks", "some")
    assert setting.value == value
    assert type(setting.value) is type(value)


@hypothesis.given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_a_text_set_by_path_means_itself(text: str) -> None:
    [setting] = read_argument(as_arguments({"description": text})[0])
    assert setting.value == text


@pytest.mark.parametrize("loaded", [False, True], ids=["file", "scenario"])
def test_none_is_no_override(loaded: bool, file: Path, tmp_path: Path) -> None:
    given = parse_scenario(TEXT) if loaded else file
    nothing: list[Overrides] = [None, (), {}, []]
    for overrides in nothing:
        with given_scenario(given, overrides) as found:
            assert found == parse_scenario(TEXT)


@pytest.mark.parametrize("overrides", [False, True, 0, 5, [5], [("agents.count", 6)], b"agents.count=6", {"a=1"}, 1.5])
@pytest.mark.parametrize("loaded", [False, True], ids=["file", "scenario"])
def test_what_is_no_override_is_refused_with_what_to_write(
    loaded: bool, overrides: Any, file: Path, tmp_path: Path
) -> None:
    given = parse_scenario(TEXT) if loaded else file
    with pytest.raises(InputError) as found:
        agentsoc.run(given, tmp_path / "run", overrides=overrides)
    assert found.value.problem.where.startswith("overrides")
    assert '["agents.count=6"]' in found.value.problem.hint
    assert not (tmp_path / "run").exists()


KINDS: list[dict[str, Any]] = [
    {"topology.kind": "ring"},
    {"topology.kind": "tree"},
    {"tasks.kind": "sentiment"},
    {"protocol.kind": "vote"},
    {"protocol.kind": "aggregate", "protocol.by": "majority"},
    {"agents.model.kind": "simulated"},
    {"agents.model.kind": "simulated", "agents.model.signal": 0.4, "agents.count": 5},
]


@pytest.mark.parametrize("overrides", KINDS, ids=repr)
@pytest.mark.parametrize("tasks", ["comparison", "{kind: comparison, count: 3}"])
def test_another_kind_makes_the_same_of_a_scenario_as_of_its_file(
    tasks: str, overrides: Any, file: Path, tmp_path: Path
) -> None:
    """What the file does not say is at the default of the new kind, and what it says stays."""
    text = TEXT.replace("{kind: comparison, count: 3}", tasks).replace("topology: star", "topology: decentralized")
    text = text.replace("protocol: vote", "protocol: debate").replace("{kind: scripted, accuracy: 0.7}", "scripted")
    file.write_text(text)
    of_file = agentsoc.load_scenario(file, overrides)
    assert with_overrides(agentsoc.load_scenario(file), overrides) == of_file
    assert of_file != agentsoc.load_scenario(file)


def test_a_setting_that_the_new_kind_does_not_have_is_refused_of_both(file: Path) -> None:
    file.write_text(TEXT.replace("topology: star", "topology: {kind: decentralized, degree: 2}"))
    with pytest.raises(ScenarioError, match=r"there is no key .*degree"):
        agentsoc.load_scenario(file, {"topology.kind": "ring"})
    with pytest.raises(ScenarioError, match=r"there is no key .*degree"):
        with_overrides(agentsoc.load_scenario(file), {"topology.kind": "ring"})


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_scenario_says_what_its_file_says(path: Path) -> None:
    with base_dir_kept():
        for scenario in load_scenarios(path)[:3]:
            again = with_overrides(scenario, {"seed": scenario.seed})
            assert again == scenario
            assert again.result_part() == scenario.result_part()


@pytest.mark.parametrize("path", ["topology.kind", "agents.model.kind", "agents.0.model.kind"])
def test_a_part_of_a_stored_scenario_that_gets_another_kind_keeps_what_is_no_default(path: str) -> None:
    text = TEXT.replace("topology: star", "topology: decentralized").replace("accuracy: 0.7", "latency_s: 0.25")
    stored = Scenario.model_validate(parse_scenario(text).model_dump(mode="json"))  # every default is written out
    kind = "ring" if "topology" in path else "simulated"
    changed = with_overrides(stored, {path: kind}, "manifest.json", stored=True)
    part = changed.topology if kind == "ring" else changed.agents[0].model
    assert part.model_dump()["kind"] == kind
    assert part == type(part).model_validate({"kind": kind, **({} if kind == "ring" else {"latency_s": 0.25})})
    same = with_overrides(stored, {path: "decentralized" if kind == "ring" else "scripted"}, stored=True)
    assert same == stored


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"agents.cuont": 6}, 'there is no key "cuont" in agents'),
        ({"agents.count": "4,8"}, "agents.count"),
        ({"agents..count": 4}, "is not a path"),
        ({"sweep.seeds": 3}, "sweep is not set from outside"),
        ({"agents.count=4": 4}, "this is not a path"),
        ({"agents.count": Path("six")}, "PosixPath is no plain value"),
        ({"agents.count": float("nan")}, "float is no plain value"),
        (["agents.count"], "an equals sign is missing"),
    ],
)
@pytest.mark.parametrize("loaded", [False, True], ids=["file", "scenario"])
def test_an_override_that_does_not_fit_is_named_and_nothing_is_started(
    loaded: bool, overrides: Any, said: str, file: Path, tmp_path: Path
) -> None:
    given = parse_scenario(TEXT) if loaded else file
    with pytest.raises(ScenarioError) as found:
        agentsoc.run(given, tmp_path / "run", overrides=overrides)
    assert said in str(found.value)
    assert not (tmp_path / "run").exists()


def test_errors_of_overrides_are_those_of_the_command_line(file: Path) -> None:
    messages = []
    for overrides in ({"agents.cuont": 6}, ["agents.cuont=6"]):
        with pytest.raises(ScenarioError) as found:
            agentsoc.run(file, overrides=overrides)
        messages.append(str(found.value))
    assert messages[0] == messages[1]
    assert messages[0].startswith("--set agents.cuont=6: ")


def test_a_file_with_a_sweep_is_refused_by_the_name_of_what_loads_it(file: Path, tmp_path: Path) -> None:
    file.write_text(TEXT + "sweep: {agents.count: [3, 4], seeds: 5}\n")
    with pytest.raises(InputError, match="load_scenarios") as found:
        agentsoc.run(file, tmp_path / "run")
    assert "10 runs" in str(found.value)
    assert "given.yaml:8:1" in str(found.value)
    assert not (tmp_path / "run").exists()
    assert "one value for agents.count with overrides (--set path=value) and one seed with load_scenarios" in str(
        found.value
    )
    with pytest.raises(InputError, match=r"or choose one seed with load_scenarios\(path, seeds=1\)"):
        agentsoc.run(file, tmp_path / "run", overrides={"agents.count": 4})  # seeds are left
    [one] = load_scenarios(file, {"agents.count": 4}, seeds=1)  # as the hint says
    assert one.seed == 4
    file.write_text(TEXT + "sweep: {agents.count: [3, 4]}\n")
    assert agentsoc.run(file, tmp_path / "run", overrides={"agents.count": 4}).manifest.status == "finished"


def test_several_values_for_one_path_of_a_loaded_scenario_are_refused() -> None:
    with pytest.raises(ScenarioError, match="give one value"):
        with_overrides(parse_scenario(TEXT), ["agents.count=3,4"])


def test_files_that_a_scenario_names_are_found_beside_it_and_only_while_it_runs(file: Path, tmp_path: Path) -> None:
    lines = [
        f'{{"id": "q{i}", "question": "number {i}?", "answer": "yes", "options": ["yes", "no"]}}' for i in range(3)
    ]
    (tmp_path / "questions.jsonl").write_text("\n".join(lines))
    file.write_text(TEXT.replace("{kind: comparison, count: 3}", "{kind: jsonl, file: questions.jsonl, count: 3}"))
    before = BASE_DIR.get()
    done = agentsoc.run(file, tmp_path / "run")
    assert done.manifest.inputs.keys() == {"questions.jsonl"}
    assert BASE_DIR.get() == before

    async def twice() -> Path | None:
        await agentsoc.run_async(file, tmp_path / "twin")
        return BASE_DIR.get()

    assert asyncio.run(twice()) == before


def test_what_does_not_fit_together_names_its_place_in_the_file(file: Path, tmp_path: Path) -> None:
    file.write_text(TEXT + "budget: {tokens_per_task: 5}\n")
    with pytest.raises(InputError, match=r"given\.yaml:8:1: the budget pays for no call"):
        agentsoc.run(file, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_error_that_is_not_about_the_file_is_left_as_it_is(file: Path, tmp_path: Path) -> None:
    file.write_text(TEXT.replace("{kind: scripted, accuracy: 0.7}", "{kind: litellm, name: openai/some}"))
    with pytest.raises(ConsentNeededError, match="nobody has agreed"):
        agentsoc.run(file, tmp_path / "run")
    with pytest.raises(InputError) as found:
        agentsoc.run(parse_scenario(TEXT), tmp_path)
    file.write_text(TEXT)
    with pytest.raises(InputError) as of_file:
        agentsoc.run(file, tmp_path)
    assert str(found.value) == str(of_file.value)


def test_loose_code_of_a_file_is_loaded_and_recorded(file: Path, tmp_path: Path) -> None:
    code = DATA / "loose_family.py"
    kind = next(line.split('"')[1] for line in code.read_text().splitlines() if "kind:" in line)
    file.write_text(TEXT.replace("{kind: comparison, count: 3}", f"{{kind: {kind}, count: 3}}"))
    try:
        with pytest.raises(ScenarioError, match=kind):
            agentsoc.run(file, tmp_path / "run")
        done = agentsoc.run(file, tmp_path / "run", code_paths=[code])
        assert set(done.manifest.code) == {code.name}
        assert agentsoc.replay(done.directory, allow_code=[code]).model_calls == 0
    finally:
        forget_code()


POOR = {"budget": {"tokens_per_task": 5}}


def test_a_budget_that_pays_for_no_call_is_refused_from_python_too(file: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the budget pays for no call"):
        agentsoc.run(file, tmp_path / "run", overrides=POOR)
    with pytest.raises(InputError, match="the budget pays for no call"):
        agentsoc.run(parse_scenario(TEXT), tmp_path / "run", overrides=POOR)
    with pytest.raises(InputError, match="the budget pays for no call"):
        asyncio.run(agentsoc.run_async(file, tmp_path / "run", overrides=POOR))
    assert not (tmp_path / "run").exists()


def test_a_comparison_whose_budget_pays_for_no_call_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    grid = make_grid(parse_comparison(COMPARISON, overrides=["base.budget.tokens_per_task=5"]))
    with pytest.raises(InputError, match=r"the budget pays for no call.*\(run alone-n3-comparison-s0\)"):
        agentsoc.compare(grid, tmp_path / "two")
    assert not (tmp_path / "two").exists()


def test_a_comparison_takes_the_path_of_a_file_and_the_directory_of_one_that_was_begun(tmp_path: Path) -> None:
    file = tmp_path / "two.yaml"
    file.write_text(COMPARISON)
    made = agentsoc.compare(file, tmp_path / "two", workers=1)
    assert made.record.status == "finished"
    assert made.record.hash == agentsoc.load_grid(file).hash
    shutil.rmtree(tmp_path / "two" / made.record.cells[0].run)
    again = agentsoc.compare(str(tmp_path / "two"), workers=1)
    assert (again.directory, again.record.hash) == (tmp_path / "two", made.record.hash)
    assert [cell.digest for cell in again.record.cells] == [cell.digest for cell in made.record.cells]
    assert load_comparison_record(tmp_path / "two").status == "finished"
    with pytest.raises(InputError, match="goes on where it is"):
        agentsoc.compare(tmp_path / "two", tmp_path / "elsewhere")
    smaller = agentsoc.load_grid(file, {"base.tasks.count": 2})
    assert {cell.scenario.tasks.count for cell in smaller.cells} == {2}
