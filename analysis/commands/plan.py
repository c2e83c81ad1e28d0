"""Say which organisation is worth a budget of tokens, before it is paid for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agentsoc.printing.options import AsJson
from analysis.commands.plan_design import Family, from_measurements, from_parameters
from analysis.commands.plan_maker import maker
from analysis.commands.plan_verifier import verifier
from analysis.extras import require

app = typer.Typer(
    help="Say what to run, before it is paid for.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("maker")(maker)
app.command("verifier")(verifier)


@app.callback(invoke_without_command=True)
def plan(
    context: typer.Context,
    budget: Annotated[
        float | None,
        typer.Option("--budget", "-B", min=1, metavar="TOKENS", help="Tokens of one answer."),
    ] = None,
    window: Annotated[
        float | None,
        typer.Option("--window", "-W", min=1, metavar="TOKENS", help="What a node can read. [4096]"),
    ] = None,
    measurements: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What `calibrate` wrote or `phase --json` printed.")
    ] = None,
    a: Annotated[float | None, typer.Option(min=0, help="Signal of one token: mu = a x^beta.")] = None,
    beta: Annotated[float | None, typer.Option(min=0, help="Compute exponent of a leaf.")] = None,
    gamma: Annotated[float | None, typer.Option(min=0, max=1, help="Fidelity of a message.")] = None,
    rho: Annotated[float | None, typer.Option(min=0, max=1, help="Correlation of the votes a node reads.")] = None,
    mu_max: Annotated[float | None, typer.Option(min=0, max=1, help="Ceiling of the signal of one agent.")] = None,
    message: Annotated[int | None, typer.Option(min=1, metavar="M", help="Tokens of a message, with --gamma.")] = None,
    m0: Annotated[float | None, typer.Option(min=0, help="Scale of a fidelity curve gamma(m), in tokens.")] = None,
    family: Annotated[Family, typer.Option(help="Form of that curve.")] = Family.exp,
    fan_ins: Annotated[str, typer.Option("--fan-ins", metavar="B,B,...", help="Odd fan-ins to consider.")] = "",
    x_min: Annotated[float | None, typer.Option(min=0, help="Fewest tokens of a leaf.")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a comparison of the design with one agent.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what to run, before it is paid for.

    Without a sub-command: the organisation that is worth its tokens, from measurements or from parameters that are
    taken as known, with the probability that it beats one agent. What is given besides --measurements FILE takes the
    place of what was measured.
    """
    if context.invoked_subcommand is not None:
        return
    if budget is None:
        typer.echo(context.get_help())
        return
    require("numba", "scipy")
    from analysis.synergy.planning.plan import StatedParameters

    known = StatedParameters(a, beta, gamma, rho, mu_max, message, m0, family.value)
    if measurements is None:
        from_parameters(budget, window, known, x_min, out, as_json)
    else:
        from_measurements(budget, window, measurements, known, fan_ins, x_min, out, as_json)
