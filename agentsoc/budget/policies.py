"""The policies of this module split a budget equally, by level, by group or need, by difficulty or by theory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, TypeVar

from pydantic import Field, model_validator

from agentsoc.budget.allocation import leaf_tokens, leaves, marginal, split
from agentsoc.contracts.board import Board
from agentsoc.contracts.policy import Policy
from agentsoc.contracts.society import Society
from agentsoc.contracts.task import Task
from agentsoc.contracts.turns import Turn
from agentsoc.errors import InputError
from agentsoc.society.parts import part_of
from agentsoc.streams import uniform

P = TypeVar("P", bound=Policy)
Weight = Annotated[float, Field(ge=0, le=1e9)]
Weights = Annotated[tuple[Weight, ...], Field(min_length=1, max_length=256)]


class Uniform(Policy):
    """Every agent gets the same."""

    kind: Literal["uniform"] = "uniform"

    def shares(self, society: Society, task: Task, amount: int) -> Sequence[int]:
        """Return equal shares; the first agents have one token more where it does not come out even."""
        return split(amount, [1] * society.n)


class PerLevel(Policy):
    """Agents get shares by their distance from the root: those high up read and merge, those below work things out."""

    kind: Literal["per-level"] = "per-level"
    weights: Weights
    """The weight of one agent at each level, from the root down; deeper levels have the last weight."""

    @model_validator(mode="after")
    def _some(self) -> PerLevel:
        return _positive(self, self.weights)

    def shares(self, society: Society, task: Task, amount: int) -> Sequence[int]:
        """Return shares in proportion to the weights of the agents' levels."""
        levels = society.wiring.level.tolist()
        return split(amount, [self.weights[min(level, len(self.weights) - 1)] for level in levels])


class Proportional(Policy):
    """Agents get shares by their group, or by what their turn is expected to take."""

    kind: Literal["proportional"] = "proportional"
    weights: Weights | None = None
    """Of one agent, by group in the order of ``agents``; None for the expected need: the calls of a turn times their
    output cap and the messages that the agent reads."""

    @model_validator(mode="after")
    def _some(self) -> Proportional:
        return self if self.weights is None else _positive(self, self.weights)

    def check(self, society: Society) -> None:
        """Refuse weights unless there is one for each group."""
        n = len(society.groups)
        if self.weights is not None and len(self.weights) != n:
            raise InputError(
                f"proportional has {len(self.weights)} weights, and there are {n} groups of agents",
                "budget.policy.weights",
                "give one weight for each group",
            )

    def shares(self, society: Society, task: Task, amount: int) -> Sequence[int]:
        """Return shares in proportion to the weights."""
        groups = [society.group_index(agent) for agent in range(society.n)]
        if self.weights is not None:
            return split(amount, [self.weights[group] for group in groups])
        reads = society.wiring.reads.tolist()
        message, agents = society.message_tokens, society.groups
        need = [
            agents[g].iterations * (agents[g].max_tokens + read * message)
            for g, read in zip(groups, reads, strict=True)
        ]
        return split(amount, need)


class Difficulty(Policy):
    """Parts of the task get shares instead of agents: hard parts get more.

    The difficulty h of a part is what its task family says (tokens; success is taken to be 1 - exp(-b/h)), graded with
    an error that can be set. Turns that work on no part, such as a lead's plan, draw on what is left of `lead`.
    """

    needs_tokens: ClassVar[bool] = True

    kind: Literal["difficulty"] = "difficulty"
    rule: Literal["equal", "threshold", "proportional", "marginal"] = "marginal"
    """The same for every part; `hard` times as much from `threshold` on; in proportion to h; or such that another
    token adds as much to the logarithm of success everywhere, which is best when success is 1 - exp(-b/h)."""
    threshold: float | None = Field(default=None, gt=0)
    """With rule threshold: parts with h at least this are hard (tokens); None for half of the task's largest."""
    hard: float = Field(default=6.0, gt=0, le=1e6)
    """With rule threshold: weight of a hard part, an easy one has 1."""
    grading_error: float = Field(default=0.0, ge=0, le=1)
    """Probability that a part is graded as one of the task's other grades, each as likely."""
    lead: float = Field(default=0.0, ge=0, lt=1)
    """Share of the budget that stays with turns on no part."""

    def check(self, society: Society) -> None:
        """Refuse tasks without graded parts."""
        task = society.tasks.make(society.tasks_seed, 0)
        if not task.parts or (self.rule != "equal" and len(task.part_difficulty) != len(task.parts)):
            what = "no parts" if not task.parts else "parts without a difficulty"
            raise InputError(
                f"the policy difficulty splits by part, and tasks of kind {society.tasks.kind} have {what}",
                "budget.policy",
                "for example tasks: {kind: parts, difficulty: [100, 1000]}; or take another policy, such as uniform",
            )

    def grades(self, seed: int, task: Task) -> list[float]:
        """Return the difficulties of a task's parts as graded, with `grading_error`."""
        true = list(task.part_difficulty)
        known = sorted(set(true))
        if not self.grading_error or len(known) < 2:
            return true
        found = []
        for part, h in enumerate(true):
            wrong = uniform(seed, "budget-grade", task.index, 0, part) < self.grading_error
            others = [other for other in known if other != h]
            pick = int(uniform(seed, "budget-grade", task.index, 0, part, 1) * len(others))
            found.append(others[pick] if wrong else h)
        return found

    def shares(self, society: Society, task: Task, amount: int) -> Sequence[int]:
        """Return shares by part."""
        amount -= int(amount * self.lead)
        if not task.parts:
            return ()
        if self.rule == "equal":
            return split(amount, [1] * len(task.parts))
        grades = self.grades(society.seed, task)
        if self.rule == "proportional":
            return split(amount, grades)
        if self.rule == "marginal":
            return split(amount, marginal(amount, grades))
        bound = max(task.part_difficulty) / 2 if self.threshold is None else self.threshold
        return split(amount, [self.hard if h >= bound else 1.0 for h in grades])

    def share_of(self, society: Society, task: Task, board: Board, turn: Turn) -> int | None:
        """Return the part that the turn works on."""
        return part_of(task, board, turn.subtask)


