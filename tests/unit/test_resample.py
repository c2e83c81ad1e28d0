"""Sequential sampling: what stops it, what it costs, and its closed forms, through the engine.

Statistical checks allow 3.9 standard errors: a right protocol with a fresh seed fails one with probability 1e-4. They
are made of a quarter of the questions that each night has.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from agentsoc.engine.attempts import AttemptRequest, AttemptResult
from agentsoc.engine.host import Host
from agentsoc.events import SOCIETY, Event
from tests.nightly import at_night
from tests.societies import logged

SIGMAS = stats.norm.isf(0.5e-4)
MANY = at_night(4_000, 1_000)
QUITE_MANY = at_night(3_000, 750)


def sampled(tasks: int, p: float, protocol: dict[str, Any], n: int = 1, options: int = 2, **model: Any) -> Any:
    """Return totals and events of questions with `options` answers, each sample right with probability p."""
    signal = (p - 1 / options) / (1 - 1 / options)
    family = "signal" if options == 2 else "multiple-choice"
    return logged(
        check=False,
        tasks={"kind": family, "count": tasks, **({} if options == 2 else {"choices": options})},
        agents={"count": n, "model": {"kind": "simulated", "signal": signal, **model}},
        topology="independent",
        protocol={"kind": "resample", "max_samples": 10_000, **protocol},
    )


def close(found: float, expected: float, error: float) -> None:
    assert abs(found - expected) <= SIGMAS * error, (found, expected, error)


def close_rate(found: float, expected: float, n: int) -> None:
    close(found, expected, math.sqrt(expected * (1 - expected) / n))


def samples_each(events: list[Event]) -> list[int]:
    counts = Counter(e.task for e in events if e.kind == "propose_claim" or (e.kind == "flag" and e.agent != SOCIETY))
    return list(counts.values())


def mean_close(values: list[int], expected: float) -> None:
    n = len(values)
    mean = sum(values) / n
    close(mean, expected, math.sqrt(sum((v - mean) ** 2 for v in values) / (n - 1) / n))


def ruin(p: float, k: int) -> tuple[float, float]:
    """Return the probability that the right one of two answers is first ahead by k, and the expected votes."""
    right = 1 / (1 + ((1 - p) / p) ** k)
    return right, k * (2 * right - 1) / (2 * p - 1)


@pytest.mark.parametrize(
    ("p", "k", "right", "votes"),
    [(0.6, 3, 0.7714, 8.143), (0.8, 3, 0.9846, 4.846), (0.9, 2, 0.9878, 2.439), (0.7, 5, 0.9857, 12.144)],
)
def test_ahead_by_k_is_a_gamblers_ruin(p: float, k: int, right: float, votes: float) -> None:
    assert [round(x, digits) for x, digits in zip(ruin(p, k), (4, 3), strict=True)] == [right, votes]
    done, events = sampled(QUITE_MANY, p, {"k": k})
    close_rate(done.totals.score, ruin(p, k)[0], QUITE_MANY)
    mean_close(samples_each(events), ruin(p, k)[1])


def test_first_to_k_is_another_rule() -> None:
    p, k = 0.6, 3
    right = sum(math.comb(k - 1 + j, j) * p**k * (1 - p) ** j for j in range(k))  # k votes before the other has k
    votes = sum((k + j) * math.comb(k - 1 + j, j) * (p**k * (1 - p) ** j + (1 - p) ** k * p**j) for j in range(k))
    done, events = sampled(MANY, p, {"until": "first-to-k", "k": k})
    close_rate(done.totals.score, right, MANY)
    mean_close(samples_each(events), votes)
    assert max(samples_each(events)) == 2 * k - 1


def test_discarded_samples_cost_but_do_not_vote() -> None:
    expected = ruin(0.8, 3)[1] / 0.9
    assert round(expected, 3) == 5.385
    done, events = sampled(MANY, 0.8, {"k": 3, "red_flags": {}}, n=3, invalid=0.1)
    mean_close(samples_each(events), expected)
    close_rate(done.totals.score, ruin(0.8, 3)[0], MANY)
    flags = [e for e in events if e.kind == "flag"]
    close_rate(len(flags) / done.totals.calls, 0.1, done.totals.calls)
    assert {(e.answer, e.calls, e.claim) for e in flags} == {("discarded", 1, None)}


def test_wrong_answers_that_differ_are_outvoted_even_at_one_half() -> None:
    done, _ = sampled(QUITE_MANY, 0.5, {"k": 3}, options=5)
    close_rate(done.totals.score, 0.967, QUITE_MANY)  # 200,000 simulated races give .967; the two-answer formula .5


def test_shared_mistakes_set_a_ceiling() -> None:
    """The engine is asked where mistakes are shared often: rho of 0.01 or 0.05 moves a score less than chance may."""

    def ceiling(rho: float) -> float:
        return (1 - rho) * ruin(0.8, 3)[0] + rho * 0.8

    assert [round(ceiling(rho), 4) for rho in (0.01, 0.05, 0.2)] == [0.9828, 0.9754, 0.9477]
    assert ceiling(0.0) - ceiling(0.2) > SIGMAS * math.sqrt(ceiling(0.2) * (1 - ceiling(0.2)) / MANY)
    done, _ = sampled(MANY, 0.8, {"k": 3}, n=3, shared=0.2)
    close_rate(done.totals.score, ceiling(0.2), MANY)


@pytest.mark.parametrize(("most", "golden"), [(1, 0.300), (2, 0.468), (5, 0.644), (10, 0.680), (50, 0.682)])
def test_a_verifier_buys_coverage_not_accuracy(most: int, golden: float) -> None:
    p, c, f, n = 0.3, 1.0, 0.2, QUITE_MANY
    accepts = p * c + (1 - p) * f
    ceiling = p * c / accepts
    coverage = 1 - (1 - accepts) ** most
    assert round(ceiling * coverage, 3) == golden
    done, events = sampled(n, p, {"until": "verifier", "max_samples": most}, accepts_right=c, accepts_wrong=f)
    close_rate(done.totals.score, ceiling * coverage, n)
    close_rate(done.totals.answered / n, coverage, n)
    right = [e.correct for e in events if e.kind == "answer" and e.answer is not None]
    close_rate(sum(right) / len(right), ceiling, len(right))
    assert round(ceiling, 4) == 0.6818


def test_a_verifier_at_the_hub_checks_what_workers_say() -> None:
    done, events = logged(
        tasks={"kind": "coin", "count": 10},
        agents={"count": 4, "model": {"kind": "scripted", "accuracy": 0.6}},
        topology="star",
        protocol={"kind": "resample", "until": "verifier"},
    )
    acts = {(e.agent == 0, e.kind) for e in events if e.agent != SOCIETY}
    assert acts == {(True, "endorse_claim"), (True, "contradict_claim"), (False, "propose_claim")}
    by_worker = Counter(e.agent for e in events if e.kind == "propose_claim")
    assert by_worker[1] >= by_worker[2] >= by_worker[3]  # in turn
    for answer in (e for e in events if e.kind == "answer"):
        accepted = [e for e in events if e.task == answer.task and e.kind == "endorse_claim"]
        assert [e.target for e in accepted] == list(answer.parents)
    assert done.totals.answered == 10


# Against sampling one at a time


def one_at_a_time(votes: list[str | None], until: str, k: int) -> int | None:
    """Return after how many samples the rule decides; None when it never does."""
    tally: Counter[str] = Counter()
    for number, vote in enumerate(votes, 1):
        if vote is not None:
            tally[vote] += 1
        first, second = ([*sorted(tally.values(), reverse=True), 0, 0])[:2]
        if first - (second if until == "ahead-by-k" else 0) >= k:
            return number
    return None


@settings(max_examples=at_night(40, 20), deadline=None)
@given(
    k=st.integers(1, 6),
    n=st.integers(1, 5),
    until=st.sampled_from(["ahead-by-k", "first-to-k"]),
    most=st.integers(1, 30),
    accuracy=st.sampled_from([0.4, 0.7, 1.0]),
    malformed=st.sampled_from([0.0, 0.3]),
    seed=st.integers(0, 2**32),
)
def test_samples_taken_together_are_those_that_one_at_a_time_would_take(
    k: int, n: int, until: str, most: int, accuracy: float, malformed: float, seed: int
) -> None:
    done, events = logged(
        seed=seed,
        tasks={"kind": "multiple-choice", "choices": 4, "count": 4},
        agents={"count": n, "model": {"kind": "scripted", "accuracy": accuracy, "malformed_rate": malformed}},
        topology="independent",
        protocol={"kind": "resample", "until": until, "k": k, "max_samples": most, "red_flags": {}},
        calls={"backoff_s": 0.0},
    )
    for task in range(4):
        mine = [e for e in events if e.task == task and e.agent != SOCIETY]
        # the order in which they were asked for: round by round, agents in turn
        by_round: dict[int, list[Event]] = {}
        for event in mine:
            by_round.setdefault(event.round, []).append(event)
        votes = [e.answer if e.kind == "propose_claim" else None for _, es in sorted(by_round.items()) for e in es]
        decided = one_at_a_time(votes, until, k)
        assert len(votes) == (most if decided is None else decided)
        (answer,) = [e for e in events if e.task == task and e.kind == "answer"]
        if decided is not None:
            assert answer.text is None
            best = max(c for c in Counter(v for v in votes if v is not None).values())
            assert Counter(votes)[answer.answer] == best
        else:
            assert (answer.text or "").startswith(f"not decided by {most} samples: ")
    assert done.totals.calls_failed == 0


def test_exhausted_samples_give_the_plurality_a_stated_tie_or_no_answer() -> None:
    for how, expected in ((None, "plurality"), ("plurality", "plurality"), ("abstain", "no answer")):
        done, events = sampled(60, 0.5, {"k": 5, "max_samples": 4, "exhausted": how})
        answers = [e for e in events if e.kind == "answer"]
        assert all((e.text or "").startswith(f"not decided by 4 samples: {expected}") for e in answers)
        ties = [e for e in answers if "tie: " in (e.text or "")]
        if expected == "plurality":
            close_rate(len(ties) / 60, 6 / 16, 60)  # two of four
        assert done.totals.answered == (60 if expected == "plurality" else 0)


def test_a_budget_that_ends_leaves_the_plurality_of_what_there_is() -> None:
    done, events = logged(
        tasks={"kind": "coin", "count": 5},
        agents={"count": 1, "model": {"kind": "simulated", "signal": 0.2, "compute": 100}},
        topology="single",
        protocol={"kind": "resample", "k": 6},
        budget={"tokens_per_task": 450},
    )
    assert done.totals.stops == {"budget_exhausted": 5}
    assert all("plurality" in (e.text or "") for e in events if e.kind == "answer")
    assert max(samples_each(events)) == 4


# Prompts


def record(monkeypatch: pytest.MonkeyPatch, **blocks: Any) -> list[tuple[AttemptRequest, Any]]:
    """Run and return each attempt with its request."""
    seen: list[tuple[AttemptRequest, Any]] = []
    asked = Host.attempt

    async def recorded(self: Host, order: AttemptRequest) -> AttemptResult:
        if order.known is None:
            seen.append((order, self.prompts._render(order).request))
        return await asked(self, order)

    monkeypatch.setattr(Host, "attempt", recorded)
    logged(check=False, **blocks)
    return seen


def test_samples_are_independent_and_only_the_first_is_cold(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = record(
        monkeypatch,
        tasks={"kind": "coin", "count": 1},
        agents={"count": 1, "model": {"kind": "scripted", "accuracy": 0.5}, "temperature": 0.1, "memory": 3},
        topology="single",
        protocol={"kind": "resample", "k": 3, "first_temperature": 0},
    )
    assert len(seen) >= 3
    assert len({request.user for _, request in seen}) == 1  # nobody is reminded of what they said
    assert [request.temperature for _, request in seen] == [0.0] + [0.1] * (len(seen) - 1)
    assert len({request.seed for _, request in seen}) == len(seen)


@pytest.mark.parametrize("red_flags", [None, {}, {"format": False}])
def test_a_red_flag_discards_where_otherwise_a_reply_is_repaired(
    monkeypatch: pytest.MonkeyPatch, red_flags: dict[str, Any] | None
) -> None:
    seen = record(
        monkeypatch,
        tasks={"kind": "coin", "count": 8},
        agents={"count": 2, "model": {"kind": "scripted", "malformed_rate": 0.5}},
        topology="independent",
        protocol={"kind": "resample", "k": 2, "red_flags": red_flags},
    )
    repairs = [request for order, request in seen if order.fault is not None]
    assert bool(repairs) == (red_flags != {})


def test_a_reply_that_is_too_long_is_discarded() -> None:
    long = '{"answer": "heads", "why": "' + "because " * 30 + '"}'
    blocks: dict[str, Any] = {
        "tasks": {"kind": "coin", "count": 3},
        "agents": [
            {"count": 1, "model": {"kind": "scripted", "replies": [["coin", long]]}, "max_tokens": 60},
            {"count": 1, "model": "scripted", "max_tokens": 60},
        ],
        "topology": "independent",
    }
    _, events = logged(**blocks, protocol={"kind": "resample", "k": 2, "red_flags": {"max_tokens": 20}})
    kinds = {(e.agent, e.kind) for e in events if e.agent != SOCIETY}
    assert kinds == {(0, "flag"), (1, "propose_claim")}
    assert {e.text for e in events if e.kind == "flag"} == {"too long: 34 tokens, at most 20"}
    _, events = logged(**blocks, protocol={"kind": "resample", "k": 2, "red_flags": {"max_tokens": 40}})
    assert (0, "propose_claim") in {(e.agent, e.kind) for e in events}
