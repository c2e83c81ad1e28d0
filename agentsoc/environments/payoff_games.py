"""The games of `payoff`: who moves in which phase of a round, what agents are told and may do, and what it pays."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agentsoc.contracts.environments import Action
from agentsoc.contracts.sight import Sight
from agentsoc.theory.games import (
    best_effort,
    best_team_total,
    coopetition,
    fined,
    free_riding_total,
    selfish_effort,
    shared_pot,
    team_production,
)

Acts = Sequence[Mapping[int, Action]]
"""The actions of a round so far, phase by phase."""


class Game(ABC):
    """What a round of a game is. Agents that cooperate fully do what is best for all together."""

    players: tuple[int, int] = (2, 500)
    """The fewest and the most who can play."""
    phases: int = 1
    """Stages of a round."""

    @abstractmethod
    def rules(self) -> str:
        """Return the rules of a round in words."""

    def movers(self, phase: int, n: int) -> range:
        """Return who acts in a phase."""
        return range(n)

    @abstractmethod
    def ask(self, agent: int, n: int, acts: Acts) -> Sight:
        """Return what an agent is asked in the phase that follows `acts`."""

    @abstractmethod
    def pay(self, n: int, acts: Acts) -> list[float]:
        """Return what the last phase of `acts` pays to each."""

    @abstractmethod
    def welfare(self, n: int) -> tuple[float, float]:
        """Return the sum of a round's payoffs that scores 0, and the largest one, which scores 1."""

    @abstractmethod
    def cooperation(self, agent: int, n: int, acts: Acts) -> float | None:
        """Return how far the last action of an agent cooperates, in [0, 1]; None for actions that are neither."""

    @abstractmethod
    def act(self, share: float, agent: int, n: int, acts: Acts) -> Action:
        """Return the action that cooperates so far: 1 is best for all, 0 best for oneself in a game that ends here."""


@dataclass(frozen=True)
class TwoChoices(Game):
    """The prisoner's dilemma: (cooperate, defect) with payoffs T > R > P > S."""

    temptation: float
    reward: float
    penalty: float
    sucker: float
    names: tuple[str, str] = ("cooperate", "defect")
    players = (2, 2)

    def rules(self) -> str:
        """Return the payoffs."""
        good, bad = self.names
        return (
            f"You and one other choose at the same time: {good} or {bad}. Both {good}: {self.reward:g} each. "
            f"Both {bad}: {self.penalty:g} each. One alone who chooses to {bad} gets {self.temptation:g}, the other "
            f"{self.sucker:g}."
        )

    def ask(self, agent: int, n: int, acts: Acts) -> Sight:
        """Return the two choices."""
        return Sight(f"{self.names[0].capitalize()} or {self.names[1]}?", choices=self.names)

    def pay(self, n: int, acts: Acts) -> list[float]:
        """Return the payoffs of the table."""
        good = [acts[-1][agent] == self.names[0] for agent in range(2)]
        if good[0] == good[1]:
            return [self.reward if good[0] else self.penalty] * 2
        return [self.sucker if each else self.temptation for each in good]

    def welfare(self, n: int) -> tuple[float, float]:
        """Return the smallest and the largest sum."""
        sums = (2 * self.reward, 2 * self.penalty, self.temptation + self.sucker)
        return min(sums), max(sums)

    def cooperation(self, agent: int, n: int, acts: Acts) -> float | None:
        """Return 1 for the first choice."""
        return float(acts[-1][agent] == self.names[0])

    def act(self, share: float, agent: int, n: int, acts: Acts) -> Action:
        """Return the nearer choice."""
        return self.names[0] if share >= 0.5 else self.names[1]


@dataclass(frozen=True)
class StagHunt(Game):
    """A stag for all who hunt it together, a hare for whoever hunts alone; both are equilibria."""

    stag: float
    hare: float

    def rules(self) -> str:
        """Return the payoffs."""
        return (
            f"Everybody chooses at the same time: stag or hare. If all choose stag, each gets {self.stag:g}; if one "
            f"does not, those who chose stag get nothing. A hare gives {self.hare:g}, whatever others do."
        )

    def ask(self, agent: int, n: int, acts: Acts) -> Sight:
        """Return the two choices."""
        return Sight("Stag or hare?", choices=("stag", "hare"))

    def pay(self, n: int, acts: Acts) -> list[float]:
        """Return the stag for all, or nothing, or a hare."""
        together = all(act == "stag" for act in acts[-1].values())
        return [self.hare if acts[-1][agent] == "hare" else self.stag if together else 0.0 for agent in range(n)]

    def welfare(self, n: int) -> tuple[float, float]:
        """Return the sum of the safe equilibrium, a hare for each, and that of the other, the stag for all."""
        return n * self.hare, n * self.stag

    def cooperation(self, agent: int, n: int, acts: Acts) -> float | None:
        """Return 1 for the stag."""
        return float(acts[-1][agent] == "stag")

    def act(self, share: float, agent: int, n: int, acts: Acts) -> Action:
        """Return the nearer choice."""
        return "stag" if share >= 0.5 else "hare"


