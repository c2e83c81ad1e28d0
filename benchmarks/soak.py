"""Does a run that goes turn by turn keep its size? `python -m benchmarks.soak [MINUTES]`, on a quiet machine.

Ten simulated agents take their turns one after the other (``engine.vectorise: false``), on as many tasks as the time
allows. Resident memory is read every ten seconds. What counts is by how much it grows from the end of the warm-up (a
minute, or a fifth of a shorter time) to the end.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from agentsoc.engine.run import Progress, run_async
from agentsoc.errors import InterruptedRunError
from agentsoc.scenario.model import Scenario

EVERY_S = 10.0
"""Time between two looks at the memory (seconds)."""
PAGE = os.sysconf("SC_PAGE_SIZE")


def society(count: int, **blocks: Any) -> Scenario:
    """Return nine voters around a hub on `count` tasks: ten turns and twelve events each."""
    model = {"kind": "simulated", "signal": 0.3, "fidelity": 0.9, "compute": 40, "message": 10}
    return Scenario.model_validate(
        {
            "name": "soak",
            "seed": 7,
            "tasks": {"kind": "signal", "count": count},
            "agents": {"count": 10, "model": model},
            "topology": "star",
            "protocol": "aggregate",
            "engine": {"vectorise": False},
            **blocks,
        }
    )


def resident() -> int:
    """Return the resident memory of this process (bytes)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def watch(minutes: float, end: threading.Event, progress: Progress, *, objects: bool) -> list[tuple[float, int, int]]:
    """Return (seconds, bytes, turns) every ten seconds until the time is over or the run ends."""
    began, seen = time.monotonic(), []
    while not end.wait(EVERY_S):
        at = time.monotonic() - began
        seen.append((at, resident(), 10 * progress.pace.episodes))
        print(f"{at:6.0f} s  {seen[-1][1] / 1e6:8.1f} MB  {seen[-1][2]:>11,} turns", flush=True)
        if objects:
            print("   ", Counter(type(o).__name__ for o in gc.get_objects()).most_common(12), flush=True)
        if at >= 60 * minutes:
            break
    return seen


async def soak(minutes: float, count: int, *, objects: bool) -> dict[str, Any]:
    """Run for `minutes`; return the memory after the warm-up and at the end, and the growth."""
    progress, stop, end = Progress(), asyncio.Event(), threading.Event()
    with tempfile.TemporaryDirectory() as scratch:
        look = asyncio.create_task(asyncio.to_thread(watch, minutes, end, progress, objects=objects))
        look.add_done_callback(lambda _: stop.set())
        try:
            await run_async(society(count), Path(scratch) / "run", progress=progress, stop=stop)
        except InterruptedRunError:  # the clock ended it
            pass
        finally:
            end.set()
        seen = await look
    warm = next((look for look in seen if look[0] >= min(60.0, 60 * minutes / 5)), seen[-1])
    last = seen[-1]
    return {
        "minutes": last[0] / 60,
        "turns": last[2],
        "warm_mb": warm[1] / 1e6,
        "end_mb": last[1] / 1e6,
        "growth": last[1] / warm[1] - 1,
        "bytes_per_episode": 10 * (last[1] - warm[1]) / max(last[2] - warm[2], 1),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("minutes", nargs="?", type=float, default=7.0)
    parser.add_argument("--tasks", type=int, default=1_000_000, help="tasks that there are to be taken")
    parser.add_argument("--objects", action="store_true", help="count the objects that the garbage collector knows")
    told = parser.parse_args()
    print(json.dumps(asyncio.run(soak(told.minutes, told.tasks, objects=told.objects))))
