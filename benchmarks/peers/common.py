"""What the peer scripts share: arguments, the graph, the answer rule, the clock and the line that they print.

Only the standard library: the scripts run in environments that hold a peer and nothing of ours.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable
from typing import Any

ROUNDS_W1 = 3
ROUNDS_W2 = 10
MESSAGE = "x" * 100


def answer(rng: random.Random, told: float) -> int:
    """Return a guess: uniform up to what was announced."""
    return int(rng.random() * (told + 1))


def four_regular(n: int) -> list[list[int]]:
    """Return whom each of `n` agents addresses: two random circles through everybody, both ways round."""
    rng = random.Random(7)
    neighbours: list[list[int]] = [[] for _ in range(n)]
    for _ in range(2):
        circle = list(range(n))
        rng.shuffle(circle)
        for here, there in zip(circle, [*circle[1:], circle[0]], strict=True):
            neighbours[here].append(there)
            neighbours[there].append(here)
    return neighbours


def main(name: str, version: str, w1: Callable[[int], Any], w2: Callable[[int], Any]) -> None:
    """Run one workload; print rate, CPU time and whether its check passed.

    ``w1(n)`` returns (seconds, CPU seconds, replies aggregated), ``w2(n)`` (seconds, CPU seconds, messages received).
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("workload", choices=["w1", "w2"])
    parser.add_argument("n", type=int)
    args = parser.parse_args()
    seconds, cpu, got = (w1 if args.workload == "w1" else w2)(args.n)
    due = args.n * ROUNDS_W1 if args.workload == "w1" else args.n * 4 * ROUNDS_W2
    out = {"peer": name, "version": version, "units": due, "seconds": seconds, "cpu_s": cpu, "check": got == due}
    print(json.dumps(out))


class Clock:
    """Wall and CPU time since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> tuple[float, float]:
        return time.perf_counter() - self._wall, time.process_time() - self._cpu
