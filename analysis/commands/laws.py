"""This module is `agentsoc laws`: it says what laws of coordination some logs support, and what they do not."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentsoc.printing.options import AcceptFailures, AsJson
from agentsoc.printing.terminal import note, print_json, say
from analysis.extras import require

if TYPE_CHECKING:
    from analysis.claims.attachment_choices import RiskSet


class Risk(StrEnum):
    """The risk set says which earlier claims everybody could read."""

    latest = "latest"
    all = "all"


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
        Path | None,
        typer.Option(metavar="DIR", help="Write figures (PNG), and their numbers (CSV), into this directory."),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write an HTML document to look at, e.g. laws.html.")
    ] = None,
    accept_failures: AcceptFailures = False,
    as_json: AsJson = False,
) -> None:
    """Say which laws of coordination the logs in DIR support, and every reason to doubt them.

    Tails, growth with N, elites, integration, attachment; nothing is printed without its uncertainty.

    DIR is a run directory, an imported log, or a directory that holds some. All executions are pooled; --by adds the
    same for each group. Values of one execution, and executions of one design, are not taken as independent.
    """
    require("numba", "scipy")
    if figures is not None:
        require("matplotlib", extra="plot")
    import analysis
    from analysis.cascade_laws.input import open_tables
    from analysis.jit import when_compiling
    from analysis.measures.failures import require_unbroken

    said = "compiling the analysis for this machine; only the first use takes these ten seconds"
    keys = [key.strip() for key in by.split(",") if key.strip()]
    rule: RiskSet | None = None if risk is None else ("all" if risk is Risk.all else "latest")
    table = open_tables(directories)
    for text in require_unbroken(directories, accept_failures):
        note(text)
    with when_compiling(lambda: note(said)):
        found = analysis.laws(table, by=keys, fast=fast, gof=gof, risk=rule, seed=seed)
    if as_json:
        print_json(found.as_dict())
    else:
        say(found.summary(cards=cards))
    if html is not None:
        from analysis.commands.write_html import write_section

        write_section(html, found.as_dict())
        note(f"written: {html}")
    if figures is not None:
        from analysis.cascade_laws.figures import draw

        for path in draw(found.whole, figures):
            note(f"written: {path}")
