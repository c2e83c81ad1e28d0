"""A cluster of Ray on loopback that stands for as long as a test wants it: a process of its own, with a token.

It ends with its standard input, so also with a test that is killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

QUIET = {"RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}

_PROGRAM = """
import json, os, sys
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # every port on loopback
import ray
found = ray.init(
    address="local", num_cpus=2, _temp_dir=sys.argv[1], _node_ip_address="127.0.0.1", log_to_driver=False,
    object_store_memory=100 << 20,
    **({"include_dashboard": True, "dashboard_host": "127.0.0.1"} if sys.argv[2] == "jobs" else {"include_dashboard": False}),
)
print(json.dumps([ray.get_runtime_context().gcs_address, found.dashboard_url]), flush=True)
try:
    sys.stdin.read()
finally:
    ray.shutdown()
"""


class Standing(NamedTuple):
    """A cluster that stands."""

    address: str
    """HOST:PORT of its head."""
    jobs: str
    """HOST:PORT where jobs are submitted; empty without a dashboard."""
    environment: dict[str, str]
    """What a process needs that is to join it."""


@contextlib.contextmanager
def standing(scratch: Path, *, jobs: bool = False) -> Iterator[Standing]:
    """Start a cluster below `scratch`, whose path has to be short: names of sockets lie in it."""
    (scratch / "token").write_text("a-token-of-this-test-" + "x" * 16)
    (scratch / "token").chmod(0o600)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= QUIET | {"RAY_AUTH_TOKEN_PATH": str(scratch / "token"), "TMPDIR": str(scratch)}
    command: list[Any] = [sys.executable, "-P", "-c", _PROGRAM, scratch / "r", "jobs" if jobs else "none"]
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        address, dashboard = json.loads(process.stdout.readline())
        yield Standing(address, dashboard or "", environment)
    finally:
        process.stdin.close()
        process.wait(60)
        process.stdout.close()
