"""This module reads files that somebody names on the command line: ordinary ones of a size that can be held."""

from __future__ import annotations

import json
import os
import stat
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agentsoc.errors import InputError
from agentsoc.log.parquet import is_panic, read_frame
from agentsoc.scenario.source import printable

if TYPE_CHECKING:
    import polars as pl

LIMIT_BYTES: Final = 1 << 30
"""Largest file of rows or lines, unpacked (bytes)."""
JSON_BYTES: Final = 50_000_000
"""Largest file that is one JSON document (bytes)."""
COLUMNS_MAX: Final = 10_000
"""Largest number of columns of a CSV file: each takes about 2 kB before a row is read."""
HEADING_BYTES: Final = 1_000_000
"""Longest heading of a CSV file (bytes)."""


Places = str | Path | Iterable[str | Path]
"""One path or several."""


def paths_of(places: Places) -> list[Path]:
    """Return one path, or several, as a list of paths."""
    return [Path(places)] if isinstance(places, str | Path) else [Path(place) for place in places]


def read_whole(path: Path, *, limit_bytes: int = LIMIT_BYTES) -> bytes:
    """Return the bytes of an ordinary file; never waits on a pipe, never reads past the limit.

    Raises:
        InputError: it cannot be read, is no ordinary file, or is too big.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError("this is not an ordinary file", str(path), "name a file")
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            raw = file.read(limit_bytes + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        what = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"it cannot be read: {what}", printable(str(path), 200), "check the path") from None
    if len(raw) > limit_bytes:
        raise InputError(f"the file has more than {limit_bytes:,} bytes, the limit", str(path), "split it")
    return raw


def whole_of(value: object, name: str) -> int:
    """Return a whole number of at least 0 that a JSON file holds; ``true``, 2.0 and "2" are none.

    Raises:
        ValueError: it is something else, or beyond 2^53.
    """
    if type(value) is not int or not 0 <= value <= 1 << 53:
        raise ValueError(f"{name} is to be a whole number of at least 0, and is {str(value)[:40]!r}")
    return value


def read_json(path: Path, hint: str = "") -> Any:
    """Return what a JSON file holds.

    Raises:
        InputError: it cannot be read, or is no JSON.
    """
    raw = read_whole(path, limit_bytes=JSON_BYTES)
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise InputError(f"this is no JSON: {printable(str(error))}", str(path), hint) from None


def unpacked(path: Path, *, limit_bytes: int = LIMIT_BYTES) -> bytes:
    """Return the bytes of a file, those of a ``.gz`` file unpacked.

    Raises:
        InputError: it cannot be read, is no gzip file although its name says so, or is too big.
    """
    raw = read_whole(path, limit_bytes=limit_bytes)
    if path.suffix != ".gz":
        return raw
    parts: list[bytes] = []
    size = 0
    while raw:  # a gzip file may have several members
        member = zlib.decompressobj(wbits=31)
        try:
            parts.append(member.decompress(raw, limit_bytes + 1 - size))
        except zlib.error as error:
            raise InputError(f"it cannot be unpacked: {error}", str(path), "check the file") from None
        size += len(parts[-1])
        if size > limit_bytes:
            raise InputError(f"unpacked it has more than {limit_bytes:,} bytes, the limit", str(path), "split it")
        if not member.eof:
            raise InputError("it is cut: its end is missing", str(path), "unpack what is there with gzip first")
        raw = member.unused_data
    return b"".join(parts)


def read_rows(path: Path, *, text: bool = False) -> pl.DataFrame:
    """Return the rows of a CSV or Parquet file, by its ending.

    Args:
        path: the file.
        text: whether all columns of a CSV file are left as text.

    Raises:
        InputError: it cannot be read; says why.
    """
    import polars as pl

    csv = path.suffix == ".csv"
    try:
        if not csv:
            return read_frame(path)
        raw = read_whole(path)
        end = raw.find(b"\n", 0, HEADING_BYTES)
        heading = raw[: end if end >= 0 else HEADING_BYTES]
        if heading.count(b",") >= COLUMNS_MAX or (end < 0 and len(raw) > HEADING_BYTES):
            raise InputError(f"its heading has more than {COLUMNS_MAX:,} columns, the limit", f"{path}:1", "is it CSV?")
        return pl.read_csv(raw, infer_schema=not text)
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        what = printable(" ".join(str(error).split()), 200)
        raise InputError(f"it cannot be read as {'CSV' if csv else 'Parquet'}: {what}", str(path)) from None
    except BaseException as error:
        if not is_panic(error):
            raise
        raise InputError(f"it cannot be read as CSV: {printable(str(error), 200)}", str(path)) from None
