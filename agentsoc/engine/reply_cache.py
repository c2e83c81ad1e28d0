"""This module keeps replies of models across runs, for whoever asks the same thing of the same model again.

The key is the request's hash with what identifies the model: its name, address and parameters. A reply that is found is
journaled as ``cache:KIND`` and charged like the call that it saves, so a run's budget and its events are the same with
and without the cache; only the money is not paid again. Only replies are kept, no failures. The file is a SQLite
database that several runs and processes may use at once; losing it costs money and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from pathlib import Path
from typing import Final

import msgspec

from agentsoc.contracts.model import Completion, Model, Request
from agentsoc.errors import InputError

_NOT_IDENTITY: Final = ("rate", "timeout_s", "window", "tokenizer", "client", "api_key_env")
"""Settings of a model that change how it is reached and not what it answers."""
_TABLE: Final = "TABLE replies (key BLOB PRIMARY KEY, completion BLOB, checksum BLOB) WITHOUT ROWID"
_ROW_MAX: Final = 4 * 1024 * 1024
"""Longest row that is read: a reply, with what was thought before it (bytes)."""
_TOKENS_MAX: Final = 10_000_000
"""Tokens of a call above which its usage was not reported by a model (tokens)."""
_WAIT_S: Final = 10.0
"""How long another process may keep the file locked while it is opened (seconds)."""
_WAIT_RUNNING_S: Final = 0.5
"""The same while a run goes on, whose other calls wait meanwhile; only once, then nobody is waited for (seconds)."""


class ReplyCache:
    """The cache is one file, opened by each run that uses it."""

    def __init__(self, path: Path) -> None:
        """Open or make the file.

        Raises:
            InputError: it cannot be opened, or is something else.
        """
        try:
            self._db = sqlite3.connect(path.absolute(), timeout=_WAIT_S, isolation_level=None)
            self._db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _ROW_MAX)
            if not self._is_ours() and self._holds():
                raise sqlite3.DatabaseError("it is another database")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")  # a reply lost with the power is asked for again
            self._db.execute(_TABLE.replace("TABLE", "CREATE TABLE IF NOT EXISTS", 1))
            if not self._is_ours():
                raise sqlite3.DatabaseError("it is another database")
            path.chmod(path.stat().st_mode & 0o700)  # prompts and replies are as private as the runs
            self._wait(_WAIT_RUNNING_S)
        except (sqlite3.Error, OSError) as error:
            raise InputError(f"the cache of replies cannot be used: {error}", str(path), "see calls.cache") from None

    def _wait(self, seconds: float) -> None:
        self._db.execute(f"PRAGMA busy_timeout = {round(1000 * seconds)}")

    def _holds(self) -> list[tuple[str, str, str | None]]:
        """Return what the file defines; nothing of it is carried out for that."""
        found = self._db.execute("SELECT type, name, sql FROM sqlite_master LIMIT 2").fetchall()
        return [(str(kind), str(name), sql) for kind, name, sql in found]

    def _is_ours(self) -> bool:
        """Return whether the file holds the table of replies alone: views and triggers run when it is used."""
        return self._holds() == [("table", "replies", f"CREATE {_TABLE}")]

    def get(self, model: bytes, request: Request) -> Completion | None:
        """Return the reply to a request, None when there is none, or none that a model could have given.

        A checksum tells damage, not intent: whoever can write the file can put replies into it.
        """
        key = _key(model, request)
        try:
            row = self._db.execute("SELECT completion, checksum FROM replies WHERE key = ?", (key,)).fetchone()
            if row is None or not is_whole(key, *row):
                return None
            found = msgspec.msgpack.decode(row[0], type=Completion)
            return found if _is_sound(found) else None
        except sqlite3.OperationalError:
            self._wait(0)
            return None
        except (sqlite3.Error, msgspec.MsgspecError, TypeError):
            return None

    def put(self, model: bytes, request: Request, completion: Completion) -> None:
        """Keep a reply; where the file cannot take it, the next run asks again."""
        key, packed = _key(model, request), msgspec.msgpack.encode(completion)
        try:
            self._db.execute("INSERT OR REPLACE INTO replies VALUES (?, ?, ?)", (key, packed, _checksum(key, packed)))
        except sqlite3.OperationalError:  # somebody else holds it: the run does not stop for that at every reply
            self._wait(0)
        except sqlite3.Error:
            return

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def _is_sound(found: Completion) -> bool:
    """Return whether a usage can be charged: a negative one would give the budget back what others spent."""
    usage = found.usage
    counts = (usage.tokens_in, usage.tokens_cached, usage.tokens_out)
    return all(0 <= count <= _TOKENS_MAX for count in counts) and usage.tokens_cached <= usage.tokens_in


def identity_of(model: Model) -> bytes:
    """Return the hash of what identifies a model to the cache."""
    data = {name: value for name, value in model.model_dump(mode="json").items() if name not in _NOT_IDENTITY}
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).digest()


def _key(model: bytes, request: Request) -> bytes:
    return hashlib.sha256(model + request.digest()).digest()


def is_whole(key: object, packed: object, checksum: object) -> bool:
    """Return whether a row of the table is what was written."""
    return isinstance(key, bytes) and isinstance(packed, bytes) and _checksum(key, packed) == checksum


def _checksum(key: bytes, packed: bytes) -> bytes:
    return hashlib.blake2b(key + packed, digest_size=16).digest()
