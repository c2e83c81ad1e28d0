"""Societies under a ceiling, by waves: who is asked, what a crash changes, and what no schedule changes."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar, Final

import polars as pl
import pytest

import agentsoc.engine.episode as episode_module
from agentsoc.budget.waves import WaveQueue
from agentsoc.contracts.rules import FIRST
from agentsoc.engine import paid_round
from agentsoc.engine.execute import Plan, execute
from agentsoc.engine.fork import fork
from agentsoc.engine.paid_round import PaidRound, RoundTaken
from agentsoc.engine.replay import replay
from agentsoc.engine.run import run
from agentsoc.errors import ReplayMismatchError
from agentsoc.log.read import RunLog
from agentsoc.scenario.model import Scenario
from tests.interrupted import to_the_end, with_kills
from tests.serving import served
from tests.strategies import scenario

TOKENS_IN: Final = 40
TOKENS_OUT: Final = 9


class Counting(BaseHTTPRequestHandler):
    """A provider that answers everything alike and says what that cost: always the same."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        said = json.dumps({"answer": "17", "why": "eight and nine"})
        usage = {"prompt_tokens": TOKENS_IN, "completion_tokens": TOKENS_OUT, "total_tokens": TOKENS_IN + TOKENS_OUT}
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": said}}
        body = json.dumps({"id": "1", "object": "chat.completion", "choices": [choice], "usage": usage}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    with served(Counting) as address:
        yield address


@pytest.mark.parametrize("order", ["together", "in-turn"])
def test_a_ceiling_favours_no_width_of_rounds(order: str, provider: str, tmp_path: Path) -> None:
    """The same fifteen calls a task whether five debaters speak at once or one after the other.

    A round of five reserves more than the ceiling (a byte a token, 200 tokens for the reply), and uses 245 tokens.
    """
    one = scenario(
        tasks={"kind": "arithmetic", "count": 3},
        agents={
            "count": 5,
            "model": {"kind": "litellm", "name": "openai/m", "base_url": provider, "api_key_env": None, "window": 8192},
            "max_tokens": 200,
        },
        topology="decentralized",
        protocol={"kind": "debate", "rounds": 3, "order": order},
        budget={"tokens_per_task": 4_000},
    )
    log = run(one, tmp_path / "run")
    totals = log.manifest.totals
    assert totals.stops == {"finished": 3}
    assert (totals.calls, totals.calls_failed) == (3 * 15, 0)
    assert totals.tokens_in + totals.tokens_out == 3 * 15 * (TOKENS_IN + TOKENS_OUT)
    assert "budget_exhausted" not in totals.events_by_kind
    seen = replay(tmp_path / "run")
    assert (seen.digest, seen.model_calls) == (log.manifest.digest, 0)


# Schedules


def debate(**changes: Any) -> Scenario:
    """Six agents of whom some fail and some reply in no form, with tokens for two or three of them at once."""
    return scenario(
        **{
            "tasks": {"kind": "coin", "count": 3},
            "agents": {
                "count": 6,
                "model": {"kind": "scripted", "accuracy": 0.7, "fail_rate": 0.2, "malformed_rate": 0.2},
                "max_tokens": 60,
            },
            "topology": "hybrid",
            "protocol": {"kind": "debate", "rounds": 3},
            "budget": {"tokens_per_task": 1_500},
            "calls": {"backoff_s": 0.0},
            **changes,
        }
    )


class Watched(PaidRound):
    """Notes in how many waves each round was taken."""

    seen: ClassVar[Counter[int]] = Counter()

    async def take(self) -> RoundTaken:
        taken = await super().take()
        self.seen[taken.waves] += 1
        return taken


@pytest.fixture
def waves(monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """Return how many rounds took how many waves."""
    monkeypatch.setattr(Watched, "seen", Counter())
    monkeypatch.setattr(episode_module, "PaidRound", Watched)
    return Watched.seen


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"budget": {"calls_per_task": 9}},
        {"budget": {"tokens_per_task": 3_000, "policy": {"kind": "uniform", "carry": True}, "shown": "both"}},
        {"protocol": {"kind": "debate", "rounds": 2, "order": "in-turn"}, "budget": {"tokens_per_task": 500}},
    ],
    ids=["tokens", "calls", "shares", "in turn"],
)
def test_no_result_depends_on_how_many_calls_are_in_flight(
    changes: dict[str, Any], waves: Counter[int], tmp_path: Path
) -> None:
    digests = set()
    for concurrency in (1, 3, 64):
        log = run(debate(**changes, engine={"concurrency": concurrency}), tmp_path / str(concurrency))
        digests.add(log.manifest.digest)
        assert log.manifest.rules["reserve"] == 2
        budget = RunLog(log.directory).episodes()
        assert budget is not None
        assert budget["tokens_overrun"].sum() == 0
    assert len(digests) == 1
    assert max(waves) > 1
    assert replay(tmp_path / "64").digest in digests


