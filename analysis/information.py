"""What agents' answers say about the right one: plug-in mutual information, for small sets of answers only.

With Z_1..Z_n the answers of agents and Y the right answer, I(Y; Z_1..Z_n | X) <= H(Y | X) for tasks X, and what
agent n adds is I(Y; Z_n | Z_1..Z_(n-1), X), which tends to 0 for near copies. A log shows one answer per agent and
task, so tasks of one family are pooled here as draws of one X: Y varies over tasks, H(Y) is the bound. Entropies are
plug-in values with the Miller-Madow correction, and only as many agents are taken as the tasks can fill cells for.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from analysis.outputs import I64, Outputs

OPTIONS_MAX: Final = 8
"""Answers up to which a set is small."""
TASKS_PER_CELL: Final = 5
"""Tasks that there must be for each combination of answers; fewer, and the plug-in value is mostly bias."""

_SCHEMA: Final = {
    "n_agents": pl.Int64, "agent": pl.Int64, "information": pl.Float64, "gain": pl.Float64, "bound": pl.Float64
}  # fmt: skip


def information(outputs: Outputs, truths: pl.DataFrame) -> pl.DataFrame:
    """Return what the first n agents' standing answers say about the right one, for n = 1, 2, ...

    Args:
        outputs: what agents said.
        truths: columns task and truth.

    Returns:
        n_agents, agent (the one added), information (bits), gain over one agent fewer (bits), bound = H(Y) (bits).
        No rows where there are more than eight different answers or too few tasks that all agents answered.
    """
    standing = outputs.standing
    agents = sorted(standing["agent"].unique().to_list())
    complete = standing.filter(pl.len().over("task") == len(agents))
    known = truths.select(pl.col("task").cast(pl.Int64), truth=pl.col("truth").cast(pl.String))
    joined = complete.join(known, on="task", how="inner", maintain_order="left").sort("task", "agent")
    if not joined.height:
        return pl.DataFrame(schema=_SCHEMA)
    names = np.unique(np.concatenate([joined["answer"].to_numpy(), joined["truth"].to_numpy()]).astype(str))
    k, n_tasks = len(names), joined.height // len(agents)
    if k > OPTIONS_MAX:
        return pl.DataFrame(schema=_SCHEMA)
    said = np.searchsorted(names, joined["answer"].to_numpy().astype(str)).reshape(n_tasks, len(agents))
    truth = np.searchsorted(names, joined["truth"].to_numpy().astype(str)).reshape(n_tasks, len(agents))[:, 0]
    bound, rows, before = _entropy(truth), [], 0.0
    cell = np.zeros(n_tasks, np.int64)
    for place, agent in enumerate(agents):
        cell = cell * k + said[:, place]
        if k ** (place + 2) * TASKS_PER_CELL > n_tasks:
            break
        value = min(max(bound + _entropy(cell) - _entropy(cell * k + truth), 0.0), bound)
        rows.append((place + 1, agent, value, value - before, bound))
        before = value
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


def _entropy(codes: I64) -> float:
    """Return the Miller-Madow entropy of integers (bits)."""
    counts = np.unique(codes, return_counts=True)[1]
    share = counts / counts.sum()
    return float(-(share * np.log2(share)).sum() + (len(counts) - 1) / (2 * counts.sum() * np.log(2)))
