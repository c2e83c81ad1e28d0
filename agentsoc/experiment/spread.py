"""This module spreads whole runs over the hosts of a Ray cluster: `CellPool` places the hosts and takes runs in.

Runs are independent, so a host that dies, with its node or alone, loses only what it was at: that is made again. Calls
of models wait at gates that all hosts and the driver share. A run that arrives is checked before it is believed, and
then is what it would be had it been made here.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from agentsoc.engine import ray_cluster
from agentsoc.engine.consent import Consent, programs
from agentsoc.engine.far_gate import GateKeeper, SharedOverHosts
from agentsoc.engine.inputs import named_files
from agentsoc.engine.ray_files import check_inside
from agentsoc.engine.ray_watch import Cluster, cause
from agentsoc.errors import InputError, LogDamagedError, RunFailedError
from agentsoc.experiment.cell import is_portable, require_same, require_unused
from agentsoc.experiment.cell_host import CellHost, HostSetup
from agentsoc.log.inside import Inside, directory_mode
from agentsoc.log.machines import machine
from agentsoc.log.parcel import Entry, Unpacker, require_expected
from agentsoc.log.read import RunLog
from agentsoc.scenario.model import Engine, Scenario

DEATHS_MAX: Final = 20
"""Hosts that may die in a command: beyond that something is wrong with the cluster or the code."""
TRIES: Final = 3
"""Hosts that may die over one run before it counts as failed: it may be what kills them."""
PLACES: Final = 4
"""Attempts at a new host in the place of a dead one: a node that is gone is listed for some seconds."""
PLACE_AGAIN_S: Final = 3.0
"""Time between them (seconds)."""
START_S: Final = 120.0
"""Time that a host has to start (seconds)."""
INCOMING: Final = ".{}.incoming"
"""Name of the directory that a run has while it arrives."""


@dataclass(frozen=True)
class Spread:
    """The spread says over which hosts whole runs are spread."""

    address: str
    """Ray cluster: ``local``, HOST:PORT, or ``auto`` inside of a Ray job."""
    hosts: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.hosts <= 1_024:
            raise InputError(f"{self.hosts} hosts", "--hosts", "from 1 to 1,024 are possible")


@dataclass(frozen=True)
class SpreadMeans:
    """What all runs that are spread have in common."""

    spread: Spread
    inputs: Mapping[str, bytes] = field(default_factory=dict)
    """Files that their scenarios name."""
    code: Mapping[str, str] = field(default_factory=dict)
    code_paths: Sequence[Path] = ()
    consent: Consent = False
    concurrency: int | None = None
    """Calls in flight for each model over all hosts; None for what the scenarios say."""
    umask: bool = False


class HostDiedError(Exception):
    """The host that a run was with died; the run can be made again."""


@dataclass(frozen=True)
class Answer:
    """The answer says how a run ended that was carried out elsewhere; its directory is in its place."""

    status: str
    error: str | None
    notices: Sequence[str]


def stays_here(scenario: Scenario, *, shares_a_wall: bool = False) -> str:
    """Return why a run is not sent to a host, or nothing.

    Args:
        scenario: the run's.
        shares_a_wall: whether it asks a model under a ceiling over several runs: what a run was charged must not be
            lost with its host.
    """
    if shares_a_wall:
        return "its budget is part of one over all runs"
    if scenario.calls.cache is not None:
        return "it uses a cache of replies, which is a file of this machine"
    if programs([scenario]):
        return "it starts programs, which were allowed on this machine"
    if not is_portable(scenario):
        return "it uses parts that only this process knows"
    return ""


def away(scenario: Scenario) -> Scenario:
    """Return a scenario as a host carries it out: in one process. No result depends on it."""
    engine: Engine = scenario.engine.model_copy(update={"address": None, "hosts": 1})
    return scenario.model_copy(update={"engine": engine})


class FarHost:
    """A host of the pool: the actor that is in its place now."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.actor: Any = None
        self.node = ""
        self.pid = 0
        self.epoch = 0
        self.given_up = False
        """Whether no other actor could be put into its place."""
        self.reviving = asyncio.Lock()

    @property
    def client(self) -> str:
        """Name at the gates: a host that takes the place of a dead one has another."""
        return f"host {self.index}.{self.epoch}"


