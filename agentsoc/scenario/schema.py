"""This module writes the JSON Schema of a scenario file, for editors and other checkers.

With ``# yaml-language-server: $schema=scenario.schema.json`` as first line of a scenario, an editor completes keys,
shows what each means and marks faults. It covers every registered part, so a package's own kinds appear as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from agentsoc.contracts.model import MODELS
from agentsoc.contracts.part import SAME_SLOT
from agentsoc.scenario.budget_total import BudgetTotal
from agentsoc.scenario.model import Scenario
from agentsoc.scenario.models import NAMES
from agentsoc.scenario.preset import PRESETS
from agentsoc.scenario.sweep import MAX_RUNS

_VARIANT: dict[str, Any] = {
    "type": "object",
    "minProperties": 1,
    "description": "Values that are set together: dotted path to value.",
}
_SWEEP: dict[str, Any] = {
    "type": "object",
    "description": f"Runs all combinations of what is listed here, at most {MAX_RUNS:,}.",
    "properties": {
        "seeds": {
            "type": "integer",
            "minimum": 1,
            "maximum": MAX_RUNS,
            "description": "Repeats each combination with the seeds seed, seed + 1, ...",
        }
    },
    "additionalProperties": {
        "anyOf": [
            {"type": "array", "minItems": 1, "description": "The key is a dotted path; it takes these values in turn."},
            {
                "type": "object",
                "minProperties": 1,
                "additionalProperties": _VARIANT,
                "description": "The key is a name; each entry names values that go together.",
            },
        ]
    },
}


def scenario_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of scenario files; imports every registered part.

    Raises:
        InputError: a registered part cannot be loaded.
    """
    schema = Scenario.model_json_schema(mode="validation")
    properties = schema["properties"]
    groups = properties["agents"]
    shared = {key: groups.pop(key) for key in ("title", "description") if key in groups}
    properties["agents"] = {**shared, "anyOf": [groups["items"], groups]}  # one group stands for a list of one
    properties["sweep"] = _SWEEP
    _with_named_models(schema)
    properties["budget_total"] = BudgetTotal.model_json_schema()
    _with_presets(schema)
    close_slots(schema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "agentsoc scenario"}


def _with_named_models(schema: dict[str, Any]) -> None:
    """Add the key ``models``, in place, and let a group's model be the name of one, or provider/model."""
    kinds = MODELS.names()
    shape = schema["$defs"]["AgentGroup"]["properties"]["model"]
    bare = next(branch["enum"] for branch in shape["anyOf"] if branch.get("type") == "string")
    unsaid = [kind for kind in kinds if kind not in bare]  # kinds that need more than their name
    said = "A kind, provider/model, or a name under models."
    word = {"type": "string", "description": said, "not": {"enum": unsaid}}
    kind = {"type": "string", "description": said, "not": {"enum": kinds}}
    about = "A model named under models, but for what is said here."
    other = {"type": "object", "description": about, "required": ["kind"], "properties": {"kind": kind}}
    whole = [branch for branch in shape["anyOf"] if branch.get("type") != "string"]
    shape["anyOf"] = [word, *whole, other]
    schema["properties"]["models"] = {
        "type": "object",
        "title": "Models",
        "description": "Models by name, for model: NAME in any group of agents. They are written out before anything "
        "is stored.",
        "propertyNames": {"pattern": NAMES},
        "additionalProperties": {"anyOf": [word, *whole, other]},
    }


def _with_presets(schema: dict[str, Any]) -> None:
    """Add the key ``preset``, in place: with it the blocks that it stands for may be left out, or say what differs."""
    properties = schema["properties"]
    about = " ".join(f"{name}: {preset.about}" for name, preset in PRESETS.items())
    properties["preset"] = {
        "enum": list(PRESETS),
        "title": "Preset",
        "description": f"Topology, protocol and settings of agents in a word; what the file says wins. {about}",
    }
    whole = {}
    for block in ("topology", "protocol"):
        schema["required"].remove(block)
        whole[block] = dict(properties[block])
        differs = {
            "type": "object",
            "not": {"required": ["kind"]},
            "description": "Next to a preset: what differs from it.",
        }
        properties[block] = {**whole[block], "anyOf": [*whole[block]["anyOf"], differs]}
    strict = {block: {"anyOf": [{"type": "string"}, {"required": ["kind"]}]} for block in whole}
    schema["if"] = {"not": {"required": ["preset"]}}
    schema["then"] = {"properties": strict, "required": list(whole)}


def close_slots(schema: dict[str, Any]) -> None:
    """Let every part that holds another one of its own category refer to the whole category, in place."""
    nouns: set[str] = set()
    for node in _nodes(schema):
        if SAME_SLOT in node:
            noun = node.pop(SAME_SLOT)
            node["$ref"] = f"#/$defs/{noun}"
            nouns.add(noun)
    for noun in nouns:
        whole = next(node for node in _nodes(schema) if node.get("title") == noun and "anyOf" in node)
        schema.setdefault("$defs", {})[noun] = dict(whole)


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for item in list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _nodes(item)
