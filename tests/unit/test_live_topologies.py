"""Edges that move while an episode goes on: drawn by reputation, matched by words, and with the lowest dropped."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from scipy import optimize

from agentsoc.contracts.board import Board
from agentsoc.contracts.part import Slot
from agentsoc.contracts.turns import Reply, View
from agentsoc.engine.bounds import Bound
from agentsoc.engine.forecast import bound
from agentsoc.engine.run import run
from agentsoc.errors import InputError, TopologyError
from agentsoc.events import Event, pack_id
from agentsoc.society.build import build_society
from agentsoc.society.coded import CodedAgent
from agentsoc.society.topologies.live import DynamicReputation, LiveRouter, NeedOffer, ReputationRouter, marked
from agentsoc.streams import uniform
from tests.societies import built, logged

LIVE: dict[str, dict[str, Any]] = {
    "dynamic-reputation": {"kind": "dynamic-reputation", "hears": 2},
    "need-offer": {"kind": "need-offer", "hears": 2},
}


def debate(n: int, topology: Any, rounds: int = 3, *, model: Any = "scripted", **protocol: Any) -> dict[str, Any]:
    return {
        "tasks": {"kind": "coin", "count": 3},
        "agents": {"count": n, "model": model},
        "topology": topology,
        "protocol": {"kind": "debate", "rounds": rounds, **protocol},
    }


@pytest.mark.parametrize("kind", LIVE)
@pytest.mark.parametrize("protocol", ["debate", "placebo"])
def test_calls_deliveries_and_rounds_are_as_the_closed_form_says(kind: str, protocol: str) -> None:
    for n in (4, 7):
        for k in (1, 3):
            for rounds in (1, 4):
                blocks = debate(n, {"kind": kind, "hears": k}, rounds)
                blocks["protocol"]["kind"] = protocol
                totals = logged(check=rounds == 4, **blocks)[0].totals
                assert totals.calls == 3 * rounds * n
                assert totals.deliveries == 3 * (rounds - 1) * n * k
                known = bound(build_society(built(**blocks)))
                assert isinstance(known, Bound)
                assert known.calls == totals.calls


def test_the_lowest_ranked_are_dropped_and_counted_no_more() -> None:
    """After each exchange d of n are dropped: n + n + (n - d) + (n - 2 d) calls in four rounds, while `keep` stay."""
    for n, d, keep in ((7, 1, 2), (7, 2, 4), (5, 3, 2)):
        topology = {"kind": "dynamic-reputation", "hears": 2, "drop": d, "keep": keep}
        done, events = logged(**debate(n, topology, 4, model={"kind": "scripted", "accuracy": 0.6, "cites": "all"}))
        left = [n, n, max(n - d, keep), max(n - 2 * d, keep)]
        assert done.totals.calls == 3 * sum(left)
        rested: Counter[tuple[int, int]] = Counter()
        author = {(e.task, e.claim): e.agent for e in events if e.claim is not None}
        for event in events:
            if event.round == 1 and event.agent >= 0:
                for agent in {author[event.task, parent] for parent in event.parents} - {event.agent}:
                    rested[event.task, agent] += 1
        for task in range(3):
            speakers = [
                {e.agent for e in events if (e.task, e.round) == (task, round_) and e.agent >= 0} for round_ in range(4)
            ]
            assert [len(each) for each in speakers] == left
            gone = speakers[1] - speakers[2]
            assert max((rested[task, agent] for agent in gone), default=0) <= min(
                rested[task, agent] for agent in speakers[2]
            )
            assert speakers[3] <= speakers[2]


def routed(rules: Any, n: int, seed: int = 5) -> LiveRouter:
    society = build_society(built(**{**debate(n, rules.model_dump()), "seed": seed}))
    router = rules.router(society)
    assert isinstance(router, LiveRouter)
    return router


def spoken(task: int, round_: int, n: int, text: str | None = None) -> list[Event]:
    return [
        Event(task, round_, a, 0, "propose_claim", pack_id(round_, a, 0), answer="heads", text=text) for a in range(n)
    ]


def consultations(beta: float, tasks: int = 40, n: int = 10) -> tuple[float, float, np.ndarray]:
    """Return a conditional logit estimate of beta with its standard error, and how often each was consulted."""
    rules, chosen, counts = DynamicReputation(hears=1, beta=beta, start=1.0), [], np.zeros((tasks, n))
    for task in range(tasks):
        router = routed(rules, n, seed=11) if task == 0 else ReputationRouter(rules, SOCIETIES[n])
        assert isinstance(router, ReputationRouter)
        router.fold(spoken(task, 0, n))
        for round_ in range(1, 7):
            weights = np.log(router.reputation + 1.0)
            for agent, (heard,) in enumerate(router.heard(task).tolist()):
                others = [other for other in range(n) if other != agent]
                chosen.append((weights[heard], weights[others]))
                counts[task, heard] += 1
            router.fold(spoken(task, round_, n))

    def minus(b: np.ndarray) -> float:
        return -sum(float(b[0] * own - np.logaddexp.reduce(b[0] * offered)) for own, offered in chosen)

    best = float(optimize.minimize(minus, np.zeros(1), tol=1e-9).x[0])
    h = 1e-3
    curvature = (minus(np.array([best + h])) - 2 * minus(np.array([best])) + minus(np.array([best - h]))) / h**2
    return best, curvature**-0.5, counts


SOCIETIES = {10: build_society(built(**{**debate(10, "dynamic-reputation"), "seed": 11}))}


def test_the_exponent_of_the_routing_is_found_again_and_concentrates_what_is_heard() -> None:
    shares = []
    for beta in (0.0, 1.0, 2.0):
        found, error, counts = consultations(beta)
        assert abs(found - beta) < 3 * error
        assert error < 0.15
        shares.append(float((counts.max(axis=1) / counts.sum(axis=1)).mean()))
    assert shares[0] < shares[1] < shares[2]


def test_reputation_counts_consultations_and_a_tenth_for_each_stage_spoken_in() -> None:
    router = routed(DynamicReputation(hears=2), 5)
    assert isinstance(router, ReputationRouter)
    router.fold(spoken(0, 0, 5))
    assert router.reputation.tolist() == [0.1] * 5
    heard = router.heard(0)
    assert all(agent not in row and len(set(row)) == 2 for agent, row in enumerate(heard.tolist()))
    router.fold(spoken(0, 1, 5))
    expected = 0.2 + np.bincount(heard.reshape(-1), minlength=5)
    assert np.allclose(router.reputation, expected)
    assert router.reputation.sum() == pytest.approx(5 * 2 + 5 * 0.2)


def test_needs_are_matched_with_the_offers_that_fit_them_best() -> None:
    router = routed(NeedOffer(hears=1), 3)
    said = (
        "x\nNEED: the height of towers\nOFFER: prices of fish",
        "**Offer**: the height of old towers\nneed: fish",
        "fish",
    )
    events = [
        Event(0, 0, agent, 0, "propose_claim", pack_id(0, agent, 0), answer="a", text=text)
        for agent, text in enumerate(said)
    ]
    router.fold(events)
    board = Board(0)
    assert router.hears(board, 0) == (1,)
    assert router.hears(board, 1) == (2,)  # all of one word against one of three
    assert router.hears(board, 2) == (0,)
    assert marked(said[0], "offer") == {"prices", "of", "fish"}
    assert marked("no line", "need") == {"no", "line"}
    assert marked("\n" * 200_000 + "need" * 9 + " \t" * 100_000, "need") == {"need" * 9}


class Holder(CodedAgent):
    """Knows one of n facts and needs the next agent's; right once it has heard it, else as its seed says."""

    kind: Literal["holder"] = "holder"
    n: int = 8

    async def act(self, view: View) -> Reply:
        truth = "heads" if uniform(5, "coin", view.task, 0, 0) < 0.5 else "tails"
        wrong = "tails" if truth == "heads" else "heads"
        need = (view.agent + 1) % self.n
        text = f"NEED: fact{need}\nOFFER: fact{view.agent}"
        knows = any(claim.agent == need for claim in view.claims)
        return Reply(answer=truth if knows else wrong, text=text)


