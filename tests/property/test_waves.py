"""A turn is refused only if it does not fit when nothing else is reserved: waves give what asking one by one gives.

Agents of known usage: what a call uses does not depend on who else is asked. Then a round by waves is a plain sum in
turn order, which the first half computes without any of the code under test.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentsoc.budget.ledger import OUT_MIN, Grant, Ledger, Need
from agentsoc.budget.purse import cost_of
from agentsoc.budget.waves import WaveQueue
from agentsoc.scenario.prices import FREE, Rate

Cost = tuple[int, int, int]
"""Tokens, calls and money."""


class Turns(NamedTuple):
    """A round of turns whose usage is known."""

    needs: list[Need]
    shares: list[int | None] | None
    rates: list[Rate]
    used: list[float]
    """Share of what was reserved for an attempt that it uses."""
    failures: list[int]
    """Attempts of each turn that give no reply."""


class Case(NamedTuple):
    """A round, and what it may spend."""

    limits: tuple[int | None, int | None, int | None]
    amounts: list[int] | None
    carry: bool
    kept: int
    attempts: int
    rounds: list[Turns]

    def ledger(self) -> Ledger:
        tokens, calls, money = self.limits
        ledger = Ledger(tokens, calls=calls, money=money, carry=self.carry)
        ledger.keep(self.kept)
        if self.amounts is not None:
            free = max(ledger.team[ledger.unit].free, 0)
            ledger.divide([amount * free // max(sum(self.amounts), 1) for amount in self.amounts])
        return ledger


def case(rng: random.Random) -> Case:
    """Return a case: any currencies, shares or none, calls in one to three parts, some failing."""
    n_agents, n_shares = rng.randint(1, 9), rng.randint(1, 4)
    rates = [FREE, Rate(2, 1, 5, 0), Rate(0, 0, 3, 40), Rate(1, 2, 0, 9)]
    shared = rng.random() < 0.5
    rounds = []
    for _ in range(rng.randint(1, 3)):
        n = rng.randint(1, n_agents)
        needs = [
            Need(
                tuple(rng.randint(0, 120) for _ in range(rng.choice([1, 1, 1, 2, 3]))),
                rng.randint(1, 90),
                again=rng.randint(0, 20),
            )
            for _ in range(n)
        ]
        rounds.append(
            Turns(
                needs,
                [rng.choice([None, *range(n_shares)]) for _ in range(n)] if shared else None,
                [rng.choice(rates) for _ in range(n)],
                [rng.choice([0.0, 1.0, rng.random()]) for _ in range(n)],
                [rng.choice([0, 0, 0, 1, 2]) for _ in range(n)],
            )
        )
    limited = rng.sample(range(3), rng.randint(1, 3))
    most = (rng.randint(0, 1_500), rng.randint(0, 12), rng.randint(0, 4_000))
    limits = tuple(limit if resource in limited else None for resource, limit in enumerate(most))
    return Case(
        limits,  # type: ignore[arg-type]
        [rng.randint(0, 5) for _ in range(n_shares)] if shared else None,
        rng.random() < 0.4,
        rng.choice([0, 0, 60]),
        rng.randint(1, 3),
        rounds,
    )


def usage(turns: Turns, place: int, grant: Grant, tokens_in: Sequence[int]) -> Cost:
    """Return what an attempt of each call of a turn uses."""
    part = turns.used[place]
    read, said = sum(int(part * tokens) for tokens in tokens_in), len(tokens_in) * int(part * grant.tokens_out)
    return cost_of(read, said, len(tokens_in), turns.rates[place])


class Outcome(NamedTuple):
    """What came of a round: what each attempt was granted, and in how many waves."""

    grants: list[list[int | None]]
    """Output caps of the attempts of each turn; None where one was refused."""
    waves: int


def by_waves(ledger: Ledger, turns: Turns, attempts: int, *, at_most: int | None = None) -> Outcome:
    """Take a round; `at_most` settles after so many turns, whatever else would fit."""
    queue = WaveQueue(ledger, turns.needs, attempts, turns.shares, turns.rates)
    given: list[list[int | None]] = [[] for _ in turns.needs]
    left = list(turns.failures)
    waves = 0
    whole = queue.whole() if at_most is None else None
    if whole is not None:
        for place, grant in whole:
            times = min(left[place], attempts - 1) + 1
            given[place] += [grant.tokens_out] * times
            one = usage(turns, place, grant, turns.needs[place].tokens_in)
            ledger.settle(grant, *(times * amount for amount in one))
        return Outcome(given, 1)
    while queue.waiting:
        wave = queue.next()
        look(ledger)
        waves += 1
        for place in wave.refused:
            given[place].append(None)
        for place, grant in wave.grants[:at_most]:
            given[place].append(grant.tokens_out)
            need = turns.needs[place]
            ledger.settle(grant, *usage(turns, place, grant, need.tokens_in))
            if left[place] and len(given[place]) < attempts:
                left[place] -= 1
                again = tuple(tokens + (need.again if i == 0 else 0) for i, tokens in enumerate(need.tokens_in))
                queue.again(place, msgspec.structs.replace(need, tokens_in=again))
        assert at_most is None or len(wave.grants) <= at_most
    assert all(purse.reserved == 0 for purse in ledger.team)
    return Outcome(given, waves)


def look(ledger: Ledger) -> None:
    """The wall stands in every purse."""
    for scope in [ledger.team, *ledger.shares]:
        for purse in scope:
            assert purse.limit is None or purse.charged + purse.reserved + purse.kept <= purse.limit


class ByHand:
    """The same account kept as plain sums, one attempt after the other."""

    def __init__(self, one: Case) -> None:
        ledger = one.ledger()
        self.attempts = one.attempts
        self.kept = [purse.kept for purse in ledger.team]
        self.ceilings = [[purse.limit for purse in scope] for scope in [ledger.team, *ledger.shares]]
        """Of the team, then of the shares; the last one pays for what no share was given."""
        self.charged = [[0, 0, 0] for _ in self.ceilings]

    def scopes(self, turns: Turns, place: int) -> list[int]:
        if len(self.ceilings) == 1:
            return [0]
        share = None if turns.shares is None else turns.shares[place]
        return [0, len(self.ceilings) - 1 if share is None else share + 1]

    def fits(self, scopes: Sequence[int], cost: Cost) -> bool:
        for scope in scopes:
            for resource, limit in enumerate(self.ceilings[scope]):
                held = self.charged[scope][resource] + (self.kept[resource] if scope == 0 else 0)
                if limit is not None and held + cost[resource] > limit:
                    return False
        return True

    def take(self, turns: Turns, place: int, extra: int) -> bool:
        """Make an attempt of each call of a turn, with the longest replies that fit; return whether any do."""
        need, rate, scopes = turns.needs[place], turns.rates[place], self.scopes(turns, place)
        n_calls = len(need.tokens_in)
        for cap in range(need.tokens_out, min(OUT_MIN, need.tokens_out) - 1, -1):
            if self.fits(scopes, cost_of(sum(need.tokens_in) + extra, n_calls * cap, n_calls, rate)):
                used = usage(turns, place, Grant(cap, 1, 0), need.tokens_in)
                for scope in scopes:
                    self.charged[scope] = [a + b for a, b in zip(self.charged[scope], used, strict=True)]
                return True
        return False

    def refused(self, turns: Turns) -> list[bool]:
        """Return for each turn of a round whether it is refused; then make the further attempts."""
        fits = [self.take(turns, place, 0) for place in range(len(turns.needs))]
        for had in range(1, self.attempts):
            for place, failures in enumerate(turns.failures):
                if fits[place] and failures >= had and not self.take(turns, place, turns.needs[place].again):
                    turns.failures[place] = 0  # it is not asked again
        return [not fit for fit in fits]


@settings(deadline=None, derandomize=True, max_examples=400)
@given(st.integers(0, 2**32 - 1))
def test_a_turn_is_refused_if_and_only_if_it_does_not_fit_when_it_is_its_turn(seed: int) -> None:
    """What was charged before it + what is kept + its smallest first attempt exceeds a ceiling; shares lend nothing."""
    one = case(random.Random(seed))._replace(carry=False)
    ledger, by_hand = one.ledger(), ByHand(one)
    for turns in one.rounds:
        outcome = by_waves(ledger, turns, one.attempts)
        look(ledger)
        assert [caps[0] is None for caps in outcome.grants] == by_hand.refused(turns)
        assert [[purse.charged for purse in scope] for scope in [ledger.team, *ledger.shares]] == by_hand.charged


@settings(deadline=None, derandomize=True, max_examples=400)
@given(st.integers(0, 2**32 - 1))
def test_waves_grant_what_asking_one_after_the_other_grants(seed: int) -> None:
    """First and further attempts, caps and refusals, with shares that help each other; and waves are no more."""
    one = case(random.Random(seed))
    together, in_turn = one.ledger(), one.ledger()
    for turns in one.rounds:
        many, single = by_waves(together, turns, one.attempts), one_by_one(in_turn, turns, one.attempts)
        assert many.grants == single
        assert many.waves <= sum(map(len, single))
        for a, b in zip([together.team, *together.shares], [in_turn.team, *in_turn.shares], strict=True):
            assert [purse.charged for purse in a] == [purse.charged for purse in b]


def one_by_one(ledger: Ledger, turns: Turns, attempts: int) -> list[list[int | None]]:
    """Take a round with a queue for each reservation; who lends is said by the whole round, as ever."""
    given: list[list[int | None]] = [[] for _ in turns.needs]
    lenders = ledger.lenders(turns.shares or [None] * len(turns.needs))
    due = [(place, need) for place, need in enumerate(turns.needs)]
    while due:
        again = []
        for place, need in due:
            share = None if turns.shares is None else [turns.shares[place]]
            queue = WaveQueue(ledger, [need], 1, share, [turns.rates[place]])
            queue._lenders = lenders
            wave = queue.next()
            if wave.refused:
                given[place].append(None)
                continue
            [(_, grant)] = wave.grants
            given[place].append(grant.tokens_out)
            first = turns.needs[place]
            ledger.settle(grant, *usage(turns, place, grant, first.tokens_in))
            if turns.failures[place] >= len(given[place]) and len(given[place]) < attempts:
                more = tuple(tokens + (first.again if i == 0 else 0) for i, tokens in enumerate(first.tokens_in))
                again.append((place, msgspec.structs.replace(first, tokens_in=more)))
        due = again
    return given


def test_the_cases_are_not_all_easy() -> None:
    """Waves, refusals, shrunk caps and further attempts do occur among them."""
    waves = refused = shrunk = further = lent = 0
    for seed in range(400):
        one = case(random.Random(seed))
        ledger = one.ledger()
        for turns in one.rounds:
            before = [purse.limit for share in ledger.shares for purse in share]
            outcome = by_waves(ledger, turns, one.attempts)
            lent += before != [purse.limit for share in ledger.shares for purse in share]
            waves += outcome.waves > 1
            for need, caps in zip(turns.needs, outcome.grants, strict=True):
                refused += caps[0] is None
                further += len(caps) > 1
                shrunk += any(cap is not None and cap < need.tokens_out for cap in caps)
    assert min(waves, refused, shrunk, further) > 50
    assert lent > 5


# One ledger, by hand


def test_what_fits_at_once_is_one_wave_with_its_further_attempts() -> None:
    queue = WaveQueue(Ledger(1_000), [Need((100,), 40, again=10), Need((50, 60), 10)], 2)
    assert queue.whole() == [(0, Grant(40, 2, 140 + 150)), (1, Grant(10, 2, 2 * 130))]
    assert not queue.waiting


def test_a_wave_is_the_longest_part_of_the_queue_that_fits() -> None:
    ledger = Ledger(300)
    queue = WaveQueue(ledger, [Need((100,), 40)] * 4, 2)
    assert queue.whole() is None
    first = queue.next()
    assert (first.grants, first.refused) == ([(0, Grant(40, 1, 140)), (1, Grant(40, 1, 140))], [])
    for _, grant in first.grants:
        ledger.settle(grant, 20)
    queue.again(0, Need((110,), 40))
    second = queue.next()
    assert [place for place, _ in second.grants] == [2]  # 300 - 40 pays for one; nobody is skipped, nobody shrunk
    ledger.settle(second.grants[0][1], 20)
    assert [place for place, _ in queue.next().grants] == [3]
    ledger.settle(Grant(40, 1, 140), 20)
    assert queue.next() == ([(0, Grant(40, 1, 150))], [])  # further attempts after all first ones


def test_only_who_stands_alone_is_cut_or_refused() -> None:
    ledger = Ledger(200)
    queue = WaveQueue(ledger, [Need((100,), 40), Need((150,), 40), Need((20,), 10)], 1)
    [(_, grant)] = queue.next().grants
    ledger.settle(grant, 30)
    assert queue.next().grants == [(1, Grant(20, 1, 170))]  # 170 are left of 200
    ledger.settle(Grant(20, 1, 170), 170)
    last = queue.next()
    assert (last.grants, last.refused) == ([], [2])


@pytest.mark.parametrize(("held", "expected"), [(True, [0]), (False, [0, 1])], ids=["uses less", "uses all"])
def test_what_is_used_exactly_is_not_waited_for(held: bool, expected: list[int]) -> None:
    """A simulated agent takes what is left after those before it; after others, it waits for what comes back."""
    queue = WaveQueue(Ledger(100), [Need((0,), 60), Need((0,), 60)], 1, exact=[not held, True])
    assert [place for place, _ in queue.next().grants] == expected


def test_a_spent_share_keeps_no_other_waiting() -> None:
    ledger = Ledger(300)
    ledger.divide([100, 30])
    queue = WaveQueue(ledger, [Need((50,), 20), Need((50,), 20), Need((50,), 20), Need((50,), 20)], 1, [0, 1, None, 0])
    wave = queue.next()
    assert [place for place, _ in wave.grants] == [0, 2]
    assert wave.refused == [1]
    for (_, grant), used in zip(wave.grants, (30, 10), strict=True):
        ledger.settle(grant, used)
    assert queue.next() == ([(3, Grant(20, 1, 70, share=0))], [])
