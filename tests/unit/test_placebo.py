"""A placebo counts as a debate does, shows what was said elsewhere at the same length, and gains readers nothing."""

from __future__ import annotations

import tempfile
from collections import Counter
from math import comb
from pathlib import Path
from typing import Any

import pytest

from agentsoc.backends.scripted import ScriptedBackend
from agentsoc.contracts.board import Board, Claim
from agentsoc.contracts.turns import Turn
from agentsoc.engine.bounds import Bound
from agentsoc.engine.elsewhere import in_place, shown_in
from agentsoc.engine.forecast import bound
from agentsoc.engine.fork import fork
from agentsoc.engine.replay import replay
from agentsoc.engine.resume import resume
from agentsoc.engine.run import run
from agentsoc.errors import InputError
from agentsoc.events import COORDINATION
from agentsoc.log.read import RunLog
from agentsoc.society.build import build_society
from tests.societies import built, logged

SCRIPTED: dict[str, Any] = {"kind": "scripted", "accuracy": 0.6, "cites": "all"}


def society(n: int = 3, rounds: int = 2, *, kind: str = "placebo", tasks: int = 4, **blocks: Any) -> dict[str, Any]:
    return {
        "tasks": {"kind": "coin", "count": tasks},
        "agents": {"count": n, "model": SCRIPTED},
        "topology": "decentralized",
        "protocol": {"kind": kind, "rounds": rounds},
        **blocks,
    }


@pytest.mark.parametrize("order", ["together", "in-turn"])
def test_it_makes_the_calls_deliveries_and_rounds_of_a_debate(order: str) -> None:
    for n in (2, 3):
        for rounds in (1, 3):
            done, other = (
                logged(check=n == 3, **society(n, rounds, protocol={"kind": kind, "rounds": rounds, "order": order}))[0]
                for kind in ("placebo", "debate")
            )
            assert done.totals.calls == other.totals.calls == 4 * rounds * n
            assert done.totals.deliveries == other.totals.deliveries == 4 * rounds * n * (n - 1)
            assert done.totals.rounds == other.totals.rounds
            assert done.totals.turns == other.totals.turns


def test_a_bound_is_that_of_a_debate() -> None:
    found = [bound(build_society(built(**society(4, 3, kind=kind)))) for kind in ("placebo", "debate")]
    assert isinstance(found[0], Bound)
    assert found[0].calls == 4 * 3 * 4
    assert found[0] == found[1]


def test_agents_are_shown_what_was_said_in_the_task_before_at_the_same_length() -> None:
    """Of two-word texts `call 0`, so that prompts have as many words as those of a debate."""
    with tempfile.TemporaryDirectory() as scratch:
        blocks = society(3, 3, tasks=3, calls={"attempts": 1}, peers_see="whole")
        blocks["tasks"] = {"kind": "multiple-choice", "count": 3}
        done = run(built(**blocks), Path(scratch) / "run")
        events = list(RunLog(Path(scratch) / "run").events())
        for task in range(3):
            for call in done.transcript(task):
                assert call.same
                if not call.round:
                    continue
                before = [
                    event
                    for event in events
                    if event.task == shown_in(task) and event.agent >= 0 and event.round < call.round
                ]
                last = {event.agent: event.answer for event in before if event.answer is not None}
                shown = {agent: answer for agent, answer in last.items() if agent != call.agent}
                assert len(shown) == 2
                for agent, answer in shown.items():
                    assert f"agent {agent}" in call.request.user
                    assert answer is not None
                    assert answer in call.request.user
        # a debate over the same tasks spends as many words on prompts: only which answers are shown differs
        debate = run(built(**{**blocks, "protocol": {"kind": "debate", "rounds": 3}}), Path(scratch) / "debate")
        ours, theirs = done.manifest.totals, debate.manifest.totals
        assert abs(ours.tokens_in - theirs.tokens_in) <= 0.02 * theirs.tokens_in


def test_no_claim_rests_on_what_its_author_was_not_shown() -> None:
    for parents in ("cited", "visible", "inferred"):
        _, events = logged(**society(4, 3, parents=parents))
        for event in events:
            if event.claim is not None or event.kind == "endorse_claim":
                authors = set(event.parents)
                own = {e.claim for e in events if e.task == event.task and e.agent == event.agent}
                assert authors <= own


