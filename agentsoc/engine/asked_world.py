"""This module asks an environment on behalf of the engine, and says what its author has to mend where it fails.

Environments may be somebody else's: whatever they raise, or give in place of what they should, ends the run with the
task, the stage and the method. What was done before is in the journal, so a run can go on once the code was mended.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Awaitable, Callable, Mapping
from numbers import Integral, Real
from pathlib import PurePath
from typing import Any, TypeVar

from agentsoc.contracts.environments import STATE_BYTES, Action, Draw, Environment, Step
from agentsoc.contracts.script import Script
from agentsoc.contracts.sight import Sight
from agentsoc.contracts.task import Task
from agentsoc.contracts.tools import fault_text
from agentsoc.errors import AgentsocError, EnvironmentFailedError
from agentsoc.events import REWARD_MAX
from agentsoc.reading.by_schema import canonical

_SAID_MAX = 300
"""Length to which what an environment said is cut (characters)."""
Given = TypeVar("Given")


class AskedWorld:
    """The object asks one environment about one episode; `stage` says where the episode stands, for messages."""

    def __init__(self, environment: Environment, task: Task) -> None:
        self._environment, self._task = environment, task
        self.stage = 0

    def opening(self, n: int, seed: int) -> Any:
        """Return the state in which the episode begins."""
        return self._state("opening", self._ask("opening", self._environment.opening, self._task, n, seed))

    def horizon(self) -> int:
        """Return the most stages that the episode can have."""
        found: Any = self._ask("horizon", self._environment.horizon)
        if not isinstance(found, int):
            raise self._wrong("horizon", found, "it has to be a whole number")
        return found

    def over(self, state: Any) -> str | None:
        """Return why the episode is over; None while it goes on."""
        found: Any = self._ask("over", self._environment.over, state)
        if found is not None and not isinstance(found, str):
            raise self._wrong("over", found, "it has to be words that say why, or None")
        return found

    def observe(self, state: Any, agent: int) -> Sight:
        """Return what an agent sees."""
        found: Any = self._ask("observe", self._environment.observe, state, agent)
        if not isinstance(found, Sight):
            raise self._wrong("observe", found, "it has to be a Sight")
        text: Any = found.text  # what a type says of somebody else's code is no more than said
        choices: Any = found.choices
        schema: Any = found.schema
        if not isinstance(text, str):
            raise self._wrong("observe", text, "the text of a Sight has to be a text")
        if not isinstance(choices, tuple | list) or not all(isinstance(one, str) for one in choices):
            raise self._wrong("observe", choices, "the choices of a Sight have to be texts")
        if schema is not None and type(schema) is not dict and not isinstance(schema, Mapping):
            raise self._wrong("observe", schema, "the schema of a Sight has to be an object")
        return found

    def default(self, state: Any, agent: int, sight: Sight) -> Action:
        """Return the action in place of a missing one."""
        return self._action("default", self._ask("default", self._environment.default, state, agent), sight)

    def scripted(self, script: Script, state: Any, agent: int, draw: Draw, sight: Sight) -> Action:
        """Return the action of a scripted policy."""
        found = self._ask("scripted (or best)", self._environment.scripted, script, state, agent, draw)
        return self._action("scripted (or best)", found, sight)

    def says(self, state: Any, agent: int, draw: Draw) -> str:
        """Return what a scripted policy says before moves are made."""
        found: Any = self._ask("says", self._environment.says, state, agent, draw)
        if not isinstance(found, str):
            raise self._wrong("says", found, "it has to be a text")
        return found

    def resolve(self, state: Any, actions: Mapping[int, Action], draw: Draw) -> Step:
        """Return what follows from actions."""
        step = self._sound(self._ask("resolve", self._environment.resolve, state, actions, draw))
        self._state("resolve", step.state)
        return step

    async def resolved_by(self, steps: Awaitable[Any]) -> Step:
        """Return what the program of a foreign environment says that follows."""
        try:
            return self._sound(await steps)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise self._raised("named or step_of", error) from None

    def _sound(self, step: Any) -> Step:
        if not isinstance(step, Step):
            raise self._wrong("resolve", step, "it has to be a Step")
        told: Any = step.told
        rewards: Any = step.rewards
        if not isinstance(told, Mapping) or not all(isinstance(text, str) for text in told.values()):
            raise self._wrong("resolve", told, "told has to give texts by agent")
        if not isinstance(rewards, Mapping) or not all(
            type(agent) is int or isinstance(agent, Integral) for agent in rewards
        ):
            raise self._wrong("resolve", rewards, "rewards have to be numbers by agent")
        return step

    def reward(self, reward: Any) -> float:
        """Return a reward as a number."""
        number = _number(reward)
        if not abs(number) <= REWARD_MAX:
            raise self._wrong("resolve", reward, f"a reward is a finite number, of at most {REWARD_MAX:g}")
        return number

    def score(self, state: Any) -> float:
        """Return the score of the episode as it stands."""
        found: Any = self._ask("score", self._environment.score, self._task, state)
        number = _number(found)
        if not 0.0 <= number <= 1.0:
            raise self._wrong("score", found, "a score is a number between 0 and 1")
        return number

    def outcome(self, state: Any) -> str:
        """Return how the episode stands, in one line."""
        found: Any = self._ask("outcome", self._environment.outcome, self._task, state)
        if not isinstance(found, str):
            raise self._wrong("outcome", found, "it has to be a text")
        return found

    def _action(self, method: str, found: Any, sight: Sight) -> Action:
        if sight.choices and not isinstance(found, str):
            raise self._wrong(method, found, "an action has to be a text where a Sight has choices")
        try:
            canonical(found)
        except ValueError:
            raise self._wrong(method, found, "an action has to be a JSON value") from None
        return found

    def _state(self, method: str, state: Any) -> Any:
        try:
            size = len(canonical(state).encode())
        except ValueError as error:
            raise self._failed(method, f"gave a state that is no JSON value: {error}") from None
        if size > STATE_BYTES:
            raise self._failed(method, f"gave a state of {size:,} bytes; at most {STATE_BYTES:,}")
        return state

    def _ask(self, method: str, function: Callable[..., Given], *given: Any) -> Given:
        try:
            return function(*given)
        except AgentsocError:
            raise
        except (Exception, SystemExit) as error:
            raise self._raised(method, error) from error

    def _raised(self, method: str, error: BaseException) -> EnvironmentFailedError:
        frames = traceback.extract_tb(error.__traceback__)
        place = f"{PurePath(frames[-1].filename).name}:{frames[-1].lineno}"
        return self._failed(method, f"raised {fault_text(error)[:_SAID_MAX]} at {place}")

    def _wrong(self, method: str, found: Any, wanted: str) -> EnvironmentFailedError:
        kind = type(found).__name__
        try:
            said = f"{repr(found)[:80]}, of type {kind}" if isinstance(found, int | float | str) else f"a {kind}"
        except ValueError:  # a whole number with too many digits
            said = f"a {kind}"
        return self._failed(method, f"gave {said}; {wanted}")

    def _failed(self, method: str, what: str) -> EnvironmentFailedError:
        name = self._environment.kind
        place = f"task {self._task.index}, stage {self.stage}"
        return EnvironmentFailedError(f"the environment {name} {what} ({place}); its author has to mend {method}")


def _is_whole(found: Any) -> bool:
    return type(found) is int or isinstance(found, Integral)


def _number(found: Any) -> float:
    """Return a number as one; of what is none, or too large, what is no number."""
    if type(found) is float:
        return found
    try:
        return float(found) if isinstance(found, Real) else math.nan
    except OverflowError:
        return math.nan
