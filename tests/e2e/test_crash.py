"""A killed run goes on where it was: same digest, nothing paid for twice but what was in flight, nothing left behind.

12 kill points in the ordinary suite, 200 with AGENTSOC_NIGHTLY=1. The seeds are fixed; where a wall-clock kill hits is
up to the machine, and the claims hold wherever it does.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from agentsoc.cli.main import main
from agentsoc.contracts.model import Completion, Request
from agentsoc.engine.replay import replay
from agentsoc.engine.run import run
from agentsoc.errors import InterruptedRunError
from agentsoc.log.journal import Attempt, read_journal
from agentsoc.log.names import EPISODES, JOURNAL
from agentsoc.log.read import RunLog
from agentsoc.scenario.model import Scenario
from tests.e2e.victim import BILL, ENDS, STARTS, WHENS, BilledBackend, live, society
from tests.nightly import NIGHTLY

KILLS = 100 if NIGHTLY else 6
CONCURRENCY = 6
NO_PAUSE = {"FLUSH_S": 0.02, "FLUSHES": 10**9}
"""So that a short run writes its log as often as a long one."""
VOTERS: dict[str, Any] = {
    "name": "voters",
    "seed": 7,
    "tasks": {"kind": "signal", "count": 1_000},
    "agents": {"count": 9, "model": {"kind": "simulated", "signal": 0.3, "fidelity": 0.9, "latency_s": 0.5}},
    "topology": {"kind": "decentralized", "degree": 3},
    "protocol": {"kind": "debate", "rounds": 3},
    "budget": {"tokens_per_task": 40_000},
}
"""Simulated agents, computed as columns."""
BLOCKS = {**NO_PAUSE, "FLUSH_S": 0.0, "ROWS_AT_ONCE": 3_000}
"""So that their log is written in several parts."""


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    """Children of a server that has imported everything: a kill point costs milliseconds, not a start of Python."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.e2e.victim"])
    return context


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunLog]:
    """The run that nobody kills."""
    home = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(BILL, str(home / "bill"))
        yield run(society(), home / "run")


class Life:
    """A run directory and the processes that work on it, one after the other."""

    def __init__(self, processes: ForkServerContext, home: Path) -> None:
        self.processes = processes
        self.directory = home / "run"
        self.bill = home / "bill"
        self.sessions: list[int] = []

    def start(self, verb: str, **options: Any) -> BaseProcess:
        child = self.processes.Process(target=live, args=(verb, str(self.directory), str(self.bill)), kwargs=options)
        child.start()
        assert child.pid is not None
        self.sessions.append(child.pid)
        return child

    def to_the_end(self, verb: str, **options: Any) -> int:
        child = self.start(verb, **options)
        child.join(60)
        assert child.exitcode is not None, "the process did not end"
        return child.exitcode

    def said(self, child: BaseProcess) -> list[str]:
        """Return the seconds the child took, and its error's name and text if it had one."""
        return Path(f"{self.bill}.{child.pid}").read_text(encoding="utf-8").split("\n", 2)

    def calls(self) -> list[tuple[int, ...]]:
        """Return the calls that the model took, as (task, round, agent, k, outcomes before)."""
        lines = self.bill.read_text().splitlines() if self.bill.exists() else []
        return [tuple(map(int, line.split())) for line in lines]

    def rows(self) -> list[Attempt]:
        journal = self.directory / JOURNAL
        return list(read_journal(journal)) if (self.directory / "manifest.json").exists() else []

    def leftovers(self) -> list[int]:
        """Return the processes of the victims' sessions that are alive."""
        found = []
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = status.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) in self.sessions and fields[0] != "Z":
                found.append(int(status.parent.name))
        return found


@pytest.fixture
def life(processes: ForkServerContext, tmp_path: Path) -> Life:
    return Life(processes, tmp_path)


def outcomes(rows: list[Attempt]) -> dict[tuple[int, ...], Attempt]:
    """Return the rows with an outcome as (task, round, agent, k, outcomes before): what may never be bought again."""
    found: dict[tuple[int, ...], Attempt] = {}
    before: Counter[tuple[int, ...]] = Counter()
    for row in rows:
        if row.state != "started":
            call = (row.task, row.round, row.agent, row.k)
            found[(*call, before[call])] = row
            before[call] += 1
    return found


def names(directory: Path) -> set[str]:
    """Return what is in a run directory, but for the parts of its log: how many there are is up to the time it took."""
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.parent.name != "events"}


