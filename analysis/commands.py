"""The verbs that the analysis adds to `agentsoc`: `import` and `laws`. Everything heavy is imported when it is used."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentsoc.cli.options import AsJson
from agentsoc.cli.terminal import command, note, print_json, say
from agentsoc.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from analysis.attachment_choices import RiskSet
    from analysis.importers.store import Imported
    from analysis.tables import EventTable


class Source(StrEnum):
    """What can be imported."""

    mas_elites = "mas-elites"
    claims = "claims"
    transcripts = "transcripts"


class Risk(StrEnum):
    """Which earlier claims everybody could read."""

    latest = "latest"
    all = "all"


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
    _require("numba", "scipy")
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


def laws(
    directories: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Runs, or imported logs.")],
    by: Annotated[
        str, typer.Option(metavar="KEYS", help="Also for each group: any of benchmark,topology,n,seed,run.")
    ] = "",
    fast: Annotated[bool, typer.Option("--fast", help="No bootstrap; then no power law is claimed.")] = False,
    gof: Annotated[
        int | None, typer.Option(min=0, help="Replicates of the goodness-of-fit test [100; 1000 for a claim].")
    ] = None,
    risk: Annotated[
        Risk | None,
        typer.Option(
            help="For logs that do not say it: everybody could read all earlier claims, or each one's latest."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of all resampling.")] = 0,
    cards: Annotated[bool, typer.Option("--cards", help="Print every fit card whole.")] = False,
    figures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write figures (PNG) into this directory.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what laws the logs in DIR... support: tails, growth, elites, integration, with every reason for doubt.

    DIR is a run directory, an imported log, or a directory that holds some. All executions are pooled; --by adds the
    same for each group. Values of one execution, and executions of one design, are not taken as independent.
    """
    _require("numba", "scipy")
    if figures is not None:
        _require("matplotlib", extra="plot")
    from dataclasses import replace

    from analysis.laws import FAST, Effort, examine, groups
    from analysis.laws_input import read_logs
    from analysis.laws_json import laws_as_dict
    from analysis.laws_text import laws_as_text

    keys = tuple(key.strip() for key in by.split(",") if key.strip())
    table, caveats = read_logs(directories)
    parts = groups(table, keys) if keys else []
    effort = FAST if fast else Effort()
    if gof is not None:
        effort = replace(effort, gof=gof)
    rule: RiskSet | None = None if risk is None else ("all" if risk is Risk.all else "latest")
    whole = examine(table, effort=effort, risk=rule, seed=seed, caveats=tuple(caveats))
    found = [examine(part, effort=effort, risk=rule, seed=seed, where=where) for where, part in parts]
    if as_json:
        data = laws_as_dict(whole)
        print_json(data | {"groups": [laws_as_dict(part) for part in found]} if keys else data)
    else:
        say("\n\n".join(laws_as_text(part, cards=cards) for part in [whole, *found]))
    if figures is not None:
        from analysis.figures import draw

        for path in draw(whole, figures):
            note(f"written: {path}")


def _require(*packages: str, extra: str = "analysis") -> None:
    """Raise `MissingExtraError` unless the packages are installed."""
    from importlib.util import find_spec

    for package in packages:
        if find_spec(package) is None:
            raise MissingExtraError("this command", package, extra)
