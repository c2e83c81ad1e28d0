"""This module holds what `agentsoc metrics` says of one run or imported log."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from analysis.measures.acting import Acting
from analysis.measures.amplification import Amplification, Taint
from analysis.measures.categories import Categories
from analysis.measures.commons import SharedResource
from analysis.measures.cooperation import Cooperation
from analysis.measures.diversity_logs import Diversity
from analysis.measures.effective_votes import EffectiveVotes
from analysis.measures.episodes import RunMetrics
from analysis.measures.exchange import ExchangeMeasures
from analysis.measures.influence import Influence
from analysis.measures.judging import JudgeAgreement


@dataclass(frozen=True)
class RunReport:
    """The report holds everything that is said of one run."""

    run: str
    topology: str
    protocol: str
    n_agents: int
    """Agents that said something, or that the scenario counts."""
    rounds: int | None
    """Rounds of its protocol; None for one without."""
    tasks: str
    """Identity of the tasks: runs on the same ones can be compared task by task."""
    setting: str
    """What its scenario says but for the number of agents, the seed and which tasks there are."""
    metrics: RunMetrics
    diversity: Diversity
    information: pl.DataFrame
    worth: EffectiveVotes | str
    """Effective votes, or why there are none."""
    failure: Amplification | None
    """A_task; None without a baseline."""
    taint: Taint
    trace: Amplification | None
    """A_trace; None without faults in the run and in the baseline."""
    judge: JudgeAgreement | None
    """How far the judge of its tasks agrees with itself; None for tasks without one."""
    influence: Influence | None
    """What replies made of the claims that they were shown; None where no model was shown one."""
    exchange: ExchangeMeasures
    """What votes were worth, and what exchange made of them."""
    acting: Acting | None
    """What tools and environments did; None in a run with neither."""
    world: SharedResource | Cooperation | None
    """What its environment is measured by besides, for commons and games with payoffs."""
    notes: tuple[str, ...]
    categories: Categories | None = None
    """Scores by a column of the task file; None where the scenario names none."""
