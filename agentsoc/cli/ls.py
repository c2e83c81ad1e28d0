"""This module is `agentsoc ls`: it prints a table of runs, from their manifests alone."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from agentsoc.errors import InputError, LogDamagedError
from agentsoc.log.below import runs_below
from agentsoc.log.names import MANIFEST
from agentsoc.printing import options
from agentsoc.printing.terminal import print_json, say
from agentsoc.printing.text import line, table

COLUMNS: Final = ("run", "status", "name", "seed", "tasks", "score", "tokens", "budget", "events", "changed")
_RIGHT: Final = frozenset(range(3, 9))
DEFAULT: Final = Path("runs")


def ls(
    directory: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where the runs are.")] = DEFAULT,
    sort: Annotated[str, typer.Option(help=f"Column to sort by ({', '.join(COLUMNS)}); -column: downwards.")] = "run",
    as_json: options.AsJson = False,
) -> None:
    """List the runs in DIR with status, score, tokens and events.

    Only manifests are read, never a log. Directories that hold a broken manifest are listed as damaged.
    """
    column, down = sort.removeprefix("-"), sort.startswith("-")
    if column not in COLUMNS:
        raise InputError(f'there is no column "{line(column, 40)}"', "--sort", "columns: " + ", ".join(COLUMNS))
    if not directory.is_dir() and (directory.exists() or directory != DEFAULT):
        raise InputError("there is no such directory", str(directory), "name the directory that holds the runs")
    rows = [_row(path, directory) for path in runs_below(directory, skip_unreadable=True)]
    rows.sort(key=lambda row: row["run"])
    known = [row for row in rows if row[column] is not None]
    known.sort(key=lambda row: row[column], reverse=down)
    rows = known + [row for row in rows if row[column] is None]
    if as_json:
        print_json({"runs": rows})
        return
    if not rows:
        say(f"no runs in {directory}")
        return
    say(table([COLUMNS, *([_cell(row, name) for name in COLUMNS] for row in rows)], right=_RIGHT))


def _row(path: Path, base: Path) -> dict[str, Any]:
    """Return what the table says of one run; of a damaged run only ``run`` and ``status``."""
    from agentsoc.log.manifest import load_manifest

    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row["run"] = str(path.relative_to(base)) if path != base else str(path)
    try:
        manifest = load_manifest(path)
        changed = (path / MANIFEST).stat().st_mtime
    except (LogDamagedError, OSError) as error:
        row["status"] = "damaged"
        row["error"] = str(error)
        return row
    totals = manifest.totals
    row.update(
        status=manifest.status,
        name=manifest.name,
        seed=manifest.seed,
        tasks=totals.episodes,
        score=totals.score,
        tokens=totals.tokens,
        budget=totals.budget,
        events=totals.events,
        changed=round(changed, 3),
        digest=manifest.digest,
    )
    return row


def _cell(row: dict[str, Any], name: str) -> str:
    value = row[name]
    if value is None:
        return "-"
    if name == "score":
        return f"{value:.3f}"
    if name == "changed":
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(value))
    return f"{value:,}" if isinstance(value, int) and name != "seed" else line(str(value), 60)
