"""A scripted model that writes every call it takes to a file of its own, as a provider would bill it."""

from __future__ import annotations

import os
from typing import Literal

from agentsoc.backends.scripted import Scripted, ScriptedBackend
from agentsoc.contracts.model import Completion, Request

BILL = "AGENTSOC_TEST_BILL"


class BilledBackend(ScriptedBackend):
    def __init__(self, model: Scripted, seed: int, payer: str) -> None:
        super().__init__(model, seed)
        self.payer = f"{payer} {seed}"

    async def complete(self, request: Request) -> Completion:
        hint = request.hint
        assert hint is not None
        line = f"{self.payer} {hint.task} {hint.round} {hint.agent} {hint.k} {hint.attempt}\n"
        bill = os.open(os.environ[BILL], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(bill, line.encode())
        os.close(bill)
        return await super().complete(request)


class Billed(Scripted):
    """Its payer tells the organisations apart."""

    kind: Literal["billed"] = "billed"  # type: ignore[assignment]
    payer: str = "nobody"

    def open(self, *, seed: int, share: int = 1) -> ScriptedBackend:
        return BilledBackend(self, seed, self.payer)
