"""This module says of each task where agents stood first and last, and what the best answer among theirs would score.

Comes in: what agents said. Goes out: one row per task, of which `Moved` and `OracleGap` are made.

    oracle gap     best score among all answers that agents gave, minus the society's, where that is above 0
    mean accuracy  mean score of the answers of the agents that answered more than once: their first, and their last
    majority       score of the answer that most of these agents gave; the mean over those that tie

Where exchange only passes answers on, mean accuracy stays what it was and the majority loses (arXiv 2508.17536).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from analysis.interval import Interval
from analysis.measures.outputs import Outputs
from analysis.stats.bootstrap import DIFFERENCE, SCORE, Bounds, mean_intervals
from analysis.stats.clusters import TaskSums, sums_by_task

MARGIN: Final = 0.02
"""Change of the mean accuracy that does not count as one, if its interval lies within."""
_DRAWN: Final = 20_000_000
"""Tasks that are drawn for an interval, in all resamples together, as long as these stay a thousand."""
STANDING: Final = {
    "task": pl.Int64, "voters": pl.Int64, "right": pl.Float64, "best": pl.Float64, "alone_gap": pl.Float64,
    "revisers": pl.Int64, "mean_first": pl.Float64, "mean_last": pl.Float64, "majority_first": pl.Float64,
    "majority_last": pl.Float64,
}  # fmt: skip
"""Columns of `standing_of`; what was not scored is null."""


def standing_of(said: Outputs) -> pl.DataFrame:
    """Return, for each task with votes, the columns `STANDING`.

    ``right`` counts last answers with the full score; ``alone_gap`` is the oracle gap of the answers of the first round
    with votes against their majority.
    """
    votes = said.votes.with_columns(score=pl.col("correct"))
    if not votes.height:
        return pl.DataFrame(schema=STANDING)
    agents = (
        votes.group_by("task", "agent", maintain_order=True)
        .agg(
            begun=pl.col("round").first(), said=pl.len(), answer_first=pl.col("answer").first(),
            score_first=pl.col("score").first(), answer_last=pl.col("answer").last(), score_last=pl.col("score").last(),
        )
    )  # fmt: skip
    best = votes.group_by("task").agg(best=_if_scored("score").max())
    seats = agents.group_by("task").agg(
        voters=pl.len().cast(pl.Int64),
        right=_if_scored("score_last").ge(1).sum().cast(pl.Float64),
        scored=pl.col("score_last").is_not_null().all(),
    )
    seats = seats.with_columns(right=pl.when("scored").then("right"))
    alone = agents.filter(pl.col("begun") == pl.col("begun").min().over("task"))
    gap = alone.group_by("task").agg(top=_if_scored("score_first").max()).join(_majority(alone, "first"), on="task")
    gap = gap.select("task", alone_gap=(pl.col("top") - pl.col("majority_first")).clip(lower_bound=0.0))
    again = agents.filter(pl.col("said") > 1)
    means = again.group_by("task").agg(
        revisers=pl.len().cast(pl.Int64),
        mean_first=_if_scored("score_first").mean(),
        mean_last=_if_scored("score_last").mean(),
    )
    for part in (best, gap, means, _majority(again, "first"), _majority(again, "last")):
        seats = seats.join(part, on="task", how="left")
    return (
        seats.with_columns(pl.col("revisers").fill_null(0))
        .select(pl.col(n).cast(t) for n, t in STANDING.items())
        .sort("task")
    )


def _if_scored(name: str) -> pl.Expr:
    """Return a column of scores, null in all rows of a group where one is not scored."""
    return pl.when(pl.col(name).is_not_null().all()).then(pl.col(name))


def _majority(agents: pl.DataFrame, when: str) -> pl.DataFrame:
    """Return the score of the answer that most agents gave, the mean over those that tie: task, majority_<when>."""
    counts = agents.group_by("task", f"answer_{when}").agg(n=pl.len(), score=pl.col(f"score_{when}").max())
    leading = counts.filter(pl.col("n") == pl.col("n").max().over("task"))
    return leading.group_by("task").agg(_if_scored("score").mean().alias(f"majority_{when}"))


@dataclass(frozen=True)
class OracleGap:
    """The object says how often somebody had what the society missed; points are hundredths of a score."""

    points: Interval
    alone: Interval
    """The same of the first answers and their majority: what a vote without exchange would have missed (points)."""
    n_tasks: int

    def summary(self) -> str:
        """Return one line."""
        return f"oracle gap (some agent had it) {self.points} points; of first answers by majority {self.alone} points"

    def as_dict(self) -> dict[str, object]:
        """Return plain values for JSON."""
        return {"points": self.points.as_dict(), "of_first_answers": self.alone.as_dict(), "n_tasks": self.n_tasks}


def oracle_gap(standing: pl.DataFrame, episodes: pl.DataFrame, *, seed: int = 0) -> OracleGap | None:
    """Return the oracle gap of tasks that several agents answered; None where there is none, or scores leave [0, 1].

    Args:
        standing: rows of `standing_of`.
        episodes: columns task and score, the society's.
        seed: root of the resampling.
    """
    both = standing.filter(pl.col("voters") > 1).join(episodes.select("task", "score"), on="task")
    both = both.drop_nulls(["best", "score", "alone_gap"])
    if not both.height or not _proper(both, "best", "score", "alone_gap"):
        return None
    gaps = [(both["best"] - both["score"]).clip(lower_bound=0.0), both["alone_gap"]]
    task = np.arange(both.height)
    sums = [sums_by_task(gap.to_numpy(), task, both.height) for gap in gaps]
    points, alone = (one.mapped(lambda gap: 100 * gap) for one in _intervals(sums, SCORE, seed))
    return OracleGap(points, alone, both.height)


@dataclass(frozen=True)
class Moved:
    """The object holds mean accuracy and majority of the agents that answered more than once: first and last."""

    mean_first: float
    mean_last: float
    mean: Interval
    """Last minus first, over tasks."""
    majority_first: float
    majority_last: float
    majority: Interval
    n_tasks: int

    @property
    def word(self) -> str:
        """What the interval of the mean accuracy shows of it."""
        if not self.mean.covers(0.0):
            return "it moved"
        if self.mean.low > -MARGIN and self.mean.high < MARGIN:
            return f"it did not move by {MARGIN:g}"
        return "whether it moved cannot be told"

    def summary(self) -> str:
        """Return one line."""
        return (
            f"from first to last answers: mean accuracy {self.mean_first:.3f} to {self.mean_last:.3f}, "
            f"{self.mean.text(sign=True)}: {self.word}; majority {self.majority_first:.3f} to "
            f"{self.majority_last:.3f}, {self.majority.text(sign=True)}"
        )

    def as_dict(self) -> dict[str, object]:
        """Return plain values for JSON."""
        ends = {"mean_first": self.mean_first, "mean_last": self.mean_last, "word": self.word}
        ends |= {"majority_first": self.majority_first, "majority_last": self.majority_last}
        return {**ends, "mean": self.mean.as_dict(), "majority": self.majority.as_dict(), "n_tasks": self.n_tasks}


def moved(standing: pl.DataFrame, *, seed: int = 0) -> Moved | None:
    """Return what became of the answers of agents that gave several; None where none did or scores leave [0, 1].

    Args:
        standing: rows of `standing_of`.
        seed: root of the resampling.
    """
    names = ["mean_first", "mean_last", "majority_first", "majority_last"]
    rows = standing.filter(pl.col("revisers") > 0).drop_nulls(names)
    if not rows.height or not _proper(rows, *names):
        return None
    first, last, before, after = (rows[name].to_numpy() for name in names)
    task = np.arange(rows.height)
    sums = [sums_by_task(np.round(change, 9), task, rows.height) for change in (last - first, after - before)]
    mean, majority = _intervals(sums, DIFFERENCE, seed)
    ends = [float(one.mean()) for one in (first, last, before, after)]
    return Moved(ends[0], ends[1], mean, ends[2], ends[3], majority, rows.height)


def _intervals(sums: list[TaskSums], within: Bounds, seed: int) -> list[Interval]:
    """Return the intervals of means over the same tasks, from fewer resamples where there are many tasks."""
    replicates = max(1_000, min(10_000, _DRAWN // sums[0].n_tasks))
    return mean_intervals(sums, [within] * len(sums), replicates=replicates, seed=seed)


def _proper(rows: pl.DataFrame, *names: str) -> bool:
    """Return whether all values lie in [0, 1]."""
    values = rows.select(names).to_numpy()
    return bool(((values >= 0) & (values <= 1)).all())
