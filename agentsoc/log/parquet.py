"""This module reads strangers' Parquet files as polars frames, with pyarrow and within bounds.

The reader of polars panics on about one damaged file in a hundred, which is no `Exception` and prints on stderr from
other threads, and now and then it ends the process. That of pyarrow raises, on every file tried.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING

from agentsoc.scenario.source import printable

if TYPE_CHECKING:
    import polars as pl


class UnreadableTableError(ValueError):
    """The error says in one short line that a file is no Parquet file, or a damaged one."""


def read_frame(source: Path | bytes) -> pl.DataFrame:
    """Return the rows of a Parquet file.

    Args:
        source: the file, or its bytes.

    Raises:
        OSError: there is no such file, or the system refuses it.
        UnreadableTableError: it is no sound Parquet file, or unfolds to more than it may.
    """
    import polars as pl

    from agentsoc.errors import LogDamagedError
    from agentsoc.scenario.parquet_bounds import read_parquet

    if isinstance(source, Path):
        if source.exists() and not source.is_file():
            raise OSError(errno.EINVAL, "not an ordinary file", str(source))
        source = source.read_bytes()
    try:
        frame = pl.from_arrow(read_parquet(source, ""))
    except LogDamagedError as error:
        raise UnreadableTableError(error.problem.what) from error
    except (pl.exceptions.PolarsError, ValueError, KeyError) as error:
        raise UnreadableTableError(_said(error)) from error
    except BaseException as error:
        if not is_panic(error):
            raise
        raise UnreadableTableError(_said(error)) from error
    assert isinstance(frame, pl.DataFrame)
    return frame


def is_panic(error: BaseException) -> bool:
    """Return whether an error is the panic of a library written in Rust, which is no `Exception`."""
    return type(error).__name__ == "PanicException" and not isinstance(error, Exception)


def _said(error: BaseException) -> str:
    return printable(f"{type(error).__name__}: {' '.join(str(error).split())}", 220)
