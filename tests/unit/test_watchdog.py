"""A host is blamed for what blocks it, and for nothing else: not for loading a model, not for a machine that stalls."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from agentsoc.engine import watchdog
from agentsoc.engine.watchdog import BLOCKED_S, BlockedTime, Watchdog


def clocked(monkeypatch: pytest.MonkeyPatch) -> BlockedTime:
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    monkeypatch.setattr(time, "process_time", lambda: 10.0)
    return BlockedTime()


def test_time_that_passes_as_it_should_counts_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = clocked(monkeypatch)
    for beat in range(1, 9):
        blocked.tick(100 + beat / 4, 10.0)
    assert blocked.seconds == pytest.approx(2.0)
    blocked.begin()
    assert blocked.seconds == 0


def test_time_in_which_the_process_did_not_run_counts_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = clocked(monkeypatch)
    blocked.tick(130.0, 10.01)
    assert blocked.seconds < BLOCKED_S


def test_time_in_which_somebody_held_the_interpreter_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = clocked(monkeypatch)
    blocked.tick(104.0, 13.9)
    assert blocked.seconds == pytest.approx(3.9)


async def _watched(work: Any) -> list[str]:
    notices: list[str] = []
    dog = Watchdog(notices.append, lambda: "agent 3")
    dog.start()
    await work()
    await asyncio.sleep(0.05)
    dog.stop()
    return notices


def test_who_blocks_the_loop_is_named_and_who_waits_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "BLOCKED_S", 0.6)

    async def blocks() -> None:
        await asyncio.sleep(0.3)
        time.sleep(1.5)  # noqa: ASYNC251

    async def waits() -> None:
        await asyncio.sleep(1.5)

    (notice,) = asyncio.run(_watched(blocks))
    assert notice.startswith("agent 3 has blocked its host for ")
    assert "blocks (test_watchdog.py" in notice
    assert asyncio.run(_watched(waits)) == []
