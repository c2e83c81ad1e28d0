"""A round by waves at its edges: what fits to the last token, call and unit of money, and what is one short of it."""

from __future__ import annotations

import pytest

from agentsoc.budget.ledger import OUT_MIN, Grant, Ledger, Need
from agentsoc.budget.purse import CALLS, MONEY, TOKENS
from agentsoc.budget.waves import WaveQueue
from agentsoc.scenario.prices import Rate

NEED = Need((30, 20), 100, again=7)
"""Two calls: 50 tokens in, 200 out; a further attempt of both adds 14 to the prompts."""
RATE = Rate(2, 1, 3, 1_000)
TWICE_TOKENS = 2 * 50 + 14 + 2 * 200
TWICE_MONEY = (2 * 50 + 14) * 2 + 2 * 200 * 3 + 4 * 1_000


def held(ledger: Ledger) -> list[list[int]]:
    """Return what each purse of each scope holds."""
    return [[purse.reserved for purse in scope] for scope in [ledger.team, *ledger.shares]]


# A round that is reserved as a whole


@pytest.mark.parametrize("missing", [0, 1])
@pytest.mark.parametrize("turns", [1, 3])
def test_all_attempts_are_reserved_at_once_if_they_fit_to_the_last_token(turns: int, missing: int) -> None:
    ledger = Ledger(turns * TWICE_TOKENS - missing)
    queue = WaveQueue(ledger, [NEED] * turns, 2)
    whole = queue.whole()
    if missing:
        assert whole is None
        assert queue.waiting
        assert held(ledger) == [[0, 0, 0]]
    else:
        assert whole == [(place, Grant(100, 2, TWICE_TOKENS)) for place in range(turns)]
        assert not queue.waiting
        assert held(ledger) == [[turns * TWICE_TOKENS, 0, 0]]


@pytest.mark.parametrize("missing", [0, 1])
@pytest.mark.parametrize("resource", [TOKENS, CALLS, MONEY])
@pytest.mark.parametrize("shares", [False, True])
def test_the_same_holds_for_calls_and_money_and_in_a_share(shares: bool, resource: int, missing: int) -> None:
    most = [3 * TWICE_TOKENS, 3 * 4, 3 * TWICE_MONEY]
    tokens, calls, money = (amount + 5 for amount in most)
    ledger = Ledger(tokens, calls=calls, money=money)
    if shares:
        ledger.divide([tokens, 0])
    scope = ledger.shares[0] if shares else ledger.team
    scope[resource].limit = most[resource] - missing
    queue = WaveQueue(ledger, [NEED] * 3, 2, [0 if shares else None] * 3, [RATE] * 3)
    whole = queue.whole()
    if missing:
        assert whole is None
        assert queue.waiting
        assert not any(any(scope) for scope in held(ledger))
        return
    share = 0 if shares else None
    assert whole == [(place, Grant(100, 2, TWICE_TOKENS, 4, TWICE_MONEY, share)) for place in range(3)]
    assert not queue.waiting
    assert held(ledger)[0] == most
    assert held(ledger)[1:] == ([most, [0, 0, 0], [0, 0, 0]] if shares else [])


@pytest.mark.parametrize("which", [0, 1])
def test_every_share_has_to_pay_for_its_own_turns(which: int) -> None:
    ledger = Ledger(4 * TWICE_TOKENS)
    amounts = [TWICE_TOKENS, TWICE_TOKENS]
    amounts[which] -= 1
    ledger.divide(amounts)
    assert WaveQueue(ledger, [NEED] * 2, 2, [0, 1]).whole() is None
    ledger.divide([TWICE_TOKENS, TWICE_TOKENS])
    queue = WaveQueue(ledger, [NEED] * 2, 2, [0, 1])
    assert queue.whole() is not None
    assert held(ledger)[1:3] == [[TWICE_TOKENS, 0, 0]] * 2


def test_a_turn_that_uses_exactly_what_it_is_granted_gets_one_attempt() -> None:
    once = 50 + 200
    for ledger in (Ledger(once), Ledger(once, calls=2)):
        calls = 2 if ledger.team[CALLS].limit is not None else 0
        assert WaveQueue(ledger, [NEED], 3, exact=[True]).whole() == [(0, Grant(100, 1, once, calls))]
        assert held(ledger)[0][TOKENS] == once


def test_a_turn_that_asks_nothing_costs_no_call() -> None:
    by_rule = Need((30,), 10, asks=False)
    ledger = Ledger(None, calls=0)
    assert WaveQueue(ledger, [by_rule], 2).whole() == [(0, Grant(10, 2, 0))]
    ledger = Ledger(40, calls=0)
    assert WaveQueue(ledger, [by_rule], 1).next() == ([(0, Grant(10, 1, 40))], [])


@pytest.mark.parametrize("ledger", [Ledger(None), Ledger(None, calls=0), Ledger(5)])
def test_turns_without_a_call_fit_into_nothing(ledger: Ledger) -> None:
    """Also where a fork lowered the ceiling below what was charged."""
    ledger.team[TOKENS].charged = 9
    silent = Need()
    assert WaveQueue(ledger, [silent, silent], 2).whole() == [(0, Grant(0, 2, 0)), (1, Grant(0, 2, 0))]
    assert WaveQueue(ledger, [silent], 2).next() == ([(0, Grant(0, 1, 0))], [])


