"""This module recommends an organisation for a budget when the parameters are known with some doubt only [X].

Every candidate (a star or a tree of odd fan-in b, messages of a measured length, L levels) spends the whole budget; the
tokens of a leaf follow from the budget identity. Its signal is worked out by the exact recursion under each joint draw
of a, beta, gamma, rho and of the mixture of task difficulties, and so is that of one agent with the same budget. The
recommendation is the candidate of the highest mean signal; P is the share of the draws in which it beats one agent.

The mixture counts wherever tasks seem to differ: each kind of task keeps its signal relative to the mean, and
the mean answer is the mean of the kinds' trajectories [X] (docs/phase-theory.md, "What is assumed", A2).

P carries the doubt of the sample, not that of the model: what the theory assumes, and by how much the form of shared
errors matters (`p_beta_binomial`), stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from agentsoc.errors import InputError
from agentsoc.log.notebook import notebook_html
from analysis.synergy.estimation.interval import WIDEST, equals, sure
from analysis.synergy.estimation.measured import Measured
from analysis.synergy.planning.advice import advice
from analysis.synergy.planning.candidates import candidates, most_promising
from analysis.synergy.planning.design import Design
from analysis.synergy.planning.parameter_draws import ParameterDraws
from analysis.synergy.theory.arrays import FloatArray
from analysis.synergy.theory.shapes import Shape

GROUPS: Final = ("leaf", "gamma", "rho", "difficulty")
"""What doubt can come from: the leaf law (a and beta), fidelity, correlation, the spread of difficulty."""
_FIRST_DRAWS: Final = 24
AT_ODDS: Final = 0.1
"""Difference of the probabilities under the forms of shared errors from which on the form decides."""
RHO_TASKS: Final = 100
"""Tasks below which draws of rho are narrower than its error: plans from 60 and from 200 in docs/verdict-studies.md."""
_EQUAL: Final = 1e-12
"""Largest difference of two signals that counts as rounding."""


_BELOW: Final = (
    "it would make the errors of its agents surer",
    "agents that are better than chance",
    "why votes are wrong so often: the question, its answers, or how they are read",
)
_NO_FORM: Final = (
    "how often its nodes would err together is not known",
    "shared errors that these votes do not follow",
    "which agents err together, or compare a small design with one agent on the tasks themselves",
)
"""Why no design of many is recommended, what the figures would rest on, and what to find out first."""


@dataclass(frozen=True)
class Ranked:
    """The object holds a design and what is expected of it."""

    design: Design
    """Its signal `mu` is that at the central values."""
    low: float
    """Lower end of the 95 % interval of its signal: 2.5 % of the draws are below."""
    high: float
    mean: float
    """Mean signal over the draws, by which designs are ranked."""
    p: float
    """Share of the draws in which it beats one agent with the whole budget; where the votes exclude the lock, the lower
    of the shares under the beta-binomial law and, for the best that is organised, a Gaussian factor."""
    p_beta_binomial: float | None
    """The same if shared errors follow the beta-binomial law; None where that law has no form here."""
    p_gaussian: float | None = None
    """The same if they follow a Gaussian factor; told of the best that is organised alone."""

    @property
    def chances(self) -> tuple[float, ...]:
        """P under each form of shared errors for which it was worked out."""
        return tuple(p for p in (self.p, self.p_beta_binomial, self.p_gaussian) if p is not None)

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return self.design.as_dict() | {
            "mu_low": self.low,
            "mu_high": self.high,
            "p_beats_one_agent": self.p,
            "p_beats_one_agent_beta_binomial": self.p_beta_binomial,
            "p_beats_one_agent_gaussian": self.p_gaussian,
        }


@dataclass(frozen=True)
class Recommendation:
    """The recommendation says what to build, how sure that is, and what would make it surer."""

    budget: float
    """Tokens of one answer of the whole organisation."""
    window: float
    """Tokens of messages that a node can read."""
    best: Ranked
    """The design whose mean signal over the draws is largest; one agent where votes are worse than chance."""
    single: Ranked
    """One agent that takes the whole budget."""
    rivals: tuple[Ranked, ...]
    """The next best designs of another depth or another kind, best first."""
    p_over_next: float
    """Share of the draws in which the best is better than the first rival."""
    doubt: Mapping[str, float]
    """Share of the variance of (design - one agent) that each group of parameters brings, summing to 1; see GROUPS."""
    advice: str
    """What to measure next."""
    cautions: tuple[str, ...]
    """What speaks against relying on it, in words."""
    n_candidates: int
    """Designs that fit budget and window."""
    shape: Shape = "lock"
    """Form of shared errors that the figures are for; not the lock where the votes exclude it."""
    shape_tested: bool = True
    """Whether votes tell the form of shared errors; where they do not, P is what both forms allow."""
    below_chance: str | None = None
    """That votes are worse than chance, in words."""
    unknown_form: str | None = None
    """That votes follow no form of shared errors that is known here, in words."""

    @property
    def no_prediction(self) -> str | None:
        """Why nothing is predicted; None where something is."""
        return self.below_chance or self.unknown_form

    def _repr_html_(self) -> str:
        """Return it for a notebook: pictures and tables, without any script."""
        return notebook_html("plan", self, self.summary())

    @property
    def organised(self) -> Ranked | None:
        """The best design that is not a single agent; None when none fits."""
        return next((one for one in (self.best, *self.rivals) if one.design.organisation != "single"), None)

    def summary(self) -> str:
        """Return the recommendation as text."""
        if self.no_prediction is not None:
            return self._without_prediction(self.no_prediction)
        lines = [f"with these measurements and {self.budget:,.0f} tokens: {self.best.design.said()}"]
        lines.append(f"  signal {_span(self.best)}; accuracy {(1 + self.best.design.mu) / 2:.3f} of two answers")
        organised = self.organised
        if self.best.design.organisation != "single":
            lines.append(f"  P(it beats one agent) {equals(self.chance(self.best))}{self._also(self.best)}")
            lines.append(f"  one agent: {self.single.design.x:,.0f} tokens, signal {_span(self.single)}")
        elif organised is None:
            lines.append("  nothing else fits budget and window")
        else:
            lines.append(f"  P(the best other design beats it) {equals(self.chance(organised))}{self._also(organised)}")
        if self.rivals:
            first = self.rivals[0]
            lines.append(f"  next best: {first.design.said()}, signal {_span(first)}, P {equals(sure(first.p))}")
            lines.append(f"  P(the first is better than the next) {equals(sure(self.p_over_next))}")
        if self.shape != "lock":
            lines.append("  all figures by the beta-binomial law of shared errors, because the votes exclude the lock")
        lines.append(f"  {self.advice}")
        return "\n".join([*lines, *(f"  caution: {text}" for text in self.cautions)])

    def _without_prediction(self, reason: str) -> str:
        """Return what is said where votes are below chance, or follow no form that is known here."""
        why, law, first = _NO_FORM if self.below_chance is None else _BELOW
        lines = [
            reason,
            f"with these measurements and {self.budget:,.0f} tokens: {self.single.design.said()}",
            f"  no design of many is recommended: {why}",
            f"  no signal, accuracy or P is told: they rest on a law of {law}",
            f"  find out first {first}",
        ]
        return "\n".join([*lines, *(f"  caution: {text}" for text in self.cautions)])

    @property
    def p_least(self) -> float:
        """P that the best beats one agent, at least, under every form of shared errors that the votes leave open."""
        return self.best.p if self.shape_tested else min(self.best.chances)

    def chance(self, one: Ranked) -> str:
        """Return P that a design beats one agent in words; a span where the forms are at odds and untold."""
        if self.shape_tested or not _at_odds(one):
            return sure(one.p)
        return f"{sure(min(one.chances))} to {sure(max(one.chances))} by the form of shared errors"

    def _also(self, one: Ranked) -> str:
        at_odds = not self.shape_tested and _at_odds(one)  # then `chance` has said both
        if one.p_beta_binomial is None or self.shape != "lock" or at_odds:
            return ""
        return f" ({sure(one.p_beta_binomial)} if shared errors are beta-binomial)"

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "shape": self.shape,
            "below_chance": self.below_chance,
            "unknown_form": self.unknown_form,
            "p_best_beats_one_agent_least": self.p_least,
            "budget": self.budget,
            "window": self.window,
            "best": self.best.as_dict(),
            "single": self.single.as_dict(),
            "rivals": [one.as_dict() for one in self.rivals],
            "p_best_over_next": self.p_over_next,
            "doubt": dict(self.doubt),
            "advice": self.advice,
            "cautions": list(self.cautions),
            "candidates": self.n_candidates,
        }


def recommend(
    measured: Measured,
    budget: float,
    window: float,
    *,
    fan_ins: Sequence[int] | None = None,
    x_min: float | None = None,
) -> Recommendation:
    """Return the best design under budget and window, with its probability of beating one agent.

    Args:
        measured: parameters with their draws.
        budget: tokens B of one answer of the whole organisation.
        window: context W of a node, tokens of messages that it can read.
        fan_ins: odd fan-ins to consider; by default all up to the window, thinned out above some forty.
        x_min: fewest tokens of a leaf; by default the fewest that were tried, so that nothing below is guessed.

    Raises:
        InputError: a parameter is missing, or the budget does not pay for one agent.
    """
    least = _least_tokens(measured, budget, x_min)
    world = ParameterDraws(measured)
    few = world.thinned(_FIRST_DRAWS)
    # Where more tokens make an agent worse, one agent does best to leave them unspent.
    alone_x = float(budget) if measured.points["beta"] >= 0 else least
    alone = Design("single", 1, 0, 0, 1, alone_x, 1.0, 0.0)
    fitting = list(candidates(measured, budget, window, fan_ins, least))
    shape = measured.shape
    base = world.signals(alone)
    ranked = [_ranked(world, design, base, shape) for design in [alone, *_shortlist(few, fitting, shape)]]
    single = ranked[0]
    # Of equal means (clipped leaves, say) the smaller society.
    order = sorted(ranked, key=lambda one: (-round(one.mean, 12), one.design.n_leaves))
    best = single if measured.below_chance or measured.unknown_form else order[0]
    rivals = tuple(_different([one for one in order if one is not best], best))
    over = 1.0
    if rivals:
        over = _share_above(*(world.signals(one.design, shape) for one in (best, rivals[0])))
    organised = next((one for one in order if one.design.organisation != "single"), None)
    if organised is not None and world.has_shapes and not (shape == "lock" and measured.shape_tested):
        known = _under_all(world, organised, base, shape)  # all forms that are left, so that none promises too much
        best, *others = (known if one is organised else one for one in (best, *rivals))
        rivals, organised = tuple(others), known
    doubt = _doubt(world, organised.design if organised is not None else alone, alone, shape)
    return Recommendation(
        budget=float(budget),
        window=float(window),
        best=best,
        single=single,
        rivals=rivals,
        p_over_next=over,
        doubt=doubt,
        advice=advice(measured, doubt),
        cautions=tuple(_cautions(measured, best.design, single.design, organised)),
        n_candidates=len(fitting) + 1,
        shape=shape,
        shape_tested=measured.shape_tested,
        below_chance=measured.below_chance,
        unknown_form=measured.unknown_form,
    )


def _shortlist(few: ParameterDraws, fitting: Sequence[Design], shape: Shape) -> list[Design]:
    """Return the designs to look at closely: the best by a few draws, and some of each kind."""
    firsts = [(float(few.signals(design, shape).mean()), design) for design in fitting]
    firsts.sort(key=lambda pair: (-pair[0], pair[1].n_leaves))
    return most_promising(firsts)


def _under_all(world: ParameterDraws, one: Ranked, base: FloatArray, shape: Shape) -> Ranked:
    """Return a design with its P under a Gaussian factor; where the lock is excluded, P is the lower of both others."""
    gaussian = _share_above(world.signals(one.design, "gauss_factor"), base)
    return replace(one, p=one.p if shape == "lock" else min(one.p, gaussian), p_gaussian=gaussian)


def _least_tokens(measured: Measured, budget: float, x_min: float | None) -> float:
    """Return the fewest tokens of a leaf; refuse measurements without a parameter, and a budget for no agent."""
    if missing := measured.missing():
        raise InputError(
            f"no plan without {', '.join(missing)}: {'; '.join(measured.refusals) or 'not measured'}",
            "",
            "measure more, or state it: " + " ".join(f"--{name} VALUE" for name in missing),
        )
    least = x_min if x_min is not None else measured.x_range[0] if measured.x_range is not None else 1.0
    if budget < least:
        raise InputError(f"{budget:g} tokens do not pay for one agent of {least:g}", "", "raise the budget")
    return least


def _ranked(world: ParameterDraws, design: Design, single: FloatArray, shape: Shape) -> Ranked:
    signals = world.signals(design, shape)
    drawn = signals[1:] if signals.size > 1 else signals
    low, high = np.quantile(drawn, [0.025, 0.975])
    p_bb = None
    if world.has_shapes:
        p_bb = _share_above(signals if shape == "beta_binomial" else world.signals(design, "beta_binomial"), single)
    return Ranked(
        replace(design, mu=float(signals[0])),
        float(low),
        float(high),
        float(drawn.mean()),
        _share_above(signals, single),
        p_bb,
    )


def _share_above(one: FloatArray, other: FloatArray) -> float:
    """Return the share of the draws, the centre left out, in which the first is above the other; a tie counts half.

    Signals that differ by rounding only are equal, as they are for the ranking.
    """
    a, b = (one[1:], other[1:]) if one.size > 1 else (one, other)
    lead = a - b
    return float(np.mean(np.where(np.abs(lead) <= _EQUAL, 0.5, lead > 0)))


def _different(order: Sequence[Ranked], best: Ranked) -> Iterator[Ranked]:
    """Yield the best of each other kind of organisation and depth, at most three."""
    seen = {(best.design.organisation, best.design.depth)}
    for one in order:
        kind = one.design.organisation, one.design.depth
        if kind not in seen and len(seen) <= 3:
            seen.add(kind)
            yield one


def _doubt(world: ParameterDraws, design: Design, single: Design, shape: Shape) -> dict[str, float]:
    """Return the share of each group in the variance of the design's lead, each varied alone."""
    spread = {}
    for group in GROUPS:
        alone = world.only(group)
        lead = (alone.signals(design, shape) - alone.signals(single))[1:]
        spread[group] = float(np.var(lead)) if lead.size else 0.0
    total = sum(spread.values())
    return {group: value / total if total > 1e-24 else 0.0 for group, value in spread.items()}


