"""A cluster of two nodes: whole runs on its hosts, hosts and a node that die, a Ray job that is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from agentsoc.cli import main
from agentsoc.engine import ray_cluster
from agentsoc.engine.resume import resume
from agentsoc.engine.run import Progress, run
from agentsoc.engine.waiting import STOP
from agentsoc.experiment.comparison import parse_comparison
from agentsoc.experiment.grid import Grid, make_grid
from agentsoc.experiment.runner import InterruptedComparisonError, compare_async, run_comparison
from agentsoc.experiment.spread import CellPool, Spread
from agentsoc.log.journal import read_journal
from agentsoc.log.names import JOURNAL
from agentsoc.log.read import RunLog
from analysis.comparison.table import read_results
from tests.nightly import NIGHTLY
from tests.standing import LOOPBACK, Standing, standing

BIN = Path(sys.executable).parent
HAS_JOBS = find_spec("aiohttp_cors") is not None

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra ray"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.timeout(300),
]

COMPARISON = """
name: far
base:
  tasks: {kind: sentiment, count: 12}
organisations:
  computed: {agents: {count: 5, model: {kind: simulated, signal: 0.3}}, topology: star, protocol: aggregate}
  asked: {agents: {count: 3, model: {kind: scripted, latency_s: 0.1}}, topology: star, protocol: aggregate}
  calling:
    agents:
      count: 3
      model:
        kind: scripted
        latency_s: 0.05
        uses_tools: [[{tool: calculator, arguments: {expression: "{agent} + 1"}}]]
      tools: [calculator]
    topology: decentralized
    protocol: {kind: debate, rounds: 2}
seeds: 4
"""

SCENARIO = """
name: in-a-job
tasks: {kind: sentiment, count: 60}
agents: {count: 3, model: {kind: scripted, latency_s: 0.25}}
topology: star
protocol: aggregate
engine: {concurrency: 3}
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Standing]:
    with (
        tempfile.TemporaryDirectory() as directory,
        pytest.MonkeyPatch.context() as patch,
        standing(Path(directory), jobs=HAS_JOBS) as found,
    ):
        for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH", *LOOPBACK):
            patch.setenv(name, found.environment[name])
        yield found
        with warnings.catch_warnings():  # Ray leaves the log files of its processes open
            warnings.simplefilter("ignore", ResourceWarning)
            ray_cluster.disconnect()
            gc.collect()


@pytest.fixture(scope="module")
def grid() -> Grid:
    return make_grid(parse_comparison(COMPARISON))


@pytest.fixture(scope="module")
def expected(grid: Grid, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str | None]:
    return digests(run_comparison(grid, tmp_path_factory.mktemp("c") / "here", workers=1, concurrency=64).record)


def digests(record: Any) -> dict[str, str | None]:
    assert {cell.status for cell in record.cells} == {"finished"}, [cell.error for cell in record.cells]
    return {cell.id: cell.digest for cell in record.cells}


def when_given(monkeypatch: pytest.MonkeyPatch, number: int, act: Callable[[CellPool, Any], None]) -> None:
    """Do something a while after a host was given the run of this number."""
    given, original = 0, CellPool.carry_out

    async def carry_out(self: CellPool, host: Any, *rest: Any) -> Any:
        nonlocal given
        given += 1
        if given == number:
            asyncio.get_running_loop().call_later(0.3, act, self, host)
        return await original(self, host, *rest)

    monkeypatch.setattr(CellPool, "carry_out", carry_out)


