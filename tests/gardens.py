"""Environments for tests: a garden that many water at once, and a counting game that is played in turn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from agentsoc.contracts.environments import Action, Draw, Environment, State, Step
from agentsoc.contracts.part import Slot
from agentsoc.contracts.sight import Sight
from agentsoc.contracts.task import Task


class Garden(Environment):
    """Each agent waters or rests; a garden that at least half of them water grows, by chance more; else it wilts."""

    kind: Literal["garden"] = "garden"
    days: int = Field(default=4, ge=1)

    def horizon(self) -> int:
        return self.days

    def rules(self) -> str:
        return "Together you keep a garden."

    def opening(self, task: Task, n: int, seed: int) -> State:
        return {"day": 0, "height": 3, "n": n}

    def observe(self, state: State, agent: int) -> Sight:
        return Sight(f"Day {state['day']}: the garden is {state['height']} high.", ("water", "rest"))

    def resolve(self, state: State, actions: Mapping[int, Action], draw: Draw) -> Step:
        watered = sum(action == "water" for action in actions.values())
        grows = 2 * watered >= state["n"]
        change = 1 + (draw.uniform() < 0.5) if grows else -1
        told = {agent: "Rain helped." for agent in actions if change == 2}
        rewards = {agent: float(change) - 0.5 * (action == "water") for agent, action in actions.items()}
        return Step({**state, "day": state["day"] + 1, "height": state["height"] + change}, told, rewards)

    def default(self, state: State, agent: int) -> Action:
        return "rest"

    def over(self, state: State) -> str | None:
        return "the season ends" if state["day"] >= self.days else "it wilted" if state["height"] <= 0 else None

    def score(self, task: Task, state: State) -> float:
        return float(max(0.0, min(state["height"] / (3 + 2 * self.days), 1.0)))

    def best(self, state: State, agent: int, draw: Draw) -> Action:
        return "water"

    def says(self, state: State, agent: int, draw: Draw) -> str:
        return "Let us water." if state["day"] == 0 else ""


class Count(Environment):
    """The agents count in turn, each adding a whole number from 1 to 3; who reaches the goal exactly is rewarded."""

    kind: Literal["count"] = "count"
    goal: int = 7

    def horizon(self) -> int:
        return self.goal

    def opening(self, task: Task, n: int, seed: int) -> State:
        return {"at": 0, "turn": 0, "n": n}

    def observe(self, state: State, agent: int) -> Sight:
        schema: dict[str, Any] = {"type": "integer", "minimum": 1, "maximum": 3}
        return Sight(f"The count is {state['at']}.", schema=schema, may_act=state["turn"] % state["n"] == agent)

    def resolve(self, state: State, actions: Mapping[int, Action], draw: Draw) -> Step:
        [(agent, added)] = actions.items()
        at = state["at"] + added
        won = {agent: 1.0, (agent + 1) % state["n"]: -1.0} if at == self.goal else {}
        return Step({**state, "at": at, "turn": state["turn"] + 1}, {}, won)

    def default(self, state: State, agent: int) -> Action:
        return 1

    def over(self, state: State) -> str | None:
        return f"counted to {state['at']}" if state["at"] >= self.goal else None

    def score(self, task: Task, state: State) -> float:
        return float(state["at"] == self.goal)

    def best(self, state: State, agent: int, draw: Draw) -> Action:
        return min(3, self.goal - state["at"])


def register() -> None:
    """Make the environments known to scenarios in this process."""
    Slot.register(Garden)
    Slot.register(Count)


def garden(**changes: Any) -> dict[str, Any]:
    """Return the blocks of a scenario in which four agents keep gardens by the best policy."""
    register()
    return {
        "tasks": {"kind": "episodes", "count": 3, "environment": "garden"},
        "agents": {"count": 4, "model": {"kind": "policy"}},
        "topology": "decentralized",
        "protocol": "play",
        **changes,
    }
