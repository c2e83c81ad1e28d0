"""This module is `agentsoc plan maker`: it says how far ahead a vote must be for a long chain of steps to hold."""

from __future__ import annotations

from typing import Annotated

import typer

from agentsoc.errors import InputError
from agentsoc.printing.options import AsJson
from agentsoc.printing.terminal import print_json, say
from agentsoc.printing.text import command
from analysis.extras import require


def maker(
    steps: Annotated[int, typer.Option(min=1, metavar="S", help="Dependent steps of the whole task.")],
    right: Annotated[int | None, typer.Option(min=0, metavar="R", help="Sampled answers that were right.")] = None,
    of: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Answers sampled, malformed ones included.")
    ] = None,
    invalid: Annotated[int, typer.Option(min=0, metavar="I", help="Sampled answers that the filter dropped.")] = 0,
    p: Annotated[
        float | None, typer.Option(min=0, max=1, help="Instead of a sample: how often a step is right, as you suppose.")
    ] = None,
    target: Annotated[float, typer.Option(help="Probability with which the whole chain is to be right.")] = 0.95,
    together: Annotated[int, typer.Option(min=1, metavar="M", help="Steps that one call takes.")] = 1,
    shared: Annotated[
        float, typer.Option(min=0, max=1, metavar="RHO", help="Share of steps on which all samples err alike.")
    ] = 0.0,
    price: Annotated[float | None, typer.Option(min=0, help="Money for one call.")] = None,
    growth: Annotated[
        bool, typer.Option("--growth", help="Add a table of k and votes for 10 to 1,000,000 steps.")
    ] = False,
    card: Annotated[bool, typer.Option("--card", help="Print the fit card too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Plan a chain of S steps in which each is voted on until one answer leads by k.

    Sample random steps first, one answer each, and give --right R --of N: the plan then has intervals.
    """
    require("scipy")
    from analysis.voting.maker import StepSample, growth_table, plan_maker, plan_stated

    if (p is None) == (right is None and of is None) or (right is None) != (of is None):
        raise InputError(
            "a plan needs a sample of steps, or a supposed p, not both", "", "give --right R --of N, or --p P"
        )
    if p is not None:
        if invalid:
            raise InputError("malformed answers are counted in a sample", "--invalid", "give --right R --of N with it")
        plan = plan_stated(steps, p, target=target, m=together, rho=shared, price=price)
    else:
        assert right is not None
        assert of is not None
        sample = StepSample(right, of, invalid)
        plan = plan_maker(steps, sample, target=target, m=together, rho=shared, price=price)
    grown = growth_table(plan.p.value, target=target) if growth and plan.p.value > 0.5 else ()
    if as_json:
        table = [{"steps": s, "k": k, "votes": votes} for s, k, votes in grown]
        print_json(plan.as_dict() | {"growth": table})
        return
    say(plan.summary())
    for s, k, votes in grown:
        say(f"growth    {s:>9,} steps: k = {k}, at most {votes:,.0f} votes")
    if card:
        say(plan.card.summary())
    if plan.k is not None:
        changes = ("protocol.kind=resample", "protocol.until=ahead-by-k", f"protocol.k={plan.k}")
        say(f"go on with: {command('run', 'SCENARIO', *(word for c in changes for word in ('--set', c)))}")