class Theory(Policy):
    """The theory of budgeted synergy weighs leaves against messages: it says how many leaves are paid, and how well.

    With leaves of signal a x^beta and merging that gains N^exponent with N leaves, a leaf is worth x* tokens whatever
    the budget. So the budget pays for N* leaves, the first ones, and for the messages between them and the root; the
    rest gets nothing. When the budget is worth more leaves than there are, all of them share what messages leave.
    """

    needs_tokens: ClassVar[bool] = True

    kind: Literal["theory"] = "theory"
    beta: float = Field(gt=0, le=10)
    """Exponent of the leaf law, as measured."""
    exponent: float = Field(gt=-10, le=10)
    """Exponent of organisation s, as measured; up to beta it pays for one leaf only."""
    message: int | None = Field(default=None, ge=0, le=10**9)
    """Length of a message, written once and read once (tokens); None for `message_tokens`."""
    merge: int = Field(default=0, ge=0, le=10**9)
    """What an agent that merges takes besides (tokens)."""

    def shares(self, society: Society, task: Task, amount: int) -> Sequence[int]:
        """Return what each agent gets: leaves their work and their message, inner agents reading and writing."""
        return society.remember((self, "shares", amount), lambda: self._shares(society, amount))

    def _shares(self, society: Society, amount: int) -> list[int]:
        level = society.wiring.level
        below = [[u for u in heard if level[u] > level[v]] for v, heard in enumerate(society.neighbours)]
        tips = [agent for agent in range(society.n) if not below[agent]]
        inner = self._messages(society, below, set(tips))
        c0 = sum(inner.values()) / max(len(tips) - 1, 1)
        best = leaves(amount, c0, self.beta, self.exponent)
        n = len(tips) if best >= len(tips) else _whole(best, amount, c0, self.beta, self.exponent)
        while True:
            active = set(tips[:n])
            costs = self._messages(society, below, active)
            if n == 1 or sum(costs.values()) < amount:
                break
            n -= 1
        rest = amount - sum(costs.values())
        if rest < 0:  # not even the messages of one leaf: whatever there is goes where it would be needed
            return split(amount, [costs.get(agent, 0) for agent in range(society.n)])
        given = dict(zip(tips[:n], split(rest, [1] * n), strict=True))
        return [given.get(agent, 0) + costs.get(agent, 0) for agent in range(society.n)]

    def _messages(self, society: Society, below: Sequence[Sequence[int]], active: set[int]) -> dict[int, int]:
        """Return what messages and merging cost each agent when only the leaves in `active` speak (tokens)."""
        m = society.message_tokens if self.message is None else self.message
        level = society.wiring.level
        speaking = set(active)
        costs: dict[int, int] = {}
        for agent in sorted(range(society.n), key=lambda v: -int(level[v])):
            heard = sum(u in speaking for u in below[agent])
            if heard:
                speaking.add(agent)
            if agent in speaking:
                costs[agent] = heard * m + (self.merge if heard else 0) + (m if society.speaks(agent) else 0)
        return costs


def _whole(best: float, amount: int, c0: float, beta: float, t: float) -> int:
    """Return the whole number of leaves next to `best` that gains more: beta ln x + t ln N."""
    low = int(best)
    x_low, x_high = ((amount + c0) / n - c0 for n in (low, low + 1))
    if leaf_tokens(c0, beta, t) is None or x_high <= 0:
        return low
    gain = t * math.log1p(1 / low) - beta * math.log(x_low / x_high)
    return low + 1 if gain > 0 else low


def _positive(policy: P, weights: Sequence[float]) -> P:
    if not any(weights):
        raise ValueError("at least one weight has to be above 0")
    return policy
