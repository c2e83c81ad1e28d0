"""The time limit of calls: who is cut off and when, and what a cancelled task is told."""

from __future__ import annotations

import asyncio
import time

import pytest

from agentsoc.engine.time_limit import TimeLimit


async def late(limit: TimeLimit, seconds: float, came: list[str], name: str) -> str:
    try:
        with limit.on_call():
            await asyncio.sleep(seconds)
    except TimeoutError:
        came.append(f"{name} cut off")
        return "cut off"
    came.append(f"{name} done")
    return "done"


def test_each_call_has_the_whole_limit_from_its_own_beginning() -> None:
    async def calls() -> tuple[list[str], list[str], float]:
        limit, came = TimeLimit(0.2), list[str]()
        began = time.monotonic()
        first = asyncio.ensure_future(late(limit, 60, came, "first"))
        await asyncio.sleep(0.1)
        rest = [late(limit, 60, came, "second"), late(limit, 0.01, came, "third")]
        said = list(await asyncio.gather(first, *rest))
        return said, came, time.monotonic() - began

    said, came, took = asyncio.run(calls())
    assert said == ["cut off", "cut off", "done"]
    assert came == ["third done", "first cut off", "second cut off"]
    assert 0.29 < took < 10


def test_calls_after_a_pause_are_watched_again() -> None:
    async def calls() -> list[str]:
        limit, came = TimeLimit(0.05), list[str]()
        await late(limit, 0, came, "a")
        await asyncio.sleep(0.1)  # the timer has found nobody
        await late(limit, 60, came, "b")
        await late(limit, 60, came, "c")
        return came

    assert asyncio.run(calls()) == ["a done", "b cut off", "c cut off"]


def test_a_limit_holds_in_another_loop_as_well() -> None:
    limit, came = TimeLimit(0.05), list[str]()
    asyncio.run(late(limit, 0, came, "a"))
    asyncio.run(late(limit, 60, came, "b"))
    assert came == ["a done", "b cut off"]


def test_a_task_that_is_cancelled_is_not_told_of_a_limit() -> None:
    async def calls() -> list[str]:
        limit, came = TimeLimit(0.1), list[str]()
        task = asyncio.ensure_future(late(limit, 60, came, "a"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.15)
        return came

    assert asyncio.run(calls()) == []


def test_a_task_that_is_cancelled_as_its_time_is_up_stays_cancelled() -> None:
    async def calls() -> None:
        limit = TimeLimit(0.05)

        async def both() -> None:
            with limit.on_call():
                try:
                    await asyncio.sleep(60)
                finally:
                    task.cancel()

        task = asyncio.ensure_future(both())
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(calls())


def test_an_error_of_the_call_comes_through() -> None:
    async def calls() -> None:
        limit = TimeLimit(0.05)
        with pytest.raises(ValueError, match="mine"), limit.on_call():
            raise ValueError("mine")
        await asyncio.sleep(0.1)  # nobody is cut off any more

    asyncio.run(calls())
