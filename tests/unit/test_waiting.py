"""Every verb can be called where an event loop is running, as in a notebook; an interrupt ends its work in order."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import agentsoc
from agentsoc.engine import interrupt as interrupt_module
from agentsoc.engine.replay import InterruptedReplayError
from agentsoc.engine.run import Progress
from agentsoc.engine.waiting import STOP, wait_for
from agentsoc.errors import InputError, InterruptedRunError
from agentsoc.experiment.comparison import parse_comparison
from agentsoc.experiment.grid import Grid, make_grid
from agentsoc.experiment.runner import InterruptedComparisonError
from agentsoc.log.journal import load_journal
from agentsoc.log.names import JOURNAL
from agentsoc.scenario.files import BASE_DIR
from tests.strategies import scenario

SLOW = {"agents": {"count": 5, "model": {"kind": "scripted", "accuracy": 0.7, "latency_s": 0.05}}}
LONG = {**SLOW, "tasks": {"kind": "coin", "count": 200}, "engine": {"concurrency": 4}}
"""Some 12 s of calls of 0.05 s each."""
COMPARISON = """
name: two
base:
  tasks: {kind: comparison, count: 3}
  agents: {count: 3, model: {kind: simulated, signal: 0.4}}
organisations:
  alone: {topology: independent, protocol: vote}
  talk: {topology: decentralized, protocol: debate}
