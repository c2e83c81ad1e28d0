"""This module holds what is said of the organisations that are compared with one baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from analysis.comparison.lost import LostBounds
from analysis.interval import Interval
from analysis.stats import MeanRow, PairedComparison, PairedRow
from analysis.stats.margins import WithinMargin
from analysis.stats.pooled import Pooled


@dataclass(frozen=True)
class BaselineBlock:
    """A block holds the organisations that are compared with one baseline."""

    count: int | None
    """The number on the agents axis that the block is about; None where all stand in one block."""
    found: PairedComparison
    by_tasks: Mapping[str, PairedComparison]
    """The same for each task block alone, where there are several; p values are not corrected over blocks."""
    margins: Mapping[str, WithinMargin] = field(default_factory=dict)
    """By organisation whether its difference is within the margin, where one was given."""
    lost: Mapping[str, LostBounds] = field(default_factory=dict)
    """By organisation what episodes that were lost could change."""
    pooled: Mapping[str, Pooled] = field(default_factory=dict)
    """By organisation its difference over the task blocks, where there are several."""

    gains: Mapping[str, Interval | str] = field(default_factory=dict)
    """By organisation its collaboration gain, or why it has none; empty unless the baseline is one agent."""

    budget: int | None = None
    """The budget that the block is about (tokens); then organisations carry it in their labels."""

    def name(self, organisation: str) -> str:
        """Return what an organisation is called over all blocks."""
        return organisation if self.count is None else f"{organisation} (at n={self.count})"

    @property
    def where(self) -> str:
        """What the block is about, to follow the word for its table."""
        if self.budget is not None:
            return f" at {self.budget:,} tokens"
        return "" if self.count is None else f" at n={self.count}"

    @property
    def rows(self) -> list[MeanRow | PairedRow]:
        """The baseline and every other organisation."""
        return [self.found.baseline, *self.found.rows]
