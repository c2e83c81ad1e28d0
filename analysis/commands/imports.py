"""`agentsoc import`: the log of another framework becomes one that the analysis reads."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentsoc.errors import InputError
from agentsoc.printing.options import AsJson
from agentsoc.printing.terminal import print_json, say
from agentsoc.printing.text import command
from analysis.extras import require

if TYPE_CHECKING:
    from analysis.importers.store import Imported
    from analysis.tables import EventTable


class Source(StrEnum):
    """What can be imported."""

    mas_elites = "mas-elites"
    claims = "claims"
    transcripts = "transcripts"


def import_(
    source: Annotated[Source, typer.Argument(help="What PATH holds.")],
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
    from analysis.importers import store

    store.require_new(out)
    table, about = _read(source, path, parents)
    store.save(table, out, about)
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


def _read(source: Source, path: Path, parents: str | None) -> tuple[EventTable, Imported]:
    """Return the table and its description."""
    from analysis.importers import claims, mas_elites, store, transcripts

    if source is Source.claims:
        if parents is not None:
            raise InputError("a claims table names its own parents", "--parents", "leave the option out")
        table = claims.import_claims(path)
        kept = claims.kept_columns(path)
        return table, store.describe("claims", path, {}, [f"kept as they are: {', '.join(kept)}"] if kept else [])
    if source is Source.transcripts:
        rule = next((known for known in transcripts.PARENT_RULES if known == (parents or "both")), None)
        if rule is None:
            raise InputError(f"no rule {parents!r}", "--parents", f"use one of {', '.join(transcripts.PARENT_RULES)}")
        table = transcripts.import_transcripts(path, parents=rule)
        return table, store.describe("transcripts", path, {"parents": rule}, transcripts.notes(table, rule))
    table = mas_elites.import_traces(path, parents=parents or "visible")
    return table, store.describe("mas-elites", path, {"parents": parents or "visible"})
