"""This module has compiled passes over claim graphs; nodes are 0..n-1, parents are in CSR form (`ptr`, `parent`).

All are linear in nodes and edges except `topological_order`, which adds a heap (n log n) and is needed only for logs in
which a parent is logged after its child.
"""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray

from analysis.jit import compiled

I64 = NDArray[np.int64]

EARLIEST, FIRST, LOGGED, LARGEST = 0, 1, 2, 3


@compiled
def find_claim(claims: I64, lo: int, hi: int, wanted: int) -> int:
    """Return the index of `wanted` in the increasing claims[lo:hi], which is not empty, or -1.

    Ids are often evenly spaced, overall (imported logs) or within a round (our own), so the place is guessed from the
    ends, then from the spacing there, and only then searched for, outwards from the guess. A plain bisection misses the
    cache at almost every step.
    """
    last = hi - 1
    if wanted < claims[lo] or wanted > claims[last]:
        return -1
    at = lo
    if last > lo:
        share = (last - lo) / (claims[last] - claims[lo])
        at = min(lo + int((wanted - claims[lo]) * share), last)
    if claims[at] == wanted:
        return at
    if at < last:
        near = at + (wanted - claims[at]) // (claims[at + 1] - claims[at])
        if lo <= near <= last and claims[near] == wanted:
            return int(near)
    left, right = at, at
    step = 1
    if claims[at] < wanted:
        while claims[right] < wanted:  # it ends: wanted is at most the last claim
            left = right + 1
            right = min(right + step, last)
            step *= 2
    else:
        while claims[left] > wanted:  # and at least the first
            right = left
            left = max(left - step, lo)
            step *= 2
    while left < right:
        middle = (left + right) // 2
        if claims[middle] < wanted:
            left = middle + 1
        else:
            right = middle
    return left if claims[left] == wanted else -1


@compiled
def resolve_parents(
    first: I64, execution: I64, claims: I64, by_claim: I64, node_claim: I64, row: I64, offsets: I64, values: I64
) -> tuple[I64, I64, I64]:
    """Return CSR (ptr, parent) of the distinct known parents of each node, and its number of distinct stubs.

    Args:
        first: first node of each execution, shape (n_executions + 1,).
        execution: execution of each node.
        claims: claim ids, increasing within each execution.
        by_claim: node at each position of `claims`; empty when position and node agree.
        node_claim: claim id of each node.
        row: event row that minted each node.
        offsets: start of each row's parent list in `values`, shape (n_rows + 1,).
        values: parent ids of all rows, in the order listed.
    """
    n = len(row)
    ptr = np.zeros(n + 1, np.int64)
    stubs = np.zeros(n, np.int64)
    total = 0
    longest = 0
    for v in range(n):
        length = offsets[row[v] + 1] - offsets[row[v]]
        total += length
        longest = max(longest, length)
    parent = np.empty(total, np.int64)
    last = np.full(n, -1, np.int64)
    unseen = np.empty(longest, np.int64)
    m = 0
    direct = len(by_claim) == 0
    for v in range(n):
        e = execution[v]
        lo, hi = first[e], first[e + 1]
        missing = 0
        for j in range(offsets[row[v]], offsets[row[v] + 1]):
            if values[j] == node_claim[v]:
                continue
            at = find_claim(claims, lo, hi, values[j])
            if at < 0:
                # Kept sorted and distinct by insertion: lists are short, and a sort would double the compile time.
                place = missing
                while place > 0 and unseen[place - 1] > values[j]:
                    place -= 1
                if place > 0 and unseen[place - 1] == values[j]:
                    continue
                for i in range(missing, place, -1):
                    unseen[i] = unseen[i - 1]
                unseen[place] = values[j]
                missing += 1
                continue
            p = at if direct else by_claim[at]
            if last[p] != v:
                last[p] = v
                parent[m] = p
                m += 1
        stubs[v] = missing
        ptr[v + 1] = m
    return ptr, parent[:m].copy(), stubs


