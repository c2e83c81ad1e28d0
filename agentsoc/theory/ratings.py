"""Ratings from matches: Elo's running ones, and Bradley-Terry strengths by maximum likelihood with standard errors.

A match is a pair (winner, loser). Elo: a starts at 1200 and gains kappa (s - E) with E = 1 / (1 + 10^((b - a) / 400)),
which b loses, so that the sum of ratings is conserved. Bradley-Terry: i beats j with probability
1 / (1 + exp(theta_j - theta_i)); theta is estimated from all matches at once, so their order does not matter. (R. A.
Bradley and M. E. Terry, Biometrika 39 (1952) 324.) A rating says who won, not who is right: under a judge who draws
lots, somebody leads as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log
from typing import Final

import numpy as np
from numpy.typing import NDArray

Match = tuple[int, int]
"""Winner and loser."""

START: Final = 1200.0
"""Elo rating of a newcomer."""
KAPPA: Final = 32.0
"""What a win against an equal is worth, twice over."""
_STEPS: Final = 100
_ELO_PER_LOGIT: Final = 400 / log(10)
"""Points of Elo's scale that one unit of theta is worth."""


def expected(a: float, b: float) -> float:
    """Return the share of points that somebody rated `a` is expected to take from somebody rated `b`."""
    return float(1.0 / (1.0 + 10.0 ** ((b - a) / 400.0)))


def elo(n: int, matches: Iterable[Match], *, start: float = START, kappa: float = KAPPA) -> list[float]:
    """Return the ratings of `n` items after `matches`, in their order."""
    ratings = [start] * n
    for winner, loser in matches:
        gain = kappa * (1.0 - expected(ratings[winner], ratings[loser]))
        ratings[winner] += gain
        ratings[loser] -= gain
    return ratings


@dataclass(frozen=True)
class Strengths:
    """Bradley-Terry strengths theta (logits, mean about 0) and their standard errors, shape (n,) each."""

    theta: NDArray[np.float64]
    se: NDArray[np.float64]

    @property
    def on_elo_scale(self) -> NDArray[np.float64]:
        """Return the strengths in points of Elo's scale around its start."""
        return START + _ELO_PER_LOGIT * self.theta

    @property
    def se_on_elo_scale(self) -> NDArray[np.float64]:
        """Return the standard errors in the same points."""
        return _ELO_PER_LOGIT * self.se


def bradley_terry(n: int, matches: Sequence[Match], *, prior: float = 1.0) -> Strengths:
    """Return strengths by maximum likelihood, from the matches and `prior` drawn matches of each against an average.

    With ``prior=0`` it is the plain estimate, which exists only where everybody, by some chain of wins, has beaten
    everybody else; somebody who has won or lost all matches would be infinitely strong or weak. The errors are those of
    the observed information.

    Raises:
        ValueError: `prior` is 0 and the plain estimate does not exist.
    """
    wins = np.zeros((n, n))
    for winner, loser in matches:
        wins[winner, loser] += 1
    if not prior and not _all_beat_all(wins):
        raise ValueError("somebody has beaten nobody, or all of a group have: give a prior")
    games, won = wins + wins.T, wins.sum(axis=1)
    theta = np.zeros(n)
    for _ in range(_STEPS):
        slope, information = _slope(theta, games, won, prior), _information(theta, games, prior)
        step = np.linalg.lstsq(information, slope, rcond=None)[0]
        step *= min(1.0, 2.0 / max(float(np.abs(step).max(initial=0.0)), 1e-300))  # far off, the curve is no parabola
        theta = theta + step
        if float(np.abs(step).max(initial=0.0)) < 1e-12:
            break
    if not prior:
        theta = theta - theta.mean()
    covariance = np.linalg.pinv(_information(theta, games, prior), hermitian=True)
    return Strengths(theta, np.sqrt(np.maximum(np.diag(covariance), 0.0)))


def _win(theta: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1.0 / (1.0 + np.exp(theta[None, :] - theta[:, None]))


def _slope(
    theta: NDArray[np.float64], games: NDArray[np.float64], won: NDArray[np.float64], prior: float
) -> NDArray[np.float64]:
    drawn = prior * (0.5 - 1.0 / (1.0 + np.exp(-theta)))
    found: NDArray[np.float64] = won - (games * _win(theta)).sum(axis=1) + drawn
    return found


def _information(theta: NDArray[np.float64], games: NDArray[np.float64], prior: float) -> NDArray[np.float64]:
    p, average = _win(theta), 1.0 / (1.0 + np.exp(-theta))
    weight = games * p * (1.0 - p)
    found: NDArray[np.float64] = np.diag(weight.sum(axis=1) + prior * average * (1.0 - average)) - weight
    return found


def _all_beat_all(wins: NDArray[np.float64]) -> bool:
    """Return whether chains of wins lead from everybody to everybody."""
    n = len(wins)
    for beaten in (wins > 0, wins.T > 0):
        seen, ready = {0}, [0]
        for item in ready:  # grows while it is gone through
            for other in np.flatnonzero(beaten[item]).tolist():
                if other not in seen:
                    seen.add(other)
                    ready.append(other)
        if len(seen) < n:
            return False
    return True
