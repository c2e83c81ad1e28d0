"""Who makes which run of a comparison, what comes of it when hosts die, and what is believed of what they send."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentsoc.engine.run import run
from agentsoc.errors import InputError, LogDamagedError, RunFailedError
from agentsoc.experiment.comparison import parse_comparison
from agentsoc.experiment.far_cells import far_cells
from agentsoc.experiment.far_runs import FarRun, carry_out_all
from agentsoc.experiment.grid import make_grid
from agentsoc.experiment.spread import (
    Answer,
    CellPool,
    FarHost,
    HostDiedError,
    Spread,
    SpreadMeans,
    away,
    clear_incoming,
    stays_here,
)
from agentsoc.log.parcel import contents, listed
from agentsoc.log.read import RunLog
from agentsoc.scenario.model import Scenario
from tests.strategies import SIMULATED, scenario

LIVE = scenario(tasks={"kind": "coin", "count": 3})
PURE = scenario(tasks={"kind": "coin", "count": 3}, agents={"count": 3, "model": SIMULATED})


class Hosts:
    """Hosts that answer at once, or as a test says."""

    def __init__(self, n: int, act: Callable[[FarHost, Path], None] = lambda *_: None) -> None:
        self.hosts = [FarHost(index) for index in range(n)]
        self.act, self.gone = act, False
        self.asked: list[tuple[int, str]] = []

    async def carry_out(self, host: FarHost, directory: Path, asked: Scenario) -> Answer:
        self.asked.append((host.index, directory.name))
        await asyncio.sleep(0)
        self.act(host, directory)
        return Answer("finished", None, ())

    def ended(self) -> RunFailedError:
        return RunFailedError("no host is left")


class Heard:
    def __init__(self) -> None:
        self.said: dict[str, list[str]] = {}

    def begun(self, name: str) -> None:
        self.said.setdefault(name, []).append("begun")

    def made(self, name: str, answer: Answer) -> None:
        self.said[name].append(answer.status)

    def refused(self, name: str, error: str) -> None:
        self.said[name].append(error)

    def lost(self, name: str) -> None:
        self.said[name].append("lost")


def made(hosts: Hosts, n: int = 7, stop: asyncio.Event | None = None) -> Heard:
    heard = Heard()
    runs = [FarRun(str(at), Path(str(at)), PURE if at % 2 else LIVE) for at in range(n)]

    async def body() -> None:
        await carry_out_all(hosts, runs, heard, stop or asyncio.Event())  # type: ignore[arg-type]

    asyncio.run(body())
    return heard


def test_every_run_is_made_once_and_every_host_makes_some() -> None:
    hosts = Hosts(3)
    heard = made(hosts)
    assert heard.said == {str(at): ["begun", "finished"] for at in range(7)}
    assert {index for index, _ in hosts.asked} == {0, 1, 2}


def test_a_run_that_is_lost_with_its_host_is_made_again() -> None:
    dead: list[str] = []

    def act(host: FarHost, directory: Path) -> None:
        if len(dead) < 2:
            dead.append(directory.name)
            raise HostDiedError

    heard = made(Hosts(2, act))
    for name, said in heard.said.items():
        assert said == [*["begun", "lost"] * dead.count(name), "begun", "finished"]
    assert len(dead) == 2


def test_runs_of_a_host_that_cannot_be_replaced_go_to_others_and_without_any_it_is_told() -> None:
    def first(host: FarHost, directory: Path) -> None:
        if host.index == 0:
            host.given_up = True
            raise HostDiedError

    heard = made(Hosts(2, first))
    assert {said[-1] for said in heard.said.values()} == {"finished"}

    def each(host: FarHost, directory: Path) -> None:
        host.given_up = True
        raise HostDiedError

    with pytest.raises(RunFailedError, match="no host is left"):
        made(Hosts(2, each))


def test_a_run_that_is_lost_when_all_other_hosts_have_ended_is_made_by_one_of_them() -> None:
    class Slow(Hosts):
        async def carry_out(self, host: FarHost, directory: Path, asked: Scenario) -> Answer:
            if host.index == 1 and not host.given_up:
                await asyncio.sleep(0.1)  # host 0 has made all others by then
                host.given_up = True
                raise HostDiedError
            return await super().carry_out(host, directory, asked)

    hosts = Slow(2)
    heard = made(hosts)
    assert {said[-1] for said in heard.said.values()} == {"finished"}
    assert {index for index, _ in hosts.asked} == {0}


def test_a_run_that_fails_keeps_no_other_from_being_made() -> None:
    def act(host: FarHost, directory: Path) -> None:
        if directory.name == "3":
            raise LogDamagedError("this is not the run", "host 0")

    heard = made(Hosts(2, act))
    assert [said[-1] for name, said in heard.said.items() if name != "3"] == ["finished"] * 6
    assert "this is not the run" in heard.said["3"][-1]


def test_nothing_is_begun_after_a_request_to_stop() -> None:
    stop = asyncio.Event()
    heard = made(Hosts(1, lambda *_: stop.set()), stop=stop)
    assert sum(said == ["begun", "finished"] for said in heard.said.values()) < 7


# Who stays


COMPARED = """
name: c
{total}
base:
  tasks: {{kind: sentiment, count: 2}}
  budget: {{tokens_per_task: 900}}
organisations:
  computed: {{agents: {{count: 3, model: {{kind: simulated}}}}, topology: star, protocol: aggregate}}
  asked: {{agents: {{count: 3, model: scripted}}, topology: star, protocol: aggregate}}
