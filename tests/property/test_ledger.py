"""The budget is a wall: under concurrency, failures, replies without usage, crashes and resumes.

The first half drives the real `Caller` with a provider that keeps its own books: what it really used, whatever it
reported. Half of these schedules limit tokens alone, half any of tokens, calls and money, for the team and for shares
of it. The second half runs whole societies.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import agentsoc.budget.account as account_module
from agentsoc.backends.scripted import Scripted, ScriptedBackend
from agentsoc.budget.allocation import split
from agentsoc.budget.at_once import reserve_at_once
from agentsoc.budget.ledger import OUT_MIN, Grant, Ledger, Need
from agentsoc.budget.purse import Purse
from agentsoc.budget.waves import WaveQueue
from agentsoc.contracts.model import CallError, Usage
from agentsoc.contracts.turns import Reply, Turn
from agentsoc.engine.attempts import AttemptRequest, AttemptResult, PlannedTurn, TurnUnderWay
from agentsoc.engine.calls import Caller, HostLostError
from agentsoc.engine.execute import Plan, execute
from agentsoc.engine.run import Progress
from agentsoc.events import Event
from agentsoc.log.journal import Attempt, Key
from agentsoc.log.manifest import Totals
from agentsoc.log.read import RunLog
from agentsoc.scenario.budget import Limits
from agentsoc.scenario.model import Calls, Scenario
from agentsoc.scenario.prices import FREE, UNIT, Price, Rate
from tests.strategies import SCRIPTED, scenario, societies

steady = settings(deadline=None, derandomize=True)

NEEDS = st.builds(
    Need,
    tokens_in=st.lists(st.integers(0, 300), max_size=3).map(tuple),
    tokens_out=st.integers(0, 200),
    whole=st.booleans(),
    again=st.integers(0, 50),
)


# The ledger alone


@steady
@given(st.integers(0, 3000), st.integers(0, 3000), st.lists(NEEDS, max_size=20), st.integers(1, 4))
def test_grants_fit_the_budget_and_what_each_turn_may_do_fits_its_grant(
    budget: int, kept: int, needs: list[Need], attempts: int
) -> None:
    ledger = Ledger(budget)
    ledger.keep(kept)
    assert 0 <= ledger.kept <= budget // 2
    grants = reserve_at_once(ledger, needs, attempts)
    assert ledger.reserved + ledger.kept <= budget
    assert ledger.reserved == sum(grant.reserved for grant in grants if grant is not None)
    for need, grant in zip(needs, grants, strict=True):
        if grant is None:
            continue
        assert 1 <= grant.attempts <= attempts
        assert grant.tokens_out <= need.tokens_out
        if need.tokens_in:
            assert grant.tokens_out >= (need.tokens_out if need.whole else min(need.tokens_out, OUT_MIN))
        first = sum(need.tokens_in) + len(need.tokens_in) * grant.tokens_out
        again = sum(need.tokens_in) + len(need.tokens_in) * (need.again + grant.tokens_out)
        assert grant.reserved == (first + (grant.attempts - 1) * again if need.tokens_in else 0)


@steady
@given(st.integers(0, 3000), st.lists(NEEDS, max_size=20), st.integers(1, 4), st.data())
def test_turns_are_served_in_their_order_and_never_for_want_of_an_earlier_refusal(
    budget: int, needs: list[Need], attempts: int, data: st.DataObject
) -> None:
    """A turn is refused only for what was granted before it; repeats are granted after all first attempts."""
    whole = reserve_at_once(Ledger(budget), needs, attempts)
    cut = data.draw(st.integers(0, len(needs)))
    part = reserve_at_once(Ledger(budget), needs[:cut], 1)
    assert [g and g.tokens_out for g in whole[:cut]] == [g and g.tokens_out for g in part]


@steady
@given(st.integers(1, 2000), st.lists(st.tuples(NEEDS, st.floats(0, 2)), min_size=1, max_size=12), st.randoms())
def test_the_account_holds_whatever_is_used_and_whoever_comes_first(
    budget: int, turns: list[tuple[Need, float]], shuffle: random.Random
) -> None:
    """Overrun counts exactly what providers used beyond what was reserved for them and free."""
    ledger = Ledger(budget)
    grants = reserve_at_once(ledger, [need for need, _ in turns], 2)
    done = [(g, round(share * g.reserved)) for g, (_, share) in zip(grants, turns, strict=True) if g is not None]
    shuffle.shuffle(done)
    used = 0
    for grant, spent in done:
        ledger.settle(grant, spent)
        used += spent
        assert ledger.charged + ledger.reserved <= budget
        assert ledger.charged + ledger.overrun == used
    assert ledger.reserved == 0
    if all(spent <= grant.reserved for grant, spent in done):
        assert ledger.overrun == 0


def test_without_a_budget_everything_is_granted_and_counted() -> None:
    ledger = Ledger(None)
    need = Need((10, 20), 5)
    [grant] = reserve_at_once(ledger, [need], 3)
    assert grant == Grant(5, 3, 0)
    ledger.settle(grant, 70)
    assert (ledger.charged, ledger.overrun) == (70, 0)


@pytest.mark.parametrize("budget", [0, 50, 100])
def test_a_smaller_budget_after_a_fork_takes_nothing_back(budget: int) -> None:
    ledger = Ledger(200)
    [grant] = reserve_at_once(ledger, [Need((80,), 20)], 1)
    assert grant is not None
    ledger.settle(grant, 100)
    ledger.budget = budget
    ledger.keep(40)
    assert ledger.kept == 0
    assert reserve_at_once(ledger, [Need((10,), 5)], 1) == [None]
    ledger.settle(Grant(0, 1, 0), 7)
    assert (ledger.charged, ledger.overrun) == (100, 7)


def test_a_negative_usage_gives_nothing_back() -> None:
    ledger = Ledger(100)
    ledger.settle(Grant(0, 1, 0), 30)
    ledger.settle(Grant(0, 1, 0), -20)
    assert (ledger.charged, ledger.overrun, ledger.free) == (30, 0, 70)


# The ledger and the real caller, against a provider with books of its own


class CrashError(Exception):
    """The driver dies here."""


class Terms(NamedTuple):
    """What a schedule may spend: limits of the team, shares, prices, who pays for whom."""

    limits: Limits
    amounts: list[int] | None = None
    carry: bool = False
    rates: tuple[Rate, ...] = (FREE,)

    def rate(self, agent: int) -> Rate:
        return self.rates[agent % len(self.rates)]

    def share(self, agent: int) -> int | None:
        """Agents go round over the shares and over what no share was given."""
        if self.amounts is None:
            return None
        share = agent % (len(self.amounts) + 1)
        return None if share == len(self.amounts) else share

    def ledger(self) -> Ledger:
        limits = self.limits
        ledger = Ledger(limits.tokens, calls=limits.calls, money=limits.money, carry=self.carry)
        ledger.divide(self.amounts)
        return ledger

    def scopes(self, agent: int) -> list[int | None]:
        """The team, as -1, and the share."""
        return [-1] if self.amounts is None else [-1, self.share(agent)]


class Books:
    """A provider and a disk that outlive the driver: what was really used, and what was written."""

    def __init__(self, rng: random.Random, terms: Terms, *, obeys: bool) -> None:
        self.rng = rng
        self.terms = terms
        self.obeys = obeys
        self.used: dict[int | None, Counter[int]] = defaultdict(Counter)
        """Scope -> resource -> what was really used."""
        self.may_still_use: dict[int | None, Counter[int]] = defaultdict(Counter)
        self.ledger = terms.ledger()
        self.rows: dict[Key, Attempt] = {}
        self.writes_left: int | None = None
        self.replies = 0

    def parallel(self) -> list[int | None]:
        return [None]

    def recall(self, order: AttemptRequest) -> AttemptResult | None:
        assert order.known is not None
        return self._again(order.known) if self.rng.random() < 0.5 else None

    def request_hash(self, order: AttemptRequest) -> bytes | None:
        return None

    def from_cache(self, order: AttemptRequest) -> AttemptResult | None:
        return None

    async def write(self, row: Attempt) -> None:
        """The journal; the driver may die before or after a row is on disk."""
        if self.writes_left is not None:
            self.writes_left -= 1
            if self.writes_left <= 0:
                if self.rng.random() < 0.5:
                    self.rows[row.key] = row
                raise CrashError
        self.rows[row.key] = row
        await self._while()

    async def _while(self) -> None:
        for _ in range(self.rng.randrange(3)):
            await asyncio.sleep(0)

    def _enter(self, book: dict[int | None, Counter[int]], agent: int, sign: int, amounts: Sequence[int]) -> None:
        for scope in self.terms.scopes(agent):
            for resource, amount in enumerate(amounts):
                book[scope][resource] += sign * amount

    def _use(self, agent: int, usage: Usage) -> None:
        cost = self.terms.rate(agent).cost(usage.tokens_in, usage.tokens_cached, usage.tokens_out, 1)
        self._enter(self.used, agent, 1, (usage.tokens_in + usage.tokens_out, 1, cost))

    def look(self) -> None:
        """Nothing that is used, or may be by what is under way, passes a wall."""
        for scope, used in self.used.items():
            flying = self.may_still_use[scope]
            for resource, purse in enumerate(self.purses(scope)):
                if purse.limit is not None:
                    assert used[resource] + flying[resource] <= purse.limit

    def purses(self, scope: int | None) -> list[Purse]:
        return self.ledger.team if scope == -1 else self.ledger.shares[-1 if scope is None else scope]

    async def attempt(self, order: AttemptRequest) -> AttemptResult:
        """The provider: answers, fails, forgets to count, or is lost with its host."""
        if order.known is not None:
            return self._again(order.known)
        rng, agent = self.rng, order.planned.turn.agent
        assert order.tokens_in is not None
        cost = self.terms.rate(agent).most(order.tokens_in, order.tokens_out, 1)
        most = (order.tokens_in + order.tokens_out, 1, cost)
        self._enter(self.may_still_use, agent, 1, most)
        self._enter(self.used, agent, 1, (0, 0, 0))
        if self.obeys:
            self.look()
        try:
            await self._while()
        except asyncio.CancelledError:  # the driver is dead, the provider is not
            self._use(agent, Usage(rng.randint(0, order.tokens_in), 0, rng.randint(0, order.tokens_out)))
            raise
        finally:
            self._enter(self.may_still_use, agent, -1, most)
        tokens_in = rng.randint(0, order.tokens_in)
        usage = Usage(tokens_in, rng.randint(0, tokens_in), rng.randint(0, order.tokens_out))
        if not self.obeys and rng.random() < 0.3:
            usage = Usage(usage.tokens_in, 0, 3 * order.tokens_out + 5)
        kind = rng.choice(["done"] * 6 + ["malformed", "silent", "lost", *FAILURES])
        if kind in ("rate_limited", "rejected", "too_long", "connection"):
            return _failed(kind, None)
        self._use(agent, usage)
        if kind == "lost":
            raise HostLostError
        if kind in FAILURES:
            return _failed(kind, usage if rng.random() < 0.5 else None)
        if kind == "silent":
            usage = Usage(0, 0, 0, known=False)
        if kind == "malformed":
            return AttemptResult(b"r", "m", text="???", usage=usage, fault="it was malformed")
        self.replies += 1
        return AttemptResult(b"r", "m", text="heads", usage=usage, reply=Reply(answer="heads"))

    def _again(self, row: Attempt) -> AttemptResult:
        usage = Usage(row.tokens_in or 0, row.tokens_cached or 0, row.tokens_out or 0, bool(row.usage_known))
        if row.state == "failed":
            return _failed(str(row.failure).partition(":")[0], usage)
        fine = row.reply == "heads"
        reply = Reply(answer="heads") if fine else None
        return AttemptResult(
            b"r", "m", text=row.reply, usage=usage, reply=reply, fault=None if fine else "it was malformed"
        )


FAILURES = ("timeout", "rate_limited", "rejected", "too_long", "connection", "server", "empty")


def _failed(kind: str, usage: Usage | None) -> AttemptResult:
    error = CallError(kind, "x", usage=usage)  # type: ignore[arg-type]
    return AttemptResult(
        b"r", "m", failure=str(error), retryable=error.retryable, billed=error.billed, usage=error.usage
    )


def walls_hold(ledger: Ledger) -> None:
    """In every scope, for every resource, whatever is charged, held and kept fits the limit; shares fit the team."""
    for scope in [ledger.team, *ledger.shares]:
        for purse in scope:
            assert min(purse.charged, purse.reserved, purse.kept) >= 0
            if purse.limit is not None:
                assert purse.charged + purse.reserved + purse.kept <= purse.limit
    for resource, purse in enumerate(ledger.team):
        if ledger.shares and purse.limit is not None:
            assert sum(share[resource].limit or 0 for share in ledger.shares) <= purse.limit


async def drive(books: Books, rounds: Sequence[Sequence[Need]], calls: Calls, concurrency: int, rule: int) -> Ledger:
    """Take all rounds of one episode, as the engine does; what the disk knows is not asked again."""
    terms = books.terms
    ledger = books.ledger = terms.ledger()
    caller = Caller(books, books, dict(books.rows), calls, concurrency)  # type: ignore[arg-type]
    for number, needs in enumerate(rounds):
        agents = range(len(needs))
        shares = None if terms.amounts is None else [terms.share(agent) for agent in agents]
        rates = [terms.rate(agent) for agent in agents]
        turns = [
            TurnUnderWay(PlannedTurn(0, number, Turn(agent)), 0, need, calls.attempts, queued=rule > 1)
            for agent, need in enumerate(needs)
        ]
        if rule == 1:
            found = reserve_at_once(ledger, needs, calls.attempts, shares, rates)
            granted = [(agent, grant) for agent, grant in enumerate(found) if grant is not None]
            for agent, grant in granted:
                turns[agent].attempts = grant.attempts
            await one_wave(books, caller, turns, granted)
            assert all(turns[agent].ended for agent, _ in granted)
            continue
        queue = WaveQueue(ledger, needs, calls.attempts, shares, rates)
        whole = queue.whole()
        if whole is not None:
            await one_wave(books, caller, turns, whole)
            requeue(queue, turns, whole)
        while queue.waiting:
            wave = queue.next()
            walls_hold(ledger)
            assert wave.grants or wave.refused
            await one_wave(books, caller, turns, wave.grants)
            requeue(queue, turns, wave.grants)
    return ledger


def requeue(queue: WaveQueue, turns: Sequence[TurnUnderWay], granted: Sequence[tuple[int, Grant]]) -> None:
    for agent, _ in granted:
        if not turns[agent].ended:
            queue.again(agent, turns[agent].left())


async def one_wave(
    books: Books, caller: Caller, turns: Sequence[TurnUnderWay], granted: Sequence[tuple[int, Grant]]
) -> None:
    """Take the turns that were granted something at once, and settle what they cost."""
    ledger, terms = books.ledger, books.terms
    walls_hold(ledger)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(caller.turn(turns[agent], grant)) for agent, grant in granted]
    for (agent, grant), task in zip(granted, tasks, strict=True):
        spent = task.result()
        rate = terms.rate(agent)
        lost = rate.most(spent.lost_in, spent.lost_tokens - spent.lost_in, spent.lost_calls)
        used = rate.cost(spent.tokens_in, spent.tokens_cached, spent.tokens_out, spent.calls)
        amounts = spent.tokens, spent.calls + spent.lost_calls, used + lost
        if books.obeys:
            held = (grant.reserved, grant.calls, grant.money)
            for limit, amount, most in zip(terms.limits, amounts, held, strict=True):
                assert limit is None or amount <= most
        ledger.settle(grant, *amounts)
        walls_hold(ledger)


def one_schedule(seed: int, *, obeys: bool = True, scoped: bool = False, rule: int = 2) -> tuple[Books, Ledger, int]:
    rng = random.Random(seed)
    n = round(2 ** rng.uniform(0, 6))
    rounds = [
        [
            Need(tuple(rng.randint(1, 100) for _ in range(rng.choice([1, 1, 2]))), rng.randint(1, 80), again=20)
            for _ in range(n if not scoped else rng.randint(1, n))
        ]
        for _ in range(rng.randint(1, 3))
    ]
    wish = sum(sum(need.tokens_in) + need.tokens_out for needs in rounds for need in needs)
    terms = Terms(Limits(rng.randint(1, 2 * wish)))
    if scoped:
        terms = _terms(rng, n, wish)
    books = Books(rng, terms, obeys=obeys)
    calls = Calls(attempts=rng.randint(1, 4), backoff_s=0.0, repair=rng.random() < 0.7)
    concurrency = rng.randint(1, 64)
    crashes = 0
    for _ in range(rng.choice([0, 0, 1, 2])):
        books.writes_left = rng.randint(1, 4 * n)
        try:
            asyncio_run(drive(books, rounds, calls, concurrency, rule))
            break
        except* CrashError:
            crashes += 1
        books.may_still_use.clear()
    books.writes_left = None
    return books, asyncio_run(drive(books, rounds, calls, concurrency, rule)), crashes


def _terms(rng: random.Random, n: int, wish: int) -> Terms:
    """Return any limits (one of them at least), shares of agents or none, and prices that differ between agents."""
    rates = tuple(
        Rate._make([*(rng.choice([0, rng.randint(1, 50)]) for _ in range(3)), rng.choice([0, 0, 700])])
        for _ in range(rng.randint(1, 3))
    )
    dearest = max(max(rate[:3]) + rate.call for rate in rates)
    given = [
        rng.randint(1, 2 * wish),
        rng.randint(1, 6 * n),
        rng.randint(1, max(2 * wish * dearest // 2, 1)),
    ]
    limited = rng.sample(range(3), rng.randint(1, 3))
    limits = Limits(*(amount if i in limited else None for i, amount in enumerate(given)))
    whole = next(limit for limit in limits if limit is not None)
    amounts = None
    if rng.random() < 0.75:
        n_shares = rng.randint(1, n)
        amounts = split(rng.randint(whole // 2, whole), [rng.randint(0, 5) + (i == 0) for i in range(n_shares)])
    return Terms(limits, amounts, rng.random() < 0.5, rates)


_RUNNERS: list[asyncio.Runner] = []


@pytest.fixture(scope="module", autouse=True)
def _runner() -> Iterator[None]:
    """One event loop for all schedules: making one costs more than a schedule."""
    with asyncio.Runner() as runner:
        _RUNNERS.append(runner)
        yield
        _RUNNERS.clear()


def asyncio_run(work: Any) -> Any:
    return _RUNNERS[0].run(work)


@pytest.mark.parametrize(("scoped", "rule"), [(False, 2), (True, 2), (True, 1)], ids=["tokens", "scopes", "at once"])
@pytest.mark.parametrize("block", range(4))
def test_schedules_with_failures_and_crashes_never_pass_the_wall(block: int, scoped: bool, rule: int) -> None:
    """1 to 64 calls at once, in 1 to 3 rounds, with up to two crashes; what was really used counts, not the reports.

    What was under way could not have passed a wall either: `Books.look` is asked at every attempt.
    """
    crashes = replies = 0
    for seed in range(block * 250, (block + 1) * 250):
        books, ledger, crashed = one_schedule(seed, scoped=scoped, rule=rule)
        walls_hold(ledger)
        for scope, used in books.used.items():
            for resource, purse in enumerate(books.purses(scope)):
                assert (purse.reserved, purse.overrun) == (0, 0)
                if purse.limit is not None:
                    assert used[resource] <= purse.charged <= purse.limit
        crashes += crashed
        replies += books.replies
    assert crashes > 25
    assert replies > 500


@pytest.mark.parametrize("scoped", [False, True], ids=["tokens", "scopes"])
def test_a_provider_that_passes_its_cap_is_charged_up_to_the_wall_and_the_rest_stands_apart(scoped: bool) -> None:
    overrun = 0
    for seed in range(300):
        _, ledger, _ = one_schedule(seed, obeys=False, scoped=scoped)
        walls_hold(ledger)
        overrun += ledger.overrun
    assert overrun > 0


# Whole societies


class WatchedLedger(Ledger):
    """Looks at the account after every entry."""

    def settle(self, grant: Grant, used: int, calls: int = 0, money: int = 0) -> None:
        held = (grant.reserved, grant.calls, grant.money)
        for purse, amount, most in zip(self.team, (used, calls, money), held, strict=True):
            assert purse.limit is None or amount <= most
        super().settle(grant, used, calls, money)
        self.look()

    def look(self) -> None:
        walls_hold(self)
        assert all(purse.overrun == 0 for scope in [self.team, *self.shares] for purse in scope)


def played(built: Scenario) -> tuple[list[Event], Totals, dict[int, Ledger]]:
    """Run a scenario in a scratch directory; return its events, totals and accounts."""
    progress = Progress()
    with tempfile.TemporaryDirectory() as scratch:
        asyncio_run(execute(Plan(built, Path(scratch), progress=progress)))
        log = RunLog(scratch)
        return list(log.events()), log.manifest.totals, dict(progress.ledgers)


POLICIES = st.sampled_from(
    [
        {},
        {"policy": "uniform"},
        {"policy": {"kind": "uniform", "carry": True}, "shown": "both"},
        {"policy": {"kind": "per-level", "weights": [3, 1]}, "shown": "self"},
        {"policy": {"kind": "proportional", "carry": True}},
        {"policy": {"kind": "theory", "beta": 0.2, "exponent": 0.4, "message": 10}},
        {"shown": "team"},
    ]
)
LIMITS = st.sampled_from(
    [
        ("tokens",),
        ("tokens", "calls"),
        ("tokens", "money"),
        ("tokens", "calls", "money"),
        ("calls",),
        ("calls", "money"),
        ("money",),
    ]
)


@settings(deadline=None, derandomize=True, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(
    parts=societies(), budget=st.integers(1, 3_000), whole_run=st.booleans(), policy=POLICIES, limited=LIMITS,
    per_call=st.sampled_from([0, 0.001]),
)  # fmt: skip
def test_no_society_passes_the_wall(
    parts: dict[str, Any],
    budget: int,
    whole_run: bool,
    policy: dict[str, Any],
    limited: tuple[str, ...],
    per_call: float,
) -> None:
    """Any protocol, topology and kind of voter, with failing and malformed replies; any policy, any limits."""
    n_tasks = 3
    if policy.get("policy", {}) and "tokens" not in limited:
        policy = {"policy": "uniform"}
    per_task = {"tokens": budget, "calls": 1 + budget // 150, "money": budget * 2e-6}
    given_as = {name: round(n_tasks * per_task[name], 6) for name in limited}
    if not whole_run:
        given_as = {f"{name}_per_task": round(per_task[name], 6) for name in limited}
    price = {"input": 1, "output": 3, "cached": 0.5, "call": per_call}
    built = scenario(
        **{
            **parts,
            "tasks": {"kind": "coin", "count": n_tasks},
            "budget": {**given_as, **policy},
            "prices": {"scripted": price, "simulated": price},
        }
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(account_module, "Ledger", WatchedLedger)
        events, totals, ledgers = played(built)
    assert built.budget is not None
    limits = built.budget.limits(n_tasks)
    rate = Price(**price).rate
    for task in range(n_tasks):
        mine = [event for event in events if event.task == task]
        cost = sum(rate.cost(e.tokens_in, e.tokens_cached, e.tokens_out, e.calls) for e in mine)
        used = sum(e.tokens_in + e.tokens_out for e in mine), sum(e.calls for e in mine), cost
        for limit, amount in zip(limits, used, strict=True):
            assert limit is None or amount <= limit
        if task in ledgers:
            walls_hold(ledgers[task])
            assert isinstance(ledgers[task], WatchedLedger)
            for purse, amount in zip(ledgers[task].team, used, strict=True):
                assert amount <= purse.charged
                assert purse.reserved == 0
        refused = any(event.kind == "budget_exhausted" for event in mine)
        assert [event.kind for event in mine[-2:]] == ["answer", "stop"]
        ends = {"finished"} if not refused else {"budget_exhausted"}
        if refused and "policy" in policy:  # one share may be spent, and the others go on
            ends.add("finished")
        assert mine[-1].answer in ends
    assert totals.tokens_overrun == 0
    if limits.tokens is not None:
        assert totals.tokens_in + totals.tokens_out + totals.tokens_lost <= n_tasks * limits.tokens
        assert totals.budget == n_tasks * limits.tokens
    if limits.calls is not None:
        assert totals.calls + totals.calls_lost <= n_tasks * limits.calls
    if limits.money is not None:
        assert totals.cost is not None
        assert totals.cost_lost is not None
        assert totals.cost + totals.cost_lost <= n_tasks * limits.money / UNIT + 1e-9


@pytest.mark.parametrize("budget", range(60, 1_000, 60))
def test_a_spent_budget_still_gives_the_concluding_call(budget: int) -> None:
    """Once somebody has answered, the merge that ends the episode is paid for out of what was kept aside."""
    built = scenario(
        tasks={"kind": "coin", "count": 1},
        agents={"count": 6, "model": {"kind": "scripted"}, "max_tokens": 60},
        topology="independent",
        protocol={"kind": "vote", "by": "model"},
        budget={"tokens_per_task": budget},
    )
    events, totals, _ = played(built)
    answered = [event for event in events if event.round == 0 and event.calls]
    refused = [event for event in events if event.kind == "budget_exhausted"]
    assert len(answered) + sum(event.round == 0 for event in refused) == 6
    assert [event.agent for event in answered] == list(range(len(answered)))  # turn order, not luck
    last = [event for event in events if event.round > 0 and event.agent >= 0 and event.kind != "budget_exhausted"]
    if answered:
        assert [(event.agent, event.calls) for event in last] == [(0, 1)]
        assert events[-2].answer is not None
    else:
        assert last == []
        assert events[-2].answer is None
    assert totals.stops == {"budget_exhausted" if refused else "finished": 1}


@pytest.mark.parametrize(("topology", "n"), [("single", 1), ("chain", 2), ("star", 2), ("chain", 3)])
@pytest.mark.parametrize("budget", [50, 100, 150, 200, 400])
def test_the_smallest_organisations_conclude_as_well(topology: str, n: int, budget: int) -> None:
    """A lone agent has nothing to merge; of a pair, the second may be the end."""
    built = scenario(
        tasks={"kind": "coin", "count": 1},
        agents={"count": n, "model": {"kind": "scripted"}, "max_tokens": 40},
        topology=topology,
        protocol={"kind": "aggregate", "by": "model"},
        budget={"tokens_per_task": budget},
    )
    events, _, _ = played(built)
    if any(event.calls for event in events if event.round == 0):
        assert events[-2].answer is not None
    if n > 1 and any(event.kind == "budget_exhausted" for event in events if event.round > 0):
        last = [event for event in events if event.agent >= 0][-1]
        assert (last.agent, last.calls) == (built.topology.root(n), 1)


def test_what_is_granted_does_not_depend_on_who_answers_first() -> None:
    """The same society with other latencies: the same rows in the journal, reservations included."""

    def rows(latency_s: float, concurrency: int) -> list[tuple[Any, ...]]:
        built = scenario(
            tasks={"kind": "coin", "count": 2},
            agents={"count": 6, "model": {**SCRIPTED, "fail_rate": 0.3, "malformed_rate": 0.2}, "max_tokens": 60},
            topology="hybrid",
            protocol={"kind": "debate", "rounds": 3},
            budget={"tokens_per_task": 2_600},
            calls={"backoff_s": 0.0},
            engine={"concurrency": concurrency},
        )
        model = built.agents[0].model
        assert isinstance(model, Scripted)
        latency = model.model_copy(update={"latency_s": latency_s})
        with pytest.MonkeyPatch.context() as patched:  # not in the scenario: another scenario would be another run
            patched.setattr(type(latency), "open", lambda self, *, seed, share=1: ScriptedBackend(latency, seed))
            with tempfile.TemporaryDirectory() as scratch:
                asyncio_run(execute(Plan(built, Path(scratch))))
                return [(row.key, row.state, row.request, row.room, row.reserved) for row in RunLog(scratch).journal()]

    first = rows(0.0, 64)
    assert rows(0.002, 64) == first
    assert rows(0.001, 3) == first
    assert len(first) > 20


@steady
@given(st.integers(0, 20_000), st.integers(0, 3000), st.lists(NEEDS, max_size=12), st.integers(1, 4))
def test_a_round_that_the_budget_pays_for_whole_is_granted_as_any_other(
    budget: int, kept: int, needs: list[Need], attempts: int
) -> None:
    """A second currency that is never short takes the long way."""
    short, slow = Ledger(budget), Ledger(budget, calls=1_000)
    for ledger in (short, slow):
        ledger.keep(kept)
    granted = reserve_at_once(slow, needs, attempts)
    without_calls = [grant and msgspec.structs.replace(grant, calls=0) for grant in granted]
    assert reserve_at_once(short, needs, attempts) == without_calls
    assert (short.reserved, short.free) == (slow.reserved, slow.free)
