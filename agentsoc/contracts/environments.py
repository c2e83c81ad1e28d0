"""An `Environment` is what agents act in: they observe it, act, and it says what becomes of it and who is rewarded.

It holds no state and draws nothing by itself: a state is a JSON value, and the next one is a function of the state,
the actions and seeded draws. Where an episode stands is thus a fold of the ``action`` events of its log, and a replay
computes it again. docs/environments.md says how one is written and tested.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final

import msgspec
import numpy as np
from pydantic import Field

from agentsoc.contracts.address import Destination
from agentsoc.contracts.part import Part, Slot
from agentsoc.contracts.script import Script
from agentsoc.contracts.sight import Sight
from agentsoc.contracts.task import Task, TaskFamily
from agentsoc.errors import InputError
from agentsoc.streams import stream, uniform

State = Any
"""A JSON value (objects with text keys, lists, texts, numbers, truth values, null), at most `STATE_BYTES` as JSON."""
Action = Any
"""One of the choices (a text) where a sight has choices, else a JSON value that fits its schema."""
STATE_BYTES: Final = 65_536


class Step(msgspec.Struct, frozen=True):
    """What follows from the actions of one stage."""

    state: State
    """The state after the actions."""
    told: Mapping[int, str] = {}
    """What each agent is told of it, beside what it will see of the new state; nothing for those left out."""
    rewards: Mapping[int, float] = {}
    """The reward of each agent; 0 for those left out. Agents that did not act may be rewarded as well."""


class Draw(msgspec.Struct, frozen=True):
    """Seeded draws that belong to one stage of one episode: equal places give equal draws, in any order."""

    seed: int
    """The run's seed."""
    purpose: str
    """What the draws decide; different purposes are independent."""
    task: int
    """Index of the task."""
    stage: int
    """Stage of the episode, from 0."""

    def uniform(self, agent: int = 0, number: int = 0) -> float:
        """Return the draw in [0, 1) that belongs to an agent (or any whole number) and a number."""
        return uniform(self.seed, self.purpose, self.task, self.stage, agent, number)

    def index(self, size: int, agent: int = 0, number: int = 0) -> int:
        """Return a seeded whole number in 0..size-1."""
        return min(int(self.uniform(agent, number) * size), size - 1)

    def generator(self) -> np.random.Generator:
        """Return a generator of this stage, for many draws at once."""
        return stream(self.seed, self.purpose, self.task, self.stage)


