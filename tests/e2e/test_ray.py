"""Hosts on Ray: the log is that of one process, whatever the hosts, and whoever dies on the way."""

from __future__ import annotations

import gc
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentsoc.engine import ray_cluster, ray_host
from agentsoc.engine.resume import replay
from agentsoc.engine.run import Progress, Run, run
from agentsoc.errors import InputError
from tests.strategies import SIMULATED, scenario, societies

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra ray"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.timeout(240),
]

LOOSE = Path(__file__).parent.parent / "data" / "loose_code.py"

CASES: dict[str, dict[str, Any]] = {
    "orchestrated": {
        "agents": {"count": 5, "model": {"kind": "scripted", "accuracy": 0.7, "latency_s": 0.01, "fail_rate": 0.1}},
        "protocol": {"kind": "orchestrate", "rounds": 2},
        "calls": {"backoff_s": 0.0},
    },
    "voters": {"agents": {"count": 9, "model": SIMULATED}, "topology": "decentralized", "protocol": "debate"},
    "one society": {
        "tasks": {"kind": "coin", "count": 1},
        "agents": {"count": 12, "model": {"kind": "scripted", "accuracy": 0.7}},
        "topology": {"kind": "ring"},
        "protocol": {"kind": "debate", "rounds": 3},
    },
    "with memory": {
        "agents": {"count": 4, "model": {"kind": "scripted", "accuracy": 0.7}, "memory": 2},
        "topology": "decentralized",
        "protocol": {"kind": "debate", "rounds": 2},
        "episodes": "sequential",
    },
    "within a budget": {
        "agents": {"count": 5, "model": {"kind": "scripted", "accuracy": 0.7}},
        "protocol": {"kind": "aggregate", "by": "model"},
        "budget": {"tokens_per_task": 700},
    },
    "split and shown": {
        "tasks": {"kind": "parts", "parts": 4, "count": 4, "difficulty": [50, 300]},
        "agents": [
            {"count": 1, "model": {"kind": "scripted"}},
            {"count": 4, "model": "effort", "max_tokens": 2_000},
        ],
        "protocol": {"kind": "orchestrate", "rounds": 1, "plan_by": "parts", "decision": "rounds"},
        "budget": {
            "tokens_per_task": 2_500,
            "calls_per_task": 30,
            "policy": {"kind": "difficulty", "lead": 0.3},
            "shown": "both",
        },
        "prices": {"scripted": {"input": 1, "output": 1}, "effort": {"input": 0, "output": 2}},
    },
}


@pytest.fixture(scope="module", autouse=True)
def _ray() -> Iterator[None]:
    yield
    with warnings.catch_warnings():  # Ray leaves the log files of its processes open
        warnings.simplefilter("ignore", ResourceWarning)
        ray_cluster.disconnect()
        gc.collect()


@pytest.fixture
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


def on(hosts: int, parts: dict[str, Any], out: Path, **engine: Any) -> tuple[Run, Progress]:
    progress = Progress()
    address = None if hosts == 0 else "local"
    built = scenario(**{"tasks": {"kind": "coin", "count": 12}, **parts})
    settings = built.engine.model_copy(update={"hosts": max(hosts, 1), "address": address, **engine})
    return run(built.model_copy(update={"engine": settings}), out, code_paths=[LOOSE], progress=progress), progress


@pytest.mark.parametrize("name", CASES)
def test_one_digest_in_the_process_and_on_1_2_and_7_hosts(name: str, scratch: Path) -> None:
    alone = on(0, CASES[name], scratch / "local")[0]
    expected, episodes = alone.manifest, alone.episodes()
    assert episodes is not None
    for hosts, concurrency in ((1, 1), (2, 64), (7, 8)):
        spread = on(hosts, CASES[name], scratch / f"ray{hosts}", concurrency=concurrency)[0]
        got, again = spread.manifest, spread.episodes()
        assert got.digest == expected.digest
        assert again is not None
        assert again.drop("virtual_s").equals(episodes.drop("virtual_s"), null_equal=True)
        ours, theirs = got.totals.model_dump(), expected.totals.model_dump()
        assert {**ours, "virtual_s": 0} == {**theirs, "virtual_s": 0}


