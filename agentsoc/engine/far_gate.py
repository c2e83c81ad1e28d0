"""This module lets runs in several processes of a cluster wait at one gate of a model, as runs of one process do.

The gates are in one actor, `GateKeeper`, on the driver's machine. A process has a `FarGate` in the place of each: a
call asks the keeper before it begins and reports what came of it, two messages beside a call that takes a second.
So rate limits, calls in flight, pauses after a refusal and outages are those of the model, wherever its runs are. What
a process held that died is given back.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import msgspec

from agentsoc.contracts.model import Backend, Model
from agentsoc.engine.model_gate import ModelGate, Patience
from agentsoc.engine.rate import RateBook
from agentsoc.engine.shared import Shared
from agentsoc.errors import ModelFailedError


class GateTerms(msgspec.Struct, frozen=True):
    """The terms are what a gate is made from; equal models have equal terms, in every process."""

    model: str
    """The model's class and settings."""
    label: str
    places: int
    patience: Patience
    requests_per_minute: int | None
    tokens_per_minute: int | None
    account: str
    """Whose limits these are: models with other settings at one address count together, as in one process."""
    careful: bool


class CallReport(msgspec.Struct, array_like=True):
    """A report says what came of a call that was let in."""

    model: str
    heard: bool
    """Whether there is an outcome; not of a call that was cut off."""
    failure: str | None
    pause_s: float | None


class GateKeeper:
    """The keeper holds the gates of all models of a comparison; it becomes an actor."""

    def __init__(self) -> None:
        self._gates: dict[str, ModelGate] = {}
        self._books: dict[str, RateBook] = {}
        self._answered: set[str] = set()
        self._held: dict[str, Counter[str]] = {}
        self._gone: set[str] = set()

    async def enter(self, client: str, terms: GateTerms, tokens: int, again: bool) -> str | None:
        """Return when a call of `client` may begin: None, or why the model cannot be used."""
        gate = self._gates.get(terms.model)
        if gate is None:
            limits = terms.requests_per_minute, terms.tokens_per_minute
            rate = None if limits == (None, None) else self._books.setdefault(terms.account, RateBook(*limits))
            gate = ModelGate(terms.places, terms.label, terms.patience, rate, careful=terms.careful)
            self._gates[terms.model] = gate
        try:
            await gate.enter(tokens, again=again)
        except ModelFailedError as error:
            return error.what
        if client in self._gone:  # it died while it waited
            gate.leave()
        else:
            self._held.setdefault(client, Counter())[terms.model] += 1
        return None

    async def left(self, client: str, report: CallReport) -> tuple[str | None, bool]:
        """Take in that a call has ended; return why the model cannot be used, and whether it has answered anybody."""
        gate = self._gates[report.model]
        held = self._held.get(client, Counter())
        if held[report.model] > 0:
            held[report.model] -= 1
            if report.heard:
                gate.heard(report.failure, report.pause_s)
                if report.failure is None:
                    self._answered.add(report.model)
            gate.leave()
        return gate.cause, report.model in self._answered

    async def give_back(self, model: str, tokens: int) -> None:
        """Take back tokens of the rate that a call did not use."""
        self._gates[model].give_back(tokens)

    async def forget(self, client: str) -> None:
        """Give back what a process held that is gone."""
        self._gone.add(client)
        for model, n in self._held.pop(client, Counter()).items():
            for _ in range(n):
                self._gates[model].leave()

    async def inside(self) -> dict[str, int]:
        """Return how many calls of each model are in flight, by client and model."""
        return {f"{client} {model}": n for client, held in self._held.items() for model, n in held.items() if n}


