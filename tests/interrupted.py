"""Runs that die in this process at a chosen write of their journal, and go on from what is on disk.

A real kill (tests/e2e/victim.py) costs a process each; this costs a few milliseconds and leaves the same rows: those
that were written, with every call under way known only as started.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from agentsoc.engine.replay import replay
from agentsoc.engine.resume import resume
from agentsoc.engine.run import run
from agentsoc.engine.run_files import RunFiles
from agentsoc.errors import AgentsocError
from agentsoc.log.journal import Attempt, Journal
from agentsoc.log.manifest import NAME
from agentsoc.log.read import RunLog
from agentsoc.scenario.model import Scenario

Steps = dict[tuple[int, int, int, int], list[tuple[int, int]]]
"""Call (task, round, agent, k) -> room and reservation of each of its attempts that had an outcome (tokens)."""


class DiedError(AgentsocError):
    """The process is dead from here on."""


class Ended(NamedTuple):
    """What a run came to in the end."""

    digest: str
    rows: list[Attempt]

    @property
    def steps(self) -> Steps:
        """What each attempt was granted that had an outcome."""
        found: Steps = defaultdict(list)
        for row in self.rows:
            if row.state != "started":
                found[row.task, row.round, row.agent, row.k].append((row.room, row.reserved))
        return dict(found)

    @property
    def lost(self) -> int:
        """Attempts of which nobody knows what became."""
        return sum(row.state == "started" for row in self.rows)


def to_the_end(built: Scenario, where: Path) -> Ended:
    """Run a scenario that nobody disturbs; replay it as well."""
    run(built, where)
    return ended(where)


def with_kills(built: Scenario, where: Path, rng: random.Random, n_writes: int, kills: int = 1) -> Ended:
    """Run a scenario that dies at random writes of its journal, is resumed, and ends; replay it as well.

    Args:
        built: what is run.
        where: its directory.
        rng: draws the writes, and whether the fatal one reaches the disk.
        n_writes: of the run that nobody disturbs.
        kills: how often it dies.
    """
    for _ in range(kills):
        with pytest.MonkeyPatch.context() as patched:
            die_after(patched, rng.randrange(1, n_writes + 1), reaches=rng.random() < 0.5)
            try:
                _go_on(built, where)
            except DiedError:
                continue
            break
    if not (where / NAME).exists() or RunLog(where).manifest.status != "finished":
        _go_on(built, where)
    return ended(where)


def die_after(patched: pytest.MonkeyPatch, writes: int, *, reaches: bool = True) -> None:
    """Let this process die at a write of a journal with this number; with 0 as rows are marked, before any write."""
    patched.setattr(RunFiles, "fail", lambda *_: None)  # who is dead writes nothing down
    if writes:
        patched.setattr(Journal, "write_all", _fatal(writes, reaches))
    else:
        patched.setattr(Journal, "rewrite", _dead)


def _dead(*_: object) -> None:
    raise DiedError("it is dead")


def _go_on(built: Scenario, where: Path) -> None:
    if (where / NAME).exists():
        resume(where)
    else:
        run(built, where)


def ended(where: Path) -> Ended:
    """Return what a run came to that has ended; it is replayed as well."""
    seen = replay(where)
    log = RunLog(where)
    assert (seen.digest, seen.model_calls) == (log.manifest.digest, 0)
    return Ended(seen.digest, list(log.journal()))


def _fatal(left: int, reaches: bool) -> Callable[[Journal, Sequence[Attempt]], Awaitable[None]]:
    """Return a way to write that fails at the row with this number, with all that is written with it, and later."""
    write = Journal.write_all

    async def fatal(self: Journal, rows: Sequence[Attempt]) -> None:
        nonlocal left
        before, left = left, left - len(rows)
        if before <= 0 or (left <= 0 and not reaches):
            raise DiedError("it is dead")
        await write(self, rows)
        if left <= 0:
            raise DiedError("it is dead")

    return fatal
