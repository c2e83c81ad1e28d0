"""This module keeps the environment of an episode: its state, what agents see of it, and what follows from their moves.

The state is a fold of the ``action`` events: of an environment that is a pure function it is computed again on replay,
resume and fork. What becomes of one that has its state in a program of its own is in the journal
(`agentsoc.engine.foreign_desk`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from agentsoc.contracts.environments import Action, Draw, Environment, Step, environment_of
from agentsoc.contracts.sight import Sight
from agentsoc.contracts.task import Task
from agentsoc.contracts.turns import Turn
from agentsoc.engine.asked_world import AskedWorld
from agentsoc.errors import EnvironmentFailedError, RunFailedError
from agentsoc.events import Event
from agentsoc.reading.by_schema import canonical, value_fault
from agentsoc.society.build import BuiltSociety

NO_MOVE = "no move"
"""Text of an ``action`` that stands for a reward alone: the agent had no move."""
BY_DEFAULT = "by default"
"""Text of an ``action`` that the environment takes for an agent that gave none."""


class Steps(Protocol):
    """What opens episodes of an environment and resolves their steps, if the environment itself does not."""

    async def opening(self, task: Task, n: int, seed: int) -> Any:
        """Return the state in which an episode begins."""

    async def resolve(self, task: int, round_: int, state: Any, actions: Mapping[int, Action]) -> Step:
        """Return what follows from the actions of a stage."""

    async def ended(self, task: int) -> None:
        """Let go of an episode that has ended."""


class EpisodeWorld:
    """The object is the environment of one episode as it stands after the committed stages."""

    def __init__(self, society: BuiltSociety, environment: Environment, task: Task, steps: Steps | None) -> None:
        """Prepare; `open` gives it its first state.

        Args:
            society: whose agents act.
            environment: what they act in.
            task: the episode.
            steps: resolves the steps of a foreign environment; None for one that is computed here.
        """
        self.society, self.environment, self.task = society, environment, task
        self._steps = steps
        self._asked = AskedWorld(environment, task)
        self._horizon = self._asked.horizon()
        self.state: Any = None
        self.spoken = 0
        """Stages without a move since the last one with moves."""
        self._told: Mapping[int, str] = {}
        self._sights: dict[int, Sight] | None = None
        self._scripts = [group.model.script() for group in society.groups]

    @property
    def stage(self) -> int:
        """Stages that were resolved."""
        return self._asked.stage

    async def open(self) -> None:
        """Give it the state in which the episode begins."""
        society = self.society
        if self._steps is not None:
            self.state = await self._steps.opening(self.task, society.n, society.seed)
        else:
            self.state = self._asked.opening(society.n, society.seed)

    # What protocols see

    def over(self) -> str | None:
        """Return why the episode is over; None while it goes on."""
        why = self._asked.over(self.state)
        if why is None and self.stage >= self._horizon:
            return "the horizon is reached"
        return why

    def sights(self) -> Mapping[int, Sight]:
        """Return what each agent sees whose move it is, in order of agents.

        Raises:
            RunFailedError: nobody may act, and the episode is not over.
        """
        if self._sights is None:
            seen = ((agent, self._asked.observe(self.state, agent)) for agent in range(self.society.n))
            self._sights = {agent: self._with_told(agent, sight) for agent, sight in seen if sight.may_act}
            if not self._sights:
                raise EnvironmentFailedError(
                    f"the environment {self.environment.kind} is not over in task {self.task.index} (stage "
                    f"{self.stage}) and nobody may act; its author has to mend over or observe"
                )
        return self._sights

    def _with_told(self, agent: int, sight: Sight) -> Sight:
        told = self._told.get(agent)
        return msgspec.structs.replace(sight, text=f"{told}\n\n{sight.text}") if told else sight

    def played(self, agent: int) -> str | None:
        """Return the action of an agent that follows a scripted policy; None for one that is asked."""
        script = self._scripts[self.society.group_index(agent)]
        if script is None:
            return None
        draw = Draw(self.society.seed, "script", self.task.index, self.stage)
        return action_text(self._asked.scripted(script, self.state, agent, draw, self.sights()[agent]))

    def says(self, agent: int) -> str | None:
        """Return what such an agent says before moves are made; None for one that is asked."""
        if self._scripts[self.society.group_index(agent)] is None:
            return None
        draw = Draw(self.society.seed, "script talk", self.task.index, self.stage)
        return self._asked.says(self.state, agent, draw)

    def outcome(self) -> str:
        """Return how the episode stands, in one line."""
        return self._asked.outcome(self.state)

    # What the engine does

    def score(self) -> float:
        """Return the score of the episode as it stands."""
        return self._asked.score(self.state)

    async def resolve(self, place: tuple[int, int], turns: Sequence[Turn], events: Sequence[Event]) -> list[Event]:
        """Let the moves of a stage take effect; return its events with rewards, and with the moves taken by default.

        Args:
            place: task and round of the stage.
            turns: its turns, of which some act.
            events: what they amounted to.
        """
        acting = [turn for turn in turns if turn.purpose == "act"]
        if not acting:
            self.spoken += 1
            return list(events)
        moves = {event.agent: event for event in events if event.kind == "action"}
        actions: dict[int, Action] = {}
        missing: list[Event] = []
        last: dict[int, int] = {}
        for event in events:
            last[event.agent] = max(event.k, last.get(event.agent, -1))
        sights = self.sights()
        for turn in acting:
            agent = turn.agent
            move, sight = moves.get(agent), sights.get(agent)
            if sight is None:
                raise RunFailedError(f"the protocol let agent {agent} act, whose move it is not")
            action = _NOTHING if move is None else action_of(sight, move.answer)
            if action is _NOTHING:
                action = self._asked.default(self.state, agent, sight)
                k = last.get(agent, -1) + 1
                last[agent] = k
                missing.append(Event(*place, agent, k, "action", answer=action_text(action), text=BY_DEFAULT))
                moves[agent] = missing[-1]
            actions[agent] = action
        step = await self._resolved(place, dict(sorted(actions.items())))
        return self._rewarded(place, [*events, *missing], moves, step.rewards, last)

    async def _resolved(self, place: tuple[int, int], actions: Mapping[int, Action]) -> Step:
        if self._steps is not None:
            step = await self._asked.resolved_by(self._steps.resolve(*place, self.state, actions))
        else:
            draw = Draw(self.society.seed, "world", self.task.index, self.stage)
            step = self._asked.resolve(self.state, actions, draw)
        self.state, self._told, self._sights = step.state, step.told, None
        self._asked.stage += 1
        self.spoken = 0
        return step

    def _rewarded(
        self,
        place: tuple[int, int],
        events: Sequence[Event],
        moves: Mapping[int, Event],
        rewards: Mapping[int, float],
        last: dict[int, int],
    ) -> list[Event]:
        counted = {id(moves[agent]): self._asked.reward(rewards.get(agent, 0.0)) for agent in moves}
        found = [
            msgspec.structs.replace(event, rewards=counted[id(event)]) if id(event) in counted else event
            for event in events
        ]
        for agent, reward in sorted(rewards.items()):
            if agent not in moves and 0 <= agent < self.society.n and reward:
                k = last.get(agent, -1) + 1
                found.append(Event(*place, agent, k, "action", text=NO_MOVE, rewards=self._asked.reward(reward)))
        found.sort(key=lambda event: (event.agent, event.k))
        return found


class _Nothing:
    pass


_NOTHING = _Nothing()


def action_of(sight: Sight, said: str | None) -> Action:
    """Return the action that an event states; a mark for one that the agent could not take."""
    if said is None:
        return _NOTHING
    if sight.choices:
        return said if said in sight.choices else _NOTHING
    try:
        value = json.loads(said)
    except (ValueError, RecursionError):
        return _NOTHING
    return value if value_fault(dict(sight.schema or {}), value) is None else _NOTHING


def action_text(action: Action) -> str:
    """Return an action as an event holds it: a choice as it is, anything else as JSON."""
    return action if isinstance(action, str) else canonical(action)


def world_of(society: BuiltSociety, task: Task, steps: Steps | None) -> EpisodeWorld | None:
    """Return the environment of an episode; None for tasks that are no episodes of one."""
    environment = environment_of(society.tasks)
    return None if environment is None else EpisodeWorld(society, environment, task, steps)
