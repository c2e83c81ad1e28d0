"""The account of one episode holds its ledger and says who pays for a turn, at what price, and what agents learn."""

from __future__ import annotations

from collections.abc import Sequence

from agentsoc.budget.ledger import Grant, Ledger
from agentsoc.budget.shown import NOTHING, BudgetNotice, Used, tell
from agentsoc.budget.spent import Spent
from agentsoc.contracts.board import Board
from agentsoc.contracts.task import Task
from agentsoc.contracts.turns import Reply, Turn
from agentsoc.scenario.budget import Limits
from agentsoc.scenario.prices import FREE, Rate, price_of, tool_prices
from agentsoc.society.build import BuiltSociety


def rates_of(society: BuiltSociety) -> list[Rate] | None:
    """Return the rate of each group of agents; None without prices, or where a group's model has none."""
    return society.remember(("rates",), lambda: _rates(society))


def _rates(society: BuiltSociety) -> list[Rate] | None:
    scenario = society.scenario
    if not scenario.prices:
        return None
    found = []
    for group in scenario.agents:
        price = price_of(group.model.model_dump(mode="json"), scenario.prices)
        if price is None and not group.model.free:
            return None
        found.append(FREE if price is None else price.rate)
    return found


def affords(society: BuiltSociety, tokens_in: int, tokens_out: int, calls: int) -> bool:
    """Return whether the budget of a task pays for all of this, so that nothing can be refused or told to anybody.

    For simulated societies: their agents read nothing of the budget, and a policy may refuse a turn in any case.
    """
    scenario = society.scenario
    if scenario.budget is None:
        return True
    if scenario.budget.policy is not None:
        return False
    rates = rates_of(society)
    cost = 0 if rates is None else rates[0].most(tokens_in, tokens_out, calls)
    limits = scenario.budget.limits(scenario.tasks.count)
    amounts = (tokens_in + tokens_out, calls, cost)
    return all(limit is None or amount <= limit for limit, amount in zip(limits, amounts, strict=True))


def reply_cost(rate: Rate, reply: Reply) -> int:
    """Return what the attempts behind a reply cost, as far as their usage is known (units)."""
    return rate.cost(reply.tokens_in, reply.tokens_cached, reply.tokens_out, reply.calls)


class Account:
    """The account knows what one episode may spend and what it has spent."""

    def __init__(self, society: BuiltSociety, task: Task) -> None:
        self.task = task
        self.ledger = Ledger(None)
        self.cost = 0
        """What the calls of known usage cost by the scenario's prices (units)."""
        self.cost_lost = 0
        """What was charged for calls of unknown usage (units)."""
        self._used: dict[int | None, Used] = {}
        self._given: list[Limits] = []
        self._enter(society)

    def _enter(self, society: BuiltSociety) -> None:
        self.society = society
        scenario = society.scenario
        budget = scenario.budget
        self.rates = rates_of(society)
        self._limits = Limits() if budget is None else budget.limits(scenario.tasks.count)
        self.policy = None if budget is None else budget.policy
        self.shown = None if budget is None or budget.shown.scope == "hidden" else budget.shown
        self.ledger.limit(self._limits)
        self.ledger.tool_calls.limit = None if budget is None else budget.tool_call_limit(scenario.tasks.count)
        self._tool_prices = tool_prices(scenario.prices)
        self.ledger.carry = self.policy is not None and self.policy.carry

    def enter(self, society: BuiltSociety) -> None:
        """Go on under another scenario, after a fork: its limits hold, and its policy splits what is left."""
        self._enter(society)

    def divide(self, keep: int | None, agent: int) -> None:
        """Keep something for the concluding turn and split the rest as the policy says.

        Args:
            keep: to be kept (tokens); None for nothing.
            agent: who concludes.
        """
        if keep is not None:
            self.ledger.keep(keep, self.rate(agent))
        if self.policy is None:
            self.ledger.divide(None)
            return
        free = self.ledger.team[self.ledger.unit].free
        self.ledger.divide(list(self.policy.shares(self.society, self.task, max(free, 0))))
        self._given = [Limits(*(purse.limit for purse in share)) for share in self.ledger.shares]
        self._used.clear()

    def rate(self, agent: int) -> Rate:
        """Return what the model of an agent costs."""
        return FREE if self.rates is None else self.rates[self.society.group_index(agent)]

    def share(self, board: Board, turn: Turn) -> int | None:
        """Return which share pays for a turn; None for what no share was given."""
        return None if self.policy is None else self.policy.share_of(self.society, self.task, board, turn)

    def shares(self, board: Board, turns: Sequence[Turn]) -> list[int | None] | None:
        """Return which share pays for each turn; None without a policy."""
        return None if self.policy is None else [self.share(board, turn) for turn in turns]

    def turn_rates(self, turns: Sequence[Turn]) -> list[Rate] | None:
        """Return what the model of each turn costs; None without prices."""
        return None if self.rates is None else [self.rate(turn.agent) for turn in turns]

    def tell(self, board: Board, turn: Turn) -> BudgetNotice:
        """Return what the agent of a turn is told: the state at the start of the round, by the committed events."""
        if self.shown is None:
            return NOTHING
        team = (self._limits, Used(board.tokens, board.calls, self.cost))
        tools = self.ledger.tool_calls
        if self.policy is None:
            return tell(self.shown, None, team, (tools.limit, tools.charged))
        share = self.share(board, turn)
        own = self._given[-1 if share is None else share], self._used.get(share, Used())
        return tell(self.shown, own, team, (tools.limit, tools.charged))

    def settle(self, grant: Grant, agent: int, spent: Spent) -> None:
        """Charge what a turn spent under a grant.

        Args:
            grant: what it was granted.
            agent: whose it was.
            spent: what its attempts are known to have used, and what is charged for those of unknown usage.
        """
        if self.rates is None:
            self.ledger.settle(grant, spent.tokens, spent.calls + spent.lost_calls)
            return
        rate = self.rate(agent)
        lost = rate.most(spent.lost_in, spent.lost_tokens - spent.lost_in, spent.lost_calls)
        self.cost_lost += lost
        used = rate.cost(spent.tokens_in, spent.tokens_cached, spent.tokens_out, spent.calls)
        self.ledger.settle(grant, spent.tokens, spent.calls + spent.lost_calls, used + lost)

    def take_tool_call(self, board: Board, turn: Turn, tool: str) -> bool:
        """Pay for a call of a tool; return whether the budget could."""
        price = self._tool_prices.get(tool, 0)
        if not self.ledger.take_tool_call(price, self.share(board, turn)):
            return False
        self.cost += price
        return True

    def charge_superseded_call(self, board: Board, agent: int, tool: str) -> None:
        """Charge a call of a tool whose round is made again: it was paid for, and counts as lost."""
        price = self._tool_prices.get(tool, 0)
        self.ledger.charge_tool_call(price, self.share(board, Turn(agent)))
        self.cost_lost += price

    def commit(self, board: Board, turn: Turn, reply: Reply) -> None:
        """Note what the events of a turn say that it used."""
        cost = reply_cost(self.rate(turn.agent), reply)
        self.cost += cost
        if self.shown is not None and self.policy is not None:
            share = self.share(board, turn)
            before = self._used.get(share, Used())
            tokens = reply.tokens_in + reply.tokens_out
            self._used[share] = Used(before.tokens + tokens, before.calls + reply.calls, before.money + cost)
