"""This module holds `RayPool`: it runs hosts as async Ray actors, the same `Host` class behind batches of bytes.

Ray places and calls processes; it holds nothing that is not in the log. A host that dies is replaced by a new one that
folds the log of its open episodes; attempts that died with it count as lost and are made again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import msgspec
import numpy as np

from agentsoc.budget.ledger import Need
from agentsoc.contracts.board import Board
from agentsoc.contracts.turns import Reply
from agentsoc.engine import ray_cluster
from agentsoc.engine.attempts import AttemptRequest, AttemptResult, PlannedTurn
from agentsoc.engine.calls import HostLostError
from agentsoc.engine.columns.draws import ColumnDraw, draw_codes
from agentsoc.engine.host import Host
from agentsoc.engine.pool import Pool
from agentsoc.engine.ray_actor import Arrival, Folded, HostActor, HostMessage, made_from, small
from agentsoc.engine.ray_files import check_inside
from agentsoc.engine.ray_watch import Cluster, cause
from agentsoc.errors import RunFailedError
from agentsoc.events import Event
from agentsoc.log.machines import machine
from agentsoc.society.build import BuiltSociety

DEATHS_MAX = 20
"""Hosts that may die in a run before it stops: beyond that something is wrong with the machine or the code."""
ROWS_WORTH_SENDING = 1 << 15
"""Simulated turns below which one host computes them all."""

T = TypeVar("T")

_encode = msgspec.msgpack.Encoder().encode
_read_needs = msgspec.msgpack.Decoder(list[Need]).decode
_read_replies = msgspec.msgpack.Decoder(list[Reply]).decode
_read_arrivals = msgspec.msgpack.Decoder(list[Arrival]).decode


def _failed(seat: _Seat, error: Exception) -> RunFailedError:
    return error if isinstance(error, RunFailedError) else RunFailedError(f"host {seat.index} failed: {error}")


class _Seat:
    """A seat is the place of one host: the actor that sits there now, and what it has not been told yet."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.actor: Any = None
        self.node = ""
        self.pid = 0
        self.epoch = 0
        self.pending: dict[int, list[list[Event]]] = {}
        self.dropped: list[int] = []
        self.outbox: list[tuple[int, AttemptRequest]] = []
        self.flushing: asyncio.Task[None] | None = None
        self.waiting: dict[int, asyncio.Future[AttemptResult]] = {}
        self.collector: asyncio.Task[None] | None = None
        self.reviving: asyncio.Lock = asyncio.Lock()


