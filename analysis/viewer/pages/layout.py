"""This module places the agents of a society on a plane: the same society always looks the same.

Trees and chains go by level, peers on a circle or by networkx's spring layout; more than `SPRING_MAX` agents on a
sunflower spiral, which takes time in proportion to their number. Positions are in [0, 1] x [0, 1], y downwards.
"""

from __future__ import annotations

import math
from typing import Final

import networkx as nx
import numpy as np
from numpy.typing import NDArray

SPRING_MAX: Final = 300
"""Agents up to which links pull them together; it takes the square of their number."""
LEVELS_MAX: Final = 2_000
"""Agents up to which levels are drawn as rows."""
_CIRCLE_MAX: Final = 60
_GOLDEN: Final = math.pi * (3.0 - math.sqrt(5.0))
_FAR: Final = 0.5

Positions = NDArray[np.float64]
"""Shape (n, 2)."""


def positions(n: int, links: list[tuple[int, int]], levels: list[int] | None = None) -> Positions:
    """Return a place for each of `n` agents.

    Args:
        n: number of agents.
        links: who may address whom.
        levels: distance of each from the root of the organisation; all 0, or None, among peers.
    """
    if n <= 1:
        return np.full((n, 2), _FAR)
    if levels is not None and max(levels) > 0 and n <= LEVELS_MAX:
        return _rows(levels, links)
    if n > SPRING_MAX:
        return _spiral(n)
    if n <= _CIRCLE_MAX or not links:
        return _circle(n)
    graph: nx.Graph[int] = nx.Graph()
    graph.add_nodes_from(range(n))
    graph.add_edges_from(links)
    start = {node: tuple(place) for node, place in enumerate(_circle(n) * 2.0 - 1.0)}
    found = nx.spring_layout(graph, pos=start, seed=0, iterations=50)
    return _within(np.array([found[node] for node in range(n)]))


def _rows(levels: list[int], links: list[tuple[int, int]]) -> Positions:
    """Return agents in rows by level, each row in the order of the parents above it."""
    rows: dict[int, list[int]] = {}
    for agent, level in enumerate(levels):
        rows.setdefault(level, []).append(agent)
    above: dict[int, list[int]] = {}
    for u, v in links:
        for child, parent in ((u, v), (v, u)):
            if levels[parent] == levels[child] - 1:
                above.setdefault(child, []).append(parent)
    places = np.zeros((len(levels), 2))
    deepest = max(len(rows) - 1, 1)
    for depth, level in enumerate(sorted(rows)):
        row = rows[level]
        if depth:
            row = sorted(row, key=lambda agent: (_mean_x(places, above.get(agent, [])), agent))
        for at, agent in enumerate(row):
            places[agent] = ((at + 0.5) / len(row), depth / deepest)
    return places


def _mean_x(places: Positions, agents: list[int]) -> float:
    return float(np.mean([places[agent, 0] for agent in agents])) if agents else _FAR


def _circle(n: int) -> Positions:
    angle = 2.0 * np.pi * np.arange(n) / n - np.pi / 2.0
    return np.stack([_FAR + _FAR * np.cos(angle), _FAR + _FAR * np.sin(angle)], axis=1)


def _spiral(n: int) -> Positions:
    index = np.arange(n)
    radius, angle = _FAR * np.sqrt((index + 0.5) / n), index * _GOLDEN
    return np.stack([_FAR + radius * np.cos(angle), _FAR + radius * np.sin(angle)], axis=1)


def _within(found: Positions) -> Positions:
    low, high = found.min(axis=0), found.max(axis=0)
    result: Positions = (found - low) / np.where(high > low, high - low, 1.0)
    return result