"""


def cells(tmp_path: Path, total: str = "") -> tuple[list[str], dict[str, int]]:
    text = COMPARED.format(total=total)
    if total:
        text = text.replace("  budget: {tokens_per_task: 900}\n", "")
    found, kept = far_cells(make_grid(parse_comparison(text)), tmp_path)
    return [one.name for one in found], kept


def test_runs_under_one_wall_stay_where_what_they_are_charged_cannot_be_lost(tmp_path: Path) -> None:
    both = ["computed-n3-sentiment-s0", "asked-n3-sentiment-s0"]
    assert cells(tmp_path) == (both, {})
    assert cells(tmp_path, "budget_total: {tokens: 100000}") == (
        both[:1],
        {"its budget is part of one over all runs": 1},
    )


def test_a_run_that_was_begun_stays_here(tmp_path: Path) -> None:
    place = tmp_path / "runs" / "asked-n3-sentiment-s0"
    place.mkdir(parents=True)
    assert len(cells(tmp_path)[0]) == 2
    (place / "manifest.json").write_text("{}")
    assert cells(tmp_path)[0] == ["computed-n3-sentiment-s0"]


def test_what_needs_this_machine_stays_here(tmp_path: Path) -> None:
    known = {"kind": "sentiment", "count": 3}  # the family `coin` is one that only the tests have
    assert stays_here(scenario(tasks=known)) == ""
    assert "parts" in stays_here(LIVE)
    assert "cache" in stays_here(scenario(tasks=known, calls={"cache": "replies.sqlite"}))
    server = {"kind": "mcp", "command": ["/bin/true"]}
    agents = {"count": 1, "model": {"kind": "scripted"}, "tools": [server]}
    assert "programs" in stays_here(scenario(tasks=known, agents=agents))


def test_where_a_run_is_made_changes_nothing_of_what_it_is() -> None:
    there = LIVE.model_copy(update={"engine": LIVE.engine.model_copy(update={"address": "h:1", "hosts": 4})})
    assert (away(there).engine.address, away(there).engine.hosts) == (None, 1)
    assert away(there).result_part() == there.result_part()


@pytest.mark.parametrize("hosts", [0, 1_025])
def test_a_number_of_hosts_that_cannot_be_is_refused(hosts: int) -> None:
    with pytest.raises(InputError, match="from 1 to 1,024"):
        Spread("local", hosts)


# What arrives


class Sends:
    """A host that sends what a test says."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces
        self.more = self

    def remote(self, *_: Any) -> Any:
        async def piece() -> bytes:
            return self._pieces.pop(0) if self._pieces else b""

        return piece()


def take_in(source: Path, directory: Path, asked: Scenario, **changed: Any) -> None:
    entries = listed(source)
    pieces = list(contents(source, entries))
    sent = {"status": "finished", "entries": [tuple(entry) for entry in entries], "piece": pieces[0], **changed}

    async def body() -> None:
        class Answers:
            gone = False

            @staticmethod
            async def answer(reference: Any) -> Any:
                return await reference

        pool = CellPool(SpreadMeans(Spread("local")), [])
        pool._cluster = Answers()  # type: ignore[assignment]
        host = FarHost(0)
        host.actor = Sends(pieces[1:])
        await pool._take_in(host, 1, sent, directory, asked)

    asyncio.run(body())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return run(LIVE, tmp_path / "source").directory


def test_a_run_that_arrives_takes_its_place_also_where_an_empty_directory_is(source: Path, tmp_path: Path) -> None:
    for name in ("new", "empty"):
        if name == "empty":
            (tmp_path / name).mkdir()
        take_in(source, tmp_path / name, LIVE)
        assert RunLog(tmp_path / name).check() == RunLog(source).check()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "new", "source"]


def refused(message: str, source: Path, tmp_path: Path, asked: Scenario = LIVE, **changed: Any) -> None:
    with pytest.raises((LogDamagedError, InputError), match=message):
        take_in(source, tmp_path / "here", asked, **changed)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


def test_what_is_not_the_run_that_was_asked_for_is_refused_and_leaves_nothing(source: Path, tmp_path: Path) -> None:
    refused("made from another scenario", source, tmp_path, LIVE.model_copy(update={"seed": 99}))
    refused("no run has a file of this name", source, tmp_path, entries=[("../x", 3)])
    refused("more was sent", source, tmp_path, piece=b"x" * 10_000_000)
    refused("less was sent", source, tmp_path, piece=b"")
    part = next((source / "events").iterdir())
    part.write_bytes(part.read_bytes()[:-1] + b"x")
    refused(part.name, source, tmp_path)


def test_a_run_that_is_sent_as_finished_and_is_not_is_refused(source: Path, tmp_path: Path) -> None:
    refused("that is finished as interrupted", source, tmp_path, status="interrupted")


def test_a_run_that_is_here_is_not_replaced_by_what_arrives(source: Path, tmp_path: Path) -> None:
    shutil.copytree(source, tmp_path / "here")
    (tmp_path / "here" / "mine").touch()
    with pytest.raises(InputError):
        take_in(source, tmp_path / "here", LIVE)
    assert (tmp_path / "here" / "mine").exists()


def test_what_was_arriving_when_a_driver_was_killed_is_removed(tmp_path: Path) -> None:
    for name in (".a-n3-t-s0.incoming", "a-n3-t-s0", "incoming", ".hidden"):
        (tmp_path / name).mkdir()
    clear_incoming(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden", "a-n3-t-s0", "incoming"]
