"""The replies of the models of a study, kept so that it can be made again without asking them.

A model that runs here takes hours for a comparison, and its replies a few hundred kilobytes. They are kept as the rows
of the cache of replies (`calls.cache`) of a comparison. Put back into a cache, they give the same runs, and a
comparison that was not finished goes on where it stopped, on whatever machine.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import polars as pl

from agentsoc.engine.reply_cache import ReplyCache, is_whole
from agentsoc.errors import InputError

REPLIES: Final = "replies.parquet"
ROWS: Final = {"key": pl.Binary, "completion": pl.Binary, "checksum": pl.Binary}
"""Columns of a cache of replies: hash of model and request, the reply with its usage, and what tells damage."""


def keep_replies(cache: Path, directory: Path, others: Sequence[Path] = ()) -> int:
    """Keep the replies that are in a cache, beside those that are kept already, and return how many there are.

    Args:
        cache: the file of the cache; a run may be using it.
        directory: where they are kept, as `REPLIES`.
        others: directories of comparisons that use the same cache; what they keep is not kept twice.

    Raises:
        InputError: there is no such cache, it is something else, what is kept is damaged, or a request has
            another reply there than here.
    """
    if not cache.exists():
        raise InputError("there is no cache of replies", str(cache), "make the comparison first")
    try:
        with closing(sqlite3.connect(f"{cache.absolute().as_uri()}?mode=ro", uri=True)) as database:
            found = database.execute(f"SELECT {', '.join(ROWS)} FROM replies").fetchall()
        rows = pl.DataFrame([row for row in found if is_whole(*row)], schema=ROWS, orient="row")
    except (sqlite3.Error, pl.exceptions.PolarsError, TypeError) as error:
        raise InputError(f"this is no cache of replies: {error}", str(cache), "see calls.cache") from None
    kept = _kept(directory)
    if (n := kept.join(rows, on="key").filter(pl.col("completion") != pl.col("completion_right")).height) > 0:
        what = f"{n} replies differ from those that are kept: another processor or library gave them"
        raise InputError(what, str(cache), f"remove {directory / REPLIES} to keep these with their results")
    for other in others:
        rows = rows.join(_kept(other), on="key", how="anti")
    both = pl.concat([kept, rows]).unique("key").sort("key")
    directory.mkdir(parents=True, exist_ok=True)
    half = directory / f"{REPLIES}.half"
    both.write_parquet(half, compression="zstd", compression_level=19, statistics=False)
    half.replace(directory / REPLIES)
    return both.height


def lend_replies(directory: Path, cache: Path) -> int:
    """Put the replies that are kept in a directory into a cache, and return how many it did not have.

    A good reply that the cache has already stays as it is. Where none are kept, nothing is made.

    Raises:
        InputError: the cache cannot be used, or what is kept is damaged.
    """
    kept = _kept(directory)
    if kept.is_empty():
        return 0
    ReplyCache(cache).close()  # makes the file, or refuses it
    try:
        with closing(sqlite3.connect(cache)) as database, database:
            there = {
                row[0] for row in database.execute("SELECT key, completion, checksum FROM replies") if is_whole(*row)
            }
            due = [row for row in kept.rows() if row[0] not in there]
            database.executemany("INSERT OR REPLACE INTO replies VALUES (?, ?, ?)", due)
    except (sqlite3.Error, TypeError) as error:
        raise InputError(f"the cache of replies cannot be used: {error}", str(cache), "see calls.cache") from None
    return len(due)


def _kept(directory: Path) -> pl.DataFrame:
    """Return the replies that are kept in a directory, none where there is no file of them."""
    path = directory / REPLIES
    if not path.exists():
        return pl.DataFrame(schema=ROWS)
    try:
        table = pl.read_parquet(path).select(*ROWS)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(f"the replies cannot be read: {error}", str(path), "take them from the repository") from None
    if not all(is_whole(*row) for row in table.iter_rows()):
        raise InputError("a reply is not what was kept", str(path), "take them from the repository")
    return table