def look(directory: Path) -> str:
    """Check what a killed process left, which changes nothing; return the verb by which it goes on."""
    if not directory.exists():
        return "run"
    there = sorted(directory.rglob("*"))
    if not (directory / "manifest.json").exists():
        return "run"
    assert main(["check", str(directory)]) == 0
    assert sorted(directory.rglob("*")) == there
    return "resume"


def kill_and_resume(life: Life, undisturbed: RunLog, kills: list[dict[str, Any]]) -> None:
    """Kill as told, one process after the other, then let one finish; check everything that is promised."""
    verb, in_flight = "run", 0
    for kill in kills:
        child = life.start(verb, die=kill.get("die"), place=kill.get("place"), settings=kill.get("settings"))
        if "after_s" in kill:
            time.sleep(kill["after_s"])
            if child.is_alive():
                os.kill(child.pid or 0, signal.SIGKILL)
        child.join(60)
        assert child.exitcode == -signal.SIGKILL or (child.exitcode == 0 and "after_s" in kill)
        bought = outcomes(life.rows())
        before = life.calls()
        assert set(bought) <= set(before)
        in_flight += len(before) - len(set(before))
        verb = look(life.directory)
        assert verb == "resume" or before == []  # nothing was begun, so nothing was bought
    bought, before = outcomes(life.rows()), life.calls()
    assert life.to_the_end(verb) == 0
    after = life.calls()[len(before) :]
    assert not set(after) & set(bought), "a reply that was on disk has been bought again"
    assert len(after) == len(set(after))

    log = RunLog(life.directory)
    log.check()
    assert (log.manifest.status, log.manifest.digest) == ("finished", undisturbed.manifest.digest)
    episodes, whole = log.episodes(), undisturbed.episodes()
    assert episodes is not None
    assert whole is not None
    assert episodes.drop("charged", "tokens_lost", "calls_lost").equals(
        whole.drop("charged", "tokens_lost", "calls_lost"), null_equal=True
    )
    charged_more = int((episodes["charged"] - whole["charged"]).sum())
    assert charged_more == log.manifest.totals.tokens_lost - undisturbed.manifest.totals.tokens_lost
    rows = outcomes(log_rows(log))
    expected = outcomes(log_rows(undisturbed))
    assert {key: row.reply for key, row in rows.items()} == {key: row.reply for key, row in expected.items()}
    lost = [row for row in log_rows(log) if row.state == "started"]
    assert len(lost) <= CONCURRENCY * len(kills)
    twice = {key: n for key, n in Counter(life.calls()).items() if n > 1}
    assert sum(twice.values()) - len(twice) <= len(lost)
    assert log.manifest.totals.calls_lost == len(lost)
    assert life.leftovers() == []
    assert names(life.directory) == names(undisturbed.directory)
    found = replay(life.directory)
    assert (found.digest, found.model_calls) == (undisturbed.manifest.digest, 0)
    assert len(life.calls()) == len(before) + len(after)


def log_rows(log: RunLog) -> list[Attempt]:
    return list(log.journal())


def test_the_undisturbed_run_is_worth_disturbing(undisturbed: RunLog) -> None:
    assert 80 <= undisturbed.manifest.totals.calls <= 200
    assert {row.state for row in undisturbed.journal()} == {"done", "failed"}
    kinds = {event.kind for event in undisturbed.events()}
    assert {"propose_claim", "contradict_claim", "endorse_claim", "merge_claims"} <= kinds


@pytest.mark.parametrize("seed", range(KILLS))
def test_killed_at_a_commit_a_run_ends_as_if_it_had_not_been(life: Life, undisturbed: RunLog, seed: int) -> None:
    rng = random.Random(seed)
    row = rng.randint(1, 2 * undisturbed.manifest.totals.calls)  # a row before each call and one after it
    kill_and_resume(life, undisturbed, [{"die": (row, rng.choice(["before", "after"]))}])


@pytest.mark.parametrize("seed", range(KILLS))
def test_killed_at_any_time_and_again_a_run_ends_as_if_it_had_not_been(
    life: Life, undisturbed: RunLog, seed: int
) -> None:
    """One to three kills at random wall times; a resumed process is as mortal as the first one."""
    rng = random.Random(1_000 + seed)
    kills = [{"after_s": rng.uniform(0.0, 0.25)} for _ in range(rng.choice([1, 1, 2, 3]))]
    kill_and_resume(life, undisturbed, kills)


def some(places: tuple[tuple[str, int, str], ...]) -> list[tuple[str, int, str]]:
    """Return as many places as there are kills of each kind, the same ones every time."""
    return random.Random(3).sample(places, min(KILLS, len(places)))


