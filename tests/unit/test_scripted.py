"""The scripted model stands in for a real one: prompts in, text in the form asked for out, with its seeded mistakes."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from scipy import stats

from agentsoc.backends.scripted import Scripted, ScriptedBackend
from agentsoc.contracts.model import CallError, Completion, Hint, Request
from agentsoc.engine.replay import replay
from agentsoc.engine.run import run
from tests.loose import scenario

HINT = Hint(task=0, round=0, agent=0, k=0, purpose="answer", truth="heads", options=("heads", "tails", "edge"))


def ask(model: Scripted, hint: Hint | None = HINT, **changes: Any) -> Completion:
    fields = {"system": "You are agent 0.", "user": "How does it fall?", "max_tokens": 50, "temperature": 0, "seed": 0}
    return asyncio.run(ScriptedBackend(model, 7).complete(Request.of(**{**fields, "hint": hint, **changes})))


def hints(n: int, **changes: Any) -> list[Hint]:
    return [msgspec.structs.replace(HINT, task=task, **changes) for task in range(n)]


@pytest.mark.parametrize(("says", "right"), [("truth", 1.0), ("wrong", 0.0), ("random", 1 / 3)])
@pytest.mark.parametrize("accuracy", [1.0, 0.8])
def test_it_says_what_its_rule_says_as_often_as_it_is_accurate(says: Any, right: float, accuracy: float) -> None:
    """Binomial test on 2,000 answers; false alarms: 1e-4 for a case, 6e-4 in all."""
    backend = ScriptedBackend(Scripted(says=says, accuracy=accuracy), 7)
    n_right = sum(backend._answer(hint) == "heads" for hint in hints(2_000))
    assert stats.binomtest(n_right, 2_000, accuracy * right).pvalue > 1e-4


def test_it_follows_the_majority_of_what_it_is_shown() -> None:
    model = Scripted(says="majority")
    shown = msgspec.structs.replace(HINT, shown=("tails", "edge", "tails", None))
    assert ask(model, shown).text == "tails"
    assert ask(model, HINT).text == "heads"


def test_a_conformist_goes_to_most_of_those_it_hears_as_often_as_it_follows() -> None:
    """Binomial tests on 2,000 answers each; false alarms: 3e-4 in all."""
    backend = ScriptedBackend(Scripted(accuracy=0.6, follows=0.8), 7)
    told: dict[str, Any] = {"round": 1, "own": "heads", "shown": ("tails", "edge", "tails", None)}
    went = [backend._answer(hint) for hint in hints(2_000, **told)]
    assert set(went) == {"heads", "tails"}  # nobody goes to the edge, which fewer say
    assert stats.binomtest(went.count("tails"), 2_000, 0.8).pvalue > 1e-4
    tied = [backend._answer(hint) for hint in hints(2_000, **{**told, "shown": ("tails", "edge")})]
    assert stats.binomtest(tied.count("edge"), 2_000, 0.4).pvalue > 1e-4
    first = [backend._answer(hint) for hint in hints(2_000, shown=told["shown"])]  # no answer of its own yet
    assert stats.binomtest(first.count("heads"), 2_000, 0.6).pvalue > 1e-4


@pytest.mark.parametrize("shown", [("heads", "tails"), ("heads", "heads", "edge"), (), (None, None)])
def test_a_conformist_stays_with_the_most_frequent_answer_and_where_nobody_says_another(shown: Any) -> None:
    backend = ScriptedBackend(Scripted(accuracy=0.0, follows=1.0), 7)
    assert {backend._answer(hint) for hint in hints(50, round=1, own="heads", shown=shown)} == {"heads"}


def test_a_rule_that_follows_nobody_is_recorded_as_it_was_before_there_was_one() -> None:
    assert "follows" not in ScriptedBackend(Scripted(), 7).identity()
    assert ScriptedBackend(Scripted(follows=0.5), 7).identity()["follows"] == 0.5


def test_it_counts_words() -> None:
    got = ask(Scripted())
    assert (got.text, got.usage.tokens_in, got.usage.tokens_out, got.finish) == ("heads", 8, 1, "stop")


def test_a_reply_is_cut_at_its_cap() -> None:
    schema = json.dumps({"properties": {"answer": {}, "why": {}}})
    got = ask(Scripted(), schema=schema, max_tokens=2)
    assert (got.finish, got.usage.tokens_out, len(got.text.split())) == ("length", 2, 2)


def test_a_prompt_beyond_the_window_is_refused() -> None:
    with pytest.raises(CallError) as raised:
        ask(Scripted(window=64), max_tokens=60)
    assert (raised.value.kind, raised.value.billed, raised.value.retryable) == ("too_long", False, False)


def test_a_bare_prompt_is_refused() -> None:
    with pytest.raises(CallError, match="bare prompts"):
        ask(Scripted(), None)


def test_failures_and_malformed_replies_are_of_first_attempts_and_as_frequent_as_said() -> None:
    """Binomial tests on 2,000 calls; false alarms: 2e-4."""
    backend = ScriptedBackend(Scripted(fail_rate=0.3, fail_kind="rate_limited", malformed_rate=0.2), 7)

    async def kinds(attempt: int) -> list[str]:
        found = []
        for hint in hints(2_000, attempt=attempt):
            try:
                got = await backend.complete(Request.of("s", "u", 50, 0.0, 0, hint=hint))
                found.append("malformed" if got.text.startswith("???") else "good")
            except CallError as error:
                found.append(error.kind)
        return found

    first = asyncio.run(kinds(0))
    assert set(first) == {"good", "malformed", "rate_limited"}
    assert stats.binomtest(first.count("rate_limited"), 2_000, 0.3).pvalue > 1e-4
    assert stats.binomtest(first.count("malformed"), 2_000 - first.count("rate_limited"), 0.2).pvalue > 1e-4
    assert set(asyncio.run(kinds(1))) == {"good"}


def test_it_answers_in_the_form_asked_for() -> None:
    assert ask(Scripted(), choices=("tails", "heads", "heads #1")).text == "heads"
    shown = msgspec.structs.replace(HINT, shown_unique=("tails", "heads", None), targets=(1, 2))
    schema = {"properties": {"answer": {}, "uses": {}, "stop": {}, "subtasks": {"maxItems": 1}, "confidence": {}}}

    def reply(cites: Any) -> dict[str, Any]:
        text = ask(Scripted(cites=cites), shown, schema=json.dumps(schema)).text
        return json.loads(text)  # type: ignore[no-any-return]

    agreeing = reply("agreeing")
    assert (agreeing["answer"], agreeing["stop"]) == ("heads", False)
    assert [work["to"] for work in agreeing["subtasks"]] == [1]
    assert 0.5 <= agreeing["confidence"] <= 1
    assert (agreeing["uses"], agreeing["disputes"]) == (["#2"], ["#1", "#3"])
    assert (reply("all")["uses"], reply("all")["disputes"]) == (["#1", "#2", "#3"], [])
    assert "uses" not in reply("none")


@pytest.mark.parametrize("honest", [True, False])
def test_what_did_not_fit_into_the_window_is_cited_by_nobody(monkeypatch: pytest.MonkeyPatch, honest: bool) -> None:
    """Not by a model that cites all it is shown, nor by one that names handles which it never saw; nor on replay."""
    if not honest:
        every = json.dumps({"answer": "heads", "uses": [f"#{n}" for n in range(1, 12)], "why": "it is so I say"})
        monkeypatch.setattr(ScriptedBackend, "_text", lambda self, request, hint: every)
    built = scenario(
        tasks={"kind": "coin", "count": 2},
        agents={"count": 12, "max_tokens": 40},
        model={"cites": "all", "accuracy": 0.6, "window": 135},
        topology={"kind": "decentralized", "degree": 11},
        protocol={"kind": "debate", "rounds": 2},
        message_tokens=4,
    )
    with tempfile.TemporaryDirectory() as scratch:
        log = run(built, Path(scratch) / "run")
        shown = {(row.task, row.round, row.agent): row.shown for row in log.journal()}
        later = [event for event in log.events() if event.round == 1 and event.agent >= 0]
        assert len(later) == 24
        for event in later:
            most = shown[event.task, 1, event.agent]
            assert most is not None
            assert 0 < len(event.parents) <= most < 11
        assert replay(log.directory).digest == log.manifest.digest
