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
- ``printing``   what commands print with, here and in other packages: options, terminal, progress, the question
- ``cli``        one thin file a verb

Each verb is a function: `run`, `resume`, `replay`, `fork`, `compare`. They work anywhere, also in a notebook; from code
that is asynchronous itself, await `run_async`, `resume_async`, `replay_async`, `fork_async`, `compare_async`.

The package ``analysis`` beside this one reads logs and is never imported from here.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from agentsoc.shadowing import explain_imports

if TYPE_CHECKING:
    from agentsoc.engine.fork import fork, fork_async
    from agentsoc.engine.replay import Replay, replay, replay_async
    from agentsoc.engine.resume import resume, resume_async
    from agentsoc.engine.run import Progress, Run, run, run_async
    from agentsoc.errors import AgentsocError
    from agentsoc.events import Event
    from agentsoc.experiment.grid import Grid, load_grid
    from agentsoc.experiment.runner import compare, compare_async, run_comparison
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
    "compare",
    "compare_async",
    "fork",
    "fork_async",
    "load_grid",
    "load_scenario",
    "load_scenarios",
    "parse_scenario",
    "replay",
    "replay_async",
    "resume",
    "resume_async",
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
    "compare": "experiment.runner",
    "compare_async": "experiment.runner",
    "fork": "engine.fork",
    "fork_async": "engine.fork",
    "load_grid": "experiment.grid",
    "load_scenario": "scenario.load",
    "load_scenarios": "scenario.load",
    "parse_scenario": "scenario.load",
    "replay": "engine.replay",
    "replay_async": "engine.replay",
    "resume": "engine.resume",
    "resume_async": "engine.resume",
    "run": "engine.run",
    "run_async": "engine.run",
    "run_comparison": "experiment.runner",
}

explain_imports()


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: `agentsoc --help` must not wait for the engine."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
