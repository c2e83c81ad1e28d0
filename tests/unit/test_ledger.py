"""The ledger in figures that a person can check: what is held, granted, lent, split, kept and charged, at every border.

That the wall holds under any schedule is tested in tests/property/test_ledger.py.
"""

from __future__ import annotations

import pytest

from agentsoc.budget.at_once import reserve_at_once
from agentsoc.budget.ledger import OUT_MIN, Grant, Ledger, Need
from agentsoc.budget.purse import CALLS, MONEY, TOKENS
from agentsoc.scenario.budget import Limits
from agentsoc.scenario.prices import FREE, Rate

RATE = Rate(input=2, cached=1, output=5, call=7)
"""In units of money; the dearest token costs 5."""
ENDLESS = 1 << 200


def state(ledger: Ledger) -> list[tuple[int, int, int]]:
    """Return (charged, reserved, kept) of tokens, calls and money of the team."""
    return [(purse.charged, purse.reserved, purse.kept) for purse in ledger.team]


# What a call may still take


def test_without_limits_everything_is_endless_and_nothing_is_a_wall() -> None:
    ledger = Ledger(None)
    assert not ledger.walled
    assert (ledger.room(), ledger.room(rate=RATE), ledger.free) == (ENDLESS, ENDLESS, 0)
    assert ledger.pays((10**12, 10**6, 10**15))
    assert reserve_at_once(ledger, [Need((9,), 5), Need()], 4) == [Grant(5, 4, 0), Grant(0, 4, 0)]
    assert state(ledger) == [(0, 0, 0)] * 3
    ledger.settle(Grant(5, 4, 0), 70, 2, 9)
    ledger.settle(Grant(5, 4, 0), 1, 1, 1)
    assert state(ledger) == [(71, 0, 0), (3, 0, 0), (10, 0, 0)]


@pytest.mark.parametrize("limits", [{"budget": 1}, {"budget": None, "calls": 1}, {"budget": None, "money": 1}])
def test_any_limit_is_a_wall(limits: dict[str, int]) -> None:
    assert Ledger(**limits).walled  # type: ignore[arg-type]
    for held in ({"reserved": 1}, {"calls": 1}, {"money": 1}):
        assert Grant(5, 1, **{"reserved": 0, **held}).walled
    assert not Grant(5, 1, 0).walled


def test_room_is_what_the_scarcer_of_tokens_and_money_leaves() -> None:
    assert Ledger(100).room() == 100
    assert Ledger(100, money=57).room(rate=RATE) == (57 - 7) // 5
    assert Ledger(9, money=57).room(rate=RATE) == 9
    assert Ledger(100, money=6).room(rate=RATE) == -1  # not even the call
    assert Ledger(100, money=6).room(rate=FREE) == 100
    assert Ledger(None, money=57).room(rate=Rate(3, 10, 1, 7)) == 5  # a cached token may be the dearest
    assert Ledger(None, money=57).room(rate=Rate(25, 10, 1, 7)) == 2
    divided = Ledger(100)
    divided.divide([30, 50])
    assert [divided.room(share) for share in (0, 1, None)] == [30, 50, 20]


def test_a_cost_is_paid_while_every_resource_of_every_scope_has_it() -> None:
    ledger = Ledger(100, calls=2, money=50)
    assert ledger.pays((100, 2, 50))
    assert not ledger.pays((101, 2, 50))
    assert not ledger.pays((100, 3, 50))
    assert not ledger.pays((100, 2, 51))
    assert ledger.pays((0, 0, 0))
    ledger.divide([40, 0])
    assert ledger.pays((40, 1, 20), share=0)
    assert not ledger.pays((41, 1, 20), share=0)
    assert not ledger.pays((1, 0, 0), share=1)
    assert ledger.pays((60, 1, 30))


# Reservations


def test_a_turn_gets_its_full_cap_the_next_what_is_left_and_the_one_after_nothing() -> None:
    """Attempts are what remains after all first ones: here one more of the first turn, of 100 + 40 + 10 tokens."""
    ledger = Ledger(300 + 40 + 150)
    needs = [Need((100,), 40, again=10), Need((100,), 40), Need((100,), 40)]
    assert reserve_at_once(ledger, needs[:2], 2) == [Grant(40, 2, 140 + 150), Grant(40, 1, 140)]
    assert (ledger.reserved, ledger.free) == (430, 60)
    assert reserve_at_once(Ledger(10), [Need(), Need((5,), 5)], 1) == [Grant(0, 1, 0), Grant(5, 1, 10)]
    assert reserve_at_once(Ledger(9), [Need(), Need((5,), 5), Need()], 1) == [Grant(0, 1, 0), None, Grant(0, 1, 0)]
    again = Ledger(300 + 40 + 40 - 20)
    assert reserve_at_once(again, needs, 2) == [Grant(40, 1, 140), Grant(40, 1, 140), None]
    assert again.free == 80


