"""Failures are not answers: limits are waited for, dead models end a run, failed turns are made again.

Every model here is an HTTP server on loopback with the habits of a provider, and every wait is bounded.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentsoc.backends.body import ServerHabits
from agentsoc.cli.main import main
from agentsoc.engine.replay import replay
from agentsoc.engine.resume import resume
from agentsoc.engine.run import Run, run
from agentsoc.errors import LogDamagedError, RunFailedError
from agentsoc.log.read import RunLog
from agentsoc.scenario.files import BASE_DIR
from agentsoc.scenario.model import Scenario
from tests.contract.odd_server import OddServer
from tests.interrupted import DiedError, die_after


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OddServer]:
    ServerHabits.forget()
    (tmp_path / "mine.jsonl").write_text(
        "".join(
            json.dumps({"id": f"q{i}", "question": f"Which is right, {i}?", "options": ["A", "B"], "answer": "B"})
            + "\n"
            for i in range(40)
        )
    )
    token = BASE_DIR.set(tmp_path)
    with OddServer() as found:
        yield found
    BASE_DIR.reset(token)
    ServerHabits.forget()


def scenario(server: OddServer, habit: str, **changes: Any) -> Scenario:
    model = {"kind": "litellm", "name": f"openai/{habit}", "base_url": server.base_url, "window": 8192}
    agents = {"count": 3, "model": model, "max_tokens": 60, **changes.pop("agents", {})}
    blocks = {
        "name": "failing",
        "seed": 5,
        "tasks": {"kind": "jsonl", "file": "mine.jsonl", "count": 8},
        "agents": [agents],
        "topology": "independent",
        "protocol": "vote",
        **changes,
    }
    return Scenario.model_validate(blocks)


def answers(run: Run | RunLog) -> list[Any]:
    return [(e.task, e.round, e.agent, e.kind, e.answer, e.correct) for e in run.events()]


def single(server: OddServer, habit: str, **changes: Any) -> Scenario:
    return scenario(server, habit, topology="single", agents={"count": 1}, **changes)


# Limits


def test_a_rate_limit_costs_no_turn_and_changes_no_answer(server: OddServer, tmp_path: Path) -> None:
    server.window_s, server.per_window = 0.25, 12
    tasks = {"kind": "jsonl", "file": "mine.jsonl", "count": 12}
    free = run(scenario(server, "voter", agents={"count": 15}, tasks=tasks), tmp_path / "free")
    limited = run(scenario(server, "limited", agents={"count": 15}, tasks=tasks), tmp_path / "limited")
    assert server.statuses[429] > 0
    assert limited.manifest.totals.calls_failed == 0
    assert answers(limited) == answers(free)
    assert limited.manifest.totals.calls == 180
    replay(limited.directory)
    one = run(single(server, "limited", tasks=tasks), tmp_path / "one")
    alone = run(single(server, "voter", tasks=tasks), tmp_path / "alone")
    gains = []
    for many, few in ((limited, one), (free, alone)):
        score, by_one = many.manifest.totals.score, few.manifest.totals.score
        assert score is not None
        assert by_one is not None
        gains.append(score - by_one)
    assert gains[0] == gains[1] > 0  # what fifteen are worth does not depend on the limit


@pytest.mark.parametrize("pause", ["0", "-5", "Thu, 01 Jan 1970 00:00:00 GMT", "soon"])
def test_a_storm_of_refusals_costs_no_turn_and_few_requests(server: OddServer, tmp_path: Path, pause: str) -> None:
    server.pause, server.outage_s = pause, 1.0
    asked = scenario(server, "storm", calls={"backoff_s": 0.05})
    stormy = run(asked, tmp_path / "stormy")
    assert stormy.manifest.totals.calls_failed == 0
    assert stormy.manifest.totals.calls == 24
    assert server.statuses[429] <= 24 + 24 + 12  # one for each answer, first calls at once, and the second of refusals
    assert stormy.manifest.digest == run(scenario(server, "voter"), tmp_path / "calm").manifest.digest
    replay(stormy.directory)


def test_a_rate_of_the_scenario_is_kept_to_over_all_runs_of_the_process(server: OddServer, tmp_path: Path) -> None:
    rate = {"requests_per_minute": 600}
    model = {"kind": "litellm", "name": "openai/voter", "base_url": server.base_url, "window": 8192, "rate": rate}
    began = time.monotonic()
    for name in ("a", "b"):
        run(scenario(server, "voter", agents={"model": model}), tmp_path / name)
    assert time.monotonic() - began >= (48 - 10) / 10 - 0.1  # 10 a second, 10 of them at once
    assert len(server.calls) == 48


# Models that cannot be used


def _dead_port() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}/v1"


@pytest.mark.parametrize(
    ("habit", "cause"),
    [
        ("missing", "HTTP 404: there is no such model"),
        ("key", "HTTP 401: this key is not known"),
        ("down", "has answered nobody for"),
    ],
)
def test_a_model_that_cannot_be_used_ends_the_run_and_resume_completes_it(
    server: OddServer, tmp_path: Path, habit: str, cause: str
) -> None:
    asked = scenario(server, habit, calls={"outage_s": 2.0})
    began = time.monotonic()
    with pytest.raises(RunFailedError, match=cause) as caught:
        run(asked, tmp_path / "run")
    assert caught.value.exit_code == 1
    assert time.monotonic() - began < 30
    assert len(server.calls) <= 10
    failed = Run(tmp_path / "run")
    assert failed.manifest.status == "failed"
    assert cause in str(failed.summary()["error"])
    failed.check()
    server.well = True
    whole = resume(tmp_path / "run")
    assert whole.manifest.status == "finished"
    whole.check()
    replay(whole.directory)
    undisturbed = run(asked, tmp_path / "undisturbed")
    assert answers(whole) == answers(undisturbed)
    assert whole.manifest.digest == undisturbed.manifest.digest


def test_nobody_at_the_address_ends_the_run(server: OddServer, tmp_path: Path) -> None:
    model = {"kind": "litellm", "name": "openai/m", "base_url": _dead_port(), "window": 8192}
    with pytest.raises(RunFailedError, match="the first 5 calls of openai/m failed alike: connection: cannot connect"):
        run(scenario(server, "m", agents={"model": model}), tmp_path / "run")
    assert sum(1 for _ in RunLog(tmp_path / "run").journal()) <= 10


def test_calls_that_had_failed_when_a_run_ended_are_counted_wherever_it_is_told(
    server: OddServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No event tells of them, as their round was not committed; the journal does, and the manifest is held to it."""
    runs = tmp_path / "runs"
    server.before = 9
    tasks = {"kind": "jsonl", "file": "mine.jsonl", "count": 20}
    asked = scenario(server, "revoked", tasks=tasks, engine={"concurrency": 4})
    with pytest.raises(RunFailedError):
        run(asked, runs / "a")
    found = RunLog(runs / "a").manifest
    in_events, under_way = found.totals.failures.get("infrastructure", 0), found.unanswered
    assert under_way
    assert in_events + under_way == sum(row.state == "failed" for row in RunLog(runs / "a").journal()) >= 20
    file = tmp_path / "dead.yaml"
    dead = f"{{kind: litellm, name: openai/m, base_url: '{_dead_port()}'}}"
    easy = "tasks: {kind: comparison, count: 4}"
    file.write_text(
        f"name: dead\nseed: 1\n{easy}\nagents: {{count: 3, model: {dead}}}\ntopology: independent\nprotocol: vote\n"
    )
    capsys.readouterr()
    assert main(["run", str(file), "--out", str(runs / "b"), "--json", "--quiet"]) == 1
    told: Any = json.loads(capsys.readouterr().out)
    assert (told["run_dir"], told["failures"]) == (str(runs / "b"), {"infrastructure": 5})
    assert Run(runs / "b").summary()["failures"]["infrastructure"]["count"] == 5
    main(["ls", str(runs), "--json"])
    rows = json.loads(capsys.readouterr().out)["runs"]
    assert [(row["failed"], row["failures"]) for row in rows] == [
        (in_events + under_way, {"infrastructure": in_events + under_way}),
        (5, {"infrastructure": 5}),
    ]
    main(["show", str(runs / "b")])
    assert "failed    5 calls under way when the run ended had failed (infrastructure)" in capsys.readouterr().out
    RunLog(runs / "a").check()
    found.unanswered = under_way + 1
    found.save(runs / "a")
    with pytest.raises(LogDamagedError, match=f"{under_way + 1} calls had failed unanswered, the journal {under_way}"):
        RunLog(runs / "a").check()
    found.unanswered = under_way
    found.save(runs / "a")
    server.well = True
    whole = resume(runs / "a").manifest
    assert (whole.calls_failed, whole.unanswered) == (0, None)