@pytest.fixture(autouse=True)
def _holder_is_known() -> None:
    Slot.register(Holder)


def test_who_is_matched_by_words_hears_what_it_needs_and_who_is_matched_by_lots_as_often_as_lots_say() -> None:
    n, tasks = 8, 60
    for match, share in (("words", 1.0), ("lots", 2 / (n - 1))):
        blocks = debate(n, {"kind": "need-offer", "hears": 2, "match": match}, 2, model={"kind": "holder", "n": n})
        blocks["tasks"]["count"] = tasks
        _, events = logged(check=match == "words", **blocks)
        right = [
            event.correct for event in events if event.round == 1 and event.agent >= 0 and event.correct is not None
        ]
        assert len(right) == tasks * n
        found = sum(right) / len(right)
        assert abs(found - share) <= 4 * (share * (1 - share) / len(right)) ** 0.5


@pytest.mark.parametrize("kind", LIVE)
def test_what_agents_are_shown_follows_the_router_in_a_transcript_as_in_the_run(kind: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        blocks = debate(5, {**LIVE[kind], "drop": 1}, 4, model={"kind": "scripted", "accuracy": 0.6, "cites": "all"})
        done = run(built(**blocks), Path(scratch) / "run")
        seen = {}
        for call in done.transcript(1):
            assert call.same
            seen[call.round, call.agent] = tuple(a for a in range(5) if f"agent {a}:" in call.request.user)
        assert all(len(heard) == 2 and agent not in heard for (r, agent), heard in seen.items() if r)
        ways = [{seen[at] for at in seen if at[0] and at[1] == agent} for agent in range(5)]
        assert max(map(len, ways)) > 1  # edges move


@pytest.mark.parametrize(
    ("protocol", "what"),
    [
        ({"kind": "relay"}, "which relay does not follow"),
        ({"kind": "dti", "protocol": "debate"}, "which dti does not follow"),
        ({"kind": "debate", "order": "in-turn"}, "agents speak in turn"),
    ],
)
def test_protocols_that_would_not_follow_the_edges_are_refused(protocol: dict[str, Any], what: str) -> None:
    with pytest.raises(InputError, match=what):
        build_society(built(**{**debate(5, "dynamic-reputation"), "protocol": protocol}))


@pytest.mark.parametrize(("n", "hears"), [(2, 2), (2_001, 2)])
def test_too_few_to_hear_or_too_many_to_draw_among_are_refused(n: int, hears: int) -> None:
    with pytest.raises(TopologyError, match="needs more agents than each hears, and at most 2,000"):
        build_society(built(**debate(n, {"kind": "need-offer", "hears": hears}, model="simulated")))
