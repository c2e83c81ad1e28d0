"""Aggregators through the engine, against their closed forms.

Voters are simulated, so a score is a mean of independent 0/1 draws. `close` allows 3.9 standard errors of the closed
form: a right aggregator with a fresh seed fails one such check with probability 1e-4. Seeds are fixed.
Where many agents or a judge take part, each night has three or four times the tasks.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
from scipy import stats

from agentsoc.errors import InputError
from agentsoc.protocols.aggregators import BETWEEN
from agentsoc.society.build import build_society
from tests.nightly import at_night
from tests.societies import built, logged, result

SIGMAS = stats.norm.isf(0.5e-4)
MANY = at_night(4_000, 1_000)
QUITE_MANY = at_night(3_000, 1_000)
MOST = at_night(6_000, 1_500)


def close(found: float, expected: float, n: int) -> None:
    error = math.sqrt(expected * (1 - expected) / n)
    assert abs(found - expected) <= SIGMAS * error, (found, expected, error)


def binomial(n: int, j: int, p: float) -> float:
    return math.comb(n, j) * p**j * (1 - p) ** (n - j)


def voters(n: int, p: float, **model: Any) -> dict[str, Any]:
    """Return n simulated voters who are right about one of two options with probability p."""
    return {"count": n, "model": {"kind": "simulated", "signal": 2 * p - 1, **model}}


def vote(n: int, p: float, tasks: int, protocol: dict[str, Any], **model: Any) -> float:
    tasks_ = {"kind": "signal", "count": tasks}
    agents = voters(n, p, **model)
    done = result(tasks=tasks_, agents=agents, topology="independent", protocol={"kind": "vote", **protocol})
    assert done.totals.score is not None
    return done.totals.score


@pytest.mark.parametrize(("n", "ratio"), [(3, 2.71), (5, 4.10), (6, None), (9, 6.13)])
def test_a_union_is_wrong_as_soon_as_one_is(n: int, ratio: float | None) -> None:
    wrong = 1 - 0.9**n
    assert ratio is None or round(wrong / 0.1, 2) == ratio
    close(1 - vote(n, 0.9, 20_000, {"by": "union"}), wrong, 20_000)


@pytest.mark.parametrize(("n", "ratio"), [(3, 0.28), (5, 0.086), (9, 0.0089)])
def test_a_majority_is_wrong_when_most_are(n: int, ratio: float) -> None:
    wrong = sum(binomial(n, j, 0.1) for j in range(n // 2 + 1, n + 1))
    assert float(f"{wrong / 0.1:.2g}") == ratio
    close(1 - vote(n, 0.9, 60_000, {}), wrong, 60_000)


def test_given_weights_count_and_a_dictator_is_alone() -> None:
    close(vote(5, 0.7, 20_000, {"by": "weighted", "weights": [9, 1, 1, 1, 1]}), 0.7, 20_000)
    # with weights 2, 1, 1, 1 the first decides unless all others are against it
    right = 0.7 * (1 - 0.3**3) + 0.3 * 0.7**3
    close(vote(4, 0.7, 20_000, {"by": "weighted", "weights": [2, 1, 1, 1]}), right, 20_000)


def test_shared_mistakes_are_what_no_majority_removes() -> None:
    p, n, rho = 0.8, 9, 0.3
    alone = sum(binomial(n, j, p) for j in range(n // 2 + 1, n + 1))
    close(vote(n, p, 20_000, {}, shared=rho), (1 - rho) * alone + rho * p, 20_000)


def judged(n: int, p: float, w: float) -> float:
    """Return how often a judge of odds w chooses a right one out of n, each right with probability p."""
    return sum(binomial(n, j, p) * j * w / (j * w + n - j) for j in range(1, n + 1))


@pytest.mark.parametrize(("w", "golden"), [(1, 0.400), (2, 0.549), (5, 0.728), (20, 0.896), (1e12, 0.983)])
def test_a_judge_of_odds_w_follows_its_law(w: float, golden: float) -> None:
    assert round(judged(8, 0.4, w), 3) == golden
    close(vote(8, 0.4, MANY, {"by": "judge"}, judge_odds=w), judged(8, 0.4, w), MANY)


def test_a_judge_sees_all_candidates_in_an_order_that_the_log_tells() -> None:
    done, events = logged(
        tasks={"kind": "signal", "count": QUITE_MANY},
        agents=voters(4, 0.5, judge_odds=3),
        topology="independent",
        protocol={"kind": "vote", "by": "judge"},
    )
    assert done.totals.calls == QUITE_MANY * 5
    claims = {(e.task, e.claim): e for e in events if e.kind == "propose_claim"}
    first: Counter[str] = Counter()
    answers = {e.task: e for e in events if e.kind == "answer"}
    for choice in (e for e in events if e.kind == "endorse_claim"):
        place, _, order = (choice.text or "").partition(" of agents ")
        assert sorted(order.split()) == ["0", "1", "2", "3"]
        chosen = claims[choice.task, choice.target]
        assert int(order.split()[int(place[1:]) - 1]) == chosen.agent
        assert (answers[choice.task].answer, answers[choice.task].parents) == (chosen.answer, (choice.target,))
        first[order.split()[0]] += 1
    # uniform over who is shown first; a fresh seed fails with probability 1e-4
    assert stats.chisquare([first[str(agent)] for agent in range(4)]).pvalue > 1e-4


def test_an_order_that_is_drawn_takes_the_harm_out_of_a_judge_who_takes_the_first() -> None:
    """Whoever always takes the first shown is right as often as one agent, and prefers nobody."""
    close(vote(6, 0.65, MOST, {"by": "judge"}, judge_bias=1, judge_odds=50), 0.65, MOST)


def test_a_hub_judges_its_workers_and_passes_the_best_on() -> None:
    workers = {**voters(8, 0.4), "count": 8}
    hub = {"count": 1, "model": {"kind": "simulated", "judge_odds": 5}}
    done = result(
        tasks={"kind": "signal", "count": MANY},
        agents=[hub, workers],
        topology="star",
        protocol={"kind": "aggregate", "by": "judge"},
    )
    assert done.totals.calls == MANY * 9
    close(done.totals.score or 0.0, judged(8, 0.4, 5), MANY)


def test_a_judge_of_prompts_names_a_line() -> None:
    done, events = logged(
        tasks={"kind": "coin", "count": 12},
        agents={"count": 5, "model": {"kind": "scripted", "says": "random"}},
        topology="independent",
        protocol={"kind": "vote", "by": "judge"},
    )
    # the scripted judge knows the truth: wrong only where nobody said it
    said = {e.task for e in events if e.kind == "propose_claim" and e.correct == 1.0}
    assert done.totals.score == len(said) / 12


def test_a_judge_who_fails_leaves_a_majority() -> None:
    done, events = logged(
        tasks={"kind": "coin", "count": 6},
        agents={"count": 3, "model": {"kind": "scripted", "replies": [["Compare the answers", "no idea"]]}},
        topology="independent",
        protocol={"kind": "vote", "by": "judge"},
        calls={"repair": False, "attempts": 1},
    )
    assert sum(e.kind == "call_failed" for e in events) == 6
    assert done.totals.score == 1.0


def test_a_union_is_as_good_as_the_worst_in_it_and_is_written_side_by_side() -> None:
    done, events = logged(
        tasks={"kind": "parts", "count": 6},
        agents={"count": 2, "model": {"kind": "scripted", "accuracy": 0.6}},
        topology="independent",
        protocol={"kind": "vote", "by": "union"},
    )
    for event in (e for e in events if e.kind == "answer"):
        said = {e.answer for e in events if e.kind == "propose_claim" and e.task == event.task}
        assert event.answer == BETWEEN.join(sorted(a for a in said if a is not None))
        assert event.correct == (1.0 if len(said) == 1 and event.answer != "0" else 0.0)
    assert 0 < done.totals.score < 1  # type: ignore[operator]


def test_debates_end_in_a_union_or_a_weighted_count() -> None:
    blocks: dict[str, Any] = {"tasks": {"kind": "signal", "count": MANY}, "topology": "independent"}
    blocks["agents"] = voters(3, 0.9)
    together = result(**blocks, protocol={"kind": "debate", "rounds": 1, "by": "union"})
    close(together.totals.score or 0.0, 0.9**3, MANY)


@pytest.mark.parametrize(
    ("protocol", "says"),
    [
        ({"by": "weighted", "weights": [1, 2]}, "2 weights for 3 agents"),
        ({"by": "majority", "weights": [1, 2, 3]}, "by: weighted, not majority"),
        ({"by": "weighted", "weights": [0, 0, 0]}, "one of them is not 0"),
        ({"by": "weighted", "weights": [1e-9, 1, 1]}, "0 or at least"),
    ],
)
def test_weights_that_cannot_be_are_refused(protocol: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        build_society(
            built(
                tasks="sentiment", agents=voters(3, 0.7), topology="independent", protocol={"kind": "vote", **protocol}
            )
        )