"""


def in_a_loop(call: Callable[[], Any]) -> Any:
    """Call a plain function where a loop is running that leaves SIGINT alone, like that of a notebook."""

    async def cell() -> Any:
        return call()

    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(cell())
    finally:
        loop.close()


@pytest.fixture
def ordinary_interrupts() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupted_when(ready: Callable[[], bool], again_after_s: float | None = None) -> threading.Thread:
    """Interrupt this process, as Ctrl-C does, as soon as something is so, and a second time a while later."""

    def interrupt() -> None:
        give_up = time.monotonic() + 60
        while not ready() and time.monotonic() < give_up:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)
        if again_after_s is not None:
            time.sleep(again_after_s)
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt, daemon=True)
    thread.start()
    return thread


async def where() -> tuple[int, Path | None, asyncio.Event | None]:
    seen = BASE_DIR.get()
    BASE_DIR.set(Path("of the work"))
    return threading.get_ident(), seen, STOP.get()


def test_work_is_done_in_the_calling_thread_where_no_loop_is_running() -> None:
    assert wait_for(where()) == (threading.get_ident(), None, None)


def test_work_in_a_running_loop_has_a_thread_of_its_own_and_the_callers_context() -> None:
    def call() -> None:
        BASE_DIR.set(Path("of the caller"))
        thread, seen, stop = wait_for(where())
        assert thread != threading.get_ident()
        assert (seen, stop is not None, stop is not None and stop.is_set()) == (Path("of the caller"), True, False)
        assert (BASE_DIR.get(), STOP.get()) == (Path("of the caller"), None)

    in_a_loop(call)


@pytest.mark.parametrize("error", [InputError("no"), TimeoutError("late"), KeyError("missing")])
def test_an_error_of_the_work_is_the_callers(error: Exception) -> None:
    async def fail() -> None:
        raise error

    with pytest.raises(type(error)) as found:
        in_a_loop(lambda: wait_for(fail()))
    assert found.value is error


def test_every_verb_works_inside_a_running_loop(tmp_path: Path) -> None:
    outside = agentsoc.run(scenario(), tmp_path / "outside").manifest
    grid = make_grid(parse_comparison(COMPARISON))

    def cell() -> None:
        done = agentsoc.run(scenario(), tmp_path / "inside")
        assert done.manifest.digest == outside.digest
        assert agentsoc.replay(done.directory).digest == outside.digest
        assert agentsoc.resume(done.directory).manifest.digest == outside.digest
        forked = agentsoc.fork(done.directory, 2, 0, scenario(protocol="debate"), tmp_path / "forked")
        assert agentsoc.replay(forked.directory).digest == forked.manifest.digest
        for compare in (agentsoc.run_comparison, agentsoc.compare):
            compared = compare(grid, tmp_path / compare.__name__, workers=2)
            assert compared.record.status == "finished"

    in_a_loop(cell)


def test_every_verb_has_a_twin_to_await(tmp_path: Path) -> None:
    outside = agentsoc.run(scenario(), tmp_path / "outside").manifest
    grid = make_grid(parse_comparison(COMPARISON))

    async def cell() -> None:
        base = BASE_DIR.get()
        done = await agentsoc.run_async(scenario(), tmp_path / "inside")
        assert done.manifest.digest == outside.digest
        assert (await agentsoc.replay_async(done.directory)).digest == outside.digest
        assert (await agentsoc.resume_async(done.directory)).manifest.digest == outside.digest
        forked = await agentsoc.fork_async(done.directory, 2, 0, scenario(protocol="debate"), tmp_path / "forked")
        assert (await agentsoc.replay_async(forked.directory)).digest == forked.manifest.digest
        assert (await agentsoc.compare_async(grid, tmp_path / "two", workers=2)).record.status == "finished"
        assert BASE_DIR.get() == base  # where files are looked up is the caller's business

    asyncio.run(cell())


def test_a_replay_in_a_thread_leaves_the_loop_free(tmp_path: Path) -> None:
    """A replay computes in long stretches; the documentation names this way out."""
    done = agentsoc.run(scenario(tasks={"kind": "comparison", "count": 60}, protocol="debate"), tmp_path / "run")

    async def beats(work: asyncio.Task[Any]) -> int:
        seen = 0
        while not work.done():
            await asyncio.wait({work}, timeout=0.005)
            seen += 1
        return seen

    async def main() -> int:
        work = asyncio.create_task(asyncio.to_thread(agentsoc.replay, done.directory))
        seen = await beats(work)
        assert work.result().digest == done.manifest.digest
        return seen

    assert asyncio.run(main()) > 1


def test_progress_can_be_read_while_a_run_goes_on_inside_a_loop(tmp_path: Path) -> None:
    progress, seen = Progress(), []
    ended = threading.Event()

    def read() -> None:
        while not ended.wait(0.02):
            seen.append(progress.pace.episodes)

    reader = threading.Thread(target=read)
    reader.start()
    few = {**LONG, "tasks": {"kind": "coin", "count": 20}, "episodes": "sequential"}
    try:
        in_a_loop(lambda: agentsoc.run(scenario(**few), tmp_path / "run", progress=progress))
    finally:
        ended.set()
        reader.join()
    assert progress.pace.episodes == 20
    assert {number for number in seen if 0 < number < 20}


@pytest.mark.usefixtures("ordinary_interrupts")
def test_an_interrupt_ends_a_run_in_order_and_is_raised(tmp_path: Path) -> None:
    directory, progress = tmp_path / "run", Progress()
    thread = interrupted_when(lambda: progress.pace.episodes > 3)
    with pytest.raises(KeyboardInterrupt, match="agentsoc resume") as found:
        in_a_loop(lambda: agentsoc.run(scenario(**LONG), directory, progress=progress))
    thread.join()
    assert isinstance(found.value.__cause__, InterruptedRunError)
    log = agentsoc.RunLog(directory)
    assert log.manifest.status == "interrupted"
    log.check()
    assert not [row for row in load_journal(directory / JOURNAL)[0].values() if row.state == "started"]


@pytest.mark.usefixtures("ordinary_interrupts")
def test_a_second_interrupt_does_not_wait_for_calls_in_flight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = {"kind": "scripted", "accuracy": 0.7, "latency_s": 60}
    slow = {"agents": {"count": 5, "model": model}, "calls": {"timeout_s": 300}}
    directory, progress = tmp_path / "run", Progress()
    monkeypatch.setattr(interrupt_module, "GRACE_S", 60.0)
    thread = interrupted_when(lambda: progress.flight.running > 0, again_after_s=0.5)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        in_a_loop(lambda: agentsoc.run(scenario(**slow), directory, progress=progress))
    thread.join()
    assert time.monotonic() - began < 50
    assert agentsoc.RunLog(directory).manifest.status in ("interrupted", "failed")


@pytest.mark.usefixtures("ordinary_interrupts")
def test_an_interrupt_ends_a_comparison_in_order(tmp_path: Path) -> None:
    slow = COMPARISON.replace("comparison, count: 3", "comparison, count: 40")
    slow = slow.replace("simulated, signal: 0.4", "scripted, accuracy: 0.7, latency_s: 0.2")
    grid: Grid = make_grid(parse_comparison(slow))
    progress = Progress()
    thread = interrupted_when(lambda: progress.pace.episodes > 2)
    with pytest.raises(KeyboardInterrupt, match="agentsoc compare") as found:
        in_a_loop(lambda: agentsoc.compare(grid, tmp_path / "two", progress=progress))
    thread.join()
    assert isinstance(found.value.__cause__, InterruptedComparisonError)
    assert agentsoc.compare(grid, tmp_path / "two", concurrency=64).record.status == "finished"


def test_an_interrupted_replay_has_changed_nothing_and_says_so(tmp_path: Path) -> None:
    done = agentsoc.run(scenario(), tmp_path / "run")
    before = {path: path.read_bytes() for path in done.directory.rglob("*") if path.is_file()}

    async def stopped() -> None:
        STOP.set(asyncio.Event())
        stop = STOP.get()
        assert stop is not None
        stop.set()
        await agentsoc.replay_async(done.directory)

    with pytest.raises(InterruptedReplayError, match="a replay changes nothing"):
        asyncio.run(stopped())
    assert {path: path.read_bytes() for path in done.directory.rglob("*") if path.is_file()} == before


ASYNC_PROGRAM = """
import asyncio, sys
import agentsoc
from tests.strategies import scenario
from tests.unit.test_waiting import LONG

async def main():
    print("begun", flush=True)
    agentsoc.run(scenario(**LONG), sys.argv[1])

asyncio.run(main())
"""


def test_one_interrupt_is_enough_in_a_program_that_is_asynchronous_itself(tmp_path: Path) -> None:
    """`asyncio.run` answers the first Ctrl-C by cancelling its task, which is waiting here without awaiting."""
    child = subprocess.Popen(
        [sys.executable, "-c", ASYNC_PROGRAM, str(tmp_path / "run")],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    journal = tmp_path / "run" / JOURNAL
    give_up = time.monotonic() + 60
    while not journal.exists() and time.monotonic() < give_up:
        time.sleep(0.02)
    time.sleep(0.5)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=90)
    assert child.returncode == -signal.SIGINT, err
    assert "agentsoc resume" in err
    assert agentsoc.RunLog(tmp_path / "run").manifest.status == "interrupted"