class RayPool(Pool):
    """The pool runs hosts on a Ray cluster: whole episodes each when there are many, shards of the agents when few."""

    elsewhere: ClassVar[bool] = True

    def __init__(
        self,
        society: BuiltSociety,
        boards: dict[int, Board],
        *,
        code_paths: Sequence[Path] = (),
        inputs: Sequence[tuple[str, bytes]] = (),
        notices: list[str] | None = None,
    ) -> None:
        self._scenario = scenario = society.scenario
        self._inputs = list(inputs)
        for name, _ in inputs:
            check_inside(name)
        self._code = [(path.name, path.read_text()) for path in code_paths]
        self._hosts = scenario.engine.hosts
        self._by_agent = scenario.tasks.count < self._hosts or scenario.episodes == "sequential"
        self._local = Host(society, boards)  # only plans and counts; never started, never asked
        self._n = self._local.society.n
        self._seats = [_Seat(index) for index in range(self._hosts)]
        self._history: dict[int, list[list[Event]]] = {}
        self._ended: list[int] = []
        self._number = 0
        self._deaths = 0
        self._identities: list[dict[str, Any]] = []
        self._parallel: list[int | None] = []
        self._notices = notices if notices is not None else []
        self._ray: Any = None
        self._remote: Any = None
        self._closing = False
        self._files = ""
        self._cluster: Cluster | None = None

    # Life and death

    async def start(self) -> None:
        """Connect, place the hosts and start their backends."""
        address = self._scenario.engine.address or "local"
        self._ray = ray_cluster.connect(address, self._hosts)
        # hosts on this machine work below it; what killed ones leave goes with it
        self._files = tempfile.mkdtemp(prefix="hosts-", dir=ray_cluster.directory())
        self._cluster = Cluster(self._ray)
        self._remote = self._ray.remote(**ray_cluster.LEAST, max_restarts=0, max_task_retries=0, max_concurrency=1000)(
            HostActor
        )
        for seat in self._seats:
            self._place(seat)
        started = await asyncio.gather(*(self._sit(seat) for seat in self._seats))
        self._identities = started[0][0]
        self._parallel = [
            None
            if any(limits[group] is None for _, limits, _ in started)
            else sum(limits[group] for _, limits, _ in started)
            for group in range(len(self._scenario.agents))
        ]

    def _place(self, seat: _Seat) -> None:
        """Say on which node the host of a seat is to be."""
        others = [other.node for other in self._seats if other is not seat]
        seat.node = ray_cluster.least_loaded(others, avoid=seat.node)

    async def _sit(self, seat: _Seat) -> tuple[list[dict[str, Any]], list[Any], int]:
        seat.epoch += 1
        if seat.epoch > 1:  # its node may be gone
            self._place(seat)
        seat.actor = self._remote.options(scheduling_strategy=ray_cluster.on_node(seat.node)).remote(
            made_from(self._local.society),
            self._code,
            self._inputs,
            sum(other.node == seat.node for other in self._seats),
            (machine(), os.getpid(), self._files),
        )
        try:
            async with asyncio.timeout(120):
                identities, limits, pid = await self._answer(seat.actor.start.remote())
        except TimeoutError:
            raise RunFailedError(f"host {seat.index} did not start within 120 s") from None
        except self._ray.exceptions.RayError as error:
            raise RunFailedError(f"host {seat.index} could not start: {cause(error)}") from None
        seat.pid = pid
        seat.collector = asyncio.create_task(self._collect(seat, seat.epoch))
        return identities, limits, pid

    async def _collect(self, seat: _Seat, epoch: int) -> None:
        while not self._closing and seat.epoch == epoch:
            try:
                raw = await self._answer(seat.actor.collect.remote())
            except asyncio.CancelledError:
                raise
            except Exception as error:
                if not self._died(error):
                    self._fail_all(seat, _failed(seat, error))
                    return
                await self._revive(seat, epoch)
                return
            for arrival in _read_arrivals(raw):
                self._notices.extend(arrival.notices)
                future = seat.waiting.pop(arrival.number, None)
                if future is None or future.done():
                    continue
                if arrival.outcome is None:
                    future.set_exception(RunFailedError(f"host {seat.index}: {arrival.error}"))
                else:
                    future.set_result(arrival.outcome)

    async def _answer(self, reference: Awaitable[T]) -> T:
        assert self._cluster is not None
        return await self._cluster.answer(reference)

    def _died(self, error: BaseException) -> bool:
        return self._cluster is not None and self._cluster.died(error)

    async def _revive(self, seat: _Seat, epoch: int) -> None:
        """Put a new host in the seat of a dead one; the attempts that were with it are lost."""
        async with seat.reviving:
            if seat.epoch != epoch or self._closing:
                return
            self._deaths += 1
            if self._deaths > DEATHS_MAX:
                self._fail_all(seat, RunFailedError(f"hosts died {self._deaths} times"))
                return
            self._notices.append(f"host {seat.index} died and was replaced")
            seat.pending = {
                task: list(rounds) for task, rounds in self._history.items() if seat.index in self._seats_of_task(task)
            }
            seat.dropped = []
            try:
                await self._sit(seat)
            except Exception as error:
                gone = self._cluster is not None and self._cluster.gone
                what = f"host {seat.index} could not be replaced: {error}"
                self._fail_all(seat, error if gone else RunFailedError(what))
                return
            self._fail_all(seat, HostLostError(seat.index))

    def _fail_all(self, seat: _Seat, error: Exception) -> None:
        waiting, seat.waiting = seat.waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(error)

    async def close(self) -> None:
        """Stop the hosts; the connection to Ray stays for the next run of this process."""
        self._closing = True
        gone = False
        if self._cluster is not None:
            gone = self._cluster.gone
            self._cluster.close()
        for seat in self._seats:
            if seat.collector is not None:
                seat.collector.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await seat.collector
            if seat.actor is not None and not gone:
                with contextlib.suppress(Exception):
                    async with asyncio.timeout(5):
                        await seat.actor.close.remote()
                with contextlib.suppress(Exception):
                    self._ray.kill(seat.actor, no_restart=True)
        if self._files:
            shutil.rmtree(self._files, ignore_errors=True)

    def identities(self) -> list[dict[str, Any]]:
        """Return what the manifest records of each group's model."""
        return self._identities

    def parallel(self) -> list[int | None]:
        """Return, per group, the calls that may run at once over all hosts."""
        return self._parallel

    def pids(self) -> list[int]:
        """Return the process ids of the hosts (tests end them)."""
        return [seat.pid for seat in self._seats]

    # Placement

    def _seat(self, task: int, agent: int) -> _Seat:
        index = agent * self._hosts // self._n if self._by_agent else task % self._hosts
        return self._seats[index]

    def _seats_of_task(self, task: int) -> range:
        return range(self._hosts) if self._by_agent else range(task % self._hosts, task % self._hosts + 1)

    # Calls

    def _message(self, seat: _Seat, tasks: Sequence[int], **rest: Any) -> bytes:
        """Return a message that first brings the host up to date on the episodes it is about."""
        keys = (
            list(seat.pending) if self._scenario.episodes == "sequential" else [t for t in tasks if t in seat.pending]
        )
        folds = [Folded(task, seat.pending.pop(task)) for task in dict.fromkeys(keys) if task in seat.pending]
        dropped, seat.dropped = seat.dropped, []
        return _encode(HostMessage(folds, dropped, **rest))

    async def _ask(self, seat: _Seat, tasks: Sequence[int], call: Callable[[bytes], Awaitable[T]], **rest: Any) -> T:
        """Call a host with something that may be repeated, on its successor if it dies."""
        while True:
            epoch = seat.epoch
            async with seat.reviving:
                pass
            raw = self._message(seat, tasks, **rest)
            try:
                return await self._answer(call(raw))
            except Exception as error:
                if not self._died(error):
                    raise
                await self._revive(seat, epoch)

    async def _spread(
        self, turns: Sequence[PlannedTurn], method: str, read: Callable[[bytes], list[T]], limit: int | None = None
    ) -> list[T]:
        by_seat: dict[int, list[int]] = {}
        for position, planned in enumerate(turns):
            by_seat.setdefault(self._seat(planned.task, planned.turn.agent).index, []).append(position)
        results: list[Any] = [None] * len(turns)

        async def one(index: int, positions: list[int]) -> None:
            seat = self._seats[index]
            mine = [turns[position] for position in positions]
            raw = await self._ask(
                seat,
                list(dict.fromkeys(planned.task for planned in mine)),
                lambda message: getattr(seat.actor, method).remote(message),
                turns=mine,
                limit=limit,
            )
            for position, result in zip(positions, read(raw), strict=True):
                results[position] = result

        await asyncio.gather(*(one(index, positions) for index, positions in by_seat.items()))
        return results

    async def prepare(self, turns: Sequence[PlannedTurn], limit: int | None = None) -> list[Need]:
        """Return what each turn may cost."""
        return await self._spread(turns, "prepare", _read_needs, limit)

    async def act(self, turns: Sequence[PlannedTurn]) -> list[Reply]:
        """Return the replies of agents that ask no model."""
        return await self._spread(turns, "act", _read_replies)

    async def attempt(self, wanted: AttemptRequest) -> AttemptResult:
        """Make one attempt; raises `HostLostError` when its host dies before the outcome is here."""
        seat = self._seat(wanted.planned.task, wanted.planned.turn.agent)
        self._number += 1
        number = self._number
        future: asyncio.Future[AttemptResult] = asyncio.get_running_loop().create_future()
        seat.waiting[number] = future
        seat.outbox.append((number, wanted))
        if seat.flushing is None or seat.flushing.done():
            seat.flushing = asyncio.create_task(self._flush(seat))
        return await future

    async def _flush(self, seat: _Seat) -> None:
        while seat.outbox:
            await asyncio.sleep(0)  # let whoever is ready in this turn of the loop join the batch
            async with seat.reviving:
                pass
            wanted, seat.outbox = seat.outbox, []
            epoch = seat.epoch
            raw = self._message(seat, list(dict.fromkeys(each.planned.task for _, each in wanted)), wanted=wanted)
            try:
                await self._answer(seat.actor.submit.remote(raw))
            except Exception as error:
                if self._died(error):
                    await self._revive(seat, epoch)
                else:
                    self._fail_all(seat, _failed(seat, error))

    async def fold(self, task: int, events: Sequence[Event]) -> None:
        """Note what was committed; hosts hear of it with the next call about the episode."""
        rounds = list(events)
        ended = any(event.kind == "stop" for event in events)
        sequential = self._scenario.episodes == "sequential"
        self._history.setdefault(task, []).append(rounds)
        if ended and not sequential:
            del self._history[task]
        for index in self._seats_of_task(task):
            seat = self._seats[index]
            if ended and not sequential:
                seat.pending.pop(task, None)
                seat.dropped.append(task)
            else:
                seat.pending.setdefault(task, []).append(rounds)

    async def draw(self, draw: ColumnDraw) -> Any:
        """Return the answer codes of many simulated turns, shared out over the hosts by rows."""
        n = len(draw.agent)
        if n < ROWS_WORTH_SENDING:
            return draw_codes(self._local.backends[0], draw)
        cuts = [n * i // self._hosts for i in range(self._hosts + 1)]

        async def one(seat: _Seat, rows: slice) -> Any:
            fields = {
                name: small(value[rows]) if isinstance(value, np.ndarray) else value
                for name, value in msgspec.structs.asdict(draw).items()
            }
            return await self._ask(seat, (), lambda _: seat.actor.draw.remote(fields))

        parts = await asyncio.gather(*(one(seat, slice(cuts[i], cuts[i + 1])) for i, seat in enumerate(self._seats)))
        return np.concatenate(parts).astype(np.int64)
