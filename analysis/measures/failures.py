"""This module counts failed turns by who failed, task by task, and refuses runs whose infrastructure failed too often.

A run of which more than one turn in a hundred failed because a server, a network or a key did says nothing about the
society in it: silence of a dead server is not an opinion. It is refused, or used as it is when somebody asks for that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import polars as pl

from agentsoc.contracts.failure import FAMILIES, family_of
from agentsoc.errors import BrokenDataError
from agentsoc.log.below import runs_below
from agentsoc.log.failures import broken_by
from agentsoc.log.read import RunLog

FAILED_COLUMNS: Final = tuple(f"failed_{family}" for family in FAMILIES)
"""Columns with the failed turns of each family."""
_NAMED: Final = 5
"""Broken runs that are told one by one."""


def with_failures(episodes: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """Return `episodes` with the columns `FAILED_COLUMNS`.

    Args:
        episodes: one row per task.
        events: of these tasks, with the columns task, kind and text.
    """
    failed = events.filter(pl.col("kind").cast(pl.String) == "call_failed").select("task", "text")
    if not failed.height:
        return episodes.with_columns(**{name: pl.lit(0, pl.Int64) for name in FAILED_COLUMNS})
    families = [family_of(text or "") for text in failed["text"].cast(pl.String).to_list()]
    of = pl.Series("family", families, pl.String)
    counts = (
        failed.select("task", of)
        .group_by("task")
        .agg(**{f"failed_{family}": (pl.col("family") == family).sum().cast(pl.Int64) for family in FAMILIES})
    )
    joined = episodes.join(counts, on="task", how="left", maintain_order="left")
    return joined.with_columns(pl.col(name).fill_null(0) for name in FAILED_COLUMNS)


def failed_turns(episodes: pl.DataFrame) -> dict[str, int]:
    """Return the failed turns of some episodes by family, those that there are."""
    found = {family: int(episodes[f"failed_{family}"].sum()) for family in FAMILIES}
    return {family: n for family, n in found.items() if n}


def failed_text(episodes: pl.DataFrame) -> str:
    """Return the failed turns of some episodes by family in words; nothing where none failed."""
    found = failed_turns(episodes)
    return "failed turns: " + ", ".join(f"{n:,} {family}" for family, n in found.items()) if found else ""


def require_unbroken(places: Iterable[RunLog | Path], accept: bool) -> Sequence[str]:
    """Return what to say of runs whose infrastructure failed too often, when such runs are accepted.

    Args:
        places: runs, or directories that hold some; imported logs and whatever else is there is passed over.
        accept: whether they are used all the same.

    Raises:
        BrokenDataError: there is one, and they are not accepted.
    """
    logs = (
        log for place in places for log in ([place] if isinstance(place, RunLog) else map(RunLog, runs_below(place)))
    )
    found = [f"{log.directory}: {why}" for log in logs if (why := broken_by(log)) is not None]
    if found and not accept:
        raise BrokenDataError(tuple(found[:_NAMED]), len(found))
    return tuple(f"accepted although its infrastructure failed: {text}" for text in found)
