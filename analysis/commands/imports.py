"""This module is `agentsoc import`: it turns the log of another framework into one that the analysis reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agentsoc.printing.options import AsJson
from agentsoc.printing.terminal import print_json, say
from agentsoc.printing.text import command
from analysis.extras import require


def import_(
    source: Annotated[
        str, typer.Argument(help="What PATH holds: mas-elites, claims, transcripts, or what a package adds.")
    ],
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A file or a directory; what is allowed: see above.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="New directory for the imported log.")],
    parents: Annotated[
        str | None,
        typer.Option(help="Rule for parents. mas-elites: [visible], cited. transcripts: [both], addressee, previous."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Turn the log of another framework into one that `agentsoc laws` reads.

    mas-elites: a directory of traces in their native layout, or Parquet files of them. claims: one CSV or Parquet file
    with a row for each claim (columns claim, parents, agent). transcripts: a JSON file with a list of messages, or a
    directory of such files.
    """
    require("numba", "scipy")
    from analysis.importers.importer import import_log

    table, about = import_log(source, path, out, parents=parents)
    if as_json:
        print_json(
            {"out": str(out), "importer": about.importer, "events": table.events.height,
             "executions": table.n_executions, "rules": dict(about.rules), "notes": list(about.notes)}
        )  # fmt: skip
        return
    say(f"{table.summary()}\nwritten to {out}")
    for text in about.notes:
        say(f"note: {text}")
    say(f"go on with: {command('laws', out)}")
