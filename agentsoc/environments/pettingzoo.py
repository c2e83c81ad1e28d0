"""`pettingzoo`: games of PettingZoo (parallel and in turns), each episode in a child process, each step journaled.

The state that is kept is what the agents see; the game's own is in its process. A replay reads the steps from the
journal and starts nothing; a resume starts the game anew, repeats the recorded actions and compares.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StringConstraints, model_validator

from agentsoc.contracts.address import Destination
from agentsoc.contracts.environments import Action, Draw, ForeignEnvironment, State, Step
from agentsoc.contracts.sight import Sight
from agentsoc.contracts.task import Task
from agentsoc.scenario.files import resolve


class PettingZoo(ForeignEnvironment):
    """A game of PettingZoo. Needs the extra `pettingzoo`, and for most games their own packages."""

    scripts: ClassVar[tuple[str, ...]] = ("first",)

    kind: Literal["pettingzoo"] = "pettingzoo"
    env: Annotated[str, StringConstraints(pattern=r"^pettingzoo(\.[A-Za-z0-9_]+)+$", max_length=200)] | None = None
    """Module of a game that comes with PettingZoo, such as pettingzoo.classic.tictactoe_v3."""
    file: Annotated[str, StringConstraints(min_length=1, max_length=300)] | None = None
    """A Python file beside the scenario with `parallel_env` or `env`; it is run, which needs ``--allow-mcp``."""
    settings: Annotated[dict[str, Any], Field(max_length=100)] = Field(default_factory=dict)
    """What the game is made with."""
    about: Annotated[str, StringConstraints(max_length=4_000)] = ""
    """The rules of the game in words, for the agents: what they see and what each action does."""
    steps: int = Field(default=100, ge=1, le=10_000)
    """Most steps of an episode (steps)."""
    low: float = 0.0
    """Mean return of the agents that scores 0."""
    high: float = 1.0
    """Mean return of the agents that scores 1."""

    @model_validator(mode="after")
    def _one_game(self) -> PettingZoo:
        if (self.env is None) == (self.file is None):
            raise ValueError("give env or file, one of them")
        if self.high <= self.low:
            raise ValueError("high has to be above low")
        return self

    def program(self) -> Destination | None:
        """Return the file that is run; a game that comes with PettingZoo needs no agreement."""
        if self.file is None:
            return None
        return Destination(f"program:python {self.file}", "", "a game", "it is started on this machine", known=False)

    def command(self) -> list[str]:
        """Return the program that plays one episode."""
        return [sys.executable, "-P", "-B", str(Path(__file__).with_name("pettingzoo_child.py"))]

    def first_words(self, seed: int) -> dict[str, Any]:
        """Return what the program is told first."""
        file = None if self.file is None else str(resolve(self.file))
        return {"env": self.env, "file": file, "settings": self.settings, "seed": seed}

    def horizon(self) -> int:
        """Return the most steps of an episode."""
        return self.steps

    def rules(self) -> str:
        """Return the rules in words."""
        return self.about or f"A game: {self.env or self.file}."

    def named(self, state: State, actions: Mapping[int, Action]) -> dict[str, Any]:
        """Return actions by the names that the game has for its agents."""
        return {state["agents"][agent]: action for agent, action in actions.items()}

    def step_of(self, state: State) -> Step:
        """Return what a state says that followed from the actions before it."""
        places = {name: agent for agent, name in enumerate(state["agents"])}
        return Step(state, {}, {places[name]: float(reward) for name, reward in state["rewards"].items()})

    def observe(self, state: State, agent: int) -> Sight:
        """Return what an agent sees."""
        seen = state["sights"].get(state["agents"][agent])
        if seen is None:
            return Sight("", may_act=False)
        text = f"{self.about}\n\n{seen['text']}" if self.about else seen["text"]
        return Sight(text, tuple(seen.get("choices", ())), seen.get("schema"))

    def default(self, state: State, agent: int) -> Action:
        """Return the first choice, or zeros."""
        seen = state["sights"][state["agents"][agent]]
        return seen["choices"][0] if "choices" in seen else [0] * seen["schema"]["minItems"]

    def best(self, state: State, agent: int, draw: Draw) -> Action:
        """Return the first choice: nothing is known of the game."""
        return self.default(state, agent)

    def over(self, state: State) -> str | None:
        """Return whether the game has ended."""
        return state["over"]  # type: ignore[no-any-return]

    def score(self, task: Task, state: State) -> float:
        """Return where the mean return of the agents lies between `low` and `high`."""
        returns = state["returns"].values()
        mean = sum(returns) / max(len(returns), 1)
        return float(min(max((mean - self.low) / (self.high - self.low), 0.0), 1.0))