def _cautions(measured: Measured, best: Design, single: Design, organised: Ranked | None) -> Iterator[str]:
    """Yield what the figures depend on besides the sample."""
    if not measured.shape_tested and organised is not None and _at_odds(organised):
        yield "undecided: the form of shared errors decides whether it beats one agent, and no votes tell it"
    if measured.parameters.get("beta") is None and "beta" in measured.draws:
        yield "beta was refused as a result: its doubt is carried in full, and P moves with it"
    messages = ((f"gamma at {one.m:g} tokens", one.gamma) for one in measured.messages if one.m == best.m)
    for name, estimate in (("rho", measured.parameters.get("rho")), *messages):
        if best.organisation != "single" and estimate is not None and estimate.width > WIDEST:
            yield f"undecided: the interval of {name} is wider than {WIDEST:g}, so no design is to be chosen by it"
    if best.organisation != "single" and 0 < measured.rho_tasks < RHO_TASKS:
        found = (
            f"rho was measured on {measured.rho_tasks} tasks; below {RHO_TASKS} its draws are narrower than its error"
        )
        yield f"{found}, so a high P promises too much"
    if measured.points["beta"] < 0:
        yield f"more tokens made a lone agent worse: one agent is taken at its best, {single.x:,.0f} tokens"
    if measured.x_range is not None:
        low, high = measured.x_range
        alone = best.organisation == "single"
        for name, x in (("one agent", single.x), *(() if alone else (("a leaf", best.x),))):
            if x > high * 1.05:
                yield f"the law of {name} at {x:,.0f} tokens goes {x / high:.3g} times beyond what was tried"
            elif x < low * 0.95:
                yield f"the law of {name} at {x:,.0f} tokens goes below the {low:,.0f} that were tried"
    if best.organisation != "single" and measured.b != best.b:
        yield f"gamma and rho were measured at b = {measured.b}, the design has b = {best.b}"
    yield from measured.violated


def _at_odds(one: Ranked) -> bool:
    """Return whether the forms of shared errors say different things of a design and one agent."""
    least, most = min(one.chances), max(one.chances)
    return (least > 0.5) != (most > 0.5) or most - least > AT_ODDS


def _span(one: Ranked) -> str:
    return f"{one.design.mu:.3f} [{one.low:.3f}, {one.high:.3f}]"
