"""Shortest ways for several carriers on one map who must not be in one place at one time: search in space and time."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import permutations
from typing import Final

Cell = tuple[int, int]
"""Row and column."""

MOVES: Final[dict[str, Cell]] = {"stay": (0, 0), "up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}


def distances(open_cells: frozenset[Cell], goal: Cell) -> dict[Cell, int]:
    """Return how many steps it is from every cell to `goal`, for somebody alone on the map."""
    found, queue = {goal: 0}, deque([goal])
    while queue:
        row, column = queue.popleft()
        for down, right in MOVES.values():
            cell = (row + down, column + right)
            if cell in open_cells and cell not in found:
                found[cell] = found[row, column] + 1
                queue.append(cell)
    return found


def alone(open_cells: frozenset[Cell], start: Cell, goals: Sequence[Cell]) -> int | None:
    """Return the steps that somebody alone needs to visit `goals` in their order; None when there is no way."""
    steps, here = 0, start
    for goal in goals:
        away = distances(open_cells, goal).get(here)
        if away is None:
            return None
        steps, here = steps + away, goal
    return steps


def together(
    open_cells: frozenset[Cell], starts: Sequence[Cell], goals: Sequence[Sequence[Cell]], steps_max: int
) -> list[list[Cell]] | None:
    """Return ways that visit everybody's goals in order, with nobody in one place or changing places with another.

    Ways are planned one after the other, each around those before it, in every order of up to four carriers, and from
    each one on of more; the order that is done first wins. Where that takes as long as the longest way of anybody
    alone, nothing is faster; otherwise something may be.
    """
    n = len(starts)
    orders = permutations(range(n)) if n <= 4 else (tuple((first + i) % n for i in range(n)) for first in range(n))
    best: list[list[Cell]] | None = None
    fields = [[distances(open_cells, goal) for goal in each] for each in goals]
    bound = max(sum_along(fields[i], starts[i], goals[i]) for i in range(n))
    for order in orders:
        most = steps_max if best is None else length(best) - 1
        ways = _in_order(open_cells, starts, goals, fields, order, most)
        if ways is not None:
            best = ways
            if length(best) == bound:
                break
    return best


def length(ways: Sequence[Sequence[Cell]]) -> int:
    """Return the steps until the last one is done."""
    return max(len(way) for way in ways) - 1


def sum_along(fields: Sequence[dict[Cell, int]], start: Cell, goals: Sequence[Cell]) -> int:
    """Return the steps of somebody alone, by the distances to the goals."""
    total, here = 0, start
    for field, goal in zip(fields, goals, strict=True):
        total, here = total + field.get(here, 10**6), goal
    return total


def _in_order(
    open_cells: frozenset[Cell],
    starts: Sequence[Cell],
    goals: Sequence[Sequence[Cell]],
    fields: Sequence[Sequence[dict[Cell, int]]],
    order: Sequence[int],
    steps_max: int,
) -> list[list[Cell]] | None:
    ways: dict[int, list[Cell]] = {}
    for who in order:
        way = _way(open_cells, starts[who], goals[who], fields[who], list(ways.values()), steps_max)
        if way is None:
            return None
        ways[who] = way
    return [ways[who] for who in range(len(starts))]


def _way(
    open_cells: frozenset[Cell],
    start: Cell,
    goals: Sequence[Cell],
    fields: Sequence[dict[Cell, int]],
    ways: Sequence[Sequence[Cell]],
    steps_max: int,
) -> list[Cell] | None:
    """Return a shortest way around the ways of others, who stay where they end; None when it takes too long.

    Breadth first over (cell, goals reached) at each time: there are few, and waiting is a step like any other. At the
    end nobody may come through the last cell later.
    """
    last = max((len(way) for way in ways), default=0)

    def at(way: Sequence[Cell], time: int) -> Cell:
        return way[min(time, len(way) - 1)]

    reached = _done(start, 0, goals)
    layer: dict[tuple[Cell, int], tuple[Cell, int] | None] = {(start, reached): None}
    layers = [layer]
    for time in range(steps_max + 1):
        for cell, done in layers[-1]:
            free = all(at(way, later) != cell for way in ways for later in range(time, max(last, time + 1)))
            if done == len(goals) and free:
                return _back(layers, (cell, done))
        if time == steps_max:
            break
        after: dict[tuple[Cell, int], tuple[Cell, int] | None] = {}
        blocked = {at(way, time + 1) for way in ways}
        swapped = {(at(way, time + 1), at(way, time)) for way in ways}
        for place in layers[-1]:
            (row, column), done = place
            for down, right in MOVES.values():
                cell = (row + down, column + right)
                if cell in blocked or (place[0], cell) in swapped or cell not in open_cells:
                    continue
                following = (cell, _done(cell, done, goals))
                left = sum_along(fields[following[1] :], cell, goals[following[1] :])
                if time + 1 + left <= steps_max:
                    after.setdefault(following, place)
        if not after:
            return None
        layers.append(after)
    return None


def _done(cell: Cell, done: int, goals: Sequence[Cell]) -> int:
    """Return the goals that are reached on coming to a cell."""
    while done < len(goals) and goals[done] == cell:
        done += 1
    return done


def _back(layers: Sequence[dict[tuple[Cell, int], tuple[Cell, int] | None]], end: tuple[Cell, int]) -> list[Cell]:
    """Return the way that led to `end` in the last layer."""
    way: list[Cell] = []
    place: tuple[Cell, int] | None = end
    for layer in reversed(layers):
        assert place is not None
        way.append(place[0])
        place = layer[place]
    return way[::-1]
