"""This module holds what a phase is estimated from: tables of leaf trials, round trips, votes and merges, or runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import polars as pl

from agentsoc.log.read import RunLog
from analysis.synergy.estimation.votes import leaf_table, merge_table, trip_table, vote_table


@dataclass(frozen=True)
class Measurements:
    """The object holds tables to estimate from; see `votes` for their columns. Leave out what was not measured."""

    leaves: pl.DataFrame | None = None
    """Trials of single agents at several levels of compute."""
    trips: pl.DataFrame | None = None
    """Round trips of messages of the length in question."""
    votes: pl.DataFrame | None = None
    """Votes of siblings; `votes_are` says whether before or after the channel."""
    votes_are: Literal["received", "sent"] = "received"
    merges: pl.DataFrame | None = None
    """What nodes made of sent votes; relays with b = 1."""

    def n_tasks(self) -> int:
        """Return the number of distinct tasks over all tables."""
        tables = (self.leaves, self.trips, self.votes, self.merges)
        return len({name for table in tables if table is not None for name in table["task"].unique().to_list()})

    def tasks_of(self, source: str) -> int:
        """Return the tasks that an estimate rests on.

        Args:
            source: ``leaves``, ``round trips``, ``merges``, or ``replicates``: votes of tasks with two groups or more.
        """
        if source == "replicates":
            if self.votes is None:
                return 0
            groups = self.votes.select("task", "run", "node").unique().group_by("task").len()
            return groups.filter(pl.col("len") > 1).height
        table = {"leaves": self.leaves, "round trips": self.trips, "merges": self.merges}[source]
        return 0 if table is None else int(table["task"].n_unique())


def from_logs(
    *,
    leaves: Iterable[RunLog] = (),
    relays: Iterable[RunLog] = (),
    merges: Iterable[RunLog] = (),
    replicates: Iterable[RunLog] = (),
    x: Iterable[float] | None = None,
    m: Iterable[float] | None = None,
) -> Measurements:
    """Return the measurements that runs of the engine hold.

    Args:
        leaves: runs of lone agents at several levels of compute.
        relays: runs in which an agent hears one other, with messages of one length.
        merges: runs in which nodes with noisy ears tally what several others say: rho of received votes.
        replicates: runs, of the same tasks, whose sibling votes are compared: rho of sent votes; those of `merges` by
            default.
        x: compute of each of `leaves` (tokens), where the log does not tell.
        m: message length of each of `relays` (tokens), where the log does not tell.
    """
    lone, single, several, again = list(leaves), list(relays), list(merges), list(replicates)
    return Measurements(
        leaves=leaf_table(lone, x=x) if lone else None,
        trips=trip_table(single, m=m) if single else None,
        votes=vote_table(again or several) if again or several else None,
        votes_are="sent",
        merges=merge_table(several) if several else None,
    )
