"""The JSON Schema: what the loader takes it takes, and it knows every key of every registered part."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
import yaml

from agentsoc.contracts.part import Part, Slot
from agentsoc.errors import ScenarioError
from agentsoc.scenario.load import load_scenarios
from agentsoc.scenario.model import Scenario
from agentsoc.scenario.schema import scenario_schema

jsonschema = pytest.importorskip("jsonschema")
ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "scenarios").glob("*.yaml"))
CORPUS = ROOT / "tests" / "corpus" / "scenarios"

GOOD: dict[str, Any] = {
    "name": "star-on-sentiment",
    "seed": 7,
    "tasks": {"kind": "sentiment", "count": 20},
    "agents": {"count": 8, "model": {"kind": "simulated", "signal": 0.3}, "personas": ["careful", "quick"]},
    "topology": {"kind": "tree", "fan_in": 3},
    "protocol": {"kind": "aggregate", "by": "majority"},
    "budget": {"tokens_per_task": 3000},
}


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = scenario_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def with_value(path: str, value: Any) -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load(yaml.safe_dump(GOOD))
    *steps, last = path.split(".")
    block = data
    for step in steps:
        block = block.setdefault(step, {})
    block[last] = value
    return data


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("name", "other"),
        ("topology", "star"),
        ("agents", [{"count": 3, "model": "simulated"}, {"count": 5, "model": "scripted"}]),
        ("agents.model", {"kind": "litellm", "name": "openai/gpt-4o", "extra": {"top_p": 0.9}}),
        ("agents.model.fidelity", {"kind": "hill", "m0": 5}),
        ("topology", {"kind": "custom", "edges": [[0, 1], [1, 2]], "roles": {"critic": [1]}}),
        ("sweep", {"agents.count": [4, 8], "size": {"small": {"agents.count": 4}}, "seeds": 10}),
        ("budget", None),
    ],
)
def test_a_good_scenario_is_valid(validator: Any, path: str, value: Any) -> None:
    assert list(validator.iter_errors(with_value(path, value))) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("sed", 7),
        ("agents.cuont", 8),
        ("agents.model.sginal", 0.3),
        ("topology.fanin", 3),
        ("topology", "stars"),
        ("topology", {"fan_in": 3}),
        ("topology", {"kind": "star", "fan_in": 3}),
        ("agents.model", "litellm"),
        ("agents", []),
        ("agents.count", 0),
        ("agents.count", "8"),
        ("budget.tokens", -1),
        ("name", "a/b"),
        ("protocol.by", "majorty"),
        ("sweep", {"agents.count": 4}),
        ("sweep", {"agents.count": []}),
    ],
)
def test_a_bad_scenario_is_not(validator: Any, path: str, value: Any) -> None:
    assert list(validator.iter_errors(with_value(path, value)))


def test_a_scenario_lacks_none_of_its_five_blocks(validator: Any) -> None:
    for key in ("name", "tasks", "agents", "topology", "protocol"):
        assert list(validator.iter_errors({k: v for k, v in GOOD.items() if k != key}))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_scenario_is_valid(validator: Any, path: Path) -> None:
    assert load_scenarios(path)
    assert list(validator.iter_errors(yaml.safe_load(path.read_text()))) == []


def test_a_file_of_unknown_keys_and_wrong_values_is_refused_by_both(validator: Any) -> None:
    """What the schema refuses in the corpus the loader refuses too; the loader knows more (YAML traps, references)."""
    refused = 0
    for path in sorted(CORPUS.glob("*.yaml")):
        try:
            data = yaml.safe_load(path.read_text())
            assert isinstance(data, dict)
            errors = list(validator.iter_errors(data))
        except Exception:  # not even YAML, or a bomb
            continue
        if errors and path.name != "expected.yaml":
            refused += 1
            with pytest.raises(ScenarioError):
                load_scenarios(path)
    assert refused >= 40


def test_every_field_of_every_part_is_described() -> None:
    schema = scenario_schema()
    slots = (schema["properties"][block] for block in ("tasks", "topology", "protocol"))
    models = schema["$defs"]["AgentGroup"]["properties"]["model"]
    parts = [shape for slot in (*slots, models) for shape in slot["anyOf"] if "properties" in shape]
    assert len(parts) > 20
    blocks = [schema, *(schema["$defs"][name] for name in ("AgentGroup", "Attention", "Budget", "Calls", "Engine"))]
    bare = [
        f"{block['title']}.{key}"
        for block in (*blocks, *parts)
        for key, field in block["properties"].items()
        if key != "kind" and not field.get("description")
    ]
    assert bare == []
    assert all(block.get("description") for block in (*blocks, *parts))


def test_a_loose_part_appears_in_the_schema() -> None:
    class Hexagon(Part):
        """Six agents."""

        slot: ClassVar[str] = "agentsoc.topologies"
        kind: Literal["hexagon"] = "hexagon"
        width: int = 1
        """How wide (agents)."""

    Slot.register(Hexagon)
    try:
        schema = scenario_schema()
    finally:
        Slot.forget_loose()
    names, *shapes = schema["properties"]["topology"]["anyOf"]
    assert "hexagon" in names["enum"]
    (shape,) = [shape for shape in shapes if shape.get("title") == "Hexagon"]
    assert shape["required"] == ["kind"]
    assert shape["properties"]["width"]["description"] == "How wide (agents)."


def test_the_schema_names_every_key_that_a_scenario_has() -> None:
    own = {"models", "preset", "sweep", "budget_total"}
    assert set(scenario_schema()["properties"]) == own | set(Scenario.model_fields)


@pytest.mark.parametrize(
    ("blocks", "good"),
    [
        ({"preset": "centralized"}, True),
        ({"preset": "centralized", "protocol": {"rounds": 2}, "topology": "hybrid"}, True),
        ({"preset": "centralised"}, False),
        ({"preset": "star", "protocol": {"kind": "votes"}}, False),
        ({"protocol": {"rounds": 2}, "topology": "star"}, False),  # without a preset a block says its kind
        ({"topology": "star"}, False),
        ({}, False),
    ],
)
def test_with_a_preset_topology_and_protocol_may_be_left_out_or_say_what_differs(
    validator: Any, blocks: dict[str, Any], good: bool
) -> None:
    rest = {key: value for key, value in GOOD.items() if key not in ("topology", "protocol")}
    assert (not list(validator.iter_errors({**rest, **blocks}))) == good
