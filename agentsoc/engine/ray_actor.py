"""This module wraps `Host` as an actor of Ray, `HostActor`: batches of bytes come in and go out."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from agentsoc.contracts.rules import Rules
from agentsoc.engine.attempts import AttemptRequest, AttemptResult, PlannedTurn
from agentsoc.engine.columns.draws import ColumnDraw, draw_codes
from agentsoc.engine.host import Host
from agentsoc.engine.ray_files import HostFiles, die_with, write_inside
from agentsoc.engine.toolsets import plain, specs_of, with_toolsets
from agentsoc.events import Event
from agentsoc.log.machines import machine
from agentsoc.scenario.code import load_code
from agentsoc.scenario.files import use_kept
from agentsoc.scenario.model import Scenario
from agentsoc.society.build import BuiltSociety, build_society

BATCH_S = 0.01
"""How long a host gathers outcomes before it sends them (seconds)."""


class Folded(msgspec.Struct, array_like=True):
    """The object holds committed rounds of an episode that a host has not seen yet."""

    task: int
    rounds: list[list[Event]]


class HostMessage(msgspec.Struct, array_like=True):
    """A message tells a host what it has to know first, then what is asked of it."""

    folds: list[Folded]
    dropped: list[int]
    turns: list[PlannedTurn] = []
    limit: int | None = None
    wanted: list[tuple[int, AttemptRequest]] = []


class Arrival(msgspec.Struct, array_like=True):
    """An arrival is an outcome on its way back to the driver."""

    number: int
    outcome: AttemptResult | None = None
    error: str | None = None
    notices: list[str] = []


_encode = msgspec.msgpack.Encoder().encode
_read_message = msgspec.msgpack.Decoder(HostMessage).decode


def made_from(society: BuiltSociety) -> tuple[bytes, dict[str, int], bytes]:
    """Return what a host makes its society from: scenario, rules, and the tools as they are known here."""
    tools = msgspec.json.encode(list(map(plain, society.toolsets)))
    return society.scenario.model_dump_json().encode(), society.rules.record(), tools


class HostActor:
    """The actor is a host behind Ray; `RayPool` makes it an actor class."""

    def __init__(
        self,
        made_from: tuple[bytes, dict[str, int], bytes],
        code: list[tuple[str, str]],
        inputs: list[tuple[str, bytes]],
        share: int,
        driver: tuple[str, int, str],
    ) -> None:
        die_with(driver)
        self._files: HostFiles | None = None
        if code or inputs:
            self._files = files = HostFiles(Path(driver[2]) if driver[0] == machine() else None)
            os.chdir(files.path)
            use_kept(files.path)  # files that the scenario names are found there
            for name, source in code:
                load_code(write_inside(files.path, name, source.encode()))
            for name, content in inputs:
                write_inside(files.path, name, content)
        text, rules, tools = made_from
        society = build_society(Scenario.model_validate_json(text), stored=True, rules=Rules(**rules))
        society = with_toolsets(society, specs_of(msgspec.json.decode(tools)))  # some are known where they were started
        self._host = Host(society, share=share)
        self._arrived: list[Arrival] = []
        self._any = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()

    async def start(self) -> tuple[list[dict[str, Any]], list[int | None], int]:
        """Start the backends; return identities, limits and the process id."""
        await self._host.start()
        return self._host.identities(), self._host.parallel(), os.getpid()

    def _take(self, raw: bytes) -> HostMessage:
        message = _read_message(raw)
        for task in message.dropped:
            self._host.drop(task)
        for fold in message.folds:
            for events in fold.rounds:
                self._host.fold(fold.task, events)
        return message

    async def prepare(self, raw: bytes) -> bytes:
        """Return what turns may cost."""
        message = self._take(raw)
        return _encode(self._host.prepare(message.turns, message.limit))

    async def act(self, raw: bytes) -> bytes:
        """Return replies of agents that ask no model."""
        message = self._take(raw)
        return _encode(await self._host.act(message.turns))

    async def submit(self, raw: bytes) -> None:
        """Begin attempts; their outcomes come through `collect`."""
        for number, wanted in self._take(raw).wanted:
            task = asyncio.get_running_loop().create_task(self._attempt(number, wanted))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _attempt(self, number: int, wanted: AttemptRequest) -> None:
        try:
            arrival = Arrival(number, await self._host.attempt(wanted))
        except Exception as error:  # whatever a model or a plug-in does, the driver has to hear of it
            arrival = Arrival(number, error=f"{type(error).__name__}: {error}")
        self._arrived.append(arrival)
        self._any.set()

    async def collect(self) -> bytes:
        """Return the outcomes that have arrived, as soon as there are any."""
        await self._any.wait()
        await asyncio.sleep(BATCH_S)
        arrived, self._arrived = self._arrived, []
        self._any.clear()
        if arrived and self._host.notices:
            arrived[0].notices, self._host.notices[:] = list(self._host.notices), []
        return _encode(arrived)

    async def draw(self, draw: dict[str, Any]) -> Any:
        """Return the answer codes of simulated turns."""
        wide: dict[str, Any] = {
            name: value.astype(np.int64) if isinstance(value, np.ndarray) and value.dtype.kind == "i" else value
            for name, value in draw.items()
        }
        return small(draw_codes(self._host.backends[0], ColumnDraw(**wide)))

    async def close(self) -> None:
        """Close the backends and remove the files."""
        await self._host.close()
        if self._files is not None:
            self._files.remove()
            self._files = None


def small(values: Any) -> Any:
    """Return an array of whole numbers in the smallest type that holds them: most are codes, and they are copied."""
    if values.dtype.kind != "i" or not values.size:
        return values
    return values.astype(np.promote_types(np.min_scalar_type(values.min()), np.min_scalar_type(-abs(values.max()) - 1)))