@pytest.mark.parametrize(("left", "cap"), [(140, 40), (139, 39), (116, 16), (115, None), (99, None)])
def test_a_cap_shrinks_down_to_the_least_that_a_reply_takes(left: int, cap: int | None) -> None:
    [grant] = reserve_at_once(Ledger(left), [Need((100,), 40)], 1)
    assert grant == (None if cap is None else Grant(cap, 1, 100 + cap))


def test_a_reply_that_is_short_or_cannot_be_cut_needs_its_whole_cap() -> None:
    assert reserve_at_once(Ledger(110), [Need((100,), 10)], 1) == [Grant(10, 1, 110)]
    assert reserve_at_once(Ledger(109), [Need((100,), 10)], 1) == [None]
    assert reserve_at_once(Ledger(140), [Need((100,), 40, whole=True)], 1) == [Grant(40, 1, 140)]
    assert reserve_at_once(Ledger(139), [Need((100,), 40, whole=True)], 1) == [None]


def test_calls_of_one_turn_share_what_is_left_and_repeats_bring_their_prompts_again() -> None:
    need = Need((50, 70), 40, again=5)
    assert reserve_at_once(Ledger(200), [need], 3) == [Grant(40, 1, 200)]
    assert reserve_at_once(Ledger(161), [need], 3) == [Grant(20, 1, 160)]  # a token is over
    second = 50 + 70 + 2 * (40 + 5)
    assert reserve_at_once(Ledger(200 + second - 1), [need], 3) == [Grant(40, 1, 200)]
    assert reserve_at_once(Ledger(200 + second), [need], 3) == [Grant(40, 2, 200 + second)]
    assert reserve_at_once(Ledger(200 + 9 * second), [need], 3) == [Grant(40, 3, 200 + 2 * second)]


def test_calls_are_held_for_every_attempt_and_a_turn_without_its_calls_is_refused() -> None:
    ledger = Ledger(None, calls=5)
    needs = [Need((10, 10), 20), Need((10,), 20), Need((10, 10, 10), 20), Need((10,), 20, asks=False), Need()]
    grants = reserve_at_once(ledger, needs, 2)
    assert grants == [
        Grant(20, 2, 0, calls=4), Grant(20, 1, 0, calls=1), None, Grant(20, 2, 0), Grant(0, 1, 0)
    ]  # fmt: skip
    assert state(ledger)[CALLS] == (0, 5, 0)
    assert reserve_at_once(ledger, [Need((10,), 20)], 1) == [None]


def test_money_is_held_for_the_dearest_reading_of_a_prompt_its_cap_and_its_calls() -> None:
    """Ten tokens of prompt at 2, up to 20 of reply at 5, one call at 7."""
    need, dear = Need((10,), 20), 10 * 2 + 20 * 5 + 7
    for money, grant in (
        (dear, Grant(20, 1, 0, money=dear)),
        (dear - 1, Grant(19, 1, 0, money=dear - 5)),
        (20 + 7 + 5 * OUT_MIN, Grant(OUT_MIN, 1, 0, money=27 + 5 * OUT_MIN)),
        (20 + 7 + 5 * OUT_MIN - 1, None),
        (2 * dear, Grant(20, 2, 0, money=2 * dear)),
    ):
        assert reserve_at_once(Ledger(None, money=money), [need], 2, rates=[RATE]) == [grant]
    free_reply = Rate(2, 1, 0, 7)
    assert reserve_at_once(Ledger(None, money=27), [need], 1, rates=[free_reply]) == [Grant(20, 1, 0, money=27)]
    assert reserve_at_once(Ledger(None, money=26), [need], 1, rates=[free_reply]) == [None]


def test_shares_pay_for_their_turns_and_the_team_for_all() -> None:
    ledger = Ledger(300)
    ledger.divide([100, 60])
    need = Need((50,), 20)
    grants = reserve_at_once(ledger, [need, need, need, need], 1, shares=[0, 1, None, 0])
    assert grants == [Grant(20, 1, 70, share=0), None, Grant(20, 1, 70), None]
    assert [share[TOKENS].reserved for share in ledger.shares] == [70, 0, 70]
    assert ledger.reserved == 140
    ledger.settle(grants[0], 45)  # type: ignore[arg-type]
    ledger.settle(grants[2], 90)  # type: ignore[arg-type]
    assert [(share[TOKENS].charged, share[TOKENS].reserved) for share in ledger.shares] == [(45, 0), (0, 0), (90, 0)]
    assert state(ledger)[TOKENS] == (135, 0, 0)


