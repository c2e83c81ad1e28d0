"""This module is the driver's side of model calls: it makes attempts and writes each down before and after.

A turn is one or more calls, a call is one or more attempts. An attempt that the journal knows is read from it; one
that it knows only as started was lost in a crash: it is charged in full and made again. Everything else is asked live,
or is a mismatch when the run is a replay. Under a budget a turn may have to wait for its next attempt until that is
paid for: what it has come to is kept in a `TurnUnderWay`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from agentsoc.budget.ledger import Grant
from agentsoc.budget.spent import Spent
from agentsoc.contracts.failure import REFUSED_UNSEEN
from agentsoc.contracts.turns import SLOT_WIDTH, Reply, Turn
from agentsoc.engine.attempt_rows import NO_ATTEMPT, name_of, red_flag, row_of
from agentsoc.engine.attempts import AttemptRequest, AttemptResult, TurnUnderWay
from agentsoc.engine.call_limiter import CallLimiter, until_cancelled
from agentsoc.engine.model_gate import ModelGate, Patience
from agentsoc.engine.pool import Pool
from agentsoc.engine.remake import SUPERSEDED, charges, counts_at, tools_charged
from agentsoc.engine.same_request import Asker
from agentsoc.errors import ModelFailedError, ReplayMismatchError, RoundChangedError
from agentsoc.log.journal import Attempt, Journal, Key
from agentsoc.scenario.model import Calls
from agentsoc.society.reply_reader import MALFORMED

UNKNOWN_ROOM = 1 << 50
"""Prompt room of a turn that was not taken when the run was made: more than any budget pays for (tokens)."""
BACKOFF_MAX_S = 60.0
"""A server may ask for a longer pause than this; it is not granted (seconds)."""
_ON_THE_WAY_S: Final = 0.05
"""Replies that have just come are in the journal after this time (seconds)."""


class HostLostError(Exception):
    """The host died with an attempt, so nobody knows whether the model was asked."""


class CallsInFlight(msgspec.Struct):
    """The object counts the calls under way, for whoever shows progress."""

    running: int = 0
    done: int = 0
    failed: int = 0
    live: int = 0
    """Attempts that asked a model in this process, not the journal."""


class PromptTally(msgspec.Struct):
    """The object adds up what was reserved for prompts, and what they then had."""

    calls: int = 0
    """Attempts of known usage."""
    bound: int = 0
    """Reserved for their prompts (tokens)."""
    used: int = 0
    """What the provider then counted (tokens)."""


class Caller:
    """The caller makes the model calls of a run."""

    def __init__(
        self,
        pool: Pool,
        journal: Journal | None,
        known: Mapping[Key, Attempt],
        calls: Calls,
        concurrency: int,
        gates: Sequence[ModelGate] | None = None,
    ) -> None:
        """Prepare to call.

        Args:
            pool: where the agents are.
            journal: where attempts are written; None for a replay, in which a missing attempt is a mismatch.
            known: attempts of earlier runs by key.
            calls: the scenario's settings.
            concurrency: calls in flight at once.
            gates: per group, where calls of its model wait; None for gates without a rate.
        """
        self._pool = pool
        self._journal = journal
        # plain tuples find what named ones are the keys of, and a replay makes two of them for every call
        self._find: Callable[[tuple[int, int, int, int, int]], Attempt | None] = known.get  # type: ignore[assignment]
        self._calls = calls
        if gates is None:
            patience = Patience(calls.fail_fast, calls.outage_s, calls.backoff_s)
            gates = [ModelGate(min(concurrency, limit or concurrency), patience=patience) for limit in pool.parallel()]
        self._gates = gates
        self._limiter = CallLimiter(concurrency)
        self._last_round: dict[int, int] = {}
        """Task -> last round of which the journal knows anything; a round is begun when the one before has ended."""
        if journal is not None:
            for (task, round_, *_), row in known.items():
                if row.state == SUPERSEDED:
                    continue
                self._last_round[task] = max(round_, self._last_round.get(task, 0))
        self._superseded = charges(known.values())
        self._tools_superseded = tools_charged(known.values())
        self._remade = {counts_at(row) for row in known.values() if row.state == SUPERSEDED}
        """Rounds (task, round) that are made again, with their answers kept."""
        self.flight = CallsInFlight()
        self.prompts = [PromptTally() for _ in self._gates]
        """Of each group."""
        self._replied = [False] * len(self._gates)
        """Whether the model of each group has answered a call, now or in the journal."""
        self._quiet = asyncio.Event()
        self._quiet.set()
        self.holding = False
        """Whether the run is ending: no new call is begun."""
        self._unsent: set[Asker] = set()
        """Calls for which others wait, of other runs too, and which have not begun."""

    def hold(self) -> None:
        """Begin no new call, and let nobody wait for one that has not begun."""
        self.holding = True
        for asker in tuple(self._unsent):
            asker.end()

    def superseded(self, task: int, round_: int) -> Sequence[tuple[int, Spent]]:
        """Return what is charged at the start of a round for attempts that were made again: agents and costs."""
        return self._superseded.get((task, round_), ())

    def superseded_tools(self, task: int, round_: int) -> Sequence[tuple[int, str]]:
        """Return the calls of tools that are charged at the start of a round because it is made again."""
        return self._tools_superseded.get((task, round_), ())

    async def idle(self) -> None:
        """Return when no call is in flight."""
        await self._quiet.wait()

    def room(self, task: int, round_: int, turn: Turn) -> int | None:
        """Return the prompt room that the journal has for a turn, else None; a replay refuses an unknown turn."""
        number = 0
        while (known := self._find((task, round_, turn.agent, turn.slot * SLOT_WIDTH, number))) is not None:
            if known.state != SUPERSEDED:
                return known.room
            number += 1
        return UNKNOWN_ROOM if self._journal is None else None

    async def refuse(self, task: int, round_: int, turn: Turn) -> None:
        """Note that the budget pays for no call of a turn.

        Raises:
            RoundChangedError: the journal has an answer to one, kept when the round was to be made again.
        """
        key = (task, round_, turn.agent, turn.slot * SLOT_WIDTH)
        if self._journal is not None and (task, round_) in self._remade and self.room(task, round_, turn) is not None:
            await self._require_kept((*key, 0))

    async def _require_kept(self, key: tuple[int, int, int, int, int]) -> None:
        """Raise `RoundChangedError` for a call of a round that is made again, once no call is in flight any more."""
        task, round_, *_ = key
        if self._journal is None or (task, round_) not in self._remade:
            return
        self.hold()
        await self.idle()
        await asyncio.sleep(_ON_THE_WAY_S)
        raise RoundChangedError("its answer was kept, and it would now be asked otherwise", name_of(key), task, round_)

    def answered(self, task: int, round_: int) -> bool:
        """Return whether the journal answers every call of a round here and now, so that no turn waits for another."""
        if self._pool.elsewhere:
            return False
        return self._journal is None or round_ < self._last_round.get(task, 0)

    async def turn(self, turn: TurnUnderWay, grant: Grant) -> Spent:
        """Take a turn of an agent that asks a model as far as a grant goes; return what that cost.

        It has `ended` then, or needs another reservation: for `TurnUnderWay.left`.
        """
        spent = Spent()
        while not turn.ended:
            said = await self._call(turn, grant, spent)
            if said is None:
                break
            if isinstance(said, str) or said.reply is None:
                failed = said if isinstance(said, str) else ""
                if turn.reply is None and turn.planned.turn.strict and failed.startswith(MALFORMED):
                    turn.end(Reply(discarded=failed))
                else:
                    turn.give_up(failed)
            elif (flag := red_flag(turn.planned.turn, said)) is not None:
                turn.end(Reply(discarded=flag))
            else:
                turn.go_on(said.reply, said.text)
        turn.total.add(spent)
        return spent

    async def _call(self, turn: TurnUnderWay, grant: Grant, spent: Spent) -> AttemptResult | str | None:
        """Make attempts until one gives a reply in the form asked for.

        Return the last failure when none does, and None when the next one needs another reservation.
        """
        made = 0
        while turn.had < turn.attempts:
            if made == grant.attempts:
                return None
            turn.number += 1
            key, known, outcome = await self._attempt(turn, grant)
            if outcome is None:
                room = turn.room(turn.call)
                spent.lose(*((room, room + grant.tokens_out) if known is None else (known.room, known.reserved)))
                if grant.walled:  # the wall holds across crashes: the lost attempt's tokens may have been spent
                    if turn.queued:
                        return None
                    turn.attempts -= 1
                continue
            if outcome.mismatch:
                await self._require_kept(key)
                raise ReplayMismatchError("this call makes another request than the journal's", name_of(key))
            if outcome.rate_limited:
                turn.waits += 1  # for all calls of the model together, at its gate
                continue
            room = turn.room(turn.call)
            made += 1
            turn.had += 1
            usage = outcome.usage
            self._replied[turn.group] |= outcome.failure is None
            spent.charge(usage, outcome.failure is None or outcome.billed, room, room + grant.tokens_out)
            if usage is not None and usage.known and usage.tokens_in and turn.under is None:
                tally = self.prompts[turn.group]
                tally.calls += 1
                tally.bound += room
                tally.used += usage.tokens_in
            if outcome.failure is None and outcome.fault is None:
                self.flight.done += 1
                return outcome
            if not await self._again(turn, outcome, known is None, made < grant.attempts):
                break
        self.flight.failed += 1
        return turn.failure

    async def _attempt(
        self, turn: TurnUnderWay, grant: Grant
    ) -> tuple[tuple[int, int, int, int, int], Attempt | None, AttemptResult | None]:
        """Make the next attempt, or read it; return its key, its row and its outcome, None for one that is lost."""
        planned = turn.planned
        while True:
            key = (planned.task, planned.round, *turn.rows, turn.number)
            known = self._find(key)
            if known is not None and known.state == SUPERSEDED:  # charged at the start of its round
                turn.number += 1
                continue
            if known is not None and known.state == "started":
                return key, known, None
            room = turn.room(turn.call)
            wanted = AttemptRequest(planned, turn.call, turn.had, room, grant.tokens_out, turn.fault, turn.draft, known)
            try:
                if known is None:
                    return key, None, await self._live(Key(*key), turn, wanted, room + grant.tokens_out)
                outcome = self._pool.recall(wanted) or await self._pool.attempt(wanted)
            except HostLostError:
                if known is None:
                    return key, None, None
                continue  # the reply is in the journal: the new host only has to read it again
            free = known.finish == NO_ATTEMPT
            if outcome.rate_limited != free:
                outcome = msgspec.structs.replace(outcome, rate_limited=free)
            return key, known, outcome

    async def _again(self, turn: TurnUnderWay, outcome: AttemptResult, live: bool, here: bool) -> bool:
        """Note why an attempt gave no reply; return whether another one may, which begins after a pause.

        Args:
            turn: whose attempt it was.
            outcome: what came of it.
            live: whether it was made now; what the journal knows needs no pause.
            here: whether the next attempt is paid for already.
        """
        if outcome.failure is None:
            turn.failure = f"{MALFORMED}{outcome.fault}"
            if turn.fault is not None or not self._calls.repair or turn.planned.turn.strict:
                return False
            turn.fault = outcome.fault
            return True
        turn.failure = outcome.failure
        if not outcome.retryable:
            return False
        waits_at_gate = outcome.failure.partition(": ")[0] in REFUSED_UNSEEN
        if live and turn.had < turn.attempts and not waits_at_gate:
            pause = self._pause(outcome, turn.had)
            if here:
                await asyncio.sleep(pause)
            else:
                turn.rest_until = time.monotonic() + pause
        return True

    def _pause(self, outcome: AttemptResult, times: int) -> float:
        """Return the pause before the next attempt after this many failures (seconds)."""
        if outcome.retry_after_s is not None:
            return min(max(outcome.retry_after_s, 0.0), BACKOFF_MAX_S)
        return min(self._calls.backoff_s * 2.0 ** (times - 1), BACKOFF_MAX_S)

    def require_answers(self) -> None:
        """Raise `ModelFailedError` when a model answered no call of the run, however few they were."""
        heard = [gate for gate, replied in zip(self._gates, self._replied, strict=True) if replied]
        for gate in self._gates:
            if gate not in heard and (cause := gate.hopeless()) is not None:
                raise ModelFailedError(cause)

    async def _live(self, key: Key, turn: TurnUnderWay, wanted: AttemptRequest, reserved: int) -> AttemptResult:
        """Ask the model, with the attempt in the journal before and its outcome in it before anybody acts on it.

        Raises:
            ModelFailedError: the model cannot be used; what came of this attempt is in the journal all the same.
        """
        journal = self._journal
        if journal is None:
            raise ReplayMismatchError(
                "the journal has no reply for this call", f"{name_of(key)}, attempt {key.attempt}"
            )
        if turn.rest_until and (rest := turn.rest_until - time.monotonic()) > 0:
            await asyncio.sleep(rest)
        path = self._calls.cache
        digest = self._pool.request_hash(wanted) if path is not None else None
        if path is None or digest is None:
            return await self._send(journal, key, turn, wanted, reserved)
        same, request = self._gates[turn.group].same, path.encode() + digest
        asked = False
        if self.holding:
            await until_cancelled()
        while True:
            if (hit := self._pool.from_cache(wanted)) is not None:
                await journal.write(row_of(key, wanted.tokens_in or 0, reserved, hit))
                return hit
            if asked:
                return await self._send(journal, key, turn, wanted, reserved)
            if (asker := same.asker(request)) is None:
                break
            asked = await asker.ended()
        with same.asking(request) as asker:
            self._unsent.add(asker)
            try:
                outcome = await self._send(journal, key, turn, wanted, reserved, asker)
            finally:
                self._unsent.discard(asker)
            asker.was_heard = not outcome.rate_limited
        return outcome

    async def _send(
        self,
        journal: Journal,
        key: Key,
        turn: TurnUnderWay,
        wanted: AttemptRequest,
        reserved: int,
        asker: Asker | None = None,
    ) -> AttemptResult:
        """Send a request when the model has a place for it; for `asker` others wait that want the same."""
        room = wanted.tokens_in or 0
        gate = self._gates[turn.group]
        await gate.enter(reserved, again=turn.waits > 0)
        outcome: AttemptResult | None = None
        try:
            async with self._limiter:
                if not self.holding:
                    if asker is not None:
                        self._unsent.discard(asker)
                    self.flight.running += 1  # before the row is written: the end of a run waits for what is announced
                    self._quiet.clear()
                    try:
                        await journal.write(Attempt(*key, "started", b"", "", room, reserved))
                        self.flight.live += 1
                        if turn.free_until is None:
                            turn.free_until = time.monotonic() + self._calls.deadline_s
                        outcome = await self._pool.attempt(wanted)
                    finally:
                        self.flight.running -= 1
                        if not self.flight.running:
                            self._quiet.set()
            if outcome is not None:
                gate.heard(outcome.failure, outcome.retry_after_s)
        finally:
            gate.leave()
        if outcome is None:
            await until_cancelled()
        usage = outcome.usage
        if usage is not None and usage.known:
            gate.give_back(reserved - usage.tokens_in - usage.tokens_out)
        if outcome.rate_limited and time.monotonic() >= (turn.free_until or 0.0):
            outcome = msgspec.structs.replace(outcome, rate_limited=False)
        await journal.write(row_of(key, room, reserved, outcome))
        if outcome.failure is not None:
            await gate.settled()
        if gate.cause is not None and outcome.failure is not None:
            raise ModelFailedError(gate.cause)
        return outcome
