"""This module has payoffs of games that agents play with each other, and what theory says of them in closed form.

Coopetition and team production are those of arXiv 2510.18802, 2510.24909 and 2601.16237 (as their released code has
them); the closed forms below them are derived here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def shared_pot(given: Sequence[float], endowment: float, factor: float) -> list[float]:
    """Return the payoffs of a public goods game: what each kept, and an equal part of the pot times `factor`."""
    back = factor * sum(given) / len(given)
    return [endowment - each + back for each in given]


def fined(points: Sequence[Sequence[float]], cost: float, effect: float) -> list[float]:
    """Return what punishment changes: `points[i][j]` cost i `cost` each, and take `effect` each from j."""
    n = len(points)
    return [-cost * sum(points[i]) - effect * sum(points[j][i] for j in range(n)) for i in range(n)]


def own_value(effort: float, theta: float) -> float:
    """Return theta ln(1 + a), the value that an actor makes alone with effort a."""
    return theta * math.log1p(effort)


def joint_value(efforts: Sequence[float]) -> float:
    """Return the geometric mean of the efforts, the synergy of actors who need each other: 0 if one does nothing."""
    if min(efforts) <= 0:
        return 0.0
    return math.exp(sum(map(math.log, efforts)) / len(efforts))


def coopetition(efforts: Sequence[float], endowment: float, theta: float, gamma: float) -> list[float]:
    """Return e - a_i + theta ln(1 + a_i) + gamma g(a) / n for each of n actors who split the synergy evenly."""
    part = gamma * joint_value(efforts) / len(efforts)
    return [endowment - effort + own_value(effort, theta) + part for effort in efforts]


def selfish_effort(theta: float, gamma: float, n: int) -> float:
    """Return the effort of the symmetric equilibrium, theta / (1 - gamma / n^2) - 1; theta - 1 without synergy.

    An actor's own effort a gives 1/n of gamma (a^(1/n) ...), whose slope among equals is gamma / n^2.
    """
    return max(theta / (1 - gamma / n**2) - 1, 0.0)


def best_effort(theta: float, gamma: float, n: int) -> float:
    """Return the effort at which the sum of the payoffs is largest, theta / (1 - gamma / n) - 1.

    The sum is concave and symmetric, so its maximum is symmetric; there its slope is n (theta/(1 + a) - 1) + gamma.
    """
    return max(theta / (1 - gamma / n) - 1, 0.0)


def integrated(payoffs: Sequence[float], dependence: float, trust: Sequence[Sequence[float]]) -> list[float]:
    """Return U_i = pi_i + sum over j of D T_ij pi_j: what actors go by who depend on each other and trust."""
    n = len(payoffs)
    return [
        payoffs[i] + dependence * sum(trust[i][j] * payoffs[j] for j in range(n) if j != i) for i in range(n)
    ]  # fmt: skip


def trust_after(trust: float, damage: float, signal: float, dependence: float = 0.0) -> tuple[float, float]:
    """Return trust and reputation damage after a signal in [-1, 1] of what the other did.

    Good news build .10 s (1 - T)(1 - R), bad news take .30 |s| T (1 + .5 D): three times as much at T = 1/2. Damage
    grows by .60 |s| (1 - R) and heals by 3 % a round.
    """
    if signal > 0:
        return min(trust + 0.10 * signal * (1 - trust) * (1 - damage), 1.0), damage * 0.97
    eroded = trust + 0.30 * signal * trust * (1 + 0.5 * dependence)
    return max(eroded, 0.0), min(damage - 0.60 * signal * (1 - damage), 1.0)


def team_production(efforts: Sequence[float], omega: float, beta: float, cost: float) -> list[float]:
    """Return omega (sum a)^beta / n - c a_i for each: a product that all share, and effort that each bears alone."""
    part = omega * sum(efforts) ** beta / len(efforts)
    return [part - cost * effort for effort in efforts]


def free_riding_total(omega: float, beta: float, cost: float, n: int) -> float:
    """Return (omega beta / (n c))^(1 / (1 - beta)), the sum of efforts in equilibrium; who gives what is open."""
    return float((omega * beta / (n * cost)) ** (1 / (1 - beta)))


def best_team_total(omega: float, beta: float, cost: float) -> float:
    """Return (omega beta / c)^(1 / (1 - beta)), the sum of efforts that is best for all."""
    return float((omega * beta / cost) ** (1 / (1 - beta)))
