"""Does a run stand what a server of the Model Context Protocol may do to it? A real one of the SDK, over its pipes.

Run: ``python -m benchmarks.study_acting_mcp [--at-once 200] [--mode WORDS ...]`` (three minutes on two cores; prints
a table in Markdown, exits with 1 when something was otherwise than it has to be).

First many calls at once in one session. Then a run of two agents, three turns of one call each, against a server that
behaves as each row says: every call has to end as a result or as a failure kind, the run has to end, replay has to give
its digest without the server, and no process may be left. Last, tools that change between a run and its resume, fork
and ``replay --recompute``: exit code 5, with the tool's name; and nothing is started that nobody has allowed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from agentsoc.contracts.tools import TOOLS, ToolError
from agentsoc.engine.fork import fork
from agentsoc.engine.recompute import recompute
from agentsoc.engine.replay import replay
from agentsoc.engine.resume import resume
from agentsoc.engine.run import run
from agentsoc.errors import AgentsocError, ConsentNeededError, ReplayMismatchError
from agentsoc.log.journal import Attempt, Journal
from agentsoc.scenario.model import Scenario
from benchmarks.peak import peak_mb

SERVER: Final = Path(__file__).parent.parent / "tests" / "data" / "odd_mcp_server.py"
LIMIT_S: Final = 3.0
"""Time limit of a call in these runs (seconds)."""
EXPECTED: Final[dict[str, str]] = {
    "well": "result",
    "dies": "error",
    "floods": "result error timeout",
    "floods a line": "result error timeout",
    "never answers": "timeout",
    "blocks": "timeout error",
    "answers 50 MB": "result error timeout",
    "asks for a completion": "error",
    "asks for roots": "error",
    "asks a person": "error",
    "changes its list": "result",
    "raises": "error",
    "starts never": "refused",
    "ends at once": "refused",
    "floods at once": "refused",
}
"""How the last call of a run may end, for each way of a server; `refused`: the run ends before it begins."""


def scenario(mode_file: Path, **changes: Any) -> Scenario:
    """Return a society of two whose agents call the server once in each of three turns."""
    tool = {
        "kind": "mcp",
        "command": [sys.executable, "-B", str(SERVER), str(mode_file)],
        "trust_hints": True,
        "start_s": 20,
        **changes,
    }
    model = {"kind": "scripted", "uses_tools": [[{"tool": "double", "arguments": {"n": 21}}]]}
    return Scenario.model_validate(
        {
            "name": "server",
            "tasks": {"kind": "sentiment", "count": 1},
            "agents": {"count": 2, "model": model, "tools": [tool], "tool_use": {"timeout_s": LIMIT_S}},
            "topology": "decentralized",
            "protocol": {"kind": "debate", "rounds": 3},
        }
    )


def in_mode(home: Path, mode: str) -> Path:
    """Return the file that tells a server how to behave."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "mode").write_text(mode)
    return home / "mode"


