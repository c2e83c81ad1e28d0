"""How long work takes that has to be done in an order: the critical path, greedy schedules, and the bounds of both.

With W workers who take up whatever is ready, max(CP, work / W) <= makespan <= work / W + (1 - 1 / W) CP, where CP is
the longest chain of work and `work` all of it (R. L. Graham, Bell Syst. Tech. J. 45 (1966) 1563). With as many workers
as pieces of work the makespan is CP.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence


def critical_path(after: Mapping[int, Sequence[int]], durations: Sequence[float]) -> float:
    """Return the longest chain of durations; `after` has for each piece those that have to be done before it.

    Raises:
        ValueError: the pieces wait for each other in a circle.
    """
    return greedy_makespan(after, durations, max(1, len(durations)))


def greedy_makespan(after: Mapping[int, Sequence[int]], durations: Sequence[float], workers: int) -> float:
    """Return when all is done if each of so many workers takes up the first piece that is ready, by number.

    Raises:
        ValueError: the pieces wait for each other in a circle.
    """
    n = len(durations)
    waits = [len(set(after.get(piece, ()))) for piece in range(n)]
    later: list[list[int]] = [[] for _ in range(n)]
    for piece in range(n):
        for before in set(after.get(piece, ())):
            later[before].append(piece)
    ready = [piece for piece in range(n) if not waits[piece]]
    running: list[tuple[float, int]] = []
    now, done = 0.0, 0
    while ready or running:
        while ready and len(running) < workers:
            piece = heapq.heappop(ready)
            heapq.heappush(running, (now + durations[piece], piece))
        now = running[0][0]
        while running and running[0][0] <= now:  # all that end now are done before anything is taken up
            _, piece = heapq.heappop(running)
            done += 1
            for following in later[piece]:
                waits[following] -= 1
                if not waits[following]:
                    heapq.heappush(ready, following)
    if done < n:
        raise ValueError("the pieces of work wait for each other in a circle")
    return now


def bounds(after: Mapping[int, Sequence[int]], durations: Sequence[float], workers: int) -> tuple[float, float]:
    """Return the bounds between which every greedy makespan of so many workers lies."""
    path, work = critical_path(after, durations), sum(durations)
    return max(path, work / workers), work / workers + (1 - 1 / workers) * path