def test_every_resource_of_a_grant_is_settled_in_every_scope() -> None:
    ledger = Ledger(1000, calls=10, money=10_000)
    ledger.divide([500])
    [grant] = reserve_at_once(ledger, [Need((10,), 20)], 2, shares=[0], rates=[RATE])
    assert grant == Grant(20, 2, 60, calls=2, money=254, share=0)
    ledger.settle(grant, 25, 1, 99)
    for scope in (ledger.team, ledger.shares[0]):
        assert [(purse.charged, purse.reserved, purse.overrun) for purse in scope] == [
            (25, 0, 0),
            (1, 0, 0),
            (99, 0, 0),
        ]
    one_purse = Ledger(1000, calls=10, money=10_000)
    one_purse.settle(reserve_at_once(one_purse, [Need((10,), 20)], 2, rates=[RATE])[0], 25, 1, 99)  # type: ignore[arg-type]
    assert state(one_purse) == [(25, 0, 0), (1, 0, 0), (99, 0, 0)]
    one_purse.settle(Grant(0, 1, 0), -5, -5, -5)
    assert state(one_purse) == [(25, 0, 0), (1, 0, 0), (99, 0, 0)]


def test_what_passes_its_grant_is_taken_from_what_is_free_and_the_rest_is_overrun() -> None:
    ledger = Ledger(100)
    [grant] = reserve_at_once(ledger, [Need((30,), 20)], 1)
    assert grant is not None
    ledger.settle(grant, 80)
    assert (ledger.charged, ledger.overrun, ledger.free) == (80, 0, 20)
    ledger.settle(Grant(0, 1, 0), 35)
    assert (ledger.charged, ledger.overrun, ledger.free) == (100, 15, 0)


# Shares that help each other


def carrying(*amounts: int, budget: int = 300) -> Ledger:
    ledger = Ledger(budget, carry=True)
    ledger.divide(amounts)
    return ledger


def limits_of(ledger: Ledger) -> list[int | None]:
    return [share[TOKENS].limit for share in ledger.shares]


def test_a_turn_draws_on_those_who_acted_before_and_have_no_turn_now_the_first_of_them_first() -> None:
    ledger = carrying(80, 90, 50, 80)
    need = Need((20,), 20)
    reserve_at_once(ledger, [need, need], 1, shares=[0, 1])
    [grant] = reserve_at_once(ledger, [Need((60,), 40)], 1, shares=[2])
    assert grant == Grant(40, 1, 100, share=2)
    assert limits_of(ledger) == [40, 80, 100, 80, 0]  # 40 from the first, which has no more, then 10 from the second
    assert sum(limits_of(ledger)) == 300  # type: ignore[arg-type]


def test_who_has_nothing_left_lends_nothing() -> None:
    ledger = carrying(40, 90, 50)
    reserve_at_once(ledger, [Need((20,), 20), Need((1,), 1)], 1, shares=[0, 1])
    assert reserve_at_once(ledger, [Need((40,), 20)], 1, shares=[2]) == [Grant(20, 1, 60, share=2)]
    assert limits_of(ledger) == [40, 80, 60, 120]


def test_nothing_is_lent_by_those_who_have_a_turn_or_have_not_acted_yet() -> None:
    need = Need((60,), 40, whole=True)
    assert reserve_at_once(carrying(100, 50), [need], 1, shares=[1]) == [None]
    ledger = carrying(100, 50)
    reserve_at_once(ledger, [Need((1,), 1)], 1, shares=[0])
    assert reserve_at_once(ledger, [need, Need((1,), 1)], 1, shares=[1, 0])[0] is None
    assert reserve_at_once(ledger, [need], 1, shares=[1]) == [Grant(40, 1, 100, share=1)]
    stingy = Ledger(300)
    stingy.divide([100, 50])
    reserve_at_once(stingy, [Need((1,), 1)], 1, shares=[0])
    assert reserve_at_once(stingy, [need], 1, shares=[1]) == [None]


def test_what_no_share_was_given_lends_and_borrows_as_any_share() -> None:
    ledger = carrying(100, 100)  # 100 are nobody's
    reserve_at_once(ledger, [Need((1,), 1)], 1)
    assert reserve_at_once(ledger, [Need((110,), 40)], 1, shares=[0]) == [Grant(40, 1, 150, share=0)]
    assert limits_of(ledger) == [150, 100, 50]
    ledger = carrying(100, 100)
    reserve_at_once(ledger, [Need((1,), 1)], 1, shares=[1])
    assert reserve_at_once(ledger, [Need((110,), 40)], 1) == [Grant(40, 1, 150)]
    assert limits_of(ledger) == [100, 50, 150]