@compiled
def is_ordered(ptr: I64, parent: I64) -> bool:
    """Return whether every parent has a smaller index than its child, so that 0..n-1 is a topological order."""
    for v in range(len(ptr) - 1):
        for j in range(ptr[v], ptr[v + 1]):
            if parent[j] >= v:
                return False
    return True


@compiled
def topological_order(ptr: I64, parent: I64) -> I64:
    """Return the topological order that always takes the smallest node; shorter than n if there is a cycle."""
    n = len(ptr) - 1
    child_ptr, child = transpose(ptr, parent)
    left = np.empty(n, np.int64)
    ready = [np.int64(0) for _ in range(0)]
    for v in range(n):
        left[v] = ptr[v + 1] - ptr[v]
        if left[v] == 0:
            heapq.heappush(ready, np.int64(v))
    order = np.empty(n, np.int64)
    done = 0
    while len(ready) > 0:
        taken = heapq.heappop(ready)
        order[done] = taken
        done += 1
        for j in range(child_ptr[taken], child_ptr[taken + 1]):
            c = child[j]
            left[c] -= 1
            if left[c] == 0:
                heapq.heappush(ready, c)
    return order[:done].copy()


@compiled
def transpose(ptr: I64, parent: I64) -> tuple[I64, I64]:
    """Return CSR (ptr, child) of the children of each node, in increasing order."""
    n = len(ptr) - 1
    child_ptr = np.zeros(n + 1, np.int64)
    for j in range(len(parent)):
        child_ptr[parent[j] + 1] += 1
    for v in range(n):
        child_ptr[v + 1] += child_ptr[v]
    fill = child_ptr[:n].copy()
    child = np.empty(len(parent), np.int64)
    for v in range(n):
        for j in range(ptr[v], ptr[v + 1]):
            p = parent[j]
            child[fill[p]] = v
            fill[p] += 1
    return child_ptr, child


@compiled
def spread_roots(ptr: I64, parent: I64, order: I64, logged: I64, policy: int) -> tuple[I64, I64, I64]:
    """Return (root, depth, size) of each node in one pass; size counts the nodes of a root and is 0 elsewhere.

    Args:
        ptr: CSR pointer of the parents, shape (n + 1,).
        parent: parents.
        order: a topological order; empty when 0..n-1 is one.
        logged: logged root of each node as a node, -1 where there is none; empty unless the policy is LOGGED.
        policy: which parent passes on its root.
    """
    n = len(ptr) - 1
    root, depth, size = np.empty(n, np.int64), np.zeros(n, np.int64), np.zeros(n, np.int64)
    straight = len(order) == 0
    for t in range(n):
        v = t if straight else order[t]
        begin, end = ptr[v], ptr[v + 1]
        mine = v
        if end > begin:
            best = parent[begin]
            deepest = depth[best]
            for j in range(begin + 1, end):
                p = parent[j]
                deepest = max(deepest, depth[p])
                if policy == LARGEST:
                    here, there = size[root[p]], size[root[best]]
                    if here > there or (here == there and p < best):
                        best = p
                elif policy != FIRST and p < best:
                    best = p
            mine = root[best]
            depth[v] = deepest + 1
        if policy == LOGGED and logged[v] >= 0:
            mine = logged[v]
        root[v] = mine
        size[mine] += 1
    return root, depth, size


@compiled
def other_roots(ptr: I64, parent: I64, root: I64) -> tuple[I64, I64]:
    """Return CSR (ptr, roots) of the distinct roots of each node's parents other than its own root."""
    n = len(ptr) - 1
    out_ptr = np.zeros(n + 1, np.int64)
    out = np.empty(len(parent), np.int64)
    last = np.full(n, -1, np.int64)
    m = 0
    for v in range(n):
        last[root[v]] = v
        for j in range(ptr[v], ptr[v + 1]):
            r = root[parent[j]]
            if last[r] != v:
                last[r] = v
                out[m] = r
                m += 1
        out_ptr[v + 1] = m
    return out_ptr, out[:m].copy()
