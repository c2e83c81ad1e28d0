"""This module holds `Shared`: models that several runs of one process use together, each loaded and limited once.

A run that is alone opens its models, uses them and closes them. Runs that go on side by side would load a model several
times and call it several times as often as its owner allows. With a `Shared` they open the same backend, wait at the
same gate, and leave it open for the next one; whoever made the `Shared` closes it. No result depends on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Sequence
from typing import Any

from agentsoc.contracts.model import Backend, Completion, Model, PureBackend, Request
from agentsoc.engine.model_gate import ModelGate, Patience, gate_of
from agentsoc.scenario.model import Scenario


class Shared:
    """The object holds the open models of a process, and for each the calls that may be in flight over all its runs."""

    def __init__(self, concurrency: int | None = None) -> None:
        """Prepare to share.

        Args:
            concurrency: calls in flight for each model over all runs; None for what the first run's engine block says.
        """
        self._concurrency = concurrency
        self._kept: dict[Hashable, _Kept] = {}
        self._gates: dict[Model, ModelGate] = {}

    def open(self, model: Model, *, seed: int, share: int = 1) -> Backend:
        """Return the backend of a model: the one that is there already, unless it is a function of the run's seed."""
        key: Hashable = (model, share, seed) if model.per_seed else (model, share)
        if key in self._kept:
            return self._kept[key]
        backend = model.open(seed=seed, share=share)
        if isinstance(backend, PureBackend) or not backend.journaled:
            return backend  # a voter is computed: there is nothing to load or to limit
        kept = self._kept[key] = _Kept(backend)
        return kept

    def gates(self, scenario: Scenario, parallel: Sequence[int | None]) -> list[ModelGate]:
        """Return the gates at which the groups of a run wait; groups of one model share one.

        Args:
            scenario: the run's.
            parallel: per group, calls that its backend takes at once; None for no limit.
        """
        calls = scenario.calls
        patience = Patience(calls.fail_fast, calls.outage_s, calls.backoff_s)
        limit = scenario.engine.concurrency
        return [
            self.gate(group.model, limit, most, patience) for group, most in zip(scenario.agents, parallel, strict=True)
        ]

    def gate(self, model: Model, concurrency: int, parallel: int | None, patience: Patience) -> ModelGate:
        """Return the gate of a model, the same for all runs.

        Args:
            model: the model.
            concurrency: what the run's engine block says; used when nothing was said for all runs.
            parallel: calls that the backend takes at once; None for no limit.
            patience: when the first run that asks gives up.
        """
        if model not in self._gates:
            limit = self._concurrency or concurrency
            self._gates[model] = gate_of(model, min(limit, parallel or limit), patience)
        return self._gates[model]

    async def close(self) -> None:
        """Close every model; the first failure is raised when all have been closed."""
        kept, self._kept = list(self._kept.values()), {}
        failures = [done for one in kept for done in [await _closed(one.backend)] if done is not None]
        if failures:
            raise failures[0]


async def _closed(backend: Backend) -> Exception | None:
    try:
        await backend.close()
    except Exception as error:
        return error
    return None


class _Kept(Backend):
    """A kept backend is started by the first run that needs it and outlives them all."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.window = backend.window
        self.parallel = backend.parallel
        self._starting: asyncio.Future[None] | None = None

    async def start(self) -> None:
        """Start it once; whoever comes later waits for that, or gets the same error."""
        if self._starting is None:
            self._starting = asyncio.ensure_future(self.backend.start())
            self._starting.add_done_callback(_heard)
        await asyncio.shield(self._starting)

    async def complete(self, request: Request) -> Completion:
        """Make one attempt."""
        return await self.backend.complete(request)

    def count(self, request: Request) -> int:
        """Return an upper bound of the prompt's tokens."""
        return self.backend.count(request)

    async def close(self) -> None:
        """Leave the backend open, because other runs use it."""

    def take_notices(self) -> list[str]:
        """Return what a person should hear of; whoever asks first passes it on."""
        return self.backend.take_notices()

    def identity(self) -> dict[str, Any]:
        """Return what the manifest records of the model."""
        return self.backend.identity()


def _heard(done: asyncio.Future[None]) -> None:
    """Take note of an error that nobody waits for any more."""
    if not done.cancelled():
        done.exception()
