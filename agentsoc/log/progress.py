"""This module says how far a run has got that is being written: calls by round and by task, from its journal alone.

Only numbers are read, by SQLite, in bounded time; the rows are not compared with their checksums. What a page states of
replies it takes from `agentsoc.log.journal`, which does that.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

import msgspec

from agentsoc.errors import LogDamagedError
from agentsoc.log.journal_file import FAULTS, reading, require_plain

SECONDS_MAX: Final = 2.0
"""Time after which the question is given up (seconds)."""
ROUNDS_MAX: Final = 10_000
TASKS_MAX: Final = 10_000
"""Tasks that are told; the first ones."""
_STEPS: Final = 100_000


class CallsOfRound(msgspec.Struct, frozen=True):
    """Attempts at model calls in one round, over all tasks."""

    round: int
    done: int
    failed: int
    started: int
    """In flight."""
    tokens_in: int
    tokens_out: int


class CallsOfTask(msgspec.Struct, frozen=True):
    """How far one task has got."""

    task: int
    round: int
    """The last round in which a call was begun."""
    calls: int
    tokens: int


class JournalProgress(msgspec.Struct, frozen=True):
    """How far a run has got."""

    rounds: list[CallsOfRound]
    tasks: list[CallsOfTask]


def journal_progress(path: Path) -> JournalProgress:
    """Return how far the run of a journal has got; nothing is written.

    Raises:
        LogDamagedError: there is no journal, it is none of ours, or it takes longer than `SECONDS_MAX` to ask.
    """
    end = time.monotonic() + SECONDS_MAX
    with reading(path) as db:
        try:
            db.set_progress_handler(lambda: int(time.monotonic() > end), _STEPS)
            if not db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
                return JournalProgress([], [])
            require_plain(db, path)
            counted = ", ".join(f"SUM(state = '{state}')" for state in ("done", "failed", "started"))
            rounds = db.execute(
                f"SELECT round, {counted}, SUM(tokens_in), SUM(tokens_out) FROM attempts "
                f"GROUP BY round ORDER BY round LIMIT {ROUNDS_MAX}"
            ).fetchall()
            tasks = db.execute(
                "SELECT task, MAX(round), COUNT(*), SUM(COALESCE(tokens_in, 0) + COALESCE(tokens_out, 0)) "
                f"FROM attempts GROUP BY task ORDER BY task LIMIT {TASKS_MAX}"
            ).fetchall()
            return JournalProgress(
                [CallsOfRound(*map(_whole, row)) for row in rounds], [CallsOfTask(*map(_whole, row)) for row in tasks]
            )
        except (*FAULTS, ValueError, TypeError, OverflowError) as error:
            raise LogDamagedError(f"the journal cannot be counted ({type(error).__name__})", str(path)) from None


def _whole(value: Any) -> int:
    return 0 if value is None else int(value)
