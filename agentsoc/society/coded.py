"""`CodedAgent`: an agent that is a piece of code instead of a model. One async method, no prompt, no tokens."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from agentsoc.contracts.address import Destination
from agentsoc.contracts.model import Backend, Completion, Model, Request
from agentsoc.contracts.turns import Reply, View
from agentsoc.errors import InputError


class CodedAgent(Model):
    """Base of agents written in Python: derive, give a ``kind``, write `act`.

    One object serves all agents of a group on a host, so `act` must be a pure function of its view (and of
    `agentsoc.streams.uniform` with the view's coordinates): replay calls it again.
    """

    free: ClassVar[bool] = True

    @abstractmethod
    async def act(self, view: View) -> Reply:
        """Return what the agent says. Runs on the host's event loop: await what waits, never block."""

    def destinations(self) -> tuple[Destination, ...]:
        """Return none: `act` is a pure function of its view."""
        return ()

    def open(self, *, seed: int, share: int = 1) -> Backend:
        """Return a stand-in: coded agents are asked through `act`, not through prompts."""
        return _NoPrompt(self.kind)


class _NoPrompt(Backend):
    journaled = False

    def __init__(self, kind: str) -> None:
        self._kind = kind

    async def complete(self, request: Request) -> Completion:
        raise InputError(f"agents of kind {self._kind} answer no prompts")

    def count(self, request: Request) -> int:
        return 0

    def identity(self) -> dict[str, Any]:
        return {"kind": self._kind, "coded": True}