def test_one_token_does_not_fit_into_none() -> None:
    ledger = Ledger(5)
    ledger.charged = 5
    assert WaveQueue(ledger, [Need((1,), 0)], 1).whole() is None


def test_without_a_wall_everybody_may_make_all_attempts() -> None:
    ledger = Ledger(None)
    queue = WaveQueue(ledger, [NEED, NEED], 3)
    assert queue.whole() == [(place, Grant(100, 3, 0)) for place in (0, 1)]
    assert held(ledger) == [[0, 0, 0]]
    assert not queue.waiting


# Waves


def test_a_wave_is_as_long_as_it_fits_and_the_next_takes_what_came_back() -> None:
    once = 250
    ledger = Ledger(2 * once)
    queue = WaveQueue(ledger, [NEED] * 3, 2)
    assert queue.whole() is None
    first = queue.next()
    assert first.grants == [(place, Grant(100, 1, once)) for place in (0, 1)]
    assert not first.refused
    assert queue.waiting
    ledger.settle(first.grants[0][1], 100)
    ledger.settle(first.grants[1][1], 150)
    assert queue.next() == ([(2, Grant(100, 1, once))], [])
    assert not queue.waiting


def test_a_cap_is_shrunk_for_the_head_alone_and_not_below_the_least() -> None:
    alone = Need((30,), 100)
    for room in (30 + 100, 30 + 99, 30 + OUT_MIN):
        assert WaveQueue(Ledger(room), [alone], 1).next() == ([(0, Grant(room - 30, 1, room))], [])
    assert WaveQueue(Ledger(30 + OUT_MIN - 1), [alone], 1).next() == ([], [0])
    least = Need((30,), 5)
    assert WaveQueue(Ledger(35), [least], 1).next() == ([(0, Grant(5, 1, 35))], [])
    assert WaveQueue(Ledger(34), [least], 1).next() == ([], [0])
    uncut = Need((30,), 100, whole=True)
    assert WaveQueue(Ledger(129), [uncut], 1).next() == ([], [0])
    behind = WaveQueue(Ledger(130 + 50), [alone, alone], 1)
    assert behind.next() == ([(0, Grant(100, 1, 130))], [])  # it waits, its cap is not cut
    assert behind.waiting


def test_what_an_exact_turn_holds_does_not_come_back_so_nobody_waits_for_it() -> None:
    needs = [Need((30,), 100), Need((30,), 100)]
    queue = WaveQueue(Ledger(130 + 50), needs, 1, exact=[True, False])
    assert queue.next() == ([(0, Grant(100, 1, 130)), (1, Grant(20, 1, 50))], [])


def test_nobody_waits_for_a_turn_that_holds_nothing() -> None:
    queue = WaveQueue(Ledger(5), [Need((0,), 0, asks=False), Need((9,), 9)], 1)
    assert queue.next() == ([(0, Grant(0, 1, 0))], [1])


def test_whoever_waits_in_one_scope_is_refused_by_another_that_holds_nothing() -> None:
    ledger = Ledger(1_000)
    ledger.divide([40, 900])
    queue = WaveQueue(ledger, [Need((30,), 100), Need((30,), 100)], 1, [1, 0])
    assert queue.next() == ([(0, Grant(100, 1, 130, share=1))], [1])


def test_further_attempts_come_after_first_ones_in_turn_order() -> None:
    once = Need((10,), 20)
    ledger = Ledger(30)
    queue = WaveQueue(ledger, [once] * 3, 3)
    taken = []
    for _ in range(5):
        [(place, grant)] = queue.next().grants
        ledger.settle(grant, 0)
        taken.append(place)
        if len(taken) in (1, 2):
            queue.again(place, once)
    assert taken == [0, 1, 2, 0, 1]
    assert not queue.waiting


def test_after_a_whole_round_a_further_attempt_waits_behind_nobody() -> None:
    once = Need((10,), 20)
    queue = WaveQueue(ledger := Ledger(1_000), [once] * 2, 1)
    whole = queue.whole()
    assert whole is not None
    for _, grant in whole:
        ledger.settle(grant, 30)
    queue.again(1, Need((10,), 40))
    queue.again(0, once)
    assert queue.next() == ([(0, Grant(20, 1, 30)), (1, Grant(40, 1, 50))], [])


def test_shares_that_acted_before_help_out_in_a_later_round() -> None:
    ledger = Ledger(300, carry=True)
    ledger.divide([100, 200])
    once = Need((30,), 60, whole=True)
    first = WaveQueue(ledger, [once], 1, [0])
    [(_, grant)] = first.next().grants
    ledger.settle(grant, 40)
    second = WaveQueue(ledger, [Need((30,), 220, whole=True)], 1, [1])
    assert second.next() == ([(0, Grant(220, 1, 250, share=1))], [])
    assert [scope[TOKENS].limit for scope in ledger.shares] == [50, 250, 0]
    stingy = Ledger(300, carry=False)
    stingy.divide([100, 200])
    assert WaveQueue(stingy, [Need((30,), 220, whole=True)], 1, [1]).next() == ([], [0])
