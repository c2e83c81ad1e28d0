"""Runs of scenarios given as blocks, without a directory to look after: what they came to, and their events."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from agentsoc.engine.execute import Plan, Result, execute
from agentsoc.engine.replay import replay
from agentsoc.events import Event
from agentsoc.log.read import RunLog
from agentsoc.scenario.model import Scenario
from tests.loose import register


def built(**blocks: Any) -> Scenario:
    """Return a scenario of exactly these blocks, with a name and a seed; nothing that a preset could be laid over."""
    register()
    return Scenario.model_validate({"name": "blocks", "seed": 5, **blocks})


def result(**blocks: Any) -> Result:
    """Run a scenario and return its totals."""
    with tempfile.TemporaryDirectory() as scratch:
        return asyncio.run(execute(Plan(built(**blocks), Path(scratch))))


def logged(check: bool = True, **blocks: Any) -> tuple[Result, list[Event]]:
    """Run a scenario, check that it replays, and return its totals and events."""
    with tempfile.TemporaryDirectory() as scratch:
        done = asyncio.run(execute(Plan(built(**blocks), Path(scratch))))
        assert not check or replay(scratch).digest == done.digest
        return done, list(RunLog(scratch).events())