def test_a_text_is_cut_or_said_again_until_it_is_as_long() -> None:
    board = Board(0)
    board.claims = {7: Claim(7, 1, 0, "propose_claim", "a", "one two three"), 9: Claim(9, 2, 0, "propose_claim", "b")}
    said = {0: Claim(5, 0, 0, "propose_claim", "x", "long words of nothing at all", 0.25)}
    turn = in_place(Turn(0, sees=(7, 9, 7)), board, said)
    assert turn.sees == (7, 9, 7)
    assert [(c.id, c.agent, c.answer, c.text, c.confidence) for c in turn.instead] == [
        (7, 1, "x", "long words of", 0.25),
        (9, 2, "x", None, 0.25),
    ]
    short = {1: Claim(5, 1, 0, "propose_claim", "x", "so it")}
    assert in_place(Turn(0, sees=(7,)), board, short).instead[0].text == "so it so"
    assert in_place(Turn(0, sees=(7,)), board, {}) == Turn(0)


def placebo_of(n: int, p: float) -> float:
    """Return how often a reader is right that counts its own vote and those of n - 1 about another question of two."""
    others = n - 1
    half = others // 2
    at_least = 0.5 * sum(
        comb(others, s) * (q**s * (1 - q) ** (others - s)) for q in (p, 1 - p) for s in range(half, others + 1)
    )
    return p * at_least + (1 - p) * (1 - at_least)


def test_readers_who_count_votes_gain_nothing_and_lose_what_the_closed_form_says() -> None:
    n, p, tasks = 5, 0.7, 800
    blocks = society(n, 2, tasks=tasks)
    blocks["agents"]["model"] = {"kind": "simulated", "signal": 2 * p - 1}
    _, events = logged(check=False, **blocks)
    shares: dict[int, dict[int, float]] = {0: {}, 1: {}}
    for event in events:
        if event.correct is not None and event.agent >= 0 and event.round < 2:
            per = shares[event.round]
            per[event.task] = per.get(event.task, 0.0) + event.correct / n
    for round_, expected in ((0, p), (1, placebo_of(n, p))):
        each = list(shares[round_].values())
        mean = sum(each) / tasks
        deviation = (sum((one - mean) ** 2 for one in each) / tasks) ** 0.5
        assert abs(mean - expected) < 3 * deviation / tasks**0.5
    assert placebo_of(n, p) < p


def test_what_readers_of_a_debate_gain_they_do_not_gain_here_and_those_who_keep_their_own_are_the_same() -> None:
    model: dict[str, Any] = {"kind": "simulated", "signal": 0.4}
    scores = {}
    for keep in (None, 1.0):
        for kind in ("placebo", "debate", "vote"):
            protocol = {"kind": kind} if kind == "vote" else {"kind": kind, "rounds": 3}
            blocks = society(5, tasks=300, agents={"count": 5, "model": {**model, "keep_own": keep}}, protocol=protocol)
            scores[keep, kind] = logged(check=False, **blocks)[0].totals.score or 0.0
    assert scores[1.0, "placebo"] == scores[1.0, "vote"] == scores[1.0, "debate"]
    assert scores[None, "placebo"] < scores[None, "vote"] - 0.05


def test_an_episode_that_ends_early_is_shown_as_it_ended() -> None:
    done, events = logged(**society(3, 6, tasks=20, protocol={"kind": "placebo", "rounds": 6, "until": "consensus"}))
    rounds = {event.task: event.round for event in events if event.kind == "stop"}
    assert min(rounds.values()) < max(rounds.values())
    assert done.totals.stops == {"finished": 20}


def calls_under(budget: int, kind: str, order: str) -> dict[int, int]:
    """Return how many turns each task had that were answered, under a ceiling."""
    blocks = society(
        4, tasks=4, budget={"tokens_per_task": budget}, protocol={"kind": kind, "rounds": 4, "order": order}
    )
    done, events = logged(check=False, **blocks)
    assert done.totals.stops == {"budget_exhausted": 4}
    turns = Counter(event.task for event in events if event.kind in COORDINATION and event.agent >= 0)
    assert sum(turns.values()) == done.totals.calls
    return dict(turns)


