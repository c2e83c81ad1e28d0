"""Signals end all work that listens, and mean what they meant before when the last of it has ended, in any order."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agentsoc.engine.interrupt import first_signal
from agentsoc.engine.loop import fewer_collections
from agentsoc.log.read import RunLog

BOTH = (signal.SIGINT, signal.SIGTERM)
PROGRAM = """
import asyncio, signal, sys, threading
import agentsoc
from agentsoc.engine.run import Progress
from tests.strategies import scenario
from tests.unit.test_waiting import LONG

FEW = {**LONG, "tasks": {"kind": "coin", "count": 12}}
ends, out = sys.argv[1], sys.argv[2]

async def until(ready):
    while not ready():
        await asyncio.sleep(0.01)

async def main():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    of_a, of_b = Progress(), Progress()
    a = asyncio.create_task(agentsoc.run_async(scenario(**FEW), out + "/a", progress=of_a))
    await until(lambda: of_a.pace.episodes)
    longer = FEW if ends == "both" else LONG
    b = asyncio.create_task(agentsoc.run_async(scenario(**longer), out + "/b", progress=of_b))
    await until(lambda: of_b.pace.episodes)
    if ends == "none":
        assert not a.done()
    else:
        await a
    if ends == "both":
        await b
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    print("ready", flush=True)
    if ends == "both":
        await asyncio.sleep(60)
    for error in await asyncio.gather(a, b, return_exceptions=True):
        print(type(error).__name__, flush=True)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before

asyncio.run(main())
"""


def signalled(program: str, number: signal.Signals, *arguments: str) -> tuple[int, str, str]:
    """Run a program, send it a signal when it says that it is ready, and return its exit code and what it printed."""
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        ready = child.stdout.readline()
        child.send_signal(number)
        out, err = child.communicate(timeout=60)
        assert ready == "ready\n", err
        return child.returncode, out, err


@pytest.mark.parametrize("number", BOTH)
def test_signals_stop_the_process_again_when_runs_that_overlapped_have_ended(
    number: signal.Signals, tmp_path: Path
) -> None:
    code, _, err = signalled(PROGRAM, number, "both", str(tmp_path))
    assert code == -number, err
    assert {RunLog(tmp_path / name).manifest.status for name in "ab"} == {"finished"}


@pytest.mark.parametrize("number", BOTH)
def test_a_run_is_wound_down_also_when_one_that_began_before_has_ended(number: signal.Signals, tmp_path: Path) -> None:
    code, out, err = signalled(PROGRAM, number, "first", str(tmp_path))
    assert (code, out) == (0, "Run\nInterruptedRunError\n"), err
    assert RunLog(tmp_path / "b").manifest.status == "interrupted"
    RunLog(tmp_path / "b").check()


@pytest.mark.parametrize("number", BOTH)
def test_all_runs_that_go_on_are_wound_down(number: signal.Signals, tmp_path: Path) -> None:
    code, out, err = signalled(PROGRAM, number, "none", str(tmp_path))
    assert (code, out) == (0, "InterruptedRunError\n" * 2), err
    assert {RunLog(tmp_path / name).manifest.status for name in "ab"} == {"interrupted"}


AGAIN = """
import asyncio, signal, time
from agentsoc.engine.interrupt import first_signal

async def main():
    told = asyncio.Event()
    with first_signal(told.set), first_signal(lambda: None):
        print("ready", flush=True)
        await told.wait()
        signal.raise_signal(signal.SIGTERM)
        time.sleep(60)

asyncio.run(main())
"""


def test_a_second_signal_ends_the_process_at_once() -> None:
    code, _, err = signalled(AGAIN, signal.SIGINT)
    assert code == -signal.SIGTERM, err


THREAD = """
import asyncio, signal, threading
from agentsoc.engine.interrupt import first_signal

begun, go_on = threading.Event(), threading.Event()

async def beside():
    with first_signal(lambda: print("beside", flush=True)):
        begun.set()
        await asyncio.to_thread(go_on.wait)

async def main():
    told = asyncio.Event()
    with first_signal(told.set):
        thread = threading.Thread(target=lambda: asyncio.run(beside()))
        thread.start()
        await asyncio.to_thread(begun.wait)
        print("ready", flush=True)
        await told.wait()
        print("told", flush=True)
        go_on.set()
        await asyncio.to_thread(thread.join)

