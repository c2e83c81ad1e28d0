"""This module measures what becomes of answers when agents are shown other ones: adoption, losses and gains.

Comes in: rows of `analysis.measures.heard.heard_replies`. Goes out: `Exposure`. A turn is *exposed* when its agent had
an answer and was shown another one. Its placebo are the turns with an answer that were shown no other one: agents
change their minds anyway, and only what goes beyond that can be due to what they read (arXiv 2605.00914, 2606.02646).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from analysis.interval import Interval
from analysis.stats.bootstrap import Bounds, mean_intervals
from analysis.stats.clusters import sums_by_task

TRANSITIONS: Final = ("modal_adoption", "vulnerability", "correction")
"""Names of the shares; docs/metrics.md defines them."""
_WORDS: Final = {
    "modal_adoption": "modal adoption (to the most frequent answer of others)",
    "vulnerability": "vulnerability (right to wrong)",
    "correction": "correction (wrong to right)",
}


@dataclass(frozen=True)
class Exposure:
    """The object holds shares of exposed turns, and the same shares of turns that were shown no other answer."""

    exposed: int
    """Turns by agents with an answer that were shown another one (turns)."""
    others: int
    """Turns by agents with an answer that were shown no other one (turns)."""
    values: Mapping[str, Interval | None]
    """Shares by the names of `TRANSITIONS`, with intervals over tasks; None where no turn tells it."""
    placebo: Mapping[str, Interval | None]

    def summary(self) -> list[str]:
        """Return a line for each share that there is, its placebo beside it."""
        said = [f"turns shown another answer: {self.exposed:,}; with an answer and shown no other: {self.others:,}"]
        for name, words in _WORDS.items():
            if (value := self.values[name]) is not None:
                beside = self.placebo[name]
                said.append(f"{words} {value}; shown no other: {'no such turns' if beside is None else beside}")
        return said

    def as_dict(self) -> dict[str, object]:
        """Return plain values for JSON; a share that there is not is null."""
        found: dict[str, object] = {"exposed": self.exposed, "others": self.others}
        for name in TRANSITIONS:
            both = (("value", self.values[name]), ("placebo", self.placebo[name]))
            found[name] = {key: None if one is None else one.as_dict() for key, one in both}
        return found


def exposure_of(replies: pl.DataFrame, *, seed: int = 0) -> Exposure | None:
    """Return the shares of replies from `heard_replies`; None where no agent was shown another answer than its own.

    Args:
        replies: the rows.
        seed: root of the resampling.
    """
    exposed = replies.filter("against")
    others = replies.filter(pl.col("had") & ~pl.col("against"))
    if not exposed.height:
        return None
    return Exposure(exposed.height, others.height, _shares(exposed, seed), _shares(others, seed))


def _shares(turns: pl.DataFrame, seed: int) -> dict[str, Interval | None]:
    known = turns.drop_nulls(["right_before", "right_after"])
    right, wrong = known.filter("right_before"), known.filter(~pl.col("right_before"))
    found = {
        "modal_adoption": share_of(turns.filter("led"), pl.col("followed"), seed),
        "vulnerability": share_of(right, ~pl.col("right_after"), seed),
        "correction": share_of(wrong, pl.col("right_after"), seed),
    }
    assert tuple(found) == TRANSITIONS
    return found


def share_of(turns: pl.DataFrame, holds: pl.Expr, seed: int = 0) -> Interval | None:
    """Return the share of turns for which something holds, with its interval over tasks; None without turns.

    Args:
        turns: rows with a column task.
        holds: what is looked for.
        seed: root of the resampling.

    Where hardly any task differs from the others the interval comes from pseudo-tasks; these spread as much as a task
    of one turn does, because turns of a task are alike.
    """
    if not turns.height:
        return None
    values = turns.select(holds.cast(pl.Float64)).to_series().to_numpy()
    task = turns["task"].rank("dense").to_numpy().astype(np.int64) - 1
    sums = sums_by_task(values, task, int(task.max()) + 1)
    return mean_intervals([sums], [Bounds(0.0, 1.0, 4.0, float(sums.rows.mean()))], seed=seed)[0]
