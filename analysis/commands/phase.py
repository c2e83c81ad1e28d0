"""This module is `agentsoc phase`: it says where an organisation stands, from runs or from a table of votes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agentsoc.errors import InputError
from agentsoc.printing.options import AcceptFailures, AsJson
from agentsoc.printing.terminal import note, print_json, say
from analysis.extras import require


def phase(
    runs: Annotated[
        list[Path] | None, typer.Argument(metavar="[RUN]...", help="Runs, or directories that hold some.")
    ] = None,
    votes: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A table of sibling votes instead (Parquet or CSV).")
    ] = None,
    sent: Annotated[bool, typer.Option("--sent", help="The votes are as they were cast, not as received.")] = False,
    fan_in: Annotated[
        int | None, typer.Option(min=3, metavar="B", help="Fan-in; by default the one in the data.")
    ] = None,
    gamma: Annotated[float | None, typer.Option(min=0, max=1, help="Fidelity, where it is known.")] = None,
    rho: Annotated[float | None, typer.Option(min=0, max=1, help="Correlation, where it is known.")] = None,
    mu_max: Annotated[
        float, typer.Option(min=0, max=1, help="Ceiling of the signal of one agent; with runs only.")
    ] = 1.0,
    draws: Annotated[int, typer.Option(min=2, max=100_000, help="Bootstrap samples.")] = 400,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 0,
    figures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Draw the phase diagram (PNG) into DIR, with its numbers (CSV).")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write an HTML document to look at, e.g. phase.html.")
    ] = None,
    accept_failures: AcceptFailures = False,
    as_json: AsJson = False,
) -> None:
    """Say from runs whether trees of such agents amplify or lose their signal, with intervals.

    RUN... are runs of lone agents at several computes, relays with a planted message, and merges: what
    `agentsoc calibrate` makes, or any of your own; each is used for what it can tell. FILE has the columns task, run,
    node, agent, correct. Estimated are a, beta, gamma, rho, the growth alpha at a merge and the exponent s of a tree
    (what they mean: docs/phase-guide.md). What the data cannot tell is refused by name; assumptions that they
    contradict are listed.

    With --json, the object that `agentsoc plan --measurements` reads.
    """
    require("numba", "scipy")
    if figures is not None:
        require("matplotlib", extra="plot")
    if bool(runs) == (votes is not None):
        raise InputError("give runs, or a table of votes", "--votes", "for example: agentsoc phase runs/*")
    import analysis
    from analysis.measures.failures import require_unbroken

    for text in require_unbroken(runs or (), accept_failures):
        note(text)
    found = analysis.phase(
        runs or (), votes=votes, sent=sent, b=fan_in, n_draws=draws, seed=seed, accept_failures=accept_failures,
        gamma=gamma, rho=rho, mu_max=mu_max,
    )  # fmt: skip
    drawn = []
    if figures is not None:
        from analysis.synergy.diagram.draw import draw_phase

        drawn = draw_phase(found.estimate, found.measured, figures)
    if html is not None:
        from analysis.commands.write_html import write_section

        write_section(html, found.as_dict())
        note(f"written: {html}")
    if as_json:
        print_json(found.as_dict() | {"figures": [str(path) for path in drawn]})
    else:
        say(found.summary())
    for path in drawn:
        note(f"written: {path}")
