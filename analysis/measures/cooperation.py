"""This module says how far agents cooperated in games with payoffs, how that changed, and what they fined."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentsoc.environments.payoff import Payoff
from agentsoc.environments.payoff_games import Game
from agentsoc.errors import LogDamagedError
from agentsoc.log.read import RunLog
from analysis.interval import Interval
from analysis.measures.moves import episodes, mean_over_tasks, played, value_of
from analysis.stats.bootstrap import DIFFERENCE, SCORE, Bounds


@dataclass(frozen=True)
class Cooperation:
    """The measures of a run in `payoff`; intervals are over episodes."""

    game: str
    n: int
    """Episodes (episodes)."""
    rate: Interval | None
    """How far moves cooperated, 0 as in the equilibrium of one round, 1 as is best for all."""
    first: Interval | None
    """The same of the first round."""
    last: Interval | None
    """The same of the last round."""
    change: Interval | None
    """Last round minus first; None where there is one round."""
    fines: Interval | None
    """Points that one agent gave in a round (points); None without punishment."""
    payoff: Interval | None
    """What one agent got in a round (coins)."""

    def summary(self) -> list[str]:
        """Return lines for a terminal."""
        said = [f"{self.game}: cooperation {self.rate} over {self.n} episodes"]
        if self.change is not None:
            said.append(f"  first round {self.first}, last {self.last}, change {self.change.text(sign=True)}")
        if self.fines is not None:
            said.append(f"  fines {self.fines} points an agent and round")
        return [*said, f"  payoff {self.payoff} an agent and round"]

    def as_dict(self) -> dict[str, object]:
        """Return plain values for JSON."""
        measured = {
            "cooperation": self.rate, "first_round": self.first, "last_round": self.last, "change": self.change,
            "fines": self.fines, "payoff": self.payoff,
        }  # fmt: skip
        found = {name: None if one is None else one.as_dict() for name, one in measured.items()}
        return {"kind": "payoff", "game": self.game, "episodes": self.n, **found}


def cooperation(log: RunLog, *, seed: int = 0) -> Cooperation | None:
    """Return how far agents cooperated in a run in `payoff`; None for any other run.

    Raises:
        LogDamagedError: a segment is not what was written.
    """
    found = played(log, Payoff)
    if found is None:
        return None
    world, n = found
    game = world.played
    rows: list[tuple[float, float, float]] = []  # episode, round, how far a move cooperated
    fines: list[tuple[float, float]] = []
    pays: list[tuple[float, float]] = []
    last_round: dict[float, int] = {}
    for number, episode in enumerate(episodes(log)):
        stages = [{agent: value_of(answer) for agent, answer in moves.items()} for moves in episode.moves]
        for stage, moved in enumerate(stages):
            round_, phase = divmod(stage, game.phases)
            acts = stages[stage - phase : stage + 1]
            for agent in moved:
                share, given = _cooperated(game, agent, n, acts)
                if not (0.0 <= (share or 0.0) <= 1.0 and given >= 0.0):
                    raise LogDamagedError(
                        f"the events have a move that {world.game} does not know: task {episode.task}, stage {stage}, "
                        f"agent {agent}",
                        str(log.directory),
                    )
                if share is not None:
                    rows.append((number, round_, share))
                elif isinstance(moved[agent], list):
                    fines.append((number, given))
            last_round[number] = round_
        rounds = last_round.get(number, 0) + 1
        pays += [(number, pay / rounds) for pay in _totals(episode.rewards, n)]
    if not rows:
        return None
    table = np.array(rows)
    at_end = table[:, 1] == np.array([last_round[number] for number in table[:, 0]])
    at_start = table[:, 1] == 0

    def mean(kept: NDArray[np.bool_]) -> Interval | None:
        return mean_over_tasks(table[kept, 2], table[kept, 0], SCORE, seed=seed)

    changes = [
        (number, table[at_end & here, 2].mean() - table[at_start & here, 2].mean())
        for number in np.unique(table[:, 0])
        if last_round[number] > 0 and (here := table[:, 0] == number).any()
    ]
    return Cooperation(
        world.game,
        len(last_round),
        mean(np.ones(len(table), dtype=bool)),
        mean(at_start),
        mean(at_end),
        _mean(changes, DIFFERENCE, seed),
        _mean(fines, None, seed) if world.punishment else None,
        _mean(pays, None, seed),
    )


def _cooperated(game: Game, agent: int, n: int, acts: list[dict[int, Any]]) -> tuple[float | None, float]:
    """Return how far a move cooperated, and what it gave in fines; no numbers for one that is none of the game."""
    try:
        share = game.cooperation(agent, n, acts)
        return share, _given(agent, acts[-1][agent]) if share is None else 0.0
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return math.nan, math.nan


def _given(agent: int, fines: Any) -> float:
    """Return the points that a move gives to others; 0 for one that is no list of fines."""
    if not isinstance(fines, list):
        return 0.0
    return float(sum(points for other, points in enumerate(fines) if other != agent))


def _mean(pairs: list[tuple[float, float]], within: Bounds | None, seed: int) -> Interval | None:
    values = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    return mean_over_tasks(values[:, 1], values[:, 0], within, seed=seed)


def _totals(rewards: list[dict[int, float]], n: int) -> list[float]:
    totals = [0.0] * n
    for stage in rewards:
        for agent, reward in stage.items():
            if 0 <= agent < n:
                totals[agent] += reward
    return totals
