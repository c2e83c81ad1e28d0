"""This module gathers what the votes of a run were worth and what exchange made of them, for `agentsoc metrics`."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from analysis.measures.exposure import Exposure, exposure_of
from analysis.measures.independence import IndependentVotes, independent_votes
from analysis.measures.standing import Moved, OracleGap, moved, oracle_gap


@dataclass(frozen=True)
class ExchangeMeasures:
    """The object holds the measures of one run; what its log does not tell is None."""

    exposure: Exposure | None
    gap: OracleGap | None
    moved: Moved | None
    votes: IndependentVotes | str | None
    """N_eff of final votes, or why there is none."""

    def summary(self) -> list[str]:
        """Return the lines that there are."""
        said = [] if self.exposure is None else self.exposure.summary()
        said += [one.summary() for one in (self.gap, self.moved) if one is not None]
        if self.votes is not None:
            said.append(self.votes if isinstance(self.votes, str) else self.votes.summary())
        return said

    def as_dict(self) -> dict[str, object]:
        """Return plain values for JSON; what there is not is null."""
        parts = {"exposure": self.exposure, "oracle_gap": self.gap, "moved": self.moved}
        found: dict[str, object] = {name: None if one is None else one.as_dict() for name, one in parts.items()}
        votes = {"reason": self.votes} if isinstance(self.votes, str) else self.votes and self.votes.as_dict()
        return {**found, "independent_votes": votes}


def exchange_of(
    standing: pl.DataFrame, episodes: pl.DataFrame, replies: pl.DataFrame | None, *, seed: int = 0
) -> ExchangeMeasures:
    """Return the measures of a run.

    Args:
        standing: rows of `analysis.measures.standing.standing_of`.
        episodes: rows of `analysis.measures.episodes.episode_metrics`.
        replies: rows of `analysis.measures.heard.heard_replies`; None where they cannot be had.
        seed: root of the resampling.
    """
    return ExchangeMeasures(
        None if replies is None else exposure_of(replies, seed=seed),
        oracle_gap(standing, episodes, seed=seed),
        moved(standing, seed=seed),
        independent_votes(standing),
    )