asyncio.run(main())
"""


def test_work_in_another_thread_changes_nothing(tmp_path: Path) -> None:
    code, out, err = signalled(THREAD, signal.SIGTERM)
    assert (code, out) == (0, "told\n"), err


@pytest.fixture
def handlers() -> Iterator[None]:
    """Put back what stood before the test, whatever it leaves."""
    before = {number: signal.getsignal(number) for number in BOTH}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def ours() -> Any:
    return signal.getsignal(signal.SIGINT)


async def interrupted() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.sleep(0.05)


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("order", ["ab", "ba"])
def test_handlers_come_back_with_the_last_of_a_notebooks_runs_in_any_order(order: str) -> None:
    """A kernel ignores signals between cells, and puts a handler of its own in place for each."""
    told: list[str] = []

    async def kernel() -> None:
        work = {name: contextlib.ExitStack() for name in "ab"}
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        work["a"].enter_context(first_signal(lambda: told.append("a")))  # a task that an earlier cell began
        between = signal.signal(signal.SIGINT, signal.default_int_handler)  # a cell begins
        work["b"].enter_context(first_signal(lambda: told.append("b")))
        await interrupted()
        assert told == ["a", "b"]
        for name in order:
            work[name].close()
            if name == "b":
                assert ours() == signal.default_int_handler
                signal.signal(signal.SIGINT, between)  # the cell ends
        if order == "ba":
            assert ours() == signal.SIG_IGN
        else:  # the kernel put our handler back: it does what there would be without it
            os.kill(os.getpid(), signal.SIGINT)
            with first_signal(lambda: told.append("c")):
                await interrupted()
            assert (told[2:], ours()) == (["c"], signal.SIG_IGN)

    asyncio.run(kernel())


@pytest.mark.usefixtures("handlers")
def test_work_that_begins_after_a_signal_is_told_of_the_next_one() -> None:
    told: list[str] = []

    async def main() -> None:
        before = ours()
        with first_signal(lambda: told.append("a")):
            await interrupted()
            assert ours() == signal.SIG_DFL
            with first_signal(lambda: told.append("b")):
                await interrupted()
            assert ours() == signal.SIG_DFL  # nobody is left to tell
        assert (told, ours()) == (["a", "b"], before)

    asyncio.run(main())


@pytest.mark.usefixtures("handlers")
def test_work_whose_loop_stands_still_does_not_keep_an_interrupt_from_others() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    told: list[str] = []

    async def work(name: str, ends: Callable[[], Any]) -> None:
        with first_signal(lambda: hear(name)):
            await ends()

    def hear(name: str) -> None:
        told.append(name)
        if name == "a":
            heard.set()

    heard = asyncio.Event()
    loop = asyncio.new_event_loop()
    task = loop.create_task(work("a", heard.wait))
    loop.run_until_complete(asyncio.sleep(0))
    with pytest.raises(KeyboardInterrupt):  # nothing of the standing loop could answer
        signal.raise_signal(signal.SIGINT)
    other = asyncio.new_event_loop()
    other.run_until_complete(work("b", lambda: asyncio.sleep(0)))
    other.run_until_complete(work("c", interrupted))
    other.close()
    assert told == ["c"]
    loop.run_until_complete(task)
    loop.close()
    assert (told, ours()) == (["c", "a"], signal.default_int_handler)


@pytest.mark.usefixtures("handlers")
def test_work_of_a_closed_loop_is_forgotten() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    told: list[str] = []
    loop, left = asyncio.new_event_loop(), contextlib.ExitStack()

    async def begin() -> None:
        left.enter_context(first_signal(lambda: told.append("a")))

    async def work() -> None:
        with first_signal(lambda: told.append("b")):
            await interrupted()

    loop.run_until_complete(begin())
    loop.close()
    other = asyncio.new_event_loop()
    other.run_until_complete(work())
    other.close()
    assert (told, ours()) == (["b"], signal.default_int_handler)
    left.close()
    assert ours() == signal.default_int_handler


def test_the_garbage_collector_is_as_before_when_runs_that_overlapped_have_ended() -> None:
    before = gc.get_threshold()
    one, other = contextlib.ExitStack(), contextlib.ExitStack()
    one.enter_context(fewer_collections())
    other.enter_context(fewer_collections())
    one.close()
    assert gc.get_threshold()[0] > before[0]
    other.close()
    assert gc.get_threshold() == before