def test_a_run_of_few_calls_ends_the_same_way(server: OddServer, tmp_path: Path) -> None:
    tasks = {"kind": "jsonl", "file": "mine.jsonl", "count": 2}
    with pytest.raises(RunFailedError, match="openai/missing has answered nobody, in 2 calls"):
        run(single(server, "missing", tasks=tasks), tmp_path / "run")
    server.well = True
    assert resume(tmp_path / "run").manifest.totals.calls_failed == 0


def test_a_short_outage_is_lived_through(server: OddServer, tmp_path: Path) -> None:
    server.before, server.outage_s = 10, 1.5
    disturbed = run(scenario(server, "outage", agents={"count": 5}), tmp_path / "run")
    assert server.statuses[503] > 0
    assert disturbed.manifest.totals.calls_failed == 0
    undisturbed = run(scenario(server, "voter", agents={"count": 5}), tmp_path / "other")
    assert answers(disturbed) == answers(undisturbed)


def test_a_key_that_is_revoked_on_the_way_stops_the_run_before_much_is_lost(server: OddServer, tmp_path: Path) -> None:
    server.before = 30
    tasks = {"kind": "jsonl", "file": "mine.jsonl", "count": 40}
    asked = scenario(server, "revoked", tasks=tasks)
    with pytest.raises(RunFailedError, match="the last 20 calls of openai/revoked failed alike: rejected: HTTP 403"):
        run(asked, tmp_path / "run")
    assert len(server.calls) <= 60
    paid = server.statuses[200]
    server.well = True
    whole = resume(tmp_path / "run")
    assert server.statuses[200] == 120  # nothing that was answered is asked again
    assert paid == 30
    assert whole.manifest.totals.calls_failed == 0
    assert answers(whole) == answers(run(asked, tmp_path / "undisturbed"))