def test_hosts_of_two_nodes_make_the_same_runs_though_one_is_killed(
    cluster: Standing, grid: Grid, expected: dict[str, str | None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes: list[set[str]] = []

    def kill(pool: CellPool, host: Any) -> None:
        nodes.append({each.node for each in pool.hosts})
        os.kill(host.pid, signal.SIGKILL)

    when_given(monkeypatch, 3, kill)
    progress = Progress()
    spread = Spread(cluster.address, 2)
    outcome = run_comparison(grid, tmp_path / "far", workers=spread, concurrency=4, progress=progress)
    assert digests(outcome.record) == expected
    table = read_results(outcome.directory).table
    called = table.group_by("organisation").agg(pl.col("tool_calls").unique()).sort("organisation").rows()
    assert called == [("asked", [0]), ("calling", [6]), ("computed", [0])]
    assert len(nodes[0]) == 2
    assert [text for text in progress.notices if "died and was replaced" in text]
    for cell in grid.cells:
        directory = tmp_path / "far" / "runs" / cell.id
        log = RunLog(directory)
        log.check()
        assert log.manifest.scenario["engine"]["address"] is None
    assert [path for path in (tmp_path / "far" / "runs").iterdir() if path.name.startswith(".")] == []


def test_a_spread_comparison_that_is_stopped_keeps_what_was_answered_and_goes_on_anywhere(
    cluster: Standing, grid: Grid, expected: dict[str, str | None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = asyncio.Event()

    def when_something_was_answered(pool: CellPool, _: Any) -> None:
        """Set `stop` when a journal of a host, which are all on this machine, has an answer."""
        loop = asyncio.get_running_loop()

        def look() -> None:
            give_up = time.monotonic() + 90
            while time.monotonic() < give_up:
                if any(answered(path.parent) for path in Path(pool._files).glob(f"host-*/runs/*/{JOURNAL}")):
                    break
                time.sleep(0.2)
            loop.call_soon_threadsafe(stop.set)

        threading.Thread(target=look, daemon=True).start()

    async def body() -> None:
        STOP.set(stop)
        when_given(monkeypatch, 2, when_something_was_answered)
        with pytest.raises(InterruptedComparisonError):
            await compare_async(grid, tmp_path / "far", workers=Spread(cluster.address, 2), concurrency=1)

    asyncio.run(body())
    begun = [path for path in (tmp_path / "far" / "runs").iterdir() if (path / JOURNAL).exists()]
    states = {RunLog(path).manifest.status for path in begun}
    assert "interrupted" in states
    kept = sum(row.state == "done" for path in begun for row in read_journal(path / JOURNAL))
    assert kept > 0
    assert digests(run_comparison(grid, tmp_path / "far", workers=1, concurrency=64).record) == expected


SWEEP = """
name: swept
tasks: {kind: sentiment, count: 8}
agents: {count: 3, model: {kind: scripted}}
topology: star
protocol: aggregate
sweep:
  agents.model: [{kind: scripted}, {kind: simulated, signal: 0.3}]
"""


def test_the_runs_of_a_sweep_are_the_same_made_by_hosts_of_two_nodes_as_one_after_the_other(
    cluster: Standing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    monkeypatch.chdir(tmp_path)
    nodes: set[str] = set()
    when_given(monkeypatch, 1, lambda pool, _: nodes.update(host.node for host in pool.hosts))
    words = ["run", "sweep.yaml", "--seeds", "2", "--json", "--quiet"]
    far = ["--address", cluster.address, "--hosts", "2"]
    told: list[list[dict[str, Any]]] = []
    for place, more in (("here", []), ("far", far)):
        assert main.main([*words, "--out", place, *more]) == 0
        told.append(json.loads(capsys.readouterr().out)["runs"])
    here, there = ([{**one, "run_dir": Path(one["run_dir"]).name} for one in runs] for runs in told)
    assert here == there
    assert len({one["digest"] for one in here}) == 4
    assert len(nodes) == 2
    for one in told[1]:
        RunLog(Path(one["run_dir"])).check()
    assert sorted(path.name for path in Path("far").iterdir()) == sorted(path.name for path in Path("here").iterdir())


@pytest.mark.skipif(not NIGHTLY, reason="its runs are made one after the other, each with hosts of its own")
def test_a_calibration_over_hosts_measures_what_it_measures_here(
    cluster: Standing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = SWEEP[: SWEEP.index("sweep:")].replace("sentiment", "signal").replace("count: 8", "count: 100")
    model = "simulated, a: 0.12, beta: 0.1, fidelity: {kind: exp, m0: 60}, lock: 0.1, message: 120, compute: 100"
    (tmp_path / "voters.yaml").write_text(
        text.replace("{count: 3, model: {kind: scripted}}", f"{{model: {{kind: {model}}}}}")
    )
    monkeypatch.chdir(tmp_path)
    words = ["calibrate", "voters.yaml", "--budget", "300000", "--quiet", "--json"]
    told = []
    for place, more in (("here", []), ("far", ["--address", cluster.address, "--hosts", "2"])):
        assert main.main([*words, "--out", place, *more]) == 0
        told.append(json.loads(capsys.readouterr().out))
        assert told[-1]["scenario"].pop("engine")["hosts"] == (1 if place == "here" else 2)
    assert told[0] == told[1]


@pytest.mark.skipif(not HAS_JOBS, reason="needs the extra cluster: Ray with its server for jobs")
def test_a_job_joins_its_cluster_by_auto_and_a_job_that_is_stopped_leaves_a_run_that_is_resumed(
    cluster: Standing, tmp_path: Path
) -> None:
    file, out = tmp_path / "s.yaml", tmp_path / "run"
    file.write_text(SCENARIO)

    words = ["run", str(file), "--address", "auto", "--hosts", "2", "--out", str(out), "--quiet"]
    patience = json.dumps({"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": "30"}})
    options = ["--no-wait", "--submission-id", "a-run", "--runtime-env-json", patience]
    said = job(cluster, "submit", *options, "--", str(BIN / "agentsoc"), *words)
    give_up = time.monotonic() + 90
    while answered(out) < 5:
        assert time.monotonic() < give_up, said + job(cluster, "logs", "a-run")
        time.sleep(0.5)
    said = job(cluster, "stop", "a-run")
    stopped = RunLog(out).manifest
    assert stopped.status == "interrupted", said + job(cluster, "logs", "a-run")
    assert (stopped.scenario["engine"]["address"], stopped.scenario["engine"]["hosts"]) == ("auto", 2)
    assert 5 <= answered(out) < 180
    resumed = resume(out, engine={"address": None, "hosts": 1, "concurrency": 64})
    here = run(file, tmp_path / "here", overrides={"engine.concurrency": 64})
    assert resumed.manifest.digest == here.manifest.digest
    assert resumed.manifest.totals.calls_lost == 0


def job(cluster: Standing, *words: str) -> str:
    """Return what a command of `ray job` said."""
    command = [str(BIN / "ray"), "job", words[0], "--address", f"http://{cluster.jobs}", *words[1:]]
    done = subprocess.run(command, env=cluster.environment, capture_output=True, text=True, timeout=200, check=False)
    return done.stdout + done.stderr


def answered(directory: Path) -> int:
    """Return how many replies are in the journal; none before there is one."""
    with contextlib.suppress(Exception):
        return sum(row.state == "done" for row in read_journal(directory / JOURNAL))
    return 0


@pytest.mark.skipif(not NIGHTLY or not HAS_JOBS, reason="needs the extra cluster; a job takes long to start")
def test_a_comparison_in_a_job_has_the_runs_and_results_that_it_has_here(
    cluster: Standing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(COMPARISON.replace("seeds: 4", "seeds: 2"))
    words = ["compare", str(tmp_path / "c.yaml"), "--quiet"]
    assert main.main([*words, "--out", "here", "--workers", "1"]) == 0
    far = ["--out", str(tmp_path / "far"), "--address", "auto", "--hosts", "2"]
    said = job(cluster, "submit", "--submission-id", "compared", "--", str(BIN / "agentsoc"), *words, *far)
    assert "succeeded" in said, said
    here, there = (pl.read_parquet(Path(place, "results.parquet")) for place in ("here", "far"))
    assert_frame_equal(there.drop("wall_s"), here.drop("wall_s"))  # how long replies took is measured each time
    computed = pl.col("organisation") == "computed"
    assert_frame_equal(there.filter(computed), here.filter(computed))


def test_a_node_that_is_lost_loses_only_the_runs_in_flight_on_it(
    cluster: Standing, grid: Grid, expected: dict[str, str | None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[str] = []

    def lose(pool: CellPool, host: Any) -> None:
        lost.extend({each.node for each in pool.hosts})
        asyncio.get_running_loop().run_in_executor(None, cluster.lose_a_node)

    when_given(monkeypatch, 4, lose)
    progress = Progress()
    spread = Spread(cluster.address, 2)
    outcome = run_comparison(grid, tmp_path / "far", workers=spread, concurrency=4, progress=progress)
    assert digests(outcome.record) == expected
    assert len(lost) == 2
    assert [text for text in progress.notices if "died and was replaced" in text]
