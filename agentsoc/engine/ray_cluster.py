"""Starting and joining Ray. Always with an address, a temporary directory of our own, and token authentication."""

from __future__ import annotations

import atexit
import contextlib
import importlib
import ipaddress
import logging
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from agentsoc.errors import InputError, MissingExtraError, RunFailedError

TRIES = 4
"""Starts of a local cluster: Ray gives up after a fixed 30 s, which a loaded machine can need."""
OBJECT_STORE_BYTES = 256 << 20

_connected: str | None = None
_temporary: Path | None = None
_guardian: subprocess.Popen[bytes] | None = None
_log = logging.getLogger(__name__)


def connect(address: str, hosts: int) -> Any:
    """Return the ray module, connected to `address`; a second call in the process uses the same connection.

    Args:
        address: ``local`` to start a cluster that ends with this process, or HOST:PORT of a running one.
        hosts: hosts that will be placed.

    Raises:
        MissingExtraError: ray is not installed.
        InputError: the process is connected elsewhere, or the cluster is remote and no token is set.
        RunFailedError: the cluster does not start or does not answer.
    """
    global _connected
    # none of these can be set once Ray is imported or workers run
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if address == "local":
        # Ray's own way to say "one machine": every port is then bound to loopback instead of the network interface
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        _own_token()
    else:
        _demand_token(address)
    try:
        import ray
    except ModuleNotFoundError:
        raise MissingExtraError("running on several hosts", "ray", "ray") from None
    if not ray.is_initialized():
        _read_token_again()
    if ray.is_initialized():
        if _connected is not None and _connected != address:
            raise InputError(f"this process is already connected to Ray at {_connected}", "engine.address")
        _connected = address
        return ray
    if address == "local":
        _start(ray, hosts)
    else:
        _join(ray, address)
    _connected = address
    return ray


def disconnect() -> None:
    """End the connection, and the cluster if it is our own."""
    global _connected, _temporary
    if _connected is not None:
        import ray

        with contextlib.suppress(Exception):  # whatever state Ray is in, the process is ending
            ray.shutdown()
    _connected = None
    _dismiss_guard()
    if _temporary is not None:
        shutil.rmtree(_temporary, ignore_errors=True)
        _temporary = None


def _start(ray: Any, hosts: int) -> None:
    settings: dict[str, Any] = {
        "address": "local",
        "num_cpus": max(hosts, os.cpu_count() or 1),
        "include_dashboard": False,
        "log_to_driver": False,
        "logging_level": logging.ERROR,
        "object_store_memory": OBJECT_STORE_BYTES,
        "_temp_dir": str(_directory()),
        "_node_ip_address": "127.0.0.1",
    }
    _guard()
    try:
        _try_to_start(ray, settings)
    finally:
        os.environ.pop("AGENTSOC_CLUSTER", None)  # other children of this process do not belong to the cluster


def _try_to_start(ray: Any, settings: dict[str, Any]) -> None:
    for number in range(1, TRIES + 1):
        try:
            ray.init(**settings)
        except (RuntimeError, OSError, ConnectionError, ValueError) as error:
            with contextlib.suppress(Exception):
                ray.shutdown()
            if number == TRIES:
                raise RunFailedError(
                    f"Ray did not start in {TRIES} tries: {str(error)[:300]}",
                    "",
                    "the machine may be overloaded; --hosts 1 without --address needs no Ray",
                ) from None
            _log.warning("Ray did not start (try %d of %d); trying again", number, TRIES)
            time.sleep(1.0 * number)
        else:
            atexit.register(disconnect)
            return


