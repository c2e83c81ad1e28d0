"""A `Society` holds agents with their settings, the topology that wires them, and what they work on."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from agentsoc.contracts.attention import Attention
from agentsoc.contracts.board import Board
from agentsoc.contracts.fault import PlantedFault
from agentsoc.contracts.group import AgentGroup, PeersSee
from agentsoc.contracts.probe import ParentSource
from agentsoc.contracts.prompts import PromptSet
from agentsoc.contracts.router import Router
from agentsoc.contracts.rules import Rules
from agentsoc.contracts.task import TaskFamily
from agentsoc.contracts.tools import ToolSpec
from agentsoc.contracts.wiring import Wiring

T = TypeVar("T")


@dataclass(frozen=True)
class Society:
    """The built agents of a run, as protocols, policies and hosts read them; nobody changes it.

    It holds no protocol and no budget: these are given a society, and would have to know themselves.
    """

    seed: int
    """The run's seed, which decides every random draw."""
    wiring: Wiring
    """Who may address whom."""
    groups: tuple[AgentGroup, ...]
    """Settings of each group of agents."""
    group_start: tuple[int, ...]
    """First agent of each group, and the number of agents at the end."""
    tasks: TaskFamily
    """What the society works on."""
    tasks_seed: int
    """The seed that decides the tasks."""
    attention: Attention
    """Which of the visible claims an agent is shown."""
    message_tokens: int
    """Length to which a claim's text is kept when others read it (tokens)."""
    parents: ParentSource
    """What counts as a claim's parents."""
    faults: tuple[PlantedFault, ...]
    """Errors to plant."""
    rules: Rules
    """By which rules its prompts are written, replies read and turns paid for."""
    prompts: PromptSet
    """Templates that the scenario puts in place of the defaults; a group's own come before them."""
    peers_see: PeersSee
    """What agents see of each other's replies, where a group does not say it."""
    toolsets: tuple[tuple[ToolSpec, ...], ...] = field(default=(), kw_only=True)
    """For each group, the tools that its agents may call; empty where no agent may call any."""

    @property
    def n(self) -> int:
        """Count the agents."""
        return self.wiring.n

    @property
    def parents_visible(self) -> bool:
        """Whether everything shown counts as a parent, not only what the agent said it used."""
        return self.parents == "visible"

    def group_index(self, agent: int) -> int:
        """Return which group `agent` belongs to."""
        return 0 if len(self.group_start) == 2 else bisect_right(self.group_start, agent) - 1

    def group(self, agent: int) -> AgentGroup:
        """Return the settings of `agent`."""
        return self.groups[0 if len(self.group_start) == 2 else self.group_index(agent)]

    def persona(self, agent: int) -> str:
        """Return the persona dealt to `agent`: personas go round within a group."""
        index = self.group_index(agent)
        personas = self.groups[index].personas
        return personas[(agent - self.group_start[index]) % len(personas)] if personas else ""

    @cached_property
    def neighbours(self) -> tuple[tuple[int, ...], ...]:
        """List, for each agent, the agents whom it hears."""
        hears, start = self.wiring.hears.tolist(), self.wiring.hears_start.tolist()
        return tuple([tuple(hears[start[agent] : start[agent + 1]]) for agent in range(self.n)])

    def seen_of(self, agent: int) -> PeersSee:
        """Return what others see of the replies of `agent`."""
        return self.group(agent).peers_see or self.peers_see

    def tools_of(self, agent: int) -> tuple[ToolSpec, ...]:
        """Return the tools that `agent` may call."""
        return self.toolsets[self.group_index(agent)] if self.toolsets else ()

    @cached_property
    def reply_forms(self) -> list[tuple[str, bool]]:
        """Give, for each group, the form of its agents' replies, and whether the model (not the scenario) chose it."""
        return [
            (group.model.reply_form, True)
            if group.reply == "auto"
            else ("json" if group.reply == "native" else group.reply, False)
            for group in self.groups
        ]

    @cached_property
    def reach(self) -> list[int]:
        """Count, for each agent, the agents who hear it."""
        return self.wiring.fan_out.tolist()  # type: ignore[no-any-return]

    @cached_property
    def _addresses(self) -> dict[int, list[int]]:
        addresses: dict[int, list[int]] = {}
        for agent, heard in enumerate(self.neighbours):
            for source in heard:
                addresses.setdefault(source, []).append(agent)
        return addresses

    def router(self, board: Board) -> Router | None:
        """Return what says who hears whom where that changes; None where it is always the same."""
        found = (one for one in board.watchers if isinstance(one, Router) and one.wiring is self.wiring)
        return next(found, None)

    def hears(self, board: Board, agent: int) -> tuple[int, ...]:
        """Return whom `agent` hears in the stage that comes next: its `neighbours`, unless edges change."""
        router = self.router(board)
        return self.neighbours[agent] if router is None else router.hears(board, agent)

    def addresses(self, agent: int) -> Sequence[int]:
        """Return the agents who hear `agent`, in increasing order."""
        return self._addresses.get(agent, ())

    @cached_property
    def _remembered(self) -> dict[Hashable, Any]:
        return {}

    def remember(self, key: Hashable, compute: Callable[[], T]) -> T:
        """Return `compute()`, kept for the next call with the same key: protocols hold no state of their own."""
        kept = self._remembered
        if key not in kept:
            kept[key] = compute()
        return kept[key]  # type: ignore[no-any-return]

    def speaks(self, agent: int) -> bool:
        """Return whether anybody reads what `agent` writes: not the end of an organisation, nor somebody alone."""
        return self.n > 1 and agent != self.wiring.root

    def summary(self) -> dict[str, Any]:
        """Return the facts that reports state of the society."""
        wiring = self.wiring
        return {
            "agents": wiring.n,
            "topology": wiring.kind,
            "edges": wiring.n_edges,
            "levels": wiring.depth + 1,
            "root": wiring.root,
        }
