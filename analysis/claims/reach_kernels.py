"""This module counts, compiled, what lies downstream in claim graphs whose parents come before their children.

Graphs are CSR (`ptr`, `parent`); an actor is an agent in one execution.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analysis.jit import compiled

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

_BLOCK_BYTES = 1 << 25


@compiled
def relabel(ptr: I64, parent: I64, order: I64) -> tuple[I64, I64]:
    """Return the graph with node order[t] renamed t, so that parents come before children."""
    n = len(order)
    rank = np.empty(n, np.int64)
    for t in range(n):
        rank[order[t]] = t
    new_ptr, new_parent = np.zeros(n + 1, np.int64), np.empty(len(parent), np.int64)
    m = 0
    for t in range(n):
        for j in range(ptr[order[t]], ptr[order[t] + 1]):
            new_parent[m] = rank[parent[j]]
            m += 1
        new_ptr[t + 1] = m
    return new_ptr, new_parent


@compiled
def components(ptr: I64, parent: I64) -> tuple[I64, I64]:
    """Return CSR (first, members) of the weakly connected components, members increasing."""
    n = len(ptr) - 1
    top = np.arange(n)
    for v in range(n):
        for j in range(ptr[v], ptr[v + 1]):
            a, b = v, parent[j]
            while top[a] != a:
                top[a] = top[top[a]]
                a = top[a]
            while top[b] != b:
                top[b] = top[top[b]]
                b = top[b]
            top[max(a, b)] = min(a, b)
    number = np.full(n, -1, np.int64)
    count = 0
    for v in range(n):
        a = v
        while top[a] != a:
            a = top[a]
        top[v] = a
        if number[a] < 0:
            number[a] = count
            count += 1
    first = np.zeros(count + 1, np.int64)
    for v in range(n):
        first[number[top[v]] + 1] += 1
    for c in range(count):
        first[c + 1] += first[c]
    fill = first[:count].copy()
    members = np.empty(n, np.int64)
    for v in range(n):
        c = number[top[v]]
        members[fill[c]] = v
        fill[c] += 1
    return first, members


@compiled
def _is_tree(ptr: I64, members: I64) -> bool:
    """Return whether no member has two parents."""
    for i in range(len(members)):  # noqa: SIM110 - compiled code has no generators
        if ptr[members[i] + 1] - ptr[members[i]] > 1:
            return False
    return True


@compiled
def work(ptr: I64, first: I64, members: I64) -> float:
    """Return the word operations of the exact count."""
    total = 0.0
    for c in range(len(first) - 1):
        inside = members[first[c] : first[c + 1]]
        size = len(inside)
        if _is_tree(ptr, inside):
            total += size
            continue
        edges = 0
        for i in range(size):
            edges += ptr[inside[i] + 1] - ptr[inside[i]]
        total += 0.5 * (edges + size) * (1 + size // 64)
    return total


@compiled
def count(
    ptr: I64,
    parent: I64,
    child_ptr: I64,
    child: I64,
    first: I64,
    members: I64,
    actor: I64,
    n_actors: int,
) -> tuple[I64, I64]:
    """Return exact descendants of each claim and reach of each actor."""
    n = len(ptr) - 1
    down, up = np.zeros(n, np.int64), np.zeros(n_actors, np.int64)
    place = np.empty(n, np.int64)
    local = np.full(n_actors, -1, np.int64)
    above = np.zeros(n_actors, np.int64)
    for c in range(len(first) - 1):
        inside = members[first[c] : first[c + 1]]
        if len(inside) == 1:
            continue
        if _is_tree(ptr, inside):
            _count_tree(ptr, parent, child_ptr, child, inside, actor, above, down, up)
        else:
            _count_bits(ptr, parent, inside, actor, place, local, down, up)
    return down, up


@compiled
def _count_tree(
    ptr: I64, parent: I64, child_ptr: I64, child: I64, inside: I64, actor: I64, above: I64, down: I64, up: I64
) -> None:
    """Count in a tree: subtree sums; an actor reaches the subtrees below its claims that no own claim lies above."""
    size = len(inside)
    for i in range(size - 1, -1, -1):
        v = inside[i]
        if ptr[v + 1] > ptr[v]:
            down[parent[ptr[v]]] += down[v] + 1
    stack, at = np.empty(size, np.int64), np.empty(size, np.int64)
    depth = 0
    stack[0], at[0] = inside[0], child_ptr[inside[0]]
    up[actor[inside[0]]] += down[inside[0]]
    above[actor[inside[0]]] += 1
    while depth >= 0:
        v = stack[depth]
        if at[depth] == child_ptr[v + 1]:
            above[actor[v]] -= 1
            depth -= 1
            continue
        w = child[at[depth]]
        at[depth] += 1
        if above[actor[w]] == 0:
            up[actor[w]] += down[w]
        above[actor[w]] += 1
        depth += 1
        stack[depth], at[depth] = w, child_ptr[w]


@compiled
def _ones(word: np.uint64) -> int:
    """Return the number of set bits."""
    x = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return int((x * np.uint64(0x0101010101010101)) >> np.uint64(56))


@compiled
def _count_bits(ptr: I64, parent: I64, inside: I64, actor: I64, place: I64, local: I64, down: I64, up: I64) -> None:
    """Count with bitsets over blocks of target claims; members before a block's end are all that can reach it."""
    size = len(inside)
    who = 0
    for i in range(size):
        place[inside[i]] = i
        if local[actor[inside[i]]] < 0:
            local[actor[inside[i]]] = who
            who += 1
    words = max(1, min((size + 63) // 64, _BLOCK_BYTES // (8 * size)))
    below = np.zeros(size * words, np.uint64)
    of_actor = np.zeros(who * words, np.uint64)
    for start in range(0, size, 64 * words):
        stop = min(size, start + 64 * words)
        for w in range(stop * words):
            below[w] = 0
        for w in range(who * words):
            of_actor[w] = 0
        for i in range(stop - 1, -1, -1):
            v = inside[i]
            found = 0
            here, mine = i * words, local[actor[v]] * words
            for w in range(words):
                found += _ones(below[here + w])
                of_actor[mine + w] |= below[here + w]
            down[v] += found
            for j in range(ptr[v], ptr[v + 1]):
                above = place[parent[j]] * words
                if found:
                    for w in range(words):
                        below[above + w] |= below[here + w]
                if i >= start:
                    below[above + ((i - start) >> 6)] |= np.uint64(1) << np.uint64((i - start) & 63)
        for i in range(size):
            mine = local[actor[inside[i]]]
            if mine >= 0:
                for w in range(mine * words, (mine + 1) * words):
                    up[actor[inside[i]]] += _ones(of_actor[w])
                    of_actor[w] = 0
    for i in range(size):
        local[actor[inside[i]]] = -1


@compiled
def minima(ptr: I64, parent: I64, actor: I64, ranks: F64, n_actors: int) -> tuple[F64, F64]:
    """Return for each claim and actor the sum over the columns of `ranks` of the least rank downstream."""
    n, k = ranks.shape
    low = np.full((n, k), np.inf)
    actor_low = np.full((n_actors, k), np.inf)
    for v in range(n - 1, -1, -1):
        for j in range(ptr[v], ptr[v + 1]):
            p = parent[j]
            for r in range(k):
                low[p, r] = min(low[p, r], low[v, r], ranks[v, r])
    sums, actor_sums = np.zeros(n), np.zeros(n_actors)
    for v in range(n):
        for r in range(k):
            sums[v] += low[v, r]
            actor_low[actor[v], r] = min(actor_low[actor[v], r], low[v, r])
    for a in range(n_actors):
        for r in range(k):
            actor_sums[a] += actor_low[a, r]
    return sums, actor_sums
