"""agentsoc: which way of organising LLM agents is worth its tokens, and why.

    scenario -> society -> engine -> (journal + events) -> analysis -> report          one way, no back edges

- ``scenario``   YAML to frozen models; strict loading, overrides, sweeps, JSON Schema
- ``tasks``      questions with verifiers, seeded
- ``society``    topologies, agents, what they see and say, the board
- ``protocols``  whose turn it is, what a reply means, when it is over
- ``backends``   what answers a prompt: embedded model, any provider, simulated voters, scripts
- ``budget``     the ledger: reserve, charge, refund
- ``log``        journal of model attempts, event segments, manifest, digest
- ``engine``     the loop, hosts in the process and on Ray, resume, replay, fork
- ``experiment`` comparisons: a grid of runs under one budget, carried out side by side
- ``cli``        one thin file a verb

The package ``analysis`` beside this one reads logs and is never imported from here.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentsoc.engine.fork import fork
    from agentsoc.engine.replay import Replay, replay
    from agentsoc.engine.resume import resume
    from agentsoc.engine.run import Progress, Run, run, run_async
    from agentsoc.errors import AgentsocError
    from agentsoc.events import Event
    from agentsoc.experiment.grid import Grid, load_grid
    from agentsoc.experiment.runner import run_comparison
    from agentsoc.log.read import RunLog
    from agentsoc.scenario.load import load_scenario, load_scenarios, parse_scenario
    from agentsoc.scenario.model import Scenario

__all__ = [
    "AgentsocError",
    "Event",
    "Grid",
    "Progress",
    "Replay",
    "Run",
    "RunLog",
    "Scenario",
    "fork",
    "load_grid",
    "load_scenario",
    "load_scenarios",
    "parse_scenario",
    "replay",
    "resume",
    "run",
    "run_async",
    "run_comparison",
]

_HOME = {
    "AgentsocError": "errors",
    "Event": "events",
    "Grid": "experiment.grid",
    "Progress": "engine.progress",
    "Replay": "engine.replay",
    "Run": "engine.run",
    "RunLog": "log.read",
    "Scenario": "scenario.model",
    "fork": "engine.fork",
    "load_grid": "experiment.grid",
    "load_scenario": "scenario.load",
    "load_scenarios": "scenario.load",
    "parse_scenario": "scenario.load",
    "replay": "engine.replay",
    "resume": "engine.resume",
    "run": "engine.run",
    "run_async": "engine.run",
    "run_comparison": "experiment.runner",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: `agentsoc --help` must not wait for the engine."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
