"""What does an agent cost that acts? Processor time of a step with a pure tool, and of a large lake, logged.

Run: ``python -m benchmarks.study_acting_cost [--times 5]`` (a minute on two cores; prints the least and the median of
so many runs, and the time of a fixed loop beside them, by which a loaded machine is known).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agentsoc.engine.run import run
from agentsoc.scenario.model import Scenario

STEPS = 4


def tool_steps(tasks: int = 20, agents: int = 50) -> Scenario:
    """Return a society whose agents call a pure tool in three steps of four."""
    calls = [[{"tool": "calculator", "arguments": {"expression": "{agent} + 1"}}]] * (STEPS - 1)
    return Scenario.model_validate(
        {
            "name": "cost",
            "tasks": {"kind": "sentiment", "count": tasks},
            "agents": {
                "count": agents,
                "model": {"kind": "scripted", "uses_tools": calls},
                "tools": ["calculator"],
                "tool_use": {"steps": STEPS},
            },
            "topology": "independent",
            "protocol": "vote",
        }
    )


def lake(agents: int = 1_000, rounds: int = 50) -> Scenario:
    """Return a lake that so many scripted agents fish."""
    commons = {"kind": "commons", "rounds": rounds, "capacity": 2 * agents}
    return Scenario.model_validate(
        {
            "name": "cost",
            "tasks": {"kind": "episodes", "count": 1, "environment": commons},
            "agents": {"count": agents, "model": {"kind": "policy", "name": "optimal"}},
            "topology": "independent",
            "protocol": "play",
        }
    )


def measured(make: Callable[[], Any], times: int) -> list[tuple[float, float]]:
    """Return processor time and time by the clock of each of so many runs, least first (seconds)."""
    found = []
    for _ in range(times):
        with tempfile.TemporaryDirectory() as home:
            cpu, clock = time.process_time(), time.monotonic()
            run(make(), Path(home) / "run")
            found.append((time.process_time() - cpu, time.monotonic() - clock))
    return sorted(found)


def loop_s() -> float:
    """Return the processor time of a fixed loop (seconds)."""
    began = time.process_time()
    sum(i * i for i in range(3_000_000))
    return time.process_time() - began


def main() -> int:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--times", type=int, default=5)
    told = parser.parse_args()
    measured(lambda: tool_steps(1, 2), 1)
    steps = [1000 * cpu / (20 * 50 * STEPS) for cpu, _ in measured(tool_steps, told.times)]
    print(f"a step with a pure tool: {steps[0]:.3f} ms at best, median {statistics.median(steps):.3f} ms")
    lakes = measured(lake, told.times)
    print(f"1,000 agents x 50 rounds: {lakes[0][0]:.2f} s of processor time at best, {lakes[0][1]:.1f} s by the clock")
    print(f"the loop: {loop_s():.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
