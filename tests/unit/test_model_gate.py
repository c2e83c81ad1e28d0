"""The gate before a model: places in order, one pause for all, a rate a minute, and when a model cannot be used."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

import pytest

from agentsoc.backends.reply import seconds
from agentsoc.engine import model_gate
from agentsoc.engine.model_gate import FIRST_CALLS, ModelGate, Patience
from agentsoc.engine.rate import BURST_S, RateBook
from agentsoc.errors import RunFailedError

SLOW_DOWN, DOWN, GONE = "rate_limited: HTTP 429: slow down", "unavailable: HTTP 503: no", "rejected: HTTP 404: no"


class Clock:
    """Time that passes when it is told to; waits of the gate end when the loop has nothing else to do."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.timers: list[tuple[float, Callable[[], None]]] = []
        monkeypatch.setattr(model_gate, "time", self)

    def monotonic(self) -> float:
        return self.now


async def _settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_no_more_than_its_places_are_inside_and_all_come_in_order() -> None:
    async def crowd(places: int) -> tuple[int, list[int]]:
        gate, inside, most, entered = ModelGate(places), 0, 0, []

        async def one(number: int) -> None:
            nonlocal inside, most
            await gate.enter()
            inside += 1
            most = max(most, inside)
            entered.append(number)
            await asyncio.sleep(0)
            inside -= 1
            gate.heard(None)
            gate.leave()

        await asyncio.gather(*(one(number) for number in range(40)))
        return most, entered

    for places in (1, 3, 8):
        assert asyncio.run(crowd(places)) == (places, list(range(40)))


def test_a_place_outlives_those_who_are_cancelled_while_they_wait_or_have_just_got_it() -> None:
    async def crowd(order: random.Random) -> set[int]:
        gate, entered = ModelGate(2), set()

        async def one(number: int) -> None:
            await gate.enter()
            entered.add(number)
            try:
                for _ in range(order.randrange(4)):
                    await asyncio.sleep(0)
            finally:
                gate.leave()

        tasks = [asyncio.create_task(one(number)) for number in range(20)]
        for number in order.sample(range(20), 12):
            for _ in range(order.randrange(3)):
                await asyncio.sleep(0)
            tasks[number].cancel()
        async with asyncio.timeout(5):  # a lost place would keep the rest waiting for ever
            await asyncio.gather(*tasks, return_exceptions=True)
            await gate.enter()
            await gate.enter()
        return {number for number in range(20) if not tasks[number].cancelled()} - entered

    for seed in range(50):
        assert asyncio.run(crowd(random.Random(seed))) == set()


def test_one_refusal_stops_all_for_as_long_as_the_server_asks_and_halves_who_goes_on() -> None:
    async def story() -> tuple[float, int]:
        gate = ModelGate(8)
        for _ in range(8):
            await gate.enter()
        began = time.monotonic()
        for _ in range(8):  # eight refusals of calls that were in flight together are one
            gate.heard(SLOW_DOWN, 0.2)
            gate.leave()
        waiting = [asyncio.create_task(gate.enter()) for _ in range(8)]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        paused = time.monotonic() - began
        await _settled()
        inside = sum(task.done() for task in waiting)
        for task in waiting:
            task.cancel()
        return paused, inside

    paused, inside = asyncio.run(story())
    assert 0.15 < paused < 1.0
    assert inside == 4


def test_a_server_that_names_no_pause_is_left_alone_twice_as_long_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    gate = ModelGate(8, patience=Patience(backoff_s=0.5))
    pauses = []
    for _ in range(4):
        gate.heard(SLOW_DOWN)
        pauses.append(gate._pause_until - clock.now)
        clock.now = gate._pause_until
    assert pauses == [0.5, 1.0, 2.0, 4.0]
    gate.heard(None)
    gate.heard(SLOW_DOWN)
    assert gate._pause_until - clock.now == 0.5


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        ("0", 8, 20),
        ("-7", 8, 20),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 8, 20),
        ("0.001", 8, 20),
        ("soon", 5, 8),
        ("", 5, 8),
        ("7", 9, 9),
        ("1e9", 1, 2),
        ("9" * 500, 1, 2),
        ("Thu, 01 Jan 2099 00:00:00 GMT", 1, 2),
    ],
)
def test_a_server_that_refuses_for_a_minute_is_asked_a_few_times_whatever_it_says_of_pauses(
    monkeypatch: pytest.MonkeyPatch, header: str, least: int, most: int
) -> None:
    clock = Clock(monkeypatch)
    gate = ModelGate(8, patience=Patience(outage_s=3600.0))
    gate.heard(None)
    began, asked = clock.now, 0
    while clock.now < began + 60:
        gate.heard(SLOW_DOWN, seconds(header))
        asked += 1
        clock.now = max(gate._pause_until, clock.now)
    assert least <= asked <= most
    gate.heard(SLOW_DOWN, 0.25)
    gate.heard(None)  # it answers: from then on its word holds again
    clock.now = max(gate._pause_until, clock.now)
    gate.heard(SLOW_DOWN, 0.25)
    assert gate._pause_until - clock.now == pytest.approx(0.25)


@pytest.mark.parametrize("pause_s", [None, 0.0, 1.0, 3600.0])
def test_a_minute_in_which_every_second_call_is_refused_is_a_minute_of_answers(
    monkeypatch: pytest.MonkeyPatch, pause_s: float | None
) -> None:
    clock = Clock(monkeypatch)
    gate = ModelGate(8, patience=Patience(outage_s=1.0))
    answers = 0
    began = clock.now
    while clock.now < began + 60:
        gate.heard(SLOW_DOWN, pause_s)
        clock.now = max(gate._pause_until, clock.now) + 0.01
        gate.heard(None)
        answers += 1
    assert gate.cause is None
    assert gate._limit >= 1
    assert answers >= 60 / min(max(0.5 if pause_s is None else pause_s, 0.01) + 0.01, 61) - 1