def children() -> list[str]:
    """Return the servers of this process that are alive."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == os.getpid() and SERVER.name in words:
            found.append(words)
    return found


async def at_once(home: Path, n: int) -> tuple[float, int]:
    """Make many calls at once in one session; return the seconds, and how many gave what they had to."""
    command = [sys.executable, "-B", str(SERVER), str(in_mode(home, "takes a moment"))]
    session = TOOLS.parse({"kind": "mcp", "command": command}).open()
    await session.start()
    try:
        began = time.monotonic()
        said = await asyncio.gather(*[session.call("double", {"n": i}, 60.0) for i in range(n)], return_exceptions=True)
        seconds = time.monotonic() - began
    finally:
        await session.close()
    assert not any(isinstance(one, ToolError) for one in said), said
    return seconds, sum(one == str(2 * i) for i, one in enumerate(said))


def with_server(home: Path, mode: str) -> tuple[str, list[str]]:
    """Run a society against a server; return how its calls ended, and what was otherwise than it has to be."""
    faults: list[str] = []
    wanted = scenario(in_mode(home, mode), **({"start_s": 10} if EXPECTED[mode] == "refused" else {}))
    began = time.monotonic()
    try:
        done = run(wanted, home / "run", consent=True)
    except AgentsocError as error:
        if EXPECTED[mode] != "refused":
            faults.append(f"{mode}: the run ended with {error}")
        if left := _left():
            faults.append(f"{mode}: a server is left: {left}")
        return f"refused: {' '.join(str(error).split())[:80]}", faults
    ends = Counter(_kind(event.text or "") for event in done.events() if event.kind == "tool_call")
    last = [_kind(event.text or "") for event in done.events() if event.kind == "tool_call"][-1]
    if last not in EXPECTED[mode].split():
        faults.append(f"{mode}: its last call ended as {last}, expected {EXPECTED[mode]}")
    if ends.total() != 6 or done.manifest.status != "finished" or done.manifest.totals.answered != 1:
        faults.append(f"{mode}: {ends.total()} calls, {done.manifest.status}")
    if (seen := replay(home / "run")).digest != done.manifest.digest or seen.model_calls:
        faults.append(f"{mode}: replay gives something else")
    if left := _left():
        faults.append(f"{mode}: a server is left: {left}")
    if (seconds := time.monotonic() - began) > 6 * (LIMIT_S + 6) + 30:
        faults.append(f"{mode}: it took {seconds:.0f} s")
    return ", ".join(f"{n} {kind}" for kind, n in ends.items()), faults


def _left() -> list[str]:
    give_up = time.monotonic() + 5
    while (found := children()) and time.monotonic() < give_up:
        time.sleep(0.1)
    return found


def _kind(text: str) -> str:
    head = text.partition(":")[0]
    return head if head in ("error", "timeout", "bad_arguments", "unknown_tool", "limit", "lost") else "result"


def changed_tools(home: Path) -> list[str]:
    """Return what was otherwise than it has to be where the tools change between a run and what follows it."""
    faults: list[str] = []
    wanted = scenario(in_mode(home, "well"))
    run(wanted, home / "run", consent=True)
    _interrupted(wanted, home / "half")
    in_mode(home, "has another tool")
    verbs: dict[str, Callable[[], object]] = {
        "resume": lambda: resume(home / "half", consent=True),
        "fork": lambda: fork(home / "run", 0, 3, wanted, home / "fork", consent=True),
        "replay --recompute": lambda: recompute(home / "run", consent=True),
    }
    for verb, go in verbs.items():
        try:
            go()
            faults.append(f"{verb} took other tools without a word")
        except ReplayMismatchError as error:
            if error.exit_code != 5 or "half" not in str(error):
                faults.append(f"{verb} says {error}")
    if replay(home / "run").model_calls or children():
        faults.append("replay started a server")
    in_mode(home, "well")
    if resume(home / "half", consent=True).manifest.digest != run(wanted, home / "again", consent=True).manifest.digest:
        faults.append("resumed with the tools that it began with, it ends otherwise")
    return faults


def _interrupted(wanted: Scenario, where: Path) -> None:
    write, left = Journal.write, 8

    class DiedError(AgentsocError):
        pass

    async def dies(self: Journal, attempt: Attempt) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise DiedError("it is dead")
        await write(self, attempt)

    Journal.write = dies  # type: ignore[method-assign]
    try:
        run(wanted, where, consent=True)
    except DiedError:
        pass
    finally:
        Journal.write = write  # type: ignore[method-assign]


def not_allowed(home: Path) -> list[str]:
    """Return whether anything was started that nobody has allowed."""
    try:
        run(scenario(in_mode(home, "well")), home / "run")
    except ConsentNeededError:
        return ["it was started"] if children() or (home / "run").exists() or (home / "calls").exists() else []
    return ["it ran"]


def main() -> int:
    """Carry out what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--at-once", type=int, default=200)
    parser.add_argument("--mode", action="append", default=[], choices=list(EXPECTED))
    told = parser.parse_args()
    faults: list[str] = []
    with tempfile.TemporaryDirectory(prefix="servers") as home:
        seconds, right = asyncio.run(at_once(Path(home) / "at once", told.at_once))
        print(f"{right} of {told.at_once} calls at once gave what they had to, in {seconds:.2f} s", flush=True)
        faults += [] if right == told.at_once else ["calls at once are lost"]
        print("| the server | how calls ended | s | most MB of this process | faults |\n|---|---|---|---|---|")
        for number, mode in enumerate(told.mode or EXPECTED):
            began = time.monotonic()
            said, found = with_server(Path(home) / str(number), mode)
            memory = round(peak_mb())
            print(f"| {mode} | {said} | {time.monotonic() - began:.1f} | {memory} | {len(found)} |", flush=True)
            faults += found
        faults += changed_tools(Path(home) / "changed") + not_allowed(Path(home) / "not allowed")
    print(f"{len(faults)} faults", *faults, sep="\n")
    print(json.dumps({"faults": len(faults)}))
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
