"""Commands in child processes, cheaply: one process has everything imported and forks for each of them.

`Zygote.call` runs ``agentsoc ARGS`` in a child of its own and says what it printed, its exit code, and what it took of
processor and memory. The forked process counts what was imported before it as its own memory.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

WALL_S = 20.0
ADDRESSES = 6 << 30
"""Address space of a child: a bomb that gets through is to end the child, not the machine (bytes)."""


class Outcome(NamedTuple):
    """What came of a command."""

    code: int
    """Exit code; minus the signal that ended it."""
    cpu_s: float
    rss_mb: float
    out: str
    err: str


class Zygote:
    """A process that forks commands."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._number = 0

    def __enter__(self) -> Zygote:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=self._scratch
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=WALL_S)
        self._process.stdout.close()

    def call(self, *args: object, cwd: Path | None = None) -> Outcome:
        """Run a command."""
        return self._ask({"args": [str(word) for word in args], "cwd": str(cwd or self._scratch)})

    def python(self, code: str, *args: object) -> Outcome:
        """Run Python code, which finds its arguments in ``args``; exit code 1 for whatever it raises."""
        return self._ask({"code": code, "args": [str(word) for word in args], "cwd": str(self._scratch)})

    def _ask(self, what: dict[str, Any]) -> Outcome:
        self._number += 1
        out, err = (self._scratch / f"{name}-{self._number}" for name in ("out", "err"))
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps({**what, "out": str(out), "err": str(err)}), file=self._process.stdin, flush=True)
        answer = json.loads(self._process.stdout.readline())
        texts = [path.read_text(errors="replace") for path in (out, err)]
        for path in (out, err):
            path.unlink()
        return Outcome(answer["code"], answer["cpu_s"], answer["rss_mb"], *texts)


def _import_all() -> None:
    """Import what a verb might: a child that has to pays for it at every call."""
    import agentsoc
    import analysis

    for package in (agentsoc, analysis):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if "ray" not in module.name and not module.name.endswith("__main__"):
                with contextlib.suppress(ImportError):  # of an extra that is not here
                    importlib.import_module(module.name)
    with contextlib.suppress(ImportError):  # pyarrow looks for it when it takes a list
        importlib.import_module("pandas")
    from numba.core.registry import cpu_target

    cpu_target.typing_context.refresh()  # what the first compiled function would wait for
    cpu_target.target_context.refresh()
    gc.freeze()


def _serve() -> None:
    _import_all()
    for line in sys.stdin:
        what = json.loads(line)
        child = os.fork()
        if not child:
            _act(what)
        print(json.dumps(_waited(child)), flush=True)


def _act(what: dict[str, Any]) -> None:
    for number, name in ((0, "/dev/null"), (1, what["out"]), (2, what["err"])):
        handle = os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(handle, number)
        os.close(handle)
    os.chdir(what["cwd"])
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.stdout, sys.stderr = open(1, "w"), open(2, "w")  # noqa: SIM115
    code = 1
    try:
        code = _run(what)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _run(what: dict[str, Any]) -> int:
    if "code" in what:
        exec(what["code"], {"args": what["args"]})
        return 0
    if what["args"][0] == "viewed":
        return int(importlib.import_module("viewed").main(*what["args"][1:]))
    from agentsoc.cli.main import main

    return main(what["args"])


def _waited(child: int) -> dict[str, Any]:
    give_up = time.monotonic() + WALL_S
    while True:
        ended, status, used = os.wait4(child, os.WNOHANG)
        if ended:
            break
        if time.monotonic() > give_up:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.005)
    code = os.waitstatus_to_exitcode(status)
    return {"code": code, "cpu_s": used.ru_utime + used.ru_stime, "rss_mb": used.ru_maxrss / 1024}


if __name__ == "__main__":
    _serve()
