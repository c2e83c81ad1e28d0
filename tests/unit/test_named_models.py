"""Models that are named once, provider/model in a word, addresses from the environment, one setting for all groups."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import agentsoc
from agentsoc.contracts.variables import is_secret_name
from agentsoc.engine.consent import destinations
from agentsoc.errors import ScenarioError
from agentsoc.experiment.comparison import parse_comparison, stored_comparison
from agentsoc.experiment.grid import make_grid
from agentsoc.scenario.draft import Overrides
from agentsoc.scenario.given import with_overrides
from agentsoc.scenario.load import load_variants, parse_scenario
from agentsoc.scenario.model import Scenario
from agentsoc.scenario.models import model_arguments
from agentsoc.scenario.strict import parse

HEAD = """
name: named
tasks: {kind: comparison, count: 2}
topology: star
protocol: vote
"""
GROUPS = """
models:
  fast: {kind: scripted, accuracy: 0.7}
  own: {kind: litellm, name: openai/qwen, base_url: "http://${MODEL_HOST}:8000/v1"}
  gpt: openai/gpt-4o-mini
agents:
  - {count: 2, model: fast}
  - {count: 1, model: {kind: own, window: 8192}}
  - {count: 1, model: gpt}
  - {count: 1, model: hosted_vllm/meta-llama/Llama-3.1-8B}
"""
COMPARISON = """
name: two
models: {fast: {kind: scripted, accuracy: 0.7}, slow: {kind: scripted, accuracy: 0.9}}
base:
  tasks: {kind: comparison, count: 2}
  agents: {count: 3, model: fast}
  budget: {tokens_per_task: 4000}
organisations:
  alone: {topology: independent, protocol: vote}
  talk: {topology: decentralized, protocol: debate, agents: {model: slow}}
  sure: {topology: independent, protocol: vote, agents: {model: {accuracy: 0.95}}}