@pytest.mark.parametrize("place", some(STARTS), ids=str)
def test_killed_before_it_has_a_manifest_a_run_is_started_again_in_its_place(
    life: Life, undisturbed: RunLog, place: tuple[str, int, str]
) -> None:
    kill_and_resume(life, undisturbed, [{"place": place}])
    assert not [row for row in life.rows() if row.state == "started"]


@pytest.mark.parametrize("place", some(ENDS), ids=str)
def test_killed_while_it_is_finished_a_run_is_finished_without_a_call(
    life: Life, undisturbed: RunLog, place: tuple[str, int, str]
) -> None:
    """Killed there and killed there again, so that the second process finds what the first one left."""
    kills = [{"place": place}, {"place": place}]
    if place == ENDS[-1]:  # its last act was done
        kills.pop()
    kill_and_resume(life, undisturbed, kills)
    assert sorted(life.calls()) == sorted(outcomes(life.rows()))


@pytest.mark.parametrize("when", WHENS)
@pytest.mark.parametrize("name", ["events", "manifest.json"])
def test_killed_in_a_flush_a_run_is_sound_and_goes_on(life: Life, undisturbed: RunLog, name: str, when: str) -> None:
    kill_and_resume(life, undisturbed, [{"place": (name, 2, when), "settings": NO_PAUSE}])


def test_killed_columns_end_as_if_they_had_not_been(life: Life, tmp_path: Path) -> None:
    """They cost nothing, so that not even a budget makes a difference: all totals and files of a result are equal."""
    whole = run(Scenario.model_validate(VOTERS), tmp_path / "whole")
    rng = random.Random(5)
    for number in range(KILLS):
        life.directory = tmp_path / f"run-{number}"
        verb = "run"
        for _ in range(rng.choice([1, 2])):
            place = rng.choice([*STARTS, *ENDS, *(("events", rng.randint(1, 6), when) for when in WHENS)])
            child = life.start(verb, whole=VOTERS, settings=BLOCKS, place=place)
            child.join(60)
            if child.exitcode == 0:  # a resumed process writes no tasks, say, before it has a manifest
                break
            assert child.exitcode == -signal.SIGKILL
            verb = look(life.directory)
        assert life.to_the_end("resume" if child.exitcode == 0 else verb, whole=VOTERS, settings=BLOCKS) == 0
        log = RunLog(life.directory)
        log.check()
        assert (log.manifest.digest, log.manifest.totals) == (whole.manifest.digest, whole.manifest.totals)
        assert (log.directory / EPISODES).read_bytes() == (whole.directory / EPISODES).read_bytes()
        assert names(log.directory) == names(whole.directory)
        assert replay(log.directory).digest == whole.manifest.digest
    assert life.leftovers() == []


def test_a_killed_run_with_a_budget_keeps_it_and_goes_on(life: Life) -> None:
    """What was in flight counts as spent, so the end may differ from the undisturbed one; the wall may not."""
    society()  # makes its parts known here, where the run is replayed
    changes = {"budget": {"tokens_per_task": 1_500}, "agents": {"count": 5, "max_tokens": 30}}
    child = life.start("run", die=(30, "after"), changes=changes)
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    bought = outcomes(life.rows())
    before = len(life.calls())
    assert life.to_the_end("resume") == 0
    assert not set(life.calls()[before:]) & set(bought)
    log = RunLog(life.directory)
    lost = [row for row in log.journal() if row.state == "started"]
    assert log.manifest.totals.calls_lost == len(lost) > 0
    for task in range(4):
        used = sum(event.tokens_in + event.tokens_out for event in log.events() if event.task == task)
        assert used + sum(row.reserved for row in lost if row.task == task) <= 1_500
    assert replay(life.directory).digest == log.manifest.digest


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_stops_in_order_and_goes_on(life: Life, undisturbed: RunLog, number: int) -> None:
    child = life.start("run")
    wait_for_calls(life, 20)
    began = time.monotonic()
    os.kill(child.pid or 0, number)
    child.join(10)
    assert time.monotonic() - began < 10
    assert child.exitcode == 130
    _, name, text = life.said(child)
    assert name == "InterruptedRunError"
    assert f"agentsoc resume {life.directory}" in text
    log = RunLog(life.directory)
    log.check()
    assert log.manifest.status == "interrupted"
    stored, whole = list(log.events()), list(undisturbed.events())
    for task in {event.task for event in stored}:  # of every episode all rounds that were committed
        of_task = [event for event in stored if event.task == task]
        assert of_task == [event for event in whole if event.task == task][: len(of_task)]
    assert log.manifest.totals.events == len(stored)
    assert log.manifest.totals.rounds == len({(event.task, event.round) for event in stored if event.agent >= 0})
    assert not [row for row in life.rows() if row.state == "started"]  # nothing was in flight that had to be cut
    before = len(life.calls())
    assert life.to_the_end("resume") == 0
    assert RunLog(life.directory).manifest.digest == undisturbed.manifest.digest
    assert sorted(life.calls()) == sorted(set(life.calls()))
    assert len(life.calls()) > before
    assert life.leftovers() == []


