"""This module is the driver's side of model calls: it makes attempts and writes each down before and after.

A turn is one or more calls, a call is one or more attempts. An attempt that the journal knows is read from it; one
that it knows only as started was lost in a crash: it is charged in full and made again. Everything else is asked live,
or is a mismatch when the run is a replay.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import msgspec

from agentsoc.budget.ledger import Grant, Need
from agentsoc.contracts.turns import SLOT_WIDTH, Reply, Turn
from agentsoc.engine.attempts import AttemptRequest, AttemptResult, PlannedTurn
from agentsoc.engine.call_limiter import CallLimiter
from agentsoc.engine.pool import Pool
from agentsoc.errors import ReplayMismatchError
from agentsoc.log.journal import Attempt, Journal, Key
from agentsoc.scenario.model import Calls
from agentsoc.society.reply_reader import MALFORMED

UNKNOWN_ROOM = 1 << 50
"""Prompt room of a turn that was not taken when the run was made: more than any budget pays for (tokens)."""
BACKOFF_MAX_S = 60.0
"""A server may ask for a longer pause than this; it is not granted (seconds)."""


class HostLostError(Exception):
    """The host died with an attempt, so nobody knows whether the model was asked."""


class Spent(msgspec.Struct):
    """The object adds up what a turn cost."""

    tokens: int = 0
    """Charged to the ledger (tokens)."""
    lost_tokens: int = 0
    """Tokens charged for attempts whose usage is unknown; a part of `tokens` (tokens)."""
    lost_in: int = 0
    """Prompt tokens held for attempts whose usage is unknown; a part of `lost_tokens` (tokens)."""
    lost_calls: int = 0
    """Attempts whose outcome a crash swallowed."""
    calls: int = 0
    """Attempts that had an outcome."""
    tokens_in: int = 0
    """Input tokens, as far as providers reported them; so are the next two fields (tokens)."""
    tokens_cached: int = 0
    tokens_out: int = 0

    def charge(self, outcome: AttemptResult, room: int, reserved: int) -> None:
        """Charge an attempt that had an outcome: the usage that its provider reports, or all that was reserved for it.

        Args:
            outcome: what came of it.
            room: held for its prompt (tokens).
            reserved: held for it in all (tokens).
        """
        self.calls += 1
        usage = outcome.usage
        if usage is not None and usage.known:
            self.tokens_in += usage.tokens_in
            self.tokens_cached += usage.tokens_cached
            self.tokens_out += usage.tokens_out
            self.tokens += usage.tokens_in + usage.tokens_out
        elif outcome.failure is None or outcome.billed:
            self._charge_unknown(room, reserved)

    def lose(self, room: int, reserved: int) -> None:
        """Charge an attempt whose outcome is not known; see `charge`."""
        self._charge_unknown(room, reserved)
        self.lost_calls += 1

    def _charge_unknown(self, room: int, reserved: int) -> None:
        self.tokens += reserved
        self.lost_tokens += reserved
        self.lost_in += room


class CallsInFlight(msgspec.Struct):
    """The object counts the calls under way, for whoever shows progress."""

    running: int = 0
    done: int = 0
    failed: int = 0
    live: int = 0
    """Attempts that asked a model in this process, not the journal."""


class Caller:
    """The caller makes the model calls of a run."""

    def __init__(
        self,
        pool: Pool,
        journal: Journal | None,
        known: Mapping[Key, Attempt],
        calls: Calls,
        concurrency: int,
        limiters: Sequence[CallLimiter] | None = None,
    ) -> None:
        """Prepare to call.

        Args:
            pool: where the agents are.
            journal: where attempts are written; None for a replay, in which a missing attempt is a mismatch.
            known: attempts of earlier runs by key.
            calls: the scenario's settings.
            concurrency: calls in flight at once.
            limiters: per group, the limit of its model where other runs use it too.
        """
        self._pool = pool
        self._journal = journal
        # plain tuples find what named ones are the keys of, and a replay makes two of them for every call
        self._find: Callable[[tuple[int, int, int, int, int]], Attempt | None] = known.get  # type: ignore[assignment]
        self._calls = calls
        if limiters is None:
            limiters = [CallLimiter(min(concurrency, limit or concurrency)) for limit in pool.parallel()]
        self._limiters = limiters
        self._limiter = CallLimiter(concurrency)
        self._last_round: dict[int, int] = {}
        """Task -> last round of which the journal knows anything; a round is begun when the one before has ended."""
        if journal is not None:
            for task, round_, *_ in known:
                self._last_round[task] = max(round_, self._last_round.get(task, 0))
        self.flight = CallsInFlight()
        self._quiet = asyncio.Event()
        self._quiet.set()
        self.holding = False
        """Set when the run is ending: no new call is begun."""

    async def idle(self) -> None:
        """Return when no call is in flight."""
        await self._quiet.wait()

    def room(self, task: int, round_: int, turn: Turn) -> int | None:
        """Return the prompt room that the journal has for a turn, else None; a replay refuses an unknown turn."""
        known = self._find((task, round_, turn.agent, turn.slot * SLOT_WIDTH, 0))
        if known is not None:
            return known.room
        return UNKNOWN_ROOM if self._journal is None else None

    def answered(self, task: int, round_: int) -> bool:
        """Return whether the journal answers every call of a round here and now, so that no turn waits for another."""
        if self._pool.elsewhere:
            return False
        return self._journal is None or round_ < self._last_round.get(task, 0)

    async def turn(self, planned: PlannedTurn, group: int, need: Need, grant: Grant) -> tuple[Reply, Spent]:
        """Take one turn of an agent that asks a model; return its reply and what it cost."""
        spent = Spent()
        reply: Reply | None = None
        draft: str | None = None
        last = len(need.tokens_in) - 1
        for call in range(last + 1):
            said = await self._call(planned, group, call, need, grant, draft, spent)
            if isinstance(said, str) or said.reply is None:
                if reply is None:
                    failed = said if isinstance(said, str) else ""
                    broken = planned.turn.strict and failed.startswith(MALFORMED)
                    reply = Reply(discarded=failed) if broken else Reply(failed=failed)
                break  # the turn keeps the draft of an earlier call
            if (flag := _red_flag(planned.turn, said)) is not None:
                reply = Reply(discarded=flag)
                break
            reply = said.reply
            if call < last:
                draft = (said.text or "").strip()
        assert reply is not None
        return (
            msgspec.structs.replace(
                reply,
                calls=spent.calls,
                tokens_in=spent.tokens_in,
                tokens_cached=spent.tokens_cached,
                tokens_out=spent.tokens_out,
            ),
            spent,
        )

    async def _call(
        self, planned: PlannedTurn, group: int, call: int, need: Need, grant: Grant, draft: str | None, spent: Spent
    ) -> AttemptResult | str:
        """Make attempts until one gives a reply in the form asked for; return the last failure when none does."""
        allowed = grant.attempts
        fault: str | None = None
        repaired = False
        had_outcome = 0
        number = -1
        failure = "no attempt was left after a crash"
        while had_outcome < allowed:
            number += 1
            key = (planned.task, planned.round, planned.turn.agent, planned.turn.slot * SLOT_WIDTH + call, number)
            known = self._find(key)
            room = need.tokens_in[call] + (need.again if had_outcome else 0)  # a lost one is made again as it was
            reserved = room + grant.tokens_out
            lost = known is not None and known.state == "started"
            if not lost:
                wanted = AttemptRequest(planned, call, had_outcome, room, grant.tokens_out, fault, draft, known)
                try:
                    if known is None:
                        outcome = await self._live(Key(*key), group, wanted, reserved)
                    else:
                        outcome = self._pool.recall(wanted) or await self._pool.attempt(wanted)
                except HostLostError:
                    if known is not None:  # the reply is in the journal: the new host only has to read it again
                        number -= 1
                        continue
                    lost = True
            if lost:
                spent.lose(*((room, reserved) if known is None else (known.room, known.reserved)))
                if grant.walled:
                    allowed -= 1  # the wall holds across crashes: the lost attempt's tokens may have been spent
                continue
            if outcome.mismatch:
                raise ReplayMismatchError("this call makes another request than the journal's", _name(key))
            had_outcome += 1
            spent.charge(outcome, room, reserved)
            if outcome.failure is None and outcome.fault is None:
                self.flight.done += 1
                return outcome
            if outcome.failure is not None:
                failure = outcome.failure
                if not outcome.retryable:
                    break
                if known is None and had_outcome < allowed:
                    await asyncio.sleep(self._pause(outcome, had_outcome))
                continue
            failure = f"{MALFORMED}{outcome.fault}"
            if repaired or not self._calls.repair or planned.turn.strict:
                break
            repaired, fault = True, outcome.fault
        self.flight.failed += 1
        return failure

    def _pause(self, outcome: AttemptResult, had_outcome: int) -> float:
        """Return the pause before the next attempt (seconds)."""
        if outcome.retry_after_s is not None:
            return min(max(outcome.retry_after_s, 0.0), BACKOFF_MAX_S)
        return min(self._calls.backoff_s * 2.0 ** (had_outcome - 1), BACKOFF_MAX_S)

    async def _live(self, key: Key, group: int, wanted: AttemptRequest, reserved: int) -> AttemptResult:
        """Ask the model, with the attempt in the journal before and its outcome in it before anybody acts on it."""
        journal = self._journal
        if journal is None:
            raise ReplayMismatchError("the journal has no reply for this call", f"{_name(key)}, attempt {key.attempt}")
        async with self._limiters[group], self._limiter:  # whoever waits for a slow model keeps no other one waiting
            if self.holding:
                await asyncio.Event().wait()  # the run is ending: whoever waits here is cancelled soon
            started = Attempt(
                *key, state="started", request=b"", model="", room=wanted.tokens_in or 0, reserved=reserved
            )
            self.flight.running += 1  # before the row is written: the end of a run waits for what is announced
            self._quiet.clear()
            try:
                await journal.write(started)
                self.flight.live += 1
                outcome = await self._pool.attempt(wanted)
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
                reasoning=outcome.reasoning,
            )
        )
        return outcome


def _red_flag(turn: Turn, said: AttemptResult) -> str | None:
    """Return why a reply in the form asked for is discarded all the same: it is too long, or was cut off."""
    if turn.tokens_max is not None and said.usage is not None and said.usage.tokens_out > turn.tokens_max:
        return f"too long: {said.usage.tokens_out} tokens, at most {turn.tokens_max}"
    return "cut off at its output cap" if turn.strict and said.finish == "length" else None


def _name(key: tuple[int, int, int, int, int]) -> str:
    task, round_, agent, k, _ = key
    return f"task {task}, round {round_}, agent {agent}, call {k}"
