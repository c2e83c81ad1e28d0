"""This module works out the collaboration gain G = score of a society / score of a single agent at an equal budget.

Both scores are of the same tasks and seeds. The interval is a paired bootstrap over tasks, its percentiles pushed out
as Student's t asks for (arXiv 2602.05289 has G; no interval). Where hardly any task tells the two apart, resampling
knows too little: the interval then comes from that of the difference D, as G = 1 + D / S, at the ends of D and of the
single agent's score S.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import polars as pl

from analysis.interval import FloatArray, IntArray, Interval
from analysis.stats.bootstrap import DIFFERENCE, FEW_UNUSUAL, SCORE, expanded_tail, mean_intervals
from analysis.stats.clusters import TaskSums, sums_by_task, task_weights

NO_SCORE: Final = "the single agent scores 0"
NEGATIVE: Final = "scores outside of 0 to 1 have no ratio"
METHOD: Final = "paired bootstrap over tasks"


def gains_of(
    rows: pl.DataFrame, baseline: str, cluster: Sequence[str], *, replicates: int, seed: int, level: float
) -> dict[str, Interval | str]:
    """Return G of every other organisation, or why there is none.

    Args:
        rows: columns organisation, seed, score and those of `cluster`.
        baseline: the single agent.
        cluster: columns that together name a task.
        replicates: bootstrap samples.
        seed: root of the resampling.
        level: coverage of the intervals.
    """
    keys = [*dict.fromkeys((*cluster, "seed"))]
    known = rows.drop_nulls("score").select("organisation", *keys, pl.col("score").cast(pl.Float64))
    single = known.filter(pl.col("organisation") == baseline).drop("organisation")
    found: dict[str, Interval | str] = {}
    for label in known["organisation"].unique(maintain_order=True).to_list():
        if label == baseline:
            continue
        own = known.filter(pl.col("organisation") == label)
        both = own.join(single, on=keys, suffix="_single", maintain_order="left")
        if both.height:
            task = both.select(pl.struct(cluster).rank("dense")).to_series().to_numpy().astype(np.int64) - 1
            scores = both["score"].to_numpy(), both["score_single"].to_numpy()
            found[label] = gain_of(*scores, task, replicates=replicates, seed=seed, level=level)
    return found


def gain_of(
    society: FloatArray,
    single: FloatArray,
    task: IntArray,
    *,
    replicates: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval | str:
    """Return G of paired scores, or why it is not defined.

    Args:
        society: scores, shape (n,).
        single: scores of the single agent on the same tasks and seeds.
        task: number of the task of each pair, from 0 on.
        replicates: bootstrap samples.
        seed: root of the resampling.
        level: coverage of the interval.
    """
    if min(society.min(), single.min()) < 0 or max(society.max(), single.max()) > 1:
        return NEGATIVE
    if not single.any():
        return NO_SCORE
    n_tasks = int(task.max()) + 1
    above, below, apart = (sums_by_task(one, task, n_tasks) for one in (society, single, society - single))
    gain = above.mean / below.mean
    if min(one.n_unusual for one in (above, below, apart)) < FEW_UNUSUAL:
        return _from_difference(gain, apart, below, level)
    columns = np.column_stack([above.total, below.total])
    sums = np.concatenate([weights @ columns for weights in task_weights(replicates, n_tasks, seed=seed)])
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(sums[:, 1] > 0, sums[:, 0] / sums[:, 1], np.inf)
    tail = expanded_tail(n_tasks, level)
    low, high = np.quantile(ratio, [tail, 1 - tail], method="inverted_cdf")
    return Interval(gain, float(low), float(high), level, METHOD)


def _from_difference(gain: float, apart: TaskSums, below: TaskSums, level: float) -> Interval:
    """Return G with the ends that those of the difference and of the single agent's score give."""
    change, base = mean_intervals([apart, below], [DIFFERENCE, SCORE], level=level)
    with np.errstate(divide="ignore"):
        ends = [
            float(1 + np.float64(d) / np.float64(s))
            for d in (change.low, change.high)
            if d
            for s in (base.low, base.high)
        ]
    ends = ends or [1.0]
    low, high = max(min(*ends, gain), 0.0), max(*ends, gain)
    return Interval(gain, low, high, level, "ends of the difference and of the single agent's score")


def gain_text(gains: Mapping[str, Interval | str]) -> str:
    """Return the gains of a block in a sentence."""
    told = [f"{label} {found.text()}" for label, found in gains.items() if isinstance(found, Interval)]
    missing = {label: found for label, found in gains.items() if isinstance(found, str)}
    said = [f"collaboration gain G (score / that of the single agent): {'; '.join(told)}"] if told else []
    said += [
        f"no gain G of {', '.join(label for label, one in missing.items() if one == why)}: {why}"
        for why in dict.fromkeys(missing.values())
    ]
    return "; ".join(said)