def test_after_an_interrupted_run_signals_do_what_they_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook or a test suite goes on after the run that it started."""
    monkeypatch.setenv(BILL, str(tmp_path / "bill"))
    complete = BilledBackend.complete
    calls = 0

    async def interrupting(self: BilledBackend, request: Request) -> Completion:
        nonlocal calls
        calls += 1
        if calls == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return await complete(self, request)

    monkeypatch.setattr(BilledBackend, "complete", interrupting)
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(InterruptedRunError):
        run(society(), tmp_path / "run")
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_an_interrupt_waits_for_a_slow_disk_to_take_what_was_paid_for(life: Life, undisturbed: RunLog) -> None:
    child = life.start("run", slow=(0.2, 1_000))
    wait_for_calls(life, 12)
    time.sleep(0.05)
    os.kill(child.pid or 0, signal.SIGINT)
    child.join(10)
    assert child.exitcode == 130
    assert set(outcomes(life.rows())) == set(life.calls())
    assert life.to_the_end("resume") == 0
    assert len(life.calls()) == len(set(life.calls()))
    assert RunLog(life.directory).manifest.digest == undisturbed.manifest.digest


def test_calls_that_do_not_come_back_are_given_up_after_the_grace(life: Life) -> None:
    child = life.start("run", changes={"latency_s": 30.0}, settings={"GRACE_S": 0.3})
    wait_for_calls(life, 6)
    began = time.monotonic()
    os.kill(child.pid or 0, signal.SIGINT)
    child.join(10)
    assert 0.25 < time.monotonic() - began < 5
    assert child.exitcode == 130
    assert len([row for row in life.rows() if row.state == "started"]) == CONCURRENCY
    assert life.leftovers() == []


def test_a_second_interrupt_is_obeyed_at_once(life: Life) -> None:
    child = life.start("run", changes={"latency_s": 30.0}, settings={"GRACE_S": 8.0})
    wait_for_calls(life, 6)
    os.kill(child.pid or 0, signal.SIGINT)
    time.sleep(0.3)
    assert child.is_alive()
    began = time.monotonic()
    os.kill(child.pid or 0, signal.SIGINT)
    child.join(10)
    assert time.monotonic() - began < 1
    assert child.exitcode == -signal.SIGINT
    assert len([row for row in life.rows() if row.state == "started"]) == CONCURRENCY


def test_of_two_resumes_exactly_one_goes_on(life: Life, undisturbed: RunLog) -> None:
    child = life.start("run", die=(40, "after"))
    child.join(60)
    begin = life.processes.Barrier(2)
    # the loser has to meet the winner: it is given no time to finish
    children = [life.start("resume", begin=begin, slow=(1.5, 1)) for _ in range(2)]
    for child in children:
        child.join(60)
    winner, loser = sorted(children, key=lambda child: child.exitcode or 0)
    assert winner.exitcode == 0
    seconds, name, text = life.said(loser)
    assert float(seconds) < 1
    assert name == "RunLockedError"
    assert f"process {winner.pid} on " in text
    assert RunLog(life.directory).manifest.digest == undisturbed.manifest.digest


def test_a_slow_resume_does_not_buy_what_a_quick_one_bought_meanwhile(life: Life, undisturbed: RunLog) -> None:
    """What is known of a run is read under its lock, so nobody can go on from what was true a while ago."""
    child = life.start("run", die=(40, "after"))
    child.join(60)
    slow = life.start("resume", read_s=1.0)
    time.sleep(0.5)
    quick = life.start("resume")
    for child in (slow, quick):
        child.join(60)
    assert sorted([slow.exitcode or 0, quick.exitcode or 0]) == [0, 2]
    lost = [row for row in life.rows() if row.state == "started"]
    assert len(life.calls()) - len(set(life.calls())) <= len(lost)
    assert RunLog(life.directory).manifest.digest == undisturbed.manifest.digest


def wait_for_calls(life: Life, n: int) -> None:
    give_up = time.monotonic() + 30
    while len(life.calls()) < n:
        assert time.monotonic() < give_up
        time.sleep(0.005)
