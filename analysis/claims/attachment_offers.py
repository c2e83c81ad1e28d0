"""This module rebuilds what agents of our own runs were really offered, from log and scenario, as risk sets.

In a debate an agent hears the standing claims of its neighbours (the last claim that each made or endorsed), and
attention picks from them. Log and scenario give these offers exactly, so the exponent of attention can be estimated
without assuming who could read what. A claim that several neighbours stand by is on offer once for each.

The likelihood is exact where one claim is shown (``attention.k: 1``). With more, parents are listed by id and not in
the order in which attention drew them, and agents may leave out some of what they were shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

import polars as pl

from agentsoc.scenario.model import Scenario
from agentsoc.society.build import build_society
from analysis.claims.attachment_choices import Choices, Offer, make_choices
from analysis.tables import EventTable

OFFERED: Final = "offered"
"""Column of the events: the claims that the author of an act could choose from, one entry for each that stood by it."""
_ACT: Final = ("claim", "kind", "target", "parents", "agent")


def offers_of_debate(events: pl.DataFrame, scenario: Scenario) -> pl.Series | None:
    """Return what was on offer at each event of a run, or None where that does not follow from the scenario.

    Args:
        events: the whole log of the run, in canonical order.
        scenario: its scenario.

    Raises:
        InputError: the society cannot be built again.
    """
    neighbours = heard_in_debate(scenario)
    return None if neighbours is None else offers_to(events, neighbours)


def heard_in_debate(scenario: Scenario) -> Sequence[Sequence[int]] | None:
    """Return whom each agent hears, or None where what is on offer does not follow from the scenario.

    Raises:
        InputError: the society cannot be built again.
    """
    if scenario.topology.live:  # whom an agent heard changed from round to round
        return None
    if scenario.protocol.kind != "debate" or scenario.attention.kind == "all":
        return None
    return build_society(scenario, stored=True).neighbours


def offers_to(events: pl.DataFrame, neighbours: Sequence[Sequence[int]]) -> pl.Series:
    """Return what was on offer at each event of whole episodes, in canonical order."""
    offers: list[list[int]] = []
    rows = events.select("task", "round", *_ACT).iter_rows()
    for _, episode in groupby(rows, key=lambda row: int(row[0])):
        standing: dict[int, int] = {}
        for _, same_round in groupby(episode, key=lambda row: int(row[1])):
            acts = list(same_round)
            for _, _, _, _, _, _, agent in acts:
                heard = neighbours[agent] if agent >= 0 else ()
                offers.append(sorted(standing[other] for other in heard if other in standing))
            for _, _, claim, kind, target, _, agent in acts:
                stands_by = claim if claim is not None else target if kind == "endorse_claim" else None
                if stands_by is not None and agent >= 0:
                    standing[agent] = stands_by
    return pl.Series(OFFERED, offers, dtype=pl.List(pl.Int64))


def offered_choices(table: EventTable) -> Choices:
    """Return the choices that acts made from the column `offered`; x counts acts of earlier rounds on a claim.

    An act chooses the claims that it builds on, or the one that it endorses. Acts that choose nothing on offer are no
    choices.
    """
    found = list(_decisions(table))
    return make_choices([decision for decision, _ in found], [offer for _, offer in found])


def _decisions(table: EventTable) -> Iterator[tuple[tuple[Sequence[float], Sequence[int], int], Offer]]:
    """Yield (engagement of the offer, positions chosen, execution) of each act that chose, and what was on offer."""
    before = 0
    rows = table.events.select("execution", "round", *_ACT, OFFERED).iter_rows()
    for execution, episode in groupby(rows, key=lambda row: int(row[0])):
        engaged: dict[int, int] = {}
        made: dict[int, tuple[int, int]] = {}
        for _, same_round in groupby(episode, key=lambda row: int(row[1])):
            acts = list(same_round)
            picked = [_picked(claim, kind, target, parents) for _, _, claim, kind, target, parents, _, _ in acts]
            for act, wanted in zip(acts, picked, strict=True):
                offer = act[-1] or []
                chosen = [offer.index(claim) for claim in wanted if claim in offer]
                if chosen and len(offer) > 1:
                    born = [made.get(claim, (0, -1)) for claim in offer]
                    about = Offer([len(made) - n for n, _ in born], [a for _, a in born], [before + n for n, _ in born])
                    yield ([float(engaged.get(claim, 0)) for claim in offer], chosen, execution), about
            for wanted in picked:
                for claim in wanted:
                    engaged[claim] = engaged.get(claim, 0) + 1
            for _, _, claim, _, _, _, agent, _ in acts:
                if claim is not None:
                    made.setdefault(claim, (len(made), agent))
        before += len(made)


def _picked(claim: int | None, kind: str | None, target: int | None, parents: Sequence[int]) -> Sequence[int]:
    """Return the claims that an act engages with, as the board of a run counts them."""
    if claim is not None:
        return list(dict.fromkeys(parents))
    return (target,) if kind == "endorse_claim" and target is not None else ()
