"""This module bounds what runs that failed could change: a verdict stands only if it holds at both ends.

A run that failed is not missing at random: what made it fail may be what would have made it wrong. Nothing in the data
says how it would have scored, so the difference is given between two ends (Manski 1989): everything lost of the
organisation counted as wrong and everything lost of the baseline as right, and the other way round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from analysis.comparison.table import Results, number_of
from analysis.interval import Interval
from analysis.stats import PairedComparison, PairedRow, WithinMargin, compare_paired, within_margin
from analysis.stats.margins import MarginVerdict
from analysis.stats.proportions import score_bounds

_KEYS: Final = ("tasks", "task", "seed")


@dataclass(frozen=True)
class LostBounds:
    """The bounds say between which differences the truth lies, whatever the lost episodes would have scored."""

    n_lost: int
    """Episodes lost of the organisation."""
    n_lost_baseline: int
    low: Interval
    """Difference with the organisation's lost episodes wrong and the baseline's right."""
    high: Interval
    """Difference the other way round."""
    p_low: float
    """P value of no difference at the low end, corrected by Holm over the organisations."""
    p_high: float
    p_low_alone: float
    """The same, not corrected."""
    p_high_alone: float
    margins: tuple[WithinMargin, WithinMargin] | None = None
    """What is shown of a margin at the low end and at the high one; None where no margin was given."""

    def stands(self, level: float, *, better: bool, alone: bool = False) -> bool:
        """Return whether the organisation is better (or worse) at both ends, at the level of the tests.

        Args:
            level: largest p that tells a difference.
            better: what it has to be.
            alone: whether the level is one for p values that are not corrected, as those of looks are.
        """
        p = (self.p_low_alone, self.p_high_alone) if alone else (self.p_low, self.p_high)
        sides = zip((self.low, self.high), p, strict=True)
        return all(p <= level and (one.value > 0) == better for one, p in sides)

    def margin_stands(self, verdict: MarginVerdict) -> bool:
        """Return whether what was shown of a margin is shown at both ends too."""
        if self.margins is None or verdict == "undecided":
            return True
        enough = ("equivalent",) if verdict == "equivalent" else ("equivalent", "not worse")
        return all(one.verdict in enough for one in self.margins)

    def text(self) -> str:
        """Return both ends, each with the outer end of its interval."""
        return f"between {self.low.value:+.3f} and {self.high.value:+.3f} [{self.low.low:+.3f}, {self.high.high:+.3f}]"

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        counts = {"n_lost": self.n_lost, "n_lost_baseline": self.n_lost_baseline}
        ends = {"low": self.low.as_dict(), "high": self.high.as_dict()}
        return {**counts, **ends, "p_low": self.p_low, "p_high": self.p_high}


def lost_episodes(results: Results, everything: pl.DataFrame, used: pl.DataFrame) -> pl.DataFrame:
    """Return the episodes that an organisation lost: of failed runs, and those that are left out of `everything`.

    The tasks of a failed run are those of other organisations with its tasks and seed, else those of another seed.

    Args:
        results: the comparison.
        everything: its rows, with labels for organisations.
        used: the rows that count.

    Returns:
        Columns organisation, tasks, task, seed.
    """
    columns = ("organisation", *_KEYS)
    if not everything.height:
        return pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
    found = [everything.select(columns).join(used.select(columns), on=list(columns), how="anti")]
    for cell in results.missing:
        if cell.status != "failed":
            continue
        block = everything.filter(pl.col("tasks") == cell.tasks)
        same = block.filter(pl.col("seed") == cell.seed)
        known = same if same.height else block.filter(pl.col("seed") == block["seed"].min())
        label = results.label(cell.organisation, number_of(cell))
        tasks = known.select("tasks", "task").unique().sort("tasks", "task")
        found.append(
            tasks.with_columns(
                organisation=pl.lit(label), seed=pl.lit(cell.seed, everything.schema["seed"])
            ).select(columns)
        )  # fmt: skip
    return pl.concat(found).unique(maintain_order=True)


def lost_bounds(
    used: pl.DataFrame,
    lost: pl.DataFrame,
    baseline: str,
    cluster: Sequence[str],
    *,
    seed: int,
    replicates: int,
    margin: float | None = None,
    level: float = 0.95,
) -> Mapping[str, LostBounds]:
    """Return by organisation what the lost episodes could change; nothing where none are, or values are no scores.

    Args:
        used: the rows of a block: organisation, tasks, task, seed, score.
        lost: as from `lost_episodes`.
        baseline: organisation that the others are compared with.
        cluster: columns that together name a task.
        seed: root of the resampling.
        replicates: bootstrap samples, and random swaps of the test.
        margin: as for `within_margin`; None where none is tested.
        level: of that test.
    """
    labels = used["organisation"].unique(maintain_order=True).to_list()
    lost = lost.filter(pl.col("organisation").is_in(labels))
    if not lost.height or score_bounds(used["score"].cast(pl.Float64).to_numpy()) is None:
        return {}
    n = {str(label): int(count) for label, count in lost["organisation"].value_counts().iter_rows()}
    ends, within = [], []
    for own in (0.0, 1.0):
        score = pl.when(pl.col("organisation") == baseline).then(1 - own).otherwise(own)
        filled = lost.with_columns(score=score)
        rows = pl.concat([used.select(filled.columns).cast({"score": pl.Float64}), filled])
        ordered = pl.concat([rows.filter(pl.col("organisation") == label) for label in labels])
        ends.append(compare_paired(ordered, baseline=baseline, cluster=cluster, seed=seed, replicates=replicates))
        if margin is not None:
            within.append(within_margin(ordered, margin, baseline=baseline, cluster=cluster, level=level))
    at_base = n.get(baseline, 0)
    pairs = {low.organisation: (low, high) for low, high in zip(*within, strict=True)} if within else {}
    return {
        row.organisation: _bounds(row, ends[1], n.get(row.organisation, 0), at_base, pairs.get(row.organisation))
        for row in ends[0].rows
        if n.get(row.organisation, 0) or at_base
    }


def _bounds(
    low: PairedRow, high: PairedComparison, n_lost: int, at_base: int, within: tuple[WithinMargin, WithinMargin] | None
) -> LostBounds:
    other = high.row(low.organisation)
    return LostBounds(
        n_lost, at_base, low.difference, other.difference, low.p_holm, other.p_holm, low.p, other.p, within
    )