@pytest.mark.parametrize("budget", [150, 500, 700, 1200, 1600])
def test_under_a_budget_it_makes_exactly_the_calls_of_a_debate(budget: int) -> None:
    """Replies are equally long, so that whatever a ceiling pays for in one, it pays for in the other."""
    placebo, debate = (calls_under(budget, kind, "together") for kind in ("placebo", "debate"))
    assert placebo == debate
    assert 0 < min(debate.values()) < 4 * 4


def test_in_turn_a_debate_shows_less_where_its_agents_endorse_so_a_budget_may_pay_for_more_of_it() -> None:
    found = [[calls_under(budget, kind, "in-turn") for kind in ("placebo", "debate")] for budget in (300, 500, 700)]
    assert all(one[task] <= other[task] for one, other in found for task in other)
    assert any(one != other for one, other in found)


def test_a_budget_ends_episodes_and_nobody_waits_for_ever() -> None:
    done, _ = logged(**society(4, 6, tasks=40, budget={"tokens_per_task": 900}))
    assert set(done.totals.stops) <= {"finished", "budget_exhausted"}
    assert done.totals.stops["budget_exhausted"] > 30
    assert logged(**society(2, 5, tasks=2))[0].totals.stops == {"finished": 2}
    none, events = logged(
        **society(2, 3, tasks=3, agents={"count": 2, "model": {"kind": "scripted", "replies": [["", "??"]]}})
    )
    assert none.totals.stops == {"finished": 3}
    assert not any(event.claim for event in events)


@pytest.mark.parametrize(
    ("changes", "where"), [({"tasks": 1}, "tasks.count"), ({"episodes": "sequential"}, "episodes")]
)
def test_it_needs_another_task_that_goes_on_at_the_same_time(changes: dict[str, Any], where: str) -> None:
    with pytest.raises(InputError, match="placebo shows what was said in another task") as found:
        build_society(built(**society(**changes)))
    assert found.value.problem.where == where


def test_a_fork_keeps_what_was_shown_before_it_or_says_that_it_cannot(tmp_path: Path) -> None:
    scenario = built(**society(3, 3))
    run(scenario, tmp_path / "run")
    with pytest.raises(InputError, match="shows what is said after it"):
        fork(tmp_path / "run", 1, 1, scenario, tmp_path / "refused")
    other = built(**{**society(3, 3), "protocol": {"kind": "debate", "rounds": 2}})
    for task, round_ in ((2, 1), (3, 2), (0, 1)):
        done = fork(tmp_path / "run", task, round_, other, tmp_path / f"fork{task}")
        assert replay(done.directory).digest == done.manifest.digest


def test_the_scenario_of_a_preset_is_a_debate_but_for_what_is_shown() -> None:
    blocks: dict[str, Any] = {"tasks": {"kind": "coin", "count": 4}, "agents": {"model": "scripted"}}
    found = {name: logged(preset=name, **blocks)[0].totals for name in ("placebo", "debate", "self-correction")}
    assert found["placebo"].calls == found["debate"].calls == found["self-correction"].calls == 4 * 2 * 3
    assert found["placebo"].deliveries == found["debate"].deliveries == 4 * 2 * 3 * 2
    assert found["self-correction"].deliveries == 0


def test_turns_that_failed_are_made_again_with_all_that_was_shown_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = {**SCRIPTED, "fail_rate": 0.15}
    blocks = society(3, 3, tasks=6, agents={"count": 3, "model": model}, calls={"attempts": 1, "fail_fast": False})
    first = run(built(**blocks), tmp_path / "run")
    assert first.manifest.totals.calls_failed
    draw = ScriptedBackend._draw
    with monkeypatch.context() as patch:  # the server is well again
        patch.setattr(ScriptedBackend, "_draw", lambda self, what, hint: what == "fail" or draw(self, what, hint))
        again = resume(first.directory, retry_failed=True)
    assert again.manifest.totals.calls_failed == 0
    assert again.manifest.digest != first.manifest.digest
    assert replay(again.directory).digest == again.manifest.digest
    whole = run(built(**{**blocks, "agents": {"count": 3, "model": SCRIPTED}}), tmp_path / "whole")
    assert [e for e in again.events() if e.kind == "answer"] == [e for e in whole.events() if e.kind == "answer"]
