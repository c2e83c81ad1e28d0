"""This module replays the deficit monitor over a log, compiled: `agentsoc.society.deficit` over arrays.

The monitor of a live society takes one act at a time; a log has millions of them. A test holds that both say the same.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from analysis.jit import compiled

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]


@compiled
def triggers(
    cascade: I64, branch: I64, merge: NDArray[np.bool_], merged: I64, parameters: F64, brakes: I64
) -> tuple[I64, F64, I64]:
    """Return which acts set off a trigger, the deficits then, and (events, merges, branches, number), shape (n, 4).

    Args:
        cascade: cascade of each act, numbered from 0, in the order of the acts.
        branch: pair of cascade and agent of each act, numbered from 0.
        merge: whether the act is a merge.
        merged: for each cascade the branch of the agent that stands for its last merge, -1 where no act has it.
        parameters: scale, threshold and beta of each cascade, shape (n_cascades, 3).
        brakes: least branches, least events beyond the root, events after a trigger, most triggers (-1 for any number).
    """
    n, n_cascades = len(cascade), len(merged)
    events, merges, total = (
        np.zeros(n_cascades, np.int64),
        np.zeros(n_cascades, np.int64),
        np.zeros(n_cascades, np.int64),
    )
    number, since, heads = (
        np.zeros(n_cascades, np.int64),
        np.zeros(n_cascades, np.int64),
        np.zeros(n_cascades, np.int64),
    )
    segment = np.arange(n_cascades)
    of_branch = np.full(branch.max() + 1 if n else 0, -1, np.int64)
    fresh = n_cascades
    act, deficits, counts = np.empty(n, np.int64), np.empty(n), np.empty((n, 4), np.int64)
    found = 0
    for i in range(n):
        c, b = cascade[i], branch[i]
        if of_branch[b] != segment[c]:
            of_branch[b] = segment[c]
            heads[c] += 1
        events[c] += 1
        total[c] += 1
        since[c] += 1
        merges[c] += merge[i]
        deficit = parameters[c, 0] * math.pow(events[c], parameters[c, 2]) - merges[c]
        if deficit <= parameters[c, 1] or heads[c] < brakes[0] or total[c] - 1 < brakes[1]:
            continue
        if (number[c] and since[c] <= brakes[2]) or 0 <= brakes[3] <= number[c]:
            continue
        number[c] += 1
        act[found], deficits[found] = i, deficit
        counts[found] = events[c], merges[c], heads[c], number[c]
        found += 1
        events[c], merges[c], since[c], heads[c] = 0, 1, 0, 1
        segment[c] = fresh
        fresh += 1
        if merged[c] >= 0:
            of_branch[merged[c]] = segment[c]
    return act[:found], deficits[:found], counts[:found]
