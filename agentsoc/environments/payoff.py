"""`payoff`: games of a few moves that pay, once or repeated, where what is good for one is not always good for all.

A round has one phase or two (give, then fine; send, then return). An episode's score is the sum of all payoffs, from 0
for what the game calls worst to 1 for the best that all can do together.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field, model_validator

from agentsoc.contracts.environments import NOISE, Action, Draw, Environment, State, Step
from agentsoc.contracts.script import Script
from agentsoc.contracts.sight import Sight
from agentsoc.contracts.task import Task
from agentsoc.environments.payoff_games import (
    NEEDS,
    Acts,
    Coopetition,
    Game,
    PublicGoods,
    StagHunt,
    TeamProduction,
    Trust,
    TwoChoices,
)
from agentsoc.errors import InputError
from agentsoc.theory.games import integrated, trust_after

Amount = Annotated[float, Field(ge=-1e6, le=1e6)]
_ENDOWMENT: Final = {"public-goods": 20, "trust": 10, "coopetition": 100}
_FACTOR: Final = {"public-goods": 1.6, "trust": 3.0}
_OF_ALL: Final = ("kind", "game", "rounds")
SEEN_MAX: Final = 20
"""Players up to whom each one's last move is told; of more, how many did what, or the mean."""


class Payoff(Environment):
    """A game with payoffs: prisoner's dilemma, stag hunt, public goods, trust, coopetition, team production."""

    scripts: ClassVar[tuple[str, ...]] = ("optimal", "noisy", "selfish", "conditional")

    kind: Literal["payoff"] = "payoff"
    game: Literal["prisoners-dilemma", "stag-hunt", "public-goods", "trust", "coopetition", "team-production"] = (
        "public-goods"
    )
    """Which game is played; settings of the others are refused."""
    rounds: int = Field(default=10, ge=1, le=1_000)
    """Times that the game is played in an episode (rounds); 1 for a game that ends there."""
    temptation: Amount = 5.0
    """Prisoner's dilemma: payoff of defecting alone (T)."""
    reward: Amount = 3.0
    """Prisoner's dilemma: payoff of each when both cooperate (R)."""
    penalty: Amount = 1.0
    """Prisoner's dilemma: payoff of each when both defect (P)."""
    sucker: Amount = 0.0
    """Prisoner's dilemma: payoff of cooperating alone (S)."""
    stag: float = Field(default=4.0, gt=0, le=1e6)
    """Stag hunt: payoff of each when all hunt the stag."""
    hare: float = Field(default=3.0, gt=0, le=1e6)
    """Stag hunt: payoff of a hare."""
    endowment: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """What each has in a round (coins); None for 20 in public goods, 10 in trust, 100 in coopetition."""
    factor: Annotated[float, Field(gt=1, le=1_000)] | None = None
    """By what a pot or what is sent is multiplied; None for 1.6 in public goods, 3 in trust."""
    punishment: bool = False
    """Public goods: whether agents may fine each other after they have seen what everybody gave."""
    fine_cost: float = Field(default=1.0, ge=0, le=1_000)
    """What a point costs whoever gives it (coins)."""
    fine_effect: float = Field(default=3.0, ge=0, le=1_000)
    """What a point takes from whoever gets it (coins)."""
    fine_most: int = Field(default=10, ge=1, le=1_000)
    """Points that one agent may give another in a round (points)."""
    theta: float = Field(default=20.0, gt=0, le=1e6)
    """Coopetition: factor of the value theta ln(1 + a) that effort makes alone."""
    gamma: float = Field(default=0.65, ge=0, lt=1)
    """Coopetition: weight of what efforts make together."""
    goes_by: Literal["private", "integrated", "cooperative"] = "private"
    """Coopetition: whether rewards are own payoffs, weigh those of trusted others, or are everybody's mean."""
    dependence: float = Field(default=0.5, ge=0, le=1)
    """Coopetition: how much the payoffs of others weigh (D) for whoever trusts them fully."""
    omega: float = Field(default=25.0, gt=0, le=1e6)
    """Team production: factor of the product omega (sum a)^beta."""
    beta: float = Field(default=0.7, gt=0, lt=1)
    """Team production: exponent of the product."""
    cost: float = Field(default=1.0, gt=0, le=1e6)
    """Team production: what a unit of effort costs whoever makes it."""
    effort_most: float = Field(default=5_000.0, gt=0, le=1e9)
    """Team production: the largest effort of one agent."""

    @model_validator(mode="after")
    def _of_this_game(self) -> Payoff:
        """Refuse settings of other games, and payoffs that make it another game."""
        others = sorted(  # a stored scenario writes out the defaults of all of them
            name
            for name, field in type(self).model_fields.items()
            if name not in (*_OF_ALL, *self._own) and dict(self)[name] != field.default
        )
        if others:
            raise ValueError(
                f"{', '.join(others)}: not a setting of {self.game}, which has {', '.join(sorted(self._own))}"
            )
        if self.game == "prisoners-dilemma":
            ordered = self.temptation > self.reward > self.penalty > self.sucker
            if not ordered or 2 * self.reward < self.temptation + self.sucker:
                raise ValueError(  # what takes turns at defecting would pay more than cooperation otherwise
                    "a prisoner's dilemma has temptation > reward > penalty > sucker and 2 reward at least "
                    "temptation + sucker"
                )
        if self.game == "stag-hunt" and self.stag <= self.hare:
            raise ValueError(f"the stag has to be worth more than the hare, got {self.stag:g} and {self.hare:g}")
        return self

    @property
    def _own(self) -> frozenset[str]:
        return NEEDS[self.game]

    @cached_property
    def played(self) -> Game:
        """Return the game with its settings."""
        endowment = self.endowment if self.endowment is not None else _ENDOWMENT.get(self.game, 1)
        factor = self.factor if self.factor is not None else _FACTOR.get(self.game, 1.0)
        if self.game == "prisoners-dilemma":
            return TwoChoices(self.temptation, self.reward, self.penalty, self.sucker)
        if self.game == "stag-hunt":
            return StagHunt(self.stag, self.hare)
        if self.game == "public-goods":
            return PublicGoods(
                endowment, factor, self.punishment, self.fine_cost, self.fine_effect, self.fine_most
            )  # fmt: skip
        if self.game == "trust":
            return Trust(endowment, factor)
        if self.game == "coopetition":
            return Coopetition(endowment, self.theta, self.gamma)
        return TeamProduction(self.omega, self.beta, self.cost, self.effort_most)

    def check_agents(self, n: int) -> None:
        """Refuse a number of agents that the game is not for, and a pot that is no dilemma."""
        least, most = self.played.players
        if self.punishment:  # everybody says what everybody gets
            most = min(most, 60)
        if not least <= n <= most:
            players = f"{least} agents" if least == most else f"{least} to {most} agents"
            raise InputError(f"{self.game} is a game of {players}, got {n}", "agents.count")
        if isinstance(self.played, PublicGoods) and self.played.factor >= n:
            raise InputError(
                f"with {n} agents and factor {self.played.factor:g} giving pays for oneself: there is no dilemma",
                "tasks.environment.factor",
                f"use a factor below {n}",
            )

    def horizon(self) -> int:
        """Return the stages of all rounds."""
        return self.rounds * self.played.phases

    def rules(self) -> str:
        """Return the rules of the game."""
        times = "once" if self.rounds == 1 else f"{self.rounds} times with the same others"
        return f"{self.played.rules()} It is played {times}."

    def opening(self, task: Task, n: int, seed: int) -> State:
        """Return the start, with nothing done; trust between actors begins at a half."""
        self.check_agents(n)
        state: dict[str, Any] = {
            "n": n,
            "round": 0,
            "acts": [],
            "last": [],
            "last_pay": [0.0] * n,
            "pays": [0.0] * n,
            "fined": [False] * n,
        }
        if self.goes_by == "integrated":
            if n > 20:
                raise InputError(f"trust is kept for each pair of at most 20 agents, got {n}", "agents.count")
            state["trust"] = [[0.5] * n for _ in range(n)]
            state["damage"] = [[0.0] * n for _ in range(n)]
        return state

    def acts(self, state: State) -> Acts:
        """Return the actions of the round so far, by agent."""
        return [_by_agent(phase) for phase in state["acts"]]

    def observe(self, state: State, agent: int) -> Sight:
        """Return the last round, and what the game asks."""
        acts = self.acts(state)
        if self.over(state) is not None or agent not in self.played.movers(len(acts), state["n"]):
            return Sight("It is not your move.", may_act=False)
        asked = self.played.ask(agent, state["n"], acts)
        lines = [f"Round {state['round'] + 1} of {self.rounds}."]
        if state["last"] and not acts:
            done = "; ".join(_told(_by_agent(phase)) for phase in state["last"])
            lines.append(f"Last round: {done}. You got {_coins(state['last_pay'][agent])}.")
        lines.append(asked.text)
        return Sight("\n".join(lines), asked.choices, asked.schema)

    def resolve(self, state: State, actions: Mapping[int, Action], draw: Draw) -> Step:
        """Pay the phase; after the last one the round is over."""
        n, game = state["n"], self.played
        done = {str(agent): actions[agent] for agent in game.movers(len(state["acts"]), n)}
        acts = [*state["acts"], done]
        paid = game.pay(n, [_by_agent(phase) for phase in acts])
        last = len(acts) == game.phases
        pays = [total + pay for total, pay in zip(state["pays"], paid, strict=True)]
        so_far = state["last_pay"] if len(acts) > 1 else [0.0] * n
        this_round = [before + pay for before, pay in zip(so_far, paid, strict=True)]
        after: dict[str, Any] = {
            **state,
            "round": state["round"] + last,
            "acts": [] if last else acts,
            "last": acts if last else state["last"],
            "last_pay": this_round,
            "pays": pays,
        }
        if isinstance(game, PublicGoods) and len(acts) == 2:
            points = game.points(n, _by_agent(done))
            after["fined"] = [
                before or any(points[other][agent] for other in range(n)) for agent, before in enumerate(state["fined"])
            ]
        rewards = paid
        if isinstance(game, Coopetition):
            rewards = self._rewards(after, [float(done[str(agent)]) for agent in range(n)], paid)
        told = {agent: f"You got {_coins(pay)}." for agent, pay in enumerate(paid)}
        return Step(after, told, dict(enumerate(map(float, rewards))))

    def _rewards(self, after: dict[str, Any], efforts: list[float], paid: list[float]) -> list[float]:
        """Return what actors of coopetition go by; trust changes by how efforts compare with the selfish one."""
        if self.goes_by == "cooperative":
            return [sum(paid) / len(paid)] * len(paid)
        if self.goes_by == "private":
            return paid
        n = len(paid)
        rewards = integrated(paid, self.dependence, after["trust"])
        low, high = self.played.act(0, 0, n, []), self.played.act(1, 0, n, [])
        scale = max(high - low, 1e-9)
        signals = [max(-1.0, min(1.0, (effort - low) / scale)) for effort in efforts]
        pairs = [
            [
                (after["trust"][i][j], after["damage"][i][j])
                if i == j
                else trust_after(after["trust"][i][j], after["damage"][i][j], signals[j], self.dependence)
                for j in range(n)
            ]
            for i in range(n)
        ]
        after["trust"] = [[trust for trust, _ in row] for row in pairs]
        after["damage"] = [[damage for _, damage in row] for row in pairs]
        return rewards

    def default(self, state: State, agent: int) -> Action:
        """Return the action that is best for oneself in a game that ends here."""
        return self.played.act(0.0, agent, state["n"], self.acts(state))

    def over(self, state: State) -> str | None:
        """Return that all rounds are played."""
        return "played" if state["round"] >= self.rounds else None

    def score(self, task: Task, state: State) -> float:
        """Return where the sum of all payoffs stands between what scores 0 and the best; 1 where these agree."""
        worst, best = self.played.welfare(state["n"])
        if not best > worst:
            return 1.0
        rounds = max(state["round"], 1)
        share: float = (sum(state["pays"]) / rounds - worst) / (best - worst)
        return min(max(round(share, 12), 0.0), 1.0)

    def outcome(self, task: Task, state: State) -> str:
        """Return the sum of the payoffs, and the extremes."""
        pays = state["pays"]
        return f"{_coins(sum(pays))} in all, {_coins(min(pays))} to {_coins(max(pays))} each"

    def best(self, state: State, agent: int, draw: Draw) -> Action:
        """Return the action that is best for all."""
        return self.played.act(1.0, agent, state["n"], self.acts(state))

    def says(self, state: State, agent: int, draw: Draw) -> str:
        """Return what an agent proposes who wants the best for all."""
        return "Let us all do what is best for all of us."

    def scripted(self, script: Script, state: State, agent: int, draw: Draw) -> Action:
        """Return the action of a policy.

        `selfish` does what is best for itself, and gives everything once it has been fined; `conditional` begins with
        cooperation and then does as the others did on average in the round before; `noisy` also does, with probability
        `error`, anything between the best for all and the best for itself.
        """
        n, acts = state["n"], self.acts(state)
        if script.name == "selfish":
            return self.played.act(float(state["fined"][agent] and not acts), agent, n, acts)
        if script.name == "conditional":
            return self.played.act(self._seen(state, agent), agent, n, acts)
        action: Action = super().scripted(script, state, agent, draw)
        if script.name == "noisy" and draw.uniform(agent, NOISE + 1) < script.error:
            action = self.played.act(draw.uniform(agent, NOISE + 2), agent, n, acts)
        return action

    def _seen(self, state: State, agent: int) -> float:
        """Return how far the others cooperated: in this round if they have moved in it, else in the last one."""
        rounds = self.acts(state) or [_by_agent(phase) for phase in state["last"]]
        shares = [
            share
            for phase, moved in enumerate(rounds)
            for other in moved
            if other != agent and (share := self.played.cooperation(other, state["n"], rounds[: phase + 1])) is not None
        ]
        return sum(shares) / len(shares) if shares else 1.0


def _by_agent(phase: Mapping[str, Action]) -> dict[int, Action]:
    """Return the actions of a phase by agent: as JSON, keys are texts."""
    return {int(agent): action for agent, action in phase.items()}


def _told(moved: Mapping[int, Action]) -> str:
    if len(moved) <= SEEN_MAX:
        return ", ".join(f"agent {agent} {_said(action)}" for agent, action in moved.items())
    if all(isinstance(action, int | float) for action in moved.values()):
        return f"{len(moved)} agents, on average {sum(moved.values()) / len(moved):.4g}"
    counts: dict[str, int] = {}
    for action in moved.values():
        counts[_said(action)] = counts.get(_said(action), 0) + 1
    return ", ".join(f"{count} times {said}" for said, count in sorted(counts.items())[:SEEN_MAX])


def _said(action: Action) -> str:
    if isinstance(action, list):
        points = [f"{each} to agent {other}" for other, each in enumerate(action) if each]
        return "gave points: " + (", ".join(points) or "none")
    return f"{action:.6g}" if isinstance(action, float) else str(action)


def _coins(amount: float) -> str:
    return f"{amount:.6g}"
