"""This module defines `Pool`, where hosts live, and `LocalPool`, one host in this process; `ray_host` has the other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from agentsoc.budget.ledger import Need
from agentsoc.contracts.board import Board
from agentsoc.contracts.turns import Reply
from agentsoc.engine.attempts import AttemptRequest, AttemptResult, PlannedTurn
from agentsoc.engine.columns.draws import ColumnDraw, draw_codes
from agentsoc.engine.host import Host
from agentsoc.engine.reply_cache import ReplyCache
from agentsoc.engine.shared import Shared
from agentsoc.events import Event
from agentsoc.society.build import BuiltSociety


class Pool(ABC):
    """A pool holds all hosts of a run, as the driver sees them. Nothing that it answers depends on where agents are."""

    elsewhere: ClassVar[bool] = False
    """Whether the hosts are other processes, which work while the driver does something else."""

    @abstractmethod
    async def start(self) -> None:
        """Start the hosts and their backends."""

    @abstractmethod
    async def close(self) -> None:
        """Stop the hosts; called once, also after a failed start."""

    @abstractmethod
    def identities(self) -> list[dict[str, Any]]:
        """Return what the manifest records of each group's model."""

    @abstractmethod
    def parallel(self) -> list[int | None]:
        """Return, per group, the calls that may run at once over all hosts."""

    @abstractmethod
    async def prepare(self, turns: Sequence[PlannedTurn], limit: int | None = None) -> list[Need]:
        """Return what each turn may cost."""

    @abstractmethod
    async def act(self, turns: Sequence[PlannedTurn]) -> list[Reply]:
        """Return the replies of agents that ask no model."""

    @abstractmethod
    async def attempt(self, wanted: AttemptRequest) -> AttemptResult:
        """Make one attempt at a model call."""

    def recall(self, wanted: AttemptRequest) -> AttemptResult | None:
        """Return the outcome of an attempt that the journal knows where it can be had at once, else None: `attempt`."""
        return None

    def from_cache(self, wanted: AttemptRequest) -> AttemptResult | None:
        """Return the outcome of an attempt whose request the cache of replies knows, None for any other."""
        return None

    def request_hash(self, wanted: AttemptRequest) -> bytes | None:
        """Return the hash of the request of an attempt, None where there is no cache of replies."""
        return None

    @abstractmethod
    async def fold(self, task: int, events: Sequence[Event]) -> None:
        """Tell the hosts concerned what was committed."""

    @abstractmethod
    async def draw(self, draw: ColumnDraw) -> Any:
        """Return the answer codes of many simulated turns."""


class LocalPool(Pool):
    """The local pool is one host in this process, on the driver's own boards."""

    def __init__(
        self, society: BuiltSociety, boards: dict[int, Board], *, live: bool = True, shared: Shared | None = None
    ) -> None:
        self.host = Host(society, boards, live=live, shared=shared)

    async def start(self) -> None:
        """Start the backends and open the cache of replies, if there is one."""
        path = self.host.scenario.calls.cache
        if self.host.live and path is not None:
            self.host.cache = ReplyCache(Path(path))
        await self.host.start()

    async def close(self) -> None:
        """Close the backends and the cache."""
        if self.host.cache is not None:
            self.host.cache.close()
        await self.host.close()

    def identities(self) -> list[dict[str, Any]]:
        """Return what the manifest records of each group's model."""
        return self.host.identities()

    def parallel(self) -> list[int | None]:
        """Return, per group, the calls that may run at once."""
        return self.host.parallel()

    async def prepare(self, turns: Sequence[PlannedTurn], limit: int | None = None) -> list[Need]:
        """Return what each turn may cost."""
        return self.host.prepare(turns, limit)

    async def act(self, turns: Sequence[PlannedTurn]) -> list[Reply]:
        """Return the replies of agents that ask no model."""
        return await self.host.act(turns)

    async def attempt(self, wanted: AttemptRequest) -> AttemptResult:
        """Make one attempt at a model call."""
        return await self.host.attempt(wanted)

    def recall(self, wanted: AttemptRequest) -> AttemptResult | None:
        """Return the outcome of an attempt that the journal knows."""
        return self.host.recall(wanted)

    def from_cache(self, wanted: AttemptRequest) -> AttemptResult | None:
        """Return the outcome of an attempt whose request the cache of replies knows."""
        return self.host.from_cache(wanted)

    def request_hash(self, wanted: AttemptRequest) -> bytes | None:
        """Return the hash of the request of an attempt, None where there is no cache of replies."""
        return self.host.request_hash(wanted) if self.host.cache is not None else None

    async def fold(self, task: int, events: Sequence[Event]) -> None:
        """Let the host note the end of an episode; the board is the driver's own."""
        self.host.fold(task, events)

    async def draw(self, draw: ColumnDraw) -> Any:
        """Return the answer codes of many simulated turns."""
        return draw_codes(self.host.backends[0], draw)
