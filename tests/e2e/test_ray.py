"""Hosts on Ray: the log is that of one process, whatever the hosts, and whoever dies on the way."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentsoc.engine import ray_cluster, ray_host
from agentsoc.engine.replay import replay
from agentsoc.engine.run import Progress, Run, run
from agentsoc.errors import InputError
from agentsoc.log.read import RunLog
from agentsoc.scenario.model import Scenario
from tests.interrupted import to_the_end
from tests.interrupted_on_ray import with_hosts_killed
from tests.nightly import NIGHTLY
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
    "with tools in an environment": {
        "tasks": {"kind": "episodes", "count": 6, "environment": {"kind": "commons", "rounds": 3}},
        "agents": {
            "count": 5,
            "model": {
                "kind": "scripted",
                "latency_s": 0.005,
                "fail_rate": 0.1,
                "uses_tools": [
                    [{"tool": "calculator", "arguments": {"expression": "{agent} * 7"}}, {"tool": "nowhere"}],
                    [{"tool": "calculator", "arguments": {"expression": "{result} + 1"}}],
                ],
                "replies": [["fish", '{"action": 9, "why": "enough"}']],
            },
            "tools": ["calculator"],
            "history": "all",
        },
        "topology": "decentralized",
        "protocol": {"kind": "play", "talk": 1},
        "budget": {"tool_calls_per_task": 40, "tokens_per_task": 90_000, "shown": "team"},
        "calls": {"backoff_s": 0.0},
    },
    "what was said elsewhere": {
        "agents": {
            "count": 4,
            "model": {"kind": "scripted", "accuracy": 0.6, "latency_s": 0.01, "cites": "all"},
            "history": "all",
        },
        "topology": {"kind": "dynamic-reputation", "hears": 2, "drop": 1},
        "protocol": {"kind": "placebo", "rounds": 3},
    },
    "an auction with memory": {
        "agents": {"count": 3, "model": {"kind": "scripted", "accuracy": 0.6}},
        "topology": "independent",
        "protocol": {"kind": "auction", "memory": "kept"},
        "episodes": "sequential",
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
    """The cases take the numbers of hosts in turns, for hosts take long to start; all with AGENTSOC_NIGHTLY=1."""
    alone = on(0, CASES[name], scratch / "local")[0]
    expected, episodes = alone.manifest, alone.episodes()
    assert episodes is not None
    numbers = ((1, 1), (2, 64), (7, 8))
    in_turn: tuple[tuple[int, int], ...] = (numbers[list(CASES).index(name) % 3],)
    if name == "split and shown":
        in_turn = (numbers[1],)  # one case is enough for seven
    if "tools" in name:
        in_turn = ((1, 8), (2, 1))  # no more hosts to start than seven
        for concurrency in (1, 8):
            again_alone = on(0, CASES[name], scratch / f"local{concurrency}", concurrency=concurrency)[0]
            assert again_alone.manifest.digest == expected.digest
        assert min(expected.totals.events_by_kind.get(kind, 0) for kind in ("tool_call", "action", "propose_claim")) > 0
    for hosts, concurrency in (*numbers, *in_turn) if NIGHTLY else in_turn:
        spread = on(hosts, CASES[name], scratch / f"ray{hosts}-{concurrency}", concurrency=concurrency)[0]
        got, again = spread.manifest, spread.episodes()
        assert got.digest == expected.digest
        assert again is not None
        assert again.drop("virtual_s").equals(episodes.drop("virtual_s"), null_equal=True)
        ours, theirs = got.totals.model_dump(), expected.totals.model_dump()
        assert {**ours, "virtual_s": 0} == {**theirs, "virtual_s": 0}


@given(parts=societies(), concurrency=st.sampled_from([1, 8, 64]))
@settings(
    deadline=None,
    max_examples=6 if NIGHTLY else 2,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
def test_random_societies_give_one_digest_in_the_process_and_on_two_hosts(
    parts: dict[str, Any], concurrency: int
) -> None:
    """Two societies by day, six each night."""
    with tempfile.TemporaryDirectory() as directory:
        expected = on(0, parts, Path(directory) / "local")[0].manifest
        got = on(2, parts, Path(directory) / "ray", concurrency=concurrency, vectorise=False)[0].manifest
    assert (got.digest, got.totals.events) == (expected.digest, expected.totals.events)


@pytest.mark.parametrize("kill", range(3) if NIGHTLY else (0, 2))
def test_a_host_that_is_killed_is_replaced_and_the_log_is_the_same_and_ray_prints_nothing(
    kill: int, scratch: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """By day at the start of a run (0) and later in a longer one (2); each night between them (1) as well."""
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
    assert capfd.readouterr() == ("", "")
    noted = (ray_cluster.directory() / "ray.log").read_text()
    assert kill == 2 or "died or was killed" in noted
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
from agentsoc.engine.replay import replay
from agentsoc.engine.resume import resume
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


def left_in(scratch: Path) -> list[Path]:
    return sorted(scratch.glob("asoc-*"))


def test_a_killed_driver_leaves_no_process_and_resumes_to_the_same_log(scratch: Path) -> None:
    ours = {"TMPDIR": str(scratch)}
    parts = {"tasks": {"kind": "coin", "count": 60}, **CASES["orchestrated"]}
    expected = on(0, parts, scratch / "local")[0].manifest.digest
    out = scratch / "ray"
    child = drive({**parts, "engine": {"hosts": 2, "address": "local"}}, out, AGENTSOC_TEST_RUN=str(out), **ours)
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
    (left,) = left_in(scratch)
    assert stat.S_IMODE(left.stat().st_mode) == 0o700
    again = drive(parts, out, RESUME, **ours)
    printed, _ = again.communicate(timeout=120)
    assert printed.split() == [expected, "0"]
    assert left_in(scratch) == []  # neither of the killed driver nor of this one


@pytest.mark.parametrize("tokens", [None, 4_000] if NIGHTLY else [None])
def test_killed_hosts_change_a_result_only_where_their_charges_change_what_is_granted(
    tokens: int | None, scratch: Path
) -> None:
    """The small form of `python -m benchmarks.study_waves --ray`, which kills drivers as well: a host twice.

    By day without a budget, where nothing may change; each night within one as well.
    """

    def debated(latency_s: float) -> Scenario:
        model = {"kind": "scripted", "accuracy": 0.7, "fail_rate": 0.2, "malformed_rate": 0.2, "latency_s": latency_s}
        return scenario(
            tasks={"kind": "sentiment", "count": 2},
            agents={"count": 6, "model": model, "max_tokens": 60},
            topology="hybrid",
            protocol={"kind": "debate", "rounds": 3},
            budget=None if tokens is None else {"tokens_per_task": tokens},
            calls={"backoff_s": 0.0},
        )

    whole = to_the_end(debated(0.0), scratch / "whole")
    half = len(whole.rows) // 2
    ended, killed = with_hosts_killed(debated(0.03), scratch / "hosts", random.Random(1), [5, half])
    assert killed
    same = ended.steps == whole.steps
    assert same or (tokens is not None and ended.lost)
    assert not same or ended.digest == whole.digest
    rows = RunLog(scratch / "hosts").episodes()
    assert rows is not None
    assert tokens is None or not (rows["charged"] > tokens).any()


def test_others_cannot_enter_what_ray_and_the_hosts_write_and_hosts_leave_nothing(
    scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Path, list[Path]]] = []
    close = ray_host.RayPool.close

    def note(pid: int) -> None:
        directory = Path(f"/proc/{pid}/cwd").readlink()
        files = [path for path in directory.rglob("*") if path.is_file()]
        seen.append((directory, files))
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700

    async def look(self: ray_host.RayPool) -> None:
        for pid in self.pids():
            note(pid)
        await close(self)

    monkeypatch.setattr(ray_host.RayPool, "close", look)
    on(2, CASES["orchestrated"], scratch / "run")
    ours = ray_cluster.directory()
    assert [[path.name for path in files] for _, files in seen] == [[LOOSE.name]] * 2
    assert {found.parent.parent for found, _ in seen} == {ours}
    assert not any(found.parent.exists() for found, _ in seen)
    assert stat.S_IMODE(ours.stat().st_mode) == 0o700
    session = Path(ray_cluster.connect("local", 1)._private.worker._global_node.get_session_dir_path())
    assert session.is_relative_to(ours)
    assert not list(ours.glob("host*"))


SLOW = """
name: slow
tasks: {kind: sentiment, count: 400}
agents: {count: 5, model: {kind: scripted, accuracy: 0.7, latency_s: 0.3}}
topology: star
protocol: {kind: aggregate, by: majority}
engine: {concurrency: 8, hosts: 2, address: local}
"""


def command(*words: str | Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "agentsoc.cli.main", *map(str, words)],
        cwd=Path(__file__).parent.parent.parent,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("name", ["raylet", "gcs_server"] if NIGHTLY else ["gcs_server"])
def test_a_part_of_ray_that_is_killed_ends_the_run_in_order_and_prints_nothing(name: str, scratch: Path) -> None:
    """By day the process that keeps the cluster together; each night that of the node as well."""
    (scratch / "slow.yaml").write_text(SLOW)
    out = scratch / "run"
    mark = {"AGENTSOC_TEST_RUN": str(out), "TMPDIR": str(scratch)}
    child = command("run", scratch / "slow.yaml", "--out", out, "--quiet", **mark)
    journal = out / "journal.sqlite-wal"
    deadline = time.monotonic() + 150
    while time.monotonic() < deadline and not (journal.exists() and journal.stat().st_size > 60_000):
        time.sleep(0.05)
    found = [line for line in host_processes(out) if f"/{name} " in line]
    os.kill(int(found[0].partition(":")[0]), signal.SIGKILL)
    printed, said = child.communicate(timeout=40)  # Ray alone: 60 s and its own last words, or 120 s
    assert (child.returncode, printed) == (1, "")
    assert said.splitlines() == [
        f"error: the Ray cluster is gone: Ray's process {name} on this machine ended",
        f"    what is on disk is safe; go on with: agentsoc resume {out}",
    ]
    assert left_in(scratch) == []


STANDING = """
import json, sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
pids = {name: found[0].process.pid for name, found in cluster.head_node.all_processes.items()}
cluster.add_node(num_cpus=1)
print(json.dumps([cluster.address, pids]), flush=True)
try:
    sys.stdin.read()
