"""The driver's side of model calls: attempts one after the other, each in the journal before and after it is made.

A turn is one or more calls, a call is one or more attempts. An attempt that the journal knows is read from it; one
that it knows only as started was lost in a crash: it is charged in full and made again. Everything else is asked live,
or is a mismatch when the run is a replay.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec

from agentsoc.budget.ledger import Grant, Need
from agentsoc.engine.gate import Gate
from agentsoc.engine.host import Item, Order, Outcome
from agentsoc.engine.pool import Pool
from agentsoc.errors import ReplayMismatchError
from agentsoc.log.journal import Attempt, Journal, Key
from agentsoc.scenario.model import Calls
from agentsoc.society.turns import SLOT_WIDTH, Reply

UNKNOWN_ROOM = 1 << 50
"""Prompt room of a turn that was not taken when the run was made: more than any budget pays for (tokens)."""
BACKOFF_MAX_S = 60.0
"""A server may ask for a longer pause than this; it is not granted (seconds)."""


class HostLostError(Exception):
    """The host died with an attempt; whether the model was asked is unknown."""


class Spent(msgspec.Struct):
    """What a turn cost."""

    tokens: int = 0
    """Charged to the ledger (tokens)."""
    lost_tokens: int = 0
    """Part of it charged for attempts of unknown usage (tokens)."""
    lost_calls: int = 0
    """Attempts whose outcome a crash swallowed."""


class Flight(msgspec.Struct):
    """Calls under way, for whoever shows progress."""

    running: int = 0
    done: int = 0
    failed: int = 0
    live: int = 0
    """Attempts that asked a model in this process, not the journal."""


class Caller:
    """Makes the model calls of a run."""

    def __init__(
        self,
        pool: Pool,
        journal: Journal | None,
        known: Mapping[Key, Attempt],
        calls: Calls,
        concurrency: int,
    ) -> None:
        """Prepare to call.

        Args:
            pool: where the agents are.
            journal: where attempts are written; None for a replay, in which a missing attempt is a mismatch.
            known: attempts of earlier runs by key.
            calls: the scenario's settings.
            concurrency: calls in flight at once.
        """
        self._pool = pool
        self._journal = journal
        self._known = known
        self._calls = calls
        limits = pool.parallel()
        self._gates = [Gate(min(concurrency, limit or concurrency)) for limit in limits]
        self._gate = Gate(concurrency)
        self.flight = Flight()
        self._quiet = asyncio.Event()
        self._quiet.set()
        self.holding = False
        """Set when the run is ending: no new call is begun."""

    async def idle(self) -> None:
        """Return when no call is in flight."""
        await self._quiet.wait()

    def room(self, item: Item) -> int | None:
        """Return the prompt room of a turn that the journal knows, else None; what a replay cannot know it refuses."""
        known = self._known.get(Key(item.task, item.round, item.turn.agent, item.turn.slot * SLOT_WIDTH, 0))
        if known is not None:
            return known.room
        return UNKNOWN_ROOM if self._journal is None else None

    async def turn(self, item: Item, group: int, need: Need, grant: Grant) -> tuple[Reply, Spent]:
        """Take one turn of an agent that asks a model; return its reply and what it cost."""
        spent = Spent()
        reply: Reply | None = None
        draft: str | None = None
        calls = tokens_in = tokens_cached = tokens_out = 0
        for call in range(len(need.tokens_in)):
            said, usage, failure = await self._call(item, group, call, need, grant, draft, spent)
            calls += usage[0]
            tokens_in += usage[1]
            tokens_cached += usage[2]
            tokens_out += usage[3]
            if said is None or said.reply is None:
                if reply is None:
                    reply = Reply(failed=failure)
                break  # an earlier draft stands
            reply = said.reply
            draft = " ".join((said.text or "").split())
        assert reply is not None
        return (
            msgspec.structs.replace(
                reply, calls=calls, tokens_in=tokens_in, tokens_cached=tokens_cached, tokens_out=tokens_out
            ),
            spent,
        )

    async def _call(
        self, item: Item, group: int, call: int, need: Need, grant: Grant, draft: str | None, spent: Spent
    ) -> tuple[Outcome | None, tuple[int, int, int, int], str]:
        """Make attempts until one gives a reply in the form asked for, or none is left."""
        allowed = grant.attempts
        fault: str | None = None
        repaired = False
        had_outcome = 0
        number = -1
        totals = [0, 0, 0, 0]
        failure = "no attempt was left after a crash"
        while had_outcome < allowed:
            number += 1
            key = Key(item.task, item.round, item.turn.agent, item.turn.slot * SLOT_WIDTH + call, number)
            known = self._known.get(key)
            room = need.tokens_in[call] + (need.again if had_outcome else 0)  # a lost one is made again as it was
            reserved = room + grant.tokens_out
            lost = known is not None and known.state == "started"
            if not lost:
                order = Order(item, call, had_outcome, room, grant.tokens_out, fault, draft, known)
                try:
                    outcome = await (
                        self._live(key, group, order, reserved) if known is None else self._pool.attempt(order)
                    )
                except HostLostError:
                    if known is not None:  # the reply is in the journal: the new host only has to read it again
                        number -= 1
                        continue
                    lost = True
            if lost:
                tokens = reserved if known is None else known.reserved
                spent.tokens += tokens
                spent.lost_tokens += tokens
                spent.lost_calls += 1
                if grant.reserved:
                    allowed -= 1  # the wall holds across crashes: the lost attempt's tokens may have been spent
                continue
            if outcome.mismatch:
                raise ReplayMismatchError(
                    "this call makes another request than the journal's",
                    f"task {key.task}, round {key.round}, agent {key.agent}, call {key.k}",
                )
            had_outcome += 1
            totals[0] += 1
            usage = outcome.usage
            if usage is not None and usage.known:
                totals[1] += usage.tokens_in
                totals[2] += usage.tokens_cached
                totals[3] += usage.tokens_out
                spent.tokens += usage.tokens_in + usage.tokens_out
            elif outcome.failure is None or outcome.billed:
                spent.tokens += reserved
                spent.lost_tokens += reserved
            if outcome.failure is None and outcome.fault is None:
                self.flight.done += 1
                return outcome, (totals[0], totals[1], totals[2], totals[3]), ""
            if outcome.failure is not None:
                failure = outcome.failure
                if not outcome.retryable:
                    break
                if known is None and had_outcome < allowed:
                    await asyncio.sleep(self._pause(outcome, had_outcome))
                continue
            failure = f"malformed: {outcome.fault}"
            if repaired or not self._calls.repair:
                break
            repaired, fault = True, outcome.fault
        self.flight.failed += 1
        return None, (totals[0], totals[1], totals[2], totals[3]), failure

    def _pause(self, outcome: Outcome, had_outcome: int) -> float:
        """Return the pause before the next attempt (seconds)."""
        if outcome.retry_after_s is not None:
            return min(max(outcome.retry_after_s, 0.0), BACKOFF_MAX_S)
        return min(self._calls.backoff_s * 2.0 ** (had_outcome - 1), BACKOFF_MAX_S)

    async def _live(self, key: Key, group: int, order: Order, reserved: int) -> Outcome:
        """Ask the model, with the attempt in the journal before and its outcome in it before anybody acts on it."""
        journal = self._journal
        if journal is None:
            raise ReplayMismatchError(
                "the journal has no reply for this call",
                f"task {key.task}, round {key.round}, agent {key.agent}, call {key.k}, attempt {key.attempt}",
            )
        async with self._gates[group], self._gate:  # whoever waits for a slow model keeps no other one waiting
            if self.holding:
                await asyncio.Event().wait()  # the run is ending: whoever waits here is cancelled soon
            started = Attempt(
                *key, state="started", request=b"", model="", room=order.tokens_in or 0, reserved=reserved
            )
            await journal.write(started)
            self.flight.running += 1
            self.flight.live += 1
            self._quiet.clear()
            try:
                outcome = await self._pool.attempt(order)
            finally:
                self.flight.running -= 1
                if not self.flight.running:
                    self._quiet.set()
        usage = outcome.usage
        await journal.write(
            msgspec.structs.replace(
                started,
                state="done" if outcome.failure is None else "failed",
                request=outcome.request,
                model=outcome.model,
                reply=outcome.text,
                finish=outcome.finish,
                shown=outcome.shown,
                failure=outcome.failure,
                tokens_in=None if usage is None else usage.tokens_in,
                tokens_cached=None if usage is None else usage.tokens_cached,
                tokens_out=None if usage is None else usage.tokens_out,
                usage_known=None if usage is None else usage.known,
                latency_ms=outcome.latency_ms,
            )
        )
        return outcome
