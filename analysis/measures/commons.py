"""This module says how a society treated a resource that it shared: the measures of GovSim, with intervals.

The intervals are over episodes. Everything follows from what agents asked for and got, which the log has; the stock is
computed from it again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agentsoc.environments.commons import Commons
from agentsoc.log.read import RunLog
from agentsoc.theory.commons import gain_efficiency, gain_equality, regrown, sustainable_share
from agentsoc.theory.proportion import Z95, wilson
from analysis.interval import Interval
from analysis.measures.moves import EpisodeMoves, episodes, mean_over_tasks, played, value_of
from analysis.stats.bootstrap import SCORE
from analysis.stats.survival import Survival, kaplan_meier


@dataclass(frozen=True)
class SharedResource:
    """The measures of a run in `commons`."""

    n: int
    """Episodes that ended (episodes)."""
    rounds: int
    """Rounds that an episode has at most (rounds)."""
    survival_time: Interval | None
    """Rounds until the collapse, or all of them (rounds)."""
    survival_rate: Interval
    """Share of the episodes in which the resource lived through all rounds."""
    curve: Survival
    """Share that lives on after each round in which one collapsed."""
    gain: Interval | None
    """What one agent took in an episode (units)."""
    efficiency: Interval | None
    equality: Interval | None
    """Over the episodes in which anything was taken."""
    over_usage: Interval | None
    """Share of the moves that asked for more than the sustainable share."""

    def summary(self) -> list[str]:
        """Return lines for a terminal."""
        median = self.curve.median()
        half = "more than half lived through" if median is None else f"half collapsed by round {median:g}"
        said = [f"commons: survival rate {self.survival_rate} over {self.n} episodes ({half})"]
        measured = {
            "survival time": self.survival_time, "gain": self.gain, "efficiency": self.efficiency,
            "equality": self.equality, "over-usage": self.over_usage,
        }  # fmt: skip
        said += [f"  {name} {value}" for name, value in measured.items() if value is not None]
        return said

    def as_dict(self) -> dict[str, object]:
        """Return plain values for JSON."""
        measured = {
            "survival_time": self.survival_time, "survival_rate": self.survival_rate, "gain": self.gain,
            "efficiency": self.efficiency, "equality": self.equality, "over_usage": self.over_usage,
        }  # fmt: skip
        curve = [
            {"round": int(time), "at_risk": int(n), "collapsed": int(died), "lives_on": share.as_dict()}
            for time, n, died, share in zip(
                self.curve.time, self.curve.at_risk, self.curve.died, self.curve.share, strict=True
            )
        ]
        found = {name: None if one is None else one.as_dict() for name, one in measured.items()}
        return {"kind": "commons", "episodes": self.n, "rounds": self.rounds, **found, "curve": curve}


def shared_resource(log: RunLog, *, seed: int = 0) -> SharedResource | None:
    """Return how a run in `commons` treated its resource; None for any other run.

    Raises:
        LogDamagedError: a segment is not what was written.
    """
    found = played(log, Commons)
    if found is None:
        return None
    world, n_agents = found
    lives = [_Life(world, n_agents, episode) for episode in episodes(log)]
    lives = [life for life in lives if life.ended]
    if not lives:
        return None
    numbers = np.arange(len(lives), dtype=np.float64)

    def mean(values: list[float], scale: float = 1.0) -> Interval | None:
        known = np.isfinite(values)
        found = mean_over_tasks(np.array(values)[known] / scale, numbers[known], SCORE, seed=seed)
        return found if found is None or scale == 1 else found.mapped(lambda x: x * scale)

    lived = [float(not life.collapsed) for life in lives]
    share = sum(lived) / len(lived)
    low, high = wilson(share, len(lived), Z95)
    best = world.best_total(n_agents)
    # what one of them can get at most: nothing grows by more than half of the capacity in a round
    most = (world.capacity + (world.rounds - 1) * world.capacity / 2) / n_agents
    return SharedResource(
        n=len(lives),
        rounds=world.rounds,
        survival_time=mean([float(life.rounds) for life in lives], world.rounds),
        survival_rate=Interval(share, max(low, 0.0), min(high, 1.0), method="Wilson"),
        curve=kaplan_meier(np.array([life.rounds for life in lives]), 1 - np.array(lived)),
        gain=mean([sum(life.gains) / n_agents for life in lives], most),
        efficiency=mean([gain_efficiency(sum(life.gains), best) for life in lives]),
        equality=mean([gain_equality(life.gains) if sum(life.gains) else np.nan for life in lives]),
        over_usage=mean([life.over / life.acts if life.acts else np.nan for life in lives]),
    )


class _Life:
    """The object follows one episode: the stock from round to round, by what was taken."""

    def __init__(self, world: Commons, n: int, episode: EpisodeMoves) -> None:
        self.gains = [0.0] * n
        self.over = self.acts = self.rounds = 0
        self.collapsed = False
        stock = world.capacity
        for moves, rewards in zip(episode.moves, episode.rewards, strict=True):
            joined = world.newcomer_from is None or self.rounds >= world.newcomer_from
            share = sustainable_share(stock, n if joined else n - 1)
            state = {"n": n, "round": self.rounds, "stock": stock}
            for answer in moves.values():
                wants = value_of(answer)
                if isinstance(wants, int):
                    self.acts += 1
                    self.over += world.wanted(state, wants) > share
            for agent, took in rewards.items():
                if 0 <= agent < n:
                    self.gains[agent] += took
            left = stock - round(sum(rewards.values()))
            self.rounds += 1
            self.collapsed = left < world.collapse_below
            if self.collapsed:
                break
            stock = regrown(left, world.capacity)
        self.ended = self.collapsed or self.rounds == world.rounds
