"""Turns that call tools: one step a round of the log, results to their caller alone, nothing made twice that writes."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from agentsoc.contracts.board import Board
from agentsoc.contracts.part import Slot
from agentsoc.engine.fork import fork
from agentsoc.engine.recompute import recompute
from agentsoc.engine.replay import replay
from agentsoc.engine.resume import resume
from agentsoc.engine.run import run
from agentsoc.engine.transcript import transcript
from agentsoc.errors import InputError, LogDamagedError, ReplayMismatchError
from agentsoc.events import Event
from agentsoc.log.journal import Journal
from agentsoc.log.read import RunLog
from tests import interrupted
from tests.societies import built
from tests.tooling import lines, noted, register


def calls_of(events: list[Event]) -> list[tuple[int, int, str, str]]:
    return [
        (event.round, event.agent, json.loads(event.answer or "")["tool"], event.text or "")
        for event in events
        if event.kind == "tool_call"
    ]


def test_a_stage_has_a_round_for_each_step_and_its_claims_come_at_its_end(tmp_path: Path) -> None:
    done = run(noted(tmp_path / "notes", tmp_path / "peeks"), tmp_path / "run")
    events = [event for event in done.events() if event.task == 0]
    assert [event.round for event in events if event.kind == "stop"] == [6]  # two stages of three steps
    assert {(event.round, event.kind) for event in events if event.round < 3} == {
        (0, "tool_call"),
        (1, "tool_call"),
        (2, "propose_claim"),
    }
    first = calls_of(events)[:9]
    assert first[0] == (0, 0, "peeking", "8")
    assert first[3:5] == [(1, 0, "noting", "noted 0-0-8"), (1, 0, "calculator", "1")]
    assert sorted(lines(tmp_path / "notes")) == sorted(f"{t}-{a}-8" for t in range(3) for a in range(3) for _ in "12")
    assert replay(tmp_path / "run").digest == done.manifest.digest


def test_claims_count_stages_and_their_ids_count_rounds() -> None:
    board = Board(0)
    board.fold([Event(0, 0, 0, 1, "tool_call")])
    assert (board.round, board.log_round) == (0, 1)
    board.fold([Event(0, 1, 0, 0, "propose_claim", 7)])
    assert (board.round, board.log_round, board.claims[7].round) == (1, 2, 0)


@pytest.mark.parametrize("concurrency", [1, 64])
def test_the_digest_does_not_depend_on_how_many_calls_go_on_at_once(tmp_path: Path, concurrency: int) -> None:
    one = run(noted(tmp_path / "a", tmp_path / "b"), tmp_path / "one")
    engine = {"concurrency": concurrency}
    model = noted(tmp_path / "a", tmp_path / "b").model_dump(mode="json")["agents"][0]["model"] | {"latency_s": 0.001}
    other = noted(tmp_path / "a", tmp_path / "b", engine=engine)
    agents = other.model_dump(mode="json")["agents"]
    agents[0]["model"] = model
    other = noted(tmp_path / "a", tmp_path / "b", engine=engine, agents=agents)
    assert run(other, tmp_path / "other").manifest.digest == one.manifest.digest


def test_killed_anywhere_it_ends_alike_and_what_writes_is_done_once(tmp_path: Path) -> None:
    whole = interrupted.to_the_end(noted(tmp_path / "n", tmp_path / "p"), tmp_path / "whole")
    n_writes = 2 * len(whole.rows)
    rng = random.Random(4)
    for number in range(5):
        notes, peeks = tmp_path / f"notes{number}", tmp_path / f"peeks{number}"
        end = interrupted.with_kills(noted(notes, peeks), tmp_path / f"run{number}", rng, n_writes, kills=2)
        assert max(Counter(lines(notes)).values()) <= 2  # once in each of the two stages
        assert len(lines(peeks)) <= 18 + 2 * 9  # made again at most once a kill
        lost = [row for row in end.rows if (row.failure or "").startswith("lost: ")]
        if not lost:
            assert end.digest == whole.digest


def test_a_call_that_writes_and_was_cut_off_is_lost_and_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = tmp_path / "notes"
    write = Journal.write

    async def dies(self: Journal, attempt: Any) -> None:
        if attempt.model == "tool:noting" and attempt.state == "done":
            raise interrupted.DiedError
        await write(self, attempt)

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "write", dies)
        with pytest.raises(interrupted.DiedError):
            run(noted(notes, tmp_path / "peeks", tasks={"kind": "coin", "count": 1}), tmp_path / "run")
    assert len(lines(notes)) == 1
    done = resume(tmp_path / "run")
    texts = [text for _, _, tool, text in calls_of(list(done.events())) if tool == "noting"]
    assert [text.partition(":")[0] for text in texts].count("lost") == 1
    assert len(lines(notes)) == len(texts) == 6
    assert replay(tmp_path / "run").digest == done.manifest.digest


def odd(words: list[str], **tool_use: Any) -> dict[str, Any]:
    register()
    calls = [[{"tool": "odd", "arguments": {"word": word}}] for word in words]
    return {
        "tasks": {"kind": "coin", "count": 1},
        "agents": {
            "count": 1,
            "model": {"kind": "scripted", "uses_tools": calls},
            "tools": ["odd"],
            "tool_use": {"steps": len(words) + 1, "timeout_s": 0.2, "result_tokens": 20, **tool_use},
        },
        "topology": "single",
        "protocol": "vote",
    }


def test_whatever_a_tool_does_is_told_in_one_line_and_ends_nothing(tmp_path: Path) -> None:
    words = ["raise", "exit", "hang", "flood", "fake", "set", "plain", "x" * 41]
    done = run(built(**odd(words)), tmp_path / "run")
    texts = [text for _, _, _, text in calls_of(list(done.events()))]
    assert texts[0].startswith("error: RuntimeError: xxx")
    assert len(texts[0]) < 250
    assert texts[1] == "error: SystemExit: 3"
    assert texts[2] == "timeout: no result within 0.2 s"
    assert "tokens left out" in texts[3]
    assert len(texts[3]) < 200
    assert texts[4] == "result: error: not really"
    assert texts[5] == "[1,2]"
    assert texts[6] == '{"said":"plain"}'
    assert texts[7].startswith("bad_arguments: word: ")
    assert done.manifest.totals.answered == 1
    assert replay(tmp_path / "run").digest == done.manifest.digest


def test_calls_beyond_the_limit_of_a_reply_fail_and_more_than_eight_are_no_reply(tmp_path: Path) -> None:
    blocks = odd(["a"])
    call = {"tool": "odd", "arguments": {"word": "a"}}
    blocks["agents"]["model"]["uses_tools"] = [[call] * 4]
    done = run(built(**blocks), tmp_path / "four")
    texts = [text for *_, text in calls_of(list(done.events()))]
    assert texts == ['{"said":"a"}', '{"said":"a"}', *["limit: at most 2 calls in one reply"] * 2]
    blocks["agents"]["model"]["uses_tools"] = [[call] * 9]
    done = run(built(**blocks), tmp_path / "nine")
    assert done.manifest.totals.failures == {"format": 1}


def test_the_last_step_has_to_answer(tmp_path: Path) -> None:
    blocks = odd(["a", "b"], steps=2)
    done = run(built(**blocks), tmp_path / "run")
    assert len(calls_of(list(done.events()))) == 1
    assert done.manifest.totals.answered == 1


def test_a_budget_of_calls_holds_and_is_replayed(tmp_path: Path) -> None:
    budget = {"tool_calls_per_task": 7}
    done = run(noted(tmp_path / "n", tmp_path / "p", budget=budget), tmp_path / "run")
    by_task: Counter[int] = Counter()
    for event in done.events():
        by_task[event.task] += event.kind == "tool_call" and not (event.text or "").startswith("limit: ")
    assert dict(by_task) == {0: 7, 1: 7, 2: 7}
    assert replay(tmp_path / "run").digest == done.manifest.digest


def test_a_call_has_a_price_that_counts_against_money(tmp_path: Path) -> None:
    prices = {"scripted": {"input": 0, "output": 0}, "tool:calculator": {"call": 0.5}}
    scenario = noted(tmp_path / "n", tmp_path / "p", prices=prices, budget={"money_per_task": 1.6})
    done = run(scenario, tmp_path / "run")
    made = [text for event in done.events() if event.kind == "tool_call" and "calculator" in (event.answer or "")
            for text in [event.text or ""]]  # fmt: skip
    assert Counter(text.startswith("limit: ") for text in made) == {False: 9, True: 9}
    assert (done.summary()["tool_calls"], done.summary()["tool_calls_refused"]) == (
        45,
        9,
    )  # the other tools have no price
    assert done.manifest.totals.cost == pytest.approx(4.5)
    assert RunLog(tmp_path / "run").check() is not None
    assert replay(tmp_path / "run").digest == done.manifest.digest


def test_agents_are_shown_what_is_left_of_their_calls(tmp_path: Path) -> None:
    budget = {"tool_calls_per_task": 20, "tokens_per_task": 50_000, "shown": "team"}
    done = run(noted(tmp_path / "n", tmp_path / "p", budget=budget), tmp_path / "run")
    last = [call.request.user for call in done.transcript(0, 0) if call.round == 5]
    asked = [message.content for call in done.transcript(0, 0) if call.round == 3 for message in call.request.messages]
    assert last
    assert any("The team's tool calls: 11 of 20 left (55 %)." in text for text in asked)
    assert any("The team's tokens: " in text for text in asked)


def test_prompts_have_the_results_and_are_those_that_were_sent(tmp_path: Path) -> None:
    done = run(noted(tmp_path / "n", tmp_path / "p"), tmp_path / "run")
    found = done.transcript(1, 2)
    assert all(call.same for call in found)
    third = found[2].request.messages
    assert [message.role for message in third] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert "peeking: " in third[1].content
    assert third[3].content == "8"
    assert third[5].content.startswith("noted 1-2-8\n3\n")
    assert "noted" not in found[3].request.user


def test_a_full_window_drops_the_oldest_results_and_keeps_the_question(tmp_path: Path) -> None:
    words = ["flood", "flood", "flood"]
    blocks = odd(words, result_tokens=200)
    blocks["agents"]["model"]["window"] = 400
    blocks["agents"]["max_tokens"] = 60
    register()
    done = run(built(**blocks), tmp_path / "run")
    last = done.transcript(0, 0)[-1]
    texts = [message.content for message in last.request.messages]
    assert last.same
    assert texts[1].count("How does coin 0 fall?") == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": {"kind": "simulated", "a": 0.7}}, "reads no prompt, so it calls no tool"),
        ({"iterations": 2}, "iterations are drafts"),
        ({"tools": ["calculator", "calculator"]}, "two tools are called calculator"),
        ({"tools": [{"kind": "calculator", "name": "a b"}]}, "is no name of a tool"),
    ],
)
def test_what_nothing_would_come_of_is_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    blocks = odd(["a"])
    blocks["agents"] = {"count": 1, "model": {"kind": "scripted"}, "tools": ["odd"], **change}
    with pytest.raises(InputError, match=said):
        run(built(**blocks), tmp_path / "run")


def test_tools_that_changed_since_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes, peeks = tmp_path / "n", tmp_path / "p"
    write = Journal.write
    left = [20]

    async def dies(self: Journal, attempt: Any) -> None:
        left[0] -= 1
        if not left[0]:
            raise interrupted.DiedError
        await write(self, attempt)

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "write", dies)
        with pytest.raises(interrupted.DiedError):
            run(noted(notes, peeks), tmp_path / "run")
    monkeypatch.setattr("tests.tooling.Noting.describe", lambda self: "writes elsewhere")
    with pytest.raises(ReplayMismatchError, match="noting: it changed") as caught:
        resume(tmp_path / "run")
    assert caught.value.exit_code == 5


def test_a_tool_that_is_not_there_is_an_answer_too(tmp_path: Path) -> None:
    blocks = odd(["a"])
    blocks["agents"]["model"]["uses_tools"] = [[{"tool": "nowhere"}]]
    done = run(built(**blocks), tmp_path / "run")
    assert [text for *_, text in calls_of(list(done.events()))] == ["unknown_tool: there is no nowhere; there is odd"]


def test_pure_calls_are_made_again_and_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(noted(tmp_path / "n", tmp_path / "p"), tmp_path / "run")
    before = len(lines(tmp_path / "n")), len(lines(tmp_path / "p"))
    assert recompute(tmp_path / "run") == 18  # those of the calculator
    assert (len(lines(tmp_path / "n")), len(lines(tmp_path / "p"))) == before
    monkeypatch.setattr("agentsoc.tools.calculator.Calculator.call", lambda self, arguments: "17")
    with pytest.raises(ReplayMismatchError, match="the tool calculator gives something else now"):
        recompute(tmp_path / "run")
    monkeypatch.setattr("agentsoc.tools.calculator.Calculator.describe", lambda self: "Guesses.")
    with pytest.raises(ReplayMismatchError, match="calculator: it changed"):
        recompute(tmp_path / "run")


def test_a_fork_has_the_tools_of_its_run_or_others_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = noted(tmp_path / "n", tmp_path / "p")
    run(scenario, tmp_path / "run")
    same = fork(tmp_path / "run", 1, 3, scenario, tmp_path / "same")
    assert same.manifest.digest == RunLog(tmp_path / "run").manifest.digest
    agents = scenario.model_dump(mode="json")["agents"]
    agents[0]["tools"] = ["calculator"]
    other = fork(tmp_path / "run", 1, 3, noted(tmp_path / "n", tmp_path / "p", agents=agents), tmp_path / "other")
    texts = {text.partition(":")[0] for *_, tool, text in calls_of(list(other.events())) if tool == "noting"}
    assert "unknown_tool" in texts
    assert replay(tmp_path / "other").digest == other.manifest.digest
    assert other.transcript(1, 0)
    monkeypatch.setattr("tests.tooling.Noting.describe", lambda self: "writes elsewhere")
    with pytest.raises(ReplayMismatchError, match="noting: it changed"):
        fork(tmp_path / "run", 1, 3, scenario, tmp_path / "changed")


def test_a_run_is_replayed_and_shown_where_nobody_brings_its_tools(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of its tools the manifest and the journal say all that is needed; only who would call one needs it."""
    done = run(noted(tmp_path / "notes", tmp_path / "peeks"), tmp_path / "run")
    before = transcript(tmp_path / "run", 0)
    monkeypatch.setitem(Slot._loose, "agentsoc.tools", {})
    assert replay(tmp_path / "run").digest == done.manifest.digest
    assert transcript(tmp_path / "run", 0) == before
    for again in (resume, recompute):
        with pytest.raises((InputError, LogDamagedError), match=r"no tool of kind 'noting'"):
            again(tmp_path / "run")


def test_calls_that_answer_at_once_are_on_disk_together_in_the_order_of_their_agents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, groups = Journal.write_all, []

    async def noted_down(self: Journal, rows: Any) -> None:
        groups.append([(row.agent, row.k, row.state) for row in rows if row.model == "tool:calculator"])
        await write(self, rows)

    monkeypatch.setattr(Journal, "write_all", noted_down)
    sums = [{"tool": "calculator", "arguments": {"expression": text}} for text in ("{agent} + 1", "{agent} / 0")]
    agents = {"count": 40, "model": {"kind": "scripted", "uses_tools": [sums]}, "tools": ["calculator"]}
    blocks = {"tasks": {"kind": "coin", "count": 1}, "topology": "independent", "protocol": "vote"}
    done = run(built(agents=agents, **blocks), tmp_path / "run")
    expected = [(agent, k, state) for agent in range(40) for k, state in ((1, "done"), (2, "failed"))]
    assert [group for group in groups if group] == [expected]
    told = [text for *_, text in calls_of(list(done.events()))]
    assert told[:4] == ["1", "error: a division by zero", "2", "error: a division by zero"]
    assert replay(tmp_path / "run").digest == done.manifest.digest
