"""This module measures how replies deal with the claims that they are shown: what they name, and what they take over.

What an agent names is its word. Two checks stand beside it: the place of what is named (a model that always names #1
names a place, not a claim), and whether answers change to shown ones more often than they change anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from agentsoc.errors import InputError
from agentsoc.log.read import RunLog
from analysis.interval import Interval
from analysis.measures.heard import heard_replies
from analysis.stats.bootstrap import DIFFERENCE, SCORE, Bounds, mean_intervals
from analysis.stats.clusters import sums_by_task

INFLUENCE: Final = (
    *("names_a_claim", "names_or_none", "first_of_handles", "first_by_chance", "first_over_chance"),
    *("adopted", "changed_elsewhere", "changed_unshown", "adopted_over_unshown"),
    *("changed_without_one", "changed_again", "influence_of_one"),
    *("changed_swapped", "took_swapped", "influence_of_swap"),
)
"""Names of the measures; docs/metrics.md defines them."""


@dataclass(frozen=True)
class Influence:
    """The object holds what replies made of the claims that they were shown; intervals are over tasks."""

    replies: int
    """Replies that state an answer and were shown claims (replies)."""
    handles: int
    """Claims that they name where at least two were shown (claims)."""
    probed: int
    """Replies that were probed and whose probes could both be read (replies)."""
    swapped: int
    """Of these, replies that were also asked for with another answer in one claim (replies)."""
    values: Mapping[str, Interval | None]
    """Measures by name, see `INFLUENCE`; None where no reply tells it."""

    def summary(self) -> list[str]:
        """Return a line for each measure that there is."""
        v = self.values
        said = [f"replies to shown claims: {self.replies:,}"]
        if (named := v["names_or_none"]) is not None:
            said.append(f"name a claim {v['names_a_claim']}, name one or say none {named}")
        if (chance := v["first_by_chance"]) is not None:
            over = _signed(v["first_over_chance"])
            first = v["first_of_handles"]
            said.append(f"#1 among {self.handles:,} handles {first}, by chance {chance.value:.3f}: difference {over}")
        if v["adopted"] is not None:
            other = v["changed_elsewhere"]
            said.append(
                f"shown another answer than its own: changed to a shown one {v['adopted']}, to one not shown {other}"
            )
            over = _signed(v["adopted_over_unshown"])
            said.append(
                f"the same agents changed without claims {v['changed_unshown']}: difference {over}"
                if v["changed_unshown"] is not None
                else "no such agent was also asked without claims, so there is no rate of its own to compare with"
            )
        if v["changed_without_one"] is not None:
            said.append(
                f"{self.probed:,} probes: other answers without one claim {v['changed_without_one']}, with all claims "
                f"{v['changed_again']}; influence of a claim {_signed(v['influence_of_one'])}"
            )
        if v["changed_swapped"] is not None:
            said.append(
                f"{self.swapped:,} probes with another answer in one claim: other answers {v['changed_swapped']}, that "
                f"one {v['took_swapped']}; influence of the swap {_signed(v['influence_of_swap'])}"
            )
        return said

    def as_dict(self) -> dict[str, object]:
        """Return plain values for JSON; a measure that there is not is null."""
        measured = {name: None if one is None else one.as_dict() for name, one in self.values.items()}
        return {
            "replies": self.replies,
            "handles": self.handles,
            "probed": self.probed,
            "swapped": self.swapped,
            **measured,
        }


def _signed(measured: Interval | None) -> str:
    return "-" if measured is None else measured.text(sign=True)


def influence(log: RunLog, *, seed: int = 0) -> Influence | str | None:
    """Return what the replies of a run made of shown claims; None where no model was shown one.

    A text says why that cannot be told.

    Args:
        log: the run.
        seed: root of the resampling.

    Raises:
        LogDamagedError: the log is not what was written.
    """
    replies = replies_or_why(log)
    return replies if isinstance(replies, str) else influence_of(replies, seed=seed)


def replies_or_why(log: RunLog) -> pl.DataFrame | str:
    """Return the rows of `heard_replies`, or why they cannot be had.

    Raises:
        LogDamagedError: the log is not what was written.
    """
    try:
        return heard_replies(log)
    except (InputError, ValueError):  # made with parts that are not installed here, or with files of its own
        return "its society cannot be built again here, so what replies made of claims is not measured"


def influence_of(replies: pl.DataFrame, *, seed: int = 0) -> Influence | None:
    """Return the measures of replies from `heard_replies`; None where none was shown a claim."""
    shown = replies.filter(pl.col("shown") > 0)
    if not shown.height:
        return None
    due = shown.filter("asked").with_columns(any=pl.col("named").list.len() > 0)
    many = shown.filter("asked", pl.col("shown") > 1).explode("named").drop_nulls("named")
    chance = 1.0 / pl.col("shown")
    many = many.with_columns(first=pl.col("named") == 1).with_columns(over=pl.col("first") - chance, chance=chance)
    turned = shown.filter("against").with_columns(elsewhere=pl.col("changed") & ~pl.col("adopted"))
    alone = replies.filter("had", pl.col("shown") == 0)
    both = set(turned["agent"]) & set(alone["agent"])
    here, there = (frame.filter(pl.col("agent").is_in(sorted(both))) for frame in (turned, alone))
    probed = shown.drop_nulls(["without", "again"])
    unshown = _mean(there, pl.col("changed"), SCORE, seed)
    values = {
        "names_a_claim": _mean(due, pl.col("any"), SCORE, seed),
        "names_or_none": _mean(due, pl.col("any") | pl.col("none"), SCORE, seed),
        "first_of_handles": _mean(many, pl.col("first"), SCORE, seed),
        "first_by_chance": _mean(many, pl.col("chance"), SCORE, seed),
        "first_over_chance": _mean(many, pl.col("over"), DIFFERENCE, seed),
        "adopted": _mean(turned, pl.col("adopted"), SCORE, seed),
        "changed_elsewhere": _mean(turned, pl.col("elsewhere"), SCORE, seed),
        "changed_unshown": unshown,
        "adopted_over_unshown": _difference(_mean(here, pl.col("adopted"), SCORE, seed), unshown),
        "changed_without_one": _mean(probed, pl.col("without"), SCORE, seed),
        "changed_again": _mean(probed, pl.col("again"), SCORE, seed),
        "influence_of_one": _mean(
            probed, pl.col("without").cast(pl.Int8) - pl.col("again").cast(pl.Int8), DIFFERENCE, seed
        ),
    }
    swapped = probed.drop_nulls("swapped")
    values |= {
        "changed_swapped": _mean(swapped, pl.col("swapped"), SCORE, seed),
        "took_swapped": _mean(swapped, pl.col("took"), SCORE, seed),
        "influence_of_swap": _mean(
            swapped, pl.col("swapped").cast(pl.Int8) - pl.col("again").cast(pl.Int8), DIFFERENCE, seed
        ),
    }
    assert tuple(values) == INFLUENCE
    return Influence(shown.height, many.height, probed.height, swapped.height, values)


def _mean(rows: pl.DataFrame, value: pl.Expr, within: Bounds, seed: int) -> Interval | None:
    """Return the mean of a value over rows with its interval over tasks; None without rows."""
    if not rows.height:
        return None
    values = rows.select(value.cast(pl.Float64)).to_series().to_numpy()
    task = rows["task"].rank("dense").to_numpy().astype(np.int64) - 1
    return mean_intervals([sums_by_task(values, task, int(task.max()) + 1)], [within], seed=seed)[0]


def _difference(one: Interval | None, other: Interval | None) -> Interval | None:
    """Return the difference of two shares with the interval that their own intervals give.

    Squares of the distances to the limits are added (Newcombe, Statistics in Medicine 17, 1998, method 10, with limits
    that are over tasks). Shares of the same tasks mostly rise and fall together; then it is wider than it needs to be.
    """
    if one is None or other is None:
        return None
    value = one.value - other.value
    down = np.hypot(one.value - one.low, other.high - other.value)
    up = np.hypot(one.high - one.value, other.value - other.low)
    return Interval(value, value - float(down), value + float(up), method="limits of both shares, squared and added")
