"""This module answers the design question of `agentsoc plan`: which organisation for this budget, and how surely."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from agentsoc.errors import InputError
from agentsoc.printing.terminal import print_json, say
from agentsoc.printing.text import command
from analysis.extras import require

if TYPE_CHECKING:
    from analysis.synergy.planning.plan import StatedParameters


class Family(StrEnum):
    """The family is the form of a given fidelity curve."""

    exp = "exp"
    hyp = "hyp"
    hill = "hill"
    capacity = "capacity"


def from_measurements(
    budget: float,
    window: float | None,
    measurements: Path,
    known: StatedParameters,
    fan_ins: str,
    x_min: float | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Print the best design for what was measured; write a comparison with one agent where `out` says so."""
    require("numba", "scipy")
    from analysis.synergy.estimation.measured import load_measurements
    from analysis.synergy.planning.plan import WINDOW, write_follow_up
    from analysis.synergy.planning.recommend import recommend

    wanted = [int(part) for part in fan_ins.split(",") if part.strip()] or None
    measured = load_measurements(measurements).with_given(
        a=known.a, beta=known.beta, gamma=known.gamma, rho=known.rho, mu_max=known.mu_max
    )
    found = recommend(measured, budget, WINDOW if window is None else window, fan_ins=wanted, x_min=x_min)
    written = None if out is None else write_follow_up(found, measured, out)
    if as_json:
        print_json(found.as_dict() | {"follow_up": None if written is None else str(written)})
        return
    say(found.summary())
    if written is not None:
        say(f"written to {written}; go on with: {command('compare', written)}")


def from_parameters(
    budget: float, window: float | None, known: StatedParameters, x_min: float | None, out: Path | None, as_json: bool
) -> None:
    """Print the result of the exact search for parameters that are taken as known."""
    require("numba", "scipy")
    from analysis.synergy.planning.plan import WINDOW, plan_from_parameters

    if out is not None:
        raise InputError("a follow-up needs the scenario that was measured", "--out", "add --measurements FILE")
    width = WINDOW if window is None else window
    report = plan_from_parameters(budget, width, known, x_min=x_min)
    if as_json:
        print_json({"budget": budget, "window": width, **report.as_dict()})
    else:
        say(report.details(budget))