class CellPool:
    """The pool holds the hosts of one command; `carry_out` has a run made by one of them."""

    def __init__(self, means: SpreadMeans, notices: list[str]) -> None:
        self._means, self._notices = means, notices
        self.hosts = [FarHost(index) for index in range(means.spread.hosts)]
        self._ray: Any = None
        self._remote: Any = None
        self._keeper: Any = None
        self._cluster: Cluster | None = None
        self._files = ""
        self._setup: HostSetup
        self._number = 0
        self._deaths = 0
        self._tries: Counter[Path] = Counter()
        self._closing = False
        self._why = ""

    # Life and death

    async def start(self) -> None:
        """Connect, place the gates here and the hosts on all nodes.

        Raises:
            InputError, MissingExtraError, RunFailedError: as `ray_cluster.connect`; or a host does not start.
        """
        try:
            await self._start()
        except BaseException:
            await self.close()
            raise

    async def _start(self) -> None:
        spread = self._means.spread
        for name in self._means.inputs:
            check_inside(name)
        self._ray = ray = ray_cluster.connect(spread.address, spread.hosts)
        self._files = tempfile.mkdtemp(prefix="hosts-", dir=ray_cluster.directory())
        self._cluster = Cluster(ray)
        agreed = self._means.consent
        self._setup = HostSetup(
            (machine(), os.getpid(), self._files),
            [(path.name, path.read_bytes(), self._means.code[path.name]) for path in self._means.code_paths],
            list(self._means.inputs.items()),
            agreed if isinstance(agreed, bool) else [(place.address, place.variable) for place in agreed],
            self._means.concurrency,
            self._means.umask,
        )
        options = {**ray_cluster.LEAST, "max_restarts": 0, "max_task_retries": 0, "max_concurrency": 1000}
        self._remote = ray.remote(**options)(CellHost)
        # gates that were on another node would end with it, and with them all calls
        here = ray_cluster.on_node(ray_cluster.node(), only=True)
        self._keeper = ray.remote(**options, scheduling_strategy=here)(GateKeeper).remote()
        await asyncio.gather(*(self._place(host) for host in self.hosts))
        on_node = Counter(host.node for host in self.hosts)
        await asyncio.gather(*(self._begin(host, on_node[host.node]) for host in self.hosts))

    async def _place(self, host: FarHost) -> None:
        host.epoch += 1
        others = [other.node for other in self.hosts if other is not host]
        host.node = ray_cluster.least_loaded(others, avoid=host.node)
        host.actor = self._remote.options(scheduling_strategy=ray_cluster.on_node(host.node)).remote(self._setup)
        try:
            async with asyncio.timeout(START_S):
                host.node, host.pid = await self._answer(host.actor.start.remote())
        except TimeoutError:
            raise RunFailedError(f"host {host.index} did not start within {START_S:g} s") from None
        except self._ray.exceptions.RayError as error:
            raise RunFailedError(f"host {host.index} could not start: {cause(error)}") from None

    async def _begin(self, host: FarHost, share: int) -> None:
        await self._answer(host.actor.begin.remote(self._keeper, host.client, share))

    async def _answer(self, reference: Any) -> Any:
        assert self._cluster is not None
        return await self._cluster.answer(reference)

    async def _revive(self, host: FarHost, epoch: int) -> None:
        """Put a new host in the place of a dead one."""
        async with host.reviving:
            if host.epoch != epoch or self._closing:
                return
            self._deaths += 1
            try:
                if self._deaths > DEATHS_MAX:
                    raise RunFailedError(f"hosts died {self._deaths} times")
                await self._answer(self._keeper.forget.remote(host.client))
                await self._replace(host)
            except Exception as error:  # the others go on
                host.given_up = True
                self._why = str(error)
                self._notices.append(f"host {host.index} died and could not be replaced: {error}")
            else:
                self._notices.append(f"host {host.index} died and was replaced; what it was at is made again")

    async def _replace(self, host: FarHost) -> None:
        """Start an actor in the place of a dead one; where that fails, on another node, after a while."""
        for left in range(PLACES - 1, -1, -1):
            try:
                await self._place(host)
                await self._begin(host, sum(other.node == host.node for other in self.hosts))
            except Exception:
                if not left or self.gone:
                    raise
                await asyncio.sleep(PLACE_AGAIN_S)
            else:
                return

    @property
    def gone(self) -> bool:
        """Whether the cluster is gone."""
        return self._cluster is not None and self._cluster.gone

    def ended(self) -> RunFailedError:
        """Return the error for runs that nobody is left to make."""
        what = "the Ray cluster is gone" if self.gone else f"no host is left: {self._why}"
        return RunFailedError(what, "", "runs that are finished are kept; the same command makes the others")

    def shared(self) -> SharedOverHosts:
        """Return what runs of this process use, whose calls count with those of the hosts."""
        return SharedOverHosts(self._keeper, "driver", self._means.concurrency)

    async def stop(self) -> None:
        """Let runs that ask models end in order."""
        for host in self.hosts:
            with contextlib.suppress(Exception):  # it may be busy or dead; then its run is lost or finished
                host.actor.stop.remote()

    async def close(self) -> None:
        """End the hosts; the connection to Ray stays for the next command of this process."""
        self._closing = True
        gone = self._cluster is None or self._cluster.gone
        for host in self.hosts:
            if host.actor is not None and not gone:
                with contextlib.suppress(Exception):
                    async with asyncio.timeout(5):
                        await host.actor.close.remote()
                with contextlib.suppress(Exception):
                    self._ray.kill(host.actor, no_restart=True)
        if self._keeper is not None and not gone:
            with contextlib.suppress(Exception):
                self._ray.kill(self._keeper, no_restart=True)
        if self._cluster is not None:
            self._cluster.close()
        if self._files:
            shutil.rmtree(self._files, ignore_errors=True)

    # Runs

    async def carry_out(self, host: FarHost, directory: Path, scenario: Scenario) -> Answer:
        """Have a host carry out a run, and put the run into `directory`.

        Raises:
            HostDiedError: it was lost with its host, in whose place there is a new one now, or none.
            LogDamagedError: what the host sent is not the run that was asked for.
            RunFailedError: hosts die at this run.
        """
        async with host.reviving:
            epoch = host.epoch
        self._number += 1
        number = self._number
        scenario = away(scenario)
        try:
            made = await self._answer(host.actor.carry_out.remote(number, scenario.model_dump_json(), str(directory)))
            if made["entries"]:
                await self._take_in(host, number, made, directory, scenario)
            host.actor.drop.remote(number)
        except Exception as error:
            if self.gone:
                raise HostDiedError from None
            if self._cluster is None or not self._cluster.died(error):
                raise
            if self._closing:
                raise HostDiedError from None
            self._tries[directory] += 1
            await self._revive(host, epoch)
            if self._tries[directory] >= TRIES:
                raise RunFailedError(f"{self._tries[directory]} hosts died at this run") from None
            raise HostDiedError from None
        return Answer(made["status"], made["error"], made["notices"])

    async def _take_in(
        self, host: FarHost, number: int, made: dict[str, Any], directory: Path, scenario: Scenario
    ) -> None:
        """Take in the files of a run, in pieces; they are in their place only when they are the run asked for."""
        sender = f"{directory} from host {host.index}"
        entries = [Entry(str(name), int(size)) for name, size in made["entries"]]
        left = require_expected(entries, named_files(scenario), sender)
        staging = directory.with_name(INCOMING.format(directory.name))
        parent = Inside(directory.parent)
        _clear(parent, staging.name)
        staging.mkdir(mode=directory_mode())
        try:
            unpacker = Unpacker(staging, entries)
            try:
                piece = made["piece"]
                while left:
                    unpacker.take(piece)
                    left -= len(piece)
                    if not piece:
                        break
                    piece = await self._answer(host.actor.more.remote(number)) if left else b""
                unpacker.require_whole()
            finally:
                unpacker.close()
            await asyncio.to_thread(_require_asked, staging, scenario, made["status"])
            require_unused(directory)
            _clear(parent, directory.name)
            parent.rename(staging.name, directory.name)
            parent.sync()
        finally:
            _clear(parent, staging.name)


def clear_incoming(runs: Path) -> None:
    """Remove what was arriving when a driver was killed."""
    inside = Inside(runs)
    before, after = INCOMING.split("{}")
    for name in inside.names():
        if name.startswith(before) and name.endswith(after):
            _clear(inside, name)


def _clear(inside: Inside, name: str) -> None:
    if inside.has_directory(name):
        inside.remove_tree(name)


def _require_asked(staging: Path, scenario: Scenario, status: str) -> None:
    """Check that what arrived is the run of a scenario, and, where it is finished, sound.

    Raises:
        InputError, LogDamagedError: it is not.
    """
    require_same(staging, scenario)
    log = RunLog(staging)
    if log.manifest.status != status and status != "failed":
        raise LogDamagedError(f"a host sent a run that is {log.manifest.status} as {status}", str(staging))
    if log.manifest.status == "finished":
        log.check()
