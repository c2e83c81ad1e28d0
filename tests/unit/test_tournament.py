"""A tournament makes n + m calls; its ratings follow the log, and a judge who guesses gains nothing."""

from __future__ import annotations

from collections import Counter
from math import ceil
from typing import Any

import pytest

from agentsoc.contracts.board import Board
from agentsoc.engine.bounds import Bound
from agentsoc.engine.forecast import bound
from agentsoc.errors import InputError
from agentsoc.events import Event
from agentsoc.protocols.tournament import Ranking, Tournament
from agentsoc.society.build import build_society
from agentsoc.theory.ratings import START, bradley_terry, elo
from tests.societies import built, logged

COIN: dict[str, Any] = {"kind": "coin", "count": 2}


def tournament(n: int, m: int, *, model: Any = "scripted", tasks: Any = COIN, hub: bool = True, **rules: Any) -> Any:
    return {
        "tasks": tasks,
        "agents": {"count": n + hub, "model": model},
        "topology": "star" if hub else "independent",
        "protocol": {"kind": "tournament", "matches": m, **rules},
    }


@pytest.mark.parametrize("by", ["elo", "bradley-terry"])
@pytest.mark.parametrize("model", [{"kind": "scripted", "accuracy": 0.6}, {"kind": "simulated", "signal": 0.3}])
def test_calls_deliveries_and_rounds_are_as_the_closed_form_says(model: Any, by: str) -> None:
    for n in (2, 5):
        for m in (1, 7):
            for at_once in (1, 3) if m == 7 else (3,):
                for hub in (True, False):
                    blocks = tournament(n, m, model=model, hub=hub, by=by, at_once=at_once)
                    totals = logged(check=m == 7 and at_once == 3, **blocks)[0].totals
                    assert totals.calls == 2 * (n + m)
                    assert totals.deliveries == 2 * 2 * m
                    assert totals.rounds == 2 * (1 + ceil(m / at_once))
                    if model["kind"] == "scripted":
                        known = bound(build_society(built(**blocks)))
                        assert isinstance(known, Bound)
                        assert known.calls == totals.calls


def folded(blocks: Any, events: list[Event], task: int) -> Ranking:
    """Return the fold of an episode's events."""
    society = build_society(built(**blocks))
    protocol = society.scenario.protocol
    assert isinstance(protocol, Tournament)
    ranking, board = Ranking(protocol, society), Board(task)
    board.watchers = (ranking,)
    last = max(event.round for event in events if event.task == task)
    for round_ in range(last + 1):
        board.fold([event for event in events if event.task == task and event.round == round_])
    return ranking


@pytest.mark.parametrize("pairing", ["spread", "random"])
def test_ratings_follow_the_log_and_the_highest_rated_is_the_answer(pairing: str) -> None:
    tasks = {"kind": "multiple-choice", "count": 3}
    for by in ("elo", "bradley-terry"):
        blocks = tournament(5, 20, model={"kind": "scripted", "accuracy": 0.5}, tasks=tasks, pairing=pairing, by=by)
        _, events = logged(**blocks)
        for task in range(3):
            ranking = folded(blocks, events, task)
            assert len(ranking.won) == 20
            assert abs(sum(ranking.points) - 5 * START) < 1e-9
            assert ranking.points == pytest.approx(elo(5, ranking.won))
            ratings = ranking.points if by == "elo" else list(bradley_terry(5, ranking.won).on_elo_scale)
            (answer,) = [event for event in events if event.task == task and event.kind == "answer"]
            [chosen] = answer.parents
            assert ratings[ranking.items.index(chosen)] == pytest.approx(max(ratings))
            assert answer.text is not None
            assert "after 20 matches" in answer.text
            assert ("standard error" in answer.text) == (by == "bradley-terry")


