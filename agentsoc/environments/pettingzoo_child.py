"""This script plays one episode of a PettingZoo environment in a process of its own; it imports nothing of agentsoc.

The same seed gives another game as soon as something else draws from Python's global generator, so no two episodes
share a process. In: one JSON object a line on standard input, the first one says what to play, each further one the
actions of a step. Out: one JSON object a line, on what was standard output; what the game prints goes nowhere.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import random
import sys
from typing import Any


def plain(value: Any) -> Any:
    """Return an observation as JSON."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


def schema_of(space: Any) -> dict[str, Any]:
    """Return the JSON Schema of the actions of a space that cannot be listed."""
    kind = type(space).__name__
    if kind == "MultiDiscrete":
        items = [{"type": "integer", "minimum": 0, "maximum": int(n) - 1} for n in space.nvec.ravel()]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
    if kind == "MultiBinary":
        n = int(space.n)
        return {"type": "array", "items": {"enum": [0, 1]}, "minItems": n, "maxItems": n}
    if kind == "Box":
        n = int(space.low.size)
        return {"type": "array", "items": {"type": "number"}, "minItems": n, "maxItems": n}
    raise ValueError(f"actions of a {kind} cannot be stated")


def action_in(space: Any, action: Any) -> Any:
    """Return an action as the environment takes it: one that is out of its range is moved to the nearest."""
    import numpy

    if type(space).__name__ == "Discrete":
        return int(action)
    found = numpy.asarray(action, dtype=space.dtype).reshape(space.shape)
    return numpy.clip(found, space.low, space.high) if type(space).__name__ == "Box" else found


class Game:
    """One episode, by either interface."""

    def __init__(self, wanted: dict[str, Any]) -> None:
        module = loaded(wanted)
        settings = wanted["settings"]
        random.seed(wanted["seed"])
        self.parallel = hasattr(module, "parallel_env")
        if not self.parallel and not hasattr(module, "env"):
            raise ValueError("the module has neither parallel_env nor env")
        self.env = module.parallel_env(**settings) if self.parallel else module.env(**settings)
        self.observations: dict[str, Any] = {}
        if self.parallel:
            self.observations = dict(self.env.reset(seed=wanted["seed"])[0])
        else:
            self.env.reset(seed=wanted["seed"])
        self.names = list(self.env.possible_agents)
        self.returns = dict.fromkeys(self.names, 0.0)
        self.paid = dict.fromkeys(self.names, 0.0)
        self.steps = 0

    def step(self, actions: dict[str, Any]) -> None:
        """Take the actions of one step."""
        self.paid = dict.fromkeys(self.names, 0.0)
        self.steps += 1
        if self.parallel:
            given = {name: action_in(self.env.action_space(name), actions[name]) for name in self.env.agents}
            observations, rewards, *_ = self.env.step(given)
            self.observations = dict(observations)
            for name, reward in rewards.items():
                self.paid[name] += float(reward)
        else:
            name = self.env.agent_selection
            self.env.step(action_in(self.env.action_space(name), actions[name]))
            self.pay()
            while self.env.agents and self.ended(self.env.agent_selection):
                self.env.step(None)
        for name, reward in self.paid.items():
            self.returns[name] += reward

    def pay(self) -> None:
        """Take in what the last move of a game in turns gave to everybody."""
        for name, reward in self.env.rewards.items():
            self.paid[name] += float(reward)

    def ended(self, name: str) -> bool:
        """Return whether an agent of a game in turns is out of it."""
        return bool(self.env.terminations[name] or self.env.truncations[name])

    def state(self) -> dict[str, Any]:
        """Return what agents see, and how the episode stands."""
        alive = list(self.env.agents)
        acting = alive if self.parallel else ([self.env.agent_selection] if alive else [])
        return {
            "agents": self.names,
            "sights": {name: self.sight(name) for name in acting},
            "over": None if alive else "the game has ended",
            "rewards": {name: reward for name, reward in self.paid.items() if reward},
            "returns": self.returns,
            "steps": self.steps,
        }

    def sight(self, name: str) -> dict[str, Any]:
        """Return what an agent sees whose move it is."""
        seen = self.observations.get(name) if self.parallel else self.env.observe(name)
        space = self.env.action_space(name)
        mask = None
        if isinstance(seen, dict) and "action_mask" in seen:
            mask = plain(seen["action_mask"])
            seen = {key: value for key, value in seen.items() if key != "action_mask"}
        text = f"You are {name}. You see: {json.dumps(plain(seen))}"
        if type(space).__name__ != "Discrete":
            return {"text": text, "schema": schema_of(space)}
        start = int(getattr(space, "start", 0))
        choices = [str(start + at) for at in range(int(space.n)) if mask is None or mask[at]]
        return {"text": text, "choices": choices}


def loaded(wanted: dict[str, Any]) -> Any:
    """Return the module of the environment: one of PettingZoo's, or a file."""
    if wanted["file"] is None:
        return importlib.import_module(wanted["env"])
    spec = importlib.util.spec_from_file_location("game", wanted["file"])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Play until standard input ends."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    game: Game | None = None
    for line in sys.stdin:
        try:
            wanted = json.loads(line)
            if game is None:
                game = Game(wanted)
            else:
                game.step(wanted)
            answer: dict[str, Any] = game.state()
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        out.write(json.dumps(answer) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
