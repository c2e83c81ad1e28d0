"""This module starts and joins Ray, always with an address, a temporary directory of our own, and a token."""

from __future__ import annotations

import atexit
import contextlib
import importlib
import logging
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from agentsoc.engine import ray_files
from agentsoc.engine.ray_guard import GUARD
from agentsoc.engine.ray_output import OutputFile
from agentsoc.engine.ray_probe import NOBODY, TOKEN_WAY_ON, Endpoint, endpoint, probe, resolved
from agentsoc.errors import InputError, MissingExtraError, RunFailedError

TRIES = 4
"""Starts of a local cluster: Ray gives up after a fixed 30 s, which a loaded machine can need."""
JOIN_S = 60.0
"""Time to join a cluster whose head answers (seconds); it takes a few."""
SILENCE_S = 30.0
"""Time without an answer after which a head that was joined counts as gone (seconds); Ray exits after 60."""
OBJECT_STORE_BYTES = 256 << 20
LEAST: Final = {"num_cpus": 0, "memory": 1}
"""What an actor of ours asks for: no cores, so that it starts on a full cluster, and a byte, because Ray puts what asks
for nothing at all on any node, whatever was said of where it is to be."""

_connected: str | None = None
_temporary: ray_files.Held | None = None
_output: OutputFile | None = None
_guardian: subprocess.Popen[bytes] | None = None
_made_token = False
_heard = 0.0
_log = logging.getLogger(__name__)


def connect(address: str, hosts: int) -> Any:
    """Return the ray module, connected to `address`; a second call in the process uses the same connection.

    Args:
        address: ``local`` to start a cluster that ends with this process, HOST:PORT of a running one, or ``auto`` for
            that of the Ray job which this process is part of.
        hosts: hosts that will be placed.

    Raises:
        MissingExtraError: ray is not installed.
        InputError: nobody answers at the address, the token is missing or refused, or the process is connected
            elsewhere.
        RunFailedError: the cluster does not start or cannot be joined.
    """
    global _connected, _heard
    where = _named(address)
    address = address if where is None else str(where)
    if _connected is not None and _connected != address:
        raise InputError(f"this process is already connected to Ray at {_connected}", "engine.address")
    if where is None:
        # Ray's own way to say "one machine": every port is then bound to loopback instead of the network interface
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        _own_token()
    elif _connected is None:
        probe(where, _token_to_tell, encrypted=_uses_tls())
    import ray

    if not ray.is_initialized():
        _token()  # Ray, too, has to see what we set
        _keep_output(ray)
        if where is None:
            _start(ray, hosts)
        else:
            _join(ray, where)
        atexit.unregister(disconnect)
        atexit.register(disconnect)  # after Ray registered its own: the last one is called first
    _connected, _heard = address, time.monotonic()
    return ray


def look(address: str) -> None:
    """Find out within seconds whether there is a cluster to join at `address`, before anything is loaded or built.

    Raises:
        MissingExtraError: ray is not installed.
        InputError: as `connect`; nothing is left behind.
    """
    where = _named(address)
    if where is not None and _connected is None:
        probe(where, _token_to_tell, encrypted=_uses_tls())


def _named(address: str) -> Endpoint | None:
    """Return where the head of the cluster is, None for one that is started here, with the environment made ready."""
    # none of these can be set once Ray is imported or workers run
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if find_spec("ray") is None:
        raise MissingExtraError("running on several hosts", "ray", "ray")
    if address == "local":
        return None
    where = endpoint(resolved(address))
    _demand_token(where)
    return where


def disconnect() -> None:
    """End the connection, and the cluster if it is our own."""
    global _connected, _temporary, _output, _made_token
    if _connected is not None:
        import ray

        with contextlib.suppress(Exception):  # whatever state Ray is in, the process is ending
            ray.shutdown()
    _connected = None
    _dismiss_guard()
    if _output is not None:
        _output.close()
        _output = None
    if _temporary is not None:
        _temporary.remove()
        _temporary = None
    if _made_token:  # the file was removed with the directory
        os.environ.pop("RAY_AUTH_TOKEN_PATH", None)
        os.environ.pop("RAY_AUTH_MODE", None)
        _made_token = False


