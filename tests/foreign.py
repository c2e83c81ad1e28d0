"""An environment with a program of its own, for tests: two add to a count in a process of twenty lines."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from agentsoc.contracts.environments import Action, Draw, ForeignEnvironment, State, Step
from agentsoc.contracts.part import Slot
from agentsoc.contracts.sight import Sight
from agentsoc.contracts.task import Task
from agentsoc.scenario.model import Scenario
from tests.societies import built

PROGRAM = """
import json, sys
at, step = 0, 0
for line in sys.stdin:
    words = json.loads(line)
    added = {} if "seed" in words else words
    at += sum(added.values())
    step += not "seed" in words
    state = {"agents": ["a", "b"], "at": at, "step": step, "rewards": {name: n / 2 for name, n in added.items()}}
    print(json.dumps(state), flush=True)
"""


class Adding(ForeignEnvironment):
    """Each adds one or two to a count, three times."""

    kind: Literal["adding"] = "adding"

    def command(self) -> Sequence[str]:
        return [sys.executable, "-I", "-S", "-c", PROGRAM]

    def first_words(self, seed: int) -> dict[str, Any]:
        return {"seed": seed}

    def named(self, state: State, actions: Mapping[int, Action]) -> dict[str, Any]:
        return {state["agents"][agent]: int(action) for agent, action in actions.items()}

    def step_of(self, state: State) -> Step:
        return Step(state, {}, {"ab".index(name): reward for name, reward in state["rewards"].items()})

    def horizon(self) -> int:
        return 3

    def observe(self, state: State, agent: int) -> Sight:
        return Sight(f"The count is {state['at']}.", ("1", "2"))

    def default(self, state: State, agent: int) -> Action:
        return "1"

    def best(self, state: State, agent: int, draw: Draw) -> Action:
        return "1" if agent else "2"

    def over(self, state: State) -> str | None:
        return "three steps" if state["step"] >= 3 else None

    def score(self, task: Task, state: State) -> float:
        return float(min(state["at"] / 12, 1.0))


def adding() -> Scenario:
    """Return two episodes of it, played by a policy."""
    Slot.register(Adding)
    return built(
        tasks={"kind": "episodes", "count": 2, "environment": "adding"},
        agents={"count": 2, "model": {"kind": "policy", "name": "optimal"}},
        topology="independent",
        protocol="play",
    )
