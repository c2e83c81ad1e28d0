"""This module says what may be believed of the file of a journal: it and its one table are ours, nothing else acts."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from agentsoc.errors import LogDamagedError
from agentsoc.log.inside import Inside

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS attempts (
    task INTEGER NOT NULL, round INTEGER NOT NULL, agent INTEGER NOT NULL, k INTEGER NOT NULL, attempt INTEGER NOT NULL,
    state TEXT NOT NULL, request BLOB NOT NULL, model TEXT NOT NULL,
    room INTEGER NOT NULL, reserved INTEGER NOT NULL,
    reply TEXT, finish TEXT, shown INTEGER, failure TEXT, tokens_in INTEGER, tokens_cached INTEGER, tokens_out INTEGER,
    usage_known INTEGER, latency_ms INTEGER, {more}crc BLOB NOT NULL,
    PRIMARY KEY (task, round, agent, k, attempt)
) WITHOUT ROWID
"""
MORE: Final = ("", "reasoning TEXT, ")
"""Columns that each version of the table has beyond those of the first, the oldest version first."""
TABLES: Final = tuple(_TABLE.format(more=more) for more in MORE)
"""The table of a journal, one version each; a journal keeps the one that it was begun with."""
COPY: Final = "a copy of the run directory, if there is one, is the way back"
FAULTS: Final = (sqlite3.Error, UnicodeError)
"""What SQLite raises: its message names what stands in the file, and where that is no UTF-8 Python cannot read it."""
CELL_MAX: Final = 64 << 20
"""Largest text in a row that is read: far more than any reply that a run takes (bytes)."""
_SLACK: Final = 1 << 20
"""What a journal may have beyond its pages, and pages that it may leave free (bytes, pages)."""


@contextlib.contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a journal for reading only, also on a medium that cannot be written."""
    if not require_own(Inside(path.parent), path.name):
        raise LogDamagedError("the journal is missing", str(path), COPY)
    require_no_rollback(Inside(path.parent), path, reading=True)
    # without a write-ahead log nobody is writing, and SQLite need not make the files by which writers are noticed
    alone = not os.path.exists(f"{path}-wal")  # noqa: PTH110 - the name is SQLite's
    try:
        db = sqlite3.connect(f"{path.resolve().as_uri()}?{'immutable=1' if alone else 'mode=ro'}", uri=True)
    except FAULTS as error:
        raise damaged(path, error) from None
    try:
        db.execute("PRAGMA trusted_schema = OFF")
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, CELL_MAX)
        yield db
    except FAULTS as error:
        raise damaged(path, error) from None
    finally:
        db.close()


def require_own(inside: Inside, name: str) -> bool:
    """Refuse a journal, or a file of SQLite's beside it, that is no ordinary file; return whether there is one."""
    for beside in ("-wal", "-shm", "-journal"):
        inside.look(name + beside)
    return inside.look(name) is not None


def require_no_rollback(inside: Inside, path: Path, *, reading: bool = False) -> None:
    """Refuse a rollback journal beside a journal that holds something, or for `reading` beside any.

    A run never leaves one: it writes ahead from the first row on. SQLite would put back what a stranger wrote into it
    after we have looked, and remove the file that it names, wherever that is.
    """
    beside = path.name + "-journal"
    found = inside.look(beside)
    if found is None or not found.st_size:
        return
    journal = inside.look(path.name)
    if reading or journal is None or journal.st_size:
        raise LogDamagedError("this is a rollback journal of SQLite's, which no run leaves", str(path.parent / beside))
    inside.remove(beside)  # a start was killed before anything was written


def require_plain(db: sqlite3.Connection, path: Path, *, empty: bool = False) -> int:
    """Refuse a database with anything but our table in it: a view or a trigger would run what a stranger wrote.

    Return the place in `TABLES` of the version that it has; the newest one for a database without any.

    Raises:
        LogDamagedError: there is something else, or, unless `empty` is allowed, nothing.
    """
    try:
        # one row more than there may be, and the names only: the texts may be long
        found = db.execute("SELECT type, name, substr(sql, 1, 2000) FROM sqlite_master LIMIT 2").fetchall()
    except FAULTS as error:
        raise damaged(path, error) from None
    newest = len(TABLES) - 1
    if not found and empty:
        return newest
    if [(kind, name) for kind, name, _ in found] == [("table", "attempts")]:
        for version in range(newest, -1, -1):
            if _words(found[0][2]) == _words(TABLES[version]):
                return version
    raise LogDamagedError("this is no journal: its tables are not those of a journal", str(path), COPY)


def require_filled(db: sqlite3.Connection, path: Path) -> int:
    """Return the size of a database, and refuse one that is mostly holes (bytes).

    That would take hours to read and a few kB to send.
    """
    pages, size, free = (
        int(db.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "page_size", "freelist_count")
    )
    found = Inside(path.parent).look(path.name)
    if (found is not None and found.st_size > pages * size + _SLACK) or free > pages // 2 + _SLACK // size:
        raise damaged(path, "it is larger than what it holds")
    return pages * size


def _words(sql: object) -> list[str]:
    return str(sql).upper().replace("IF NOT EXISTS", "").split()


def damaged(path: Path, error: object) -> LogDamagedError:
    """Return the error that tells what is wrong with a journal."""
    if isinstance(error, UnicodeError):
        error = "it holds text that is no UTF-8"
    return LogDamagedError(f"the journal cannot be read: {error}", str(path), COPY)
