"""Runs with the embedded model: in the process, on two Ray hosts, and behind a real HTTP server."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from agentsoc.engine.replay import replay
from agentsoc.engine.run import run
from agentsoc.scenario.load import load_scenario
from agentsoc.scenario.model import Scenario
from benchmarks.influence import figures, said_in
from benchmarks.study_influence import Cell, replays_without_model
from tests.contract.llama_server import llama_server
from tests.nightly import NIGHTLY

ROOT = Path(__file__).parent.parent.parent
QUICKSTART = ROOT / "scenarios" / "quickstart.yaml"

pytestmark = [pytest.mark.model, pytest.mark.timeout(240)]


@pytest.fixture
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


def test_the_strict_model_gives_one_digest_whatever_the_concurrency_and_replays(scratch: Path) -> None:
    digests = set()
    for concurrency in (1, 8):
        changes = ["tasks.count=2", "agents.count=4", f"engine.concurrency={concurrency}"]
        done = run(load_scenario(QUICKSTART, changes), scratch / f"run{concurrency}")
        digests.add(done.manifest.digest)
        totals = done.manifest.totals
        assert (totals.calls, totals.calls_failed) == (6, 0)
        assert done.manifest.models[0]["sha256"].startswith("b179c9523d0e6a0f")
        claims = done.frame().filter(kind="propose_claim")
        assert set(claims["answer"]) <= {"positive", "negative"}
        seen = replay(done.directory)
        assert (seen.digest, seen.model_calls) == (done.manifest.digest, 0)
    assert len(digests) == 1


def test_a_model_behind_an_http_server_runs_a_society(scratch: Path) -> None:
    with llama_server() as (base_url, key_variable):
        server = f"{{kind: litellm, name: openai/local, base_url: '{base_url}', api_key_env: {key_variable}}}"
        changes = [
            "tasks.count=2",
            "agents.count=4",
            f"agents.model={server}",
            "agents.max_tokens=24",
        ]
        done = run(load_scenario(QUICKSTART, changes), scratch / "run", consent=True)
    assert done.manifest.totals.calls == 6
    assert done.manifest.totals.episodes == 2
    assert replay(done.directory).model_calls == 0


@pytest.mark.parametrize("form", ["short", "json"] if NIGHTLY else ["short"])
def test_where_claims_are_shown_the_embedded_model_says_what_its_reply_rests_on(scratch: Path, form: str) -> None:
    """In the short form of replies; each night as JSON as well."""
    cell = Cell("smollm2", form, "debate", "arithmetic")
    done = run(Scenario.model_validate(cell.scenario(1)), scratch / "run")
    found = figures(done.directory, list(said_in(done.directory, [0])), 3, form == "short")
    assert (found["claims_shown"], found["prompts_as_sent"]) == (found["claims_due"], found["replies"])
    assert found["asked"] >= 3
    assert found["says"] >= 0.9 * found["asked"]
    assert found["misread"] == []
    assert replays_without_model(done.directory)


def test_the_embedded_model_never_passes_a_share_and_reads_what_is_left_of_it(scratch: Path) -> None:
    """Its tokenizer is here, so reservations are exact: nothing overruns the team's budget or any agent's share."""
    budget = "{tokens_per_task: 960, calls_per_task: 9, policy: {kind: uniform}, shown: both}"
    changes = [
        "tasks.count=2",
        "agents.count=3",
        "topology=decentralized",
        "protocol={kind: debate, rounds: 3}",
        f"budget={budget}",
    ]
    done = run(load_scenario(QUICKSTART, changes), scratch / "run")
    totals = done.manifest.totals
    assert (totals.tokens_overrun, totals.tokens_lost, totals.calls_failed) == (0, 0, 0)
    events = done.frame().filter(pl.col("agent") >= 0)
    spent = events.group_by("task", "agent").agg(pl.col("tokens_in") + pl.col("tokens_out"), pl.col("calls").sum())
    for tokens, calls in zip(spent["tokens_in"], spent["calls"], strict=True):
        assert 0 < sum(tokens) <= 320
        assert 1 <= calls <= 3
    assert not events.filter(kind="budget_exhausted").is_empty()
    assert set(done.frame().filter(kind="answer")["answer"]) <= {"positive", "negative"}
    assert replay(done.directory).model_calls == 0
