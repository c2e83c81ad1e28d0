"""This module draws random edges as plain arrays: the very ones that networkx draws, without an object an edge.

Societies of a million agents need that, and old runs need the same edges: draw by draw, these functions use Python's
generator as `networkx.random_regular_graph` and `networkx.watts_strogatz_graph` do, and a test compares them.
"""

from __future__ import annotations

import random

import numpy as np
from numpy.typing import NDArray


def regular_pairs(n: int, degree: int, seed: int) -> NDArray[np.int64]:
    """Return the edges of a random regular graph on 0..n-1, each once, shape (n * degree / 2, 2).

    Every agent has `degree` stubs; all stubs are shuffled and joined in pairs, and those that would join an agent to
    itself, or two agents a second time, are shuffled again among themselves. When no two of them can be joined, all
    begins anew. Source: Steger & Wormald, Comb. Prob. Comput. 8 (1999) 377.

    Args:
        n: agents.
        degree: neighbours of each, below n; n * degree is even.
        seed: of Python's generator.
    """
    rng = random.Random(seed)
    while True:
        found = _paired(n, degree, rng)
        if found is not None:
            return np.stack(np.divmod(found, n), axis=1)


def _paired(n: int, degree: int, rng: random.Random) -> NDArray[np.int64] | None:
    """Return the edges as sorted numbers lower * n + higher, or None when the last stubs cannot be joined."""
    taken = np.empty(0, dtype=np.int64)
    stubs = list(range(n)) * degree
    while stubs:
        rng.shuffle(stubs)
        pairs = np.sort(np.array(stubs, dtype=np.int64).reshape(-1, 2), axis=1)
        keys = pairs[:, 0] * n + pairs[:, 1]
        good = (pairs[:, 0] != pairs[:, 1]) & ~_among(keys, taken)
        candidates = np.flatnonzero(good)
        _, first = np.unique(keys[candidates], return_index=True)  # of a pair that comes twice, the first is joined
        good[:] = False
        good[candidates[first]] = True
        taken = np.sort(np.concatenate([taken, keys[good]]))
        left: dict[int, int] = {}
        for agent in pairs[~good].reshape(-1).tolist():
            left[agent] = left.get(agent, 0) + 1
        if left and not _can_go_on(list(left), taken, n):
            return None
        stubs = [agent for agent, stubs_left in left.items() for _ in range(stubs_left)]
    return taken


def _can_go_on(agents: list[int], taken: NDArray[np.int64], n: int) -> bool:
    """Return whether networkx finds two of some agents who are not joined yet.

    It goes on with the lower agent of each pair that it looked at, so it asks for other pairs than all there are; what
    it finds decides whether it begins anew, and with that every later draw.
    """
    for first in agents:
        lower = first
        for other in agents:
            if lower == other:
                break
            lower, higher = min(lower, other), max(lower, other)
            key = lower * n + higher
            at = int(taken.searchsorted(key))
            if at == len(taken) or taken[at] != key:
                return True
    return False


def _among(keys: NDArray[np.int64], taken: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which of `keys` occur in `taken`, which is sorted."""
    if not len(taken):
        return np.zeros(len(keys), dtype=np.bool_)
    at = np.minimum(np.searchsorted(taken, keys), len(taken) - 1)
    return np.asarray(taken[at] == keys)


def small_world_pairs(n: int, neighbours: int, rewire: float, seed: int) -> NDArray[np.int64]:
    """Return the edges of a ring of which each is moved with a probability, each once, shape (n * neighbours, 2).

    Edge by edge, first those to the next agent, then those to the next but one and so on: an edge that is moved keeps
    the agent it goes out from and gets another end, any to whom there is no edge. Nothing is moved of an agent whom
    everybody is joined with. Source: Watts & Strogatz, Nature 393 (1998) 440.

    Args:
        n: agents, at least 2 `neighbours` + 1.
        neighbours: on each side of the ring.
        rewire: probability in [0, 1].
        seed: of Python's generator.
    """
    agents = np.arange(n, dtype=np.int64)
    circle = np.concatenate([np.stack([agents, (agents + d) % n], axis=1) for d in range(1, neighbours + 1)])
    if n == 2 * neighbours + 1:  # everybody is joined with everybody: networkx draws, and moves nothing
        return circle
    moved, added = _moved(n, neighbours, rewire, random.Random(seed))
    stays = np.frombuffer(moved, dtype=np.uint8) == 0
    return np.concatenate([circle[stays], np.array(added, dtype=np.int64).reshape(-1, 2)])


def _moved(n: int, neighbours: int, rewire: float, rng: random.Random) -> tuple[bytearray, list[tuple[int, int]]]:
    """Return which edges of the circle are moved, those at distance 1 first, and the edges that take their places."""
    moved = bytearray(n * neighbours)
    joined: set[int] = set()
    degree_change: dict[int, int] = {}
    added: list[tuple[int, int]] = []
    everybody = range(n)
    draw, choice = rng.random, rng.choice

    def is_edge(one: int, other: int) -> bool:
        if (one * n + other if one < other else other * n + one) in joined:
            return True
        ahead = (other - one) % n
        if ahead <= neighbours:
            return not moved[(ahead - 1) * n + one]
        return n - ahead <= neighbours and not moved[(n - ahead - 1) * n + other]

    for distance in range(1, neighbours + 1):
        for one in everybody:
            if draw() >= rewire:
                continue
            end, full = choice(everybody), False
            while end == one or is_edge(one, end):
                end = choice(everybody)
                if 2 * neighbours + degree_change.get(one, 0) >= n - 1:
                    full = True
                    break
            if full:
                continue
            before = (one + distance) % n
            moved[(distance - 1) * n + one] = 1
            joined.add(one * n + end if one < end else end * n + one)
            added.append((one, end))
            degree_change[before] = degree_change.get(before, 0) - 1
            degree_change[end] = degree_change.get(end, 0) + 1
    return moved, added