def lost() -> str:
    """Return what of the cluster is gone, in words, or nothing: Ray would let calls hang, or end this process."""
    global _heard
    if _connected is None:
        return ""
    if _connected == "local":
        node = importlib.import_module("ray._private.worker")._global_node
        for name in ("gcs_server", "raylet"):
            for started in node.all_processes.get(name, ()) if node is not None else ():
                if started.process.poll() is not None:
                    return f"Ray's process {name} on this machine ended"
        return ""
    try:
        probe(endpoint(_connected), _token_in_use, encrypted=_uses_tls())
    except InputError as error:
        silent_s = time.monotonic() - _heard
        why = error.problem.what.removeprefix(f"{NOBODY}: ")
        return f"its head has not answered for {silent_s:.0f} s: {why}" if silent_s > SILENCE_S else ""
    _heard = time.monotonic()
    return ""


def node() -> str:
    """Return which node of the cluster this process, an actor's, is on."""
    import ray

    return str(ray.get_runtime_context().get_node_id())


def nodes() -> dict[str, float]:
    """Return the nodes that are alive, and the cores of each (cores)."""
    ray: Any = importlib.import_module("ray")
    return {str(found["NodeID"]): float(found["Resources"].get("CPU", 0.0)) for found in ray.nodes() if found["Alive"]}


def least_loaded(used: Sequence[str], avoid: str = "") -> str:
    """Return the node with the fewest hosts for its cores; one without cores only where there is no other.

    Ray's own spreading looks at what actors ask for, and hosts ask for nothing: a cluster that is full of others' work,
    or has fewer cores than hosts, would otherwise never start them.

    Args:
        used: the node of each host that is placed already.
        avoid: the node on which a host has just died: it may be gone, which Ray needs seconds to find out. Taken only
            where there is no other.
    """
    found = nodes()
    found = {name: n for name, n in found.items() if name != avoid} or found
    cores = {name: n for name, n in found.items() if n > 0} or dict.fromkeys(found, 1.0)
    return min(cores, key=lambda name: ((used.count(name) + 1) / cores[name], name))


def on_node(name: str, *, only: bool = False) -> Any:
    """Return the placement on a node: on no other, if `only`, else rather there than elsewhere."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(name, soft=not only)


def directory() -> Path:
    """Return this process's directory for Ray's files and those of hosts on this machine; nobody else can enter it."""
    global _temporary
    if _temporary is None:
        _temporary = ray_files.hold()
        atexit.register(disconnect)
    return _temporary.path


def _keep_output(ray: Any) -> None:
    """Let what Ray says of its processes go to a file: it can be hundreds of lines, and standard output is ours."""
    global _output
    if _output is None:
        _output = OutputFile(ray, directory() / "ray.log")


def _start(ray: Any, hosts: int) -> None:
    settings: dict[str, Any] = {
        "address": "local",
        "num_cpus": max(hosts, os.cpu_count() or 1),
        "include_dashboard": False,
        "log_to_driver": False,
        "logging_level": logging.ERROR,
        "object_store_memory": OBJECT_STORE_BYTES,
        "_temp_dir": str(directory() / "r"),
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
        except SystemExit:  # Ray turns SIGTERM into this
            raise KeyboardInterrupt from None
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
            return


def _guard() -> None:
    """Start a small process that ends what a killed driver leaves behind: some of Ray's helpers live on for a minute.

    It knows them by a mark in their environment, which they inherit from here, or from others that have it.
    """
    global _guardian
    if _guardian is not None or not Path("/proc/self/environ").exists():
        return
    mark = f"AGENTSOC_CLUSTER={secrets.token_hex(16)}"
    name, _, value = mark.partition("=")
    command = [sys.executable, "-I", "-c", GUARD, mark]
    directory()
    assert _temporary is not None
    _guardian = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # a Ctrl-C for the driver is not for it
        pass_fds=[_temporary.lock],  # the directory is not abandoned before the processes that use it are gone
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


_TRIAL: Final = """
import logging, sys, ray

