"""The replies of the models of a study, kept so that it can be made again without asking them.

A model that runs here takes hours for a comparison, and its replies a few hundred kilobytes. They are kept as the rows
of the cache of replies (`calls.cache`) of a comparison. Put back into a cache, they give the same runs, and a
comparison that was not finished goes on where it stopped, on whatever machine.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

import polars as pl

from agentsoc.engine.reply_cache import ReplyCache
from agentsoc.errors import InputError

REPLIES: Final = "replies.parquet"
ROWS: Final = {"key": pl.Binary, "completion": pl.Binary, "checksum": pl.Binary}
"""Columns of a cache of replies: hash of model and request, the reply with its usage, and what tells damage."""


def keep_replies(cache: Path, directory: Path) -> int:
    """Keep the replies that are in a cache, and return how many there are.

    Args:
        cache: the file of the cache; a run may be using it.
        directory: where they are kept, as `REPLIES`.

    Raises:
        InputError: there is no such cache, or it is something else.
    """
    if not cache.exists():
        raise InputError("there is no cache of replies", str(cache), "make the comparison first")
    try:
        with closing(sqlite3.connect(f"{cache.absolute().as_uri()}?mode=ro", uri=True)) as database:
            rows = database.execute(f"SELECT {', '.join(ROWS)} FROM replies ORDER BY key").fetchall()
    except sqlite3.Error as error:
        raise InputError(f"this is no cache of replies: {error}", str(cache), "see calls.cache") from None
    directory.mkdir(parents=True, exist_ok=True)
    table = pl.DataFrame(rows, schema=ROWS, orient="row")
    table.write_parquet(directory / REPLIES, compression="zstd", compression_level=19, statistics=False)
    return len(rows)


def lend_replies(directory: Path, cache: Path) -> int:
    """Put the replies that are kept in a directory into a cache, and return how many it did not have.

    A reply that the cache has already stays as it is. Where none are kept, nothing is made.

    Raises:
        InputError: the cache cannot be used.
    """
    if not (directory / REPLIES).exists():
        return 0
    rows = pl.read_parquet(directory / REPLIES).select(*ROWS).rows()
    ReplyCache(cache).close()  # makes the file, or refuses it
    with closing(sqlite3.connect(cache)) as database, database:
        before = database.total_changes
        database.executemany("INSERT OR IGNORE INTO replies VALUES (?, ?, ?)", rows)
        return database.total_changes - before
