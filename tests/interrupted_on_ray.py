"""Runs on two hosts of Ray of which a host, or the driver, is killed by SIGKILL when the journal has come to a row.

All of them share the one local cluster of this process. A driver that is to be killed is a process of its own that
joins it; the run is resumed here, on two hosts again.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from agentsoc.engine import ray_cluster, ray_host
from agentsoc.engine.resume import resume
from agentsoc.engine.run import run
from agentsoc.errors import AgentsocError
from agentsoc.log.manifest import NAME
from agentsoc.log.read import RunLog
from agentsoc.scenario.model import Scenario
from tests.interrupted import Ended, ended

HOSTS: Final = 2
GIVE_UP_S: Final = 90.0
"""Time in which a run has to come to the row at which it is killed (seconds)."""

_DRIVER: Final = """
import json, sys
from pathlib import Path
from agentsoc.engine.run import run
from agentsoc.scenario.model import Scenario
from agentsoc.engine.resume import resume
whole, where, address = sys.argv[1:]
if __name__ == "__main__":
    if (Path(where) / "manifest.json").exists():
        resume(where, engine={"hosts": 2, "address": address})
    else:
        run(Scenario.model_validate(json.loads(whole)), where)
"""


def on_ray(built: Scenario, address: str = "local") -> Scenario:
    """Return a scenario that is carried out on two hosts of Ray."""
    engine = built.engine.model_copy(update={"hosts": HOSTS, "address": address})
    return built.model_copy(update={"engine": engine})


def rows_on_disk(directory: Path) -> int:
    """Return how many attempts the journal of a run names by now."""
    with contextlib.suppress(AgentsocError, OSError):
        return sum(1 for _ in RunLog(directory).journal())
    return 0


def with_hosts_killed(built: Scenario, where: Path, rng: random.Random, at_rows: Sequence[int]) -> tuple[Ended, int]:
    """Run a scenario of which hosts are killed; return what it came to, and how many were there to be killed."""
    hit = hosts_killed(lambda: run(on_ray(built), where), where, rng, at_rows)
    return ended(where), hit


def hosts_killed(go: Callable[[], object], where: Path, rng: random.Random, at_rows: Sequence[int]) -> int:
    """Do what runs something on Ray, and kill hosts meanwhile; return how many were there to be killed."""
    hit: list[int] = []
    over = threading.Event()
    with _pools() as pools:

        def kill() -> None:
            for row in sorted(at_rows):
                if not _come_to(where, row, over.is_set):
                    return
                pids = [pid for pid in pools[-1].pids() if pid not in hit]
                if pids:  # otherwise both are being replaced
                    hit.append(rng.choice(pids))
                    os.kill(hit[-1], signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            go()
        finally:
            over.set()
            killer.join()
    return len(hit)


def with_drivers_killed(built: Scenario, where: Path, at_rows: Sequence[int]) -> tuple[Ended, int]:
    """Run a scenario whose driver is killed, as are those that resume it, but the last; return the same."""
    killed = sum(_driver_killed(built, where, row) for row in sorted(at_rows))
    if (where / NAME).exists():
        resume(where, engine={"hosts": HOSTS, "address": "local"})
    else:
        run(on_ray(built), where)
    return ended(where), killed


def _driver_killed(built: Scenario, where: Path, at_row: int) -> bool:
    """Run or resume a scenario in a process of its own and kill that; tell whether there was something to kill."""
    address = cluster_address()
    words = ["-c", _DRIVER, on_ray(built, address).model_dump_json(), str(where), address]
    return driver_killed(words, where, at_row)


def driver_killed(words: Sequence[str], where: Path, at_row: int) -> bool:
    """Start Python with these words and kill it at a row of its journal; tell whether there was something to kill."""
    root = Path(__file__).parent.parent
    child = subprocess.Popen(
        [sys.executable, *words],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _come_to(where, at_row, lambda: child.poll() is not None)
        killed = child.poll() is None
    finally:
        child.kill()
        child.wait()
    assert killed or child.returncode == 0, f"the driver ended with {child.returncode}"
    return killed


def cluster_address() -> str:
    """Return where others on this machine join the cluster of this process, which is started when it is not there."""
    ray: Any = ray_cluster.connect("local", HOSTS)
    return str(ray.get_runtime_context().gcs_address)


def _come_to(where: Path, row: int, over: Callable[[], bool]) -> bool:
    """Wait until the journal of a run has a row; tell whether it has, or the run was over before."""
    give_up = time.monotonic() + GIVE_UP_S
    while time.monotonic() < give_up and not over():
        if (where / NAME).exists() and rows_on_disk(where) >= row:
            return True
        time.sleep(0.02)
    return False


@contextlib.contextmanager
def _pools() -> Iterator[list[ray_host.RayPool]]:
    """Note every pool of hosts that is started meanwhile."""
    pools: list[ray_host.RayPool] = []
    begun = ray_host.RayPool.start

    async def start(self: ray_host.RayPool) -> None:
        await begun(self)
        pools.append(self)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ray_host.RayPool, "start", start)
        yield pools
