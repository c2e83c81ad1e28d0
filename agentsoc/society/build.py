"""From a scenario to a society: agents with their settings, wired by the topology. A pure function."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from agentsoc.contracts.topology import check_window
from agentsoc.contracts.wiring import Wiring
from agentsoc.contracts.world import World
from agentsoc.errors import InputError, TopologyError
from agentsoc.scenario.model import AgentGroup, Scenario
from agentsoc.streams import stream

T = TypeVar("T")


@dataclass(frozen=True)
class Society:
    """The built agents of a run. What hosts, protocols and the engine read; nobody changes it."""

    scenario: Scenario
    wiring: Wiring
    group_start: tuple[int, ...]
    """First agent of each group, and the number of agents at the end."""

    @property
    def n(self) -> int:
        """Number of agents."""
        return self.wiring.n

    @property
    def seed(self) -> int:
        """The run's seed."""
        return self.scenario.seed

    @cached_property
    def parents_visible(self) -> bool:
        """Whether everything shown counts as a parent."""
        return self.scenario.parents == "visible"

    def group_index(self, agent: int) -> int:
        """Return which group `agent` belongs to."""
        return 0 if len(self.group_start) == 2 else bisect_right(self.group_start, agent) - 1

    def group(self, agent: int) -> AgentGroup:
        """Return the settings of `agent`."""
        return self.scenario.agents[0 if len(self.group_start) == 2 else self.group_index(agent)]

    def persona(self, agent: int) -> str:
        """Return the persona dealt to `agent`: personas go round within a group."""
        index = self.group_index(agent)
        personas = self.scenario.agents[index].personas
        return personas[(agent - self.group_start[index]) % len(personas)] if personas else ""

    @cached_property
    def neighbours(self) -> tuple[tuple[int, ...], ...]:
        """Per agent, the agents whom it hears."""
        hears, start = self.wiring.hears.tolist(), self.wiring.hears_start.tolist()
        return tuple([tuple(hears[start[agent] : start[agent + 1]]) for agent in range(self.n)])

    @cached_property
    def reply_forms(self) -> list[tuple[str, bool]]:
        """Per group, the form in which its agents reply, and whether the model rather than the scenario chose it."""
        return [
            (group.model.reply_form, True) if group.reply == "auto" else (group.reply, False)
            for group in self.scenario.agents
        ]

    @cached_property
    def reach(self) -> list[int]:
        """Number of agents who hear each agent."""
        return self.wiring.fan_out.tolist()  # type: ignore[no-any-return]

    @cached_property
    def _addresses(self) -> dict[int, list[int]]:
        addresses: dict[int, list[int]] = {}
        for agent, heard in enumerate(self.neighbours):
            for source in heard:
                addresses.setdefault(source, []).append(agent)
        return addresses

    def addresses(self, agent: int) -> Sequence[int]:
        """Return the agents who hear `agent`, in increasing order."""
        return self._addresses.get(agent, ())

    @cached_property
    def _remembered(self) -> dict[Hashable, Any]:
        return {}

    def remember(self, key: Hashable, compute: Callable[[], T]) -> T:
        """Return `compute()`, kept for the next call with the same key: protocols hold no state of their own."""
        if key not in self._remembered:
            self._remembered[key] = compute()
        return self._remembered[key]  # type: ignore[no-any-return]

    def speaks(self, agent: int) -> bool:
        """Return whether anybody reads what `agent` writes: not the end of an organisation, nor somebody alone."""
        return self.n > 1 and agent != self.wiring.root

    def summary(self) -> dict[str, Any]:
        """Return what is said of the society in reports."""
        wiring = self.wiring
        return {
            "agents": wiring.n,
            "topology": wiring.kind,
            "edges": wiring.n_edges,
            "levels": wiring.depth + 1,
            "root": wiring.root,
        }


def build_society(scenario: Scenario, *, stored: bool = False) -> Society:
    """Return the society of a scenario.

    Args:
        scenario: what it says.
        stored: whether a run was made from it before; then nobody's reading is measured against a window, as an earlier
            version may have allowed more, and its log replays all the same.

    Raises:
        TopologyError: the topology does not exist for this number of agents, or a node's reading does not fit its
            model's context window.
        InputError: the protocol cannot run on this society.
    """
    counts = [group.count for group in scenario.agents]
    if None in counts and len(counts) > 1:
        raise InputError(
            "a list of agent groups needs a count in each group", "agents", "only a single group may leave it out"
        )
    given = None if counts[0] is None else sum(count for count in counts if count is not None)
    n = scenario.topology.size(given)
    if given is None:
        counts = [n]
    elif given != n:
        raise TopologyError(
            f"{scenario.topology.kind} is an organisation of {n} agents here, but agents counts {given}"
        )
    wiring = scenario.topology.wiring(n, stream(scenario.seed, "topology"))
    start = [0]
    for count in counts:
        start.append(start[-1] + (count or 0))
    society = Society(scenario, wiring, tuple(start))
    for index, group in enumerate(scenario.agents):
        window = group.model.context_window()
        if window is not None and not stored:
            check_window(wiring, scenario.message_tokens, window, agents=slice(start[index], start[index + 1]))
    if isinstance(scenario.tasks, World) and not scenario.protocol.worlds:
        raise InputError(
            f"{scenario.tasks.kind} is a task of many steps, and {scenario.protocol.kind} asks one question",
            "protocol",
            "use protocol resample, which decides step by step",
        )
    scenario.protocol.check(society)
    if scenario.budget is not None and scenario.budget.policy is not None:
        scenario.budget.policy.check(society)
    return society