ray.init(address=sys.argv[1], log_to_driver=False, logging_level=logging.ERROR)
ray.shutdown()
"""


def _join(ray: Any, where: Endpoint) -> None:
    """Join a cluster, after another process could do it.

    When a part of the cluster hangs, Ray has no limit for some waits, holds all threads of the process during others,
    or ends the process; that process is then not ours.
    """
    try:
        # -P: what lies in the working directory is not to be imported
        command = [sys.executable, "-P", "-c", _TRIAL, str(where)]
        trial = subprocess.run(
            command,
            env=os.environ | _as_imported(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            timeout=JOIN_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _not_joined(where, f"that did not end within {JOIN_S:g} s") from None
    if trial.returncode:
        lines = [line for line in trial.stderr.splitlines() if line.strip()]
        said = re.sub(r"^\[[^]]*\] \S+: ", "", lines[-1])[:300] if lines else f"exit code {trial.returncode}"
        raise _not_joined(where, said)
    try:
        ray.init(address=str(where), log_to_driver=False, logging_level=logging.ERROR)
    except (RuntimeError, OSError, ConnectionError, ValueError) as error:
        raise _not_joined(where, str(error)[:300]) from None


def _as_imported() -> dict[str, str]:
    """Return what lets another process look for its node where this one will: Ray decided that when it was imported."""
    several = vars(importlib.import_module("ray._private.ray_constants")).get("ENABLE_RAY_CLUSTER")
    return {} if several is None else {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": str(int(several))}


def _not_joined(where: Endpoint, why: str) -> RunFailedError:
    return RunFailedError(
        f"the head of the Ray cluster at {where} answers, but the cluster cannot be joined from here: {why}\n"
        "    this machine needs a node of it that is alive (see `ray status`) and the same versions of Python and Ray"
    )


def _own_token() -> None:
    """Give a cluster of our own a token that only this user can read."""
    if os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH"):
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        return
    global _made_token
    path = directory() / "token"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as handle:
        handle.write(secrets.token_hex(32))
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(path)
    _made_token = True


def _uses_tls() -> bool:
    return os.environ.get("RAY_USE_TLS", "0") not in ("", "0")


def _token() -> str:
    """Return the token that Ray will use, and let it see the token although it was imported before we set it.

    Raises:
        InputError: a token is asked for and there is none.
    """
    raylet: Any = importlib.import_module("ray._raylet")
    raylet.Config.initialize("")  # reads the environment anew; has to come before the token's cache is dropped
    raylet.AuthenticationTokenLoader.instance().reset_cache()
    return _token_in_use()


def _token_to_tell() -> str:
    """Return the token to ask with; Ray, which takes seconds to load, is needed only where there may be one."""
    set_here = any(os.environ.get(name) for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
    return _token() if set_here or (Path.home() / ".ray" / "auth_token").exists() else ""


def _token_in_use() -> str:
    mode = os.environ.get("RAY_AUTH_MODE")
    loader = importlib.import_module("ray._raylet").AuthenticationTokenLoader.instance()
    if mode is not None and mode.lower() != "token":
        return ""
    try:
        return str(loader.get_raw_token(ignore_auth_mode=True))
    except importlib.import_module("ray.exceptions").AuthenticationError as error:
        raise InputError(str(error).partition(". ")[0], "engine.address", TOKEN_WAY_ON) from None


def _demand_token(where: Endpoint) -> None:
    """Refuse a cluster beyond this machine without a token: whoever reaches it could run code."""
    if os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH"):
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    elif not where.on_this_machine:
        raise InputError(
            f"the cluster at {where} is not on this machine and no token is set",
            "engine.address",
            "start it with RAY_AUTH_MODE=token and set RAY_AUTH_TOKEN_PATH here to the same token file",
        )