# Failed turns made again


DEBATE: dict[str, Any] = {"topology": "decentralized", "protocol": {"kind": "debate", "rounds": 3}}


@pytest.mark.parametrize("budget", [None, {"tokens_per_task": 60_000}], ids=["free", "walled"])
def test_failed_turns_of_a_finished_run_are_made_again_with_what_came_after(
    server: OddServer, tmp_path: Path, budget: dict[str, int] | None
) -> None:
    asked = scenario(server, "flaky", **DEBATE, calls={"attempts": 1}, budget=budget)
    first = run(asked, tmp_path / "run")
    failures = first.summary()["failures"]
    assert failures["infrastructure"]["count"] == first.manifest.totals.calls_failed > 0
    assert failures["infrastructure"]["text"] == "server: HTTP 500: internal error"
    before = {row.key: row for row in first.journal()}
    kept = answers(first)
    assert resume(first.directory).manifest.digest == first.manifest.digest  # without being asked, it stays as it is
    server.well, asked_before = True, len(server.calls)
    again = resume(first.directory, retry_failed=True)
    assert again.manifest.status == "finished"
    assert again.manifest.totals.calls_failed == 0
    again.check()
    replay(again.directory)
    rows = {row.key: row for row in again.journal()}
    superseded = [row for row in rows.values() if row.state == "superseded"]
    assert superseded
    assert {row.key for row in superseded} <= before.keys()
    for key, row in before.items():  # what is superseded keeps what it was charged for
        assert (rows[key].reply, rows[key].reserved, rows[key].tokens_out) == (row.reply, row.reserved, row.tokens_out)
    assert len(server.calls) - asked_before == len(rows) - len(before)
    charged = sum(
        (row.tokens_in or 0) + (row.tokens_out or 0) if row.usage_known else row.reserved for row in superseded
    )
    assert again.manifest.totals.tokens_lost == charged
    first_failed = {task: min(r for t, r, *rest in kept if t == task and rest[1] == "call_failed") for task in range(8)
                    if any(t == task and kind == "call_failed" for t, _, _, kind, *_ in kept)}  # fmt: skip
    same = [event for event in kept if event[1] < first_failed.get(event[0], 99)]
    assert same == [event for event in answers(again) if event[1] < first_failed.get(event[0], 99)]
    if budget is None:
        undisturbed = run(asked, tmp_path / "undisturbed")
        assert answers(again) == answers(undisturbed)


TIGHT: dict[str, dict[str, Any]] = {
    "tokens": {"budget": {"tokens_per_task": 4_200}},
    "calls": {"budget": {"calls_per_task": 7}},
    "money": {"budget": {"money_per_task": 0.004}, "prices": {"openai/flaky": {"input": 1, "output": 2}}},
    "shown": {"budget": {"tokens_per_task": 30_000, "shown": "team"}},
}
"""Budgets under which what failed attempts cost changes what the others of their round are granted, or told."""