"""


@pytest.fixture(autouse=True)
def _host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_HOST", "10.0.0.7")
    monkeypatch.delenv("NOT_THERE", raising=False)


def models_of(scenario: Scenario) -> list[dict[str, Any]]:
    return [group.model.model_dump(mode="json", exclude_defaults=True) for group in scenario.agents]


def refusal(text: str, overrides: Overrides = ()) -> str:
    with pytest.raises(ScenarioError) as raised:
        parse_scenario(text, overrides=overrides)
    return str(raised.value)


def test_groups_use_models_by_name_and_the_scenario_holds_them_written_out() -> None:
    scenario = parse_scenario(HEAD + GROUPS)
    assert models_of(scenario) == [
        {"accuracy": 0.7},
        {"name": "openai/qwen", "base_url": "http://10.0.0.7:8000/v1", "window": 8192},
        {"name": "openai/gpt-4o-mini"},
        {"name": "hosted_vllm/meta-llama/Llama-3.1-8B"},
    ]
    assert "models" not in scenario.model_dump()


def test_a_named_model_gives_the_same_scenario_as_the_model_written_out() -> None:
    plain = parse_scenario(HEAD + "agents: {count: 3, model: {kind: scripted, accuracy: 0.7}}\n")
    named = parse_scenario(HEAD + "models: {a: {kind: scripted, accuracy: 0.7}}\nagents: {count: 3, model: a}\n")
    assert named.result_part() == plain.result_part()


def test_a_fault_of_a_named_model_is_told_where_it_is_described() -> None:
    text = HEAD + "models:\n  fast: {kind: scripted, accuracy: 7}\nagents: {count: 3, model: fast}\n"
    assert "scenario:7:36: agents.model.accuracy must be at most 1.0" in refusal(text)


def test_a_named_model_that_nobody_uses_is_checked_too() -> None:
    text = HEAD + "models:\n  slow: {kind: scripted, acuracy: 0.5}\nagents: {count: 3, model: scripted}\n"
    assert 'scenario:7:26: there is no key "acuracy"' in refusal(text)


@pytest.mark.parametrize(
    ("models", "said"),
    [
        ("models: [fast]", "models must be a mapping of names to models"),
        ("models: {fast: scripted}", 'there is no model "fst"\n    did you mean "fast"?'),
        ("models: {fast: scripted, quick: fast}", "the model quick is another name for fast"),
        ("models: {a/b: scripted}", '"a/b" cannot be the name of a model'),
    ],
)
def test_a_models_block_that_cannot_be_meant_is_refused(models: str, said: str) -> None:
    assert said in refusal(f"{HEAD}{models}\nagents: {{count: 3, model: fst}}\n")


def test_a_kind_may_be_the_name_of_its_own_settings() -> None:
    scenario = parse_scenario(HEAD + "models: {scripted: {kind: scripted, accuracy: 0.6}}\nagents: {model: scripted}\n")
    assert models_of(scenario) == [{"accuracy": 0.6}]


def test_a_model_in_a_word_is_taken_from_python_and_the_command_line_too() -> None:
    scenario = parse_scenario(HEAD + "agents: {count: 3, model: scripted}\n")
    changed = with_overrides(scenario, {"agents.model": "openai/gpt-4o-mini"})
    assert models_of(changed) == [{"name": "openai/gpt-4o-mini"}]
    set_ = parse_scenario(HEAD + GROUPS, overrides=["agents.*.model=fast"])
    assert models_of(set_) == [{"accuracy": 0.7}] * 4


def test_one_setting_reaches_all_groups_and_one_group_alike() -> None:
    overrides = ["agents.*.model=own", "agents.*.model.window=4096"]
    for groups in (GROUPS, GROUPS.split("agents:")[0] + "agents: {count: 4, model: fast}\n"):
        for group in parse_scenario(HEAD + groups, overrides=overrides).agents:
            assert group.model.model_dump()["window"] == 4096


def test_a_path_that_names_no_group_says_how_to_name_all_and_one() -> None:
    said = refusal(HEAD + GROUPS, ["agents.model.window=1"])
    assert "agents is a list of 4; there is no agents.model" in said
    assert "write agents.*.model.window for all of them, agents.0.model.window for the first" in said
    assert "budget is no list, so * stands for nothing in it" in refusal(HEAD + GROUPS, ["budget.*.tokens=1"])


def test_what_is_set_for_all_takes_the_place_of_an_axis(tmp_path: Path) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(HEAD + "agents: {model: scripted}\nsweep: {agents.model: [scripted, simulated]}\n")
    assert len(load_variants(file)) == 2
    assert len(load_variants(file, ["agents.*.model=scripted"])) == 1


def test_the_address_that_is_agreed_to_is_the_resolved_one() -> None:
    scenario = parse_scenario(HEAD + GROUPS)
    assert "http://10.0.0.7:8000/v1" in [place.address for place in destinations([scenario])]


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ('{kind: litellm, name: openai/x, base_url: "http://${NOT_THERE}/v1"}', "the environment variable NOT_THERE"),
        ('{kind: litellm, name: openai/x, base_url: "http://${OPENAI_API_KEY}/v1"}', "named like a secret"),
        ('{kind: litellm, name: openai/x, base_url: "http://${MODEL_HOST/v1"}', "name no variable"),
        ('{kind: litellm, name: "openai/${MODEL_HOST}"}', "read in addresses (base_url) only"),
        ('{kind: litellm, name: openai/x, extra: {base_url: "${MODEL_HOST}"}}', "read in addresses (base_url) only"),
        ('{kind: litellm, name: openai/x, api_key_env: "${MODEL_HOST}"}', "read in addresses (base_url) only"),
    ],
)
def test_a_variable_that_is_not_set_or_not_meant_for_an_address_is_refused(model: str, said: str) -> None:
    told = refusal(f"{HEAD}agents: {{count: 3, model: {model}}}\n")
    assert said in told
    assert told.startswith("scenario:6:")


def test_texts_may_hold_a_dollar_before_a_placeholder() -> None:
    scenario = parse_scenario(
        HEAD + 'description: "set ${MODEL_HOST}"\nagents: {count: 3, model: scripted, prompt: "earn ${n_agents}"}\n'
    )
    assert scenario.description == "set ${MODEL_HOST}"
    assert scenario.agents[0].prompt == "earn ${n_agents}"
    priced = parse_scenario(
        HEAD + 'prompts: {system: "You have ${{ n_agents }}."}\nagents: {count: 3, model: scripted}\n'
    )
    assert "${{" in priced.model_dump_json()


def test_what_is_stored_is_never_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    model = {"kind": "litellm", "name": "openai/x", "base_url": "http://${MODEL_HOST}/v1"}
    with pytest.raises(ValueError, match="plain ASCII"):
        Scenario.model_validate({"name": "s", "tasks": "comparison", "agents": {"model": model}})
    text = COMPARISON.replace("fast: {kind: scripted, accuracy: 0.7}", f"fast: {model}".replace("'", '"'))
    asked = parse_comparison(text)
    assert asked.draft.data["models"]["fast"]["base_url"] == "http://10.0.0.7/v1"
    stored = dict(asked.draft.data)
    stored["models"] = {**stored["models"], "fast": model}
    with pytest.raises(ScenarioError, match="plain ASCII"):
        make_grid(stored_comparison(stored, "comparison.json", ""))


def test_organisations_use_the_models_of_their_comparison() -> None:
    grid = make_grid(parse_comparison(COMPARISON))
    found = {cell.organisation: models_of(cell.scenario) for cell in grid.cells}
    assert found == {"alone": [{"accuracy": 0.7}], "talk": [{"accuracy": 0.9}], "sure": [{"accuracy": 0.95}]}
    again = make_grid(stored_comparison(grid.asked.draft.data, "comparison.json", ""))
    assert again.hash == grid.hash


def test_one_model_for_all_is_that_of_every_organisation() -> None:
    arguments = model_arguments(parse(COMPARISON, "two.yaml").data, "openai/gpt-4o-mini")
    grid = make_grid(parse_comparison(COMPARISON, overrides=arguments))
    assert [models_of(cell.scenario) for cell in grid.cells] == [[{"name": "openai/gpt-4o-mini"}]] * 3
    arguments = model_arguments(parse(HEAD + GROUPS, "one.yaml").data, "scripted")
    assert models_of(parse_scenario(HEAD + GROUPS, overrides=arguments)) == [{}] * 4


def test_a_run_of_a_named_model_is_the_run_of_the_model(tmp_path: Path) -> None:
    file = tmp_path / "named.yaml"
    file.write_text(HEAD + "models: {fast: {kind: scripted, accuracy: 0.7}}\nagents: {count: 3, model: fast}\n")
    named = agentsoc.run(file, tmp_path / "a")
    file.write_text(HEAD + "agents: {count: 3, model: {kind: scripted, accuracy: 0.7}}\n")
    assert agentsoc.run(file, tmp_path / "b").manifest.scenario_hash == named.manifest.scenario_hash


def test_an_address_is_no_secret_by_its_name() -> None:
    assert [is_secret_name(name) for name in ("MODEL_URL", "TOKEN_URL", "MY_API_KEY", "DB_PASSWORD")] == [
        False,
        False,
        True,
        True,
    ]
