"""A run that is being written with a viewer on it: new rounds appear, and its log is that of a run left alone."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from agentsoc import run
from agentsoc.backends.scripted import ScriptedBackend
from agentsoc.engine.transcript import events_so_far
from agentsoc.log.read import RunLog
from agentsoc.scenario.model import Scenario
from agentsoc.testing import small_scenario
from analysis.viewer.server import answers
from tests.view_served import data, viewer

GOLDEN: Final = Path(__file__).parents[1] / "golden" / "format-2"
CALLS_OF_A_ROUND: Final = 8
"""Four agents in two tasks."""


def scenario() -> Scenario:
    return small_scenario(
        name="watched",
        tasks={"kind": "multiple-choice", "count": 2},
        agents={"count": 4, "model": {"kind": "scripted", "accuracy": 0.6}},
        topology={"kind": "decentralized", "degree": 2},
        protocol={"kind": "debate", "rounds": 3},
    )


class Gate:
    """Lets calls through up to a number, and holds the others."""

    def __init__(self) -> None:
        self.allowed = 0
        self.begun = 0

    def patch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        complete = ScriptedBackend.complete

        async def gated(backend: Any, request: Any) -> Any:
            number = self.begun
            self.begun += 1
            while number >= self.allowed:  # noqa: ASYNC110 - other threads open the gate
                await asyncio.sleep(0.005)
            return await complete(backend, request)

        monkeypatch.setattr(ScriptedBackend, "complete", gated)


def until(found: Any) -> Any:
    """Return what a function gives once it is something; it has 20 seconds."""
    end = time.monotonic() + 20
    while not (value := found()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)
    return value


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, Gate, threading.Thread]]:
    """A run that holds before its first call."""
    gate = Gate()
    gate.patch(monkeypatch)
    thread = threading.Thread(target=run, args=(scenario(), tmp_path / "runs" / "watched"), daemon=True)
    thread.start()
    until(lambda: gate.begun >= CALLS_OF_A_ROUND)
    yield tmp_path / "runs", gate, thread
    gate.allowed = 10**9
    thread.join(30)


def test_new_rounds_appear_and_the_log_is_that_of_an_unwatched_run(
    watched: tuple[Path, Gate, threading.Thread], tmp_path: Path
) -> None:
    root, gate, thread = watched
    with viewer(root) as server:

        def rounds() -> list[int]:
            return [line["round"] for line in data(server, "episode", place="watched", task=0)["rounds"]]

        assert rounds() == []
        before = data(server, "state", place="watched")["stamp"]
        run_ = data(server, "run", place="watched")
        assert (run_["status"], run_["digest"]) == ("running", None)
        assert sum(line["started"] for line in run_["live"]["rounds"]) == CALLS_OF_A_ROUND
        for n in (1, 2):
            gate.allowed = n * CALLS_OF_A_ROUND
            assert until(lambda n=n: rounds() == list(range(n)))
            told = events_so_far(root / "watched", 0)
            shown = data(server, "events", place="watched", task=0)
            assert shown["total"] == len(told) > 0
            live = data(server, "run", place="watched")["live"]
            assert sum(line["done"] for line in live["rounds"]) == n * CALLS_OF_A_ROUND
            turns = data(server, "transcript", place="watched", task=0, agent=1)["turns"]
            assert [turn["round"] for turn in turns] == list(range(n))
            assert all(call["reply"] and call["as_sent"] for turn in turns for call in turn["calls"])
        assert data(server, "state", place="watched")["stamp"] != before
        gate.allowed = 10**9
        thread.join(30)
        log = RunLog(root / "watched")
        assert until(lambda: data(server, "run", place="watched")["digest"]) == log.manifest.digest
        first = [event for event in log.events() if event.task == 0]
        assert first[: len(told)] == told
        assert data(server, "events", place="watched", task=0)["total"] == len(first)
    alone = run(scenario(), tmp_path / "alone")
    assert alone.manifest.digest == log.manifest.digest


def test_the_browser_shows_new_rounds_by_itself(watched: tuple[Path, Gate, threading.Thread]) -> None:
    pytest.importorskip("playwright", reason="no playwright here: it is one of the development packages")
    from playwright.sync_api import expect

    from tests.browsing import browser, looking, to

    root, gate, thread = watched
    with viewer(root) as server, browser() as chrome, looking(chrome, server) as (page, _):
        to(page, "#run?place=watched")
        expect(page.get_by_text(f"0 calls answered, {CALLS_OF_A_ROUND} in flight")).to_be_visible()
        page.get_by_role("link", name="task 0", exact=True).click()
        expect(page.locator("output")).to_have_text("no round yet")
        gate.allowed = CALLS_OF_A_ROUND
        expect(page.locator("output")).to_have_text("round 0, 1 of 1", timeout=15_000)
        gate.allowed = 10**9
        thread.join(30)
        expect(page.get_by_text("This run goes on")).to_have_count(0, timeout=15_000)
        expect(page.locator("output")).to_contain_text("of 4")
        expect(page.locator("dl.about")).to_contain_text("finished")


def test_a_large_run_is_not_replayed_from_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(GOLDEN / "debated", tmp_path / "debated")
    with viewer(tmp_path) as server:
        assert data(server, "run", place="debated")["can_replay"] is True
    monkeypatch.setattr(answers, "REPLAY_MAX", 1)
    with viewer(tmp_path) as server, pytest.raises(AssertionError, match="agentsoc replay does it"):
        data(server, "replay", place="debated")


def test_the_command_prints_an_address_and_ends_in_order(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "debated", tmp_path / "debated")
    command = [sys.executable, "-m", "agentsoc", "view", str(tmp_path), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env={**os.environ, "PYTHONUNBUFFERED": "1"}) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            assert re.fullmatch(
                rf"showing {re.escape(str(tmp_path))} at http://127\.0\.0\.1:\d+/\?token=[\w-]{{43}}\n", said
            )
            assert process.stdout.readline() == "Ctrl-C ends it\n"
            with urllib.request.urlopen(said.split(" at ")[1].strip(), timeout=20) as answer:
                assert answer.status == 200
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (process.returncode, out, err) == (0, "ended\n", "")