_GUARD: Final = """
import os, select, signal, sys, time
from pathlib import Path

mark = sys.argv[1].encode()


def parents():
    # pid -> (parent, start time); the name in the second field may hold spaces and brackets
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
                found[int(entry.name)] = (int(fields[1]), fields[19])
            except (OSError, IndexError):
                pass
    return found


def marked(pid):
    try:
        return mark in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False


# every process of the cluster so far: pid -> start time. A process that gives itself a title may overwrite its
# environment, but its ancestors in the cluster do not
seen = {}
while True:
    now = parents()
    grown = True
    while grown:
        grown = False
        for pid, (parent, start) in now.items():
            if seen.get(pid) != start and (seen.get(parent, "") == now.get(parent, (0, None))[1] or marked(pid)):
                seen[pid] = start
                grown = True
    ready, _, _ = select.select([sys.stdin], [], [], 1.0)
    if ready:  # end of file: the driver is gone, however it went
        break

time.sleep(1.0)
for _ in range(20):
    now, left = parents(), False
    for pid, (_, start) in now.items():
        if seen.get(pid) == start or marked(pid):
            try:
                os.kill(pid, signal.SIGKILL)
                left = True
            except OSError:
                pass
    if not left:
        break
    time.sleep(0.1)
"""


def _guard() -> None:
    """Start a small process that ends what a killed driver leaves behind: some of Ray's helpers live on for a minute.

    It knows them by a mark in their environment, which they inherit from here, or from others that have it.
    """
    global _guardian
    if _guardian is not None or not Path("/proc/self/environ").exists():
        return
    mark = f"AGENTSOC_CLUSTER={secrets.token_hex(16)}"
    name, _, value = mark.partition("=")
    command = [sys.executable, "-I", "-c", _GUARD, mark]
    _guardian = subprocess.Popen(  # its own session: a Ctrl-C for the driver is not for it
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    os.environ.pop(name, None)
    os.environ[name] = value  # last of all: a process that changes its title may overwrite the first ones


def _dismiss_guard() -> None:
    """Let the guard end; what is left of the cluster goes with it."""
    global _guardian
    if _guardian is not None and _guardian.stdin is not None:
        _guardian.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            _guardian.wait(timeout=10)
        _guardian = None


def _join(ray: Any, address: str) -> None:
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (RuntimeError, OSError, ConnectionError, ValueError) as error:
        raise RunFailedError(
            f"there is no Ray cluster that answers at {address}: {str(error)[:300]}",
            "",
            "check the address, and that RAY_AUTH_MODE and RAY_AUTH_TOKEN_PATH are those of the cluster",
        ) from None
    atexit.register(disconnect)


def _directory() -> Path:
    """Return a short temporary directory: names of Ray's sockets are limited to about 107 bytes."""
    global _temporary
    if _temporary is None:
        _temporary = Path(tempfile.mkdtemp(prefix="asoc-"))
    return _temporary


def _own_token() -> None:
    """Give a cluster of our own a token that only this user can read."""
    if os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH"):
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        return
    path = _directory() / "token"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as handle:
        handle.write(secrets.token_hex(32))
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(path)


def _read_token_again() -> None:
    """Let Ray see the token although it was imported, and looked for one, before we set it."""
    raylet: Any = importlib.import_module("ray._raylet")
    raylet.Config.initialize("")  # reads the environment anew; has to come before the token's cache is dropped
    raylet.AuthenticationTokenLoader.instance().reset_cache()


def _demand_token(address: str) -> None:
    """Refuse a cluster beyond this machine without a token: whoever reaches it could run code."""
    host = address.removeprefix("ray://").rsplit(":", 1)[0].strip("[]")
    if host in ("auto", ""):
        raise InputError(f"{address!r} is no address", "engine.address", "give HOST:PORT, or local to start Ray here")
    loopback = host == "localhost"
    with contextlib.suppress(ValueError):
        loopback = ipaddress.ip_address(host).is_loopback
    has_token = os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH")
    if has_token:
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    elif not loopback:
        raise InputError(
            f"the cluster at {address} is not on this machine and no token is set",
            "engine.address",
            "start it with RAY_AUTH_MODE=token and set RAY_AUTH_TOKEN_PATH here to the same token file",
        )
