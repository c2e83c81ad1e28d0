"""The JSON Schema of a scenario file, for editors and other checkers.

With ``# yaml-language-server: $schema=scenario.schema.json`` as first line of a scenario, an editor completes keys,
shows what each means and marks faults. It covers every registered part, so a package's own kinds appear as well.
"""

from __future__ import annotations

from typing import Any

from agentsoc.scenario.model import Scenario
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
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "agentsoc scenario"}
