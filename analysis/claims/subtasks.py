"""This module builds subtask trees: who handed what down, how deep, and how much lies below each subtask.

A node is a subtask of an execution, an edge leads from `subtask_parent` to `subtask`. Self-loops are ignored, the first
parent that the log gives wins, and a parent that no row works on is a node all the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agentsoc.errors import InputError
from analysis.jit import compiled
from analysis.tables import EventTable

I64 = NDArray[np.int64]


@dataclass(frozen=True)
class SubtaskForest:
    """The forest holds all subtasks of a table; arrays have shape (n_subtasks,), ordered by (execution, subtask)."""

    execution: I64
    subtask: I64
    parent: I64
    """Parent as a node, -1 for a root."""
    depth: I64
    size: I64
    """Subtasks at and below each one, itself included."""

    @property
    def trees(self) -> I64:
        """Nodes that are roots with at least one child, increasing."""
        return np.flatnonzero((self.parent < 0) & (self.size > 1))


def subtask_forest(table: EventTable) -> SubtaskForest:
    """Return the subtask trees of all executions of `table`.

    Raises:
        InputError: subtasks are each other's parents in a circle.
    """
    rows = table.events.select("execution", "subtask", "subtask_parent")
    parents = rows.select("execution", pl.col("subtask_parent").alias("subtask"))
    nodes = (
        pl.concat([rows.select("execution", "subtask"), parents])
        .drop_nulls()
        .unique()
        .sort("execution", "subtask")
        .with_columns(node=pl.int_range(pl.len(), dtype=pl.Int64))
    )
    links = (
        rows.drop_nulls()
        .filter(pl.col("subtask") != pl.col("subtask_parent"))
        .unique(["execution", "subtask"], keep="first", maintain_order=True)
        .join(nodes, left_on=["execution", "subtask_parent"], right_on=["execution", "subtask"], how="left")
        .select("execution", "subtask", parent="node")
    )
    joined = nodes.join(links, on=["execution", "subtask"], how="left", maintain_order="left")
    parent = joined["parent"].fill_null(-1).to_numpy().astype(np.int64)
    depth, size, closed = _grow(parent)
    execution, subtask = (joined[name].to_numpy().astype(np.int64) for name in ("execution", "subtask"))
    if closed >= 0:
        run = table.executions["run"][int(execution[closed])]
        raise InputError(
            f"subtask {subtask[closed]} is an ancestor of itself", f"run {run}", "correct the parents in the log"
        )
    return SubtaskForest(execution, subtask, parent, depth, size)


def node_of_rows(table: EventTable, forest: SubtaskForest) -> I64:
    """Return the node of each event's subtask, -1 where it has none, shape (n_events,)."""
    nodes = pl.DataFrame(
        {
            "execution": forest.execution,
            "subtask": forest.subtask,
            "node": np.arange(len(forest.subtask), dtype=np.int64),
        }
    )
    rows = table.events.select("execution", "subtask")
    joined = rows.join(nodes, on=["execution", "subtask"], how="left", maintain_order="left")
    return joined["node"].fill_null(-1).to_numpy().astype(np.int64)


@compiled
def _grow(parent: I64) -> tuple[I64, I64, int]:
    """Return (depth, subtree size, node on a cycle or -1); depths are those from the root of each tree."""
    n = len(parent)
    depth = np.full(n, -1, np.int64)
    path = np.empty(n, np.int64)
    deepest = 0
    for v in range(n):
        length, w = 0, v
        while w >= 0 and depth[w] == -1:
            depth[w] = -2
            path[length] = w
            length += 1
            w = parent[w]
        if w >= 0 and depth[w] == -2:
            return depth, depth, w
        d = depth[w] if w >= 0 else -1
        for i in range(length - 1, -1, -1):
            d += 1
            depth[path[i]] = d
        deepest = max(deepest, d)
    size = np.ones(n, np.int64)
    start = np.zeros(deepest + 2, np.int64)
    for v in range(n):
        start[depth[v] + 1] += 1
    for d in range(deepest + 1):
        start[d + 1] += start[d]
    for v in range(n):
        path[start[depth[v]]] = v
        start[depth[v]] += 1
    for i in range(n - 1, -1, -1):
        v = path[i]
        if parent[v] >= 0:
            size[parent[v]] += size[v]
    return depth, size, -1