def test_two_turns_of_a_round_do_not_borrow_the_same_tokens() -> None:
    ledger = carrying(100, 50, 50)
    reserve_at_once(ledger, [Need((10,), 10)], 1, shares=[0])
    need = Need((70,), 20, whole=True)
    assert reserve_at_once(ledger, [need, need, need], 1, shares=[1, 2, 1]) == [
        Grant(20, 1, 90, share=1), Grant(20, 1, 90, share=2), None
    ]  # fmt: skip
    assert limits_of(ledger) == [20, 90, 90, 100]


def test_after_a_new_split_nobody_has_acted() -> None:
    ledger = carrying(100, 50)
    reserve_at_once(ledger, [Need((1,), 1)], 1, shares=[0])
    ledger.divide([100, 50])
    assert reserve_at_once(ledger, [Need((60,), 40, whole=True)], 1, shares=[1]) == [None]


# Splitting and keeping


def test_amounts_split_what_is_free_and_other_resources_in_their_proportions() -> None:
    ledger = Ledger(100, calls=10, money=1000)
    ledger.settle(Grant(0, 1, 0), 20, 2, 200)
    ledger.divide([40, 20])
    assert [[purse.limit for purse in share] for share in ledger.shares] == [
        [40, 4, 400], [20, 2, 200], [20, 2, 200]
    ]  # fmt: skip
    with pytest.raises(ValueError, match="shares of 81 do not fit into 80"):
        ledger.divide([40, 41])
    ledger.divide([40, 40])
    assert [share[TOKENS].limit for share in ledger.shares] == [40, 40, 0]
    ledger.divide(None)
    assert ledger.shares == []


@pytest.mark.parametrize(
    ("limits", "unit"),
    [
        ({"budget": 8, "calls": 8}, TOKENS),
        ({"budget": None, "calls": 8, "money": 8}, CALLS),
        ({"budget": None, "money": 8}, MONEY),
        ({"budget": None}, TOKENS),
    ],
)
def test_shares_are_reckoned_in_the_first_resource_that_is_limited(limits: dict[str, int | None], unit: int) -> None:
    ledger = Ledger(**limits)  # type: ignore[arg-type]
    assert ledger.unit == unit
    ledger.divide([3] if any(limit is not None for limit in limits.values()) else [])
    if ledger.walled:
        assert [share[unit].limit for share in ledger.shares] == [3, 5]


def test_what_is_overdrawn_after_a_fork_is_split_as_nothing() -> None:
    ledger = Ledger(100, calls=10)
    ledger.settle(Grant(0, 1, 0), 90, 3)
    ledger.limit(Limits(50, 2, None))
    assert (ledger.budget, ledger.team[CALLS].limit, ledger.charged) == (50, 2, 90)
    ledger.divide([0, 0])
    assert [[purse.limit for purse in share] for share in ledger.shares] == [[0, 0, None]] * 3


def test_for_the_conclusion_half_is_kept_at_most_and_no_more_than_is_left() -> None:
    ledger = Ledger(100, calls=1, money=1000)
    ledger.keep(60, RATE)
    assert state(ledger) == [(0, 0, 50), (0, 0, 0), (0, 0, 60 * 5 + 7)]
    ledger.keep(30, RATE)  # instead of the others, not on top of them
    assert state(ledger) == [(0, 0, 30), (0, 0, 0), (0, 0, 30 * 5 + 7)]
    ledger.release_kept()
    ledger.settle(Grant(0, 1, 0), 80, 0)
    ledger.keep(30, RATE)
    assert (ledger.kept, ledger.free) == (20, 0)
    two = Ledger(None, calls=2)
    two.keep(30)
    assert state(two) == [(0, 0, 0), (0, 0, 1), (0, 0, 0)]


def test_what_was_kept_goes_to_the_share_that_pays_for_the_conclusion() -> None:
    for share, limits in ((0, [70, 20, 20]), (None, [30, 20, 60])):
        ledger = Ledger(110)
        ledger.keep(40)
        ledger.divide([30, 20])
        ledger.release_kept(share)
        assert limits_of(ledger) == limits
        assert (ledger.kept, ledger.free) == (0, 110)
        ledger.release_kept(share)
        assert limits_of(ledger) == limits
    empty = Ledger(110)
    empty.keep(40)
    empty.divide([70])
    empty.release_kept()
    assert limits_of(empty) == [70, 40]