@dataclass(frozen=True)
class PublicGoods(Game):
    """Contributions to a pot that is multiplied and shared, and fines afterwards, where there is punishment."""

    endowment: int
    factor: float
    punishment: bool
    fine_cost: float
    fine_effect: float
    fine_most: int

    @property
    def phases(self) -> int:  # type: ignore[override]
        """Return 2 with punishment."""
        return 2 if self.punishment else 1

    def rules(self) -> str:
        """Return the payoffs."""
        text = (
            f"Everybody has {self.endowment} coins and puts some of them into a pot, all at the same time. The pot is "
            f"multiplied by {self.factor:g} and shared evenly, whoever gave. What you do not give you keep."
        )
        if not self.punishment:
            return text
        return (
            f"{text} Then you see what everybody gave and may fine each other: a point costs you {self.fine_cost:g} "
            f"and takes {self.fine_effect:g} from whom it is given to, at most {self.fine_most} points for each."
        )

    def ask(self, agent: int, n: int, acts: Acts) -> Sight:
        """Return a whole number of coins, or points for everybody."""
        if not acts:
            schema: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": self.endowment}
            return Sight(f"How many of your {self.endowment} coins do you give?", schema=schema)
        gave = ", ".join(f"agent {other} {acts[0][other]}" for other in range(n))
        schema = {
            "type": "array",
            "items": {"type": "integer", "minimum": 0, "maximum": self.fine_most},
            "minItems": n,
            "maxItems": n,
        }
        text = f"This round gave: {gave}. How many points does each get from you? List {n} numbers, in order of agents."
        return Sight(text, schema=schema)

    def pay(self, n: int, acts: Acts) -> list[float]:
        """Return the share of the pot with what was kept, or what fines change."""
        if len(acts) == 1:
            return shared_pot([acts[0][agent] for agent in range(n)], self.endowment, self.factor)
        return fined(self.points(n, acts[1]), self.fine_cost, self.fine_effect)

    def points(self, n: int, given: Mapping[int, Action]) -> list[list[float]]:
        """Return who fines whom how much; nobody fines oneself."""
        return [[0 if other == agent else given[agent][other] for other in range(n)] for agent in range(n)]

    def welfare(self, n: int) -> tuple[float, float]:
        """Return the sum when nobody gives, and when all give everything and nobody is fined."""
        return n * self.endowment, n * self.endowment * self.factor

    def cooperation(self, agent: int, n: int, acts: Acts) -> float | None:
        """Return the share of the endowment that was given; fines are neither."""
        return acts[0][agent] / self.endowment if len(acts) == 1 else None

    def act(self, share: float, agent: int, n: int, acts: Acts) -> Action:
        """Return that share of the coins; who cooperates fines whoever gave less than itself.

        A fine is so high that, given by all the others, it takes what giving less has gained.
        """
        if not acts:
            return round(share * self.endowment)
        if share < 0.5 or not self.fine_effect:
            return [0] * n
        gained = [(1 - self.factor / n) * (acts[0][agent] - acts[0][other]) for other in range(n)]
        due = [math.floor(gain / (self.fine_effect * (n - 1))) + 1 if gain > 0 else 0 for gain in gained]
        return [min(points, self.fine_most) for points in due]


@dataclass(frozen=True)
class Trust(Game):
    """One sends, what was sent grows, and the other returns what it likes."""

    endowment: int
    factor: float
    players = (2, 2)
    phases = 2

    def rules(self) -> str:
        """Return the payoffs."""
        return (
            f"Agent 0 has {self.endowment} coins and sends some of them to agent 1. What is sent is multiplied by "
            f"{self.factor:g}. Then agent 1 returns as much of that as it likes, and keeps the rest."
        )

    def movers(self, phase: int, n: int) -> range:
        """Return the sender, then the one who returns."""
        return range(phase, phase + 1)

    def grown(self, acts: Acts) -> int:
        """Return what arrived."""
        return int(self.factor * acts[0][0])

    def ask(self, agent: int, n: int, acts: Acts) -> Sight:
        """Return a whole number of coins."""
        most = self.grown(acts) if acts else self.endowment
        verb = "return" if acts else "send"
        schema = {"type": "integer", "minimum": 0, "maximum": most}
        return Sight(f"How many of your {most} coins do you {verb}?", schema=schema)

    def pay(self, n: int, acts: Acts) -> list[float]:
        """Return what the sender keeps, then what each has of the rest."""
        if len(acts) == 1:
            return [self.endowment - acts[0][0], 0.0]
        return [acts[1][1], self.grown(acts) - acts[1][1]]

    def welfare(self, n: int) -> tuple[float, float]:
        """Return the sum when nothing is sent, and when all of it is."""
        return self.endowment, self.factor * self.endowment

    def cooperation(self, agent: int, n: int, acts: Acts) -> float | None:
        """Return the share that was sent; of what was returned, the share of an even division, at most 1."""
        if len(acts) == 1:
            return float(acts[0][0] / self.endowment)
        grown = self.grown(acts)
        return min(2 * acts[1][1] / grown, 1.0) if grown else None

    def act(self, share: float, agent: int, n: int, acts: Acts) -> Action:
        """Return that share of the coins; of what arrived, that share of the half."""
        return round(share * self.endowment) if not acts else round(share * self.grown(acts) / 2)