@pytest.mark.parametrize("limit", TIGHT)
@pytest.mark.parametrize("seed", [5, 77])
def test_failed_turns_are_made_again_where_what_they_cost_changes_their_round(
    server: OddServer, tmp_path: Path, limit: str, seed: int
) -> None:
    """Answers that were kept, and would now be asked otherwise, are given up and charged; nothing passes the wall."""
    tasks = {"kind": "jsonl", "file": "mine.jsonl", "count": 5}
    asked = scenario(server, "flaky", **DEBATE, calls={"attempts": 1}, seed=seed, tasks=tasks, **TIGHT[limit])
    first = run(asked, tmp_path / "run")
    assert first.manifest.totals.calls_failed
    server.well = True
    again = resume(first.directory, retry_failed=True)
    assert again.manifest.status == "finished"
    assert "infrastructure" not in again.manifest.totals.failures
    again.check()
    replay(again.directory)
    rows, totals = list(again.journal()), again.manifest.totals
    assert sum(row.reply is not None for row in rows) == server.statuses[200]  # every answer that was paid is there
    cost = {row.task: 0 for row in rows}
    for row in rows:
        cost[row.task] += (row.tokens_in or 0) + (row.tokens_out or 0) if row.usage_known else row.reserved
    assert sum(cost.values()) == totals.tokens_in + totals.tokens_out + totals.tokens_lost
    if limit in ("tokens", "shown"):
        assert max(cost.values()) <= TIGHT[limit]["budget"]["tokens_per_task"]


def test_a_run_that_dies_while_its_failed_turns_are_made_again_goes_on(server: OddServer, tmp_path: Path) -> None:
    """It dies before rows are marked, as it marks them, and twice among its calls; `resume` then needs no option."""
    tasks = {"kind": "jsonl", "file": "mine.jsonl", "count": 4}
    asked = scenario(server, "flaky", **DEBATE, calls={"attempts": 1}, tasks=tasks)
    run(asked, tmp_path / "run")
    server.well = True
    for writes in (0, 3, 5):
        with pytest.MonkeyPatch.context() as patched:
            die_after(patched, writes)
            with pytest.raises(DiedError):
                resume(tmp_path / "run", retry_failed=writes == 0)
    whole = resume(tmp_path / "run")
    assert whole.manifest.totals.calls_failed == 0
    whole.check()
    replay(whole.directory)
    assert answers(whole) == answers(run(asked, tmp_path / "undisturbed"))


@pytest.mark.parametrize("protocol", [DEBATE, {"topology": "independent", "protocol": "vote"}], ids=["debate", "vote"])
def test_episodes_that_remember_one_that_is_made_again_are_made_again(
    server: OddServer, tmp_path: Path, protocol: dict[str, Any]
) -> None:
    tasks = {"kind": "jsonl", "file": "mine.jsonl", "count": 4}
    remembering = {"episodes": "sequential", "agents": {"memory": 2}, "tasks": tasks, "calls": {"attempts": 1}}
    asked = scenario(server, "flaky", **protocol, **remembering)
    assert run(asked, tmp_path / "run").manifest.totals.calls_failed
    server.well = True
    again = resume(tmp_path / "run", retry_failed=True)
    again.check()
    assert answers(again) == answers(run(asked, tmp_path / "undisturbed"))


def test_failed_turns_can_be_made_again_twice(server: OddServer, tmp_path: Path) -> None:
    asked = scenario(server, "flaky", **DEBATE, calls={"attempts": 1})
    first = run(asked, tmp_path / "run")
    second = resume(first.directory, retry_failed=True)  # the server has not recovered
    assert second.manifest.totals.calls_failed > 0
    second.check()
    replay(second.directory)
    server.well = True
    third = resume(first.directory, retry_failed=True)
    assert third.manifest.totals.calls_failed == 0
    third.check()
    replay(third.directory)


def test_odd_providers_are_answered_with_the_defaults(server: OddServer, tmp_path: Path) -> None:
    for habit in ("reasoner", "noseed", "noschema", "reasoning", "think", "parts", "deepseek", "anthropic", "floats"):
        done = run(scenario(server, habit), tmp_path / habit)
        totals = done.manifest.totals
        assert (totals.calls, totals.calls_failed, totals.score) == (24, 0, 1.0), habit
        assert (totals.tokens_in, totals.tokens_out, totals.tokens_lost) == (24 * 50, 24 * 12, 0), habit


def test_a_model_that_writes_prose_is_told_with_the_key_to_set(
    server: OddServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    built = scenario(server, "prose", calls={"backoff_s": 0.0})
    path = tmp_path / "prose.yaml"
    path.write_text(json.dumps(built.model_dump(mode="json", exclude_none=True)))
    assert main(["run", str(path), "--out", str(tmp_path / "json"), "--quiet"]) == 1
    assert "--set agents.*.reply=text" in capsys.readouterr().out
    words = ["--set", "agents.*.reply=text", "--out", str(tmp_path / "text"), "--quiet"]
    assert main(["run", str(path), *words]) == 0
    said = capsys.readouterr().out
    assert "0 failed" in said
    assert "reply=text" not in said
