"""`policy`: agents that follow a scripted policy of their environment, for studies without models."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from agentsoc.contracts.address import Destination
from agentsoc.contracts.model import Backend, Completion, Model, Request
from agentsoc.contracts.script import Script
from agentsoc.errors import InputError


class PlaysPolicy(Model):
    """Plays an environment by one of its scripted policies; asks nobody and costs nothing."""

    free: ClassVar[bool] = True

    kind: Literal["policy"] = "policy"
    name: str = Field(default="optimal", min_length=1, max_length=80)
    """Which of the environment's policies: optimal, noisy or another one that it has."""
    error: float = Field(default=0.0, ge=0, le=1)
    """Of `noisy`: probability that a random action takes the place of the meant one."""
    quality: float = Field(default=1.0, ge=0, le=1)
    """Of `noisy`: probability that a step follows the optimal plan and not the default action."""

    def script(self) -> Script:
        """Return the policy."""
        return Script(self.name, self.error, self.quality)

    def destinations(self) -> tuple[Destination, ...]:
        """Return nothing: nobody is asked."""
        return ()

    def open(self, *, seed: int, share: int = 1) -> Backend:
        """Return a stand-in: the environment plays."""
        return _Plays()


class _Plays(Backend):
    journaled = False

    async def complete(self, request: Request) -> Completion:
        raise InputError("a scripted policy answers no prompts")

    def count(self, request: Request) -> int:
        return 0

    def identity(self) -> dict[str, Any]:
        return {"kind": "policy"}
