"""A run inside a Ray job: it joins the cluster of the job, and the job's end by force leaves it to be resumed."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from agentsoc.engine.resume import resume
from agentsoc.engine.run import run
from agentsoc.log.journal import read_journal
from agentsoc.log.names import JOURNAL
from agentsoc.log.read import RunLog
from tests.standing import standing

BIN = Path(sys.executable).parent
SCENARIO = """
name: in-a-job
tasks: {kind: sentiment, count: 60}
agents: {count: 3, model: {kind: scripted, latency_s: 0.25}}
topology: star
protocol: aggregate
engine: {concurrency: 3}
"""

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra ray"),
    pytest.mark.skipif(find_spec("aiohttp_cors") is None, reason="needs the extra cluster (Ray with its job server)"),
    pytest.mark.timeout(240),
]


def rows(directory: Path) -> int:
    """Return how many replies are in the journal; none before there is one."""
    if not (directory / JOURNAL).exists():
        return 0
    return sum(row.state == "done" for row in read_journal(directory / JOURNAL))


def test_a_job_joins_its_cluster_by_auto_and_a_job_that_is_stopped_leaves_a_run_that_is_resumed() -> None:
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        file, out = scratch / "s.yaml", scratch / "run"
        file.write_text(SCENARIO)
        with standing(scratch, jobs=True) as cluster:

            def ray(*words: str) -> str:
                command = [str(BIN / "ray"), "job", words[0], "--address", f"http://{cluster.jobs}", *words[1:]]
                done = subprocess.run(
                    command, env=cluster.environment, capture_output=True, text=True, timeout=100, check=False
                )
                return done.stdout + done.stderr

            words = ["run", str(file), "--address", "auto", "--hosts", "2", "--out", str(out), "--quiet"]
            patience = '{"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": "30"}}'
            options = ["--no-wait", "--submission-id", "a-run", "--runtime-env-json", patience]
            said = ray("submit", *options, "--", str(BIN / "agentsoc"), *words)
            give_up = time.monotonic() + 90
            while rows(out) < 5:
                assert time.monotonic() < give_up, said + ray("logs", "a-run")
                time.sleep(0.5)
            said = ray("stop", "a-run")
            stopped = RunLog(out).manifest
            assert stopped.status == "interrupted", said + ray("logs", "a-run")
            assert stopped.scenario["engine"]["hosts"] == 2
        had = rows(out)
        assert 5 <= had < 180
        resumed = resume(out, engine={"address": None, "hosts": 1, "concurrency": 64})
        assert resumed.manifest.digest == run(file, scratch / "here", overrides=QUICK).manifest.digest
        assert resumed.manifest.totals.calls_lost == 0


QUICK = {"engine.concurrency": 64}
