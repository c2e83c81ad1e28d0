"""The gate lets so many in at once, in the order of their coming, and loses no place when somebody gives up waiting."""

from __future__ import annotations

import asyncio
import random

from agentsoc.engine.call_limiter import CallLimiter


async def crowd(places: int, n: int, cancelled: set[int], order: random.Random) -> tuple[int, list[int]]:
    """Send `n` tasks through a gate, cancel some on the way; return the most inside at once and who entered when."""
    gate, inside, most = CallLimiter(places), 0, 0
    entered: list[int] = []

    async def one(number: int) -> None:
        nonlocal inside, most
        async with gate:
            inside += 1
            most = max(most, inside)
            entered.append(number)
            try:
                for _ in range(order.randrange(4)):
                    await asyncio.sleep(0)
            finally:
                inside -= 1

    tasks = [asyncio.create_task(one(number)) for number in range(n)]
    for number in sorted(cancelled, key=lambda _: order.random()):
        for _ in range(order.randrange(3)):
            await asyncio.sleep(0)
        tasks[number].cancel()
    async with asyncio.timeout(5):  # a lost place would keep the rest waiting for ever
        await asyncio.gather(*tasks, return_exceptions=True)
        for _ in range(places):
            await gate.__aenter__()
    return most, entered


def test_no_more_than_its_places_are_inside_and_all_come_in_order() -> None:
    for places in (1, 3, 8):
        most, entered = asyncio.run(crowd(places, 40, set(), random.Random(places)))
        assert most == places
        assert entered == list(range(40))


def test_a_place_outlives_those_who_are_cancelled_while_they_wait_or_have_just_got_it() -> None:
    for seed in range(100):
        order = random.Random(seed)
        given_up = set(order.sample(range(20), 12))
        most, entered = asyncio.run(crowd(2, 20, given_up, order))
        assert most <= 2
        assert set(range(20)) - given_up <= set(entered)
