"""The account of an episode in figures: who pays, at what price, what is charged and what agents are told of it."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from agentsoc.budget.account import Account, affords, rates_of, reply_cost
from agentsoc.budget.at_once import reserve_at_once
from agentsoc.budget.ledger import Grant, Need
from agentsoc.budget.purse import CALLS, MONEY, TOKENS
from agentsoc.budget.shown import NOTHING
from agentsoc.budget.spent import Spent
from agentsoc.contracts.board import Board
from agentsoc.contracts.part import Slot
from agentsoc.contracts.policy import Policy
from agentsoc.contracts.society import Society
from agentsoc.contracts.turns import Reply, Turn, View
from agentsoc.events import Event
from agentsoc.scenario.prices import FREE, Rate
from agentsoc.society.build import BuiltSociety, build_society
from agentsoc.society.coded import CodedAgent
from tests.strategies import scenario

PRICES = {"scripted": {"input": 2, "cached": 1, "output": 5, "call": 0.00001}}
RATE = Rate(2_000_000, 1_000_000, 5_000_000, 10_000_000)
"""The same per token and per call, in units."""
REPLY = Reply("heads", calls=2, tokens_in=100, tokens_cached=40, tokens_out=10)
COST = 60 * 2_000_000 + 40 * 1_000_000 + 10 * 5_000_000 + 2 * 10_000_000


class Silent(CodedAgent):
    """A coded agent without costs."""

    kind: Literal["silent"] = "silent"

    async def act(self, view: View) -> Reply:
        return Reply(answer="heads")


@pytest.fixture(autouse=True)
def _registered() -> None:
    Slot.register(Silent)


def society(**changes: Any) -> BuiltSociety:
    return build_society(scenario(topology="independent", agents={"count": 3, "model": "scripted"}, **changes))


def opened(**changes: Any) -> Account:
    built = society(**changes)
    return Account(built, built.scenario.tasks.make(built.seed, 0))


def groups(*models: str, prices: Any = PRICES) -> BuiltSociety:
    return build_society(
        scenario(topology="independent", agents=[{"count": 2, "model": model} for model in models], prices=prices)
    )


# Prices


def test_every_group_has_the_rate_of_its_model_and_coded_agents_are_free() -> None:
    assert rates_of(society()) is None
    assert rates_of(groups("scripted", "silent")) == [RATE, FREE]
    assert rates_of(groups("silent", "scripted")) == [FREE, RATE]


def test_without_the_price_of_every_model_there_is_no_cost_at_all() -> None:
    for models in (("scripted", "effort"), ("effort", "scripted"), ("effort", "silent")):
        assert rates_of(groups(*models)) is None


def test_an_agent_is_charged_the_rate_of_its_group() -> None:
    built = groups("silent", "scripted")
    account = Account(built, built.scenario.tasks.make(0, 0))
    assert [account.rate(agent) for agent in range(4)] == [FREE, FREE, RATE, RATE]
    assert account.turn_rates([Turn(3), Turn(0)]) == [RATE, FREE]
    unpriced = opened()
    assert unpriced.rate(0) == FREE
    assert unpriced.turn_rates([Turn(0)]) is None


def test_a_reply_costs_what_it_read_less_for_what_was_cached_what_it_wrote_and_its_calls() -> None:
    assert reply_cost(RATE, REPLY) == COST
    assert reply_cost(FREE, REPLY) == 0


# What a budget pays for beforehand


@pytest.mark.parametrize(
    ("budget", "tokens_in", "tokens_out", "calls", "pays"),
    [
        (None, 10**9, 10**9, 10**9, True),
        ({"tokens_per_task": 100}, 60, 40, 10**9, True),
        ({"tokens_per_task": 100}, 60, 41, 0, False),
        ({"calls_per_task": 7}, 10**9, 0, 7, True),
        ({"calls_per_task": 7}, 0, 0, 8, False),
        ({"tokens_per_task": 100, "calls_per_task": 7}, 101, 0, 7, False),
        ({"tokens_per_task": 100, "calls_per_task": 7}, 100, 0, 8, False),
        ({"tokens_per_task": 100, "policy": "uniform"}, 1, 0, 0, False),
        ({"tokens": 400}, 100, 0, 0, True),
        ({"tokens": 400}, 101, 0, 0, False),
    ],
)
def test_a_budget_affords_what_stays_within_every_limit_of_a_task(
    budget: Any, tokens_in: int, tokens_out: int, calls: int, pays: bool
) -> None:
    assert affords(society(budget=budget), tokens_in, tokens_out, calls) is pays


def test_money_affords_the_dearest_reading() -> None:
    for limit, pays in ((0.000310, True), (0.000309, False)):  # 100 at 2, 20 at 5 and one call, a million
        built = society(prices=PRICES, budget={"money_per_task": limit})
        assert affords(built, 100, 20, 1) is pays


# Charging


def spent(reply: Reply, lost_in: int, lost_out: int) -> Spent:
    """Return what a reply cost, and an attempt of which nobody knows what became."""
    cost = Spent.by(reply)
    cost.lose(lost_in, lost_in + lost_out)
    return cost


def test_a_turn_is_charged_its_tokens_its_calls_and_those_that_were_lost() -> None:
    account = opened(budget={"tokens_per_task": 1000, "calls_per_task": 9})
    [grant] = reserve_at_once(account.ledger, [Need((50,), 50)], 3)
    assert grant is not None
    account.settle(grant, 0, spent(REPLY, 0, 0))
    assert [account.ledger.team[at].charged for at in (TOKENS, CALLS, MONEY)] == [110, 3, 0]
    assert (account.cost, account.cost_lost) == (0, 0)


def test_money_is_charged_as_used_where_that_is_known_and_as_held_where_it_is_not() -> None:
    account = opened(prices=PRICES, budget={"money_per_task": 1})
    account.settle(Grant(0, 1, 0, money=0), 0, spent(REPLY, 15, 5))
    lost = 15 * 2_000_000 + 5 * 5_000_000 + 10_000_000
    assert account.cost_lost == lost
    assert [account.ledger.team[at].charged for at in (TOKENS, CALLS, MONEY)] == [130, 3, COST + lost]
    account.settle(Grant(0, 1, 0, money=0), 0, spent(Reply(failed="lost"), 15, 5))
    assert account.cost_lost == 2 * lost
    assert account.cost == 0  # what is known to have been used is noted with the events


def test_committed_turns_add_up() -> None:
    account = opened(prices=PRICES, budget={"tokens_per_task": 1000})
    for _ in range(2):
        account.commit(Board(0), Turn(0), REPLY)
    assert account.cost == 2 * COST


# Shares


def test_without_a_policy_all_draw_on_one_purse() -> None:
    account = opened(budget={"tokens_per_task": 90})
    account.divide(20, 0)
    assert (account.ledger.shares, account.ledger.kept) == ([], 20)
    assert account.share(Board(0), Turn(1)) is None
    assert account.shares(Board(0), [Turn(1)]) is None
    account.divide(None, 0)
    assert account.ledger.kept == 20  # nothing to be kept is no reason to give back


def test_a_policy_splits_what_is_not_kept_and_everybody_pays_from_their_share() -> None:
    account = opened(budget={"tokens_per_task": 110, "policy": "uniform"})
    account.divide(20, 0)
    assert [share[TOKENS].limit for share in account.ledger.shares] == [30, 30, 30, 0]
    assert account.shares(Board(0), [Turn(2), Turn(0)]) == [2, 0]
    assert not account.ledger.carry
    assert opened(budget={"tokens_per_task": 110, "policy": {"kind": "uniform", "carry": True}}).ledger.carry
    assert not opened(budget={"tokens_per_task": 110}).ledger.carry


def test_for_the_conclusion_money_is_kept_at_the_rate_of_who_concludes() -> None:
    built = build_society(
        scenario(
            topology="independent",
            agents=[{"count": 1, "model": "silent"}, {"count": 1, "model": "scripted"}],
            prices=PRICES,
            budget={"money_per_task": 1},
        )
    )
    for agent, kept in ((0, 0), (1, 20 * 5_000_000 + 10_000_000)):
        account = Account(built, built.scenario.tasks.make(0, 0))
        account.divide(20, agent)
        assert account.ledger.team[MONEY].kept == kept


def test_after_a_fork_its_limits_hold_and_its_policy_splits_what_is_left() -> None:
    account = opened(budget={"tokens_per_task": 100})
    account.divide(None, 0)
    account.ledger.settle(Grant(0, 1, 0), 40)
    account.enter(society(budget={"tokens_per_task": 70, "policy": {"kind": "uniform", "carry": True}}))
    assert (account.ledger.budget, account.ledger.charged, account.ledger.carry) == (70, 40, True)
    account.divide(None, 0)
    assert [share[TOKENS].limit for share in account.ledger.shares] == [10, 10, 10, 0]
    account.enter(society(budget={"tokens_per_task": 30, "policy": "uniform"}))
    account.divide(None, 0)  # more was used than the limit is now: nothing is left to split
    assert [share[TOKENS].limit for share in account.ledger.shares] == [0, 0, 0, 0]
    account.enter(society())
    account.divide(None, 0)
    assert (account.ledger.walled, account.ledger.shares) == (False, [])


# What agents are told


def board_with(tokens: int) -> Board:
    board = Board(0)
    board.fold([Event(0, 0, 0, 0, "propose_claim", 1, answer="heads", calls=2, tokens_in=tokens)])
    return board


def test_nothing_is_told_without_a_budget_or_where_it_is_hidden() -> None:
    assert opened().tell(board_with(10), Turn(0)) is NOTHING
    assert opened(budget={"tokens_per_task": 100}).tell(board_with(10), Turn(0)) is NOTHING
    assert opened(budget={"tokens_per_task": 100, "shown": "hidden"}).tell(board_with(10), Turn(0)) is NOTHING


def test_a_team_is_told_what_the_events_leave_of_its_budget() -> None:
    told = opened(budget={"tokens_per_task": 100, "shown": "team"}).tell(board_with(30), Turn(0))
    assert (told.left, told.team_left) == (None, 70)
    assert "The team's tokens: 70 of 100 left (70 %)." in told.note
    split = opened(budget={"tokens_per_task": 100, "calls_per_task": 8, "policy": "uniform", "shown": "both"})
    split.divide(None, 0)
    told = split.tell(board_with(30), Turn(0))
    assert (told.left, told.team_left) == (34, 70)
    assert "The team's calls: 6 of 8 left (75 %)." in told.note


def test_an_agent_is_told_of_its_own_share_and_of_what_its_own_turns_used() -> None:
    limits = {"tokens_per_task": 600, "calls_per_task": 30, "money_per_task": 3}
    account = opened(prices=PRICES, budget={**limits, "policy": "uniform", "shown": "self"})
    account.divide(None, 0)
    assert account.tell(Board(0), Turn(1)).left == 200
    for turn in (Turn(1), Turn(1), Turn(2)):
        account.commit(Board(0), turn, Reply("heads", calls=1, tokens_in=50, tokens_out=10))
    assert [account.tell(Board(0), Turn(agent)).left for agent in range(3)] == [200, 80, 140]
    assert "Your calls: 8 of 10 left (80 %)." in account.tell(Board(0), Turn(1)).note
    # of a million millionths 2 (50 * 2 + 10 * 5 + 10) are spent
    assert "Your money: 0.9997 of 1.0000 left (99 %)." in account.tell(Board(0), Turn(1)).note
    account.divide(None, 0)  # a new split is a new start
    assert account.tell(Board(0), Turn(1)).left == 200


def test_who_was_given_no_share_is_told_of_the_rest() -> None:
    class Half(Policy):
        kind: Literal["half"] = "half"

        def shares(self, society: Society, task: Any, amount: int) -> list[int]:
            return [amount // 2]

        def share_of(self, society: Society, task: Any, board: Board, turn: Turn) -> int | None:
            return None if turn.agent else 0

    Slot.register(Half)
    account = opened(budget={"tokens_per_task": 101, "policy": "half", "shown": "self"})
    account.divide(None, 0)
    account.commit(Board(0), Turn(2), Reply("heads", calls=1, tokens_in=11))
    assert [account.tell(Board(0), Turn(agent)).left for agent in range(3)] == [50, 40, 40]
