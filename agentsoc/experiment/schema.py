"""This module makes the JSON Schema of comparison files, for editors: their own keys and those of scenarios."""

from __future__ import annotations

from typing import Any

from agentsoc.experiment.comparison import ComparisonSpec
from agentsoc.experiment.fill import KEY, Fill
from agentsoc.scenario.schema import scenario_schema


def comparison_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of comparison files; imports every registered part.

    What is laid over something else need not be whole, so no key of a scenario is required.

    Raises:
        InputError: a registered part cannot be loaded.
    """
    scenario = scenario_schema()
    schema = ComparisonSpec.model_json_schema(mode="validation")
    properties = schema["properties"]
    whole = scenario["properties"]
    keys = {name: shape for name, shape in whole.items() if name not in ("name", "sweep", "budget_total")}
    own = {name: shape for name, shape in keys.items() if name not in ("tasks", "seed", "engine")}
    loose = {name: {"anyOf": [shape, {"type": "object"}]} for name, shape in own.items()}
    properties["base"] = {
        **_about(properties["base"]),
        "type": "object",
        "properties": {name: {"anyOf": [shape, {"type": "object"}]} for name, shape in keys.items()},
        "additionalProperties": False,
    }
    fill = {key: value for key, value in Fill.model_json_schema(mode="validation").items() if key != "$defs"}
    loose[KEY] = {"anyOf": [{"type": "string"}, fill]}
    properties["organisations"] = {
        **_about(properties["organisations"]),
        "type": "object",
        "minProperties": 2,
        "additionalProperties": {"type": "object", "properties": loose, "additionalProperties": False},
    }
    properties["tasks"] = {
        **_about(properties["tasks"]),
        "type": "object",
        "additionalProperties": {"anyOf": [keys["tasks"], {"type": "object"}]},
    }
    properties["models"] = {**whole["models"], **_about(properties["models"])}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "$defs": {**scenario.get("$defs", {}), **schema.get("$defs", {})},
        "title": "agentsoc comparison",
    }


def _about(shape: dict[str, Any]) -> dict[str, Any]:
    return {key: shape[key] for key in ("title", "description") if key in shape}
