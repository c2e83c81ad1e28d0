"""This module refuses tools and environments where nothing would come of them, before a run begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentsoc.contracts.environments import Environment, environment_of
from agentsoc.contracts.tools import fault_text
from agentsoc.errors import InputError
from agentsoc.events import MAX_ROUNDS
from agentsoc.society.coded import CodedAgent

if TYPE_CHECKING:
    from agentsoc.contracts.society import Society
    from agentsoc.contracts.tools import ToolSpec
    from agentsoc.scenario.model import Scenario


def _require_horizon(society: Society, environment: Environment) -> None:
    """Refuse an episode that could reach the largest number of rounds, whatever protocol leads through it.

    Raises:
        InputError: it could, or the environment does not say how long it can be.
    """
    try:
        stages: Any = environment.horizon()
    except Exception as error:
        what = f"the environment {environment.kind} does not say how long it can be: {fault_text(error)[:200]}"
        raise InputError(what, "tasks.environment", "its author has to mend horizon") from error
    if not isinstance(stages, int) or stages < 1:
        what = f"the environment {environment.kind} says that it can have {str(stages)[:40]} stages"
        raise InputError(what, "tasks.environment", "its author has to mend horizon: a whole number from 1 on")
    steps = max(group.tool_use.steps for group in society.groups) if any(society.toolsets) else 1
    if stages * steps + 2 >= MAX_ROUNDS:
        what = f"an episode could have {stages * steps:,} rounds ({stages:,} stages of up to {steps} steps)"
        hint = "shorten the environment, or lower tool_use.steps"
        raise InputError(f"{what}; the limit is {MAX_ROUNDS - 3:,}", "tasks.environment", hint)


def offered_toolsets(scenario: Scenario) -> tuple[tuple[ToolSpec, ...], ...]:
    """Return the tools of each group, as far as known without starting anything; empty without any."""
    if not any(group.tools for group in scenario.agents):
        return ()
    return tuple(tuple(spec for tool in group.tools for spec in tool.offered()) for group in scenario.agents)


def require_acting_fits(society: Society, scenario: Scenario) -> None:
    """Check that agents with tools can call them, and that an environment is led by a protocol that knows of it.

    Raises:
        InputError: that is not so; names what to change.
    """
    for group in scenario.agents:
        if group.reply == "native" and not group.model.native_tools:
            what = f"{group.model.label()} cannot be told of tools in a way of its own"
            raise InputError(what, "agents.reply", "use reply: json, which works with every model that reads prompts")
        if not group.tools:
            continue
        if society.rules.prompts == 1:
            raise InputError("runs of the first rules have no tools", "agents.tools", "start a new run")
        reads = isinstance(group.model, CodedAgent) or group.model.open(seed=scenario.seed).journaled
        if not reads:
            what = f"{group.model.label()} reads no prompt, so it calls no tool"
            raise InputError(what, "agents.tools", "name a model that reads prompts, or leave the tools out")
        if group.iterations > 1:
            raise InputError(
                "an agent with tools makes as many model calls as it needs (tool_use.steps), and iterations are drafts",
                "agents.iterations",
                "leave iterations out, or the tools",
            )
    if scenario.probe is not None and any(group.tools for group in scenario.agents):
        raise InputError("probe asks turns again, and turns with tools have many steps", "probe", "leave it out")
    environment = environment_of(scenario.tasks)
    if environment is not None:
        if not scenario.protocol.plays:
            what = f"{environment.kind} is an environment, and {scenario.protocol.kind} does not know what to do in it"
            raise InputError(what, "protocol", "use protocol play")
        environment.check_agents(society.n)
        _require_horizon(society, environment)
        return
    if scenario.protocol.plays:
        what = f"protocol {scenario.protocol.kind} leads agents through an environment, and the tasks have none"
        raise InputError(what, "tasks", "use tasks: {kind: episodes, environment: ...}")
    if any(group.model.script() is not None for group in scenario.agents):
        what = "a scripted policy plays environments, and the tasks have none"
        raise InputError(what, "agents.model", "use tasks: {kind: episodes, environment: ...}")
