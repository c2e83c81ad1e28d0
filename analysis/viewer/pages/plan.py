"""This module is the page of a plan: the organisation that is worth its tokens, and what else there is."""

from __future__ import annotations

import math

import msgspec

from analysis.synergy.planning.design import Design, DesignReport
from analysis.synergy.planning.recommend import Ranked, Recommendation
from analysis.viewer.pages.plain import Span


class PlannedDesign(msgspec.Struct, frozen=True):
    """A design with the signal that is expected of it."""

    said: str
    organisation: str
    signal: Span
    p: float | None
    """Share of the draws in which it beats one agent; None where the parameters are taken as certain."""


class PlanPage(msgspec.Struct, frozen=True):
    """What the page of a plan shows; the best design comes first, one agent last."""

    sentence: str
    text: str
    """The whole plan in words, with every caution."""
    budget: float | None
    designs: list[PlannedDesign]


def plan_page(plan: Recommendation | DesignReport) -> PlanPage:
    """Return the page of a plan, with measurements or without."""
    text = plan.summary()
    sentence = text.splitlines()[0]
    if isinstance(plan, Recommendation):
        if plan.below_chance is not None:
            return PlanPage(sentence, text, plan.budget, [])
        ranked = [plan.best, *plan.rivals]
        if all(one.design.organisation != "single" for one in ranked):
            ranked.append(plan.single)
        return PlanPage(sentence, text, plan.budget, [_ranked(one) for one in ranked])
    others = [one for one in plan.by_organisation.values() if one != plan.best]
    found = [plan.best, *sorted(others, key=lambda one: -one.mu)]
    return PlanPage(sentence, text, None, [_certain(one) for one in found])


def _ranked(one: Ranked) -> PlannedDesign:
    p = None if one.design.organisation == "single" or not math.isfinite(one.p) else one.p
    return PlannedDesign(one.design.said(), one.design.organisation, Span(one.design.mu, one.low, one.high), p)


def _certain(design: Design) -> PlannedDesign:
    return PlannedDesign(design.said(), design.organisation, Span(design.mu), None)
