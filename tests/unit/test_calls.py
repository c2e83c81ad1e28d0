"""Attempts one after the other: in the journal before they are made and before their outcome is used, none twice."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

from agentsoc.budget.ledger import Grant, Need
from agentsoc.budget.spent import Spent
from agentsoc.contracts.model import CallError, Usage
from agentsoc.contracts.turns import Reply, Turn
from agentsoc.engine.attempt_rows import NO_ATTEMPT
from agentsoc.engine.attempts import AttemptRequest, AttemptResult, PlannedTurn, TurnUnderWay
from agentsoc.engine.calls import BACKOFF_MAX_S, Caller, HostLostError
from agentsoc.errors import ReplayMismatchError, RunFailedError
from agentsoc.log.journal import Attempt, Key
from agentsoc.scenario.model import Calls

USAGE = Usage(20, 5, 7)
GOOD = AttemptResult(b"request", "model", text="heads", usage=USAGE, reply=Reply(answer="heads"))
MALFORMED = AttemptResult(b"request", "model", text="???", usage=USAGE, fault="it is not valid JSON")
UNCOUNTED = msgspec.structs.replace(GOOD, usage=Usage(0, 0, 0, known=False))
NEED = Need((30,), 10, again=8)
GRANT = Grant(10, 3, 200)


def failed(kind: str, **more: Any) -> AttemptResult:
    error = CallError(kind, "why", **more)  # type: ignore[arg-type]
    return AttemptResult(
        b"request",
        "model",
        failure=str(error),
        retryable=error.retryable,
        billed=error.billed,
        retry_after_s=error.retry_after_s,
        usage=error.usage,
    )


class Script:
    """A pool that gives prepared outcomes, and a journal that keeps rows; both write down what happened when."""

    def __init__(self, *outcomes: AttemptResult | Exception) -> None:
        self.outcomes = list(outcomes)
        self.story: list[str] = []
        self.orders: list[AttemptRequest] = []
        self.rows: dict[Key, Attempt] = {}

    elsewhere = False

    def parallel(self) -> list[int | None]:
        return [None]

    def recall(self, order: AttemptRequest) -> AttemptResult | None:
        return None

    def request_hash(self, order: AttemptRequest) -> bytes | None:
        return None

    def from_cache(self, order: AttemptRequest) -> AttemptResult | None:
        return None

    async def write(self, row: Attempt) -> None:
        self.rows[row.key] = row
        self.story.append(f"{row.state} {row.attempt}")

    async def attempt(self, order: AttemptRequest) -> AttemptResult:
        self.orders.append(order)
        if order.known is not None:
            return GOOD if order.known.state == "done" else failed(str(order.known.failure).partition(":")[0])
        self.story.append("asked")
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def take(
    script: Script,
    *,
    known: Mapping[Key, Attempt] | None = None,
    need: Need = NEED,
    grant: Grant = GRANT,
    live: bool = True,
    **settings: Any,
) -> tuple[Reply, Spent]:
    caller = Caller(script, script if live else None, known or {}, Calls(**{"backoff_s": 0.0, **settings}), 8)  # type: ignore[arg-type]
    turn = TurnUnderWay(PlannedTurn(1, 2, Turn(3)), 0, need, grant.attempts)
    asyncio.run(caller.turn(turn, grant))
    return turn.result(), turn.total


def row(attempt: int, state: Any, **changes: Any) -> Attempt:
    return Attempt(
        **{
            **Key(1, 2, 3, 0, attempt)._asdict(),
            "state": state,
            "request": b"request",
            "model": "model",
            "room": 30,
            "reserved": 40,
            **changes,
        }
    )


def known(*rows: Attempt) -> dict[Key, Attempt]:
    return {row.key: row for row in rows}


def test_an_attempt_is_written_before_it_is_made_and_before_its_outcome_is_used() -> None:
    script = Script(failed("server"), GOOD)
    reply, spent = take(script)
    assert script.story == ["started 0", "asked", "failed 0", "started 1", "asked", "done 1"]
    assert (reply.answer, reply.calls, reply.failed) == ("heads", 2, None)
    done = script.rows[Key(1, 2, 3, 0, 1)]
    assert (done.reply, done.tokens_in, done.tokens_out, done.usage_known, done.request) == (
        "heads", 20, 7, True, b"request",
    )  # fmt: skip
    assert (spent.tokens, spent.lost_tokens, spent.lost_calls) == (40 + 27, 40, 0)
    assert (spent.calls, spent.tokens_in + spent.tokens_out) == (2, 27)


@pytest.mark.parametrize(
    ("outcome", "charged", "lost"),
    [
        (GOOD, 27, 0),
        (UNCOUNTED, 40, 40),
        (failed("timeout"), 40, 40),
        (failed("server"), 40, 40),
        (failed("empty", usage=USAGE), 27, 0),
        (failed("rate_limited"), 0, 0),
        (failed("connection"), 0, 0),
        (failed("rejected"), 0, 0),
        (failed("too_long"), 0, 0),
    ],
    ids=["good", "uncounted", "timeout", "server", "empty", "rate_limited", "connection", "rejected", "too_long"],
)
def test_what_an_attempt_is_charged(outcome: AttemptResult, charged: int, lost: int) -> None:
    """Its usage; all that was reserved where the provider may have billed and did not say; else nothing."""
    reply, spent = take(Script(outcome), grant=Grant(10, 1, 40))
    assert (spent.tokens, spent.lost_tokens, spent.lost_calls) == (charged, lost, 0)
    assert (reply.failed is None) == (outcome.failure is None)


@pytest.mark.parametrize("kind", ["rejected", "too_long"])
def test_what_cannot_succeed_is_not_tried_again(kind: str) -> None:
    script = Script(failed(kind))
    reply, _ = take(script)
    assert reply.failed == f"{kind}: why"
    assert len(script.orders) == 1


def test_attempts_end_when_the_grant_does() -> None:
    script = Script(*[failed("server")] * 5)
    reply, _ = take(script, grant=Grant(10, 2, 88))
    assert (reply.failed, reply.calls, len(script.orders)) == ("server: why", 2, 2)


@pytest.mark.parametrize(("repair", "asked"), [(True, 2), (False, 1)])
def test_a_malformed_reply_is_sent_back_once(repair: bool, asked: int) -> None:
    script = Script(*[MALFORMED] * 3)
    reply, spent = take(script, repair=repair)
    assert reply.failed == "malformed: it is not valid JSON"
    assert [order.fault for order in script.orders] == [None, "it is not valid JSON"][:asked]
    assert spent.tokens == asked * 27


def test_a_repeated_attempt_has_room_for_the_fault_it_names() -> None:
    script = Script(MALFORMED, GOOD)
    take(script)
    assert [(order.tokens_in, order.attempt) for order in script.orders] == [(30, 0), (38, 1)]
    assert [row.reserved for row in script.rows.values()] == [40, 48]


def test_what_the_journal_knows_is_not_asked() -> None:
    script = Script()
    reply, spent = take(script, known=known(row(0, "failed", failure="rate_limited: x"), row(1, "done")))
    assert script.story == []
    assert (reply.answer, reply.calls, spent.tokens) == ("heads", 2, 27)


def test_a_lost_attempt_is_charged_in_full_and_made_again_as_it_was() -> None:
    """The same request: the same room, the same number of outcomes before; so the same reply, if the model is pure."""
    script = Script(GOOD)
    reply, spent = take(script, known=known(row(0, "started")))
    assert [(order.tokens_in, order.tokens_out, order.attempt) for order in script.orders] == [(30, 10, 0)]
    assert script.story == ["started 1", "asked", "done 1"]
    assert (reply.answer, reply.calls) == ("heads", 1)
    assert (spent.tokens, spent.lost_tokens, spent.lost_calls) == (40 + 27, 40, 1)


def test_lost_attempts_use_up_the_grant_where_there_is_a_wall() -> None:
    lost = known(row(0, "started"), row(1, "started"))
    reply, spent = take(Script(GOOD), known=lost, grant=Grant(10, 2, 88))
    assert reply.failed == "no attempt was left after a crash"
    assert spent.tokens == 80
    reply, _ = take(Script(GOOD), known=lost, grant=Grant(10, 2, 0))  # no budget, no wall
    assert reply.answer == "heads"


def test_a_host_that_dies_loses_its_attempt() -> None:
    script = Script(HostLostError(), GOOD)
    reply, spent = take(script)
    assert script.story == ["started 0", "asked", "started 1", "asked", "done 1"]
    assert (reply.answer, spent.lost_calls, spent.lost_tokens) == ("heads", 1, 40)
    assert script.rows[Key(1, 2, 3, 0, 0)].state == "started"


def test_a_replay_asks_nobody() -> None:
    with pytest.raises(ReplayMismatchError, match="task 1, round 2, agent 3, call 0, attempt 0"):
        take(Script(GOOD), live=False)


def test_a_request_that_differs_from_the_journals_is_named() -> None:
    class Other(Script):
        async def attempt(self, order: AttemptRequest) -> AttemptResult:
            return AttemptResult(b"other", "model", mismatch=True)

    with pytest.raises(ReplayMismatchError, match="task 1, round 2, agent 3"):
        take(Other(), known=known(row(0, "done")))


def test_iterations_go_on_from_the_draft_and_a_failure_leaves_it() -> None:
    need = Need((30, 60, 60), 10, again=8)
    script = Script(
        GOOD, msgspec.structs.replace(GOOD, text="tails \n now", reply=Reply(answer="tails")), failed("rejected")
    )
    reply, _ = take(script, need=need)
    assert [order.draft for order in script.orders] == [None, "heads", "tails \n now"]
    assert [key.k for key in script.rows] == [0, 1, 2]
    assert (reply.answer, reply.calls, reply.failed) == ("tails", 3, None)
    reply, _ = take(Script(failed("rejected")), need=need)
    assert (reply.failed, reply.calls) == ("rejected: why", 1)


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([failed("server")] * 3, [0.5, 1.0, 2.0]),
        ([failed("server", retry_after_s=7.0)], [7.0]),
        ([failed("server", retry_after_s=1e9)], [BACKOFF_MAX_S]),
        ([failed("server", retry_after_s=-3.0)], [0.0]),
        ([failed("rate_limited", retry_after_s=0.01)], []),
        ([MALFORMED], []),
    ],
    ids=[
        "doubling",
        "as the server says",
        "not for ever",
        "not backwards",
        "all at the gate",
        "a repair does not wait",
    ],
)
def test_pauses_between_attempts(
    monkeypatch: pytest.MonkeyPatch, outcomes: Sequence[AttemptResult], expected: list[float]
) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    take(Script(*outcomes, GOOD), grant=Grant(10, 9, 999), backoff_s=0.5)
    assert pauses == expected


def test_a_model_that_cannot_be_used_ends_the_run_with_every_outcome_in_the_journal() -> None:
    script = Script(*[failed("rejected")] * 9)

    async def nine() -> None:
        caller = Caller(script, script, {}, Calls(), 1)  # type: ignore[arg-type]
        for task in range(9):
            await caller.turn(TurnUnderWay(PlannedTurn(task, 0, Turn(0)), 0, NEED, 3), GRANT)

    with pytest.raises(RunFailedError, match="the first 5 calls of the model failed alike: rejected: why"):
        asyncio.run(nine())
    assert [row.state for row in script.rows.values()] == ["failed"] * 5


def test_a_slow_model_keeps_no_other_model_waiting() -> None:
    """Two groups, one of which may make one call at a time: the other uses the slots that are left."""

    class TwoModels(Script):
        def __init__(self) -> None:
            super().__init__()
            self.running = [0, 0]
            self.most = [0, 0]

        def parallel(self) -> list[int | None]:
            return [1, None]

        async def attempt(self, order: AttemptRequest) -> AttemptResult:
            group = int(order.planned.turn.agent >= 10)
            self.running[group] += 1
            self.most = [max(most, now) for most, now in zip(self.most, self.running, strict=True)]
            await asyncio.sleep(0.002)
            self.running[group] -= 1
            return GOOD

    async def main() -> list[int]:
        script = TwoModels()
        caller = Caller(script, script, {}, Calls(), 4)  # type: ignore[arg-type]
        turns = [
            caller.turn(TurnUnderWay(PlannedTurn(0, 0, Turn(agent)), int(agent >= 10), NEED, 1), Grant(10, 1, 40))
            for agent in range(20)
        ]
        await asyncio.gather(*turns)
        return script.most

    slow, quick = asyncio.run(main())
    assert slow == 1
    assert quick >= 3


def test_the_room_of_a_turn_comes_from_the_journal() -> None:
    def room(rows: dict[Key, Attempt], live: bool) -> int | None:
        script = Script()
        caller = Caller(script, script if live else None, rows, Calls(), 1)  # type: ignore[arg-type]
        return caller.room(1, 2, Turn(3))

    assert room(known(row(0, "done", room=77)), True) == 77
    assert room({}, True) is None
    found = room({}, False)
    assert found is not None
    assert found > 10**15  # what was not taken then cannot be paid for now


def test_an_answer_of_the_journal_is_had_at_once_where_the_pool_can() -> None:
    script = Script()
    script.recall = lambda order: GOOD if order.known is not None else None  # type: ignore[method-assign]
    reply, _ = take(script, known=known(row(0, "done")))
    assert (reply.answer, script.orders, script.story) == ("heads", [], [])


@pytest.mark.parametrize(
    ("live", "elsewhere", "rounds"),
    [(False, False, [True] * 4), (True, False, [True, True, False, False]), (False, True, [False] * 4)],
    ids=["a replay", "a resumed run", "hosts elsewhere"],
)
def test_a_round_that_a_later_one_follows_in_the_journal_waits_for_nobody(
    live: bool, elsewhere: bool, rounds: list[bool]
) -> None:
    script = Script()
    script.elsewhere = elsewhere
    caller = Caller(script, script if live else None, known(row(0, "done")), Calls(), 8)  # type: ignore[arg-type]
    assert [caller.answered(1, round_) for round_ in range(4)] == rounds
    assert caller.answered(0, 0) == (not live and not elsewhere)


# Refusals for coming too often

LIMITED = msgspec.structs.replace(failed("rate_limited", retry_after_s=0.0), rate_limited=True)


def test_a_refusal_for_coming_too_often_costs_no_attempt_and_no_call() -> None:
    """It keeps its reservation, stands in the journal only, and the request that follows is the same."""
    script = Script(LIMITED, LIMITED, LIMITED, GOOD)
    reply, spent = take(script, grant=Grant(10, 1, 40))
    assert (reply.answer, reply.calls, spent.tokens, spent.calls) == ("heads", 1, 27, 1)
    assert [(order.attempt, order.tokens_in, order.tokens_out) for order in script.orders] == [(0, 30, 10)] * 4
    assert [row.finish for row in script.rows.values()] == [NO_ATTEMPT] * 3 + [None]
    assert [row.state for row in script.rows.values()] == ["failed"] * 3 + ["done"]


def test_after_the_deadline_such_a_refusal_costs_an_attempt() -> None:
    script = Script(*[LIMITED] * 9)
    reply, _ = take(script, grant=Grant(10, 2, 88), deadline_s=0.0)
    assert (reply.failed, reply.calls, len(script.orders)) == ("rate_limited: why", 2, 2)
    assert [row.finish for row in script.rows.values()] == [None, None]


def test_the_journal_says_which_refusals_cost_an_attempt() -> None:
    """A replay has no clock, and older runs paid for every one."""

    class Limited(Script):
        async def attempt(self, order: AttemptRequest) -> AttemptResult:
            outcome = await super().attempt(order)
            return msgspec.structs.replace(outcome, rate_limited=outcome.failure is not None)

    free = [row(i, "failed", failure="rate_limited: x", finish=NO_ATTEMPT) for i in range(3)]
    reply, spent = take(Limited(), known=known(*free, row(3, "done")), live=False, grant=Grant(10, 1, 40))
    assert (reply.answer, reply.calls, spent.tokens) == ("heads", 1, 27)
    paid = [row(i, "failed", failure="rate_limited: x") for i in range(3)]
    reply, _ = take(Limited(), known=known(*paid), live=False)
    assert (reply.failed, reply.calls) == ("rate_limited: why", 3)


# Turns that wait for another reservation


def waiting(script: Script, *grants: Grant, need: Need = NEED, attempts: int = 3, **known_as: Any) -> TurnUnderWay:
    """Take a turn under one grant after the other; return what it has come to."""
    turn = TurnUnderWay(PlannedTurn(1, 2, Turn(3)), 0, need, attempts, queued=True)
    caller = Caller(script, script, known_as.get("known", {}), Calls(backoff_s=0.0), 8)  # type: ignore[arg-type]

    async def all_grants() -> None:
        for grant in grants:
            assert not turn.ended
            await caller.turn(turn, grant)

    asyncio.run(all_grants())
    return turn


ONE = Grant(10, 1, 40)


def test_a_turn_waits_after_each_attempt_that_needs_another() -> None:
    script = Script(failed("server"), MALFORMED, GOOD)
    turn = waiting(script, ONE)
    assert (turn.ended, turn.left()) == (False, Need((38,), 10, again=8))
    turn = waiting(Script(failed("server"), MALFORMED, GOOD), ONE, ONE, ONE)
    assert turn.ended
    assert (turn.result().answer, turn.result().calls) == ("heads", 3)


def test_only_the_call_that_is_repeated_and_those_after_it_are_reserved_again() -> None:
    need = Need((30, 60, 60), 10, again=8)
    turn = waiting(Script(GOOD, failed("server")), Grant(10, 1, 180), need=need)
    assert (turn.call, turn.left().tokens_in) == (1, (68, 60))
    turn.give_up()
    assert turn.result().answer == "heads"  # the draft of the first call stands


def test_a_turn_without_a_draft_that_is_granted_no_more_has_failed() -> None:
    turn = waiting(Script(failed("server")), ONE)
    turn.give_up()
    assert (turn.result().failed, turn.result().calls) == ("server: why", 1)


def test_a_lost_attempt_waits_as_it_was_and_uses_up_none() -> None:
    turn = waiting(Script(), ONE, known=known(row(0, "started", room=30, reserved=99)))
    assert (turn.left().tokens_in, turn.had, turn.total.lost_tokens) == ((30,), 0, 99)
    turn = waiting(Script(HostLostError(), GOOD), Grant(10, 3, 136), ONE, attempts=1)
    assert (turn.result().answer, turn.total.lost_calls) == ("heads", 1)


def test_what_cannot_succeed_and_what_is_discarded_waits_for_nothing() -> None:
    assert waiting(Script(failed("rejected")), ONE).ended
    strict = TurnUnderWay(PlannedTurn(1, 2, Turn(3, strict=True)), 0, NEED, 3, queued=True)
    script = Script(MALFORMED)
    asyncio.run(Caller(script, script, {}, Calls(), 8).turn(strict, ONE))  # type: ignore[arg-type]
    assert strict.result().discarded == "malformed: it is not valid JSON"


def test_a_model_that_answered_before_a_crash_has_answered() -> None:
    """A resumed run whose one last call fails is a run with a failed call, not one that nobody answers."""
    script = Script(failed("server"))
    caller = Caller(script, script, known(row(0, "done")), Calls(attempts=1, backoff_s=0.0), 8)  # type: ignore[arg-type]

    async def both() -> None:
        await caller.turn(TurnUnderWay(PlannedTurn(1, 2, Turn(3)), 0, NEED, 1), GRANT)
        await caller.turn(TurnUnderWay(PlannedTurn(1, 3, Turn(3)), 0, NEED, 1), GRANT)

    asyncio.run(both())
    assert (caller.flight.done, caller.flight.failed) == (1, 1)
    caller.require_answers()
    script = Script(failed("server"))
    alone = Caller(script, script, {}, Calls(attempts=1, backoff_s=0.0), 8)  # type: ignore[arg-type]
    asyncio.run(alone.turn(TurnUnderWay(PlannedTurn(1, 3, Turn(3)), 0, NEED, 1), GRANT))
    with pytest.raises(RunFailedError, match="answered nobody"):
        alone.require_answers()
