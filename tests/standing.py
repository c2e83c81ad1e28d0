"""A cluster of Ray on loopback that stands for as long as a test wants it: processes of its own, with a token.

It ends with its standard input, so also with a test that is killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

QUIET = {"RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Ray's way to say "one machine": every port on loopback. Who joins has to say it too, to find its node."""

_PROGRAM = """
import json, os, sys
os.environ["RAY_health_check_period_ms"] = "1000"  # a node that is gone is missed sooner
from ray.cluster_utils import Cluster
args = {"num_cpus": 2, "node_ip_address": "127.0.0.1", "object_store_memory": 100 << 20}
args["dashboard_agent_listen_port"] = 0  # any: at its own port, jobs are refused beside another Ray of this machine
head = dict(args, include_dashboard=sys.argv[1] == "jobs", dashboard_host="127.0.0.1")
cluster = Cluster(initialize_head=True, head_node_args=head)
second = cluster.add_node(**args)
print(json.dumps([cluster.address, cluster.webui_url or ""]), flush=True)
try:
    for _ in sys.stdin:
        cluster.remove_node(second, allow_graceful=False)
        print("removed", flush=True)
finally:
    cluster.shutdown()
"""


@dataclass(frozen=True)
class Standing:
    """A cluster of two nodes that stands."""

    address: str
    """HOST:PORT of its head."""
    jobs: str
    """HOST:PORT where jobs are submitted; empty without a dashboard."""
    environment: dict[str, str]
    """What a process needs that is to join it."""
    stdin: IO[str]
    stdout: IO[str]

    def lose_a_node(self) -> None:
        """Kill what runs on the second node, and the node."""
        self.stdin.write("remove\n")
        self.stdin.flush()
        assert self.stdout.readline() == "removed\n"


@contextlib.contextmanager
def standing(scratch: Path, *, jobs: bool = False) -> Iterator[Standing]:
    """Start a cluster below `scratch`, whose path has to be short: names of sockets lie in it."""
    (scratch / "token").write_text("a-token-of-this-test-" + "x" * 16)
    (scratch / "token").chmod(0o600)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= QUIET | LOOPBACK | {"RAY_AUTH_TOKEN_PATH": str(scratch / "token"), "TMPDIR": str(scratch)}
    environment["RAY_TMPDIR"] = str(scratch)
    command: list[Any] = [sys.executable, "-P", "-c", _PROGRAM, "jobs" if jobs else "none"]
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=(scratch / "cluster.log").open("w"),
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        told = process.stdout.readline()
        assert told, (scratch / "cluster.log").read_text()[-2000:]
        address, dashboard = json.loads(told)
        yield Standing(address, dashboard, environment, process.stdin, process.stdout)
    finally:
        process.stdin.close()
        process.wait(60)
        process.stdout.close()
