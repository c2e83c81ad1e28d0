"""Small task families for tests of the engine: `coin` (two options) and `free` (any text), and scenarios with them.

They are registered by `register`, in every process that needs them: child processes import this module and call it.
"""

from __future__ import annotations

from typing import Any, Literal

from agentsoc.contracts.part import Slot
from agentsoc.contracts.task import Task, TaskFamily
from agentsoc.scenario.model import Scenario
from agentsoc.streams import uniform


class Coin(TaskFamily):
    """Heads or tails, by the seed."""

    kind: Literal["coin"] = "coin"

    def make(self, seed: int, index: int) -> Task:
        truth = "heads" if uniform(seed, "coin", index, 0, 0) < 0.5 else "tails"
        return Task(index, f"coin-{index}", f"How does coin {index} fall?", truth, ("heads", "tails"), 0.5)


class Free(TaskFamily):
    """A sum whose answer is any text; it has one part for each summand."""

    kind: Literal["free"] = "free"

    def make(self, seed: int, index: int) -> Task:
        a, b = (int(100 * uniform(seed, "free", index, 0, 0, draw)) for draw in (0, 1))
        parts = (f"How many are in bag {a}?", f"How many are in bag {b}?")
        return Task(index, f"free-{index}", f"What is {a} + {b}?", str(a + b), (), 0.0, parts, (str(a), str(b)))


def register() -> None:
    """Make the families known to scenarios in this process."""
    Slot.register(Coin)
    Slot.register(Free)


def scenario(**changes: Any) -> Scenario:
    """Return a valid scenario: four scripted agents in a star debate three coins. `changes` replace whole blocks.

    ``model`` and ``agents`` are merged: ``model`` holds settings of the scripted model, or another model with its kind.
    """
    register()
    model = {"kind": "scripted", **changes.pop("model", {})}
    agents = {"count": 4, "model": model, **changes.pop("agents", {})}
    blocks: dict[str, Any] = {
        "name": "loose",
        "seed": 7,
        "tasks": {"kind": "coin", "count": 3},
        "agents": agents,
        "topology": {"kind": "star"},
        "protocol": {"kind": "debate", "rounds": 2},
        "calls": {"backoff_s": 0.0},
        "engine": {"concurrency": 8},
    }
    return Scenario.model_validate({**blocks, **changes})