class Environment(Part):
    """Base of all environments; the ``environment`` of ``tasks: {kind: episodes}``.

    A subclass gives ``kind``, `opening`, `observe`, `resolve`, `over`, `score`, `default`, `horizon` and, for studies
    without a model, `best`. All are pure functions: of their arguments and the part's own settings alone.
    """

    slot: ClassVar[str] = "agentsoc.environments"
    scripts: ClassVar[tuple[str, ...]] = ("optimal", "noisy")
    """Names of the scripted policies that `scripted` plays."""
    foreign: ClassVar[bool] = False
    """Whether its state lives in a program of its own, so that its steps are journaled and not computed again."""

    kind: str

    def program(self) -> Destination | None:
        """Return the program of the scenario's that it starts, as something that has to be agreed to; None for none."""
        return None

    def check_agents(self, n: int) -> None:
        """Raise `InputError` when it cannot be played by `n` agents."""

    @abstractmethod
    def horizon(self) -> int:
        """Return the most stages (resolved steps) that an episode can have; the engine ends one that goes on."""

    def task(self, seed: int, index: int) -> Task:
        """Return episode `index` of the set that `seed` decides: its question says what the environment is about.

        What makes one episode differ from another (numbers, maps, facts) is drawn here, into `Task.data`, which has to
        be JSON; the optimal total or the right answer may stand there as well, since agents never see it.
        """
        return Task(index=index, id=f"{self.kind}-{index}", question=self.rules(), truth="")

    def rules(self) -> str:
        """Return the rules of the environment in words, as agents are told them."""
        return self.kind

    @abstractmethod
    def opening(self, task: Task, n: int, seed: int) -> State:
        """Return the state in which an episode of `n` agents begins; `seed` is that of the run."""

    @abstractmethod
    def observe(self, state: State, agent: int) -> Sight:
        """Return what `agent` sees in `state` and what it may do."""

    @abstractmethod
    def resolve(self, state: State, actions: Mapping[int, Action], draw: Draw) -> Step:
        """Return what follows when the agents act so, all at once; do not change `state`.

        `actions` has an action of every agent that might act, in order of agents. Each is one of the choices, or fits
        the schema, of what the agent saw; it may still be a move that the rules do not allow, which is the
        environment's to answer (`Step.told`).
        """

    @abstractmethod
    def default(self, state: State, agent: int) -> Action:
        """Return the action that stands for a missing one: the agent failed, was refused, or said nothing usable."""

    @abstractmethod
    def over(self, state: State) -> str | None:
        """Return why the episode is over, in a few words; None while it goes on."""

    @abstractmethod
    def score(self, task: Task, state: State) -> float:
        """Return the score of an episode that ends in `state`, in [0, 1]; 1 where nothing better was possible."""

    def outcome(self, task: Task, state: State) -> str:
        """Return how an episode stands in `state` in one line: the answer of the episode in the log."""
        return self.over(state) or "not over"

    def best(self, state: State, agent: int, draw: Draw) -> Action:
        """Return the action of the optimal policy; what an agent knows is what it sees, unless the policy says so."""
        raise InputError(f"the environment {self.kind} has no scripted policy", "agents", "name a model")

    def says(self, state: State, agent: int, draw: Draw) -> str:
        """Return what a scripted policy says when agents talk before they act."""
        return ""

    def scripted(self, script: Script, state: State, agent: int, draw: Draw) -> Action:
        """Return the action of a scripted policy; by default `best` for optimal, spoiled for noisy.

        `noisy` takes the default action with probability 1 - quality, and then, with probability error, one of the
        choices at random, where there are choices.
        """
        if script.name not in self.scripts:
            known = ", ".join(self.scripts)
            raise InputError(
                f'the environment {self.kind} has no scripted policy "{script.name[:80]}"', "agents", f"known: {known}"
            )
        if script.name != "noisy":
            return self.best(state, agent, draw)
        planned = draw.uniform(agent, NOISE) < script.quality
        action = self.best(state, agent, draw) if planned else self.default(state, agent)
        choices = self.observe(state, agent).choices
        if choices and draw.uniform(agent, NOISE + 1) < script.error:
            action = choices[draw.index(len(choices), agent, NOISE + 2)]
        return action


NOISE: Final = 1_000_000
"""Number of the first of the draws by which a policy is spoiled; `best` has those below."""

ENVIRONMENTS: Slot[Environment] = Slot("agentsoc.environments", "environment")
"""The environments that scenarios can name: their classes by kind, and `parse`, which makes one from a block."""


class ForeignEnvironment(Environment):
    """An environment whose state is in a program of its own: a child process an episode, each step journaled.

    The program reads a JSON object a line, first `first_words`, then the actions of each step, and answers each with a
    state: an object that `observe`, `over` and `score` understand and whose ``agents`` has one name for each agent.
    """

    foreign: ClassVar[bool] = True
    step_s: float = Field(default=60.0, gt=0, le=3_600)
    """Time limit of one step, and of the program's start (seconds)."""

    @abstractmethod
    def command(self) -> Sequence[str]:
        """Return the program that plays one episode."""

    @abstractmethod
    def first_words(self, seed: int) -> dict[str, Any]:
        """Return what the program is told first."""

    @abstractmethod
    def named(self, state: State, actions: Mapping[int, Action]) -> dict[str, Any]:
        """Return actions as the program is told of them."""

    @abstractmethod
    def step_of(self, state: State) -> Step:
        """Return what a state says that followed from the actions before it."""

    def opening(self, task: Task, n: int, seed: int) -> State:
        """Fail: the episode opens in its program."""
        raise InputError(f"the environment {self.kind} opens in a program of its own")

    def resolve(self, state: State, actions: Mapping[int, Action], draw: Draw) -> Step:
        """Fail: the episode goes on in its program."""
        raise InputError(f"the environment {self.kind} goes on in a program of its own")


class PlayedTasks(TaskFamily):
    """A family whose tasks are episodes of an environment."""

    environment: Annotated[Environment, ENVIRONMENTS]
    """What agents act in: the name of an environment, or its kind and settings."""


def environment_of(family: TaskFamily) -> Environment | None:
    """Return the environment that the tasks of a family are episodes of; None for any other family."""
    return family.environment if isinstance(family, PlayedTasks) else None
