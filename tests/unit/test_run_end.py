"""How a run ends: an interrupt that comes too late to stop anything leaves a finished run."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from agentsoc.engine.episode import Episode
from agentsoc.engine.execute import Plan, execute
from agentsoc.engine.replay import replay
from agentsoc.engine.resume import resume
from agentsoc.engine.run import run
from agentsoc.errors import InterruptedRunError, LogDamagedError
from agentsoc.events import Stop
from agentsoc.log.names import JOURNAL
from agentsoc.log.read import RunLog
from tests.strategies import scenario

N_TASKS = 3


def society(**engine: Any) -> Any:
    return scenario(tasks={"kind": "coin", "count": N_TASKS}, episodes="sequential", engine=engine)


def interrupt_after(task: int, monkeypatch: pytest.MonkeyPatch, stop: asyncio.Event, wait_s: float) -> None:
    """Ask for the end of the run as an episode has ended, and let the asking go as far as it comes in this time."""
    close = Episode._close

    async def close_and_ask(self: Episode, why: Stop) -> None:
        await close(self, why)
        if self.index == task:
            stop.set()
            await asyncio.sleep(wait_s)

    monkeypatch.setattr(Episode, "_close", close_and_ask)


@pytest.mark.parametrize("wait_s", [0.0, 0.01, 0.3], ids=["at once", "as calls are held", "after the tasks are let go"])
def test_an_interrupt_as_the_last_episode_ends_leaves_a_finished_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait_s: float
) -> None:
    undisturbed = run(society(), tmp_path / "undisturbed").manifest
    stop = asyncio.Event()
    interrupt_after(N_TASKS - 1, monkeypatch, stop, wait_s)
    directory = tmp_path / "run"
    directory.mkdir()
    asyncio.run(execute(Plan(society(), directory, stop=stop)))
    log = RunLog(directory)
    log.check()
    assert (log.manifest.status, log.manifest.digest) == ("finished", undisturbed.digest)
    assert log.manifest.totals == undisturbed.totals
    assert replay(directory).digest == undisturbed.digest


def test_an_interrupt_before_that_leaves_a_run_to_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    undisturbed = run(society(), tmp_path / "undisturbed").manifest
    stop = asyncio.Event()
    interrupt_after(N_TASKS - 2, monkeypatch, stop, 0.3)
    directory = tmp_path / "run"
    directory.mkdir()
    with pytest.raises(InterruptedRunError):
        asyncio.run(execute(Plan(society(), directory, stop=stop)))
    monkeypatch.undo()
    assert RunLog(directory).manifest.status == "interrupted"
    assert resume(directory).manifest.digest == undisturbed.digest


def test_a_stopped_run_goes_on_from_the_journal_that_it_ended_with_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that was lost would be bought again, one that was changed would be taken for what a model said."""
    stop = asyncio.Event()
    interrupt_after(N_TASKS - 2, monkeypatch, stop, 0.3)
    directory = tmp_path / "run"
    directory.mkdir()
    with pytest.raises(InterruptedRunError):
        asyncio.run(execute(Plan(society(), directory, stop=stop)))
    monkeypatch.undo()
    RunLog(directory).check()
    whole = (directory / JOURNAL).read_bytes()
    with contextlib.closing(sqlite3.connect(directory / JOURNAL, isolation_level=None)) as db:
        assert db.execute("DELETE FROM attempts WHERE task = 0 AND agent = 0").rowcount > 0
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = sorted(path.name for path in directory.iterdir())
    for act in (resume, lambda path: RunLog(path).check()):
        with pytest.raises(LogDamagedError, match="rows that are not the"):
            act(directory)
    assert RunLog(directory).manifest.status == "interrupted"
    assert sorted(path.name for path in directory.iterdir()) == before
    (directory / JOURNAL).write_bytes(whole)
    assert resume(directory).manifest.status == "finished"


def test_columns_that_are_all_computed_are_a_finished_run(tmp_path: Path) -> None:
    built = scenario(
        tasks={"kind": "signal", "count": N_TASKS},
        agents={"count": 5, "model": {"kind": "simulated", "signal": 0.1}},
        topology="independent",
        protocol="vote",
    )
    stop = asyncio.Event()
    stop.set()
    tmp_path.joinpath("run").mkdir()
    asyncio.run(execute(Plan(built, tmp_path / "run", stop=stop)))
    assert RunLog(tmp_path / "run").manifest.status == "finished"
