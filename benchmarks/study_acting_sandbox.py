"""Can a program that an agent wrote do harm? Hostile ones, as the tool `python` and as answers to be tested.

Run: ``python -m benchmarks.study_acting_sandbox [--time-s 1] [--memory-mb 64]`` (five minutes on two cores; prints a
table in Markdown, exits with 1 when something was touched, or a program passed its limits).

Each program runs in the tool's own session and, as an answer, in front of assertions that hold whatever it did. A
folder with a secret is watched by the system, a port on loopback counts who comes. Reported: how programs end, the
longest time, the most memory that a child of the sandbox came to (VmHWM), and whether the next program still runs.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from agentsoc.contracts.tools import ToolError, ToolSession
from agentsoc.sandbox import Sandbox, passes
from agentsoc.tools.python_code import PythonCode
from tests.canary_folder import Canary, Listener
from tests.hostile_programs import GROUPS, filled

GRACE_S: Final = 3.5
"""What may come on top of the time limit: the interpreter's own check, or else the end of its process (seconds)."""
COLUMNS: Final = ("kind", "programs", "error", "timeout", "limit", "harmless", "longest s", "most MB", "faults")


@dataclass
class Found:
    """How the programs of one kind ended."""

    name: str
    ends: Counter[str] = field(default_factory=Counter)
    longest: float = 0.0
    memory: int = 0
    faults: list[str] = field(default_factory=list)

    def row(self) -> str:
        """Return the row of a table."""
        ends = [self.ends[kind] for kind in ("error", "timeout", "limit", "harmless")]
        cells = (self.name, self.ends.total(), *ends, f"{self.longest:.1f}", self.memory, len(self.faults))
        return f"| {' | '.join(map(str, cells))} |"


def children_mb() -> int:
    """Return the most memory that any child of this process has had (MB)."""
    most = 0
    for stat in Path("/proc").glob("[0-9]*/status"):
        try:
            lines = dict(line.split(":", 1) for line in stat.read_text().splitlines() if ":" in line)
        except OSError:
            continue
        if int(lines["PPid"]) == os.getpid() and "VmHWM" in lines:
            most = max(most, int(lines["VmHWM"].split()[0]) >> 10)
    return most


class Study:
    """The sandbox, and what watches whether anything comes out of it."""

    def __init__(self, home: Path, time_s: float, memory_mb: int) -> None:
        self.time_s, self.memory_mb = time_s, memory_mb
        self.folder = home / "canary"
        self.folder.mkdir()
        (self.folder / "secret").write_text("the secret of the folder")
        self.canary, self.listener = Canary(self.folder), Listener()

    async def of(self, name: str, programs: Sequence[str]) -> Found:
        """Let the programs of one kind do their worst."""
        found = Found(name)
        tool = PythonCode(time_s=self.time_s, memory_mb=self.memory_mb)
        session = tool.open()
        tests = Sandbox(time_s=self.time_s, memory=self.memory_mb << 20)
        try:
            for number, program in enumerate(programs):
                label = f"{name} {number}"
                text = filled(program, str(self.folder), self.listener.port)
                await self._as_tool(found, label, session, text)
                await self._as_answer(found, label, tests, text)
        finally:
            await session.close()
            tests.close()
        return found

    async def _as_tool(self, found: Found, label: str, session: ToolSession, text: str) -> None:
        began = time.monotonic()
        try:
            said = await session.call("python", {"code": text}, self.time_s)
            found.ends["harmless"] += 1
            if "secret of" in said or "root:" in said or len(said) > 70_000:
                found.faults.append(f"{label}: it told {said[:80]!r} ({len(said):,} characters)")
        except ToolError as error:
            found.ends[error.kind] += 1
        self._look(found, label, time.monotonic() - began)
        if (now := await session.call("python", {"code": "20 + 1"}, self.time_s)) != "21":
            found.faults.append(f"{label}: the next program gave {now[:80]!r}")

    async def _as_answer(self, found: Found, label: str, sandbox: Sandbox, text: str) -> None:
        began = time.monotonic()
        await asyncio.to_thread(passes, sandbox, text, "assert 1 + 1 == 2")
        self._look(found, f"{label}, tested", time.monotonic() - began)
        if not await asyncio.to_thread(passes, sandbox, "x = 20", "assert x + 1 == 21"):
            found.faults.append(f"{label}: the next answer was not found right")

    def _look(self, found: Found, label: str, seconds: float) -> None:
        memory = children_mb()
        found.longest, found.memory = max(found.longest, seconds), max(found.memory, memory)
        if seconds > self.time_s + GRACE_S:
            found.faults.append(f"{label}: it took {seconds:.1f} s")
        if memory > 2 * self.memory_mb + 64:
            found.faults.append(f"{label}: a child came to {memory} MB")
        if touched := self.canary.touched():
            found.faults.append(f"{label}: {touched[:3]}")
        if self.listener.came:
            found.faults.append(f"{label}: it came through to the port")
            self.listener.came = 0

    def close(self) -> None:
        """Stop watching."""
        self.canary.close()
        self.listener.close()


def main() -> int:
    """Run the corpus."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--time-s", type=float, default=1.0)
    parser.add_argument("--memory-mb", type=int, default=64)
    parser.add_argument("--kind", action="append", default=[], choices=list(GROUPS))
    told = parser.parse_args()
    faults: list[str] = []
    with tempfile.TemporaryDirectory(prefix="sandbox") as home:
        study = Study(Path(home), told.time_s, told.memory_mb)
        print(f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|")
        for name, programs in GROUPS.items():
            if not told.kind or name in told.kind:
                found = asyncio.run(study.of(name, programs))
                print(found.row(), flush=True)
                faults += found.faults
        study.close()
    print(f"{len(faults)} faults", *faults, sep="\n")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
