"""This module is `agentsoc export`: it writes a run for other programs, or without its texts for other people."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from agentsoc.errors import InputError
from agentsoc.printing.options import AsJson, RunDirectory
from agentsoc.printing.terminal import print_json, say
from agentsoc.printing.text import command
from analysis.extras import require


class To(StrEnum):
    """The forms in which a run is exported."""

    OTLP = "otlp"
    INSPECT = "inspect"
    CSV = "csv"
    PARQUET = "parquet"


def export(
    directory: RunDirectory,
    out: Annotated[
        Path, typer.Option("--out", metavar="PATH", help="New file (otlp, inspect) or directory (csv, parquet).")
    ],
    to: Annotated[To | None, typer.Option("--to", help="Form; none with --redact.")] = None,
    redact: Annotated[
        bool, typer.Option("--redact", help="Write a log without prompts, texts, answers and names.")
    ] = False,
    no_contents: Annotated[
        bool,
        typer.Option("--no-contents", help="With --to otlp: leave out what was said, and keep who, when, how many."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write the run in DIR for other programs, or without its texts.

    otlp: OTLP-JSON, an episode a trace, with ids that are the same each time; .jsonl writes a line an episode. inspect:
    a log that Inspect View opens (.eval or .json; extra inspect). csv, parquet: tables of events, episodes, tasks and
    calls; of an imported log, events and executions. --redact: a log that laws, metrics, show and check read.
    """
    if (to is None) == (not redact):
        raise InputError("name a form, or --redact" if to is None else "a redacted log has no other form", "--to")
    if no_contents and to is not To.OTLP:
        raise InputError("contents are left out of traces alone", "--no-contents", "add --to otlp, or use --redact")
    require("numba", "scipy")
    if to in (To.OTLP, To.INSPECT) and out.exists():
        raise InputError("it exists", str(out), "name a new file with --out")
    try:
        wrote = _written(directory, out, to, contents=not no_contents)
    except OSError as error:
        raise InputError(f"it cannot be written: {error.strerror or error}", str(out)) from error
    if as_json:
        print_json({"run_dir": str(directory), "out": str(out), "to": "redacted" if to is None else to, "wrote": wrote})
        return
    say("\n".join(f"{n:,} {what}" for what, n in wrote.items()) + f"\nwritten to {out}")
    if to is None:
        say(f"go on with: {command('check', out)}")


def _written(directory: Path, out: Path, to: To | None, *, contents: bool) -> dict[str, int]:
    """Write, and return what, with how many there are of it."""
    from analysis.exporters.episodes import run_at
    from analysis.exporters.inspect_log import write_inspect
    from analysis.exporters.otlp import write_otlp
    from analysis.exporters.redacted import write_redacted
    from analysis.exporters.tables import write_tables

    if to is To.OTLP:
        return {"spans": write_otlp(run_at(directory), out, contents=contents)}
    if to is To.INSPECT:
        return {"samples": write_inspect(run_at(directory), out)}
    if to is None:
        table, _ = write_redacted(run_at(directory), out)
        return {"acts": table.events.height, "executions": table.n_executions}
    return {f"rows of {name}": n for name, n in write_tables(directory, out, "csv" if to is To.CSV else "parquet")}