class FarGate(ModelGate):
    """A far gate stands in one process for a gate that the keeper holds."""

    def __init__(self, keeper: Any, client: str, terms: GateTerms, parallel: int | None) -> None:
        """Prepare.

        Args:
            keeper: handle of the actor.
            client: names this process.
            terms: what the gate is made from, if nobody else has asked for it before.
            parallel: calls that the model's backend in this process takes at once; None for no limit.
        """
        super().__init__(terms.places, terms.label, terms.patience)
        self._keeper, self._client, self._terms = keeper, client, terms
        self._own = asyncio.Semaphore(parallel) if parallel else None
        self._report = CallReport(terms.model, False, None, None)
        self._reporting: set[asyncio.Task[None]] = set()
        self._failures = 0
        self._last = ""

    async def enter(self, tokens: int = 0, *, again: bool = False) -> None:
        """Return when a call may begin, in this process and over all.

        Raises:
            ModelFailedError: the model cannot be used.
        """
        if self.cause is not None:
            raise ModelFailedError(self.cause)
        if self._own is not None:
            await self._own.acquire()
        asked = asyncio.ensure_future(_answer(self._keeper.enter.remote(self._client, self._terms, tokens, again)))
        try:
            self.cause = await asyncio.shield(asked)
        except asyncio.CancelledError:
            asked.add_done_callback(self._let_go)
            raise
        except BaseException:
            self._release()
            raise
        if self.cause is not None:
            self._release()
            raise ModelFailedError(self.cause)

    def _let_go(self, asked: asyncio.Future[Any]) -> None:
        """Give back a place that came when nobody wanted it any more."""
        self._release()
        if not asked.cancelled() and asked.exception() is None and asked.result() is None:
            self._send(CallReport(self._terms.model, False, None, None))

    def _release(self) -> None:
        if self._own is not None:
            self._own.release()

    def heard(self, failure: str | None, pause_s: float | None = None) -> None:
        """Take in the outcome of a call that is inside; `leave` follows in the same step, and sends both."""
        self._report = CallReport(self._terms.model, True, failure, pause_s)
        if failure is None:
            self._answered = True
        else:
            self._failures, self._last = self._failures + 1, failure

    def leave(self) -> None:
        """Give a place back."""
        report, self._report = self._report, CallReport(self._terms.model, False, None, None)
        self._release()
        self._send(report)

    def _send(self, report: CallReport) -> None:
        task = asyncio.get_running_loop().create_task(self._tell(report))
        self._reporting.add(task)
        task.add_done_callback(self._reporting.discard)

    async def _tell(self, report: CallReport) -> None:
        try:
            cause, answered = await _answer(self._keeper.left.remote(self._client, report))
        except Exception as error:  # the keeper is gone, and with it the driver or its machine
            cause, answered = f"the calls of {self._label} are counted nowhere any more: {error}"[:300], False
        self.cause = self.cause or cause
        self._answered |= answered

    async def settled(self) -> None:
        """Return when the keeper has taken in every outcome that was reported here."""
        if self._reporting:
            await asyncio.gather(*self._reporting)

    def give_back(self, tokens: int) -> None:
        """Take back tokens with which a call entered and which it did not use."""
        limited = self._terms.requests_per_minute is not None or self._terms.tokens_per_minute is not None
        if tokens > 0 and limited:
            self._keeper.give_back.remote(self._terms.model, tokens)

    def hopeless(self) -> str | None:
        """Return why a run that has come to its end has no answers at all; None when it has, or may have some."""
        if self._answered or not self._failures or not self._terms.patience.fail_fast:
            return None
        return f"{self._label} has answered nobody, in {self._failures} calls of this host: {self._last}"


class SharedOverHosts(Shared):
    """The models of one process of several whose calls are limited together."""

    def __init__(self, keeper: Any, client: str, concurrency: int | None = None, share: int = 1) -> None:
        """Prepare to share.

        Args:
            keeper: handle of the `GateKeeper`.
            client: names this process.
            concurrency: calls in flight for each model over all processes; None for what the first run says.
            share: processes on this machine, which divide its cores among models that run on them.
        """
        super().__init__(concurrency)
        self._keeper, self._client, self._share = keeper, client, share

    def open(self, model: Model, *, seed: int, share: int = 1) -> Backend:
        """Return the backend of a model, which has this process's share of the machine."""
        return super().open(model, seed=seed, share=max(share, self._share))

    def gate(self, model: Model, concurrency: int, parallel: int | None, patience: Patience) -> ModelGate:
        """Return what stands here for the gate of a model."""
        if model not in self._gates:
            places, limits = model.destinations(), model.rate_limits()
            kind = type(model)
            terms = GateTerms(
                f"{kind.__module__}.{kind.__qualname__} {model.model_dump_json()}",
                model.label(),
                self._concurrency or concurrency,
                patience,
                *limits,
                repr((model.label(), *((place.address, place.variable) for place in places), limits)),
                careful=bool(places),
            )
            self._gates[model] = FarGate(self._keeper, self._client, terms, parallel)
        return self._gates[model]


async def _answer(reference: Any) -> Any:
    return await reference
