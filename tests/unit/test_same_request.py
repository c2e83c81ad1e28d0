"""Calls that want the same reply at the same time: one asks, the others take what it got; failures are not shared."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import msgspec
import pytest

from agentsoc.budget.ledger import Grant
from agentsoc.contracts.turns import Turn
from agentsoc.engine.attempts import AttemptRequest, AttemptResult, PlannedTurn, TurnUnderWay
from agentsoc.engine.calls import Caller
from agentsoc.engine.model_gate import ModelGate, Patience
from agentsoc.errors import ModelFailedError
from agentsoc.log.journal import Attempt, Key
from agentsoc.scenario.model import Calls
from tests.unit.test_calls import GOOD, NEED, failed

HIT = msgspec.structs.replace(GOOD, model="cache:model")
PLACES = 4


class Shop:
    """A model that answers when the test says so, with a cache of replies; what is asked is told by the task."""

    elsewhere = False

    def __init__(self, *outcomes: AttemptResult, keeps: bool = True, places: int = PLACES) -> None:
        self.outcomes, self.keeps = list(outcomes), keeps
        self.kept: set[int] = set()
        self.asked: list[int] = []
        self.inside = self.most = 0
        self.open = asyncio.Event()
        self.gate = ModelGate(places, patience=Patience(backoff_s=0.01))

    def parallel(self) -> list[int | None]:
        return [None]

    def recall(self, order: AttemptRequest) -> AttemptResult | None:
        return None

    def request_hash(self, order: AttemptRequest) -> bytes | None:
        return bytes([order.planned.task])

    def from_cache(self, order: AttemptRequest) -> AttemptResult | None:
        return HIT if order.planned.task in self.kept else None

    async def attempt(self, order: AttemptRequest) -> AttemptResult:
        task = order.planned.task
        self.asked.append(task)
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await self.open.wait()
            await asyncio.sleep(0)
        finally:
            self.inside -= 1
        outcome = self.outcomes.pop(0) if self.outcomes else GOOD
        if self.keeps and outcome.failure is None:
            self.kept.add(task)
        return outcome


class Closed(Shop):
    """A model that refuses every request, a hundred a second."""

    async def attempt(self, order: AttemptRequest) -> AttemptResult:
        await asyncio.sleep(0.01)
        return msgspec.structs.replace(failed("rate_limited"), rate_limited=True)


class Open(ModelGate):
    """A gate that pauses for nothing, so that only deadlines take time."""

    def heard(self, failure: str | None, pause_s: float | None = None) -> None:
        pass


class Asked(Caller):
    """A run that asks one thing of the shop."""

    def __init__(self, shop: Shop, task: int, **settings: Any) -> None:
        self.rows: dict[Key, Attempt] = {}
        self.story: list[str] = []
        calls = Calls(**{"backoff_s": 0.0, "cache": "replies.sqlite", **settings})
        super().__init__(shop, self, {}, calls, 8, [shop.gate])  # type: ignore[arg-type]
        self.turn_under_way = TurnUnderWay(PlannedTurn(task, 0, Turn(0)), 0, NEED, 3)

    async def write(self, row: Attempt) -> None:
        self.rows[row.key] = row
        self.story.append(f"{row.state} {row.model}".strip())

    async def go(self) -> str:
        turn = self.turn_under_way
        await self.turn(turn, Grant(10, 3, 200))
        return turn.result().failed or str(turn.result().answer)


async def settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


def within(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, 20))


def test_one_asks_for_all_and_those_who_wait_take_no_place() -> None:
    async def story() -> None:
        shop = Shop()
        same, other = [Asked(shop, 1) for _ in range(3 * PLACES)], Asked(shop, 2)
        running = [asyncio.ensure_future(one.go()) for one in (*same, other)]
        await settle()
        assert shop.asked == [1, 2]
        shop.open.set()
        assert await asyncio.gather(*running) == ["heads"] * (3 * PLACES + 1)
        assert shop.asked == [1, 2]
        assert [one.story for one in same] == [["started", "done model"], *[["done cache:model"]] * (3 * PLACES - 1)]

    within(story())


def test_nobody_who_comes_later_waits_or_asks() -> None:
    async def story() -> None:
        shop = Shop()
        shop.open.set()
        assert [await Asked(shop, 1).go() for _ in range(3)] == ["heads"] * 3
        assert shop.asked == [1]

    within(story())


@pytest.mark.parametrize("keeps", [True, False], ids=["it failed", "its reply is not kept"])
def test_where_the_first_one_has_nothing_for_the_others_they_ask_at_once(keeps: bool) -> None:
    async def story() -> None:
        shop = Shop(failed("rejected") if keeps else GOOD, keeps=keeps)
        same = [Asked(shop, 1) for _ in range(PLACES)]
        running = [asyncio.ensure_future(one.go()) for one in same]
        await settle()
        assert shop.asked == [1]
        shop.open.set()
        said = await asyncio.gather(*running)
        assert said == ["rejected: why" if keeps else "heads", *["heads"] * (PLACES - 1)]
        assert shop.asked == [1] * PLACES
        assert shop.most == PLACES - 1, "not one after the other"

    within(story())


def test_after_a_refusal_one_asks_again_and_not_all() -> None:
    async def story() -> None:
        refused = msgspec.structs.replace(failed("rate_limited"), rate_limited=True)
        shop = Shop(refused, refused, refused)
        shop.open.set()
        running = [asyncio.ensure_future(Asked(shop, 1).go()) for _ in range(PLACES)]
        assert await asyncio.gather(*running) == ["heads"] * PLACES
        assert shop.asked == [1] * 4, "three refusals and an answer"
        assert shop.most == 1

    within(story())


def test_another_asks_when_the_one_that_asks_is_stopped_and_who_stops_waiting_harms_nobody() -> None:
    async def story() -> None:
        shop = Shop()
        first, second, third = (asyncio.ensure_future(Asked(shop, 1).go()) for _ in range(3))
        await settle()
        second.cancel()
        await settle()
        assert shop.asked == [1]
        first.cancel()
        await settle()
        assert shop.asked == [1, 1]
        shop.open.set()
        assert await third == "heads"
        assert all(one.cancelled() for one in (first, second))
        assert await Asked(shop, 1).go() == "heads"
        assert shop.asked == [1, 1]

    within(story())


@pytest.mark.parametrize("held_at", ["before", "the gate", "the limiter"])
def test_a_run_that_is_ending_holds_up_no_other(held_at: str) -> None:
    """It began to end before its call was due, or while it waits for a place of the model or for one of the run."""

    async def story() -> None:
        shop = Shop(places=1 if held_at == "the gate" else PLACES)
        first, ending = Asked(shop, 2), Asked(shop, 1)
        running = []
        if held_at == "before":
            ending.hold()
        elif held_at == "the gate":
            running.append(asyncio.ensure_future(first.go()))
        else:
            for _ in range(8):
                await ending._limiter.__aenter__()
        await settle()
        held = asyncio.ensure_future(ending.go())
        await settle()
        other = asyncio.ensure_future(Asked(shop, 1).go())
        await settle()
        assert shop.asked == [2] * len(running) + [1] * (held_at == "before")
        ending.hold()
        shop.open.set()
        assert await other == "heads"
        assert await asyncio.gather(*running) == ["heads"] * len(running)
        assert not held.done()
        assert await Asked(shop, 3).go() == "heads", "its place is free again"
        held.cancel()
        await settle()
        assert ending.story == []

    within(story())


def test_after_the_deadline_of_one_nobody_waits_for_the_next() -> None:
    """A request that is refused for ever: the deadlines of those who wait do not run one after the other."""

    async def story() -> None:
        shop = Closed()
        shop.gate = Open(PLACES)
        running = [asyncio.ensure_future(Asked(shop, 1, deadline_s=0.3).go()) for _ in range(12)]
        began = asyncio.get_running_loop().time()
        said = await asyncio.gather(*running)
        assert set(said) == {"rate_limited: why"}
        assert asyncio.get_running_loop().time() - began < 6 * 0.3  # twelve deadlines would be 3.6 s

    within(story())


def test_a_model_that_cannot_be_used_is_asked_by_one() -> None:
    async def story() -> None:
        shop = Shop(*[failed("rejected")] * 100)
        for _ in range(4):
            shop.gate.heard("rejected: why")
        running = [asyncio.ensure_future(Asked(shop, 1).go()) for _ in range(PLACES)]
        await settle()
        shop.open.set()
        said = await asyncio.gather(*running, return_exceptions=True)
        assert [type(one) for one in said] == [ModelFailedError] * PLACES
        assert shop.asked == [1]

    within(story())


def test_another_file_of_replies_is_another_matter() -> None:
    async def story() -> None:
        shop = Shop(keeps=False)
        running = [asyncio.ensure_future(Asked(shop, 1, cache=name).go()) for name in "ab"]
        await settle()
        assert shop.asked == [1, 1]
        shop.open.set()
        assert await asyncio.gather(*running) == ["heads"] * 2

    within(story())
