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
        str, typer.Argument(help="What PATH holds: auto finds out; or an importer, see above, or what a package adds.")
    ],
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A file or a directory; what is allowed: see above.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="New directory for the imported log.")],
    parents: Annotated[
        str | None,
        typer.Option(
            help="Rule for parents. mas-elites: [visible], cited. messages, transcripts, inspect: [both], addressee, "
            "previous. otlp: [found], links, text, previous."
        ),
    ] = None,
    skip_bad: Annotated[
        bool,
        typer.Option("--skip-bad", help="Pass over conversations, lines or traces that cannot be read; say how many."),
    ] = False,
    partial: Annotated[
        bool, typer.Option("--partial", help="Take traces of which spans are missing, and logs that did not end.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Turn the log of another framework into one that `agentsoc laws`, `metrics`, `show` and `report` read.

    messages: conversations in JSON or JSON lines, in the wrappings of OpenAI, AutoGen, AG2, LangChain, LangGraph,
    MetaGPT, ShareGPT, MAST and debates. otlp: traces as OTLP-JSON, or exports of Langfuse or LangSmith. inspect: logs
    of Inspect (extra inspect). claims: one CSV or Parquet file with a row for each claim (columns claim, parents,
    agent). transcripts: annotated lists of messages. mas-elites: traces in their native layout, or Parquet files of
    them. PATH is a file, or a directory that holds some.
    """
    require("numba", "scipy")
    from analysis.importers.importer import import_log

    table, about = import_log(source, path, out, parents=parents, skip_bad=skip_bad, partial=partial)
    if as_json:
        print_json(
            {"out": str(out), "importer": about.importer, "events": table.events.height,
             "executions": table.n_executions, "rules": dict(about.rules), "notes": list(about.notes)}
        )  # fmt: skip
        return
    say(f"{table.summary()}, read by {about.importer}\nwritten to {out}")
    for text in about.notes:
        say(f"note: {text}")
    say(f"go on with: {command('laws', out)}")
