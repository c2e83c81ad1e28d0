"""This module is `agentsoc ls`: it prints a table of runs, from their manifests alone."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from agentsoc.errors import InputError, LogDamagedError
from agentsoc.log.below import runs_below
from agentsoc.log.names import MANIFEST
from agentsoc.printing import options
from agentsoc.printing.fitting import Tone, fit, folded, is_coloured, width
from agentsoc.printing.terminal import print_json, print_safe, say
from agentsoc.printing.text import line

if TYPE_CHECKING:
    from agentsoc.cli.varied import Mean

COLUMNS: Final = (
    "run", "status", "name", "seed", "tasks", "score", "ci95", "failed", "tokens", "budget", "events", "changed",
)  # fmt: skip
_RIGHT: Final = frozenset({"seed", "tasks", "score", "ci95", "failed", "tokens", "budget", "events"})
_DROPPED: Final = ("name", "events", "budget", "changed", "seed")
"""Columns that are left out where there is no room for all, the first one first."""
_DROPPED_LAST: Final = ("tasks", "tokens", "ci95")
"""Those that are only left out where names cannot be shortened any more; what a score is worth goes last."""
DEFAULT: Final = Path("runs")
VARIED_SHOWN: Final = 6
"""Varied settings that have a column; --json has all (columns)."""


def ls(
    directory: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where the runs are.")] = DEFAULT,
    sort: Annotated[str, typer.Option(help=f"Column to sort by ({', '.join(COLUMNS)}); -column: downwards.")] = "run",
    as_json: options.AsJson = False,
) -> None:
    """List the runs in DIR with status, score with its 95 % interval over tasks, failed calls, tokens and events.

    What the runs of a sweep differ in has columns of its own, by which they can be sorted as well; below the runs stand
    means over seeds, with the standard deviation of one seed's score and the number of seeds.

    Where the terminal (or the variable COLUMNS; 80 columns if neither says) is too narrow, columns are left out and
    names shortened; a last line says which. --json has all.

    Only manifests are read, never a log. Directories that hold a broken manifest are listed as damaged.
    """
    from agentsoc.cli.varied import means_over_seeds

    if not directory.is_dir() and (directory.exists() or directory != DEFAULT):
        raise InputError("there is no such directory", str(directory), "name the directory that holds the runs")
    rows = rows_in(directory)
    varied = list(dict.fromkeys(key for row in rows for key in row["varied"]))
    rows = _sorted(rows, sort, varied)
    means = means_over_seeds(rows)
    if as_json:
        print_json({"runs": rows, "means": [mean.as_dict() for mean in means]})
        return
    if not rows:
        say(f"no runs in {directory}")
        return
    print_rows(rows, varied[:VARIED_SHOWN])
    if means:
        say()
        print_means(means)


def rows_in(directory: Path) -> list[dict[str, Any]]:
    """Return what the table says of each run in a directory, in the order of their paths; see `ls`."""
    return sorted(rows_of(runs_below(directory, skip_unreadable=True), directory), key=lambda row: str(row["run"]))


def rows_of(paths: Iterable[Path], base: Path) -> list[dict[str, Any]]:
    """Return what the table says of some runs, called by their paths below `base`."""
    from agentsoc.cli.varied import find_varied

    scenarios: dict[str, dict[str, Any]] = {}
    rows = [_row(path, base, scenarios) for path in paths]
    find_varied(rows, scenarios)
    return rows


def print_rows(rows: Sequence[dict[str, Any]], varied: Sequence[str]) -> None:
    """Print the table of runs, with a column for each of some varied settings."""
    extra = [name for name in varied if name not in COLUMNS]
    at = COLUMNS.index("seed") + 1
    head = [*COLUMNS[:at], *extra, *COLUMNS[at:]]
    cells = [[_cell(row, name) for name in head] for row in rows]
    numbers = [name for name in extra if all(_is_number(row["varied"].get(name)) for row in rows)]
    quiet = () if any(row["failed"] for row in rows) else ("failed",)
    table = fit(
        head,
        cells,
        width(),
        right=_RIGHT.union(numbers),
        drop=(*quiet, *_DROPPED),
        drop_last=_DROPPED_LAST,
        tails=("run",),
        tone=_tone if is_coloured() else None,
    )
    print_safe("\n".join(table.lines))
    if table.dropped:
        say(folded(f"not shown for want of width: {', '.join(table.dropped)}", width(), 4))


def print_means(means: Sequence[Mean]) -> None:
    """Print the means over seeds of the runs of sweeps."""
    names = list(dict.fromkeys(name for mean in means for name in mean.settings))[:VARIED_SHOWN]
    named = len({mean.name for mean in means}) > 1 or not names
    head = [*(["name"] if named else []), *names, "seeds", "score", "sd", "tokens", "failed"]
    cells = [
        [
            *([mean.name] if named else []),
            *(_value(mean.settings.get(name)) for name in names),
            f"{mean.seeds:,}",
            f"{mean.score:.3f}",
            "-" if mean.sd is None else f"{mean.sd:.3f}",
            f"{mean.tokens:,.0f}",
            f"{mean.failed:,.1f}".removesuffix(".0"),
        ]
        for mean in means
    ]
    say(folded("means over seeds; sd is the standard deviation of the score of one seed", width(), 4))
    numbers = [name for name in names if all(_is_number(mean.settings.get(name)) for mean in means)]
    right = ("seeds", "score", "sd", "tokens", "failed", *numbers)
    table = fit(head, cells, width(), right=right, drop=("failed", "tokens"))
    print_safe("\n".join(table.lines))


def _sorted(rows: list[dict[str, Any]], sort: str, varied: Sequence[str]) -> list[dict[str, Any]]:
    """Return the rows by a column; those that have nothing there come last."""
    column, down = sort.removeprefix("-"), sort.startswith("-")
    if column not in (*COLUMNS, *varied):
        known = "columns: " + ", ".join((*COLUMNS, *varied))
        raise InputError(f'there is no column "{line(column, 40)}"', "--sort", known)

    def value(row: dict[str, Any]) -> Any:
        return row[column] if column in COLUMNS else row["varied"].get(column)

    known_rows = [row for row in rows if value(row) is not None]
    if column in COLUMNS:
        known_rows.sort(key=value, reverse=down)
    else:  # settings of one key may be texts in one run and numbers in another
        known_rows.sort(key=lambda row: _order(value(row)), reverse=down)
    return known_rows + [row for row in rows if value(row) is None]


def _order(value: Any) -> tuple[int, float, str]:
    return (0, float(value), "") if _is_number(value) else (1, 0.0, str(value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _row(path: Path, base: Path, scenarios: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return what the table says of one run, of a damaged one only ``run`` and ``status``; add its scenario."""
    from agentsoc.log.manifest import load_manifest

    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row["run"] = _place(path, base)
    row["varied"] = {}
    try:
        manifest = load_manifest(path)
        changed = os.stat(f"{path}/{MANIFEST}").st_mtime  # noqa: PTH116 - a path object costs more than the question
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
        ci95=totals.score_ci95,
        failed=manifest.calls_failed,
        tokens=totals.tokens,
        budget=totals.budget,
        events=totals.events,
        failures=manifest.failures,
        changed=round(changed, 3),
        digest=manifest.digest,
    )
    scenarios[row["run"]] = manifest.scenario
    return row


def _place(path: Path, base: Path) -> str:
    """Return the path of a run below `base`, or its whole path where it is `base` or elsewhere."""
    if path == base:
        return str(path)
    try:
        return str(path.relative_to(base))
    except ValueError:
        return str(path)


def _cell(row: dict[str, Any], name: str) -> str:
    if name not in COLUMNS:
        return _value(row["varied"].get(name))
    value = row[name]
    if value is None:
        return "-"
    if name == "score":
        return f"{value:.3f}"
    if name == "ci95":
        return f"{value[0]:.3f}-{value[1]:.3f}"
    if name == "changed":
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(value))
    if name == "failed" and row["failures"]:
        return ", ".join(f"{count:,} {family}" for family, count in row["failures"].items())
    return f"{value:,}" if isinstance(value, int) and name != "seed" else line(str(value), 60)


def _value(value: Any) -> str:
    """Return a varied setting in a cell."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else line(str(value), 30)


def _tone(column: str, text: str) -> Tone:
    if column == "status":
        return "good" if text == "finished" else "busy" if text in ("running", "interrupted") else "bad"
    return "bad" if column == "failed" and text not in ("0", "-") else ""
