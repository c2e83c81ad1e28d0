"""Societies whose agents call tools, alone and in an environment, and how one is run, killed, resumed and looked at."""

from __future__ import annotations

import json
import os
import random
import signal
from collections import Counter
from collections.abc import Sequence
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final, NamedTuple

from agentsoc.engine.replay import replay
from agentsoc.engine.resume import resume
from agentsoc.engine.run import run
from agentsoc.engine.tool_desk import ToolDesk
from agentsoc.log.journal import Attempt
from agentsoc.log.manifest import NAME
from agentsoc.log.read import RunLog
from tests.e2e.victim import die_at

ROOT: Final = Path(__file__).parent.parent
CODE: Final = ROOT / "tests" / "data" / "noting_tools.py"
STAGES: Final = 2
"""Stages of every society here: so often each word is written."""

Kill = dict[str, Any]


def blocks(name: str, home: Path) -> dict[str, Any]:
    """Return a scenario: ``talk`` (a debate) or ``world`` (a lake that is fished, with talk before each haul).

    In each of its turns an agent looks a word up, then notes one and calculates, then answers or acts.
    """
    model: dict[str, Any] = {
        "kind": "scripted",
        "accuracy": 0.8,
        "latency_s": 0.002,
        "uses_tools": [
            [{"tool": "glancing", "arguments": {"word": "look-{task}-{agent}"}}],
            [
                {"tool": "jotting", "arguments": {"word": "{task}-{agent}-{result}"}},
                {"tool": "calculator", "arguments": {"expression": "{agent}+1"}},
            ],
        ],
    }
    tools = [
        {"kind": "jotting", "where": str(home / "notes")},
        {"kind": "glancing", "where": str(home / "looks")},
        "calculator",
    ]
    shared = {"name": name, "seed": 11, "topology": "decentralized", "calls": {"backoff_s": 0.0}}
    if name == "talk":
        return {
            **shared,
            "tasks": {"kind": "sentiment", "count": 3},
            "agents": {"count": 3, "model": model, "tools": tools},
            "protocol": {"kind": "debate", "rounds": STAGES},
        }
    lake = {"kind": "commons", "rounds": STAGES}
    return {
        **shared,
        "tasks": {"kind": "episodes", "count": 2, "environment": lake},
        "agents": {"count": 3, "model": {**model, "replies": [["", '{"action": 3}']]}, "tools": tools},
        "protocol": {"kind": "play", "talk": 1},
    }


def written(name: str, home: Path) -> Path:
    """Write the scenario into a folder; return its file."""
    home.mkdir(parents=True, exist_ok=True)
    source = home / "scenario.yaml"
    source.write_text(json.dumps(blocks(name, home)))
    return source


def go_on(home: Path, engine: dict[str, Any]) -> None:
    """Run the scenario of a folder, or resume the run that is there."""
    where = home / "run"
    if (where / NAME).exists():
        resume(where, engine=engine, allow_code=[CODE])
    else:
        overrides = {f"engine.{name}": value for name, value in engine.items()}
        run(home / "scenario.yaml", where, overrides=overrides, code_paths=[CODE])


def die_in_call(tool: str, nth: int, when: str) -> None:
    """Let this process be killed at the `nth` (from 1) call of a tool, ``before`` its effect or ``after`` it."""
    outcome, left = ToolDesk._outcome, nth

    async def outcome_or_die(self: ToolDesk, one: Any) -> tuple[str | None, str | None]:
        nonlocal left
        left -= one.call.tool == tool
        due = one.call.tool == tool and left == 0
        if due and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        made = await outcome(self, one)
        if due:
            os.kill(os.getpid(), signal.SIGKILL)
        return made

    ToolDesk._outcome = outcome_or_die  # type: ignore[method-assign]


def live(home: str, engine: dict[str, Any], kill: Kill) -> None:
    """Be the process that runs or resumes, and that is killed as told."""
    if "commit" in kill:
        die_at(*kill["commit"])
    if "call" in kill:
        die_in_call(*kill["call"])
    go_on(Path(home), engine)


def some_kill(rng: random.Random, n_rows: int, n_calls: int) -> Kill:
    """Return a moment: in a call of a tool, or at a commit of the journal."""
    if rng.random() < 0.6:
        tool = rng.choice(["jotting", "jotting", "glancing"])
        return {"call": (tool, rng.randint(1, n_calls), rng.choice(["before", "after"]))}
    return {"commit": (rng.randint(1, n_rows), rng.choice(["before", "after"]))}


class Whole(NamedTuple):
    """The run that nobody disturbs."""

    digest: str
    rows: list[Attempt]
    n_calls: int
    """Calls of the tool that writes."""


def undisturbed(name: str, home: Path) -> Whole:
    """Run a society in the process, one call at a time."""
    written(name, home)
    go_on(home, {"concurrency": 1})
    log = RunLog(home / "run")
    assert log.manifest.digest is not None
    return Whole(log.manifest.digest, list(log.journal()), len(lines(home / "notes")))


def lines(where: Path) -> list[str]:
    """Return what a tool noted."""
    return where.read_text().splitlines() if where.exists() else []


class End(NamedTuple):
    """What a run came to that was killed, resumed and ended."""

    broken: list[str]
    """Promises that it broke, in words."""
    same: bool
    """Whether its digest is that of the undisturbed run."""
    lost: int
    """Calls that write of which nobody knows what became."""
    again: int
    """Calls that read and were made more than once."""


def ended(home: Path, whole: Whole, kills: int) -> End:
    """Compare a run with what was promised."""
    log, broken = RunLog(home / "run"), []
    rows = list(log.journal())
    notes, looks = lines(home / "notes"), lines(home / "looks")
    writes = [row for row in rows if row.model == "tool:jotting"]
    lost = sum((row.failure or "").startswith("lost") for row in writes)
    done = sum(row.state == "done" for row in writes)
    again = len(looks) - whole.n_calls
    same = log.manifest.digest == whole.digest
    if log.manifest.status != "finished":
        broken.append(f"it is {log.manifest.status}")
    if not done <= len(notes) <= done + lost or max(Counter(notes).values(), default=0) > STAGES:
        broken.append(f"{len(notes)} words written, {done} calls done, {lost} lost: one was made twice")
    if max(Counter(looks).values(), default=0) > STAGES + kills:
        broken.append("a call that reads was made more than once more a kill")
    if not lost and not same:
        broken.append("another digest although no call was lost")
    seen = replay(home / "run", allow_code=[CODE])
    if (seen.digest, seen.model_calls) != (log.manifest.digest, 0):
        broken.append(f"replay gives {seen.digest} with {seen.model_calls} calls")
    if lines(home / "notes") != notes or lines(home / "looks") != looks:
        broken.append("replay called a tool")
    return End(broken, same, lost, again)


def killed(processes: ForkServerContext, home: Path, engine: dict[str, Any], kills: Sequence[Kill]) -> int:
    """Run the scenario of a folder in processes that are killed, one after the other, then let it end.

    Returns how many of the kills hit: a run may have ended before its moment came.
    """
    hits = 0
    for kill in kills:
        child = _to_its_end(processes, home, engine, kill)
        if child.exitcode != -signal.SIGKILL:
            break
        hits += 1
    last = _to_its_end(processes, home, engine, {})
    assert last.exitcode == 0, f"{home}: it ended with {last.exitcode}"
    return hits


def _to_its_end(processes: ForkServerContext, home: Path, engine: dict[str, Any], kill: Kill) -> BaseProcess:
    child = processes.Process(target=live, args=(str(home), engine, kill))
    child.start()
    child.join(300)
    return child
