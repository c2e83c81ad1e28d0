"""This module is `agentsoc plan verifier`: it says what resampling until acceptance can reach, and when to stop."""

from __future__ import annotations

from typing import Annotated

import typer

from agentsoc.errors import InputError
from agentsoc.printing.options import AsJson
from agentsoc.printing.terminal import print_json, say
from agentsoc.printing.text import command
from analysis.extras import require


def verifier(
    right: Annotated[str, typer.Option(metavar="A/R", help="Of R right attempts, A were accepted.")],
    wrong: Annotated[str, typer.Option(metavar="A/W", help="Of W wrong attempts, A were accepted.")],
    mix: Annotated[
        list[str] | None,
        typer.Option(
            "--type", metavar="SHARE:RATE", help="Share of tasks, and how often an attempt at one is right; repeatable."
        ),
    ] = None,
    loss: Annotated[
        float, typer.Option(max=0, help="Value of an accepted wrong answer; a right one is worth 1.")
    ] = 0.0,
    price: Annotated[float, typer.Option(min=0, help="Price of an attempt, in values of a right answer.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Seed of the draws behind the intervals.")] = 0,
    card: Annotated[bool, typer.Option("--card", help="Print the fit card too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say what resampling until a verifier accepts can reach, and how many attempts to make.

    Label a random sample of attempts right or wrong, let the verifier judge each, and give the four counts:
    --right 110/120 --wrong 56/280.
    """
    require("scipy")
    from analysis.voting.verifier import TaskType
    from analysis.voting.verifier_plan import LabelledAttempts, plan_verifier

    right_accepted, n_right = _share(right, "--right")
    wrong_accepted, n_wrong = _share(wrong, "--wrong")
    types = [TaskType(*_pair(text)) for text in mix or ()]
    plan = plan_verifier(
        LabelledAttempts(n_right, n_wrong, right_accepted, wrong_accepted),
        types=types,
        loss=loss,
        price=price,
        seed=seed,
    )
    if as_json:
        print_json(plan.as_dict())
        return
    say(plan.summary())
    if card:
        say(plan.card.summary())
    attempts = plan.attempts.enough if plan.attempts.best is None else plan.attempts.best
    if attempts:
        changes = ("protocol.kind=resample", "protocol.until=verifier", f"protocol.max_samples={attempts}")
        say(f"go on with: {command('run', 'SCENARIO', *(word for c in changes for word in ('--set', c)))}")


def _share(text: str, option: str) -> tuple[int, int]:
    """Return the two whole numbers of A/N."""
    some, slash, every = text.partition("/")
    try:
        found = (int(some), int(every))
    except ValueError:
        slash = ""
        found = (0, 0)
    if not slash:
        raise InputError(f"{text!r} is not of the form accepted/all", option, "write for instance 110/120")
    return found


def _pair(text: str) -> tuple[float, float]:
    """Return the two numbers of SHARE:RATE."""
    share, _, rate = text.partition(":")
    try:
        return float(share), float(rate)
    except ValueError:
        raise InputError(f"{text!r} is not of the form share:rate", "--type", "write for instance 0.6:0.9") from None
