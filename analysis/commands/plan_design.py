"""The design question of `agentsoc plan`: which organisation for this budget, and how sure that is."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentsoc.errors import InputError
from agentsoc.printing.terminal import print_json, say
from agentsoc.printing.text import command
from analysis.commands.extras import require

if TYPE_CHECKING:
    from analysis.synergy.planning.design import Design
    from analysis.synergy.planning.recommend import Ranked, Recommendation

DEFAULT_WINDOW = 4096.0


class Family(StrEnum):
    """Form of a given fidelity curve."""

    exp = "exp"
    hyp = "hyp"
    hill = "hill"
    capacity = "capacity"


def design(
    budget: float,
    window: float | None,
    measurements: Path | None,
    given: dict[str, float | None],
    message: int | None,
    m0: float | None,
    family: Family,
    fan_ins: str,
    x_min: float | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Print the best design; write a comparison with one agent where `out` says so."""
    require("numba", "scipy")
    width = DEFAULT_WINDOW if window is None else window
    wanted = [int(part) for part in fan_ins.split(",") if part.strip()] or None
    if measurements is None:
        if out is not None:
            raise InputError("a follow-up needs the scenario that was measured", "--out", "add --measurements FILE")
        _from_parameters(budget, width, given, message, m0, family, x_min, as_json)
        return
    from analysis.synergy.estimation.measured import load_measurements
    from analysis.synergy.planning.recommend import recommend

    measured = load_measurements(measurements).with_given(**given)
    found = recommend(measured, budget, width, fan_ins=wanted, x_min=x_min)
    written = None
    if out is not None:
        from agentsoc.log.files import write_whole
        from analysis.synergy.planning.follow_up import follow_up_text

        organised = found.organised
        if organised is None:
            raise InputError("nothing but one agent fits this budget: there is nothing to compare", "--out")
        write_whole(out, follow_up_text(measured, organised, found).encode())
        written = out
    if as_json:
        print_json(_as_dict(found) | {"follow_up": None if written is None else str(written)})
        return
    say(found.summary())
    if written is not None:
        say(f"written to {written}; go on with: {command('compare', written)}")


def _from_parameters(
    budget: float,
    window: float,
    given: dict[str, float | None],
    message: int | None,
    m0: float | None,
    family: Family,
    x_min: float | None,
    as_json: bool,
) -> None:
    """Print the result of the exact designer for parameters that are taken as known."""
    from analysis.synergy.planning.design import search
    from analysis.synergy.theory.costs import LeafLaw
    from analysis.synergy.theory.fidelity import FidelityCurve

    a, beta, gamma, rho = (given[name] for name in ("a", "beta", "gamma", "rho"))
    if a is None or beta is None or rho is None or (gamma is None) == (m0 is None):
        raise InputError(
            "a design needs --measurements FILE, or --a, --beta, --rho and either --gamma with --message or --m0",
            "",
            "for example: --a 0.02 --beta 0.2 --rho 0.1 --m0 100",
        )
    if gamma is not None and message is None:
        raise InputError("a given gamma belongs to messages of some length", "--message", "for example: --message 50")
    leaf = LeafLaw(a, beta, given["mu_max"] if given["mu_max"] is not None else 1.0)
    fidelity = gamma if gamma is not None else FidelityCurve(family.value, float(m0 or 1.0))
    lengths = None if message is None else [message]
    report = search(
        budget, window, leaf, fidelity, rho, messages=lengths,
        organisations=("star", "tree"), x_min=1.0 if x_min is None else x_min,
    )  # fmt: skip
    if as_json:
        print_json(
            {
                "budget": budget,
                "window": window,
                "best": _design(report.best),
                "by_organisation": {name: _design(one) for name, one in report.by_organisation.items()},
                "candidates": report.n_candidates,
                "assumptions": list(report.assumptions),
            }
        )
        return
    from analysis.synergy.planning.recommend import said

    say(f"with these parameters and {budget:,.0f} tokens: {said(report.best)}")
    say(f"  signal {report.best.mu:.4g}, accuracy {report.best.accuracy:.4f} of two answers")
    others = [one for one in report.by_organisation.values() if one != report.best]
    for other in sorted(others, key=lambda one: -one.mu):
        say(f"  next: {said(other)}, signal {other.mu:.4g}")
    say(f"  exact over {report.n_candidates:,} designs; the parameters are taken as certain")
    for text in report.assumptions:
        say(f"  assumed: {text}")


def _design(one: Design) -> dict[str, Any]:
    return {
        "organisation": one.organisation,
        "b": one.b,
        "depth": one.depth,
        "leaves": one.n_leaves,
        "x": one.x,
        "m": one.m,
        "gamma": one.gamma,
        "mu": one.mu,
    }


def _ranked(one: Ranked) -> dict[str, Any]:
    return _design(one.design) | {
        "mu_low": one.low,
        "mu_high": one.high,
        "p_beats_one_agent": one.p,
        "p_beats_one_agent_beta_binomial": one.p_beta_binomial,
    }


def _as_dict(found: Recommendation) -> dict[str, Any]:
    return {
        "budget": found.budget,
        "window": found.window,
        "best": _ranked(found.best),
        "single": _ranked(found.single),
        "rivals": [_ranked(one) for one in found.rivals],
        "p_best_over_next": found.p_over_next,
        "doubt": dict(found.doubt),
        "advice": found.advice,
        "cautions": list(found.cautions),
        "candidates": found.n_candidates,
    }
