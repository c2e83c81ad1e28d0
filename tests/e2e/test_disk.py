"""A disk that refuses: the run stops and says so, what is on disk stays valid, and resuming gives the same end."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agentsoc.backends.scripted import ScriptedBackend
from agentsoc.engine import execute as execute_module
from agentsoc.engine.replay import replay
from agentsoc.engine.resume import resume
from agentsoc.engine.run import run
from agentsoc.errors import RunFailedError
from agentsoc.log.files import HOLDER
from agentsoc.log.inside import Inside
from agentsoc.log.journal import Journal, read_journal
from agentsoc.log.names import EVENTS, JOURNAL
from agentsoc.log.read import RunLog
from tests.e2e.test_crash import Life, outcomes, processes
from tests.loose import scenario
from tests.nightly import NIGHTLY

__all__ = ["processes"]  # the fixture

SMALL = scenario(
    tasks={"kind": "coin", "count": 2},
    agents={"count": 3},
    model={"accuracy": 0.7, "latency_s": 0.001, "fail_rate": 0.2},
    calls={"backoff_s": 0.0, "attempts": 6},
    engine={"concurrency": 2},
)


class Faults:
    """Counts the writes of a run, of whatever kind, and lets the n-th fail, or all from the n-th on."""

    def __init__(self, patched: pytest.MonkeyPatch, n: int, *, late: bool = False, for_good: bool = False) -> None:
        self.n = n
        self.late = late
        self.for_good = for_good
        self.made = 0
        self.failed = 0
        patched.setattr(Journal, "_commit", self.wrap(Journal._commit, sqlite3.OperationalError("disk I/O error")))
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        patched.setattr(Inside, "write", self.wrap(Inside.write, full))  # segments, tables, manifest and seal

    def wrap(self, write: Callable[..., Any], error: Exception) -> Callable[..., Any]:
        def write_or_fail(*args: Any, **options: Any) -> Any:
            if len(args) > 1 and args[1] == HOLDER:  # a courtesy that may fail
                return write(*args, **options)
            self.made += 1
            due = self.made == self.n or (self.for_good and self.made > self.n)
            if due:
                self.failed += 1
                if self.late:  # the data went out, the word that it arrived did not come back
                    write(*args)
                raise error
            return write(*args)

        return write_or_fail


@pytest.fixture
def bill(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The calls that the scripted model takes, as (task, round, agent, k, outcomes before)."""
    calls: list[tuple[int, ...]] = []
    complete = ScriptedBackend.complete

    async def billed(self: ScriptedBackend, request: Any) -> Any:
        hint = request.hint
        calls.append((hint.task, hint.round, hint.agent, hint.k, hint.attempt))
        return await complete(self, request)

    monkeypatch.setattr(ScriptedBackend, "complete", billed)
    return calls


@pytest.fixture(scope="module")
def digest(tmp_path_factory: pytest.TempPathFactory) -> str | None:
    return run(SMALL, tmp_path_factory.mktemp("undisturbed") / "run").manifest.digest


def faults(directory: Path, n: int, **how: bool) -> tuple[Faults, RunFailedError | None]:
    """Run with faults; return them and how the run ended."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(execute_module, "FLUSH_S", 0.004)  # often enough to be hit
        made = Faults(patched, n, **how)
        try:
            run(SMALL, directory)
        except RunFailedError as error:
            return made, error
    return made, None


@pytest.mark.parametrize("late", [False, True], ids=["not written", "written but not confirmed"])
@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for good"])
def test_whichever_write_fails_the_run_stops_and_resumes(
    tmp_path: Path, bill: list[tuple[int, ...]], digest: str | None, late: bool, for_good: bool
) -> None:
    """Writes fail in turns, each in two of the four ways; in all of them each night."""
    first, step = (1, 1) if NIGHTLY else (1 + (late != for_good), 2)
    for n in range(first, 1_000, step):
        directory = tmp_path / str(n)
        bill.clear()
        made, error = faults(directory, n, late=late, for_good=for_good)
        if not made.failed:
            assert error is None
            assert n > 15
            return
        assert error is not None
        assert error.exit_code == 1
        if not (directory / "manifest.json").exists():
            assert bill == []
            assert "start again" in str(error)
            continue
        assert "agentsoc resume" in str(error)
        log = RunLog(directory)
        assert log.manifest.status in ("running", "failed", "finished")
        list(log.events())
        bought, before = outcomes(list(log.journal())), len(bill)
        again = resume(directory)
        assert again.manifest.digest == digest
        again.check()
        assert not set(bill[before:]) & set(bought)
        assert replay(directory).digest == digest
        assert sorted(path.name for path in (directory / EVENTS).iterdir()) == [
            segment.file for segment in again.segments
        ]
        shutil.rmtree(directory)
    raise AssertionError("a run never got through")


def limited(life: Life, limit: int) -> int:
    child = life.start("run", file_limit=limit, settings={"FLUSH_S": 0.01})
    child.join(60)
    return child.exitcode or 0


@pytest.mark.parametrize("limit", [40_000, 80_000, 160_000, 300_000])
def test_files_that_may_not_grow_stop_a_run_that_resumes(life: Life, limit: int, whole: str | None) -> None:
    """A real refusal of the system in the middle of a write: a file size limit."""
    assert limited(life, limit) == 1
    bought, before = outcomes(life.rows()), len(life.calls())
    assert life.to_the_end("resume") == 0
    assert not set(life.calls()[before:]) & set(bought)
    assert RunLog(life.directory).manifest.digest == whole


@pytest.fixture
def life(processes: Any, tmp_path: Path) -> Life:
    return Life(processes, tmp_path)


@pytest.fixture(scope="module")
def whole(processes: Any, tmp_path_factory: pytest.TempPathFactory) -> str | None:
    """The digest of the victim's run when nothing is in its way."""
    life = Life(processes, tmp_path_factory.mktemp("whole"))
    assert life.to_the_end("run") == 0
    return RunLog(life.directory).manifest.digest


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 kB."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a small disk takes root")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("this system mounts nothing")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("left", [0, 16, 64, 128])
def test_a_full_disk_stops_a_run_that_resumes_when_there_is_space(
    processes: Any, tmp_path: Path, small_disk: Path, whole: str | None, left: int
) -> None:
    life = Life(processes, tmp_path)
    life.directory = small_disk / "run"
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes((256 - left) * 1024))
    assert life.to_the_end("run", settings={"FLUSH_S": 0.01}) == 1
    if not (life.directory / "manifest.json").exists():
        assert life.calls() == []
        return
    rows = list(read_journal(life.directory / JOURNAL))
    bought, before = outcomes(rows), len(life.calls())
    ballast.unlink()
    shutil.move(life.directory, tmp_path / "run")  # somewhere with room for all of it
    life.directory = tmp_path / "run"
    assert life.to_the_end("resume") == 0
    assert not set(life.calls()[before:]) & set(bought)
    assert max(Counter(life.calls()).values()) <= 2
    assert RunLog(life.directory).manifest.digest == whole