@given(parts=societies(), concurrency=st.sampled_from([1, 8, 64]))
@settings(deadline=None, max_examples=10, derandomize=True, suppress_health_check=list(HealthCheck))
def test_random_societies_give_one_digest_in_the_process_and_on_two_hosts(
    parts: dict[str, Any], concurrency: int
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        expected = on(0, parts, Path(directory) / "local")[0].manifest
        got = on(2, parts, Path(directory) / "ray", concurrency=concurrency, vectorise=False)[0].manifest
    assert (got.digest, got.totals.events) == (expected.digest, expected.totals.events)


@pytest.mark.parametrize("kill", range(3))
def test_a_host_that_is_killed_is_replaced_and_the_log_is_the_same(
    kill: int, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = {"tasks": {"kind": "coin", "count": 300}, "engine": {"vectorise": False}}
    parts = CASES["orchestrated"] if kill < 2 else CASES["voters"] | slow
    expected = on(0, parts, scratch / "local")[0].manifest.digest
    pools: list[ray_host.RayPool] = []
    begun = ray_host.RayPool.start

    async def start(self: ray_host.RayPool) -> None:
        await begun(self)
        pools.append(self)

    monkeypatch.setattr(ray_host.RayPool, "start", start)

    def murder() -> None:
        while not pools:
            time.sleep(0.01)
        time.sleep(0.05 + 0.2 * kill)
        os.kill(random.Random(kill).choice(pools[0].pids()), signal.SIGKILL)

    killer = threading.Thread(target=murder)
    killer.start()
    got, progress = on(2, parts, scratch / "ray", concurrency=4)
    killer.join()
    assert got.manifest.digest == expected
    assert replay(got.directory).model_calls == 0
    if kill < 2:
        assert any("died and was replaced" in notice for notice in progress.notices)


DRIVER = """
import json, sys
from importlib.util import find_spec
from pathlib import Path
from agentsoc.engine.run import run
from tests.strategies import scenario
parts, out, code = json.loads(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
if __name__ == "__main__":
    print(run(scenario(**parts), out, code_paths=[code]).manifest.digest, flush=True)
"""


RESUME = """
import sys
from pathlib import Path
from agentsoc.engine.resume import replay, resume
code = Path(sys.argv[3])
print(resume(sys.argv[2], allow_code=[code]).manifest.digest, replay(sys.argv[2], allow_code=[code]).model_calls)
"""


def drive(parts: dict[str, Any], out: Path, program: str = DRIVER, **environment: str) -> subprocess.Popen[str]:
    root = Path(__file__).parent.parent.parent
    return subprocess.Popen(
        [sys.executable, "-c", program, json.dumps(parts), str(out), str(LOOSE)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def host_processes(out: Path) -> list[str]:
    """Return the processes on this machine whose environment names this run."""
    found: list[str] = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and f"AGENTSOC_TEST_RUN={out}".encode() in (entry / "environ").read_bytes():
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:200]
                found.append(f"{entry.name}: {command}")
        except OSError:
            continue
    return found


def test_a_killed_driver_leaves_no_process_and_resumes_to_the_same_log(scratch: Path) -> None:
    parts = {"tasks": {"kind": "coin", "count": 60}, **CASES["orchestrated"]}
    expected = on(0, parts, scratch / "local")[0].manifest.digest
    out = scratch / "ray"
    child = drive({**parts, "engine": {"hosts": 2, "address": "local"}}, out, AGENTSOC_TEST_RUN=str(out))
    try:
        deadline = time.monotonic() + 120
        journal = out / "journal.sqlite-wal"
        while time.monotonic() < deadline and not (journal.exists() and journal.stat().st_size > 200_000):
            time.sleep(0.02)
        assert child.poll() is None, "the run ended before it could be killed"
    finally:
        child.kill()
        child.wait()
    # 2 to 3 s on an idle machine; the limit leaves room for a loaded one
    deadline = time.monotonic() + 10
    while host_processes(out) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert host_processes(out) == []
    again = drive(parts, out, RESUME)
    printed, _ = again.communicate(timeout=120)
    assert printed.split() == [expected, "0"]


CLUSTER = """
import os
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
cluster.add_node(num_cpus=1)
os.environ["CLUSTER"] = cluster.address
try:
    exec(os.environ["DRIVER"])
finally:
    cluster.shutdown()
"""


def test_two_nodes_of_a_cluster_with_a_token_give_the_same_log(scratch: Path) -> None:
    token = scratch / "token"
    token.write_text("a-token-of-this-test-" + "x" * 16)
    token.chmod(0o600)
    expected = on(0, CASES["orchestrated"], scratch / "local")[0].manifest.digest
    parts = {"tasks": {"kind": "coin", "count": 12}, **CASES["orchestrated"]}
    program = DRIVER.replace("**parts", '**parts, engine={"hosts": 2, "address": os.environ["CLUSTER"]}')
    program = program.replace("code_paths=[code]", "code_paths=[code], consent=True")  # the node may not be loopback
    child = drive(
        parts,
        scratch / "ray",
        CLUSTER,
        DRIVER=program,
        RAY_AUTH_MODE="token",
        RAY_AUTH_TOKEN_PATH=str(token),
        RAY_USAGE_STATS_ENABLED="0",
        RAY_ENABLE_UV_RUN_RUNTIME_ENV="0",
    )
    printed, _ = child.communicate(timeout=200)
    assert expected in printed.split()


def test_a_cluster_beyond_this_machine_is_refused_without_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match="no token"):
        ray_cluster.connect("203.0.113.7:6379", 1)


def test_several_hosts_without_an_address_are_refused(scratch: Path) -> None:
    with pytest.raises(InputError, match="--address local"):
        run(scenario(engine={"hosts": 2}), scratch / "run")


def test_ray_that_does_not_start_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fake:
        failures = 2

        def init(self, **_: Any) -> None:
            if self.failures:
                self.failures -= 1
                raise RuntimeError("current node timed out during startup")

        def shutdown(self) -> None:
            pass

    monkeypatch.setattr(ray_cluster.time, "sleep", lambda _: None)
    fake = Fake()
    ray_cluster._start(fake, 1)
    assert fake.failures == 0
