"""A process to be killed: runs or resumes a society, and dies at the commit that it is told to.

Its model is the scripted one, which also writes every call it takes to a file of its own, as a provider would bill it.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any, Literal

from agentsoc.backends.scripted import Scripted, ScriptedBackend
from agentsoc.contracts.model import Completion, Request
from agentsoc.contracts.part import Slot
from agentsoc.engine import directory as directory_module
from agentsoc.engine import execute as execute_module
from agentsoc.engine import interrupt as interrupt_module
from agentsoc.engine import resume as resume_module
from agentsoc.engine.columns import compute as columns_module
from agentsoc.engine.resume import resume
from agentsoc.engine.run import run
from agentsoc.errors import AgentsocError
from agentsoc.log.files import RunLock
from agentsoc.log.inside import Inside
from agentsoc.log.journal import Attempt, Journal, Key, load_journal
from agentsoc.scenario.model import Scenario
from tests.loose import register, scenario

BILL = "AGENTSOC_TEST_BILL"
"""Environment variable that names the file of calls."""


class BilledBackend(ScriptedBackend):
    async def complete(self, request: Request) -> Completion:
        hint = request.hint
        assert hint is not None
        line = f"{hint.task} {hint.round} {hint.agent} {hint.k} {hint.attempt}\n"
        bill = os.open(os.environ[BILL], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(bill, line.encode())
        os.close(bill)
        return await super().complete(request)


class Billed(Scripted):
    kind: Literal["billed"] = "billed"  # type: ignore[assignment]

    def open(self, *, seed: int, share: int = 1) -> ScriptedBackend:
        return BilledBackend(self, seed)


def society(**changes: Any) -> Scenario:
    """Return a scenario of about 80 calls of 3 ms each, some of which fail or are malformed at first."""
    register()
    Slot.register(Billed)
    latency_s = changes.pop("latency_s", 0.003)
    blocks: dict[str, Any] = {
        "tasks": {"kind": "coin", "count": 4},
        "agents": {"count": 5},
        "model": {
            "kind": "billed",
            "accuracy": 0.7,
            "latency_s": latency_s,
            "fail_rate": 0.1,
            "fail_kind": "timeout",
            "malformed_rate": 0.1,
        },
        "topology": {"kind": "hybrid"},
        "protocol": {"kind": "debate", "rounds": 4},
        "calls": {"backoff_s": 0.0, "attempts": 8},
        "engine": {"concurrency": 6},
    }
    return scenario(**{**blocks, **changes})


def die_at(row: int, when: str) -> None:
    """Let this process be killed before or after the commit that brings the `row`-th row (from 1) to the journal."""
    written = 0
    write = Journal._commit

    def commit_or_die(self: Journal, attempts: list[Attempt]) -> None:
        nonlocal written
        due = written < row <= written + len(attempts)
        written += len(attempts)
        if due and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        write(self, attempts)
        if due:
            os.kill(os.getpid(), signal.SIGKILL)

    Journal._commit = commit_or_die  # type: ignore[method-assign]


STEPS = {
    "mkdir": (directory_module, "make_private"),
    "lock": (RunLock, "__enter__"),
    "journal": (Journal, "__init__"),
    "seal": (Journal, "seal"),
}
"""Steps in the life of a run that are calls: where each one's function is."""
LAST = "last manifest.json"
"""The manifest that says that the run has finished."""
WHENS = ("before", "half", "unnamed", "after")
STARTS = (
    *((step, 1, when) for step in ("mkdir", "lock", "journal") for when in ("before", "after")),
    *(("tasks.parquet", 1, when) for when in WHENS),
    *(("manifest.json", 1, when) for when in ("before", "half", "unnamed")),
    *((".holder.json", 1, when) for when in ("before", "half", "after")),
)
"""Places before there is a manifest."""
ENDS = (
    *(("seal", 1, when) for when in ("before", "after")),
    *((name, 1, when) for name in ("episodes.parquet", "manifest.sha256", LAST) for when in WHENS),
)
"""Places where a run is being finished."""


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_in(place: str, nth: int, when: str) -> None:
    """Let this process be killed at the `nth` (from 1) time that it comes to a place.

    Args:
        place: one of `STEPS`, `LAST`, or a file or directory of the run of which a file is written.
        nth: which time.
        when: ``before`` or ``after`` it; of a file also ``half`` (part of it under its temporary name) or ``unnamed``
            (all of it).
    """
    if place in STEPS:
        owner, name = STEPS[place]
        step = getattr(owner, name)

        def step_or_die(*args: Any, **options: Any) -> Any:
            nonlocal nth
            nth -= 1
            if nth == 0 and when == "before":
                kill()
            result = step(*args, **options)
            if nth == 0:
                kill()
            return result

        setattr(owner, name, step_or_die)
        return
    write = Inside.write

    def write_or_die(self: Inside, name: str, data: bytes | memoryview, **how: bool) -> None:
        nonlocal nth
        is_last = place == LAST and name == "manifest.json" and json.loads(bytes(data))["status"] == "finished"
        nth -= is_last or name == place or name.startswith(f"{place}/")
        if nth == 0:
            if when == "before":
                kill()
            if when in ("half", "unnamed"):
                os.rename = lambda *_, **__: kill()  # what comes when all is in the temporary file
            write(self, name, data[: len(data) // 2] if when == "half" else data, **how)
            kill()
        write(self, name, data, **how)

    Inside.write = write_or_die  # type: ignore[method-assign]


def delay_commits(seconds: float, commits: int) -> None:
    """Let the first `commits` commits of this process take that long each."""
    write = Journal._commit

    def commit_slowly(self: Journal, attempts: list[Attempt]) -> None:
        nonlocal commits
        if commits > 0:
            time.sleep(seconds)
            commits -= 1
        write(self, attempts)

    Journal._commit = commit_slowly  # type: ignore[method-assign]


def delay_reading(seconds: float) -> None:
    """Let a resume think for that long about what it has read of the journal."""
    load = load_journal

    def load_and_wait(path: Path) -> tuple[dict[Key, Attempt], tuple[int, str]]:
        known = load(path)
        time.sleep(seconds)
        return known

    resume_module.load_journal = load_and_wait  # type: ignore[attr-defined]


def live(
    verb: str,
    directory: str,
    bill: str,
    *,
    die: tuple[int, str] | None = None,
    place: tuple[str, int, str] | None = None,
    changes: dict[str, Any] | None = None,
    whole: dict[str, Any] | None = None,
    settings: dict[str, float] | None = None,
    begin: Any = None,
    slow: tuple[float, int] | None = None,
    read_s: float = 0.0,
    file_limit: int | None = None,
) -> None:
    """Run or resume in this process; exit with the code of the error, after writing it to ``error`` files.

    `whole` is a scenario of another kind than `society` with `changes`.
    """
    os.setsid()  # whatever this process leaves behind can be found by its session
    os.environ[BILL] = bill
    for name, value in (settings or {}).items():
        home = next(one for one in (execute_module, interrupt_module, columns_module) if hasattr(one, name))
        setattr(home, name, value)
    if die is not None:
        die_at(*die)
    if place is not None:
        die_in(*place)
    if slow is not None:
        delay_commits(*slow)
    if read_s:
        delay_reading(read_s)
    built = society(**(changes or {})) if whole is None else Scenario.model_validate(whole)
    said = Path(f"{bill}.{os.getpid()}")
    if file_limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, resource.RLIM_INFINITY))
    if begin is not None:
        begin.wait(30)
    began = time.monotonic()
    try:
        if verb == "run":
            run(built, directory)
        else:
            resume(directory)
    except AgentsocError as error:
        said.write_text(f"{time.monotonic() - began}\n{type(error).__name__}\n{error}", encoding="utf-8")
        sys.exit(error.exit_code)
    said.write_text(f"{time.monotonic() - began}\n", encoding="utf-8")
