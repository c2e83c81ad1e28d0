"""Runs with the embedded model: in the process, on two Ray hosts, and behind a real HTTP server."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentsoc.engine.resume import replay
from agentsoc.engine.run import run
from agentsoc.scenario.load import load_scenario
from tests.contract.llama_server import llama_server

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
        changes = ["tasks.count=3", "agents.count=5", f"engine.concurrency={concurrency}"]
        done = run(load_scenario(QUICKSTART, changes), scratch / f"run{concurrency}")
        digests.add(done.manifest.digest)
        totals = done.manifest.totals
        assert (totals.calls, totals.calls_failed) == (12, 0)
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
            "agents.max_tokens=96",
        ]
        done = run(load_scenario(QUICKSTART, changes), scratch / "run")
    assert done.manifest.totals.calls == 6
    assert done.manifest.totals.episodes == 2
    assert replay(done.directory).model_calls == 0