def test_further_attempts_are_given_to_more_than_the_first_agent(tmp_path: Path) -> None:
    """Where first attempts leave room, whoever failed is asked again, in turn order."""
    log = run(debate(budget={"tokens_per_task": 2_200}), tmp_path / "run")
    again = Counter(row.agent for row in log.journal() if row.attempt)
    assert len(again) > 3


# Crashes


@pytest.mark.parametrize("tokens", [None, 1_200, 3600, 20_000])
def test_a_crash_changes_a_result_only_where_its_charges_change_what_is_granted(
    tokens: int | None, tmp_path: Path
) -> None:
    """Without a ceiling never; with one the lost calls are charged, and whoever can still be paid for says the same."""
    one = debate(budget=None if tokens is None else {"tokens_per_task": tokens})
    whole = to_the_end(one, tmp_path / "whole")
    rng = random.Random(tokens)
    same = lost = 0
    for life in range(8):
        ended = with_kills(one, tmp_path / str(life), rng, 2 * len(whole.rows), kills=1 + life % 2)
        lost += ended.lost
        if ended.steps == whole.steps:
            same += 1
            assert ended.digest == whole.digest
        else:
            assert tokens is not None
            assert ended.lost
        log = RunLog(tmp_path / str(life))
        episodes = log.episodes()
        assert episodes is not None
        assert log.manifest.totals.calls_lost == ended.lost
        assert episodes["charged"].sum() == sum(
            episodes[name].sum() for name in ("tokens_in", "tokens_out", "tokens_lost")
        )
        if tokens is not None:
            assert episodes.filter(pl.col("charged") > tokens).height == 0
    assert lost > 5
    expected = {None: {8}, 1_200: range(3), 3600: range(1, 8), 20_000: {8}}
    assert same in expected[tokens]


def test_nobody_fails_for_a_crash_while_there_is_something_left(tmp_path: Path) -> None:
    """Three times the calls under way are lost; they use up no attempt."""
    one = debate(calls={"backoff_s": 0.0, "attempts": 1}, budget={"tokens_per_task": 20_000})
    whole = to_the_end(one, tmp_path / "whole")
    ended = with_kills(one, tmp_path / "killed", random.Random(5), len(whole.rows), kills=3)
    assert ended.lost > 3
    assert ended.digest == whole.digest


# Replay and the rules of a run


def test_replay_computes_the_waves_again(waves: Counter[int], tmp_path: Path) -> None:
    log = run(debate(), tmp_path / "run")
    first = Counter(waves)
    waves.clear()
    assert replay(tmp_path / "run").digest == log.manifest.digest
    assert waves == first


def test_a_row_that_the_ledger_pays_for_has_to_be_there(tmp_path: Path) -> None:
    """Its absence is a mismatch, named by its place, not a refusal."""
    one = debate(budget={"tokens_per_task": 20_000})
    run(one, tmp_path / "run")
    rows = {row.key: row for row in RunLog(tmp_path / "run").journal()}
    gone = next(key for key, row in rows.items() if key.attempt == 1)
    known = {key: row for key, row in rows.items() if key != gone}

    async def again() -> None:
        await execute(Plan(one, None, known, live=False))

    with pytest.raises(ReplayMismatchError, match=f"task {gone.task}, round {gone.round}, agent {gone.agent}"):
        asyncio.run(again())


def test_a_run_made_at_once_goes_on_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the first rules refused stays refused in replay, resume and fork; new runs follow the newest."""
    one = debate()
    (tmp_path / "old").mkdir()
    old = asyncio.run(execute(Plan(one, tmp_path / "old", rules=FIRST)))
    assert RunLog(tmp_path / "old").manifest.rules["reserve"] == 1
    new = run(one, tmp_path / "new")
    assert new.manifest.digest != old.digest

    def never(*_: Any, **__: Any) -> WaveQueue:
        raise AssertionError("this run was made at once")

    monkeypatch.setattr(paid_round, "WaveQueue", never)
    assert replay(tmp_path / "old").digest == old.digest
    forked = fork(tmp_path / "old", 1, 1, debate(budget={"tokens_per_task": 1_400}), tmp_path / "fork")
    assert forked.manifest.rules["reserve"] == 1
    assert replay(tmp_path / "fork").digest == forked.manifest.digest
