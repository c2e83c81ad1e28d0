"""This module keeps the journal: one row for every attempt to call a model, durable before anybody acts on the reply.

It is the only input of a run that a seed does not determine. The driver alone writes it, in groups: whatever arrived
while the last group was being synced forms the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, cast

import msgspec

from agentsoc.errors import LogDamagedError, RunFailedError
from agentsoc.log.inside import Inside
from agentsoc.log.journal_file import (
    CELL_MAX,
    COPY,
    FAULTS,
    MORE,
    TABLES,
    damaged,
    reading,
    require_filled,
    require_no_rollback,
    require_own,
    require_plain,
)

State = Literal["started", "done", "failed", "superseded"]
_REFUSALS: Final = frozenset(
    {
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
    }
)
"""What SQLite says when the system refuses, not when the file is wrong."""


class Key(NamedTuple):
    """A key names an attempt: call `k` of the agent's turn in that round, `attempt` counted from 0."""

    task: int
    round: int
    agent: int
    k: int
    attempt: int


class Attempt(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An attempt is one row. Its `state` stays ``started`` while the outcome is unknown, also when the process dies.

    A ``superseded`` row is of a turn that was made again: it is charged and otherwise skipped, and its `finish` is the
    round from which on its episode was made again.
    """

    task: int
    round: int
    agent: int
    k: int
    attempt: int
    state: State
    request: bytes
    """SHA-256 of the request."""
    model: str
    room: int
    """Tokens that the prompt was allowed; replay needs no tokenizer because of it."""
    reserved: int
    """Tokens that the ledger held for the attempt (tokens)."""
    reply: str | None = None
    finish: str | None = None
    shown: int | None = None
    """Claims that the prompt showed, the first ones of those that the turn might have seen."""
    failure: str | None = None
    """``kind: message`` of a failed attempt."""
    tokens_in: int | None = None
    tokens_cached: int | None = None
    tokens_out: int | None = None
    usage_known: bool | None = None
    latency_ms: int | None = None
    reasoning: str | None = None
    """What the model thought, told apart from its reply; not kept in journals that were begun before there was any."""

    @property
    def key(self) -> Key:
        """Return which attempt this is."""
        return Key(self.task, self.round, self.agent, self.k, self.attempt)


_FIELDS: Final = Attempt.__struct_fields__
_USAGE_KNOWN: Final = _FIELDS.index("usage_known")
_LATENCY: Final = _FIELDS.index("latency_ms")
_KEY: Final = len(Key._fields)
_REASONING: Final = _FIELDS.index("reasoning")
assert tuple(range(len(_FIELDS) - 3, len(_FIELDS))) == (_USAGE_KNOWN, _LATENCY, _REASONING)
_TEXTS: Final = tuple(_FIELDS.index(name) for name in ("reply", "failure", "reasoning"))
"""Columns that may be large; an earlier version of the table ends before the last one."""
_FLAG: Final = {None: None, 0: False, 1: True}
"""Truth values as SQLite gives them back."""
_ROWS_AT_ONCE: Final = 4096
"""Rows in memory when a journal is read through without being kept (rows)."""
_astuple: Final = msgspec.structs.astuple
_encode: Final = msgspec.msgpack.Encoder().encode
_WIDTH: Final = tuple(len(_FIELDS) - len(MORE) + 1 + version for version in range(len(MORE)))
"""Fields of an attempt that each version of the table has a column for; the later ones are not kept in it."""


def _crc(row: tuple[Any, ...]) -> bytes:
    return hashlib.blake2b(_encode(row), digest_size=8).digest()


def _digested(row: tuple[Any, ...]) -> bytes:
    """Return what counts of a row: not the latency. Rows without reasoning count as they did before there was any."""
    end = len(row)
    while end > _REASONING and row[end - 1] is None:
        end -= 1
    return _encode((*row[:_LATENCY], *row[_REASONING:end]) if end > _REASONING else row[:_LATENCY])


class Journal:
    """The journal of a run directory, opened: call `load` first, then `write` from one event loop."""

    def __init__(self, path: Path, *, durability: Literal["sync", "os"] = "sync") -> None:
        """Open or make the journal.

        Args:
            path: the database file.
            durability: ``sync`` survives a power loss, ``os`` only the death of the process.
        """
        self.path = path
        self._inside = Inside(path.parent)
        require_own(self._inside, path.name)
        version = len(TABLES) - 1
        try:
            made = self._inside.create(path.name)  # SQLite gives the files beside it the same rights
        except OSError as error:
            raise RunFailedError(f"the journal cannot be opened: {error}", str(path.parent)) from None
        if not made:
            with reading(path) as db:
                version = require_plain(db, path, empty=True)
            require_no_rollback(self._inside, path)
        try:
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute(f"PRAGMA synchronous = {'FULL' if durability == 'sync' else 'NORMAL'}")
            self._db.execute(TABLES[version])
        except FAULTS as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _REFUSALS:
                raise RunFailedError(f"the journal cannot be opened: {error}", str(path.parent)) from None
            raise damaged(path, error) from None
        self._width = _WIDTH[version]
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._waiting: list[tuple[Attempt, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None
        self._closed = False

    async def write(self, attempt: Attempt) -> None:
        """Return when the row is durable."""
        await self.write_all((attempt,))

    async def write_all(self, attempts: Sequence[Attempt]) -> None:
        """Return when the rows are durable, which they are all at once; at once where there are none."""
        if not attempts:
            return
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._waiting.extend([(attempt, done) for attempt in attempts])
        if self._writer is None or self._writer.done():
            self._writer = loop.create_task(self._write_groups())
        await done

    async def _write_groups(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            group, self._waiting = self._waiting, []
            rows = [attempt for attempt, _ in group]
            try:
                await loop.run_in_executor(self._pool, self._commit, rows)
            except Exception as error:  # any error: somebody waits for every row of the group
                what = str(error) if isinstance(error, sqlite3.Error) else f"{type(error).__name__}: {error}"
                for _, done in group:
                    if not done.done():
                        done.set_exception(
                            RunFailedError(f"the journal cannot be written: {what}", str(self.path.parent))
                        )
            else:
                for _, done in group:
                    if not done.done():
                        done.set_result(None)

    def _commit(self, attempts: list[Attempt]) -> None:
        rows = [(*row, _crc(row)) for row in [_astuple(attempt)[: self._width] for attempt in attempts]]
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.executemany(f"INSERT OR REPLACE INTO attempts VALUES ({', '.join('?' * (self._width + 1))})", rows)
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # a full disk has rolled it back already
                self._db.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Close the database when all that `write` was called with is on disk.

        Also what nobody waits for any more: it may be a reply that came as the run was cut off, and it is paid for.
        """
        if self._closed:
            return
        self._closed = True
        self._pool.shutdown(wait=True)
        group, self._waiting = self._waiting, []
        try:
            if group:
                self._commit([attempt for attempt, _ in group])
        finally:
            self._db.close()
        for _, done in group:
            if not done.done():
                done.set_result(None)

    def rewrite(self, attempts: Sequence[Attempt]) -> None:
        """Put rows in the place of those with the same keys, all or none; before anything is written."""
        self._commit(list(attempts))

    def rows(self) -> Iterator[Attempt]:
        """Yield all rows in key order, each checked."""
        yield from _rows(self._db, self.path)

    def seal(self) -> str | None:
        """Close the journal for good and return the SHA-256 of its file; None where a reader keeps it from being whole.

        Rows that are still in SQLite's log beside the file are moved into it first.
        """
        self.close()
        try:
            with contextlib.closing(sqlite3.connect(self.path, isolation_level=None)) as db:
                db.execute("PRAGMA synchronous = FULL")
                busy, *_ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except UnicodeError as error:
            raise damaged(self.path, error) from None
        if busy:
            return None
        return self._inside.sha256(self.path.name)


def read_journal(path: Path, task: int | None = None) -> Iterator[Attempt]:
    """Yield the rows of a journal without changing it; also from a medium that cannot be written.

    Args:
        path: the database file.
        task: the task whose rows are wanted; None for all.

    Raises:
        LogDamagedError: there is none, the file is no journal, or a row is not what was written.
    """
    with reading(path) as db:
        yield from _rows(db, path, task)


def holds_attempts(path: Path) -> bool:
    """Return whether a journal has a row. One whose table was not made yet, as a killed start leaves it, has none.

    Raises:
        LogDamagedError: the file is no journal, or its first row is not what was written.
    """
    with reading(path) as db:
        require_plain(db, path, empty=True)
        begun = db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is not None
    return begun and next(read_journal(path), None) is not None


def load_journal(path: Path) -> tuple[dict[Key, Attempt], tuple[int, str]]:
    """Return all attempts of a journal by key, and what `journal_digest` says of them, in one pass.

    The keys are plain tuples, which equal the `Key` with the same numbers.

    Raises:
        LogDamagedError: see `read_journal`.
    """
    known: dict[Key, Attempt] = {}
    digest = JournalDigest()
    with reading(path) as db:
        for rows, attempts in journal_chunks(db, path):
            digest.update(rows)
            known.update(zip(cast(list[Key], [row[:_KEY] for row in rows]), attempts, strict=True))
    return known, digest.result()


def _rows(db: sqlite3.Connection, path: Path, task: int | None = None) -> Iterator[Attempt]:
    for _, attempts in journal_chunks(db, path, task):
        yield from attempts


def journal_chunks(
    db: sqlite3.Connection, path: Path, task: int | None = None
) -> Iterator[tuple[list[tuple[Any, ...]], list[Attempt]]]:
    """Yield the rows, all or of one task, in key order: many at a time, as written, each checked, and as attempts."""
    width = _WIDTH[require_plain(db, path)]
    columns = ", ".join(_FIELDS[:width])
    try:
        size = require_filled(db, path)
        verdict = db.execute("PRAGMA quick_check(1)").fetchone()
        if verdict is None or verdict[0] != "ok":
            raise damaged(path, " ".join(str(verdict[0] if verdict else "no answer").split()))
        wanted = "" if task is None else f"WHERE task = {int(task)} "
        cursor = db.execute(f"SELECT {columns}, crc FROM attempts {wanted}ORDER BY task, round, agent, k, attempt")
        # no page is used twice, as was just checked: a small file cannot hold large rows
        small = size <= CELL_MAX
        while found := cursor.fetchmany(_ROWS_AT_ONCE) if small else _some(cursor):
            rows = [(*row[:_USAGE_KNOWN], _FLAG[row[_USAGE_KNOWN]], *row[_LATENCY:width]) for row in found]
            for row, read in zip(rows, found, strict=True):
                if _crc(row) != read[width]:
                    raise LogDamagedError(
                        f"the row of task {row[0]}, round {row[1]}, agent {row[2]}, call {row[3]}, attempt {row[4]} "
                        "is not what was written",
                        str(path),
                        COPY,
                    )
            # a stranger's checksums may be right and the types wrong
            yield rows, msgspec.convert(rows, list[Attempt], builtin_types=(bytes,))
    except (*FAULTS, msgspec.MsgspecError, KeyError, TypeError, ValueError) as error:
        raise damaged(path, error) from None


def _some(cursor: sqlite3.Cursor) -> list[tuple[Any, ...]]:
    """Return the next rows: many, or as many as together hold one large text."""
    rows: list[tuple[Any, ...]] = []
    size = 0
    for row in cursor:
        rows.append(row)
        size += sum(len(row[at] or "") for at in _TEXTS if at < len(row) - 1)
        if len(rows) == _ROWS_AT_ONCE or size > CELL_MAX:
            break
    return rows


class JournalDigest:
    """The object counts rows and takes the SHA-256 over them, latencies left out."""

    def __init__(self) -> None:
        self.rows = 0
        self._whole = hashlib.sha256(b"agentsoc-journal-1")

    def update(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Take in rows that follow those before in key order."""
        self.rows += len(rows)
        self._whole.update(b"".join(map(_digested, rows)))

    def result(self) -> tuple[int, str]:
        """Return the number of rows so far and their digest."""
        return self.rows, self._whole.hexdigest()


def journal_digest(attempts: Iterator[Attempt]) -> tuple[int, str]:
    """Return the number of rows and the SHA-256 over them, latencies left out."""
    digest = JournalDigest()
    while rows := [msgspec.structs.astuple(attempt) for attempt in itertools.islice(attempts, _ROWS_AT_ONCE)]:
        digest.update(rows)
    return digest.result()
