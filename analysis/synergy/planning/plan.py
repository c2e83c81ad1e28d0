"""This module plans an organisation for a budget, from measurements or from parameters that are taken as known.

The first gives a `Recommendation`, with the probability that the design beats one agent; the second the exact search's
`DesignReport`, in which nothing is uncertain.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from agentsoc.errors import InputError
from agentsoc.log.files import write_whole
from analysis.synergy.estimation.measured import Measured
from analysis.synergy.planning.design import DesignReport, DesignTerms, search
from analysis.synergy.planning.recommend import Recommendation
from analysis.synergy.theory.costs import LeafLaw
from analysis.synergy.theory.fidelity import FidelityCurve

WINDOW: Final = 4096.0
"""Tokens of messages that a node can read, where nothing else is said."""
Family = Literal["exp", "hyp", "hill", "capacity"]
"""Form of a fidelity curve gamma(m)."""


@dataclass(frozen=True)
class StatedParameters:
    """The object holds parameters that are taken as certain; None where one is not given."""

    a: float | None = None
    """Signal of one token: mu = a x^beta."""
    beta: float | None = None
    """Compute exponent of a leaf."""
    gamma: float | None = None
    """Fidelity of a message of `message` tokens."""
    rho: float | None = None
    """Correlation of the votes that a node reads."""
    mu_max: float | None = None
    """Ceiling of the signal of one agent; None for 1."""
    message: int | None = None
    """Tokens of the messages that `gamma` is about."""
    m0: float | None = None
    """Scale of a fidelity curve gamma(m), in tokens: instead of `gamma`."""
    family: Family = "exp"
    """Form of that curve."""


def plan_from_parameters(
    budget: float, window: float, known: StatedParameters, *, x_min: float | None = None
) -> DesignReport:
    """Return the best star or tree for parameters that are taken as known.

    Args:
        budget: tokens of one answer of the whole organisation.
        window: tokens of messages that a node can read.
        known: a, beta and rho, and either gamma with the length of its messages or the scale of a fidelity curve.
        x_min: fewest tokens of a leaf; None for 1.

    Raises:
        InputError: a parameter is missing, or the budget does not pay for one agent.
    """
    a, beta, gamma, rho, m0 = known.a, known.beta, known.gamma, known.rho, known.m0
    if a is None or beta is None or rho is None or (gamma is None) == (m0 is None):
        raise InputError(
            "a design needs --measurements FILE, or --a, --beta, --rho and either --gamma with --message or --m0",
            "",
            "for example: --a 0.02 --beta 0.2 --rho 0.1 --m0 100",
        )
    if gamma is not None and known.message is None:
        raise InputError("a given gamma belongs to messages of some length", "--message", "for example: --message 50")
    leaf = LeafLaw(a, beta, 1.0 if known.mu_max is None else known.mu_max)
    fidelity = gamma if gamma is not None else FidelityCurve(known.family, float(m0 or 1.0))
    lengths = None if known.message is None else [known.message]
    return search(
        budget, window, leaf, fidelity, rho, messages=lengths,
        organisations=("star", "tree"), terms=DesignTerms() if x_min is None else DesignTerms(x_min),
    )  # fmt: skip


def write_follow_up(found: Recommendation, measured: Measured, path: Path) -> Path:
    """Write the comparison that tests the best organisation of `found` against one agent, and return its path.

    Raises:
        InputError: no organisation fits the budget, or the measurements hold no scenario.
    """
    organised = found.organised
    if organised is None:
        raise InputError("nothing but one agent fits this budget: there is nothing to compare", "--out")
    from analysis.synergy.planning.follow_up import follow_up_text  # scenarios: only who writes one pays for them

    write_whole(path, follow_up_text(measured, organised, found).encode())
    return path