def test_newcomers_near_equals_and_leaders_meet_more_than_at_random() -> None:
    """After a round each has played; with eight in nine matches by turns nobody is left out."""
    played = {}
    for pairing in ("spread", "random"):
        blocks = tournament(12, 36, model={"kind": "scripted", "accuracy": 0.6}, pairing=pairing, at_once=3)
        _, events = logged(check=False, **blocks)
        played[pairing] = [folded(blocks, events, task).played for task in range(2)]
        assert all(sum(each) == 72 for each in played[pairing])
    assert all(min(each) >= 2 for each in played["spread"])
    assert max(map(max, played["spread"])) > max(map(max, played["random"]))  # leaders play most


def test_the_order_in_which_two_are_shown_is_drawn_and_logged() -> None:
    _, events = logged(check=False, **tournament(2, 400, at_once=100, tasks={"kind": "coin", "count": 1}))
    orders = Counter((event.text or "").split(":")[0].split("of agents ")[1] for event in events if event.target)
    assert set(orders) == {"1 2", "2 1"}
    assert abs(orders["1 2"] - 200) < 4 * 10


@pytest.mark.parametrize(("w", "m"), [(1.0, 1), (4.0, 1), (1.0, 12)])
def test_a_match_gains_what_the_odds_of_its_judge_say_and_a_guess_gains_nothing(w: float, m: int) -> None:
    n, p, tasks = (2, 0.4, 400) if m == 1 else (6, 0.4, 250)
    model = {"kind": "simulated", "signal": (p - 0.2) / 0.8, "judge_odds": w}
    blocks = tournament(n, m, model=model, tasks={"kind": "signal", "count": tasks, "choices": 5}, at_once=12)
    found = logged(check=False, **blocks)[0].totals.score or 0
    expected = p if w == 1 else p**2 + 2 * p * (1 - p) * w / (1 + w)
    assert abs(found - expected) < 3 * (expected * (1 - expected) / tasks) ** 0.5


def test_peers_judge_what_they_did_not_write_where_there_are_others() -> None:
    _, events = logged(check=False, **tournament(4, 30, hub=False))
    author = {event.claim: event.agent for event in events if event.round == 0 and event.claim is not None}
    for event in events:
        if event.kind == "endorse_claim" and event.target is not None:
            shown = {int(agent) for agent in (event.text or "").split(":")[0].split("of agents ")[1].split()}
            assert event.agent not in shown
            assert author[event.target] in shown
    two = logged(check=False, **tournament(2, 5, hub=False))[0].totals  # nobody else is there
    assert two.calls == 2 * (2 + 5)


def test_a_judge_who_fails_plays_no_match_and_one_answer_needs_none() -> None:
    silent = {"kind": "scripted", "replies": [["", "??"]]}
    blocks = tournament(3, 6)
    blocks["agents"] = [{"count": 1, "model": silent}, {"count": 3, "model": "scripted"}]
    blocks["calls"] = {"attempts": 1, "repair": False}
    done, events = logged(**blocks)
    assert done.totals.answered == 2
    assert all("after 0 matches" in (event.text or "") for event in events if event.kind == "answer")
    blocks["agents"] = [{"count": 2, "model": "scripted"}, {"count": 2, "model": silent}]
    assert logged(**blocks)[0].totals.calls == 2 * 3
    blocks["agents"] = {"count": 4, "model": silent}
    assert logged(**blocks)[0].totals.answered == 0


def test_a_spent_budget_gives_whoever_leads() -> None:
    blocks = tournament(4, 200, at_once=2)
    done, _ = logged(**blocks, budget={"tokens_per_task": 1_500})
    assert done.totals.stops == {"budget_exhausted": 2}
    assert done.totals.answered == 2


@pytest.mark.parametrize(("n", "topology"), [(1, "single"), (1, "independent"), (2, "star")])
def test_a_tournament_of_one_is_refused(n: int, topology: str) -> None:
    blocks = {"agents": {"count": n, "model": "scripted"}, "topology": topology, "protocol": "tournament"}
    with pytest.raises(InputError, match="needs two who propose"):
        build_society(built(tasks=COIN, **blocks))
