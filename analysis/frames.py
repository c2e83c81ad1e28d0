"""This module holds the two functions of `analysis` about plain tables: `load_runs` of many runs, `to_csv` of one.

Nothing heavy is imported before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import polars as pl

    from analysis.files import Places


def load_runs(places: Places, *, settings: Sequence[str] = (), skip_damaged: bool = False) -> pl.DataFrame:
    """Return a polars frame with one row for each run, from its manifest alone.

    Args:
        places: one directory or several: runs, or directories that hold some at most three levels below.
        settings: values of the scenario that become columns, by dotted path: ``protocol.rounds``.
        skip_damaged: whether runs whose manifest cannot be read are left out, instead of an error.

    Returns:
        pl.DataFrame: with the columns `analysis.load.COLUMNS`, among them run, seed, topology, protocol, n_agents, mean
            score in [0, 1] with its 95 % interval, tokens, calls, budget (tokens), cost and digest. `to_pandas()` of it
            needs pandas.

    Raises:
        InputError: there is no run at a place, or a setting has the name of another column.
        LogDamagedError: a manifest is not what was written.
    """
    from analysis.load import load_runs as load

    return load(places, settings=tuple(settings), skip_damaged=skip_damaged)


def to_csv(frame: pl.DataFrame, path: str | Path) -> None:
    """Write any table of this package as CSV: lists become one cell with ``;`` between, nulls stay empty.

    Raises:
        OSError: the file cannot be written.
    """
    from analysis.exporters.tables import to_csv as write

    write(frame, path)
