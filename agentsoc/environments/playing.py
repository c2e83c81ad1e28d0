"""Play an environment by scripted policies, without an engine: for tests of environments and for their ceilings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agentsoc.contracts.environments import Action, Draw, Environment, State
from agentsoc.contracts.script import Script
from agentsoc.contracts.task import Task
from agentsoc.errors import TaskError


@dataclass(frozen=True)
class Played:
    """One episode that was played to its end."""

    states: tuple[State, ...]
    """The opening and the state after each stage."""
    actions: tuple[Mapping[int, Action], ...]
    rewards: tuple[Mapping[int, float], ...]
    """The rewards of each stage, by agent."""
    ended: str
    """Why it was over; empty when the horizon ended it."""
    score: float


def actors(environment: Environment, state: State, n: int) -> list[int]:
    """Return the agents whose move it is in `state`, which is not over.

    Raises:
        TaskError: nobody may act; the environment is at fault.
    """
    found = [agent for agent in range(n) if environment.observe(state, agent).may_act]
    if not found:
        raise TaskError(f"the environment {environment.kind} is not over and nobody may act")
    return found


def play_out(environment: Environment, task: Task, n: int, seed: int, script: Script | None = None) -> Played:
    """Play `task` with `n` agents that all follow `script` (the optimal one by default)."""
    by = script or Script()
    states = [environment.opening(task, n, seed)]
    actions: list[Mapping[int, Action]] = []
    rewards: list[Mapping[int, float]] = []
    for stage in range(environment.horizon()):
        state = states[-1]
        if environment.over(state) is not None:
            break
        draw = Draw(seed, "script", task.index, stage)
        chosen = {agent: environment.scripted(by, state, agent, draw) for agent in actors(environment, state, n)}
        step = environment.resolve(state, chosen, Draw(seed, "world", task.index, stage))
        states.append(step.state)
        actions.append(chosen)
        rewards.append(step.rewards)
    end = states[-1]
    score = environment.score(task, end)
    return Played(tuple(states), tuple(actions), tuple(rewards), environment.over(end) or "", score)