@pytest.mark.parametrize("failure", [SLOW_DOWN, DOWN])
def test_a_pause_stops_growing_however_often_a_server_refuses(monkeypatch: pytest.MonkeyPatch, failure: str) -> None:
    clock = Clock(monkeypatch)
    gate = ModelGate(8, patience=Patience(fail_fast=False))
    for _ in range(3_000):  # hours of it
        gate.heard(failure)
        assert gate._pause_until - clock.now <= 60.0
        clock.now = gate._pause_until
    assert gate.cause is None


def test_answers_let_more_in_one_more_for_each_round_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    gate = ModelGate(8)
    gate.heard(None)
    gate._inside = 8
    gate.heard(SLOW_DOWN, 1.0)
    clock.now += 2
    limits = []
    for _ in range(11):
        gate.heard(None)
        limits.append(gate._limit)
    assert limits == [4, 4, 4, 5, 5, 5, 5, 5, 6, 6, 6]


def test_those_who_were_put_off_go_before_those_who_have_not_been_in() -> None:
    async def story() -> list[str]:
        gate, entered = ModelGate(1), []

        async def one(name: str, again: bool) -> None:
            await gate.enter(again=again)
            entered.append(name)
            gate.leave()

        await gate.enter()
        tasks = [asyncio.create_task(one(name, name == "again")) for name in ("first", "second", "again")]
        await _settled()
        gate.leave()
        await asyncio.gather(*tasks)
        return entered

    assert asyncio.run(story()) == ["again", "first", "second"]


@pytest.mark.parametrize("failure", [GONE, "connection: cannot connect", "rejected: HTTP 400: no such model m"])
def test_first_calls_that_fail_alike_close_the_gate(failure: str) -> None:
    gate = ModelGate(8, "openai/m")
    for number in range(FIRST_CALLS):
        assert gate.cause is None, number
        gate.heard(failure)
    assert gate.cause == f"the first 5 calls of openai/m failed alike: {failure}"
    with pytest.raises(RunFailedError, match="openai/m"):
        asyncio.run(gate.enter())


def test_failures_that_differ_or_follow_an_answer_close_nothing() -> None:
    gate = ModelGate(8)
    for status in (401, 404, 403, 401, 404, 403, 401):
        gate.heard(f"rejected: HTTP {status}: no")
    assert gate.cause is None
    answered = ModelGate(8)
    answered.heard(None)
    for prompt in range(30):  # prompts that a filter refuses, each in its own words
        answered.heard(f"rejected: HTTP 400: prompt {prompt} is not allowed")
    assert answered.cause is None


def test_a_key_that_is_revoked_on_the_way_closes_the_gate_at_once() -> None:
    gate = ModelGate(8, "openai/m")
    gate.heard(None)
    for _ in range(20):
        assert gate.cause is None
        gate.heard("rejected: HTTP 401: revoked")
    assert gate.cause == "the last 20 calls of openai/m failed alike: rejected: HTTP 401: revoked"


def test_a_server_that_is_down_is_asked_seldom_and_given_up_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    gate = ModelGate(8, "openai/m", Patience(outage_s=30.0))
    gate.heard(None)
    began, calls = clock.now, 0
    while gate.cause is None:
        gate.heard(DOWN)
        calls += 1
        assert gate._limit == 1
        clock.now = gate._pause_until
    assert "openai/m has answered nobody for" in gate.cause
    assert calls <= 6
    assert 30 <= clock.now - began <= 60


def test_a_gate_without_fail_fast_never_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    gate = ModelGate(8, patience=Patience(fail_fast=False))
    for _ in range(40):
        gate.heard(GONE)
        gate.heard(DOWN)
        clock.now += 100
    assert gate.cause is None
    assert gate.hopeless() is None


def test_a_model_that_never_answered_is_hopeless_however_few_its_calls() -> None:
    gate = ModelGate(8, "openai/m")
    gate.heard(GONE)
    assert gate.hopeless() == f"openai/m has answered nobody, in 1 calls: {GONE}"
    gate.heard("empty: a reply without content")
    assert gate.hopeless() is None


# Rates


def test_requests_are_due_at_an_even_pace_with_a_second_at_once() -> None:
    book, now, taken = RateBook(120, None), 1000.0, []
    while now < 1060.0:
        wait = book.take(now, 500)
        if wait:
            now += wait
        else:
            taken.append(now)
    assert 120 <= len(taken) <= 122 + 120 * BURST_S / 60
    assert taken[2] - taken[0] < 0.6 <= taken[4] - taken[0]


def test_tokens_are_due_as_reserved_and_given_back_when_not_used() -> None:
    book = RateBook(None, 6_000)
    assert book.take(1000.0, 600) == 0.0  # six seconds' worth
    assert book.take(1000.0, 1) == pytest.approx(6.0 - BURST_S)
    book.give_back(500)
    assert book.take(1000.0, 1) == 0.0


def test_one_book_holds_for_a_model_and_none_without_a_limit() -> None:
    assert RateBook.of("m", (), (None, None)) is None
    assert RateBook.of("m", (), (60, None)) is RateBook.of("m", (), (60, None))
    assert RateBook.of("m", (), (60, None)) is not RateBook.of("n", (), (60, None))


def test_a_gate_keeps_to_its_rate() -> None:
    async def story() -> float:
        gate = ModelGate(50, rate=RateBook(1_200, None))
        began = time.monotonic()
        for _ in range(40):
            await gate.enter(10)
        return time.monotonic() - began

    assert 0.8 < asyncio.run(story()) < 3.0  # 20 a second, 20 of them at once