@dataclass(frozen=True)
class Coopetition(Game):
    """Actors who create value alone and together, and split what they create together."""

    endowment: float
    theta: float
    gamma: float

    def rules(self) -> str:
        """Return the payoffs."""
        return (
            f"Everybody has {self.endowment:g} and puts an effort a between 0 and that into a common venture. You "
            f"keep {self.endowment:g} - a, earn {self.theta:g} ln(1 + a) alone, and get an even part of {self.gamma:g} "
            "times the geometric mean of all efforts."
        )

    def ask(self, agent: int, n: int, acts: Acts) -> Sight:
        """Return an effort."""
        return Sight("What is your effort?", schema={"type": "number", "minimum": 0, "maximum": self.endowment})

    def pay(self, n: int, acts: Acts) -> list[float]:
        """Return the private payoffs."""
        return coopetition([acts[0][agent] for agent in range(n)], self.endowment, self.theta, self.gamma)

    def welfare(self, n: int) -> tuple[float, float]:
        """Return the sum without effort, and the largest sum."""
        best = min(best_effort(self.theta, self.gamma, n), self.endowment)
        return n * self.endowment, sum(coopetition([best] * n, self.endowment, self.theta, self.gamma))

    def cooperation(self, agent: int, n: int, acts: Acts) -> float | None:
        """Return where the effort stands between that of the equilibrium and the best one, held to [0, 1]."""
        low, high = self._ends(n)
        return _between(acts[0][agent], low, high)

    def _ends(self, n: int) -> tuple[float, float]:
        low, high = selfish_effort(self.theta, self.gamma, n), best_effort(self.theta, self.gamma, n)
        return min(low, self.endowment), min(high, self.endowment)

    def act(self, share: float, agent: int, n: int, acts: Acts) -> Action:
        """Return an effort between the two."""
        low, high = self._ends(n)
        return low + share * (high - low)


@dataclass(frozen=True)
class TeamProduction(Game):
    """A product of all efforts that is shared evenly, while each bears its own effort."""

    omega: float
    beta: float
    cost: float
    effort_most: float

    def rules(self) -> str:
        """Return the payoffs."""
        return (
            f"Everybody chooses an effort between 0 and {self.effort_most:g}. Together you make {self.omega:g} times "
            f"the sum of efforts to the power {self.beta:g}, shared evenly; your own effort costs you {self.cost:g} a "
            "unit."
        )

    def ask(self, agent: int, n: int, acts: Acts) -> Sight:
        """Return an effort."""
        return Sight("What is your effort?", schema={"type": "number", "minimum": 0, "maximum": self.effort_most})

    def pay(self, n: int, acts: Acts) -> list[float]:
        """Return the part of the product less the effort."""
        return team_production([acts[0][agent] for agent in range(n)], self.omega, self.beta, self.cost)

    def _ends(self, n: int) -> tuple[float, float]:
        low, high = (
            free_riding_total(self.omega, self.beta, self.cost, n),
            best_team_total(self.omega, self.beta, self.cost),
        )
        return min(low / n, self.effort_most), min(high / n, self.effort_most)

    def welfare(self, n: int) -> tuple[float, float]:
        """Return 0, the sum without effort, and the largest sum."""
        best = self._ends(n)[1]
        return 0.0, sum(team_production([best] * n, self.omega, self.beta, self.cost))

    def cooperation(self, agent: int, n: int, acts: Acts) -> float | None:
        """Return where the effort stands between that of the equilibrium and the best one, held to [0, 1]."""
        return _between(acts[0][agent], *self._ends(n))

    def act(self, share: float, agent: int, n: int, acts: Acts) -> Action:
        """Return an effort between the two."""
        low, high = self._ends(n)
        return low + share * (high - low)


def _between(value: float, low: float, high: float) -> float:
    return 1.0 if high <= low else min(max((value - low) / (high - low), 0.0), 1.0)


NEEDS: Final[dict[str, frozenset[str]]] = {
    "prisoners-dilemma": frozenset({"temptation", "reward", "penalty", "sucker"}),
    "stag-hunt": frozenset({"stag", "hare"}),
    "public-goods": frozenset({"endowment", "factor", "punishment", "fine_cost", "fine_effect", "fine_most"}),
    "trust": frozenset({"endowment", "factor"}),
    "coopetition": frozenset({"endowment", "theta", "gamma", "goes_by", "dependence"}),
    "team-production": frozenset({"omega", "beta", "cost", "effort_most"}),
}
"""The settings that each game has."""