finally:
    cluster.shutdown()
"""


class Standing(NamedTuple):
    """A cluster of two nodes that wants a token."""

    address: str
    pids: dict[str, int]
    """Processes of the head, by name."""
    tokens: Path
    """Where the files `right` and `wrong` are."""

    def environment(self, token: str) -> dict[str, str]:
        """Return the variables with which a process asks with a token."""
        return {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.tokens / token),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        }


@pytest.fixture
def standing() -> Iterator[Standing]:
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        for name in ("right", "wrong"):
            (scratch / name).write_text(f"{name}-token-of-this-test" + "x" * 16)
            (scratch / name).chmod(0o600)
        cluster = subprocess.Popen(
            [sys.executable, "-c", STANDING],
            env={**os.environ, **Standing("", {}, scratch).environment("right"), "RAY_TMPDIR": directory},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert cluster.stdin is not None
        assert cluster.stdout is not None
        try:
            address, pids = json.loads(cluster.stdout.readline())
            yield Standing(address, pids, scratch)
        finally:
            cluster.stdin.close()
            cluster.wait(60)
            cluster.stdout.close()


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_two_nodes_with_a_token_give_the_same_log_and_refuse_in_time_another_token_or_when_a_part_of_them_hangs(
    standing: Standing, scratch: Path
) -> None:
    """One test, for a cluster takes long to start, and one that was stopped is good for nothing else."""
    expected = on(0, CASES["orchestrated"], scratch / "local")[0].manifest.digest
    parts = {"tasks": {"kind": "coin", "count": 12}, **CASES["orchestrated"]}
    program = DRIVER.replace("**parts", f'**parts, engine={{"hosts": 2, "address": "{standing.address}"}}')
    program = program.replace("code_paths=[code]", "code_paths=[code], consent=True")  # the node may not be loopback
    child = drive(parts, scratch / "ray", program, **standing.environment("right"), TMPDIR=str(scratch))
    printed, _ = child.communicate(timeout=200)
    assert expected in printed.split()
    assert left_in(scratch) == []

    def join(token: str, join_s: float = 120.0) -> tuple[int, str, float]:
        program = (
            "import sys; from agentsoc.engine import ray_cluster; from agentsoc.cli.main import main; "
            f"ray_cluster.JOIN_S = {join_s}; sys.exit(main())"
        )
        words = ["run", "scenarios/topology-star.yaml", "--address", standing.address, "--hosts", "2", "--quiet"]
        begun = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", program, *words, "--out", str(scratch / f"run-{begun}")],
            cwd=Path(__file__).parent.parent.parent,
            env={**os.environ, **standing.environment(token), "TMPDIR": str(scratch)},
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr, time.monotonic() - begun

    code, said, lasted_s = join("wrong")
    assert (code, f"the Ray cluster at {standing.address} wants another token" in said) == (2, True), said
    assert lasted_s < 20  # 3 s on an idle machine
    with stopped(standing.pids["gcs_server"]):
        code, said, lasted_s = join("right")
    assert (code, "accepts connections but did not answer" in said) == (2, True), said
    assert lasted_s < 20  # 4 s
    with stopped(standing.pids["raylet"]):
        code, said, lasted_s = join("right", join_s=8.0)
    assert (code, "did not end within 8 s" in said) == (1, True), said
    assert lasted_s < 40  # 11 s
    assert left_in(scratch) == []


def test_a_cluster_beyond_this_machine_is_refused_without_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match="no token"):
        ray_cluster.connect("203.0.113.7:6379", 1)


def test_a_file_whose_name_leads_out_of_a_hosts_directory_is_refused_before_ray_starts(scratch: Path) -> None:
    (scratch / "below").mkdir()
    rows = [{"id": str(n), "question": "1 or 2?", "options": ["1", "2"], "answer": "1"} for n in range(2)]
    (scratch / "tasks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = """
name: names
tasks: {kind: jsonl, file: "FILE", count: 2}
agents: {count: 3, model: scripted}
topology: independent
protocol: vote
engine: {address: local}
"""
    for name in ("below/../../tasks.jsonl", str(scratch.resolve() / "tasks.jsonl")):
        (scratch / "scenario.yaml").write_text(text.replace("FILE", name))
        child = command("run", scratch / "scenario.yaml", "--out", scratch / "run", "--quiet", TMPDIR=str(scratch))
        _, said = child.communicate(timeout=60)
        assert (child.returncode, "outside the directory of the scenario" in said) == (2, True), said
        assert not (scratch / "run").exists()
        assert not left_in(scratch)


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

    monkeypatch.setattr(time, "sleep", lambda _: None)
    fake = Fake()
    ray_cluster._start(fake, 1)
    assert fake.failures == 0
