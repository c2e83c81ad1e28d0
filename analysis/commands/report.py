"""This module is `agentsoc report`: it puts runs, comparisons, laws and phases into one HTML document to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agentsoc.errors import InputError
from agentsoc.printing import options
from agentsoc.printing.terminal import print_json, say
from analysis.extras import require


def report(
    places: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...",
            help="Runs, imported logs, comparisons, calibrations, or files that laws --json or phase --json wrote.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The document; it is written anew.")],
    title: Annotated[str, typer.Option(help="Title of the document.")] = "",
    allow_code: options.AllowCode = None,
    as_json: options.AsJson = False,
) -> None:
    """Write one HTML document on PATH... into FILE: pictures, tables, and the episodes of runs to walk through.

    The document has everything in it: it opens from disk, asks nothing of any network, prints, and has at most 5 MB.
    Of a run that is larger, some episodes are in it, and it says which share. Texts of a log stand in it as text.
    """
    require("numba", "scipy")
    from analysis.commands.write_html import transcriber_with, write_html
    from analysis.viewer.document.sources import report_document

    if out.is_dir():
        raise InputError("this is a directory", str(out), "name the file to write, e.g. report.html")
    whole = report_document(places, title=title, transcriber=transcriber_with(allow_code or []))
    write_html(out, whole)
    if as_json:
        print_json({"file": str(out), "bytes": len(whole)})
    else:
        say(f"written: {out}, {len(whole):,} bytes")
